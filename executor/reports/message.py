"""The ExportDecision message of a run, made from its observation, decision and outcome."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from tfx_best_exporter.executor.deciding.decide import slice_changes
from tfx_best_exporter.executor.deciding.models import (
    Best,
    Decision,
    Observation,
)
from tfx_best_exporter.executor.deciding.policy import Policy
from tfx_best_exporter.executor.deciding.slice_intervals import with_intervals
from tfx_best_exporter.executor.deciding.slices import SliceChange
from tfx_best_exporter.executor.keys import SCHEMA_VERSION
from tfx_best_exporter.executor.reports import evidence
from tfx_best_exporter.proto import best_exporter_pb2 as pb

_CHALLENGERS = (
    "This policy tests each candidate once. If each run has fresh examples, challengers=2 is"
    " recommended: refused candidates that may be better are measured again, and the evidence of"
    " several runs decides."
)

# Slices that changed most: this many from either end.
MAX_SLICES = 100
# Results of guardrails on slices.
MAX_GUARDRAILS = 200
# Thresholds of Evaluator that failed.
MAX_FAILED_THRESHOLDS = 200
# Latest exports.
MAX_HISTORY = 200

# Fields of a decision that a record stores elsewhere, or whose size grows with the slices.
_NOT_RECORDED = ("candidate", "candidate_evaluation", "provenance", "slices", "guardrails")

# Fields of the best that its own record stores.
_NOT_RECORDED_OF_BEST = ("compare_policy", "recorded_data", "recorded_example_count")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The values that every decision of a run has in common.

    Attributes:
        base_directory: Directory that the model server polls.
        candidate_uri: URI of the Model artifact, or the path of the candidate.
        compare_policy: The policy as the author wrote it.
        policy: The same policy as a value.
        default_rule: The rule that was chosen because the author set none, or None.
        provenance: Pipeline and run.
        decided_at: Time of the decision; seconds since the epoch.
        warnings: Problems that were tolerated before the run began.
    """

    base_directory: str
    candidate_uri: str
    compare_policy: pb.ComparePolicy
    policy: Policy
    provenance: pb.Provenance
    decided_at: float
    default_rule: pb.DefaultRule | None = None
    warnings: tuple[str, ...] = ()


def export_decision(
    origin: Origin,
    observation: Observation,
    decision: Decision,
    *,
    version: int | None = None,
    kept: Sequence[pb.ExportDecision.Kept] = (),
    retired: Sequence[pb.ExportDecision.Retired] = (),
    warnings: Sequence[str] = (),
) -> pb.ExportDecision:
    """Returns the message that reports a run.

    Args:
        origin: The run.
        observation: The observation of the run.
        decision: The decision of the run.
        version: Version that contains the candidate or the exported challenger when the run ends;
            None if there is none.
        kept: Exports that are kept.
        retired: Exports that the run retired or failed to retire.
        warnings: Problems that were tolerated while the run carried out the decision.
    """
    candidate, best = observation.candidate, observation.best
    result = pb.ExportDecision(
        schema_version=SCHEMA_VERSION,
        exported=decision.is_export,
        reason=decision.reason,
        explanation=decision.explanation,
        base_directory=origin.base_directory,
        version=version,
        candidate=pb.SourceModel(
            uri=origin.candidate_uri, digest=candidate.digest, size_bytes=candidate.size_bytes
        ),
        candidate_evaluation=candidate.eval_result.to_proto(),
        comparisons=[pb.MetricComparison(**_fields(item)) for item in decision.comparisons],
        retired=retired,
        kept=kept,
        provenance=origin.provenance,
        compare_policy=origin.compare_policy,
        default_rule=origin.default_rule,
        signature_changes=decision.signature_changes,
        guardrail_count=len(decision.guardrails),
        # Failures come first, so that the limit drops none of them before the others.
        guardrails=[
            pb.GuardrailResult(**_fields(each))
            for each in sorted(decision.guardrails, key=lambda each: each.holds)[:MAX_GUARDRAILS]
        ],
        failed_thresholds=_failed_thresholds(observation, decision),
        warnings=origin.warnings,
    )
    result.decided_at.FromNanoseconds(int(origin.decided_at * 1e9))
    _set_challengers(result, origin, observation, decision)
    if _tests_each_candidate_once(result):
        result.recommendations.append(_CHALLENGERS)
    if best and decision.was_compared:
        result.basis = best.basis
        try:
            changes = slice_changes(observation, origin.policy)
            shown = most_changed(changes, MAX_SLICES)
            shown = with_intervals(shown, observation, origin.policy, len(changes))
        except ValueError as error:
            # Slices of the best are only reported here; the decision did not need them.
            changes, shown = [], []
            result.warnings.append(f"the slices were not compared: {error}")
        result.slice_count = len(changes)
        for change in shown:
            result.slices.add(**_fields(change))
    if best:
        result.best.CopyFrom(_best(best))
        if best.basis == pb.ExportDecision.EVALUATED_AGAIN:
            # This run has just evaluated it. TFMA stores no time of other evaluations.
            result.best.evaluation.evaluated_at.CopyFrom(result.decided_at)
        result.history.extend(_history(observation))
        gone = {each.version for each in retired if not each.error}
        for entry in result.history:
            entry.retired = entry.retired or entry.version in gone
    result.warnings.extend(
        [*observation.warnings, *candidate.eval_result.warnings, *decision.warnings, *warnings]
    )
    return result


def _tests_each_candidate_once(result: pb.ExportDecision) -> bool:
    """Returns True if the policy has a test without challengers, and the run has examples."""
    rule = result.compare_policy.metric
    has_examples = bool(result.candidate_evaluation.data.examples_uri)
    return rule.HasField("significance") and not rule.significance.challengers and has_examples


def _set_challengers(
    result: pb.ExportDecision, origin: Origin, observation: Observation, decision: Decision
) -> None:
    """Sets the evidence of several runs, and the challenger that was exported."""
    found = evidence.evidence_of(
        observation,
        decision,
        origin.policy,
        candidate=result.candidate,
        run_id=origin.provenance.run_id,
        decided_at=origin.decided_at,
    )
    if found is None:
        return
    result.challenger_evidence.CopyFrom(found)
    for standing in found.standings:
        is_exported = standing.next == pb.ModelStanding.EXPORTED
        if is_exported and standing.model.digest == decision.challenger:
            result.exported_challenger.CopyFrom(standing.model)


def _failed_thresholds(
    observation: Observation, decision: Decision
) -> Sequence[pb.FailedThreshold]:
    if decision.reason != pb.ExportDecision.NOT_BLESSED:
        return ()
    failed = [each for item in observation.candidate.blessings for each in item.failed_thresholds]
    return [each.to_proto() for each in failed[:MAX_FAILED_THRESHOLDS]]


def version_of(decision: pb.ExportDecision) -> int | None:
    """Returns the version that the run exported or found served, or None if there is none.

    Decisions of the first release have 0 for none.
    """
    is_zero = decision.version == 0 and not decision.exported
    if is_zero and decision.reason != pb.ExportDecision.ALREADY_BEST:
        return None
    return decision.version if decision.HasField("version") else None


def candidate_version_of(decision: pb.ExportDecision) -> int | None:
    """Returns the version that contains the candidate, or None if there is none."""
    exported = decision.exported_challenger.digest
    return None if exported not in ("", decision.candidate.digest) else version_of(decision)


def served_version_of(decision: pb.ExportDecision) -> int | None:
    """Returns the version that is served after the run, or None if there is none."""
    version = version_of(decision)
    if version is None and decision.HasField("best"):
        return decision.best.version
    return version


def path_of_version(decision: pb.ExportDecision) -> str:
    """Returns the directory of the version of `version_of`, or an empty text."""
    version = version_of(decision)
    if version is None:
        return ""
    # The name of a version that another tool wrote may have leading zeros.
    is_best = not decision.exported and decision.best.path
    return decision.best.path if is_best else f"{decision.base_directory}/{version}"


def recorded(decision: pb.ExportDecision) -> pb.ExportDecision:
    """Returns a decision as the record of its export stores it."""
    result = pb.ExportDecision()
    result.CopyFrom(decision)
    for field in _NOT_RECORDED:
        result.ClearField(field)
    for field in _NOT_RECORDED_OF_BEST:
        result.best.ClearField(field)
    return result


def most_changed(changes: Sequence[SliceChange], count: int) -> list[SliceChange]:
    """Returns the first and the last `count` of changes that are sorted by improvement."""
    if len(changes) <= 2 * count:
        return list(changes)
    return [*changes[:count], *changes[-count:]]


def _best(best: Best) -> pb.ExportDecision.Best:
    result = pb.ExportDecision.Best(
        version=best.version,
        path=best.path,
        has_record=best.record is not None,
        model=pb.SourceModel(digest=best.digest),
    )
    if best.record is not None:
        result.model.CopyFrom(best.record.model)
        result.pushed_model_uri = best.record.pushed_model_uri
        recorded = best.record.evaluation
        if best.record.decision.HasField("compare_policy"):
            result.compare_policy.CopyFrom(best.record.decision.compare_policy)
        if recorded.HasField("data"):
            result.recorded_data.CopyFrom(recorded.data)
        if recorded.HasField("example_count"):
            result.recorded_example_count = recorded.example_count
    if best.eval_result:
        result.evaluation.CopyFrom(best.eval_result.to_proto())
    return result


def _history(observation: Observation) -> Sequence[pb.HistoryEntry]:
    """Returns the exports that the newest record lists, and the export of that record."""
    latest = observation.latest_record
    if latest is None:
        return ()
    entries = []
    for known in [*latest.decision.history, _history_entry(latest)][-MAX_HISTORY:]:
        entry = pb.HistoryEntry()
        entry.CopyFrom(known)
        entry.retired = entry.version not in observation.versions
        entries.append(entry)
    return entries


def _history_entry(record: pb.ExportRecord) -> pb.HistoryEntry:
    """Returns an export as later decisions list it: with the metric that was compared first."""
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
    """Returns the fields of a dataclass that are set, as arguments of a message's constructor."""
    fields = {name: item for name, item in dataclasses.asdict(value).items() if item is not None}
    if "slice" in fields:
        fields["slice"] = pb.Slice(features=dict(fields["slice"])) if fields["slice"] else None
    return fields
