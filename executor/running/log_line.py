"""The line of the decision log for a run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf import json_format

from tfx_best_exporter.executor.deciding import numbers
from tfx_best_exporter.executor.deciding.metric_key import MetricKey
from tfx_best_exporter.executor.deciding.models import Candidate
from tfx_best_exporter.executor.exports.decision_log import (
    FAILED,
    MAX_METRICS,
    RUN,
    LoggedDecision,
    LoggedMetric,
)
from tfx_best_exporter.executor.reports import message
from tfx_best_exporter.proto import best_exporter_pb2 as pb


def line_of(decision: pb.ExportDecision) -> LoggedDecision:
    """Returns the line of a run that ended with a decision.

    Args:
        decision: The decision, without secrets.
    """
    compared = [
        LoggedMetric(
            name=each.metric,
            candidate=each.candidate if each.HasField("candidate") else None,
            best=each.best if each.HasField("best") else None,
        )
        for each in decision.comparisons
    ]
    names = {*(each.name for each in compared), *(each.metric for each in decision.guardrails)}
    evaluation, is_cut = _evaluation(decision.candidate_evaluation, names)
    return LoggedDecision(
        at=numbers.seconds_of(decision.decided_at),
        reason=pb.ExportDecision.Reason.Name(decision.reason),
        exported=decision.exported,
        version=message.version_of(decision),
        explanation=decision.explanation,
        candidate_uri=decision.candidate.uri,
        candidate_digest=decision.candidate.digest,
        best_version=decision.best.version if decision.HasField("best") else None,
        metrics=tuple(compared),
        evaluation=evaluation,
        is_cut=is_cut,
        retired=tuple(each.version for each in decision.retired if not each.error),
        pipeline_name=decision.provenance.pipeline_name,
        run_id=decision.provenance.run_id,
        node_id=decision.provenance.node_id,
    )


def failure_line(
    error: str, candidate: Candidate, provenance: pb.Provenance, now: float
) -> LoggedDecision:
    """Returns the line of a run that raised an error while it held the lock.

    Args:
        error: Type and message of the error, without secrets.
        candidate: The candidate.
        provenance: Pipeline and run.
        now: Seconds since the epoch.
    """
    return LoggedDecision(
        at=now,
        reason=FAILED,
        explanation=error,
        candidate_uri=candidate.uri,
        candidate_digest=candidate.digest,
        pipeline_name=provenance.pipeline_name,
        run_id=provenance.run_id,
        node_id=provenance.node_id,
    )


def refusals(decisions: Iterable[LoggedDecision]) -> list[pb.Refusal]:
    """Returns the runs among lines of the log that exported nothing, oldest first.

    A run that found its candidate served already is none of them.
    """
    found = []
    for line in decisions:
        if line.kind != RUN or line.exported or line.version is not None:
            continue
        refusal = pb.Refusal(
            reason=line.reason,
            explanation=line.explanation,
            digest=line.candidate_digest,
            run_id=line.run_id,
        )
        refusal.decided_at.FromNanoseconds(int(line.at * 1e9))
        if line.metrics:
            refusal.metric = line.metrics[0].name
            if line.metrics[0].candidate is not None:
                refusal.value = line.metrics[0].candidate
        found.append(refusal)
    return found


def _evaluation(evaluation: pb.Evaluation, first: set[str]) -> tuple[dict[str, Any], bool]:
    """Returns an evaluation as JSON with the most important metrics, and whether others are cut."""
    ranked = sorted(
        evaluation.metrics, key=lambda each: str(MetricKey.from_proto(each.key)) not in first
    )
    kept = pb.Evaluation()
    kept.CopyFrom(evaluation)
    del kept.metrics[:]
    kept.metrics.extend(ranked[:MAX_METRICS])
    found = json_format.MessageToDict(kept, preserving_proto_field_name=True)
    return found, len(ranked) > MAX_METRICS
