"""What paths mean in an object store, where directories are only the beginnings of names."""

from __future__ import annotations

import base64
import email.utils
import time
from collections.abc import Iterable, Mapping

from tfx_best_exporter.executor.storage.errors import not_below_bucket
from tfx_best_exporter.executor.storage.protocol import Entry, Kind


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
    return {key[len(prefix) :]: size for key, size in sizes.items() if not key.endswith("/")}


def crc32c_to_int(text: str) -> int:
    """Returns the number that stores write as base64 of four bytes, big-endian."""
    return int.from_bytes(base64.b64decode(text), "big")


def crc32c_to_text(crc32c: int) -> str:
    """Returns base64 of a CRC-32C's four bytes, big-endian."""
    return base64.b64encode(crc32c.to_bytes(4, "big")).decode()


class StoreClock:
    """A store's own clock, as the dates of its replies tell it.

    Safe to use from several threads.
    """

    def __init__(self) -> None:
        """Makes a clock that knows no time yet."""
        self._seen: tuple[float, float] | None = None

    def note(self, date: str | None) -> None:
        """Takes the Date of a reply that has just come in."""
        with_zone = email.utils.parsedate_to_datetime(date) if date else None
        if with_zone:
            self._seen = (with_zone.timestamp(), time.monotonic())

    def now(self) -> float | None:
        """Returns the store's time in seconds since 1970; None before the first reply."""
        seen = self._seen
        return seen[0] + time.monotonic() - seen[1] if seen else None

    def age_seconds(self, timestamp: float) -> float | None:
        """Returns how long ago a time of the store was; None before the first reply."""
        now = self.now()
        return None if now is None else now - timestamp
