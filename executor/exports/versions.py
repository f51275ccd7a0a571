"""Versions: the entries of a base directory that a model server treats as versions of a model.

TensorFlow Serving polls a base directory. Each name that parses as a number is a version, and the
largest one is served:
https://github.com/tensorflow/serving/blob/2.19.0/tensorflow_serving/sources/storage_path/file_system_storage_path_source.cc
A stray is an entry with any other name.
"""

from __future__ import annotations

import dataclasses
import enum
import itertools
import operator
import os
import re
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping

from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import Entry, Kind, StorageError
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# Versions are int64 in TensorFlow Serving, so this is the largest one.
MAX_VERSION = 2**63 - 1

# absl::SimpleAtoi, with which TensorFlow Serving parses a name, allows a sign and ASCII white space
# around the number.
_NUMBER = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)[ \t\n\v\f\r]*")
# More digits than these are leading zeros, or a number that is too large. Python refuses to parse
# thousands of digits.
_MAX_NAME_LENGTH = 255
# Fewer digits than these always fit into an int64.
_FEW_DIGITS = 19


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """One version of a model in a base directory.

    Attributes:
        version: The number that a model server reads from the name.
        base: Base directory.
        name: Name of the entry. Empty: the version as a decimal number, the name of every version
            that this exporter writes.
        kind: Kind of the entry. A version may be a link to a directory. A file cannot be loaded.
    """

    version: int
    base: Location
    name: str = ""
    kind: Kind = Kind.DIRECTORY

    @property
    def location(self) -> Location:
        """Location of the version directory."""
        return self.base / (self.name or str(self.version))

    @property
    def path(self) -> str:
        """Path or URI of the version directory."""
        return self.location.uri

    @property
    def label(self) -> str:
        """The version for a message, with the name of the entry if that is another text."""
        if self.name in ("", str(self.version)):
            return f"version {self.version}"
        return f"version {self.version} ({self.name!r})"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The entries of a base directory.

    Attributes:
        base: Base directory.
        entries: Every version with its entry, by version and name.
        strays: One sentence for each entry that is not a version.
    """

    base: Location
    entries: tuple[tuple[int, Entry], ...] = ()
    strays: tuple[str, ...] = ()

    @property
    def versions(self) -> tuple[int, ...]:
        """Every version, in order."""
        return tuple(map(operator.itemgetter(0), self.entries))

    @property
    def largest_version(self) -> int:
        """Largest version; -1 if there is none."""
        return self.entries[-1][0] if self.entries else -1

    @property
    def exports(self) -> tuple[Export, ...]:
        """Every version as an export, by version and name."""
        return tuple(self._export(*item) for item in self.entries)

    def without(self, versions: Collection[int]) -> Listing:
        """Returns the listing without some versions."""
        entries = tuple(item for item in self.entries if item[0] not in versions)
        return dataclasses.replace(self, entries=entries)

    def newest_first(self) -> Iterator[list[Export]]:
        """Yields the exports with the largest version, then those with the next one, and so on.

        A base directory may have thousands of versions, so each export is made when it is needed.
        """
        for _, group in itertools.groupby(reversed(self.entries), key=lambda item: item[0]):
            yield [self._export(*item) for item in group]

    def _export(self, version: int, entry: Entry) -> Export:
        name = "" if entry.name == str(version) else entry.name
        return Export(version=version, base=self.base, name=name, kind=entry.kind)


class ServedChangedError(StorageError):
    """The served model has changed between a decision and its publication."""


class Status(enum.Enum):
    """Status of a version, as a model server that loads it would see it."""

    # The server can load it, and every file that the server reads is as the record says.
    OURS = "ours"
    # The server can load it, but there is no record of its content.
    FOREIGN = "foreign"
    # It cannot be read, or it is not known which one of two entries the server loads.
    UNKNOWN = "unknown"
    # It cannot be loaded, and it changed a short time ago: it is being copied.
    UNFINISHED = "unfinished"
    # It cannot be loaded.
    BROKEN = "broken"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """One version after a look at its files.

    Attributes:
        export: The version.
        status: Status of the version.
        record: Record of the export if its status is OURS; otherwise None.
        problem: Reason for the status; empty for OURS and for a version without a record.
        stamps: Stamp of each file that a model server reads, by relative path.
    """

    export: Export
    status: Status
    record: pb.ExportRecord | None = None
    problem: str = ""
    stamps: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A base directory as it was read once: its versions, and the one that is served.

    Attributes:
        listing: Every version.
        best: The largest version that a model server can load, or that is not known to be broken;
            None if there is none.
        being_written: Description of a newer version that is being copied; empty if there is none.
        warnings: One sentence for each stray entry, then one for each broken version that is newer
            than the best.
    """

    listing: Listing
    best: Inspection | None = None
    being_written: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def export(self) -> Export | None:
        """The version that is served."""
        return self.best.export if self.best else None

    @property
    def record(self) -> pb.ExportRecord | None:
        """Record of the version that is served; None for a foreign one."""
        return self.best.record if self.best else None

    @property
    def fingerprint(self) -> str:
        """Short text that changes whenever the content that is served changes; "none" if none is.

        A version that is being copied changes the fingerprint too.
        """
        if self.best is None:
            text = "none"
        elif self.best.record is not None:
            text = f"{self.best.export.version}:{self.best.record.model.digest}"
        else:
            stamps = zlib.crc32(repr(sorted(self.best.stamps.items())).encode())
            text = f"{self.best.export.version}:{self.best.status.value}:{stamps:08x}"
        return f"{text}, being written" if self.being_written else text


def listing_of(entries: Iterable[Entry], base: Location) -> Listing:
    """Returns the versions and the strays among the entries of a base directory."""
    entries = tuple(entries)
    found = [(number, entry) for entry in entries if (number := number_of(entry.name)) is not None]
    found.sort()
    strays = ()
    if len(found) < len(entries):
        strays = tuple(
            f"{entry.name!r} is not a version: a model server reads no number from its name"
            for entry in entries
            if number_of(entry.name) is None
        )
    return Listing(base=base, entries=tuple(found), strays=strays)


def number_of(name: str) -> int | None:
    """Returns the version that a model server reads from a name; None if there is none.

    TensorFlow Serving also parses negative numbers, which no client can ask for.
    """
    if len(name) < _FEW_DIGITS and name.isascii() and name.isdecimal():
        return int(name)
    match = _NUMBER.fullmatch(name) if len(name) <= _MAX_NAME_LENGTH else None
    number = int(match[1]) if match else -1
    return number if 0 <= number <= MAX_VERSION else None


def linked_versions(exports: Iterable[Export], targets: Collection[str]) -> frozenset[int]:
    """Returns the versions that links lead to.

    Deleting such a version would delete what a program reads through the link.

    Args:
        exports: Versions.
        targets: Real paths to which links lead.
    """
    return frozenset(
        export.version
        for export in exports
        if targets and export.kind is Kind.DIRECTORY
        for path in [_real_path(export)]
        if any(_is_within(path, target) or _is_within(target, path) for target in targets)
    )


def _real_path(export: Export) -> str:
    path = export.location.local_path()
    return os.path.realpath(path) if path else export.path


def _is_within(path: str, directory: str) -> bool:
    return f"{path}/".startswith(f"{directory.rstrip('/')}/")
