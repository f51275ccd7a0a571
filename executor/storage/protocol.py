"""Storage: the verbs that the exporter uses on the place where its files lie."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
from pathlib import Path
from typing import Protocol

from tfx_best_exporter.executor.storage.digest import FileDigest


class Kind(enum.Enum):
    """What a name in a directory stands for. Object stores know no links."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One name in a directory."""

    name: str
    kind: Kind


class StorageError(OSError):
    """A storage refused or failed; the message names the URI and what to do."""


class TooLargeError(StorageError):
    """A file has more bytes than it may have."""


class LeaseLostError(StorageError):
    """Another writer took over a lock: what its former holder has not committed, it must not."""


class Lease(Protocol):
    """A lock that is held."""

    def check(self) -> None:
        """Makes sure that the lock is still held; called right before each commit.

        Raises:
            LeaseLostError: Another writer holds the lock, or may hold it.
        """
        ...


class Storage(Protocol):
    """Files by path, on a disk or in an object store: one flat set of verbs.

    A path is absolute and has forward slashes: "/serving/model/7" on a disk, "bucket/model/7" in an
    object store. docs/adding-a-storage.md says how to add a storage.

    Every storage keeps these promises:

    - Each call is safe to retry. A remote storage retries by itself, a bounded number of times.
    - A reader that comes after a write sees all of it. `write`, `rename` and `remove` are durable
      when they return; `download`, `upload`, `copy` and `link` are durable after `sync`.
    - A directory need not be created: it exists as soon as a file below it is written.
    - All methods may be called from several threads at a time.

    Any method may raise FileNotFoundError for a path that does not exist, and StorageError for
    missing credentials, a missing bucket, a missing permission or a storage that does not answer.
    The message of a StorageError names the URI and the remedy.

    Attributes:
        has_atomic_rename: Whether `rename` moves a whole directory at once.
        connections: How many files are worth moving at a time: enough to hide the latency.
        small_file_connections: The same for files so small that moving one is all overhead.
    """

    has_atomic_rename: bool
    connections: int
    small_file_connections: int

    def uri(self, path: str) -> str:
        """Returns the URI of a path, as a person would write it: "s3://models/penguin/7"."""
        ...

    def local_path(self, path: str) -> Path | None:
        """Returns the path on this machine's file system; None if the storage has none.

        Libraries can then read the files without a copy.
        """
        ...

    def exists(self, path: str) -> bool:
        """Returns whether there is a file at a path, or a directory with a file below it.

        An empty directory may count as absent: object stores know none.
        """
        ...

    def children(self, path: str) -> list[Entry]:
        """Returns the names in a directory, sorted; none if it does not exist.

        Costs one listing of that directory, however much lies below it.
        """
        ...

    def sizes(self, path: str) -> dict[str, int]:
        """Returns the size in bytes of every file below a directory, by relative path.

        The result is empty if the directory does not exist.
        """
        ...

    def digest(self, path: str) -> FileDigest:
        """Returns size and CRC-32C of a file, without moving its bytes where the store knows it."""
        ...

    def read(self, path: str, max_bytes: int) -> bytes:
        """Returns a file's content.

        Args:
            path: A file.
            max_bytes: Most bytes that the file may have.

        Raises:
            FileNotFoundError: The file does not exist.
            TooLargeError: The file has more than max_bytes.
        """
        ...

    def write(self, path: str, content: bytes, *, if_absent: bool = False) -> None:
        """Writes a small file: a reader sees all of it or none.

        Args:
            path: A file; replaced if it exists.
            content: All of it.
            if_absent: Whether to write only if the file does not exist yet. Of several such
                writers exactly one succeeds.

        Raises:
            FileExistsError: if_absent, and the file exists with other content. The same content is
                our own write whose response was lost, and no error.
        """
        ...

    def download(self, path: str, local_path: Path) -> FileDigest:
        """Copies a file to the local disk, replacing one there.

        A failed download leaves no part of a file behind.

        Returns:
            The digest of the bytes that were read.

        Raises:
            FileNotFoundError: The file does not exist.
        """
        ...

    def upload(self, local_path: Path, path: str) -> FileDigest:
        """Copies a file from the local disk, replacing one there.

        Returns:
            The digest of the file as the storage reports it.
        """
        ...

    def copy(self, source_path: str, path: str) -> FileDigest:
        """Copies a file within the storage, by the storage itself, replacing one there.

        Returns:
            The digest of the copy as the storage reports it.

        Raises:
            FileNotFoundError: The source does not exist; nothing was written.
        """
        ...

    def link(self, source_path: str, path: str) -> None:
        """Makes the content of a file that never changes appear a second time, cheaply.

        A disk makes a hard link, or a copy where the system refuses a link. A store copies by
        itself. Deleting one of the two leaves the other. An existing file is replaced.

        Raises:
            FileNotFoundError: The source does not exist; nothing was written.
        """
        ...

    def sync(self, path: str) -> None:
        """Makes durable all that `download`, `upload`, `copy` and `link` wrote below a directory.

        One sync for all files costs less than one for each. An object store has nothing to do: each
        of its writes is durable.
        """
        ...

    def rename(self, source_path: str, path: str) -> None:
        """Moves a directory at once. Called only if has_atomic_rename.

        Raises:
            FileNotFoundError: The source does not exist.
            FileExistsError: The destination has content.
            StorageError: The storage has no atomic rename.
        """
        ...

    def remove(self, path: str) -> None:
        """Deletes a file, or a directory and all below it; does nothing if neither exists.

        Raises:
            ValueError: The path is a whole bucket.
        """
        ...

    def lock(self, path: str, timeout_seconds: float) -> contextlib.AbstractContextManager[Lease]:
        """Holds an exclusive lock while the context lasts.

        On a disk the system frees the lock when its process ends. In an object store the lock is an
        object with a token and an expiry, renewed in the background: if its holder dies, another
        writer takes it over once the lease has run out.

        Args:
            path: Lock file or object.
            timeout_seconds: How long to wait for another holder.

        Raises:
            TimeoutError: Another writer held the lock all the time.
        """
        ...
