"""Clients of S3: their configuration, the checksums that they send, and conditional writes."""

from __future__ import annotations

import io
import random
import time
from collections.abc import Iterator
from typing import Any

import botocore.config
import botocore.exceptions
import google_crc32c

from tfx_best_exporter.executor.storage import s3_errors
from tfx_best_exporter.executor.storage.digest import crc32c_to_int, crc32c_to_text

CHUNK_BYTES = 1 << 20
# Attempts for the two cases that the client does not retry by itself: a response that breaks off,
# and conditional writes that conflict.
TRIES = 5
_CONNECTIONS = 32
_CONNECT_TIMEOUT_SECONDS = 10.0


def make_client(session: Any, max_attempts: int, read_timeout_seconds: float) -> Any:
    """Returns a client that finds its endpoint, region and credentials as every AWS client does.

    Args:
        session: A boto3 session.
        max_attempts: Maximum number of times that a request is sent.
        read_timeout_seconds: Maximum time to wait for bytes of a response.
    """
    config = botocore.config.Config(
        connect_timeout=_CONNECT_TIMEOUT_SECONDS,
        read_timeout=read_timeout_seconds,
        max_pool_connections=_CONNECTIONS,
        retries={"mode": "standard", "total_max_attempts": max_attempts},
        # S3Storage sends a CRC-32C with each write. Stores other than Amazon's may not know the
        # checksums that the client would add.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        # "auto" puts the bucket into the path of each request if an endpoint is configured.
        s3={"addressing_style": "auto"},
    )
    client = session.client("s3", config=config)
    events = client.meta.events
    events.register("before-parameter-build.s3.UploadPart", _add_checksum)
    events.register("before-parameter-build.s3.CreateMultipartUpload", _add_checksum_type)
    return client


def listing(client: Any, bucket: str, prefix: str, delimiter: str = "") -> Iterator[dict[str, Any]]:
    """Yields the pages of a listing.

    The client's own paginators cost more than a request: they search the data of every service.

    Args:
        client: A client.
        bucket: Name of the bucket.
        prefix: Prefix of the keys.
        delimiter: "/" to list the directory only, "" to list everything below it.
    """
    arguments = {"Bucket": bucket, "Prefix": prefix}
    if delimiter:
        arguments["Delimiter"] = delimiter
    while True:
        page = client.list_objects_v2(**arguments)
        yield page
        if not page.get("IsTruncated"):
            return
        arguments["ContinuationToken"] = page["NextContinuationToken"]


def put(
    client: Any, bucket: str, key: str, content: bytes, condition: dict[str, str]
) -> str | None:
    """Writes an object; returns its ETag, or None if a condition does not hold."""
    checksum = checksum_of(google_crc32c.value(content))
    for tries in range(1, TRIES + 1):
        try:
            reply = client.put_object(
                Bucket=bucket,
                Key=key,
                Body=content,
                **checksum,
                **condition,
            )
            return reply["ETag"]
        except botocore.exceptions.ClientError as error:
            code = s3_errors.code_of(error)
            if code in s3_errors.REFUSED or (code in s3_errors.ABSENT and "IfMatch" in condition):
                return None
            # S3 rejects concurrent conditional writes of one key, and asks the clients to retry.
            if code not in s3_errors.MET or tries == TRIES:
                raise
            pause(tries)
    raise AssertionError("the last try returns or raises")


def checksum_of(crc32c: int) -> dict[str, str]:
    """Returns the arguments of a write with which the store checks the CRC-32C of the content."""
    return {"ChecksumAlgorithm": "CRC32C", "ChecksumCRC32C": crc32c_to_text(crc32c)}


def whole_checksum(reply: dict[str, Any]) -> int | None:
    """Returns the CRC-32C of a whole object, or None; a checksum of part checksums is ignored."""
    text = reply.get("ChecksumCRC32C", "")
    if not text or "-" in text or reply.get("ChecksumType") == "COMPOSITE":
        return None
    return crc32c_to_int(text)


def pause(tries: int) -> None:
    """Waits before the next attempt, for a random time that grows with each attempt."""
    time.sleep(random.uniform(0.0, 0.2 * 2**tries))


def _add_checksum(params: dict[str, Any], **_kwargs: object) -> None:
    """Adds the CRC-32C of a part, which the client computes only with a native extension."""
    if params.get("ChecksumAlgorithm") != "CRC32C":
        return
    body = params["Body"]
    crc = 0
    while chunk := body.read(CHUNK_BYTES):
        crc = google_crc32c.extend(crc, chunk)
    body.seek(0, io.SEEK_SET)
    params["ChecksumCRC32C"] = crc32c_to_text(crc)


def _add_checksum_type(params: dict[str, Any], **_kwargs: object) -> None:
    """Requests the checksum of the whole object, for which a managed copy has no argument."""
    if params.get("ChecksumAlgorithm") == "CRC32C":
        params.setdefault("ChecksumType", "FULL_OBJECT")
