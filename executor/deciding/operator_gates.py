"""Gates by which operators stop an export: rejections, holds, promotions and approvals."""

from __future__ import annotations

import dataclasses

from tfx_best_exporter.executor.deciding import numbers
from tfx_best_exporter.executor.deciding.models import EVALUATED_NOW, Best, Candidate, Decision
from tfx_best_exporter.executor.deciding.situation import Situation
from tfx_best_exporter.proto import best_exporter_pb2 as pb

SAME_DATA = EVALUATED_NOW | {pb.ExportDecision.RECORDED_SAME_DATA}


def rejected(situation: Situation) -> Decision | None:
    """Does not export a model that an operator has rejected."""
    rejection = situation.rejection
    if rejection is None:
        return None
    found = f" as version {rejection.version}" if rejection.HasField("version") else ""
    return Decision(
        reason=pb.ExportDecision.REJECTED,
        explanation=(
            f"{done_by(rejection.action, f'the model was rejected{found}')}. To allow it again,"
            " run `best-exporter unreject`"
        ),
    )


def on_hold(situation: Situation) -> Decision | None:
    """Does not export while an operator holds exports to the base directory."""
    hold = situation.hold
    if hold is None:
        return None
    return Decision(
        reason=pb.ExportDecision.ON_HOLD,
        explanation=f"{on_hold_clause(hold)}. To end the hold, run `best-exporter release`",
    )


def on_hold_clause(hold: pb.Hold) -> str:
    """Returns a clause about a hold, with its end, operator, time and reason."""
    end = ""
    if hold.HasField("until"):
        end = f" until {numbers.time_of(numbers.seconds_of(hold.until))}"
    return done_by(hold.action, f"exports are on hold{end}")


def done_by(action: pb.OperatorAction, clause: str) -> str:
    """Returns a clause with the operator, the time and the reason, as far as they are known."""
    who = [action.operator] if action.operator else []
    when = [numbers.time_of(numbers.seconds_of(action.at))] if action.HasField("at") else []
    said = [", ".join([*who, *when])] if who or when else []
    why = [action.reason] if action.reason else []
    details = ": ".join([*said, *why])
    return f"{clause} ({details})" if details else clause


def why_not_replaceable(best: Best, candidate: Candidate) -> str:
    """Returns the reason why recorded metrics cannot replace a forced or promoted best."""
    if best.promotion is not None and best.basis not in SAME_DATA:
        promoted = done_by(best.promotion, f"version {best.version} was promoted")
        return f"{promoted}, and was not evaluated on the candidate's data"
    is_recorded = best.basis not in EVALUATED_NOW
    if candidate.digest and candidate.digest == best.replaced_by_force and is_recorded:
        return (
            f"version {best.version} has replaced this model by force, and the two were not"
            " evaluated again"
        )
    return ""


def approval(situation: Situation, export: Decision) -> Decision | None:
    """Returns the decision to wait for approval; None if the policy requires none."""
    if not situation.policy.requires_approval:
        return None
    return dataclasses.replace(
        export,
        reason=pb.ExportDecision.AWAITING_APPROVAL,
        explanation=(
            f"{export.explanation}. The policy requires approval: to export this model, run"
            f" `best-exporter approve` with {situation.candidate.digest}"
        ),
        awaited=export,
    )
