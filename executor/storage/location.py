"""Location: a path in a storage, as one value."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from tfx_best_exporter.executor.redaction import shown
from tfx_best_exporter.executor.storage.digest import FileDigest
from tfx_best_exporter.executor.storage.protocol import Entry, Storage, Tree


@dataclasses.dataclass(frozen=True, slots=True)
class Location:
    """A path in a storage.

    Attributes:
        storage: The storage that holds the path.
        path: Path in the form that the storage's methods take, without a slash at the end.
    """

    storage: Storage
    path: str

    def __truediv__(self, relative_path: str) -> Location:
        """Returns the location of a path relative to this one."""
        return Location(self.storage, f"{self.path}/{relative_path}")

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def uri(self) -> str:
        """URI of the path, for other programs and ML Metadata; see `str` for messages."""
        return self.storage.uri(self.path)

    def __str__(self) -> str:
        """Returns the URI for messages: without secrets, and with line breaks escaped."""
        return shown(self.uri)

    def local_path(self) -> Path | None:
        """Returns the path on the local file system, or None if the storage has none."""
        return self.storage.local_path(self.path)

    def is_within(self, directory: Location) -> bool:
        """Returns True if this is a directory, or is below it; links of a disk are followed."""
        if self.storage is not directory.storage:
            return False
        path, parent = self._real_path(), directory._real_path()
        return path == parent or path.startswith(f"{parent}/")

    def _real_path(self) -> str:
        path = self.local_path()
        return self.path if path is None else os.path.realpath(path)

    def exists(self) -> bool:
        """Returns True if the path is a file, or a directory with a file below it."""
        return self.storage.exists(self.path)

    def children(self) -> list[Entry]:
        """Returns the entries of this directory by name; an empty list if it does not exist."""
        return self.storage.children(self.path)

    def sizes(self) -> dict[str, int]:
        """Returns the size in bytes of every file below, by relative path; may be empty."""
        return self.storage.sizes(self.path)

    def tree(self) -> Tree:
        """Returns every file below this directory with its size, time and stamp."""
        return self.storage.tree(self.path)

    def digest(self) -> FileDigest:
        """Returns size and CRC-32C of this file."""
        return self.storage.digest(self.path)

    def read(self, max_bytes: int) -> bytes:
        """Returns the content of this file; TooLargeError if it has more than max_bytes."""
        return self.storage.read(self.path, max_bytes)

    def write(self, content: bytes, *, if_absent: bool = False) -> None:
        """Writes this file durably; a reader sees all of it or none."""
        self.storage.write(self.path, content, if_absent=if_absent)

    def remove(self) -> None:
        """Deletes this file or directory; does nothing if neither exists."""
        self.storage.remove(self.path)
