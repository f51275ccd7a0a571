"""The metrics that were compared, and the tests of their differences."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from tfx_best_exporter.executor.reports import charts, wording
from tfx_best_exporter.executor.reports.sections import fields
from tfx_best_exporter.executor.reports.sections.fields import Rows, Value
from tfx_best_exporter.proto import best_exporter_pb2 as pb

_METHODS: Mapping[int, str] = {
    pb.SignificanceTest.PAIRED: (
        "Paired test: both models were evaluated together, on the same examples."
    ),
    pb.SignificanceTest.WELCH: (
        "Unpaired test (Welch): the two models were evaluated independently."
    ),
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Metric:
    name: str
    direction: str
    candidate: Value
    best: Value | None
    change: str
    required: str
    # "enough", "noise" or "short"; empty if nothing is required.
    outcome: str
    # Value that the candidate had to beat: its position in percent, and its text.
    goal: float | None
    goal_value: str
    ticks: Sequence[charts.Tick]
    # True if there is more to draw than one mark.
    has_chart: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Metrics:
    rows: Rows[_Metric]
    has_best: bool
    has_chart: bool
    has_goal: bool
    has_interval: bool


def section(decision: pb.ExportDecision) -> _Metrics | None:
    """Returns the metrics that were compared, or None if there are none."""
    metrics = [_metric(comparison) for comparison in decision.comparisons]
    if not metrics:
        return None
    return _Metrics(
        rows=Rows.of(metrics),
        has_best=any(metric.best for metric in metrics),
        has_chart=any(metric.has_chart for metric in metrics),
        has_goal=any(metric.goal is not None for metric in metrics),
        has_interval=any(
            value is not None and value.mark is not None and value.mark.low is not None
            for metric in metrics
            for value in (metric.candidate, metric.best)
        ),
    )


def _metric(comparison: pb.MetricComparison) -> _Metric:
    candidate, best = fields.interval(comparison, "candidate"), fields.interval(comparison, "best")
    improvement = fields.optional(comparison, "improvement")
    required = fields.optional(comparison, "required")
    sign = {pb.HIGHER_IS_BETTER: 1, pb.LOWER_IS_BETTER: -1}.get(comparison.direction, 0)
    goal = None
    # Without a margin the value to beat is the best's own, which is drawn already.
    if sign and required and best[0] is not None and math.isfinite(best[0] + required):
        goal = best[0] + sign * required
    scale = charts.scale_of([*candidate, *best, goal])
    values = (
        fields.value(candidate, scale, best[0], goal),
        fields.value(best, scale, candidate[0], goal),
    )
    marks = [value.mark for value in values if value.mark]
    return _Metric(
        name=comparison.metric,
        direction=wording.DIRECTIONS.get(comparison.direction, ""),
        candidate=values[0],
        best=None if best[0] is None else values[1],
        change="" if improvement is None else wording.change(improvement, required),
        required="" if required is None else f"more than {wording.number(required, improvement)}",
        outcome=_outcome(comparison),
        goal=None if scale is None or goal is None else scale.at(goal),
        goal_value=fields.number(goal, candidate[0], best[0]),
        ticks=scale.ticks() if scale else (),
        has_chart=len(marks) > 1 or any(mark.low is not None for mark in marks),
    )


def _outcome(comparison: pb.MetricComparison) -> str:
    if not (comparison.HasField("improvement") and comparison.HasField("required")):
        return ""
    if not comparison.improvement > comparison.required:
        return "short"
    is_noise = comparison.HasField("significance") and not comparison.significance.is_significant
    return "noise" if is_noise else "enough"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Test:
    metric: str
    is_significant: bool
    method: str
    sentence: str


def tests(decision: pb.ExportDecision) -> Rows[_Test]:
    """Returns the tests of significance, one for each metric that has one."""
    return Rows.of(
        _test(comparison)
        for comparison in decision.comparisons
        if comparison.HasField("significance")
    )


def _test(comparison: pb.MetricComparison) -> _Test:
    test, required = comparison.significance, comparison.required
    improvement = fields.optional(comparison, "improvement")
    subject = "No change"
    if improvement:
        subject = f"The candidate is {wording.change(improvement, test.lower_bound, required)}"
    return _Test(
        metric=comparison.metric,
        is_significant=test.is_significant,
        method=_METHODS.get(test.method, ""),
        sentence=(
            f"{subject}, with a standard error of {wording.number(test.standard_error)} and"
            f" {wording.number(test.degrees_of_freedom)} degrees of freedom. With"
            f" {wording.confidence(test.alpha)} confidence (one-sided, alpha"
            f" {wording.number(test.alpha)}), the improvement is larger than"
            f" {wording.number(test.lower_bound, required, improvement)}. This is"
            f" {'' if test.is_significant else 'not '}more than the required"
            f" {wording.number(required, test.lower_bound, improvement)}."
        ),
    )
