"""Behavior of S3 only: checksums of other programs, copies in parts, endpoints."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import google_crc32c
import pytest

from tests.executor.storage.conftest import BUCKET, Place, make_place
from tests.fault_proxy import Truncate
from tfx_best_exporter.executor.storage import s3_client
from tfx_best_exporter.executor.storage.digest import FileDigest
from tfx_best_exporter.executor.storage.s3 import S3Storage


@pytest.fixture
def s3(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return make_place("s3", request, tmp_path)


def others_client(place: Place) -> Any:
    """Returns the client of another program, with the client library's defaults."""
    import boto3

    return boto3.session.Session().client("s3")


def test_an_object_without_our_checksum_is_read(s3: Place) -> None:
    content = os.urandom(3 << 20)
    bucket, key = f"{s3.root}/file".split("/", 1)
    client = others_client(s3)
    client.put_object(Bucket=bucket, Key=key, Body=content)
    client.close()
    expected = FileDigest(size=len(content), crc32c=google_crc32c.value(content))
    assert s3.storage.digest(s3 / "file") == expected
    # The copy has a CRC-32C, which the store has computed.
    assert s3.storage.copy(s3 / "file", s3 / "copy") == expected


def test_an_object_that_others_wrote_in_parts_is_read(s3: Place) -> None:
    content = os.urandom(6 << 20)
    bucket, key = f"{s3.root}/file".split("/", 1)
    client = others_client(s3)
    upload = client.create_multipart_upload(Bucket=bucket, Key=key, ChecksumAlgorithm="CRC32")
    where = {"Bucket": bucket, "Key": key, "UploadId": upload["UploadId"]}
    parts = [
        {
            "PartNumber": number,
            "ETag": client.upload_part(
                **where, PartNumber=number, Body=body, ChecksumAlgorithm="CRC32"
            )["ETag"],
        }
        for number, body in enumerate((content[: 5 << 20], content[5 << 20 :]), 1)
    ]
    client.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
    client.close()
    assert s3.storage.digest(s3 / "file") == FileDigest(
        size=len(content), crc32c=google_crc32c.value(content)
    )


@pytest.mark.parametrize(
    ("reply", "crc32c"),
    [
        ({"ChecksumCRC32C": "4waSgw==", "ChecksumType": "FULL_OBJECT"}, 0xE3069283),
        # Objects from before 2025 have no checksum type.
        ({"ChecksumCRC32C": "4waSgw=="}, 0xE3069283),
        ({"ChecksumCRC32C": "4waSgw==-2"}, None),
        ({"ChecksumCRC32C": "4waSgw==", "ChecksumType": "COMPOSITE"}, None),
        ({"ChecksumCRC64NVME": "rosUhgp5mYg=", "ChecksumType": "FULL_OBJECT"}, None),
        ({}, None),
    ],
)
def test_a_checksum_of_parts_is_none_of_the_whole(
    reply: dict[str, Any], crc32c: int | None
) -> None:
    assert s3_client.whole_checksum(reply) == crc32c


def test_reading_a_checksum_goes_on_where_it_broke_off(proxied: Place) -> None:
    if proxied.kind == "gs":
        pytest.skip("the store knows every checksum")
    content = os.urandom(4 << 20)
    bucket, key = f"{proxied.root}/file".split("/", 1)
    client = others_client(proxied)
    client.put_object(Bucket=bucket, Key=key, Body=content)
    client.close()
    assert proxied.proxy
    proxied.proxy.times(2, Truncate(), method="GET")
    assert proxied.storage.digest(proxied / "file") == FileDigest(
        size=len(content), crc32c=google_crc32c.value(content)
    )
    assert len(proxied.proxy.faulted) == 2


def test_a_large_file_is_copied_in_parts(s3: Place, tmp_path: Path) -> None:
    content = os.urandom(12 << 20)
    (tmp_path / "file").write_bytes(content)
    expected = FileDigest(size=len(content), crc32c=google_crc32c.value(content))
    storage = s3.again(copy_part_bytes=5 << 20, part_bytes=5 << 20)
    assert storage.upload(tmp_path / "file", s3 / "file") == expected
    assert storage.copy(s3 / "file", s3 / "copy") == expected
    assert storage.download(s3 / "copy", tmp_path / "down") == expected
    assert (tmp_path / "down").read_bytes() == content


def test_the_bytes_of_a_copy_stay_in_the_store(proxied: Place, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(1 << 20))
    proxied.storage.upload(tmp_path / "file", proxied / "file")
    assert proxied.proxy
    proxied.proxy.always(None)
    proxied.storage.copy(proxied / "file", proxied / "copy")
    proxied.storage.digest(proxied / "copy")
    if proxied.kind == "gs":
        assert {request.method for request in proxied.proxy.requests} == {"POST", "GET"}
        assert not any("alt=media" in request.path for request in proxied.proxy.requests)
    else:
        assert {request.method for request in proxied.proxy.requests} == {"HEAD", "PUT"}


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [(None, f"{BUCKET}.s3.amazonaws.com"), ("http://minio.kubeflow:9000", "minio.kubeflow:9000")],
)
def test_an_endpoint_of_its_own_has_the_bucket_in_the_path(
    clean_environment: pytest.MonkeyPatch, endpoint: str | None, host: str
) -> None:
    clean_environment.setenv("AWS_ACCESS_KEY_ID", "key")
    clean_environment.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    if endpoint:
        clean_environment.setenv("AWS_ENDPOINT_URL_S3", endpoint)
    storage = S3Storage()
    url = storage._client.generate_presigned_url(
        "get_object", Params={"Bucket": BUCKET, "Key": "key"}
    )
    storage.close()
    assert url.partition("://")[2].partition("/")[0] == host
    assert f"/{BUCKET}/key?" in url if endpoint else "/key?" in url
