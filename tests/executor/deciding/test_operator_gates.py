"""Rejections, holds, promotions and approvals: who may export what, and what the log says."""

import dataclasses
import math
from typing import Any

import pytest

from tests.executor.deciding.decided import BLESSED, R, evaluation
from tfx_best_exporter.executor.deciding.decide import decide
from tfx_best_exporter.executor.deciding.models import (
    Best,
    Blessing,
    BlessingStatus,
    Candidate,
    Decision,
    Observation,
)
from tfx_best_exporter.executor.deciding.operator_gates import done_by
from tfx_best_exporter.executor.deciding.policy import policy_from_proto
from tfx_best_exporter.executor.policies import at_least, compare_policy, larger
from tfx_best_exporter.proto import best_exporter_pb2 as pb

DIGEST = "sha256:candidate"
ACTION = pb.OperatorAction(operator="ana@serving-1", reason="wrong labels")
ACTION.at.FromSeconds(1_795_305_600)
BY_ANA = "(ana@serving-1, 2026-11-22 00:00 UTC: wrong labels)"
HOLD = pb.Hold(action=ACTION)
REJECTION = pb.Rejection(action=ACTION, digest=DIGEST, version=6)
NOT_BLESSED = Blessing(name="model_blessing", uri="/blessing/6", status=BlessingStatus.NOT_BLESSED)
APPROVAL: dict[str, Any] = {"approval": "REQUIRED"}
FORCE: dict[str, Any] = {"force": "labels were wrong", "force_model": DIGEST}


def decided(
    candidate_auc: float = 0.9,
    best_auc: float | None = 0.8,
    *,
    best: dict[str, Any] | None = None,
    observed: dict[str, Any] | None = None,
    blessing: Blessing = BLESSED,
    digest: str = DIGEST,
    **policy: Any,
) -> Decision:
    fields: dict[str, Any] = {"basis": R.RECORDED_OTHER_DATA, **(best or {})}
    return decide(
        Observation(
            candidate=Candidate(
                digest=digest,
                uri="/models/9",
                eval_result=evaluation({"auc": candidate_auc}),
                blessings=(blessing,),
            ),
            best=None
            if best_auc is None
            else Best(
                version=7,
                digest="sha256:best",
                eval_result=evaluation({"auc": best_auc}),
                **fields,
            ),
            **(observed or {}),
        ),
        policy_from_proto(compare_policy(larger("auc"), **policy), lambda _: min),
        0.0,
    )


@pytest.mark.parametrize(
    ("observed", "kwargs", "reason"),
    [
        pytest.param({"hold": HOLD}, {}, R.ON_HOLD, id="hold"),
        pytest.param({"hold": HOLD}, {"best_auc": None}, R.ON_HOLD, id="hold on a first export"),
        pytest.param({"hold": HOLD}, FORCE, R.ON_HOLD, id="hold on force"),
        pytest.param(
            {"hold": HOLD}, {"digest": "sha256:best"}, R.ALREADY_BEST, id="hold, the best"
        ),
        pytest.param({"hold": HOLD}, {"blessing": NOT_BLESSED}, R.NOT_BLESSED, id="hold, blessing"),
        pytest.param({"hold": HOLD, "rejection": REJECTION}, {}, R.REJECTED, id="both"),
        pytest.param({"rejection": REJECTION}, {}, R.REJECTED, id="rejection"),
        pytest.param({"rejection": REJECTION}, {"best_auc": None}, R.REJECTED, id="first export"),
        pytest.param({"rejection": REJECTION}, FORCE, R.REJECTED, id="rejection and force"),
        pytest.param(
            {"rejection": REJECTION},
            {"digest": "sha256:best"},
            R.REJECTED,
            id="rejected but served",
        ),
        pytest.param(
            {"hold": HOLD, "being_written": "version 8 is being written"},
            {},
            R.BEING_WRITTEN,
            id="hold, being written",
        ),
    ],
)
def test_the_order_of_the_gates(observed: dict[str, Any], kwargs: dict[str, Any], reason: int):
    decision = decided(observed=observed, **kwargs)
    assert decision.reason == reason
    assert not decision.is_export


def test_a_hold_and_a_rejection_say_who_when_why_and_how_to_go_on():
    assert decided(observed={"hold": HOLD}).explanation == (
        f"exports are on hold {BY_ANA}. To end the hold, run `best-exporter release`"
    )
    assert decided(observed={"rejection": REJECTION}).explanation == (
        f"the model was rejected as version 6 {BY_ANA}. To allow it again, run `best-exporter"
        " unreject`"
    )


@pytest.mark.parametrize(
    ("action", "text"),
    [
        (pb.OperatorAction(), "done"),
        (pb.OperatorAction(reason="why"), "done (why)"),
        (pb.OperatorAction(operator="ana"), "done (ana)"),
        (ACTION, f"done {BY_ANA}"),
    ],
)
def test_done_by(action: pb.OperatorAction, text: str):
    assert done_by(action, "done") == text


PROMOTED = pb.ExportRecord(promotion=ACTION)


@pytest.mark.parametrize(
    ("best", "candidate_auc", "reason"),
    [
        pytest.param({"record": PROMOTED}, 0.9, R.NOT_COMPARABLE, id="other data"),
        pytest.param({"record": PROMOTED}, 0.7, R.NOT_COMPARABLE, id="other data, not better"),
        pytest.param(
            {"record": PROMOTED, "basis": R.RECORDED_SAME_DATA}, 0.9, R.BETTER, id="same data"
        ),
        pytest.param(
            {"record": PROMOTED, "basis": R.EVALUATED_AGAIN}, 0.9, R.BETTER, id="evaluated again"
        ),
        pytest.param({"record": PROMOTED, "is_released": True}, 0.9, R.BETTER, id="released"),
        pytest.param({"record": pb.ExportRecord()}, 0.9, R.BETTER, id="not promoted"),
    ],
)
def test_a_promoted_best_is_replaced_on_the_same_data_only(
    best: dict[str, Any], candidate_auc: float, reason: int
):
    assert decided(candidate_auc, best=best).reason == reason


def test_a_promotion_says_how_to_go_on():
    explanation = decided(best={"record": PROMOTED}).explanation
    assert explanation.startswith(
        f"version 7 was promoted {BY_ANA}, and was not evaluated on the candidate's data. Pass"
        " examples, so that both models are evaluated on the same data, or run `best-exporter"
        " release`: "
    )


def forced_record(replaced: str) -> pb.ExportRecord:
    record = pb.ExportRecord()
    record.decision.reason = pb.ExportDecision.FORCED
    record.decision.best.model.digest = replaced
    return record


@pytest.mark.parametrize(
    ("replaced", "best", "reason"),
    [
        pytest.param(DIGEST, {}, R.NOT_COMPARABLE, id="the replaced model"),
        pytest.param(
            DIGEST, {"basis": R.RECORDED_SAME_DATA}, R.NOT_COMPARABLE, id="recorded, same data"
        ),
        pytest.param(DIGEST, {"basis": R.EVALUATED_AGAIN}, R.BETTER, id="evaluated again"),
        pytest.param(DIGEST, {"is_released": True}, R.BETTER, id="released"),
        pytest.param("sha256:third", {}, R.BETTER, id="another model"),
        pytest.param("", {}, R.BETTER, id="nothing was replaced"),
    ],
)
def test_a_model_replaced_by_force_does_not_win_by_recorded_numbers(
    replaced: str, best: dict[str, Any], reason: int
):
    assert decided(best={"record": forced_record(replaced), **best}).reason == reason


@pytest.mark.parametrize(
    ("force_model", "reason"),
    [
        pytest.param("", R.FORCED, id="any"),
        pytest.param(DIGEST, R.FORCED, id="digest"),
        pytest.param("/models/9", R.FORCED, id="uri"),
        pytest.param("sha256:other", R.NOT_BETTER, id="another digest"),
        pytest.param("/models/8", R.NOT_BETTER, id="another uri"),
    ],
)
def test_force_is_bound_to_one_model(force_model: str, reason: int):
    decision = decided(0.7, force="labels were wrong", force_model=force_model)
    assert decision.reason == reason
    assert len(decision.warnings) == (reason == R.FORCED)
    assert any("every candidate" in each for each in decision.warnings) == (not force_model)


@pytest.mark.parametrize(
    ("kwargs", "reason", "awaited"),
    [
        pytest.param({}, R.AWAITING_APPROVAL, R.BETTER, id="better"),
        pytest.param({"best_auc": None}, R.AWAITING_APPROVAL, R.FIRST_EXPORT, id="first"),
        pytest.param({"candidate_auc": 0.7, **FORCE}, R.AWAITING_APPROVAL, R.FORCED, id="forced"),
        pytest.param(
            {"digest": "sha256:best", "best": {"serving_problems": ("no assets",)}},
            R.AWAITING_APPROVAL,
            R.REEXPORTED,
            id="reexported",
        ),
        pytest.param({"candidate_auc": 0.7}, R.NOT_BETTER, None, id="not better"),
        pytest.param({"candidate_auc": math.nan}, R.CANDIDATE_IS_NAN, None, id="NaN"),
        pytest.param(
            {"guardrails": [at_least("auc", 0.95)]}, R.GUARDRAIL_FAILED, None, id="guardrail"
        ),
        pytest.param({"digest": "sha256:best"}, R.ALREADY_BEST, None, id="the best"),
        pytest.param({"observed": {"hold": HOLD}}, R.ON_HOLD, None, id="hold"),
    ],
)
def test_approval_is_asked_for_every_export_and_for_nothing_else(
    kwargs: dict[str, Any], reason: int, awaited: int | None
):
    decision = decided(**kwargs, **APPROVAL)
    assert decision.reason == reason
    assert not decision.is_export
    assert (decision.awaited.reason if decision.awaited else None) == awaited
    assert decision.makes_files == (awaited is not None)


def test_an_awaited_decision_is_the_one_without_approval():
    decision = decided(**APPROVAL)
    assert decision.awaited == dataclasses.replace(decided(), warnings=())
    assert decision.explanation == (
        f"{decided().explanation}. The policy requires approval: to export this model, run"
        f" `best-exporter approve` with {DIGEST}"
    )
