"""What paths mean in an object store, where directories are only the beginnings of names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tfx_best_exporter.executor.storage.errors import not_below_bucket
from tfx_best_exporter.executor.storage.protocol import Entry, Kind

# Files that are worth moving at a time: enough to hide a store's latency.
CONNECTIONS = 8


def split(path: str) -> tuple[str, str]:
    """Returns bucket and key of a path; the key of a bucket is empty.

    Raises:
        ValueError: There is no bucket.
    """
    bucket, _, key = path.partition("/")
    if not bucket:
        raise ValueError(not_below_bucket(path))
    return bucket, key


def split_object(path: str) -> tuple[str, str]:
    """Returns bucket and key of an object or a directory of objects.

    Raises:
        ValueError: There is no bucket, or no key: no file has that path, and no writer of files
            means a whole bucket.
    """
    bucket, key = split(path)
    if not key:
        raise ValueError(not_below_bucket(path))
    return bucket, key


def prefix_of(key: str) -> str:
    """Returns what the keys of all objects below a directory begin with."""
    return f"{key}/" if key else ""


def entries(prefix: str, keys: Iterable[str], prefixes: Iterable[str]) -> list[Entry]:
    """Returns a directory's names, of a listing with "/" as its delimiter.

    Args:
        prefix: Of the listing.
        keys: Of the objects in the directory. The object that a console makes for the directory
            itself is none of its names.
        prefixes: Of the directories in it.
    """
    names = {(key[len(prefix) :], Kind.FILE) for key in keys}
    names |= {(other[len(prefix) : -1], Kind.DIRECTORY) for other in prefixes}
    return [
        Entry(name=name, kind=kind)
        for name, kind in sorted(names, key=lambda item: (item[0], item[1].value))
        if name
    ]


def relative_sizes(prefix: str, sizes: Mapping[str, int]) -> dict[str, int]:
    """Returns sizes by path relative to a directory, without the objects that stand for folders."""
    return {key[len(prefix) :]: size for key, size in sizes.items() if is_file(key)}


def is_file(key: str) -> bool:
    """Returns whether an object is a file, and not one that a console made to show a folder."""
    return not key.endswith("/")
