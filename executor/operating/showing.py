"""Showing: one decision of the past as a message, from a record, a tombstone or the log."""

from __future__ import annotations

import math
from collections.abc import Iterator

from google.protobuf import json_format

from tfx_best_exporter.executor.exports.decision_log import RUN, LoggedDecision
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.records import Tombstones
from tfx_best_exporter.executor.exports.versions import number_of
from tfx_best_exporter.executor.keys import SCHEMA_VERSION
from tfx_best_exporter.executor.operating.operation import (
    OperationError,
    check_exists,
    export_of,
    served_of,
)
from tfx_best_exporter.proto import best_exporter_pb2 as pb

_KEPT = pb.ExportDecision.Reason.Name(pb.ExportDecision.KEPT_AS_CHALLENGER)


def show(exports: ExportDirectory, of: int | str | None = None) -> pb.ExportDecision:
    """Returns one decision, as decision.json has it; parts that were not stored are unset.

    Args:
        exports: The base directory.
        of: A version, the id of a run, or None for the newest decision.

    Raises:
        OperationError: There is no such directory, version or run.
        RecordError: The record of the version cannot be read.
        OSError: The base directory cannot be read.
    """
    check_exists(exports.base)
    if of is None:
        return _newest(exports)
    text = str(of)
    for line in reversed(exports.decision_log.read().decisions):
        if line.run_id == text and text:
            return of_line(exports, line)
    version = number_of(text)
    if version is not None:
        return of_record(exports, record_of_version(exports, version))
    raise OperationError(
        f"VERSION or RUN must be in the history (got {text!r}). `best-exporter history"
        f" {exports.base} --all` lists both."
    )


def record_of_version(exports: ExportDirectory, version: int) -> pb.ExportRecord:
    """Returns the record of a version in the base directory, or of a withdrawn or retired one.

    Raises:
        OperationError: There is no such version, or it has no record.
        RecordError: The record cannot be read.
        OSError: The base directory cannot be read.
    """
    listing = exports.exports()
    if any(export.version == version for export in listing):
        export = export_of(listing, version)
        if exports.has_record(export):
            return exports.record(export)
    else:
        if version in exports.operators.names().withdrawn:
            withdrawal = exports.operators.withdrawal(version)
            if withdrawal.HasField("record"):
                return withdrawal.record
        tombstones = Tombstones(exports.state / "retired")
        if version in tombstones.versions():
            return tombstones.read(version).record
        export_of(listing, version)
    raise OperationError(
        f"version must have a record (got {version}, which another tool or a person wrote)."
        f" `best-exporter adopt {exports.base} {version} --help` shows how to give it one."
    )


def of_record(exports: ExportDirectory, record: pb.ExportRecord) -> pb.ExportDecision:
    """Returns the decision of a record with the parts that a record stores elsewhere."""
    result = pb.ExportDecision()
    result.CopyFrom(record.decision)
    result.schema_version = SCHEMA_VERSION
    result.version = record.version
    result.base_directory = result.base_directory or exports.base.uri
    result.candidate.CopyFrom(record.model)
    result.candidate_evaluation.CopyFrom(record.evaluation)
    result.provenance.CopyFrom(record.provenance)
    return result


def _newest(exports: ExportDirectory) -> pb.ExportDecision:
    runs = [line for line in exports.decision_log.read().decisions if line.kind == RUN]
    if runs:
        return of_line(exports, runs[-1])
    found = served_of(exports)
    if found is None:
        raise OperationError(
            f"base directory must have a decision (got none, at {exports.base}). A run of the"
            " exporter makes the first one."
        )
    return of_record(exports, record_of_version(exports, found.export.version))


def of_line(exports: ExportDirectory, line: LoggedDecision) -> pb.ExportDecision:
    """Returns the decision of a line; that of its record, which has more, if it exported."""
    if line.exported and line.version is not None:
        try:
            return of_record(exports, record_of_version(exports, line.version))
        except OperationError:
            # A person has removed the version.
            pass
    kept = _of_challenger(exports, line)
    if kept is not None:
        return kept
    result = pb.ExportDecision(
        schema_version=SCHEMA_VERSION,
        exported=line.exported,
        explanation=line.explanation,
        base_directory=exports.base.uri,
        version=line.version,
        candidate=pb.SourceModel(uri=line.candidate_uri, digest=line.candidate_digest),
        provenance=pb.Provenance(
            pipeline_name=line.pipeline_name, run_id=line.run_id, node_id=line.node_id
        ),
        comparisons=_comparisons(line),
    )
    result.decided_at.FromNanoseconds(int(line.at * 1e9))
    # A later release may have logged a reason that this one does not know.
    if line.reason in pb.ExportDecision.Reason.keys():  # noqa: SIM118
        result.MergeFrom(pb.ExportDecision(reason=line.reason))
    try:
        json_format.ParseDict(
            dict(line.evaluation), result.candidate_evaluation, ignore_unknown_fields=True
        )
    except json_format.ParseError as error:
        result.candidate_evaluation.Clear()
        result.warnings.append(f"the evaluation in decisions.jsonl cannot be read: {error}")
    if line.best_version is not None:
        result.best.version = line.best_version
    return result


def _of_challenger(exports: ExportDirectory, line: LoggedDecision) -> pb.ExportDecision | None:
    """Returns the decision of a run whose candidate is still kept; None if it is not."""
    if line.reason != _KEPT or line.candidate_digest not in exports.challengers.digests():
        return None
    challenger = exports.challengers.get(line.candidate_digest)
    if challenger is None or challenger.record.provenance.run_id != line.run_id:
        return None
    result = of_record(exports, challenger.record)
    result.ClearField("version")
    return result


def _comparisons(line: LoggedDecision) -> Iterator[pb.MetricComparison]:
    for each in line.metrics:
        comparison = pb.MetricComparison(metric=each.name)
        if each.candidate is not None:
            comparison.candidate = each.candidate
        if each.best is not None and not math.isnan(each.best):
            comparison.best = each.best
        yield comparison
