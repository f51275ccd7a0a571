"""What "better" means: the protocol of a rule, and the rule by a metric with tie-breakers.

The table of the kinds of rule is `RULES` in policy.py.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from typing import Protocol

from tfx_best_exporter.executor.arguments.errors import FieldValueError, PathError, within
from tfx_best_exporter.executor.deciding import numbers, significance
from tfx_best_exporter.executor.deciding.eval_result import (
    EvalResult,
    MetricKey,
    MissingMetricError,
)
from tfx_best_exporter.executor.deciding.metrics import check_metric, improvement_of
from tfx_best_exporter.executor.deciding.significance import MissingIntervalError, SignificanceTest
from tfx_best_exporter.proto import best_exporter_pb2 as pb


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How one metric compared; the fields of pb.MetricComparison."""

    metric: str
    direction: int = pb.METRIC_DIRECTION_UNSPECIFIED
    candidate: float | None = None
    best: float | None = None
    improvement: float | None = None
    required: float | None = None
    candidate_lower_bound: float | None = None
    candidate_upper_bound: float | None = None
    best_lower_bound: float | None = None
    best_upper_bound: float | None = None
    significance: SignificanceTest | None = None


class Outcome(enum.Enum):
    """What a rule says of a candidate."""

    BETTER = "better"
    BETTER_THAN_NAN = "better than NaN"
    NOT_SIGNIFICANT = "better, but by no more than noise"
    TIE = "a tie"
    NOT_BETTER = "not better"
    NOT_COMPARABLE = "not comparable"


_LEAST_ALPHA = 1e-9
_TIES = (Outcome.TIE, Outcome.NOT_SIGNIFICANT)
AGAINST_NAN = {
    Outcome.BETTER_THAN_NAN: "the best is NaN",
    Outcome.NOT_BETTER: "neither is finite",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a rule says of a pair of evaluations.

    Attributes:
        outcome: BETTER where there is no best; meaningless where the candidate's value is NaN.
        explanation: One clause, with the numbers.
        comparisons: The metrics that the rule looked at.
        problem: Only for NOT_COMPARABLE: the error to raise where that is not tolerated. An
            evaluation lacks a metric or an interval that the rule needs of the best, or to compare
            with it.
    """

    outcome: Outcome
    explanation: str
    comparisons: tuple[Comparison, ...]
    problem: PathError | None = None


class Rule(Protocol):
    """What "better" means. A new kind is a class like this, and a row of `RULES` in policy.py.

    Attributes:
        metrics: Those that it compares; None if that is known only when it runs.
        needs_intervals: Whether it asks that an improvement be more than noise.
        leading: The rule by a metric that comes first; None if there is none. Slices are compared
            by it.
    """

    @property
    def metrics(self) -> tuple[MetricKey, ...] | None:
        """Those that it compares; None if that is known only when it runs."""
        ...

    @property
    def needs_intervals(self) -> bool:
        """Whether it asks that an improvement be more than noise."""
        ...

    @property
    def leading(self) -> MetricRule | None:
        """The rule by a metric that comes first, or None."""
        ...

    def for_candidate(self, model_name: str) -> Rule:
        """Returns the rule in which the candidate's own metrics go by no model's name.

        Args:
            model_name: The candidate's name in its evaluation. The best's evaluations know the
                model by other names, or by none.
        """
        ...

    def compare(
        self,
        *,
        best: EvalResult | None,
        candidate: EvalResult,
        together: EvalResult | None = None,
    ) -> Verdict:
        """Returns the verdict; without a best, only which metrics it would look at.

        Args:
            best: Its evaluation, or None.
            candidate: Its evaluation.
            together: Evaluation of both together, whose differences are those to the best, or None.

        Raises:
            MissingMetricError: The candidate's evaluation lacks a metric of the rule.
        """
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MetricRule:
    """Better by a metric, a direction and the smallest change that counts.

    Attributes:
        key: The metric.
        direction: pb.LOWER_IS_BETTER or pb.HIGHER_IS_BETTER.
        min_absolute_change: The improvement must be larger; in the metric's unit.
        min_relative_change: The improvement must be larger than this share of abs(best). Nothing
            is asked where the best is 0 or infinite.
        alpha: The improvement must be more than noise, at 1 - alpha; None: noise is not looked at.
        tie_tolerance: Worse by no more than this is a tie; in the metric's unit.
    """

    key: MetricKey
    direction: pb.MetricDirection
    min_absolute_change: float = 0.0
    min_relative_change: float = 0.0
    alpha: float | None = None
    tie_tolerance: float = 0.0

    @classmethod
    def from_proto(cls, proto: pb.MetricRule) -> MetricRule:
        """Returns the rule that a proto states.

        Raises:
            FieldValueError: The rule is incomplete or its thresholds are no sizes of a change.
        """
        check_metric(proto.metric, proto.direction)
        for name in ("min_absolute_change", "min_relative_change", "tie_tolerance"):
            value = getattr(proto, name)
            if not 0 <= value < math.inf:
                raise FieldValueError(
                    name,
                    f"must be a finite number, 0 or larger (got {value!r})."
                    " It is the size of an improvement, whichever the direction.",
                )
        alpha = None
        if proto.HasField("significance"):
            has_alpha = proto.significance.HasField("alpha")
            alpha = proto.significance.alpha if has_alpha else significance.DEFAULT_ALPHA
        if alpha is not None and not _LEAST_ALPHA <= alpha < 0.5:
            raise FieldValueError(
                "significance.alpha",
                f"must be at least {_LEAST_ALPHA} and smaller than 0.5 (got {alpha!r}). Use 0.05 to"
                " let one in twenty candidates pass that are not better.",
            )
        return cls(
            key=MetricKey.from_proto(proto.metric),
            direction=proto.direction,
            min_absolute_change=proto.min_absolute_change,
            min_relative_change=proto.min_relative_change,
            alpha=alpha,
            tie_tolerance=proto.tie_tolerance,
        )

    @property
    def metrics(self) -> tuple[MetricKey, ...]:
        """Its metric."""
        return (self.key,)

    @property
    def needs_intervals(self) -> bool:
        """Whether alpha is given."""
        return self.alpha is not None

    @property
    def leading(self) -> MetricRule:
        """The rule itself."""
        return self

    def for_candidate(self, model_name: str) -> MetricRule:
        """Returns the rule in which the candidate's own metric goes by no model's name."""
        return dataclasses.replace(self, key=self.key.for_candidate(model_name))

    def compare(
        self,
        *,
        best: EvalResult | None,
        candidate: EvalResult,
        together: EvalResult | None = None,
    ) -> Verdict:
        """Returns whether the candidate's value is better by more than the thresholds."""
        return InOrder(rules=(self,)).compare(best=best, candidate=candidate, together=together)

    def verdict(
        self, *, best: EvalResult | None, candidate: EvalResult, together: EvalResult | None
    ) -> Verdict:
        """Returns what `compare` does; the paths of errors are relative to the rule.

        Raises:
            MissingMetricError: The candidate's evaluation lacks the metric.
        """
        value = candidate.find(self.key)
        if value is None:
            raise candidate.missing(str(self.key), "metric.name")
        beside = None if together is None else together.find(self.key)
        if beside is not None and not math.isnan(value.value):
            # As it was measured beside the best: the difference is of these.
            value = beside
        comparison = Comparison(
            metric=str(self.key),
            direction=self.direction,
            candidate=value.value,
            candidate_lower_bound=value.lower_bound,
            candidate_upper_bound=value.upper_bound,
        )
        alone = Verdict(
            outcome=Outcome.BETTER,
            explanation=f"{self.key} is {value.value:.6g}",
            comparisons=(comparison,),
        )
        if best is None:
            return alone
        best_value = best.find(self.key)
        if best_value is None:
            return self._not_comparable(alone, self._missing_in_best(best))
        improvement = improvement_of(value.value, best_value.value, self.direction)
        required = self.min_absolute_change
        if math.isfinite(best_value.value):
            required = max(required, self.min_relative_change * abs(best_value.value))
        test = None
        # What is not better, or infinitely so, needs no test, and no intervals.
        is_more = _is_more(improvement, required, value.value, best_value.value)
        if self.alpha is not None and is_more and improvement < math.inf:
            try:
                test = significance.significance_of(
                    improvement,
                    key=self.key,
                    candidate=candidate,
                    best=best,
                    together=together,
                    alpha=self.alpha,
                    required=required,
                )
            except MissingIntervalError as error:
                return self._not_comparable(alone, error)
        outcome = self._outcome(value.value, best_value.value, improvement, required, test)
        return Verdict(
            outcome=outcome,
            explanation=self._explanation(
                outcome, value.value, best_value.value, improvement, required, test
            ),
            comparisons=(
                dataclasses.replace(
                    comparison,
                    best=best_value.value,
                    best_lower_bound=best_value.lower_bound,
                    best_upper_bound=best_value.upper_bound,
                    improvement=improvement,
                    required=required,
                    significance=test,
                ),
            ),
        )

    def _not_comparable(self, alone: Verdict, problem: PathError) -> Verdict:
        return dataclasses.replace(alone, outcome=Outcome.NOT_COMPARABLE, problem=problem)

    def _missing_in_best(self, best: EvalResult) -> MissingMetricError:
        return MissingMetricError(
            "metric.name",
            "must be a metric of the best's evaluation too"
            f" (got {str(self.key)!r}, at {best.uri or 'its record'})."
            f" Found: {', '.join(sorted(best)) or 'none'}. Compare by one of these until a"
            " model with the metric is exported.",
        )

    def _outcome(
        self,
        value: float,
        best_value: float,
        improvement: float,
        required: float,
        test: SignificanceTest | None,
    ) -> Outcome:
        if math.isnan(best_value):
            # Against NaN every comparison is false: without this, the best would stay for ever.
            return Outcome.BETTER_THAN_NAN if math.isfinite(value) else Outcome.NOT_BETTER
        if _is_more(improvement, required, value, best_value):
            is_noise = test is not None and not test.is_significant
            return Outcome.NOT_SIGNIFICANT if is_noise else Outcome.BETTER
        # Of two equal infinities the difference is NaN: they are a tie all the same.
        rounding = numbers.rounding_of(value, best_value) if self.tie_tolerance else 0.0
        if value == best_value or improvement >= -self.tie_tolerance - rounding:
            return Outcome.TIE
        return Outcome.NOT_BETTER

    def _explanation(
        self,
        outcome: Outcome,
        value: float,
        best_value: float,
        improvement: float,
        required: float,
        test: SignificanceTest | None,
    ) -> str:
        comparative = "larger" if self.direction == pb.HIGHER_IS_BETTER else "smaller"
        margin = f" by more than {required:.6g}" if required else ""
        value_text, best_text = numbers.apart(value, best_value)
        pair = f"{comparative} than the best's {best_text}{margin}"
        if test is None or outcome not in (Outcome.BETTER, Outcome.NOT_SIGNIFICANT):
            is_better = outcome is Outcome.BETTER
            text = f"{self.key} {value_text} is {'' if is_better else 'not '}{pair}"
            if math.isnan(best_value) and not math.isnan(value):
                return f"{AGAINST_NAN[outcome]}: {text}"
            return text
        kind = "paired" if test.method == pb.SignificanceTest.PAIRED else "independent"
        confidence = f"{1 - test.alpha:.6g}" if test.alpha > 1e-6 else f"1 - {test.alpha:g}"
        noise = (
            f"the improvement {improvement:.6g} is at least {test.lower_bound:.6g} at"
            f" {confidence}, {kind} estimates"
        )
        if outcome is Outcome.BETTER:
            return f"{self.key} {value_text} is {pair}, and not by chance: {noise}"
        return f"{self.key} {value_text} is {pair}, but that may be chance: {noise}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InOrder:
    """The first of several rules that finds no tie.

    Attributes:
        rules: At least one; those after the first are tie-breakers.
    """

    rules: tuple[MetricRule, ...]

    @property
    def metrics(self) -> tuple[MetricKey, ...]:
        """The metrics of all rules, in order."""
        return tuple(rule.key for rule in self.rules)

    @property
    def needs_intervals(self) -> bool:
        """Whether any rule asks that an improvement be more than noise."""
        return any(rule.needs_intervals for rule in self.rules)

    @property
    def leading(self) -> MetricRule:
        """The first rule."""
        return self.rules[0]

    def for_candidate(self, model_name: str) -> InOrder:
        """Returns the rules in which the candidate's own metrics go by no model's name."""
        return InOrder(rules=tuple(rule.for_candidate(model_name) for rule in self.rules))

    def compare(
        self,
        *,
        best: EvalResult | None,
        candidate: EvalResult,
        together: EvalResult | None = None,
    ) -> Verdict:
        """Returns the verdict of the first rule that finds no tie, or else of the first rule.

        It does not matter if the best lacks a metric of a rule that is not asked. The candidate has
        to have the metrics of all rules.
        """
        verdicts: list[Verdict] = []
        decisive = None
        for index, rule in enumerate(self.rules):
            path = f"compare_policy.{path_of(index)}"
            with within(path):
                verdict = rule.verdict(best=best, candidate=candidate, together=together)
            verdicts.append(verdict)
            if decisive is None and verdict.outcome not in _TIES:
                decisive = verdict
                if verdict.problem is not None:
                    verdict.problem.add_parent(path)
        asked = verdicts if decisive is None else verdicts[: verdicts.index(decisive) + 1]
        return Verdict(
            outcome=(decisive or verdicts[0]).outcome,
            explanation="; ".join(verdict.explanation for verdict in asked),
            comparisons=tuple(each for verdict in verdicts for each in verdict.comparisons),
            problem=None if decisive is None else decisive.problem,
        )


def path_of(index: int) -> str:
    """Returns the field of a ComparePolicy that states the rule of an index of InOrder."""
    return "metric" if index == 0 else f"tie_breakers[{index - 1}]"


def from_policy(proto: pb.ComparePolicy) -> Rule:
    """Returns the rule that `metric` and `tie_breakers` of a policy state.

    Raises:
        FieldValueError: One of them is invalid.
    """
    with within("metric"):
        rules = [MetricRule.from_proto(proto.metric)]
        if rules[0].tie_tolerance and not proto.tie_breakers:
            raise FieldValueError(
                "tie_tolerance",
                "must be left out without tie_breakers (got"
                f" {rules[0].tie_tolerance!r}). A tie that nothing breaks is not better.",
            )
    for index, each in enumerate(proto.tie_breakers, 1):
        with within(path_of(index)):
            rule = MetricRule.from_proto(each)
            if any(rule.key == other.key for other in rules):
                raise FieldValueError(
                    "metric",
                    f"must be another metric than those before (got {str(rule.key)!r})."
                    " Where a metric ties, it ties again: name another one.",
                )
            if rule.tie_tolerance and index == len(proto.tie_breakers):
                raise FieldValueError(
                    "tie_tolerance",
                    "must be left out of the last tie-breaker"
                    f" (got {rule.tie_tolerance!r}). A tie that nothing breaks is not better.",
                )
        rules.append(rule)
    return InOrder(rules=tuple(rules)) if len(rules) > 1 else rules[0]


def _is_more(improvement: float, required: float, value: float, best_value: float) -> bool:
    """Returns whether an improvement is larger than required, and not by rounding alone."""
    return improvement > required + (numbers.rounding_of(value, best_value) if required else 0.0)
