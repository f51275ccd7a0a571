"""Paths in an object store, where a directory is only a common prefix of object names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tfx_best_exporter.executor.storage.errors import not_below_bucket
from tfx_best_exporter.executor.storage.protocol import Entry, Kind

# Number of files to move at the same time: enough to hide the latency of a store.
CONNECTIONS = 16


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
        ValueError: There is no bucket, or no key. A path without a key is a whole bucket, which is
            no file and is never deleted.
    """
    bucket, key = split(path)
    if not key:
        raise ValueError(not_below_bucket(path))
    return bucket, key


def prefix_of(key: str) -> str:
    """Returns the prefix that the keys of all objects below a directory share."""
    return f"{key}/" if key else ""


def entries(prefix: str, keys: Iterable[str], prefixes: Iterable[str]) -> list[Entry]:
    """Returns the entries of a directory, from a listing with "/" as its delimiter.

    Args:
        prefix: Prefix of the listing.
        keys: Keys of the objects in the directory. The placeholder object that a console creates
            for the directory is not one of its entries.
        prefixes: Prefixes of the directories in it.
    """
    names = {(key[len(prefix) :], Kind.FILE) for key in keys}
    names |= {(other[len(prefix) : -1], Kind.DIRECTORY) for other in prefixes}
    return [
        Entry(name=name, kind=kind)
        for name, kind in sorted(names, key=lambda item: (item[0], item[1].value))
        if name
    ]


def relative_sizes(prefix: str, sizes: Mapping[str, int]) -> dict[str, int]:
    """Returns sizes by path relative to a directory, without placeholder objects of folders."""
    return {key[len(prefix) :]: size for key, size in sizes.items() if is_file(key)}


def is_file(key: str) -> bool:
    """Returns True if an object is a file, and not the placeholder that shows a folder."""
    return not key.endswith("/")
