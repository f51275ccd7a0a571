"""Storage: the little that the exporter asks of a place where files lie."""

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
        """Makes sure that the lock is still held.

        Raises:
            LeaseLostError: Another writer has it.
        """
        ...


class Storage(Protocol):
    """Files by path, on a disk or in an object store.

    A path is absolute and has forward slashes: "/serving/model/7" on a disk, "bucket/model/7" in an
    object store. Everything is safe to retry, and retried a bounded number of times where the
    storage is remote. What has been written is seen by every reader that comes after; `write`,
    `rename` and `remove` are durable when they return, other writes after `sync`.

    Raises in general: FileNotFoundError for a path that is not there; StorageError for missing
    credentials, a missing bucket, no permission and the like, naming the URI and the remedy.

    Attributes:
        has_atomic_rename: Whether `rename` moves a whole directory at once.
        is_local: Whether a path is one of the local file system.
    """

    has_atomic_rename: bool
    is_local: bool

    def uri(self, path: str) -> str:
        """Returns the URI of a path, as a person would write it: "s3://bucket/model/7"."""
        ...

    def children(self, path: str) -> list[Entry]:
        """Returns the names in a directory, sorted; none if it is not there.

        Costs one listing of that directory, however much lies below it.
        """
        ...

    def sizes(self, path: str) -> dict[str, int]:
        """Returns the size of every file below a directory by relative path; none if absent."""
        ...

    def digest(self, path: str) -> FileDigest:
        """Returns size and CRC-32C of a file, without moving its bytes where the store knows it."""
        ...

    def read(self, path: str, max_bytes: int) -> bytes:
        """Returns a file's content.

        Raises:
            FileNotFoundError: There is no such file.
            StorageError: It has more than max_bytes.
        """
        ...

    def write(self, path: str, content: bytes, *, if_absent: bool = False) -> None:
        """Writes a small file: a reader sees all of it or none.

        Raises:
            FileExistsError: if_absent, and there is such a file with other content. (With the same
                content, it is our own write whose reply was lost.)
        """
        ...

    def download(self, path: str, local_path: Path) -> FileDigest:
        """Copies a file to the local disk; returns what was read."""
        ...

    def upload(self, local_path: Path, path: str) -> FileDigest:
        """Copies a file from the local disk; returns what was written, as the storage says."""
        ...

    def copy(self, source_path: str, path: str) -> FileDigest:
        """Copies a file within the storage, by the storage itself; returns what was written.

        Raises:
            FileNotFoundError: The source is not there (any more): nothing was written.
        """
        ...

    def sync(self, path: str) -> None:
        """Makes durable what `download`, `upload` and `copy` have written below a directory.

        Once for all files is cheaper than for each. Nothing to do in an object store, where every
        write is durable.
        """
        ...

    def rename(self, source_path: str, path: str) -> None:
        """Moves a directory. Only where has_atomic_rename.

        Raises:
            FileExistsError: The destination has content.
        """
        ...

    def remove(self, path: str) -> None:
        """Deletes a file, or a directory and all below it; nothing if it is not there."""
        ...

    def lock(self, path: str, timeout_seconds: float) -> contextlib.AbstractContextManager[Lease]:
        """Holds an exclusive lock while the context lasts.

        On a disk the system frees it when its process ends. In an object store it is an object with
        a token and an expiry, renewed in the background: another writer takes it over when its
        holder has died and the lease has run out.

        Args:
            path: Lock file or object.
            timeout_seconds: How long to wait for another holder.

        Raises:
            TimeoutError: Another writer held the lock all the time.
        """
        ...
