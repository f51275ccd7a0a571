"""The storage protocol: the verbs with which the exporter reads and writes files."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from tfx_best_exporter.executor.redaction import redacted
from tfx_best_exporter.executor.storage.digest import FileDigest


class Kind(enum.Enum):
    """Type of a directory entry. Object stores have no links."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"


class Entry(NamedTuple):
    """One name in a directory: a tuple, because a directory may have thousands of them."""

    name: str
    kind: Kind


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FileStatus:
    """A file as a listing reports it.

    Attributes:
        size: Size in bytes.
        changed_at: Time of the last change, in seconds since the epoch by the storage's clock.
        stamp: Text that changes whenever the content may have changed. Empty if the storage has no
            such text, or the file changed a moment ago.
    """

    size: int
    changed_at: float
    stamp: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """Every file below a directory.

    Attributes:
        files: Regular files by relative path. A link counts as the file that it leads to.
        changed_at: Time of the last change of a directory itself, such as a new name in it, in
            seconds since the epoch by the storage's clock. None if there is no directory.
    """

    files: Mapping[str, FileStatus]
    changed_at: float | None = None

    @property
    def sizes(self) -> dict[str, int]:
        """Size of each file in bytes, by relative path."""
        return {path: status.size for path, status in self.files.items()}


class StorageError(OSError):
    """A storage rejected a request or failed; the message names the URI and the remedy."""

    def __init__(self, message: str):
        """Makes the error from a message, whose secrets are hidden."""
        super().__init__(redacted(message))


class TooLargeError(StorageError):
    """A file is larger than the caller allows."""


class NotAFileError(StorageError):
    """A path that is read as a file is a directory, a pipe or a device."""


class LeaseLostError(StorageError):
    """Another writer took over a lock; its former holder must not commit."""


class Lease(Protocol):
    """A lock that this process holds."""

    def check(self) -> None:
        """Checks that the lock is still held; called right before each commit.

        Raises:
            LeaseLostError: Another writer holds the lock, or may hold it.
        """
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LockOwner:
    """The writer that holds a lock, as another process finds it.

    Attributes:
        name: Process and host of the writer; "unknown" if they cannot be read.
        is_dead: True if the writer has not renewed its lock in time. The next writer takes it over.
    """

    name: str
    is_dead: bool = False


class Storage(Protocol):
    """Files by path, on a disk or in an object store: one flat set of verbs.

    A path is absolute and has forward slashes: "/serving/model/7" on a disk, "bucket/model/7" in an
    object store. docs/adding-a-storage.md describes how to add a storage.

    Every storage keeps these promises:

    - Each call is safe to retry. A remote storage retries failed requests, a bounded number of
      times.
    - A reader that starts after a write sees all of it. `write`, `rename`, `remove` and
      `remove_files` are durable when they return, or when their `batch` ends; `download`, `upload`,
      `copy` and `link` are durable after `sync`.
    - A directory exists as soon as a file below it is written; callers never create one.
    - All methods are safe to call from several threads at the same time.

    Any method may raise FileNotFoundError for a path that does not exist, and StorageError for
    missing credentials, a missing bucket, a missing permission or a storage that does not answer.
    The message of a StorageError names the URI and the remedy.

    Attributes:
        has_atomic_rename: True if `rename` moves a whole directory at once.
        connections: Number of files to move at the same time: enough to hide the latency.
        small_file_connections: The same number for files so small that overhead dominates.
    """

    has_atomic_rename: bool
    connections: int
    small_file_connections: int

    def uri(self, path: str) -> str:
        """Returns the URI of a path, for example "s3://models/penguin/7"."""
        ...

    def local_path(self, path: str) -> Path | None:
        """Returns the path on the local file system, or None if the storage has none.

        Libraries can read the files at a local path without a copy.
        """
        ...

    def exists(self, path: str) -> bool:
        """Returns True if a path is a file, or a directory with a file below it.

        An empty directory may count as absent, because object stores have none.
        """
        ...

    def children(self, path: str) -> list[Entry]:
        """Returns the entries of a directory by name; an empty list if it does not exist.

        Costs one listing of that directory, regardless of the number of files below it.
        """
        ...

    def sizes(self, path: str) -> dict[str, int]:
        """Returns the size in bytes of every file below a directory, by relative path.

        The result is empty if the directory does not exist.
        """
        ...

    def tree(self, path: str) -> Tree:
        """Returns every file below a directory with its size, time and stamp.

        A storage with links follows them as a model server does. The result is empty if the
        directory does not exist. Costs one listing; no file is opened.
        """
        ...

    def now(self, lock_path: str, *, is_locked: bool) -> float:
        """Returns the storage's own time, in seconds since the epoch.

        Args:
            lock_path: Lock file or object.
            is_locked: True if this process holds the lock. A storage may then touch the file to
                learn the time. Otherwise it may return this machine's time.
        """
        ...

    def digest(self, path: str) -> FileDigest:
        """Returns size and CRC-32C of a file, without reading it if the store knows both."""
        ...

    def read(self, path: str, max_bytes: int) -> bytes:
        """Returns the content of a file.

        Args:
            path: A file.
            max_bytes: Maximum allowed size of the file, in bytes.

        Raises:
            FileNotFoundError: The file does not exist.
            NotAFileError: The path is a directory, a pipe or a device.
            TooLargeError: The file has more than max_bytes.
        """
        ...

    def write(self, path: str, content: bytes, *, if_absent: bool = False) -> None:
        """Writes a small file: a reader sees all of it or none.

        Args:
            path: A file; replaced if it exists.
            content: Complete content of the file.
            if_absent: True to write only if the file does not exist yet. Exactly one of several
                such writers succeeds.

        Raises:
            FileExistsError: if_absent is set and the file exists with other content. The same
                content is no error: the same writer wrote it, and only the response was lost.
        """
        ...

    def download(self, path: str, local_path: Path) -> FileDigest:
        """Copies a file to the local disk, and replaces an existing one.

        A failed download leaves no part of a file behind.

        Returns:
            The digest of the bytes that were read.

        Raises:
            FileNotFoundError: The file does not exist.
        """
        ...

    def upload(self, local_path: Path, path: str) -> FileDigest:
        """Copies a file from the local disk, and replaces an existing one.

        Returns:
            The digest of the file as the storage reports it.
        """
        ...

    def copy(self, source_path: str, path: str, *, size: int | None = None) -> FileDigest:
        """Copies a file within the storage, and replaces an existing one.

        An object store copies on its own side, so that no byte passes through this process.

        Args:
            source_path: The file.
            path: The copy.
            size: Size of the file in bytes, if the caller knows it and compares the digest of the
                copy. A storage can then save the request that asks for the size.

        Returns:
            The digest of the copy as the storage reports it. A storage may report `size` as the
            size of the copy; the checksum is always that of the copy.

        Raises:
            FileNotFoundError: The source does not exist; nothing was written.
        """
        ...

    def link(self, source_path: str, path: str) -> None:
        """Gives an immutable file a second path, at the lowest cost that the storage offers.

        A disk makes a hard link, or a copy if the system refuses the link. An object store copies
        on its own side. Deleting one path leaves the other. An existing file is replaced.

        Raises:
            FileNotFoundError: The source does not exist; nothing was written.
        """
        ...

    def sync(self, path: str) -> None:
        """Makes all files durable that were transferred or linked to below a directory.

        Covers `download`, `upload`, `copy` and `link`. One sync for all files costs less than one
        for each. An object store does nothing here, because each of its writes is durable.
        """
        ...

    def rename(self, source_path: str, path: str) -> None:
        """Moves a directory atomically. Called only if has_atomic_rename is True.

        Raises:
            FileNotFoundError: The source does not exist.
            FileExistsError: The destination has content.
            StorageError: The storage has no atomic rename.
        """
        ...

    def remove(self, path: str) -> None:
        """Deletes a file, or a directory and all files below it; does nothing if neither exists.

        Raises:
            ValueError: The path is a whole bucket.
        """
        ...

    def batch(self) -> contextlib.AbstractContextManager[Storage]:
        """Enters a batch of changes, and returns a storage for them.

        The changes of the returned storage's `write`, `rename` and `remove` are durable when the
        context ends, and may be visible only then. One sync for all changes costs less than one for
        each. An object store returns itself, because each of its writes is durable.

        Raises:
            OSError: Raised when the context ends. Some or all changes were made, and they may not
                be durable.
        """
        ...

    def remove_files(self, paths: Sequence[str]) -> None:
        """Deletes files without a listing, in as few requests as possible; skips absent files.

        Args:
            paths: Files, never directories. A store may delete them in any order.

        Raises:
            ValueError: A path is a whole bucket.
        """
        ...

    def lock(self, path: str, timeout_seconds: float) -> contextlib.AbstractContextManager[Lease]:
        """Holds an exclusive lock while the context lasts.

        On a disk, the system frees the lock when its process ends. In an object store, the lock is
        an object with a token and an expiry, which the holder renews in the background. If the
        holder dies, another writer takes the lock over once the lease has expired.

        Args:
            path: Lock file or object.
            timeout_seconds: Maximum time to wait for another holder.

        Raises:
            TimeoutError: Another writer held the lock until the timeout.
        """
        ...

    def lock_owner(self, path: str) -> LockOwner | None:
        """Returns the writer that holds a lock, or None if the lock is free; writes nothing.

        Args:
            path: Lock file or object; it need not exist.
        """
        ...
