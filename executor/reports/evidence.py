"""The evidence of several runs on the candidate and the challengers, as a message."""

from __future__ import annotations

from collections.abc import Sequence

from tfx_best_exporter.executor.deciding.challengers import Evidence, Form, Standing
from tfx_best_exporter.executor.deciding.models import (
    Best,
    Challenger,
    Contest,
    Decision,
    Judged,
    Observation,
)
from tfx_best_exporter.executor.deciding.policy import Policy
from tfx_best_exporter.proto import best_exporter_pb2 as pb


def evidence_of(
    observation: Observation,
    decision: Decision,
    policy: Policy,
    *,
    candidate: pb.SourceModel,
    run_id: str,
    decided_at: float,
) -> pb.ChallengerEvidence | None:
    """Returns the evidence of a decision; None without challengers.

    Args:
        observation: The observation of the run.
        decision: The decision of the run.
        policy: The policy of the run.
        candidate: The candidate.
        run_id: The run; empty if it is not known.
        decided_at: Time of the run, in seconds since the epoch.
    """
    judged, contest, best = decision.judged, observation.contest, observation.best
    rule, challenging = policy.rule.leading, policy.challenging
    if judged is None or contest is None or best is None or rule is None or challenging is None:
        return None
    result = pb.ChallengerEvidence(
        metric=str(rule.key),
        direction=rule.direction,
        alpha=challenging.alpha,
        guarantee=challenging.form is Form.GUARANTEED,
        is_pooled=judged.found.evidence is Evidence.POOLED,
        consistency=judged.found.consistency,
    )
    for standing in sorted(judged.found.standings.values(), key=lambda each: -each.gain):
        challenger = contest.challengers.get(standing.digest)
        message = _standing(standing, contest, rule.direction, best)
        if challenger is None:
            message.is_candidate = True
            message.model.CopyFrom(candidate)
            message.run_id = run_id
            message.trained_at.FromNanoseconds(int(decided_at * 1e9))
        else:
            _set_origin(message, challenger)
        message.next = _next(standing.digest, decision, judged)
        message.why = judged.why.get(standing.digest, "")
        result.standings.append(message)
    return result


def _set_origin(message: pb.ModelStanding, challenger: Challenger) -> None:
    message.model.uri = challenger.candidate.uri
    message.model.digest = challenger.candidate.digest
    message.run_id = challenger.run_id
    message.trained_at.FromNanoseconds(int(challenger.trained_at * 1e9))


def _next(digest: str, decision: Decision, judged: Judged) -> pb.ModelStanding.Next:
    if decision.is_export and digest == judged.promoted:
        return pb.ModelStanding.EXPORTED
    if decision.awaited is not None and digest == judged.promoted:
        return pb.ModelStanding.STAGED
    return pb.ModelStanding.KEPT if digest in judged.kept else pb.ModelStanding.DROPPED


def _standing(
    standing: Standing, contest: Contest, direction: pb.MetricDirection, best: Best
) -> pb.ModelStanding:
    return pb.ModelStanding(
        run_count=standing.run_count,
        gain=standing.gain,
        gain_error=standing.error,
        chance_no_better=standing.chance_no_better,
        difference=standing.difference,
        difference_error=standing.difference_error,
        log_e_value=standing.log_e_value,
        runs=_differences(standing.digest, contest.ledger, direction, best.digest),
        value=_values(contest.ledger[-1])[standing.digest].value,
    )


def _differences(
    digest: str, ledger: Sequence[pb.LedgerRow], direction: pb.MetricDirection, best: str
) -> list[pb.RunDifference]:
    """Returns the differences between a model and the best, one for each data, oldest first."""
    sign = 1.0 if direction == pb.HIGHER_IS_BETTER else -1.0
    found: dict[str, pb.RunDifference] = {}
    for row in ledger:
        values = _values(row)
        if digest not in values or best not in values:
            continue
        difference = pb.RunDifference(
            data=row.data,
            measured_at=row.measured_at,
            run_id=row.run_id,
            difference=sign * (values[digest].value - values[best].value),
        )
        # A row has only the standard errors of the differences from its own best.
        with_error = {digest: best, best: digest}.get(row.best_digest)
        if with_error is not None and values[with_error].HasField("standard_error"):
            difference.standard_error = values[with_error].standard_error
        found.pop(row.data, None)
        found[row.data] = difference
    return [*found.values()]


def _values(row: pb.LedgerRow) -> dict[str, pb.MeasuredModel]:
    return {each.digest: each for each in row.models}
