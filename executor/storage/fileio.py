"""FileioStorage: other file systems, for schemes that a plug-in registers with TFX.

TFX's `fileio` has no conditional writes, no checksums, no sync, and no rename that is known to be
atomic. The promises of this storage are therefore weaker. The lock notices other writers most of
the time, not always, so the pipeline must make sure that only one writer runs at a time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import posixpath
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import google_crc32c
from tensorflow import errors as tf_errors
from tfx.dsl.io import fileio

from tfx_best_exporter.executor.storage import errors, lease, local_files, objects
from tfx_best_exporter.executor.storage.digest import FileDigest
from tfx_best_exporter.executor.storage.protocol import (
    Entry,
    FileStatus,
    Kind,
    LockOwner,
    StorageError,
    TooLargeError,
    Tree,
)

_CHUNK_BYTES = 1 << 20


class FileioStorage:
    """A file system of TFX's registry.

    The plug-in's `rename` decides whether readers see a write as a whole, and its `listdir` decides
    whether a listing is up to date. A listing sends one request for each name, to find out whether
    it is a directory.
    """

    has_atomic_rename = False
    connections = objects.CONNECTIONS
    small_file_connections = objects.CONNECTIONS

    def __init__(self, scheme: str, *, lease_settings: lease.LeaseSettings | None = None):
        """Makes a FileioStorage; reads and writes nothing.

        Args:
            scheme: Scheme that the plug-in registers, without "://".
            lease_settings: Duration and renewal of a lock.
        """
        self._scheme = scheme
        self._lease_settings = lease_settings or lease.LeaseSettings()

    def uri(self, path: str) -> str:
        """Returns the path with its scheme."""
        return f"{self._scheme}://{path}"

    def local_path(self, path: str) -> Path | None:
        """Returns None, because a plug-in does not report local paths."""

    def exists(self, path: str) -> bool:
        """Returns True if a path is a file, or a directory with a file below it."""
        with self._translated(path):
            if fileio.isdir(self.uri(path)):
                return bool(self.sizes(path))
        return self._has_file(path)

    def children(self, path: str) -> list[Entry]:
        """Returns the entries of a directory by name; an empty list if it does not exist."""
        with self._translated(path):
            try:
                listed = fileio.listdir(self.uri(path))
            except _ABSENT:
                return []
            names = sorted({_text(name).rstrip("/") for name in listed} - {""})
            return [
                Entry(
                    name=name,
                    kind=Kind.DIRECTORY if fileio.isdir(self.uri(f"{path}/{name}")) else Kind.FILE,
                )
                for name in names
            ]

    def sizes(self, path: str) -> dict[str, int]:
        """Returns the size in bytes of every file below a directory, by relative path."""
        root = self.uri(path)
        result = {}
        with self._translated(path):
            if not fileio.isdir(root):
                return {}
            for directory, _, names in fileio.walk(root):
                for name in names:
                    uri = posixpath.join(_text(directory), _text(name))
                    result[uri[len(root) :].lstrip("/")] = _size(fileio.stat(uri))
        return result

    def tree(self, path: str) -> Tree:
        """Returns every file below a directory.

        Files have no stamps, because plug-ins have no version of a file's content.
        """
        root = self.uri(path)
        files = {}
        with self._translated(path):
            if not fileio.isdir(root):
                return Tree(files={})
            for directory, _, names in fileio.walk(root):
                for name in names:
                    uri = posixpath.join(_text(directory), _text(name))
                    status = fileio.stat(uri)
                    files[uri[len(root) :].lstrip("/")] = FileStatus(
                        size=_size(status), changed_at=_changed_at(status), stamp=""
                    )
        return Tree(files=files)

    def now(self, lock_path: str, *, is_locked: bool) -> float:
        """Returns the time of the lock's last renewal."""
        if not is_locked:
            return time.time()
        with self._translated(lock_path):
            return _changed_at(fileio.stat(self.uri(lock_path)))

    def digest(self, path: str) -> FileDigest:
        """Returns size and CRC-32C of a file, which is read for this."""
        with self._opened(path) as file:
            return _transfer(file, None)

    def read(self, path: str, max_bytes: int) -> bytes:
        """Returns the content of a file; TooLargeError if it has more than max_bytes."""
        with self._opened(path) as file:
            content = file.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise TooLargeError(errors.too_large(self.uri(path), max_bytes))
        return content

    def write(self, path: str, content: bytes, *, if_absent: bool = False) -> None:
        """Writes a small file; with if_absent, a concurrent writer may not be noticed."""
        if if_absent and self._has_file(path):
            errors.check_own_write(self, path, content)
            return
        partial_path = posixpath.join(
            posixpath.dirname(path), f".{posixpath.basename(path)}.partial"
        )
        with self._translated(path):
            self._make_parent(path)
            with fileio.open(self.uri(partial_path), "wb") as file:
                file.write(content)
            fileio.rename(self.uri(partial_path), self.uri(path), overwrite=True)

    def _has_file(self, path: str) -> bool:
        with self._translated(path):
            return bool(fileio.exists(self.uri(path)))

    def download(self, path: str, local_path: Path) -> FileDigest:
        """Copies a file to the local disk; returns the digest of the bytes that were read."""
        local_path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self._opened(path) as source, local_path.open("wb") as destination:
                return _transfer(source, destination)
        except BaseException:
            local_path.unlink(missing_ok=True)
            raise

    def upload(self, local_path: Path, path: str) -> FileDigest:
        """Copies a file from the local disk; returns the digest of the new file, read again."""
        expected = local_files.digest(local_path)
        with self._translated(path), local_path.open("rb") as source:
            self._make_parent(path)
            with fileio.open(self.uri(path), "wb") as destination:
                _transfer(source, destination)
        actual = self.digest(path)
        if actual != expected:
            raise StorageError(errors.corrupted(self.uri(path), expected, actual))
        return actual

    def copy(
        self,
        source_path: str,
        path: str,
        *,
        size: int | None = None,  # noqa: ARG002
    ) -> FileDigest:
        """Copies a file with the plug-in; returns the digest of the copy, read again."""
        if not self._has_file(source_path):
            raise FileNotFoundError(errors.absent(self.uri(source_path)))
        with self._translated(source_path):
            self._make_parent(path)
            fileio.copy(self.uri(source_path), self.uri(path), overwrite=True)
        return self.digest(path)

    def link(self, source_path: str, path: str) -> None:
        """Copies a file with the plug-in, because plug-ins have no links."""
        self.copy(source_path, path)

    def sync(self, path: str) -> None:
        """Does nothing, because plug-ins have no sync."""

    def rename(self, source_path: str, path: str) -> None:
        """Raises StorageError, because a plug-in's rename may not be atomic."""
        raise StorageError(
            f"cannot rename {self.uri(source_path)} to {self.uri(path)}: TFX's fileio has no atomic"
            " directory rename. Copy the files, then remove the originals."
        )

    def remove(self, path: str) -> None:
        """Deletes a file, or a directory and all files below it; does nothing if neither exists."""
        if not path.strip("/"):
            raise ValueError(errors.not_below_bucket(self.uri(path)))
        uri = self.uri(path)
        with self._translated(path), contextlib.suppress(*_ABSENT):
            if fileio.isdir(uri):
                fileio.rmtree(uri)
            elif fileio.exists(uri):
                fileio.remove(uri)

    def batch(self) -> contextlib.AbstractContextManager[FileioStorage]:
        """Returns this storage, because plug-ins have no sync."""
        return contextlib.nullcontext(self)

    def remove_files(self, paths: Sequence[str]) -> None:
        """Deletes files one by one, because plug-ins delete one file at a time."""
        for path in paths:
            self.remove(path)

    def lock(
        self, path: str, timeout_seconds: float
    ) -> contextlib.AbstractContextManager[lease.ObjectLease]:
        """Holds a lock while the context lasts.

        Two writers that ask at the same moment may both get the lock, because plug-ins have no
        conditional writes.
        """
        return lease.hold(
            _FileioLeaseStore(self, path), self.uri(path), timeout_seconds, self._lease_settings
        )

    def lock_owner(self, path: str) -> LockOwner | None:
        """Returns the writer that holds a lock file; a plug-in does not show whether it is dead."""
        return lease.owner_of(_FileioLeaseStore(self, path), self._lease_settings)

    def _make_parent(self, path: str) -> None:
        fileio.makedirs(self.uri(posixpath.dirname(path)))

    @contextlib.contextmanager
    def _opened(self, path: str) -> Iterator[IO[bytes]]:
        with self._translated(path), fileio.open(self.uri(path), "rb") as file:
            yield file

    @contextlib.contextmanager
    def _translated(self, path: str) -> Iterator[None]:
        """Translates a plug-in's errors into FileNotFoundError and StorageError."""
        try:
            yield
        except _ABSENT as error:
            raise FileNotFoundError(errors.absent(self.uri(path))) from error
        except tf_errors.OpError as error:
            problem = " ".join(str(error).split())[:300]
            raise StorageError(errors.failed(problem, self.uri(path))) from error


class _FileioLeaseStore:
    """A lock file that is read before and after each write."""

    def __init__(self, storage: FileioStorage, path: str):
        self._storage = storage
        self._path = path

    def load(self) -> lease.LeaseObject | None:
        try:
            content = self._storage.read(self._path, lease.MAX_LOCK_BYTES)
        except FileNotFoundError:
            return None
        except TooLargeError:
            # Another program wrote it. The lock expires, since it does not change.
            content = b""
        # Plug-ins have no common time of a file, so a waiter measures the age itself.
        return lease.LeaseObject(content=content, version=_version(content), age_seconds=None)

    def create(self, content: bytes) -> str | None:
        return None if self.load() else self._write(content)

    def replace(self, version: str, content: bytes) -> str | None:
        current = self.load()
        return self._write(content) if current and current.version == version else None

    def _write(self, content: bytes) -> str | None:
        self._storage.write(self._path, content)
        current = self.load()
        return current.version if current and current.content == content else None

    def delete(self, version: str) -> None:
        current = self.load()
        if current and current.version == version:
            self._storage.remove(self._path)


# TensorFlow reports a missing file only when it is read, with errors of its own.
_ABSENT = (FileNotFoundError, fileio.NotFoundError, tf_errors.NotFoundError)


def _version(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _transfer(source: IO[bytes], destination: IO[bytes] | None) -> FileDigest:
    crc, size = 0, 0
    while chunk := source.read(_CHUNK_BYTES):
        crc = google_crc32c.extend(crc, chunk)
        size += len(chunk)
        if destination:
            destination.write(chunk)
    return FileDigest(size=size, crc32c=crc)


def _size(status: Any) -> int:
    """Returns the size in os.stat_result, or in TensorFlow's own type."""
    return int(status.st_size if isinstance(status, os.stat_result) else status.length)


def _changed_at(status: Any) -> float:
    """Returns the time in os.stat_result, or in TensorFlow's own type."""
    if isinstance(status, os.stat_result):
        return max(status.st_mtime, status.st_ctime)
    return status.mtime_nsec / 1e9


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name
