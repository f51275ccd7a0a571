"""Location: a path in a storage, as one value."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tfx_best_exporter.executor.storage.digest import FileDigest
from tfx_best_exporter.executor.storage.protocol import Entry, Storage


@dataclasses.dataclass(frozen=True, slots=True)
class Location:
    """A path in a storage.

    Attributes:
        storage: Where it lies.
        path: As the storage's methods take it, without a slash at the end.
    """

    storage: Storage
    path: str

    def __truediv__(self, relative_path: str) -> Location:
        """Returns the location of a path relative to this one."""
        return Location(self.storage, f"{self.path}/{relative_path}")

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def uri(self) -> str:
        """As a person would write it."""
        return self.storage.uri(self.path)

    def __str__(self) -> str:
        """Returns the URI."""
        return self.uri

    def local_path(self) -> Path | None:
        """Returns the path on this machine's file system; None if there is none."""
        return self.storage.local_path(self.path)

    def exists(self) -> bool:
        """Returns whether there is a file, or a directory with a file below it."""
        return self.storage.exists(self.path)

    def children(self) -> list[Entry]:
        """Returns the names in this directory, sorted; none if it is not there."""
        return self.storage.children(self.path)

    def sizes(self) -> dict[str, int]:
        """Returns the size of every file below, by relative path; none if it is not there."""
        return self.storage.sizes(self.path)

    def digest(self) -> FileDigest:
        """Returns size and CRC-32C of this file."""
        return self.storage.digest(self.path)

    def read(self, max_bytes: int) -> bytes:
        """Returns this file's content; at most max_bytes, or StorageError."""
        return self.storage.read(self.path, max_bytes)

    def write(self, content: bytes, *, if_absent: bool = False) -> None:
        """Writes this file, whole and durable."""
        self.storage.write(self.path, content, if_absent=if_absent)

    def remove(self) -> None:
        """Deletes this file or directory; nothing if it is not there."""
        self.storage.remove(self.path)
