from typing import Any

import pytest

from tests.executor.deciding.decided import (
    HIGHER,
    INF,
    NAN,
    R,
    decide_by,
    evaluation,
    interval,
    said,
)
from tfx_best_exporter.executor.deciding.eval_result import MetricValue
from tfx_best_exporter.executor.policies import at_least, compare_policy, larger, smaller
from tfx_best_exporter.proto import best_exporter_pb2 as pb

OLD = "the best (version 7) was exported 101 seconds ago, more than the maximum of 100 seconds"
NOW = 1000.0


def record(exported_at: float | None) -> pb.ExportRecord:
    result = pb.ExportRecord()
    if exported_at is not None:
        result.exported_at.FromNanoseconds(int(exported_at * 1e9))
    return result


def policy(margin: float = 0.01, alpha: float | None = None, **fields: Any) -> pb.ComparePolicy:
    return compare_policy(
        fields.pop("rule", larger("auc", alpha=alpha)),
        max_best_age_seconds=100,
        old_best_margin=margin,
        **fields,
    )


def decided(
    candidate: float | MetricValue,
    best: float | MetricValue = 0.9,
    *,
    by: pb.ComparePolicy | None = None,
    exported_at: float | None = 899.0,
    difference: MetricValue | None = None,
    **fields: Any,
):
    return decide_by(
        by or policy(),
        evaluation({"auc": candidate}, differences={"auc": difference} if difference else None),
        {"auc": best},
        basis=R.SAME_EVALUATION if difference else R.RECORDED_SAME_DATA,
        record=record(exported_at),
        now=NOW,
        **fields,
    )


@pytest.mark.parametrize(
    ("candidate", "reason", "explanation"),
    [
        (0.895, R.BEST_TOO_OLD, "and auc 0.895 is not worse than the best's 0.9 by more than 0.01"),
        (0.9, R.BEST_TOO_OLD, "and auc 0.9 is not worse than the best's 0.9 by more than 0.01"),
        # 0.9 - 0.89 is 0.010000000000000009.
        (0.89, R.BEST_TOO_OLD, "and auc 0.89 is not worse than the best's 0.9 by more than 0.01"),
        (0.8899, R.NOT_BETTER, "but auc 0.8899 is worse than the best's 0.9 by more than 0.01"),
        (-INF, R.NOT_BETTER, "but auc -inf is worse than the best's 0.9 by more than 0.01"),
    ],
)
def test_without_noise(candidate, reason, explanation):
    decision = decided(candidate)
    assert decision.reason == reason
    assert decision.is_export is (reason == R.BEST_TOO_OLD)
    rule = said(HIGHER, {"auc": candidate}, {"auc": 0.9})
    assert decision.explanation == f"{rule}; {OLD}, {explanation}"


# Student's t of 19 degrees of freedom, 95 %: 1.7291; of 38: 1.6860.
@pytest.mark.parametrize(
    ("candidate", "best", "difference", "reason", "explanation"),
    [
        pytest.param(
            0.895,
            0.9,
            interval(-0.005, 0.002),
            R.BEST_TOO_OLD,
            "and auc 0.895 is not worse than the best's 0.9 by more than 0.01: the 95 % lower bound"
            " of the improvement of -0.005 is -0.008458 (paired test)",
            id="excluded",
        ),
        pytest.param(
            0.895,
            0.9,
            interval(-0.005, 0.003),
            R.NOT_BETTER,
            "but auc 0.895 may be worse than the best's 0.9 by more than 0.01: the 95 % lower bound"
            " of the improvement of -0.005 is -0.01019 (paired test)",
            id="not excluded",
        ),
        pytest.param(
            interval(0.9, 0.004),
            interval(0.9, 0.004),
            None,
            R.BEST_TOO_OLD,
            "and auc 0.9 is not worse than the best's 0.9 by more than 0.01: the 95 % lower bound"
            " of the improvement of 0 is -0.009537 (unpaired test)",
            id="unpaired",
        ),
        pytest.param(
            0.895,
            0.9,
            None,
            R.NOT_BETTER,
            "but without confidence intervals it is not known how much worse auc may be",
            id="no intervals",
        ),
        pytest.param(
            0.902,
            0.9,
            interval(0.002, 0.003),
            R.BEST_TOO_OLD,
            "and auc 0.902 is not worse than the best's 0.9 by more than 0.01: the 95 % lower bound"
            " of the improvement of 0.002 is -0.003187 (paired test)",
            id="better, but not significantly",
        ),
        pytest.param(
            0.902,
            0.9,
            interval(0.002, 0.008),
            R.NOT_SIGNIFICANT,
            "but auc 0.902 may be worse than the best's 0.9 by more than 0.01: the 95 % lower bound"
            " of the improvement of 0.002 is -0.01183 (paired test)",
            id="better, but too noisy",
        ),
    ],
)
def test_with_noise(candidate, best, difference, reason, explanation):
    decision = decided(candidate, best, by=policy(alpha=0.05), difference=difference)
    assert decision.reason == reason
    assert decision.explanation.endswith(f"; {OLD}, {explanation}")


def test_a_smaller_metric():
    by = policy(rule=smaller("auc"))
    assert decided(0.905, by=by).reason == R.BEST_TOO_OLD
    assert decided(0.915, by=by).reason == R.NOT_BETTER


@pytest.mark.parametrize(
    ("exported_at", "reason"),
    [
        pytest.param(900.0, R.NOT_BETTER, id="young"),
        pytest.param(899.9, R.BEST_TOO_OLD, id="old"),
        pytest.param(5000.0, R.NOT_BETTER, id="in the future"),
        pytest.param(None, R.NOT_BETTER, id="unknown"),
    ],
)
def test_the_age(exported_at: float | None, reason: int):
    decision = decided(0.895, exported_at=exported_at)
    assert decision.reason == reason
    assert ("exported" in decision.explanation) is (reason == R.BEST_TOO_OLD)


@pytest.mark.parametrize(
    ("candidate", "best", "fields", "reason"),
    [
        pytest.param(0.95, 0.9, {}, R.BETTER, id="better"),
        pytest.param(NAN, 0.9, {}, R.CANDIDATE_IS_NAN, id="NaN"),
        pytest.param(0.1, NAN, {}, R.BEST_IS_NAN, id="the best is NaN"),
        pytest.param(INF, INF, {}, R.NOT_BETTER, id="two infinities"),
        pytest.param(0.895, 0.9, {"force": "why"}, R.FORCED, id="force"),
        pytest.param(
            0.895, 0.9, {"guardrails": [at_least("auc", 0.899)]}, R.GUARDRAIL_FAILED, id="guardrail"
        ),
        pytest.param(
            0.895,
            0.9,
            {"comparability": "REQUIRE_SAME_DATA", "basis": R.RECORDED_OTHER_DATA},
            R.NOT_COMPARABLE,
            id="other data",
        ),
    ],
)
def test_other_gates(candidate, best, fields, reason):
    basis = fields.pop("basis", R.RECORDED_SAME_DATA)
    decision = decide_by(
        policy(**fields),
        {"auc": candidate},
        {"auc": best},
        basis=basis,
        record=record(899.0),
        now=NOW,
    )
    assert decision.reason == reason


def test_the_time_between_exports_applies():
    by = policy(min_seconds_between_exports=200)
    decision = decided(0.895, by=by, latest_record=record(899.0))
    assert decision.reason == R.EXPORTED_RECENTLY


def test_only_the_first_metric_counts():
    by = compare_policy(
        larger("auc"),
        tie_breakers=[smaller("ms")],
        max_best_age_seconds=100,
        old_best_margin=0.01,
    )
    decision = decide_by(
        by, {"auc": 0.9, "ms": 9}, {"auc": 0.9, "ms": 3}, record=record(899.0), now=NOW
    )
    assert decision.reason == R.BEST_TOO_OLD


def test_without_a_margin_a_tie_replaces_an_old_best():
    assert decided(0.9, by=policy(0.0)).reason == R.BEST_TOO_OLD
    assert decided(0.8999, by=policy(0.0)).reason == R.NOT_BETTER
