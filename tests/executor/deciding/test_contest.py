"""Decisions with challengers: the gates that the evidence of several runs passes through."""

from typing import Any

import pytest

from tests.executor.deciding.contested import (
    BEST,
    CANDIDATE,
    OLDER,
    OTHER,
    R,
    decided,
    signatures_of,
)
from tfx_best_exporter.executor.deciding.models import Decision
from tfx_best_exporter.executor.policies import at_least, compare_policy, larger, smaller
from tfx_best_exporter.proto import best_exporter_pb2 as pb


def kept(decision: Decision) -> tuple[str, ...]:
    assert decision.judged is not None
    return decision.judged.kept


def test_candidate_that_may_be_better_is_kept():
    decision = decided({CANDIDATE: 0.007})
    assert decision.reason == R.KEPT_AS_CHALLENGER
    assert kept(decision) == (CANDIDATE,)
    assert decision.explanation == (
        "auc 0.907: in 1 run 0.0035 ± 0.003 better than the best; the chance that it is no better"
        " is 12 %, at most 5 % is allowed. The candidate is kept, and the next runs measure it"
        " again"
    )


def test_candidate_with_little_chance_is_not_kept():
    decision = decided({CANDIDATE: -0.02})
    assert decision.reason == R.NOT_BETTER
    assert kept(decision) == ()


def test_candidate_with_enough_evidence_is_exported():
    decision = decided({CANDIDATE: 0.02})
    assert decision.reason == R.BETTER
    assert decision.challenger == ""


def test_challenger_with_enough_evidence_is_exported():
    decision = decided({OLDER: 0.008}, {OLDER: 0.008, CANDIDATE: 0.004})
    assert (decision.reason, decision.challenger) == (R.CHALLENGER_BETTER, OLDER)
    assert decision.is_export
    assert decision.explanation == (
        "a model that an earlier run refused is better than the best: auc 0.908: over 2 runs"
        " 0.0052 ± 0.0024 better than the best; the chance that it is no better is 1.6 %, at most"
        " 5 % is allowed. The candidate is not exported: auc 0.904: in 1 run 0.0021 ± 0.0028 better"
        " than the best; the chance that it is no better is 22 %, at most 5 % is allowed"
    )


def test_largest_gain_is_exported():
    rows: list[dict[str, float]] = [{OLDER: 0.012}, {OLDER: 0.012, CANDIDATE: 0.03}]
    assert decided(*rows).reason == R.BETTER
    rows = [{OLDER: 0.03}, {OLDER: 0.03, CANDIDATE: 0.02}]
    decision = decided(*rows)
    assert decision.challenger == OLDER
    assert decision.explanation.endswith("not exported: the other model's gain is larger")


def test_evidence_of_several_runs_decides_against_one_run():
    # By this run alone, the difference is significant: 0.0072 is 1.8 standard errors.
    policy = compare_policy(larger("auc", alpha=0.05))
    alone = decided({CANDIDATE: 0.0072}, policy=policy)
    assert alone.reason == R.BETTER
    assert alone.judged is None
    assert decided({CANDIDATE: 0.0072}).reason == R.KEPT_AS_CHALLENGER


def test_smaller_values_may_be_better():
    policy = compare_policy(smaller("auc", alpha=0.05, challengers=1))
    decision = decided({OLDER: 0.008}, {OLDER: 0.008, CANDIDATE: 0.001}, policy=policy, sign=-1.0)
    assert decision.challenger == OLDER
    assert "auc 0.892: over 2 runs 0.0052" in decision.explanation


def test_required_change_must_be_exceeded():
    rows = {OLDER: 0.012}, {OLDER: 0.012, CANDIDATE: 0.0}
    assert decided(*rows).challenger == OLDER
    for by, share in ((0.006, 0.0), (0.0, 0.007)):
        rule = larger("auc", alpha=0.05, challengers=2, by=by, by_share=share)
        policy = compare_policy(rule)
        decision = decided(*rows, policy=policy)
        assert not decision.is_export
        assert OLDER in kept(decision)
        assert decision.judged is not None
        assert "not better by more than" in decision.judged.decisions[OLDER].explanation


def test_guarantee_needs_more_evidence():
    rows = {OLDER: 0.008}, {OLDER: 0.008, CANDIDATE: 0.001}
    assert decided(*rows).challenger == OLDER
    policy = compare_policy(larger("auc", alpha=0.05, challengers=2, guarantee=True))
    decision = decided(*rows, policy=policy)
    assert not decision.is_export
    assert decision.judged is not None
    assert "e-value" in decision.judged.decisions[OLDER].explanation
    assert decided(*[rows[0]] * 4, rows[1], policy=policy).challenger == OLDER


STRONG = {OLDER: 0.012}, {OLDER: 0.012, OTHER: 0.02, CANDIDATE: 0.004}


@pytest.mark.parametrize(
    ("stop", "why"),
    [
        ({"others": {OTHER: {"recall": 0.1}}}, "guardrail"),
        ({"signatures": {OTHER: signatures_of("x", "y")}}, "signatures"),
        ({"contest": {"barred": {OTHER: "its files were changed"}}}, "its files were changed"),
        ({"others": {OTHER: {}}}, "its evaluation cannot be used"),
    ],
    ids=["guardrail", "signatures", "barred", "metric"],
)
def test_model_that_is_stopped_is_neither_exported_nor_kept(stop: dict[str, Any], why: str):
    policy = compare_policy(
        larger("auc", alpha=0.05, challengers=2), guardrails=[at_least("recall", 0.5)]
    )
    recalls: dict[str, Any] = {
        digest: {"recall": 0.9} for digest in (BEST, CANDIDATE, OLDER, OTHER)
    }
    signatures = {digest: signatures_of("x") for digest in (CANDIDATE, OLDER, OTHER)}
    assert (
        decided(*STRONG, policy=policy, others=recalls, signatures=signatures).challenger == OTHER
    )
    decision = decided(
        *STRONG,
        policy=policy,
        others={**recalls, **stop.pop("others", {})},
        signatures={**signatures, **stop.pop("signatures", {})},
        **stop,
    )
    # The next model by gain takes its place.
    assert decision.challenger == OLDER
    assert OTHER not in kept(decision)
    assert decision.judged is not None
    assert why in decision.judged.why[OTHER]


def test_candidate_that_fails_a_guardrail_is_not_kept_with_the_reason_of_the_rule():
    policy = compare_policy(
        larger("auc", alpha=0.05, challengers=2), guardrails=[at_least("recall", 0.5)]
    )
    recalls = {BEST: {"recall": 0.9}, CANDIDATE: {"recall": 0.1}}
    weak = decided({CANDIDATE: 0.007}, policy=policy, others=recalls)
    assert (weak.reason, kept(weak)) == (R.NOT_SIGNIFICANT, ())
    strong = decided({CANDIDATE: 0.02}, policy=policy, others=recalls)
    assert (strong.reason, kept(strong)) == (R.GUARDRAIL_FAILED, ())


def test_approval_is_for_challengers_too():
    policy = compare_policy(larger("auc", alpha=0.05, challengers=2), approval="REQUIRED")
    decision = decided(*STRONG, policy=policy)
    assert (decision.reason, decision.challenger) == (R.AWAITING_APPROVAL, OTHER)
    assert not decision.is_export
    assert decision.makes_files
    assert decision.awaited is not None
    assert decision.awaited.reason == R.CHALLENGER_BETTER
    assert decision.explanation.endswith(f"run `best-exporter approve` with {OTHER}")


def test_time_between_exports_is_for_challengers_too():
    policy = compare_policy(
        larger("auc", alpha=0.05, challengers=2), min_seconds_between_exports=3600
    )
    record = pb.ExportRecord(version=7)
    record.exported_at.FromSeconds(999)
    decision = decided(*STRONG, policy=policy, latest_record=record)
    assert not decision.is_export
    assert kept(decision) == (OTHER, OLDER)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"being_written": "version 8 is being written"}, R.BEING_WRITTEN),
        ({"hold": pb.Hold()}, R.ON_HOLD),
        ({"rejection": pb.Rejection()}, R.REJECTED),
    ],
)
def test_gates_about_the_run_come_first(fields: dict[str, Any], reason: int):
    assert decided(*STRONG, **fields).reason == reason


def test_force_needs_no_evidence():
    policy = compare_policy(larger("auc", alpha=0.05, challengers=2), force="labels were wrong")
    decision = decided(*STRONG, policy=policy)
    assert (decision.reason, decision.judged) == (R.FORCED, None)


def test_best_that_was_replaced_may_be_kept():
    # At alpha 0.3, the best still has a chance of 20 % or more to be the better model.
    rows = {OLDER: 0.003}, {OLDER: 0.003, CANDIDATE: -0.02}
    decision = decided(*rows, alpha=0.3, contest={"can_keep_best": True})
    assert decision.challenger == OLDER
    assert kept(decision) == (BEST,)
    assert kept(decided(*rows, alpha=0.3)) == ()


@pytest.mark.parametrize(
    ("count", "limit", "expected"),
    [
        (2, None, (OTHER, OLDER)),
        (1, None, (OTHER,)),
        (3, None, (OTHER, OLDER)),
        (3, 40, (OTHER, OLDER, CANDIDATE)),
        (2, 25, (OTHER, CANDIDATE)),
        (2, 5, ()),
    ],
)
def test_number_and_size_of_challengers_are_limited(
    count: int, limit: int | None, expected: tuple[str, ...]
):
    policy = compare_policy(
        larger("auc", alpha=0.05, challengers=count), max_challenger_bytes=limit
    )
    row = {OLDER: 0.004, OTHER: 0.005, CANDIDATE: 0.003}
    decision = decided(row, policy=policy, sizes={OLDER: 20, OTHER: 10, CANDIDATE: 10, BEST: 15})
    assert kept(decision) == expected


def test_tie_breaker_still_decides():
    policy = compare_policy(
        larger("auc", alpha=0.05, challengers=2), tie_breakers=[larger("recall")]
    )
    recalls = {BEST: {"recall": 0.5}, CANDIDATE: {"recall": 0.6}}
    decision = decided({CANDIDATE: 0.003}, policy=policy, others=recalls)
    assert decision.reason == R.BETTER
    worse = {BEST: {"recall": 0.5}, CANDIDATE: {"recall": 0.4}}
    assert decided({CANDIDATE: 0.003}, policy=policy, others=worse).reason == R.KEPT_AS_CHALLENGER


def test_old_best_is_replaced_by_a_candidate_that_is_not_worse():
    record = pb.ExportRecord(version=7)
    record.exported_at.FromSeconds(0)
    policy = compare_policy(
        larger("auc", alpha=0.05, challengers=2), max_best_age_seconds=100, old_best_margin=0.02
    )
    decision = decided({CANDIDATE: 0.001}, policy=policy, best={"record": record})
    assert decision.reason == R.BEST_TOO_OLD
    assert decision.judged is not None
    assert decision.judged.promoted == CANDIDATE
    assert decision.judged.why[CANDIDATE] == decision.explanation
    # A challenger with enough evidence goes first.
    rows = {OLDER: 0.012}, {OLDER: 0.012, CANDIDATE: 0.001}
    decision = decided(*rows, policy=policy, best={"record": record})
    assert (decision.reason, decision.challenger) == (R.CHALLENGER_BETTER, OLDER)
