"""Versions: the entries of a base directory that a model server treats as exports.

TensorFlow Serving polls a base directory for names that are numbers, and serves the largest one. A
stray is any other entry. Strays are reported, and the number in the name of a stray is never used
for an export.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable

from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import Entry, Kind
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# Versions are int64 in TensorFlow Serving, so this is the largest one.
MAX_VERSION = 2**63 - 1

_DIGITS = re.compile(r"[0-9]+")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """One version directory.

    Attributes:
        version: Name of the directory, as a number.
        base: Base directory.
    """

    version: int
    base: Location

    @property
    def location(self) -> Location:
        """Location of the version directory."""
        return self.base / str(self.version)

    @property
    def path(self) -> str:
        """Path or URI of the version directory."""
        return self.location.uri


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The entries of a base directory.

    Attributes:
        exports: Every version directory, by version.
        strays: One sentence for each entry that is not a version directory.
        largest_number: Largest number among the names of all entries; 0 if there is none. The names
            of strays count too: a model server reads "007" as 7.
    """

    exports: tuple[Export, ...]
    strays: tuple[str, ...]
    largest_number: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A base directory as it was read once: its versions, and the one that is served.

    Attributes:
        exports: Every version directory, by version.
        export: The complete export with the largest version, as TensorFlow Serving chooses; None
            if no export is complete.
        record: Record of the export; None for a foreign export.
        warnings: One sentence for each stray entry, then one for each incomplete version that is
            newer than the export.
        largest_version: Largest number among all entries and tombstones; 0 if there are none.
    """

    exports: tuple[Export, ...]
    export: Export | None
    record: pb.ExportRecord | None
    warnings: tuple[str, ...]
    largest_version: int

    @property
    def fingerprint(self) -> str:
        """Short text that changes whenever the served export changes; "none" without an export."""
        if self.export is None:
            return "none"
        digest = self.record.model.digest if self.record else "foreign"
        return f"{self.export.version}:{digest}"


def listing_of(entries: Iterable[Entry], base: Location) -> Listing:
    """Returns the versions and the strays among the entries of a base directory."""
    numbers, strays, largest_number = [], [], 0
    for entry in entries:
        number = number_of(entry.name)
        largest_number = max(largest_number, number)
        problem = _why_stray(entry, number)
        if problem:
            strays.append(f"{entry.name!r} is not a version: {problem}")
        else:
            numbers.append(number)
    return Listing(
        exports=tuple(Export(version=number, base=base) for number in sorted(numbers)),
        strays=tuple(strays),
        largest_number=largest_number,
    )


def number_of(name: str) -> int:
    """Returns the number that a model server reads from a name, or 0; "007" is 7."""
    number = int(name) if _DIGITS.fullmatch(name) else 0
    return number if number <= MAX_VERSION else 0


def _why_stray(entry: Entry, number: int) -> str:
    """Returns the reason that an entry is not a version directory, or an empty text."""
    if entry.name != str(number):
        return "its name is not a canonical decimal number"
    if entry.kind is Kind.LINK:
        return "it is a link"
    if entry.kind is Kind.FILE:
        return "it is a file"
    return ""
