"""Verifying: every byte of an export against its record."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from tfx_best_exporter.executor.exports import records
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.records import RecordError
from tfx_best_exporter.executor.exports.versions import Export
from tfx_best_exporter.executor.operating.operation import (
    OperationError,
    check_exists,
    export_of,
    served_of,
    version_of,
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FileCheck:
    """One file of an export, compared with the record of the export.

    Attributes:
        version: Version of the export.
        path: Path relative to the export; empty if the export has no record that can be read.
        problem: Sentence about the difference; empty if the file is as the record says.
        proof: Checksum that was compared, "sha256" or "crc32c"; empty if none was.
    """

    version: int
    path: str
    problem: str
    proof: str


def verify(
    exports: ExportDirectory, version: int | str | None = None, *, every: bool = False
) -> Iterator[FileCheck]:
    """Yields the result for each file of an export; reads every file.

    Args:
        exports: The base directory.
        version: Version to check; None for the served one.
        every: True to check every version in the base directory. A version without a record is a
            result of its own.

    Raises:
        OperationError: There is no such directory or version, or the version has no record.
        RecordError: The record of the version cannot be read.
        OSError: A file cannot be read.
    """
    check_exists(exports.base)
    if every:
        for export in exports.exports():
            yield from _checks_of_any(exports, export)
        return
    if version is not None:
        export = export_of(exports.exports(), version_of(version))
    else:
        found = served_of(exports)
        if found is None:
            raise OperationError(
                f"a version must be served (got none, at {exports.base}). Name the version to"
                " verify."
            )
        export = found.export
    if not exports.has_record(export):
        raise OperationError(_no_record(exports, export))
    yield from _checks_of(exports, export)


def _checks_of_any(exports: ExportDirectory, export: Export) -> Iterator[FileCheck]:
    try:
        if exports.has_record(export):
            yield from _checks_of(exports, export)
            return
        problem = _no_record(exports, export)
    except RecordError as error:
        problem = str(error)
    yield FileCheck(version=export.version, path="", problem=problem, proof="")


def _checks_of(exports: ExportDirectory, export: Export) -> Iterator[FileCheck]:
    for each in records.proofs(exports.record(export), export.location):
        yield FileCheck(
            version=export.version, path=each.path, problem=each.problem, proof=each.proof
        )


def _no_record(exports: ExportDirectory, export: Export) -> str:
    return (
        f"{export.label} must have a record (got none: another tool or a person wrote it)."
        f" `best-exporter adopt {exports.base} {export.version} --help` shows how to give it one."
    )
