"""Intervals of the changes on slices: at 95 % for all slices together."""

from collections.abc import Mapping
from typing import Any

import pytest
from scipy import stats

from tests.executor.deciding.decided import interval
from tfx_best_exporter.executor.deciding.decide import slice_changes
from tfx_best_exporter.executor.deciding.eval_result import EvalResult, MetricKey, MetricValue
from tfx_best_exporter.executor.deciding.models import Best, Candidate, Observation
from tfx_best_exporter.executor.deciding.policy import policy_from_proto
from tfx_best_exporter.executor.deciding.slice_intervals import with_intervals
from tfx_best_exporter.executor.deciding.slices import SliceChange
from tfx_best_exporter.executor.policies import compare_policy, larger, smaller

AUC = MetricKey(name="auc")


def sliced(values: Mapping[Any, MetricValue], differences: Any = None) -> EvalResult:
    """Returns an evaluation with the values on slices by country."""
    return EvalResult(
        {AUC: MetricValue(value=0.9)},
        slices={
            (("country", name),): EvalResult(
                {AUC: value},
                differences={} if differences is None else {AUC: differences[name]},
            )
            for name, value in values.items()
        },
    )


def changes_of(
    candidate: EvalResult,
    best: EvalResult | None,
    *,
    together: EvalResult | None = None,
    count: int = 1,
    rule: Any = None,
) -> list[SliceChange]:
    observation = Observation(
        candidate=Candidate(digest="c", eval_result=candidate),
        best=Best(version=1, digest="b", eval_result=best, together=together),
    )
    policy = policy_from_proto(compare_policy(rule or larger("auc")), lambda _: bool)
    changes = slice_changes(observation, policy)
    return with_intervals(changes, observation, policy, count)


@pytest.mark.parametrize("count", [1, 300])
def test_interval_of_independent_evaluations(count: int):
    [change] = changes_of(
        sliced({"nl": interval(0.85, 0.003)}), sliced({"nl": interval(0.9, 0.004)}), count=count
    )
    # The standard errors are added as in Welch's test: 3, 4 and 5 are a right triangle.
    degrees = 0.005**4 / (0.003**4 / 19 + 0.004**4 / 19)
    half = stats.t.ppf(1 - 0.05 / (2 * count), degrees) * 0.005
    assert change.improvement_lower_bound == pytest.approx(-0.05 - half)
    assert change.improvement_upper_bound == pytest.approx(-0.05 + half)


def test_interval_is_that_of_the_difference_if_both_were_evaluated_together():
    candidate, best = sliced({"nl": interval(0.85, 0.03)}), sliced({"nl": interval(0.9, 0.03)})
    together = sliced({"nl": interval(0.85, 0.03)}, {"nl": interval(-0.05, 0.001)})
    [change] = changes_of(candidate, best, together=together, rule=smaller("auc"))
    half = stats.t.ppf(0.975, 19) * 0.001
    assert change.improvement == pytest.approx(0.05)
    assert change.improvement_lower_bound == pytest.approx(0.05 - half)
    assert change.improvement_upper_bound == pytest.approx(0.05 + half)


def test_slices_keep_their_order_and_numbers_match_texts():
    candidate = sliced({1: interval(0.8, 0.01), 2: interval(0.95, 0.02)})
    best = sliced({"1": interval(0.9, 0.01), "2": interval(0.9, 0.01)})
    changes = changes_of(candidate, best)
    assert [change.slice for change in changes] == [(("country", "1"),), (("country", "2"),)]
    widths = [
        (change.improvement_upper_bound or 0) - (change.improvement_lower_bound or 0)
        for change in changes
    ]
    assert 0 < widths[0] < widths[1]


@pytest.mark.parametrize(
    ("candidate", "best"),
    [
        pytest.param(MetricValue(value=0.8), interval(0.9, 0.01), id="the candidate has none"),
        pytest.param(interval(0.8, 0.01), MetricValue(value=0.9), id="the best has none"),
        pytest.param(interval(float("nan"), 0.01), interval(0.9, 0.01), id="NaN"),
        pytest.param(interval(float("-inf"), 0.01), interval(0.9, 0.01), id="infinite"),
    ],
)
def test_no_interval(candidate: MetricValue, best: MetricValue):
    [change] = changes_of(sliced({"nl": candidate}), sliced({"nl": best}))
    assert (change.improvement_lower_bound, change.improvement_upper_bound) == (None, None)


def test_nothing_is_compared_without_an_evaluation_of_the_best():
    assert changes_of(sliced({"nl": interval(0.8, 0.01)}), None) == []
