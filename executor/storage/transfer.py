"""Moves files between locations, in parallel and by the cheapest way that both storages offer."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import os
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from tfx_best_exporter.executor.storage.digest import FileDigest, digest_of_bytes
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import Storage

# Files of at least this mean size are worth a thread each in every storage.
_SMALL_FILE_BYTES = 256 << 10

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def in_parallel(
    function: Callable[[_Item], _Result],
    items: Sequence[_Item],
    *storages: Storage,
    total_bytes: int | None = None,
) -> list[_Result]:
    """Returns the results of a function, in order of the items; stops at the first error.

    Args:
        function: Called in several threads.
        items: Arguments of the calls, one for each file.
        storages: Storages between which the function moves bytes.
        total_bytes: Total size of the files in bytes; None if it is not known.
    """
    is_small = total_bytes is not None and total_bytes < _SMALL_FILE_BYTES * len(items)
    threads = max(
        (each.small_file_connections if is_small else each.connections for each in storages),
        default=1,
    )
    if min(threads, len(items)) <= 1:
        # A thread costs more than a small file.
        return [function(item) for item in items]
    threads = min(threads, len(items))
    # Threads take the next item themselves: one future per small file would cost more than its
    # transfer.
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
            # An interrupt reaches the main thread only, so the workers are stopped here.
            is_ended = True
            raise
    return [results[index] for index in range(len(results))]


def in_batch(
    function: Callable[[Storage, _Item], object], items: Collection[_Item], storage: Storage
) -> dict[_Item, OSError]:
    """Calls a function for each item, within one batch of a storage.

    Args:
        function: Called in several threads with the storage of the batch, and an item.
        items: Hashable items. One that fails does not keep the others from being tried.
        storage: Storage of the batch.

    Returns:
        The error of each item that failed. If the changes could not be made durable in the end,
        every item has failed.
    """
    failures: dict[_Item, OSError] = {}
    try:
        with storage.batch() as batch:

            def call(item: _Item) -> None:
                try:
                    function(batch, item)
                except OSError as error:
                    failures[item] = error

            in_parallel(call, [*items], storage)
    except OSError as error:
        return {**dict.fromkeys(items, error), **failures}
    return failures


def at_once(storage: Storage, *calls: Callable[[], Any]) -> list[Any]:
    """Returns the results of a few small requests to a storage, which are sent in parallel.

    The first error is raised after all calls have ended.
    """
    return in_parallel(lambda call: call(), calls, storage, total_bytes=0)


@contextlib.contextmanager
def soon(storage: Storage) -> Iterator[Callable[[Callable[[], object]], None]]:
    """Yields a function that makes a small request while the caller goes on; waits at the end.

    A storage that answers at once is asked at once.
    """
    if storage.small_file_connections <= 1:
        yield lambda call: cast(None, call())
        return
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        started: list[concurrent.futures.Future[object]] = []
        yield lambda call: started.append(pool.submit(call))
        for future in started:
            future.result()


def copy_files(
    pairs: Sequence[tuple[Location, Location]],
    *,
    total_bytes: int | None = None,
    sizes: Sequence[int] | None = None,
    contents: Sequence[tuple[Callable[[], bytes], Location]] = (),
) -> list[FileDigest]:
    """Copies files from any storage to any other; returns the digests of the copies, in order.

    The storage itself copies files within one storage. A file that is copied between two storages
    that are not local goes through the local disk.

    Args:
        pairs: Pairs of source and destination.
        total_bytes: Total size of the files in bytes; None if it is not known.
        sizes: Size of each file in bytes, if the caller compares the digests that are returned.
        contents: Small files to write at the same time, as pairs of destination and a function that
            returns the content. The function may wait for something that takes as long as the copy.
    """

    def write(make: Callable[[], bytes], destination: Location) -> FileDigest:
        content = make()
        destination.write(content)
        return digest_of_bytes(content)

    calls = [
        *(
            functools.partial(_copy_file, *pair, size)
            for pair, size in zip(pairs, sizes or [None] * len(pairs), strict=True)
        ),
        *(functools.partial(write, *pair) for pair in contents),
    ]
    places = [*(place for pair in pairs for place in pair), *(place for _, place in contents)]
    storages = {id(place.storage): place.storage for place in places}
    digests = in_parallel(lambda call: call(), calls, *storages.values(), total_bytes=total_bytes)
    return digests[: len(pairs)]


def _copy_file(source: Location, destination: Location, size: int | None) -> FileDigest:
    if source.storage is destination.storage:
        return destination.storage.copy(source.path, destination.path, size=size)
    if source_path := source.local_path():
        return destination.storage.upload(source_path, destination.path)
    if destination_path := destination.local_path():
        return source.storage.download(source.path, destination_path)
    with tempfile.TemporaryDirectory(prefix="best_exporter-") as directory:
        local_path = Path(directory) / "file"
        source.storage.download(source.path, local_path)
        return destination.storage.upload(local_path, destination.path)


def link_files(pairs: Sequence[tuple[Location, Location]]) -> None:
    """Gives immutable files a second path in the same storage.

    Args:
        pairs: Pairs of file and second path; existing files are replaced.
    """

    def link(pair: tuple[Location, Location]) -> None:
        source, destination = pair
        destination.storage.link(source.path, destination.path)

    in_parallel(link, pairs, *(destination.storage for _, destination in pairs[:1]), total_bytes=0)


def local_directory(location: Location, work_path: Path, relative_paths: Sequence[str]) -> Path:
    """Returns a local directory that holds some files of a location.

    A local location is returned as it is. The files of any other location are downloaded.

    Args:
        location: A directory.
        work_path: Directory for the downloaded files.
        relative_paths: Files that the caller needs.
    """
    if path := location.local_path():
        return path

    def download(relative_path: str) -> None:
        destination_path = work_path / relative_path
        destination_path.parent.mkdir(parents=True, exist_ok=True)
        if not destination_path.exists():
            location.storage.download(f"{location.path}/{relative_path}", destination_path)

    os.makedirs(work_path, exist_ok=True)
    in_parallel(download, relative_paths, location.storage)
    return work_path
