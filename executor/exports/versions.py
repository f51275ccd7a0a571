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


def exports_among(entries: Iterable[Entry], base: Location) -> tuple[Export, ...]:
    """Returns the version directories among the entries of a base directory, by version."""
    versions = (number_of(entry.name) for entry in entries if not _why_stray(entry))
    return tuple(Export(version=version, base=base) for version in sorted(versions))


def strays_among(entries: Iterable[Entry]) -> list[str]:
    """Returns a sentence for each entry of a base directory that is not a version directory."""
    return [
        f"{entry.name!r} is not a version: {problem}"
        for entry in entries
        if (problem := _why_stray(entry))
    ]


def number_of(name: str) -> int:
    """Returns the number that a model server reads from a name, or 0; "007" is 7."""
    number = int(name) if _DIGITS.fullmatch(name) else 0
    return number if number <= MAX_VERSION else 0


def _why_stray(entry: Entry) -> str:
    """Returns the reason that an entry is not a version directory, or an empty text."""
    if entry.name != str(number_of(entry.name)):
        return "its name is not a canonical decimal number"
    if entry.kind is Kind.LINK:
        return "it is a link"
    if entry.kind is Kind.FILE:
        return "it is a file"
    return ""
