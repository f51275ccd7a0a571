"""GsStorage: Google Cloud Storage, with generation preconditions and the store's checksums."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import functools
import io
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import requests
import requests.adapters
from google.api_core import exceptions as api_exceptions
from google.api_core import retry as api_retry
from google.auth import exceptions as auth_exceptions
from google.cloud import storage
from google.cloud.storage import exceptions as storage_exceptions
from google.cloud.storage.retry import DEFAULT_RETRY

from tfx_best_exporter.executor.storage import errors, lease, local_files, objects, store_clock
from tfx_best_exporter.executor.storage.digest import FileDigest, crc32c_to_int
from tfx_best_exporter.executor.storage.protocol import (
    Entry,
    FileStatus,
    LockOwner,
    StorageError,
    TooLargeError,
    Tree,
)

# Timeouts of one request: to connect, and to read.
_TIMEOUT_SECONDS = (10.0, 60.0)
# Files above this size are uploaded in chunks of it, with one chunk in memory at a time.
_CHUNK_BYTES = 8 << 20
_PARALLEL_DELETES = 8
# Number of connections to keep open: one for each thread of the caller, and some for the lock.
_CONNECTIONS = 32
_NO_CREDENTIALS = (
    "Run 'gcloud auth application-default login', or set GOOGLE_APPLICATION_CREDENTIALS to a key"
    " file. For an emulator, set STORAGE_EMULATOR_HOST."
)
_NO_PERMISSION = "Grant the account the role Storage Object User on the bucket."

_FAILURES = (
    api_exceptions.GoogleAPIError,
    auth_exceptions.GoogleAuthError,
    requests.RequestException,
    storage_exceptions.InvalidResponse,
    storage_exceptions.DataCorruption,
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RetrySettings:
    """Retries of a failed request, with random pauses that grow.

    Attributes:
        timeout_seconds: Time after which a request is not sent again.
        initial_seconds: Longest first pause; the limit doubles for each next one.
        maximum_seconds: Longest pause of all.
    """

    timeout_seconds: float = 120.0
    initial_seconds: float = 1.0
    maximum_seconds: float = 30.0


class GsStorage:
    """Google Cloud Storage.

    Files of more than 8 MiB are sent by the client's resumable upload. Each transfer uses one
    connection. The caller transfers several files in parallel, which uses threads better than
    several connections for one file.
    """

    has_atomic_rename = False
    connections = objects.CONNECTIONS
    small_file_connections = objects.CONNECTIONS

    def __init__(
        self,
        *,
        retry: RetrySettings | None = None,
        lease_settings: lease.LeaseSettings | None = None,
    ):
        """Makes a GsStorage; connects to nothing.

        Args:
            retry: Retries of a failed request.
            lease_settings: Duration and renewal of a lock.
        """
        retry = retry or RetrySettings()
        self._retry: api_retry.Retry = DEFAULT_RETRY.with_timeout(retry.timeout_seconds).with_delay(
            initial=retry.initial_seconds, maximum=retry.maximum_seconds, multiplier=2.0
        )
        self._lease_settings = lease_settings or lease.LeaseSettings()
        self._known_buckets: set[str] = set()
        self.clock = store_clock.StoreClock()

    @functools.cached_property
    def _client(self) -> storage.Client:
        # Requests for objects need no project, and the environment may have none.
        client = storage.Client(project=None)
        session = client._http
        adapter = requests.adapters.HTTPAdapter(
            pool_connections=_CONNECTIONS, pool_maxsize=_CONNECTIONS
        )
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        session.hooks["response"].append(self._note_date)
        return client

    def close(self) -> None:
        """Closes the connections; the next call opens new ones."""
        if client := self.__dict__.pop("_client", None):
            client.close()

    def _note_date(self, response: requests.Response, *_args: object, **_kwargs: object) -> None:
        self.clock.note(response.headers.get("Date"))

    def _blob(self, path: str, chunk_size: int | None = None) -> storage.Blob:
        bucket, key = objects.split_object(path)
        return self._client.bucket(bucket).blob(key, chunk_size=chunk_size)

    def uri(self, path: str) -> str:
        """Returns "gs://bucket/key"."""
        return f"gs://{path}"

    def local_path(self, path: str) -> Path | None:
        """Returns None: objects have no local path."""

    def exists(self, path: str) -> bool:
        """Returns True if a path is an object, or a directory with an object below it."""
        bucket, key = objects.split(path)
        with self._translated(path):
            blobs = self._client.list_blobs(
                bucket,
                prefix=objects.prefix_of(key),
                fields="items(name),nextPageToken",
                timeout=_TIMEOUT_SECONDS,
                retry=self._retry,
            )
            if any(objects.is_file(str(blob.name)) for blob in blobs):
                return True
            return bool(key) and self._blob(path).exists(
                timeout=_TIMEOUT_SECONDS, retry=self._retry
            )

    def children(self, path: str) -> list[Entry]:
        """Returns the entries of a directory by name; an empty list if it does not exist."""
        bucket, key = objects.split(path)
        prefix = objects.prefix_of(key)
        with self._translated(path):
            blobs = self._client.list_blobs(
                bucket,
                prefix=prefix,
                delimiter="/",
                fields="items(name),prefixes,nextPageToken",
                timeout=_TIMEOUT_SECONDS,
                retry=self._retry,
            )
            keys = [str(blob.name) for blob in blobs]
            # The client adds prefixes page by page: they are complete once all blobs were read.
            return objects.entries(prefix, keys, blobs.prefixes)

    def sizes(self, path: str) -> dict[str, int]:
        """Returns the size in bytes of every file below a directory, by relative path."""
        _, key = objects.split(path)
        return objects.relative_sizes(objects.prefix_of(key), self._sizes_by_key(path))

    def _sizes_by_key(self, path: str) -> dict[str, int]:
        bucket, key = objects.split(path)
        with self._translated(path):
            blobs = self._client.list_blobs(
                bucket,
                prefix=objects.prefix_of(key),
                fields="items(name,size),nextPageToken",
                timeout=_TIMEOUT_SECONDS,
                retry=self._retry,
            )
            return {str(blob.name): int(blob.size or 0) for blob in blobs}

    def tree(self, path: str) -> Tree:
        """Returns every file below a directory, with its generation as the stamp."""
        bucket, key = objects.split(path)
        prefix = objects.prefix_of(key)
        with self._translated(path):
            blobs = self._client.list_blobs(
                bucket,
                prefix=prefix,
                fields="items(name,size,generation,updated),nextPageToken",
                timeout=_TIMEOUT_SECONDS,
                retry=self._retry,
            )
            return Tree(
                files={
                    blob.name[len(prefix) :]: FileStatus(
                        size=int(blob.size or 0),
                        changed_at=blob.updated.timestamp() if blob.updated else 0.0,
                        stamp=f"{blob.size}:{blob.generation}",
                    )
                    for blob in blobs
                    if objects.is_file(blob.name)
                }
            )

    def now(self, lock_path: str, *, is_locked: bool) -> float:  # noqa: ARG002
        """Returns the store's time, from the newest response."""
        return self.clock.now() or time.time()

    def digest(self, path: str) -> FileDigest:
        """Returns size and CRC-32C of a file, as the store reports them."""
        with self._translated(path):
            blob = self._blob(path)
            blob.reload(timeout=_TIMEOUT_SECONDS, retry=self._retry)
            return _digest_of(blob)

    def read(self, path: str, max_bytes: int) -> bytes:
        """Returns the content of a file; TooLargeError if it has more than max_bytes."""
        buffer = _BoundedBuffer(self.uri(path), max_bytes)
        with self._translated(path):
            self._download(path, buffer)
        return buffer.getvalue()

    def _download(self, path: str, file: io.BufferedIOBase) -> storage.Blob:
        blob = self._blob(path)
        # Objects with compressed content are downloaded as they are stored (raw).
        blob.download_to_file(
            file,
            raw_download=True,
            checksum="crc32c",
            timeout=_TIMEOUT_SECONDS,
            retry=self._retry,
        )
        return blob

    def write(self, path: str, content: bytes, *, if_absent: bool = False) -> None:
        """Writes a small file: a reader sees all of it or none."""
        with self._translated(path):
            try:
                self._blob(path).upload_from_string(
                    content,
                    content_type="application/octet-stream",
                    if_generation_match=0 if if_absent else None,
                    checksum="crc32c",
                    timeout=_TIMEOUT_SECONDS,
                    retry=self._retry,
                )
            except api_exceptions.PreconditionFailed:
                errors.check_own_write(self, path, content)

    def download(self, path: str, local_path: Path) -> FileDigest:
        """Copies a file to the local disk; returns the digest of the local file."""
        local_path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self._translated(path), local_path.open("wb") as file:
                blob = self._download(path, file)
            result = local_files.digest(local_path)
            # Responses to a download always have the checksum, but not always the size.
            crc32c = crc32c_to_int(blob.crc32c) if blob.crc32c else result.crc32c
            if crc32c != result.crc32c:
                expected = FileDigest(size=result.size, crc32c=crc32c)
                raise StorageError(errors.corrupted(self.uri(path), expected, result))
        except BaseException:
            local_path.unlink(missing_ok=True)
            raise
        return result

    def upload(self, local_path: Path, path: str) -> FileDigest:
        """Copies a file from the local disk; returns the digest that the store reports."""
        with self._translated(path):
            blob = self._blob(path, chunk_size=_CHUNK_BYTES)
            with local_path.open("rb") as file:
                blob.upload_from_file(
                    file,
                    size=local_path.stat().st_size,
                    content_type="application/octet-stream",
                    checksum="crc32c",
                    timeout=_TIMEOUT_SECONDS,
                    retry=self._retry,
                )
            return _digest_of(blob)

    def copy(
        self,
        source_path: str,
        path: str,
        *,
        size: int | None = None,  # noqa: ARG002
    ) -> FileDigest:
        """Copies a file within the store; returns the digest that the store reports."""
        with self._translated(source_path):
            source, blob = self._blob(source_path), self._blob(path)
            token = None
            while True:
                # Copies of a large file to another location or storage class take several requests.
                token, _, _ = blob.rewrite(
                    source, token=token, timeout=_TIMEOUT_SECONDS, retry=self._retry
                )
                if token is None:
                    return _digest_of(blob)

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
        with self._translated(path):
            keys = [key, *self._sizes_by_key(path)]
        self.remove_files([f"{bucket}/{each}" for each in keys])

    def remove_files(self, paths: Sequence[str]) -> None:
        """Deletes files in parallel, with one request each; skips absent files."""
        for path in paths:
            objects.split_object(path)
        with concurrent.futures.ThreadPoolExecutor(_PARALLEL_DELETES) as pool:
            for _ in pool.map(self._delete, paths):
                pass

    def _delete(self, path: str) -> None:
        with self._translated(path), contextlib.suppress(api_exceptions.NotFound):
            self._blob(path).delete(timeout=_TIMEOUT_SECONDS, retry=self._retry)

    def batch(self) -> contextlib.AbstractContextManager[GsStorage]:
        """Returns this storage, because each write to the store is durable."""
        return contextlib.nullcontext(self)

    def remove_directory_markers(self, path: str) -> None:
        """Deletes the empty objects at and below a directory whose names end in "/".

        TensorFlow writes such an object for each directory that it makes.
        """
        bucket, _ = objects.split_object(path)
        with self._translated(path):
            for key, size in self._sizes_by_key(path).items():
                if key.endswith("/") and size == 0:
                    self._delete(f"{bucket}/{key}")

    def lock(
        self, path: str, timeout_seconds: float
    ) -> contextlib.AbstractContextManager[lease.ObjectLease]:
        """Holds an exclusive lock, an object with an expiry, while the context lasts."""
        return lease.hold(
            _GsLeaseStore(self, path), self.uri(path), timeout_seconds, self._lease_settings
        )

    def lock_owner(self, path: str) -> LockOwner | None:
        """Returns the writer that holds a lock object; None without one."""
        return lease.owner_of(_GsLeaseStore(self, path), self._lease_settings)

    @contextlib.contextmanager
    def _translated(self, path: str) -> Iterator[None]:
        """Translates the client's errors into FileNotFoundError and StorageError."""
        try:
            yield
        except api_exceptions.NotFound as error:
            raise self._absent(path) from error
        except _FAILURES as error:
            raise self._error(error, path) from error
        self._known_buckets.add(objects.split(path)[0])

    def _absent(self, path: str) -> OSError:
        bucket, key = objects.split(path)
        # Missing buckets and missing objects get the same response. One listing for each bucket and
        # process distinguishes them, and needs no further permission.
        if bucket not in self._known_buckets:
            try:
                list(
                    self._client.list_blobs(
                        bucket,
                        prefix=key,
                        max_results=1,
                        timeout=_TIMEOUT_SECONDS,
                        retry=self._retry,
                    )
                )
                self._known_buckets.add(bucket)
            except api_exceptions.NotFound:
                return StorageError(errors.bucket_missing(bucket, self.uri(path)))
            except _FAILURES as error:
                return self._error(error, path)
        return FileNotFoundError(errors.absent(self.uri(path)))

    def _error(self, error: Exception, path: str) -> StorageError:
        uri = self.uri(path)
        cause = getattr(error, "cause", None) or error
        problem = _one_line(cause)
        if isinstance(cause, auth_exceptions.GoogleAuthError | api_exceptions.Unauthorized):
            if isinstance(cause, auth_exceptions.TransportError):
                return StorageError(errors.failed(problem, uri))
            return StorageError(errors.credentials_missing(problem, uri, _NO_CREDENTIALS))
        if isinstance(cause, api_exceptions.Forbidden):
            return StorageError(errors.permission_missing(problem, uri, _NO_PERMISSION))
        return StorageError(errors.failed(problem, uri))


class _GsLeaseStore:
    """A lock object that is written only if its generation matches."""

    def __init__(self, gs: GsStorage, path: str):
        self._gs = gs
        self._path = path
        # Renewals have a short timeout: one that takes longer is too late, and the next one tries
        # again.
        self._retry = gs._retry.with_timeout(gs._lease_settings.renew_seconds)

    def load(self) -> lease.LeaseObject | None:
        with self._gs._translated(self._path):
            blob = self._gs._blob(self._path)
            try:
                blob.reload(timeout=_TIMEOUT_SECONDS, retry=self._retry)
                # A larger object is no claim of this exporter.
                content = b""
                if (blob.size or 0) <= lease.MAX_LOCK_BYTES:
                    content = blob.download_as_bytes(
                        if_generation_match=blob.generation,
                        timeout=_TIMEOUT_SECONDS,
                        retry=self._retry,
                    )
            except api_exceptions.PreconditionFailed:
                # Another writer replaced or deleted the object between both requests.
                return self.load()
            except api_exceptions.NotFound as error:
                absent = self._gs._absent(self._path)
                if not isinstance(absent, FileNotFoundError):
                    raise absent from error
                return None
        updated = blob.updated
        return lease.LeaseObject(
            content=content,
            version=str(blob.generation),
            age_seconds=self._gs.clock.age_seconds(updated.timestamp()) if updated else None,
        )

    def create(self, content: bytes) -> str | None:
        return self._put(content, generation=0)

    def replace(self, version: str, content: bytes) -> str | None:
        return self._put(content, generation=int(version))

    def _put(self, content: bytes, generation: int) -> str | None:
        with self._gs._translated(self._path):
            blob = self._gs._blob(self._path)
            try:
                blob.upload_from_string(
                    content,
                    content_type="application/json",
                    if_generation_match=generation,
                    checksum="crc32c",
                    timeout=_TIMEOUT_SECONDS,
                    retry=self._retry,
                )
            except api_exceptions.PreconditionFailed:
                return None
            return str(blob.generation)

    def delete(self, version: str) -> None:
        with (
            self._gs._translated(self._path),
            contextlib.suppress(api_exceptions.NotFound, api_exceptions.PreconditionFailed),
        ):
            self._gs._blob(self._path).delete(
                if_generation_match=int(version), timeout=_TIMEOUT_SECONDS, retry=self._retry
            )


class _BoundedBuffer(io.BytesIO):
    """A buffer in memory for a file; raises TooLargeError if the file is too large."""

    def __init__(self, uri: str, max_bytes: int):
        super().__init__()
        self._uri = uri
        self._max_bytes = max_bytes

    def write(self, content: bytes) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        if self.tell() + len(content) > self._max_bytes:
            raise TooLargeError(errors.too_large(self._uri, self._max_bytes))
        return super().write(content)


def _digest_of(blob: storage.Blob) -> FileDigest:
    return FileDigest(size=int(blob.size or 0), crc32c=crc32c_to_int(blob.crc32c or ""))


def _one_line(error: object) -> str:
    text = getattr(error, "message", None) or str(error) or type(error).__name__
    code = getattr(error, "code", None)
    return " ".join(f"{int(code)} {text}".split() if isinstance(code, int) else text.split())[:300]
