"""Retires several exports together: tombstones, then the commit, then finished tombstones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfx_best_exporter.executor.exports import records
from tfx_best_exporter.executor.exports.commit import Commit
from tfx_best_exporter.executor.exports.records import RecordError, Tombstones, record_of
from tfx_best_exporter.executor.exports.versions import Export
from tfx_best_exporter.executor.storage.protocol import LeaseLostError, Storage
from tfx_best_exporter.executor.storage.transfer import in_batch
from tfx_best_exporter.proto import best_exporter_pb2 as pb


def retire(
    own: Mapping[Export, pb.ExportRecord],
    reasons: Mapping[Export, str],
    *,
    tombstones: Tombstones,
    commit: Commit,
    storage: Storage,
    check_lease: Callable[[], None],
    now: float,
) -> dict[Export, OSError]:
    """Retires exports, each step for all of them in one batch.

    Args:
        own: Records of the exports.
        reasons: Reason for each export.
        tombstones: The tombstones of the base directory.
        commit: The commit of the base directory.
        storage: Storage of the base directory.
        check_lease: Called before each change.
        now: Seconds since the epoch.

    Returns:
        The error of each export that was not retired, or not completely.
    """
    files: dict[int, Sequence[str]] = {}
    written: dict[Export, Mapping[str, Any]] = {}

    def condemn(batch: Storage, export: Export) -> None:
        check_lease()
        # Files that appear after this listing are another program's, and stay.
        files[export.version] = found = commit.files_to_delete(export.version)
        written[export] = records.tombstone_of(
            own[export], why=reasons[export], now=now, files=found
        )
        tombstones.on(batch).write(export.version, written[export])

    def finish(batch: Storage, export: Export) -> None:
        check_lease()
        tombstones.on(batch).write(export.version, records.finished(written[export]))

    def spare(_: Storage, export: Export) -> None:
        if commit.is_visible(export.version):
            tombstones.location(export.version).remove()

    problems = in_batch(condemn, own, storage)
    condemned = {export.version: export for export in own if export not in problems}
    kept = commit.retire({version: files[version] for version in condemned}, check_lease)
    problems |= {condemned[version]: error for version, error in kept.items()}
    # A tombstone that is not finished is harmless: no file of the export is left.
    in_batch(finish, [export for export in own if export not in problems], storage)
    # After LeaseLostError, the next writer decides about a version and about its tombstone.
    spared = [key for key, error in problems.items() if not isinstance(error, LeaseLostError)]
    return {**problems, **in_batch(spare, spared, storage)}


def own_record(export: Export, known: pb.ExportRecord | None) -> pb.ExportRecord:
    """Returns the record of an export of this exporter.

    Args:
        export: An export with a record.
        known: The record if it has been read.

    Raises:
        RecordError: The record cannot be read, or names another version.
        OSError: The storage does not answer.
    """
    record = known or record_of(export.location, without=["manifest"])
    if record.version != export.version:
        raise RecordError(
            f"cannot retire {export.path}: its record is that of version {record.version}, so"
            " it is a copy that this exporter did not make. Delete it by hand if you do not"
            " need it."
        )
    return record
