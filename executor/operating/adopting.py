"""Adopt: gives a record to a version that Pusher or a person has written.

The files of the evaluation are written first and the record last. A version with a part of them has
no record, so it is foreign as before, and the command is typed again.
"""

from __future__ import annotations

from collections.abc import Sequence

from tfx_best_exporter.executor.deciding.eval_result import EvalResult
from tfx_best_exporter.executor.exports import records, saved_model, servable
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.hashing import hashing
from tfx_best_exporter.executor.exports.records import (
    RECORD_DIRECTORY,
    RECORD_PATH,
)
from tfx_best_exporter.executor.exports.saved_model import ModelFile
from tfx_best_exporter.executor.exports.version_files import below, copy
from tfx_best_exporter.executor.exports.versions import Export, Inspection, Status
from tfx_best_exporter.executor.keys import SCHEMA_VERSION
from tfx_best_exporter.executor.operating.defaults import NAME
from tfx_best_exporter.executor.operating.operation import (
    LOADABLE,
    Change,
    OperationError,
    Order,
    export_of,
    inspected,
    log,
    opened,
    served_of,
    version_of,
)
from tfx_best_exporter.executor.running import act
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.protocol import Kind
from tfx_best_exporter.proto import best_exporter_pb2 as pb

ADOPT = "adopt"


def adopt(
    exports: ExportDirectory,
    version: int | str | None,
    evaluation: EvalResult,
    *,
    reason: str,
    operator: str,
    now: float,
    name: str = NAME,
    dry_run: bool = False,
) -> Change:
    """Gives a record with an evaluation to a version that another tool has written.

    From then on, the version is treated as an export: candidates are compared with it, its files
    are checked, and retention may retire it.

    Args:
        exports: The base directory.
        version: A version without a record, or whose files a person has changed since; None for the
            served one.
        evaluation: Evaluation of the model in that version.
        reason: Reason, which `history` shows.
        operator: Name of the person.
        now: Seconds since the epoch.
        name: Name of the exporter in the record.
        dry_run: True to change nothing.

    Raises:
        OperationError: The version has a record that fits, cannot be loaded, or is a link.
        LeaseLostError: Another writer took over the lock.
        OSError: A file cannot be read or written.
    """
    order = Order(operator=operator, reason=reason, now=now)
    number = None if version is None else version_of(version)
    with opened(exports, dry_run=dry_run):
        found = _foreign(exports, number)
        export = found.export
        _check_adoptable(found)
        model = [file for file in saved_model.files_of(export.location) if not file.is_reserved]
        record = _record_of(export, model, evaluation, order, name)
        problems = _problems(export)
        record.servable_checked = not problems
        change = Change(
            kind=ADOPT,
            sentences=(
                f"{export.label} has a record: candidates are compared with its evaluation",
                *_replaced(exports, export),
                *(f"a model server cannot run {export.label}: {each}" for each in problems),
            ),
            versions=(export.version,),
        )
        if not dry_run:
            _write(exports, export, record, model, evaluation)
            log(
                exports,
                change,
                order,
                version=export.version,
                candidate_digest=record.model.digest,
            )
    return change


def _replaced(exports: ExportDirectory, export: Export) -> tuple[str, ...]:
    """Returns a sentence about a record that did not fit the files of its version."""
    if not exports.has_record(export):
        return ()
    return (f"the earlier record of {export.label}, which did not fit its files, is replaced",)


def _foreign(exports: ExportDirectory, version: int | None) -> Inspection:
    if version is not None:
        return inspected(exports, export_of(exports.exports(), version))
    served = served_of(exports)
    if served is None:
        raise OperationError(
            f"a version must be served to adopt it (got none, at {exports.base}). `best-exporter"
            " status` shows the versions."
        )
    return served


def _check_adoptable(found: Inspection) -> None:
    export = found.export
    if found.status is Status.OURS:
        raise OperationError(
            f"version must be one without a record (got {export.version}, which has one that fits"
            " its files). Its evaluation is known."
        )
    if found.status not in LOADABLE:
        raise OperationError(
            f"version must be one that a model server can load (got {export.version}:"
            f" {found.problem}). Repair or remove it."
        )
    if export.kind is Kind.LINK:
        raise OperationError(
            f"version must be a directory (got {export.version}, a link). Copy the files into the"
            " base directory: the record is written next to them."
        )


def _record_of(
    export: Export,
    model: Sequence[ModelFile],
    evaluation: EvalResult,
    order: Order,
    name: str,
) -> pb.ExportRecord:
    """Returns the record of the version, without the manifest."""
    record = pb.ExportRecord(
        schema_version=SCHEMA_VERSION,
        version=export.version,
        name=name,
        model=pb.SourceModel(digest=saved_model.digest_of(model)),
        evaluation=evaluation.to_proto(),
        decision=pb.ExportDecision(
            schema_version=SCHEMA_VERSION,
            exported=False,
            explanation=f"adopted by {order.operator}: {order.reason}",
            base_directory=export.base.uri,
            version=export.version,
            decided_at=order.action.at,
        ),
        adoption=order.action,
    )
    # Another tool exported it when it wrote the last file, as far as anybody knows.
    times = [status.changed_at for status in export.location.tree().files.values()]
    record.exported_at.FromNanoseconds(int(min(order.now, max(times)) * 1e9))
    return record


def _problems(export: Export) -> tuple[str, ...]:
    contents = saved_model.contents_of(export.location)
    return tuple(each.text for each in servable.problems_of(contents.message, contents.sizes))


def _write(
    exports: ExportDirectory,
    export: Export,
    record: pb.ExportRecord,
    model: Sequence[ModelFile],
    evaluation: EvalResult,
) -> None:
    """Writes the evaluation, then the record, and checks that the version is as the record says."""
    location = export.location
    if evaluation.uri and location_of(evaluation.uri).is_within(location / RECORD_DIRECTORY):
        raise OperationError(
            f"evaluation must be outside the version (got {evaluation.uri}), because its files are"
            " replaced. Copy it to another directory first."
        )
    added = act.evaluation_files(evaluation.source, evaluation.uri)
    # An interrupted adoption may have left the files of another evaluation.
    exports.check_lease()
    (location / RECORD_DIRECTORY).remove()
    copy(below(location, added))
    location.storage.sync(location.path)
    with hashing([*model, *added]) as hashes:
        record.manifest.extend(records.manifest_of([*model, *added], hashes()))
    content = records.content_of(record, exports.base)
    exports.check_lease()
    (location / RECORD_PATH).write(content)
    found = exports.inspect(export)
    if found.status is not Status.OURS:
        (location / RECORD_PATH).remove()
        raise OperationError(
            f"version must not change while it is adopted (got {export.version}: {found.problem})."
            " Check which program writes to it, then try again."
        )
