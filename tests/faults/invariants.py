"""Conditions that must hold after every fault."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any

from tests.faults.reader import Reader
from tfx_best_exporter.executor.exports import saved_model
from tfx_best_exporter.executor.exports.directory import STATE_DIRECTORY, ExportDirectory
from tfx_best_exporter.executor.exports.records import RECORD_PATH
from tfx_best_exporter.executor.storage.location import Location


@dataclasses.dataclass(frozen=True, kw_only=True)
class State:
    """The content of a base directory, without version numbers and times.

    Attributes:
        exports: Digest, loss and files of each export, in order of the versions.
        best: Index of the best in `exports`.
        retired: Digest and loss of each tombstone, in order of the versions.
        leftovers: Files in .best_exporter/ that a finished run does not leave.
        strays: Warnings about entries that are not versions.
        pushed_model: Path, size and checksum of the PushedModel's files, without the record.
    """

    exports: list[Any]
    best: int | None
    retired: list[Any]
    leftovers: list[str]
    strays: tuple[str, ...]
    pushed_model: dict[str, Any] | None = None


def state_of(base: Location, pushed_model: Location | None = None) -> State:
    """Returns the state of a base directory, after checking each export against its record."""
    directory = ExportDirectory(base)
    served = directory.served()
    strays = tuple(text for text in served.warnings if " is not a version: " in text)
    assert served.warnings == strays
    assert not served.being_written
    exports = []
    for export in served.listing.exports:
        assert directory.verify(export) == []
        record = directory.record(export)
        assert record.version == export.version
        files = saved_model.files_of(export.location)
        contents = {file.path: file.digest for file in files if not file.is_reserved}
        exports.append((record.model.digest, _loss(record), contents))
    state_names = (base / STATE_DIRECTORY).sizes()
    return State(
        exports=exports,
        best=(served.listing.exports.index(served.export) if served.export is not None else None),
        retired=[
            (tombstone.record.model.digest, _loss(tombstone.record))
            for tombstone in directory.tombstones()
        ],
        leftovers=sorted(
            name
            for name in state_names
            if name not in ("lock", "largest_version", "decisions.jsonl")
            and not name.startswith(("retired/", "stamps/"))
        ),
        strays=strays,
        pushed_model=(
            {
                path: (pushed_model / path).digest()
                for path in pushed_model.sizes()
                if path != RECORD_PATH
            }
            if pushed_model
            else None
        ),
    )


def _loss(record: Any) -> float:
    (loss,) = [metric.value for metric in record.evaluation.metrics]
    return loss


def assert_nothing_lost(base: Location, versions: Collection[int]) -> None:
    """Checks that each version that was visible is still there, withdrawn, or has a tombstone."""
    directory = ExportDirectory(base)
    present = {export.version for export in directory.exports()}
    retired = {tombstone.record.version for tombstone in directory.tombstones()}
    assert set(versions) <= present | retired | directory.operators.names().withdrawn


def assert_best_is_whole(base: Location, foreign: Collection[int] = ()) -> None:
    """Checks that there is a best, and that its files match its record.

    Args:
        base: The base directory.
        foreign: Versions that may have no record.
    """
    directory = ExportDirectory(base)
    export = directory.served().export
    assert export
    if export.version not in foreign or directory.has_record(export):
        assert directory.verify(export) == []


def assert_safe(base: Location, reader: Reader) -> None:
    """Checks the conditions that must hold right after a fault."""
    assert not reader.violations, reader.violations
    assert_nothing_lost(base, reader.versions)
    if reader.versions:
        assert_best_is_whole(base, reader.foreign)
