"""S3Storage: Amazon S3, and stores with the same protocol, such as MinIO.

Checksums are CRC-32C of whole objects. This module computes them and sends them with each write, so
that the store rejects content that was damaged on the way. Objects that other programs wrote have
other checksums or none; `S3Storage.digest` reads such an object to compute its CRC-32C.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import IO, Any

import boto3
import boto3.s3.transfer
import botocore.exceptions
import google_crc32c

from tfx_best_exporter.executor.storage import (
    errors,
    lease,
    local_files,
    objects,
    s3_client,
    s3_errors,
)
from tfx_best_exporter.executor.storage.digest import (
    FileDigest,
    crc32c_to_int,
    digest_of_bytes,
)
from tfx_best_exporter.executor.storage.protocol import (
    Entry,
    FileStatus,
    LockOwner,
    StorageError,
    TooLargeError,
    Tree,
)
from tfx_best_exporter.executor.storage.store_clock import StoreClock

_PARALLEL_PARTS = 8
_READ_TIMEOUT_SECONDS = 60.0
_DELETES_PER_REQUEST = 1000
# Files up to this size are uploaded from memory: they are read once, and the client does not wait
# for the store's consent before it sends them, as it does with every open file.
_BYTES_IN_MEMORY = 8 << 20


class S3Storage:
    """Amazon S3, or a store with the same protocol.

    Credentials, region and endpoint come from the places where every AWS client looks for them. If
    a custom endpoint is set (AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_S3 or endpoint_url in a profile),
    the bucket is a part of the path of each request, as MinIO and similar stores require.
    """

    has_atomic_rename = False
    connections = objects.CONNECTIONS
    small_file_connections = objects.CONNECTIONS

    def __init__(
        self,
        *,
        max_attempts: int = 8,
        part_bytes: int = 16 << 20,
        copy_part_bytes: int = 256 << 20,
        lease_settings: lease.LeaseSettings | None = None,
    ):
        """Makes an S3Storage; connects to nothing.

        Args:
            max_attempts: Maximum number of times that a request is sent; the pauses between the
                attempts grow up to 20 seconds.
            part_bytes: Size from which a file is uploaded and downloaded in parallel parts, and the
                size of these parts.
            copy_part_bytes: The same for copies within the store.
            lease_settings: Duration and renewal of a lock.
        """
        self._max_attempts = max_attempts
        self._part_bytes = part_bytes
        self._copy_part_bytes = copy_part_bytes
        self._lease_settings = lease_settings or lease.LeaseSettings()
        self._clock = StoreClock()
        self._known_buckets: set[str] = set()
        self._tried_buckets: set[str] = set()

    @functools.cached_property
    def _session(self) -> Any:
        # Each storage has a session of its own, because boto3's default session is not thread-safe.
        return boto3.session.Session()

    @functools.cached_property
    def _client(self) -> Any:
        client = s3_client.make_client(self._session, self._max_attempts, _READ_TIMEOUT_SECONDS)
        client.meta.events.register("after-call.s3", self._note_date)
        return client

    def _note_date(self, parsed: Mapping[str, Any], **_: Any) -> None:
        headers = parsed.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        self._clock.note(headers.get("date"))

    @functools.cached_property
    def _lease_client(self) -> Any:
        # Renewals have a short timeout: one that takes longer is too late, and the next one tries
        # again.
        return s3_client.make_client(
            self._session, 2, max(1.0, self._lease_settings.renew_seconds / 2)
        )

    @functools.cached_property
    def _transfers(self) -> Any:
        return self._make_transfers(self._part_bytes)

    @functools.cached_property
    def _copies(self) -> Any:
        return self._make_transfers(self._copy_part_bytes)

    def _make_transfers(self, part_bytes: int) -> Any:
        config = boto3.s3.transfer.TransferConfig(
            multipart_threshold=part_bytes,
            multipart_chunksize=part_bytes,
            max_concurrency=_PARALLEL_PARTS,
            num_download_attempts=s3_client.TRIES,
            preferred_transfer_client="classic",
        )
        return boto3.s3.transfer.create_transfer_manager(self._client, config)

    def close(self) -> None:
        """Closes the connections; the next call opens new ones."""
        for name in ("_transfers", "_copies"):
            if transfers := self.__dict__.pop(name, None):
                transfers.shutdown()
        for name in ("_client", "_lease_client"):
            if client := self.__dict__.pop(name, None):
                client.close()
        self.__dict__.pop("_session", None)

    def uri(self, path: str) -> str:
        """Returns "s3://bucket/key"."""
        return f"s3://{path}"

    def local_path(self, path: str) -> Path | None:
        """Returns None: objects have no local path."""

    def exists(self, path: str) -> bool:
        """Returns True if a path is an object, or a directory with an object below it."""
        bucket, key = objects.split(path)
        with self._translated(path):
            pages = s3_client.listing(self._client, bucket, objects.prefix_of(key))
            names = (item["Key"] for page in pages for item in page.get("Contents", ()))
            if any(objects.is_file(name) for name in names):
                return True
            if not key:
                return False
        with contextlib.suppress(FileNotFoundError), self._translated(path):
            self._client.head_object(Bucket=bucket, Key=key)
            return True
        return False

    def children(self, path: str) -> list[Entry]:
        """Returns the entries of a directory by name; an empty list if it does not exist."""
        bucket, key = objects.split(path)
        prefix = objects.prefix_of(key)
        keys: list[str] = []
        prefixes: list[str] = []
        with self._translated(path):
            for page in s3_client.listing(self._client, bucket, prefix, "/"):
                keys += [item["Key"] for item in page.get("Contents", ())]
                prefixes += [item["Prefix"] for item in page.get("CommonPrefixes", ())]
        return objects.entries(prefix, keys, prefixes)

    def sizes(self, path: str) -> dict[str, int]:
        """Returns the size in bytes of every file below a directory, by relative path."""
        _, key = objects.split(path)
        return objects.relative_sizes(objects.prefix_of(key), self._sizes_by_key(path))

    def _sizes_by_key(self, path: str) -> dict[str, int]:
        bucket, key = objects.split(path)
        with self._translated(path):
            pages = s3_client.listing(self._client, bucket, objects.prefix_of(key))
            return {
                item["Key"]: item["Size"] for page in pages for item in page.get("Contents", ())
            }

    def tree(self, path: str) -> Tree:
        """Returns every file below a directory, with its ETag as the stamp."""
        bucket, key = objects.split(path)
        prefix = objects.prefix_of(key)
        with self._translated(path):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=bucket, Prefix=prefix
            )
            return Tree(
                files={
                    item["Key"][len(prefix) :]: FileStatus(
                        size=item["Size"],
                        changed_at=item["LastModified"].timestamp(),
                        stamp=f"{item['Size']}:{item['ETag']}",
                    )
                    for page in pages
                    for item in page.get("Contents", ())
                    if objects.is_file(item["Key"])
                }
            )

    def now(self, lock_path: str, *, is_locked: bool) -> float:  # noqa: ARG002
        """Returns the store's time, from the newest response."""
        return self._clock.now() or time.time()

    def digest(self, path: str) -> FileDigest:
        """Returns size and CRC-32C of a file; reads it if the store has no CRC-32C of it."""
        bucket, key = objects.split_object(path)
        with self._translated(path):
            reply = self._client.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
            crc32c = s3_client.whole_checksum(reply)
            if crc32c is None:
                crc32c = self._read_checksum(bucket, key, reply["ETag"], reply["ContentLength"])
            return FileDigest(size=reply["ContentLength"], crc32c=crc32c)

    def _read_checksum(self, bucket: str, key: str, etag: str, size: int) -> int:
        crc, offset, tries = 0, 0, 0
        while offset < size:
            try:
                body = self._client.get_object(
                    Bucket=bucket, Key=key, IfMatch=etag, Range=f"bytes={offset}-"
                )["Body"]
                for chunk in body.iter_chunks(s3_client.CHUNK_BYTES):
                    crc = google_crc32c.extend(crc, chunk)
                    offset += len(chunk)
            except s3_errors.READ_FAILURES:
                tries += 1
                if tries == s3_client.TRIES:
                    raise
                s3_client.pause(tries)
        return crc

    def read(self, path: str, max_bytes: int) -> bytes:
        """Returns the content of a file; TooLargeError if it has more than max_bytes."""
        bucket, key = objects.split_object(path)
        with self._translated(path):
            for tries in range(1, s3_client.TRIES + 1):
                reply = self._client.get_object(Bucket=bucket, Key=key)
                with contextlib.closing(reply["Body"]) as body:
                    if reply["ContentLength"] > max_bytes:
                        raise TooLargeError(errors.too_large(self.uri(path), max_bytes))
                    try:
                        return body.read()
                    except s3_errors.READ_FAILURES:
                        if tries == s3_client.TRIES:
                            raise
                s3_client.pause(tries)
        raise AssertionError("the last try returns or raises")

    def write(self, path: str, content: bytes, *, if_absent: bool = False) -> None:
        """Writes a small file: a reader sees all of it or none."""
        bucket, key = objects.split_object(path)
        condition = {"IfNoneMatch": "*"} if if_absent else {}
        with self._translated(path):
            if s3_client.put(self._client, bucket, key, content, condition) is None:
                errors.check_own_write(self, path, content)

    def download(self, path: str, local_path: Path) -> FileDigest:
        """Copies a file to the local disk; returns the digest of the local file."""
        bucket, key = objects.split_object(path)
        local_path.parent.mkdir(parents=True, exist_ok=True)
        with self._translated(path):
            self._transfers.download(bucket, key, str(local_path)).result()
            return local_files.digest(local_path)

    def upload(self, local_path: Path, path: str) -> FileDigest:
        """Copies a file from the local disk; returns the digest that the store reports."""
        bucket, key = objects.split_object(path)
        if local_path.stat().st_size <= _BYTES_IN_MEMORY:
            content = local_path.read_bytes()
            return self._put(path, content, digest_of_bytes(content))
        digest = local_files.digest(local_path)
        if digest.size < self._part_bytes:
            with local_path.open("rb") as file:
                return self._put(path, file, digest)
        with self._translated(path):
            extra_args = s3_client.checksum_of(digest.crc32c)
            self._transfers.upload(str(local_path), bucket, key, extra_args=extra_args).result()
        return self.digest(path)

    def _put(self, path: str, body: bytes | IO[bytes], digest: FileDigest) -> FileDigest:
        """Writes an object with one request; returns the digest that the store reports."""
        bucket, key = objects.split_object(path)
        checksum = s3_client.checksum_of(digest.crc32c)
        with self._translated(path):
            reply = self._client.put_object(Bucket=bucket, Key=key, Body=body, **checksum)
        if "ChecksumCRC32C" in reply:
            return FileDigest(size=digest.size, crc32c=crc32c_to_int(reply["ChecksumCRC32C"]))
        return self.digest(path)

    def copy(self, source_path: str, path: str, *, size: int | None = None) -> FileDigest:
        """Copies an object within the store, and returns the digest that the store reports."""
        source_bucket, source_key = objects.split_object(source_path)
        bucket, key = objects.split_object(path)
        source = {"Bucket": source_bucket, "Key": source_key}
        with self._translated(source_path):
            if size is not None and size < self._copy_part_bytes:
                # The caller compares digests, which shows a source that changed meanwhile.
                length, unchanged = size, {}
            else:
                head = self._client.head_object(**source)
                length, unchanged = head["ContentLength"], {"CopySourceIfMatch": head["ETag"]}
            if length < self._copy_part_bytes:
                reply = self._client.copy_object(
                    CopySource=source,
                    Bucket=bucket,
                    Key=key,
                    ChecksumAlgorithm="CRC32C",
                    **unchanged,
                )
                crc32c = s3_client.whole_checksum(reply["CopyObjectResult"])
                if crc32c is not None:
                    return FileDigest(size=length, crc32c=crc32c)
            else:
                # With TaggingDirective REPLACE, no permission to read the source's tags is needed.
                extra_args = {"ChecksumAlgorithm": "CRC32C", "TaggingDirective": "REPLACE"}
                self._copies.copy(
                    source, bucket, key, extra_args={**extra_args, **unchanged}
                ).result()
        return self.digest(path)

    def link(self, source_path: str, path: str) -> None:
        """Copies a file within the store, because objects have no links."""
        self.copy(source_path, path)

    def sync(self, path: str) -> None:
        """Does nothing, because each write to the store is durable."""

    def rename(self, source_path: str, path: str) -> None:
        """Raises StorageError, because a store cannot move several objects atomically."""
        raise StorageError(errors.no_rename(self.uri(source_path), self.uri(path)))

    def remove(self, path: str) -> None:
        """Deletes a file, or a directory and all files below it; does nothing if neither exists."""
        bucket, key = objects.split_object(path)
        self._delete(path, bucket, [key, *self._sizes_by_key(path)])

    def remove_files(self, paths: Sequence[str]) -> None:
        """Deletes files, up to 1,000 of them with one request; skips absent files."""
        keys: dict[str, list[str]] = {}
        for path in paths:
            bucket, key = objects.split_object(path)
            keys.setdefault(bucket, []).append(key)
        for bucket, names in keys.items():
            self._delete(f"{bucket}/{names[0]}", bucket, names)

    def _delete(self, path: str, bucket: str, keys: Sequence[str]) -> None:
        with self._translated(path):
            for start in range(0, len(keys), _DELETES_PER_REQUEST):
                batch = keys[start : start + _DELETES_PER_REQUEST]
                reply = self._client.delete_objects(
                    Bucket=bucket,
                    Delete={"Objects": [{"Key": name} for name in batch], "Quiet": True},
                )
                for error in reply.get("Errors", ()):
                    raise botocore.exceptions.ClientError({"Error": error}, "DeleteObjects")

    def batch(self) -> contextlib.AbstractContextManager[S3Storage]:
        """Returns this storage, because each write to the store is durable."""
        return contextlib.nullcontext(self)

    def lock(
        self, path: str, timeout_seconds: float
    ) -> contextlib.AbstractContextManager[lease.ObjectLease]:
        """Holds an exclusive lock, an object with an expiry, while the context lasts."""
        store = _S3LeaseStore(self, path)
        return lease.hold(
            store,
            self.uri(path),
            timeout_seconds,
            self._lease_settings,
            probe=store.probe,
        )

    def lock_owner(self, path: str) -> LockOwner | None:
        """Returns the writer that holds a lock object; None without one."""
        # A person who looks needs no short timeout, and a second client takes a tenth of a second.
        store = _S3LeaseStore(self, path, lambda: self._client)
        return lease.owner_of(store, self._lease_settings)

    @contextlib.contextmanager
    def _translated(self, path: str) -> Iterator[None]:
        """Translates the client's errors into FileNotFoundError and StorageError."""
        try:
            yield
        except botocore.exceptions.ClientError as error:
            if s3_errors.code_of(error) in s3_errors.ABSENT:
                raise self._absent(path) from error
            raise self._error(error, path) from error
        except s3_errors.FAILURES as error:
            raise self._error(error, path) from error
        self._known_buckets.add(objects.split(path)[0])

    def _absent(self, path: str) -> OSError:
        bucket, key = objects.split(path)
        # Responses to HEAD have no body that could say whether the bucket or the object is missing.
        # One listing for each bucket and process finds that out.
        if bucket not in self._known_buckets:
            try:
                self._client.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)
                self._known_buckets.add(bucket)
            except s3_errors.FAILURES as error:
                return self._error(error, path)
        return FileNotFoundError(errors.absent(self.uri(path)))

    def _error(self, error: Exception, path: str) -> StorageError:
        return s3_errors.storage_error(error, path, self.uri(path))


class _S3LeaseStore:
    """A lock object that is written only if its ETag matches."""

    def __init__(self, s3: S3Storage, path: str, client: Callable[[], Any] | None = None):
        self._s3 = s3
        self._path = path
        self._reader = client or (lambda: s3._lease_client)
        self._bucket, self._key = objects.split_object(path)

    def load(self) -> lease.LeaseObject | None:
        try:
            with self._s3._translated(self._path):
                reply = self._reader().get_object(Bucket=self._bucket, Key=self._key)
                with contextlib.closing(reply["Body"]) as body:
                    content = body.read(lease.MAX_LOCK_BYTES)
        except FileNotFoundError:
            return None
        date = reply["ResponseMetadata"]["HTTPHeaders"].get("date")
        age = parsedate_to_datetime(date) - reply["LastModified"] if date else None
        return lease.LeaseObject(
            content=content,
            version=reply["ETag"],
            age_seconds=age.total_seconds() if age is not None else None,
        )

    def create(self, content: bytes) -> str | None:
        return self._put(content, {"IfNoneMatch": "*"})

    def replace(self, version: str, content: bytes) -> str | None:
        return self._put(content, {"IfMatch": version})

    def _put(self, content: bytes, condition: dict[str, str]) -> str | None:
        with self._s3._translated(self._path):
            return s3_client.put(
                self._s3._lease_client, self._bucket, self._key, content, condition
            )

    def probe(self) -> None:
        """Checks once for each bucket that the store keeps the conditions of writes.

        Raises:
            StorageError: The store ignores a condition. The lock object is deleted.
        """
        if self._bucket in self._s3._tried_buckets:
            return
        # Stores without conditional writes, such as MinIO before 2024, ignore the condition and
        # write. They cannot keep two writers apart.
        conditions = [{"IfNoneMatch": "*"}, {"IfMatch": '"00000000000000000000000000000000"'}]
        with concurrent.futures.ThreadPoolExecutor(len(conditions)) as pool:
            written = [*pool.map(functools.partial(self._put, b"{}"), conditions)]
        for condition, version in zip(conditions, written, strict=True):
            if version is not None:
                self._s3._lease_client.delete_object(Bucket=self._bucket, Key=self._key)
                raise StorageError(
                    f"cannot lock {self._s3.uri(self._path)}: the store ignores"
                    f" {' and '.join(condition)} of a write, and cannot keep two writers apart. Use"
                    " a newer release of the store, or another store."
                )
        self._s3._tried_buckets.add(self._bucket)

    def delete(self, version: str) -> None:
        location = {"Bucket": self._bucket, "Key": self._key}
        with self._s3._translated(self._path):
            try:
                self._s3._lease_client.delete_object(**location, IfMatch=version)
            except botocore.exceptions.ClientError as error:
                code = s3_errors.code_of(error)
                if code == "NotImplemented":
                    # The holder has just checked that the lease is still valid, so the object is
                    # its own.
                    self._s3._lease_client.delete_object(**location)
                elif code not in s3_errors.REFUSED | s3_errors.MET | s3_errors.ABSENT:
                    raise
