"""The metrics of candidate and best, those of the rule first, and the tests of differences."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence

from tfx_best_exporter.executor.deciding.eval_result import EXAMPLE_COUNT, MetricKey
from tfx_best_exporter.executor.deciding.known_metrics import known_direction
from tfx_best_exporter.executor.deciding.metrics import improvement_of
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
    """Returns the metrics that were compared, then all others, or None if there are none."""
    metrics = [_metric(each) for each in (*decision.comparisons, *_others(decision))]
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


def _others(decision: pb.ExportDecision) -> Iterator[pb.MetricComparison]:
    """Yields each metric of the two evaluations that was not compared, by name."""
    compared = {each.metric for each in decision.comparisons}
    candidate = _by_name(decision.candidate_evaluation)
    best = _by_name(decision.best.evaluation)
    for name in sorted({*candidate, *best} - compared):
        result = pb.MetricComparison(metric=name)
        for side, metric in (("candidate", candidate.get(name)), ("best", best.get(name))):
            if metric is None:
                continue
            setattr(result, side, metric.value)
            for bound in ("lower_bound", "upper_bound"):
                if metric.HasField(bound):
                    setattr(result, f"{side}_{bound}", getattr(metric, bound))
        if name not in candidate or name not in best:
            yield result
            continue
        direction = known_direction(candidate[name].key.name)
        if direction:
            result.direction = direction
            result.improvement = improvement_of(result.candidate, result.best, direction)
        yield result


def _by_name(evaluation: pb.Evaluation) -> dict[str, pb.MetricValue]:
    """Returns metrics by name, without the number of examples, which the head of the page has."""
    found = {str(MetricKey.from_proto(each.key)): each for each in evaluation.metrics}
    return {name: each for name, each in found.items() if each.key.name != EXAMPLE_COUNT}


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
