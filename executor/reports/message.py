"""What a run tells: the ExportDecision message, made of what was decided."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from tfx_best_exporter.executor.deciding import decide
from tfx_best_exporter.executor.deciding.slices import Features, SliceChange
from tfx_best_exporter.executor.exports.directory import SCHEMA_VERSION, Listing, Served
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# Of the slices that changed most, from either end.
MAX_SLICES = 100
# Where the best was evaluated in this run, beside the candidate or after it.
_EVALUATED_NOW = (pb.ExportDecision.SAME_EVALUATION, pb.ExportDecision.EVALUATED_AGAIN)
# What became of guardrails on slices.
MAX_GUARDRAILS = 200
# Of the latest exports.
MAX_HISTORY = 200


def tell(
    result: pb.ExportDecision,
    decision: decide.Decision,
    *,
    candidate: decide.Candidate,
    best: decide.Best | None,
    policy: decide.Policy,
    now: float,
) -> None:
    """Fills in what is known of a decision before it is carried out.

    Args:
        result: The message; what it has of an earlier attempt is replaced.
        decision: What was decided.
        candidate: About whom.
        best: Against whom; None if nothing is served.
        policy: By which.
        now: Seconds since the epoch.
    """
    result.schema_version = SCHEMA_VERSION
    result.exported, result.version = False, 0
    result.reason = decision.reason
    result.explanation = decision.explanation
    result.candidate.digest = candidate.digest
    result.candidate_evaluation.CopyFrom(candidate.eval_result.to_proto())
    for item in decision.comparisons:
        result.comparisons.add(**_fields(item))
    result.guardrail_count = len(decision.guardrails)
    # Those that fail first.
    for guardrail in sorted(decision.guardrails, key=lambda each: each.holds)[:MAX_GUARDRAILS]:
        result.guardrails.add(**{**_fields(guardrail), "slice": _slice(guardrail.slice)})
    result.signature_changes.extend(decision.signature_changes)
    result.decided_at.FromNanoseconds(int(now * 1e9))
    if not result.candidate_evaluation.HasField("evaluated_at"):
        # TFMA does not write when: in this run, as far as anybody knows.
        result.candidate_evaluation.evaluated_at.CopyFrom(result.decided_at)
    if best and decision.was_compared:
        result.basis = best.basis
        try:
            changes = decide.slice_changes(candidate=candidate, best=best, policy=policy)
        except ValueError as error:
            # What the best's evaluation has of slices is here only told.
            changes = []
            result.warnings.append(f"slices were not compared: {error}")
        result.slice_count = len(changes)
        for change in most_changed(changes, MAX_SLICES):
            result.slices.add(**{**_fields(change), "slice": _slice(change.slice)})


def tell_best(
    result: pb.ExportDecision,
    served: Served,
    best: decide.Best,
    listing: Listing,
    latest: pb.ExportRecord | None,
) -> None:
    """Fills in what is known of the export that is served, and of those before it.

    Args:
        result: The message.
        served: The export that is served.
        best: The same, as it was compared with.
        listing: Of the base directory.
        latest: Record of the newest export that has one: the served one's, where it has.
    """
    export, record = served.export, served.record
    if export is None:
        return
    result.best.version = export.version
    result.best.path = export.path
    result.best.has_record = record is not None
    result.best.model.digest = best.digest
    if record:
        result.best.model.CopyFrom(record.model)
        result.best.pushed_model_uri = record.pushed_model_uri
    if best.eval_result:
        result.best.evaluation.CopyFrom(best.eval_result.to_proto())
        if best.basis in _EVALUATED_NOW:
            result.best.evaluation.evaluated_at.CopyFrom(result.decided_at)
    if latest:
        result.history.extend(latest.decision.history)
        result.history.append(_history_entry(latest))
        del result.history[:-MAX_HISTORY]
        present = {each.version for each in listing.exports}
        for entry in result.history:
            entry.retired = entry.version not in present


def most_changed(changes: Sequence[SliceChange], count: int) -> list[SliceChange]:
    """Returns so many changes from either end of those in order of improvement."""
    if len(changes) <= 2 * count:
        return list(changes)
    return [*changes[:count], *changes[-count:]]


def _history_entry(record: pb.ExportRecord) -> pb.HistoryEntry:
    """Returns an export as later decisions remember it: with the metric that decided about it."""
    entry = pb.HistoryEntry(version=record.version, exported_at=record.exported_at)
    if record.decision.comparisons:
        compared = record.decision.comparisons[0]
        entry.metric = compared.metric
        if compared.HasField("candidate"):
            entry.value = compared.candidate
        if compared.HasField("candidate_lower_bound"):
            entry.lower_bound = compared.candidate_lower_bound
        if compared.HasField("candidate_upper_bound"):
            entry.upper_bound = compared.candidate_upper_bound
    return entry


def _fields(value: Any) -> dict[str, Any]:
    """Returns a dataclass's fields that are set, as a message's constructor takes them."""
    return {name: item for name, item in dataclasses.asdict(value).items() if item is not None}


def _slice(features: Features) -> pb.Slice | None:
    return pb.Slice(features=dict(features)) if features else None
