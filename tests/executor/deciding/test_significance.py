import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.errors import about
from tests.executor.deciding.decided import NAN, SIGNIFICANT, R, decide_by, evaluation, interval
from tfx_best_exporter.executor.deciding import significance
from tfx_best_exporter.executor.deciding.eval_result import MetricValue
from tfx_best_exporter.executor.deciding.significance import MissingIntervalError
from tfx_best_exporter.executor.policies import compare_policy, larger, smaller
from tfx_best_exporter.proto import best_exporter_pb2 as pb


# Student's t of 19 degrees of freedom, 95 %: 1.7291; of 38: 1.6860; of the normal: 1.6449.
@pytest.mark.parametrize(
    ("candidate", "best", "difference", "reason", "method", "lower_bound"),
    [
        # Welch: standard error sqrt(2) * 0.01, 38 degrees of freedom.
        pytest.param(
            interval(0.93, 0.01), interval(0.9, 0.01), None, R.BETTER, "WELCH", 0.006157, id="more"
        ),
        pytest.param(
            interval(0.92, 0.01),
            interval(0.9, 0.01),
            None,
            R.NOT_SIGNIFICANT,
            "WELCH",
            -0.003843,
            id="noise",
        ),
        # 0.02 - 1.7291 * 0.005; the models' own errors do not count.
        pytest.param(
            interval(0.92, 0.01),
            interval(0.9, 0.01),
            interval(0.02, 0.005),
            R.BETTER,
            "PAIRED",
            0.011354,
            id="paired",
        ),
        pytest.param(
            interval(0.92, None),
            interval(0.9, None),
            interval(0.02, 0.005),
            R.BETTER,
            "PAIRED",
            0.011354,
            id="paired, without their own",
        ),
        pytest.param(
            interval(0.92, 0.01),
            interval(0.9, 0.01),
            interval(0.02, None),
            R.NOT_SIGNIFICANT,
            "WELCH",
            -0.003843,
            id="a difference without an error",
        ),
        pytest.param(
            interval(0.92, 0.0), interval(0.9, 0.0), None, R.BETTER, "WELCH", 0.02, id="no error"
        ),
        # Welch with one exact estimate: 19 degrees of freedom.
        pytest.param(
            interval(0.92, 0.01),
            interval(0.9, 0.0),
            None,
            R.BETTER,
            "WELCH",
            0.002709,
            id="one error",
        ),
        # 0.02 - 1.6449 * sqrt(2) * 0.01.
        pytest.param(
            interval(0.92, 0.01, None),
            interval(0.9, 0.01, None),
            None,
            R.NOT_SIGNIFICANT,
            "WELCH",
            -0.003262,
            id="normal",
        ),
    ],
)
def test_significance(
    candidate: MetricValue,
    best: MetricValue,
    difference: MetricValue | None,
    reason: int,
    method: str,
    lower_bound: float,
):
    decision = decide_by(
        SIGNIFICANT,
        evaluation({"auc": candidate}, differences={"auc": difference} if difference else {}),
        {"auc": best},
        basis=R.SAME_EVALUATION,
    )
    assert decision.reason == reason
    (compared,) = decision.comparisons
    assert compared.significance
    assert pb.SignificanceTest.Method.Name(compared.significance.method) == method
    assert compared.significance.lower_bound == pytest.approx(lower_bound, abs=1e-6)
    assert compared.significance.is_significant == (reason == R.BETTER)


def test_a_difference_to_another_model_is_ignored():
    candidate = evaluation(
        {"auc": interval(0.92, 0.01)}, differences={"auc": interval(0.5, 0.0001)}
    )
    decision = decide_by(
        SIGNIFICANT, candidate, {"auc": interval(0.9, 0.01)}, basis=R.RECORDED_SAME_DATA
    )
    assert decision.reason == R.NOT_SIGNIFICANT
    (compared,) = decision.comparisons
    assert compared.significance
    assert compared.significance.method == pb.SignificanceTest.WELCH
    assert compared.significance.lower_bound == pytest.approx(-0.003843, abs=1e-6)


def test_a_difference_of_both_evaluated_again_together():
    together = evaluation({}, differences={"auc": interval(0.02, 0.005)})
    decision = decide_by(
        SIGNIFICANT,
        {"auc": interval(0.92, 0.01)},
        {"auc": interval(0.9, 0.01)},
        basis=R.EVALUATED_AGAIN,
        together=together,
    )
    assert decision.reason == R.BETTER
    (compared,) = decision.comparisons
    assert compared.significance
    assert compared.significance.method == pb.SignificanceTest.PAIRED
    assert compared.significance.lower_bound == pytest.approx(0.011354, abs=1e-6)


def test_significance_of_a_smaller_metric_and_a_threshold():
    policy = compare_policy(smaller("loss", by=0.01, alpha=0.05))
    candidate = evaluation(
        {"loss": interval(0.28, 0.01)}, differences={"loss": interval(-0.02, 0.001)}
    )
    decision = decide_by(policy, candidate, {"loss": 0.3}, basis=R.SAME_EVALUATION)
    assert decision.reason == R.BETTER
    (compared,) = decision.comparisons
    assert compared.significance
    assert compared.significance.method == pb.SignificanceTest.PAIRED
    assert compared.significance.lower_bound == pytest.approx(0.0182709, abs=1e-7)
    # The improvement is significant, but not significantly larger than required.
    policy = compare_policy(smaller("loss", by=0.019, alpha=0.05))
    decision = decide_by(policy, candidate, {"loss": 0.3}, basis=R.SAME_EVALUATION)
    assert decision.reason == R.NOT_SIGNIFICANT


@pytest.mark.parametrize(
    ("candidate", "best", "whose", "got"),
    [
        (0.92, interval(0.9, 0.01), "the candidate's", "'auc', at /eval/5"),
        (interval(0.92, 0.01), 0.9, "the best's", "'auc', at /eval/5"),
        (interval(0.92, NAN), interval(0.9, 0.01), "the candidate's", "'auc', at /eval/5"),
    ],
)
def test_intervals_that_are_absent(candidate: Any, best: Any, whose: str, got: str):
    with pytest.raises(MissingIntervalError) as caught:
        decide_by(SIGNIFICANT, {"auc": candidate}, {"auc": best})
    assert str(caught.value) == (
        f"compare_policy.metric.significance must find confidence intervals in {whose} evaluation"
        f" (got none for {got}). Set options {{ compute_confidence_intervals {{ value: true }} }}"
        " in Evaluator's EvalConfig, or leave significance out until both evaluations have them."
    )


def test_without_a_best_no_interval_is_needed():
    assert decide_by(SIGNIFICANT, {"auc": 0.9}, is_served=False).reason == R.FIRST_EXPORT


def test_against_a_foreign_best_without_intervals():
    decision = decide_by(SIGNIFICANT, {"auc": interval(0.9, 0.01)}, {"auc": 0.8}, is_foreign=True)
    assert decision.reason == R.BEST_UNKNOWN_KEPT
    assert re.match(about("compare_policy.metric.significance"), decision.warnings[0])
    # The candidate's own evaluation must have the interval.
    with pytest.raises(MissingIntervalError) as caught:
        decide_by(SIGNIFICANT, {"auc": 0.9}, {"auc": interval(0.8, 0.01)}, is_foreign=True)
    assert caught.value.is_candidates


def test_an_interval_without_degrees_of_freedom_does_not_count():
    with pytest.raises(MissingIntervalError):
        decide_by(SIGNIFICANT, {"auc": interval(0.9, 0.01, 0)}, {"auc": interval(0.8, 0.01)})


def test_an_interval_that_a_tie_breaker_lacks():
    policy = compare_policy(larger("auc"), tie_breakers=[larger("ndcg", alpha=0.05)])
    with pytest.raises(
        MissingIntervalError, match=about("compare_policy.tie_breakers[0].significance")
    ):
        decide_by(policy, {"auc": 0.9, "ndcg": 0.6}, {"auc": 0.9, "ndcg": 0.5})


def test_a_confidence_that_is_nearly_one():
    policy = compare_policy(larger("auc", alpha=1e-9))
    decision = decide_by(policy, {"auc": interval(0.9, 0.001)}, {"auc": interval(0.8, 0.001)})
    (compared,) = decision.comparisons
    assert compared.significance
    assert compared.significance.alpha == 1e-9
    # 0.1 - 7.8148 * sqrt(2) * 0.001, with Student's t of 38 degrees of freedom.
    assert compared.significance.lower_bound == pytest.approx(0.0889486, abs=1e-7)


@given(st.floats(0.001, 0.49), st.floats(0, 1), st.floats(0.0001, 0.5), st.floats(1, 1000))
def test_a_smaller_alpha_never_lets_more_pass(
    alpha: float, improvement: float, standard_error: float, degrees_of_freedom: float
):
    candidate = {"auc": interval(improvement, standard_error, degrees_of_freedom)}
    best = {"auc": interval(0, standard_error, degrees_of_freedom)}
    strict = decide_by(compare_policy(larger("auc", alpha=alpha / 2)), candidate, best)
    lenient = decide_by(compare_policy(larger("auc", alpha=alpha)), candidate, best)
    assert lenient.is_export or not strict.is_export


class TestChanceNoBetter:
    @pytest.mark.parametrize("degrees_of_freedom", [3.5, 19, math.inf])
    @pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
    def test_is_alpha_where_the_lower_bound_is_required(self, degrees_of_freedom, alpha):
        excess = -significance.lower_bound_of(0.0, 0.01, degrees_of_freedom, alpha)
        found = significance.chance_no_better(excess, 0.01, degrees_of_freedom)
        assert found == pytest.approx(alpha)

    @pytest.mark.parametrize(("excess", "expected"), [(0.1, 0.0), (0.0, 1.0), (-0.1, 1.0)])
    def test_is_certain_without_noise(self, excess, expected):
        assert significance.chance_no_better(excess, 0.0, 19) == expected
