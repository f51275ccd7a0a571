"""The protocol of a rule, which defines "better", and the rule by a metric with tie-breakers.

The table of the kinds of rule is `RULES` in policy.py.
"""

from __future__ import annotations

import dataclasses
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
from tfx_best_exporter.executor.deciding.outcome import Outcome, Ruling
from tfx_best_exporter.executor.deciding.significance import MissingIntervalError, SignificanceTest
from tfx_best_exporter.proto import best_exporter_pb2 as pb


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The comparison of one metric; the fields of pb.MetricComparison."""

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


_TIES = (Outcome.TIE, Outcome.NOT_SIGNIFICANT)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The result of a rule for a pair of evaluations.

    Attributes:
        outcome: BETTER if there is no best; meaningless if the candidate's value is NaN.
        explanation: One clause, with the numbers.
        comparisons: The metrics that the rule compared.
        problem: Only for NOT_COMPARABLE: the error to raise if it is not tolerated. The best's
            evaluation lacks a metric or an interval, or the candidate's lacks an interval.
    """

    outcome: Outcome
    explanation: str
    comparisons: tuple[Comparison, ...]
    problem: PathError | None = None


class Rule(Protocol):
    """A definition of "better". A new kind is a class like this and a row of `RULES` in policy.py.

    Attributes:
        metrics: Metrics that it compares; None if they are known only when it runs.
        needs_intervals: True if an improvement must be significant.
        leading: The first rule by a metric, which also compares slices; None if there is none.
    """

    @property
    def metrics(self) -> tuple[MetricKey, ...] | None:
        """Metrics that it compares; None if they are known only when it runs."""
        ...

    @property
    def needs_intervals(self) -> bool:
        """True if an improvement must be significant."""
        ...

    @property
    def leading(self) -> MetricRule | None:
        """The first rule by a metric, or None."""
        ...

    def for_candidate(self, model_name: str) -> Rule:
        """Returns the rule with the model name removed from the candidate's own metrics.

        Args:
            model_name: The candidate's name in its evaluation. The best's evaluations use another
                name for the model, or none.
        """
        ...

    def with_ruling(self, ruling: Ruling | None) -> Rule:
        """Returns the rule for a candidate with known evidence of several runs."""
        ...

    def compare(
        self,
        *,
        best: EvalResult | None,
        candidate: EvalResult,
        together: EvalResult | None = None,
    ) -> Verdict:
        """Returns the verdict; without a best, only the candidate's values.

        Args:
            best: The best's evaluation, or None.
            candidate: The candidate's evaluation.
            together: Evaluation of both models together, with the differences between candidate
                and best, or None.

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
        min_relative_change: The improvement must be larger than this share of abs(best). It has no
            effect if the best is 0 or infinite.
        alpha: The improvement must be significant at a confidence of 1 - alpha; None for no test.
        tie_tolerance: A candidate that is worse by at most this is a tie; in the metric's unit.
        challengers: Number of refused models that are kept and measured again.
        has_guarantee: True if the test of challengers has a guarantee.
        ruling: The evidence of several runs on this candidate; None to decide by this run.
    """

    key: MetricKey
    direction: pb.MetricDirection
    min_absolute_change: float = 0.0
    min_relative_change: float = 0.0
    alpha: float | None = None
    tie_tolerance: float = 0.0
    challengers: int = 0
    has_guarantee: bool = False
    ruling: Ruling | None = None

    @classmethod
    def from_proto(cls, proto: pb.MetricRule) -> MetricRule:
        """Returns the rule in a proto.

        Raises:
            FieldValueError: The rule is incomplete, or a threshold is negative or not finite.
        """
        check_metric(proto.metric, proto.direction)
        for name in ("min_absolute_change", "min_relative_change", "tie_tolerance"):
            value = getattr(proto, name)
            if not 0 <= value < math.inf:
                raise FieldValueError(
                    name,
                    f"must be a finite number, 0 or larger (got {value!r})."
                    " Use the absolute size of the change.",
                )
        return cls(
            key=MetricKey.from_proto(proto.metric),
            direction=proto.direction,
            min_absolute_change=proto.min_absolute_change,
            min_relative_change=proto.min_relative_change,
            alpha=(
                significance.alpha_of(proto.significance)
                if proto.HasField("significance")
                else None
            ),
            tie_tolerance=proto.tie_tolerance,
            challengers=significance.challengers_of(proto.significance),
            has_guarantee=proto.significance.guarantee,
        )

    def required_of(self, best: float) -> float:
        """Returns the value that an improvement over a best must exceed.

        Args:
            best: Value of the best. A share of one that is not finite is not required.
        """
        if not math.isfinite(best):
            return self.min_absolute_change
        return max(self.min_absolute_change, self.min_relative_change * abs(best))

    @property
    def metrics(self) -> tuple[MetricKey, ...]:
        """The only metric."""
        return (self.key,)

    @property
    def needs_intervals(self) -> bool:
        """True if alpha is set."""
        return self.alpha is not None

    @property
    def leading(self) -> MetricRule:
        """The rule itself."""
        return self

    def for_candidate(self, model_name: str) -> MetricRule:
        """Returns the rule with the model name removed from the candidate's own metric."""
        return dataclasses.replace(self, key=self.key.for_candidate(model_name))

    def with_ruling(self, ruling: Ruling | None) -> MetricRule:
        """Returns the rule for a candidate with known evidence of several runs."""
        return dataclasses.replace(self, ruling=ruling)

    def compare(
        self,
        *,
        best: EvalResult | None,
        candidate: EvalResult,
        together: EvalResult | None = None,
    ) -> Verdict:
        """Returns the verdict: BETTER if the value is better by more than the thresholds."""
        return InOrder(rules=(self,)).compare(best=best, candidate=candidate, together=together)

    def verdict(
        self, *, best: EvalResult | None, candidate: EvalResult, together: EvalResult | None
    ) -> Verdict:
        """Returns the verdict of `compare`; the paths of errors are relative to the rule.

        Raises:
            MissingMetricError: The candidate's evaluation lacks the metric.
        """
        value = candidate.find(self.key)
        if value is None:
            raise candidate.missing(self.key, "metric.name")
        beside = None if together is None else together.find(self.key)
        if beside is not None and not math.isnan(value.value):
            # The candidate's value must come from the same evaluation as the difference.
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
            explanation=f"{self.key} is {numbers.shown(value.value)}",
            comparisons=(comparison,),
        )
        if best is None:
            return alone
        best_value = best.find(self.key)
        if best_value is None:
            return self._not_comparable(alone, self._missing_in_best(best))
        improvement = improvement_of(value.value, best_value.value, self.direction)
        required = self.required_of(best_value.value)
        test = None
        # The test needs intervals, so it runs only for a finite improvement that is large enough.
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
        explanation = self._explanation(
            outcome, value.value, best_value.value, improvement, required, test
        )
        if self.ruling is not None and math.isfinite(improvement):
            outcome, explanation = self.ruling.outcome(outcome), self.ruling.explanation
        return Verdict(
            outcome=outcome,
            explanation=explanation,
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
            " model with this metric has been exported.",
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
            # Every comparison with NaN is false, so a best with NaN would otherwise stay forever.
            return Outcome.BETTER_THAN_NAN if math.isfinite(value) else Outcome.NOT_BETTER
        if _is_more(improvement, required, value, best_value):
            is_noise = test is not None and not test.is_significant
            return Outcome.NOT_SIGNIFICANT if is_noise else Outcome.BETTER
        # Two equal infinities are a tie too, although their difference is NaN.
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
        if math.isnan(best_value) and not math.isnan(value):
            return f"{against_nan(outcome, str(self.key))}: {self.key} is {numbers.shown(value)}"
        comparative = "larger" if self.direction == pb.HIGHER_IS_BETTER else "smaller"
        value_text, best_text, required_text = numbers.compared(value, best_value, required)
        margin = f" by more than {required_text}" if required else ""
        pair = f"{comparative} than the best's {best_text}{margin}"
        if test is None or outcome not in (Outcome.BETTER, Outcome.NOT_SIGNIFICANT):
            is_better = outcome is Outcome.BETTER
            return f"{self.key} {value_text} is {'' if is_better else 'not '}{pair}"
        kind = "paired" if test.method == pb.SignificanceTest.PAIRED else "unpaired"
        improvement_text = numbers.shown(improvement, test.lower_bound, required)
        bound_text = numbers.shown(test.lower_bound, improvement, required)
        bound = f"{numbers.confidence(test.alpha)} lower bound"
        if outcome is Outcome.BETTER:
            return (
                f"{self.key} {value_text} is {pair}; the improvement of {improvement_text} is"
                f" significant: its {bound} is {bound_text} ({kind} test)"
            )
        return (
            f"{self.key} {value_text} is {pair}, but not significantly: the {bound} of the"
            f" improvement of {improvement_text} is {bound_text} ({kind} test)"
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InOrder:
    """The first of several rules that finds no tie.

    Attributes:
        rules: At least one rule; the rules after the first are tie-breakers.
    """

    rules: tuple[MetricRule, ...]

    @property
    def metrics(self) -> tuple[MetricKey, ...]:
        """The metrics of all rules, in order."""
        return tuple(rule.key for rule in self.rules)

    @property
    def needs_intervals(self) -> bool:
        """True if an improvement must be significant by any of the rules."""
        return any(rule.needs_intervals for rule in self.rules)

    @property
    def leading(self) -> MetricRule:
        """The first rule."""
        return self.rules[0]

    def for_candidate(self, model_name: str) -> InOrder:
        """Returns the rules with the model name removed from the candidate's own metrics."""
        return InOrder(rules=tuple(rule.for_candidate(model_name) for rule in self.rules))

    def with_ruling(self, ruling: Ruling | None) -> InOrder:
        """Returns the rules for a candidate with known evidence of several runs."""
        return InOrder(rules=(self.leading.with_ruling(ruling), *self.rules[1:]))

    def compare(
        self,
        *,
        best: EvalResult | None,
        candidate: EvalResult,
        together: EvalResult | None = None,
    ) -> Verdict:
        """Returns the verdict of the first rule without a tie, or of the first rule if all tie.

        The candidate must have the metrics of all rules. The best needs only the metrics of the
        rules up to the one that decides.
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


def are_nan(*metrics: str) -> str:
    """Returns the clause that these metrics are NaN, for example "auc and loss are NaN"."""
    return f"{' and '.join(metrics)} {'is' if len(metrics) == 1 else 'are'} NaN"


def against_nan(outcome: Outcome, *metrics: str) -> str:
    """Returns the reason for the outcome against a best that has NaN for these metrics.

    Args:
        outcome: BETTER_THAN_NAN if the candidate's values are finite.
        metrics: Names of these metrics.
    """
    which = "any" if outcome is Outcome.BETTER_THAN_NAN else "only a"
    return f"the best's {are_nan(*metrics)}, so {which} finite value is better"


def path_of(index: int) -> str:
    """Returns the field of a ComparePolicy for the rule at an index of InOrder.rules."""
    return "metric" if index == 0 else f"tie_breakers[{index - 1}]"


def from_policy(proto: pb.ComparePolicy) -> Rule:
    """Returns the rule in the fields `metric` and `tie_breakers` of a policy.

    Raises:
        FieldValueError: One of them is invalid.
    """
    with within("metric"):
        rules = [MetricRule.from_proto(proto.metric)]
        if rules[0].tie_tolerance and not proto.tie_breakers:
            raise FieldValueError(
                "tie_tolerance",
                "must be left out without tie_breakers (got"
                f" {rules[0].tie_tolerance!r}). Without a tie-breaker, a tie is not better.",
            )
    for index, each in enumerate(proto.tie_breakers, 1):
        with within(path_of(index)):
            rule = MetricRule.from_proto(each)
            significance.check_no_challengers(each.significance)
            if any(rule.key == other.key for other in rules):
                raise FieldValueError(
                    "metric",
                    f"must differ from the metrics before it (got {str(rule.key)!r})."
                    " Use another metric: the same one ties again.",
                )
            if rule.tie_tolerance and index == len(proto.tie_breakers):
                raise FieldValueError(
                    "tie_tolerance",
                    "must be left out of the last tie-breaker"
                    f" (got {rule.tie_tolerance!r}). Without another tie-breaker, a tie is not"
                    " better.",
                )
        rules.append(rule)
    return InOrder(rules=tuple(rules)) if len(rules) > 1 else rules[0]


def _is_more(improvement: float, required: float, value: float, best_value: float) -> bool:
    """Returns True if an improvement is larger than required by more than rounding."""
    return improvement > required + (numbers.rounding_of(value, best_value) if required else 0.0)
