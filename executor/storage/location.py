"""Location: a path in a storage; and what moves files from one location to others."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar, cast

from tfx_best_exporter.executor.storage import local
from tfx_best_exporter.executor.storage.digest import FileDigest
from tfx_best_exporter.executor.storage.protocol import Entry, Storage

# Files that are moved at a time: enough to hide an object store's latency. A disk has little to
# hide: two threads checksum and write large files side by side, but over small ones they only take
# Python's lock, and the directory's, from each other.
_PARALLEL_FILES = 8
_PARALLEL_LOCAL_FILES = 2
_SMALL_FILE_BYTES = 256 << 10

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


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


def in_parallel(
    function: Callable[[_Item], _Result],
    items: Sequence[_Item],
    *storages: Storage,
    total_bytes: int | None = None,
) -> list[_Result]:
    """Returns the function's results in order of the items; the first error ends it.

    Args:
        function: Called in several threads.
        items: Its arguments, one a file.
        storages: Those that it moves bytes in.
        total_bytes: How many it moves; None if that is not known.
    """
    if not all(storage.is_local for storage in storages):
        threads = _PARALLEL_FILES
    elif total_bytes is not None and total_bytes < _SMALL_FILE_BYTES * len(items):
        threads = 1
    else:
        threads = _PARALLEL_LOCAL_FILES
    # A thread takes the next item itself: for small files a future each would cost more than they.
    todo = enumerate(items)
    results: dict[int, _Result] = {}
    is_ended = False

    def work() -> None:
        nonlocal is_ended
        try:
            while not is_ended:
                index, item = next(todo, (-1, None))
                if index < 0:
                    return
                results[index] = function(cast(_Item, item))
        except BaseException:
            is_ended = True
            raise

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        try:
            for future in [pool.submit(work) for _ in range(threads)]:
                future.result()
        except BaseException:
            # An interrupt, which no worker sees.
            is_ended = True
            raise
    return [results[index] for index in range(len(results))]


def copy_files(
    pairs: Sequence[tuple[Location, Location]], *, total_bytes: int | None = None
) -> list[FileDigest]:
    """Copies files from any storage to any other; returns what was written, in order.

    Within one storage the storage copies, and no byte comes by here. Between two that are not local
    a file goes through the local disk.

    Args:
        pairs: Files, and where they are to be copied.
        total_bytes: Size of all of them; None if that is not known.
    """
    storages = {id(place.storage): place.storage for pair in pairs for place in pair}
    return in_parallel(
        lambda pair: _copy_file(*pair), pairs, *storages.values(), total_bytes=total_bytes
    )


def _copy_file(source: Location, destination: Location) -> FileDigest:
    if source.storage is destination.storage:
        return destination.storage.copy(source.path, destination.path)
    if source.storage.is_local:
        return destination.storage.upload(Path(source.path), destination.path)
    if destination.storage.is_local:
        return source.storage.download(source.path, Path(destination.path))
    with tempfile.TemporaryDirectory(prefix="best_exporter-") as directory:
        local_path = Path(directory) / "file"
        source.storage.download(source.path, local_path)
        return destination.storage.upload(local_path, destination.path)


def link_files(pairs: Sequence[tuple[Location, Location]]) -> None:
    """Makes immutable files appear a second time in their storage: hard links on a disk.

    Args:
        pairs: Files, and where in the same storage they are to appear; what is there is replaced.
    """

    def link(pair: tuple[Location, Location]) -> None:
        source, destination = pair
        if destination.storage.is_local:
            Path(destination.path).unlink(missing_ok=True)
            local.link_or_copy(Path(source.path), Path(destination.path))
        else:
            destination.storage.copy(source.path, destination.path)

    in_parallel(link, pairs, *(destination.storage for _, destination in pairs[:1]), total_bytes=0)


def local_directory(location: Location, work_path: Path, relative_paths: Sequence[str]) -> Path:
    """Returns a local directory with some files of a location: itself, if it is local.

    Args:
        location: A directory.
        work_path: Where to put copies of what is not local.
        relative_paths: The files that are needed.
    """
    if location.storage.is_local:
        return Path(location.path)

    def download(relative_path: str) -> None:
        destination_path = work_path / relative_path
        destination_path.parent.mkdir(parents=True, exist_ok=True)
        if not destination_path.exists():
            location.storage.download(f"{location.path}/{relative_path}", destination_path)

    os.makedirs(work_path, exist_ok=True)
    in_parallel(download, relative_paths, location.storage)
    return work_path
