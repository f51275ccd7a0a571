"""What "better" means: a metric with tie-breakers, or a function of the author's."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Callable
from typing import Any, Protocol

from tfx_best_exporter.executor.arguments.checks import is_name
from tfx_best_exporter.executor.deciding import numbers, significance
from tfx_best_exporter.executor.deciding.eval_result import (
    LEAST_SUB_KEYS,
    EvalResult,
    MetricKey,
    MissingMetricError,
)
from tfx_best_exporter.executor.deciding.significance import MissingIntervalError, SignificanceTest
from tfx_best_exporter.proto import best_exporter_pb2 as pb

COMPARE_FN_PARAMETERS = ("best_eval_result", "current_eval_result")


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


_LEAST_ALPHA = 1e-9
_TIES = (Outcome.TIE, Outcome.NOT_SIGNIFICANT)
_AGAINST_NAN = {
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
    """

    outcome: Outcome
    explanation: str
    comparisons: tuple[Comparison, ...]


class Rule(Protocol):
    """What "better" means."""

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
            MissingMetricError: An evaluation lacks a metric of the rule.
            MissingIntervalError: An evaluation lacks an interval that the rule asks for.
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
        field: What to call it in an error.
    """

    key: MetricKey
    direction: pb.MetricDirection
    min_absolute_change: float = 0.0
    min_relative_change: float = 0.0
    alpha: float | None = None
    tie_tolerance: float = 0.0
    field: str = "compare_policy.metric"

    @classmethod
    def from_proto(cls, proto: pb.MetricRule, field: str) -> MetricRule:
        """Returns the rule that a proto states.

        Args:
            proto: The rule.
            field: What to call it in an error.

        Raises:
            ValueError: The rule is incomplete or its thresholds are no sizes of a change.
        """
        check_metric(proto.metric, proto.direction, field)
        for name in ("min_absolute_change", "min_relative_change", "tie_tolerance"):
            value = getattr(proto, name)
            if not 0 <= value < math.inf:
                raise ValueError(
                    f"{field}.{name} must be a finite number, 0 or larger (got {value!r})."
                    " It is the size of an improvement, whichever the direction."
                )
        alpha = None
        if proto.HasField("significance"):
            has_alpha = proto.significance.HasField("alpha")
            alpha = proto.significance.alpha if has_alpha else significance.DEFAULT_ALPHA
        if alpha is not None and not _LEAST_ALPHA <= alpha < 0.5:
            raise ValueError(
                f"{field}.significance.alpha must be at least {_LEAST_ALPHA} and smaller than"
                f" 0.5 (got {alpha!r}). 0.05 lets one of twenty candidates pass that are no"
                " better; leave significance out to ignore noise."
            )
        return cls(
            key=MetricKey.from_proto(proto.metric),
            direction=proto.direction,
            min_absolute_change=proto.min_absolute_change,
            min_relative_change=proto.min_relative_change,
            alpha=alpha,
            tie_tolerance=proto.tie_tolerance,
            field=field,
        )

    def compare(
        self,
        *,
        best: EvalResult | None,
        candidate: EvalResult,
        together: EvalResult | None = None,
    ) -> Verdict:
        """Returns whether the candidate's value is better by more than the thresholds."""
        value = candidate.find(self.key)
        if value is None:
            raise candidate.missing(str(self.key), f"{self.field}.metric.name")
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
        if best is None:
            return Verdict(
                outcome=Outcome.BETTER,
                explanation=f"{self.key} is {value.value:.6g}",
                comparisons=(comparison,),
            )
        best_value = best.find(self.key)
        if best_value is None:
            raise MissingMetricError(
                f"{self.field}.metric.name must be a metric of the best's evaluation too"
                f" (got {str(self.key)!r}, at {best.uri or 'its record'})."
                f" Found: {', '.join(sorted(best)) or 'none'}. Compare by one of these until a"
                " model with the metric is exported."
            )
        improvement = improvement_of(value.value, best_value.value, self.direction)
        required = self.min_absolute_change
        if math.isfinite(best_value.value):
            required = max(required, self.min_relative_change * abs(best_value.value))
        test = None
        # What is not better, or infinitely so, needs no test, and no intervals.
        is_more = _is_more(improvement, required, value.value, best_value.value)
        if self.alpha is not None and is_more and improvement < math.inf:
            test = significance.significance_of(
                improvement,
                key=self.key,
                candidate=candidate,
                best=best,
                together=together,
                alpha=self.alpha,
                required=required,
                field=self.field,
            )
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
                return f"{_AGAINST_NAN[outcome]}: {text}"
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

    def compare(
        self,
        *,
        best: EvalResult | None,
        candidate: EvalResult,
        together: EvalResult | None = None,
    ) -> Verdict:
        """Returns the verdict of the first rule that finds no tie, or else of the first rule.

        What the best lacks for a rule that is not asked is of no matter; the candidate has to have
        it.
        """
        verdicts: list[Verdict] = []
        decisive = None
        for rule in self.rules:
            try:
                verdict = rule.compare(best=best, candidate=candidate, together=together)
            except (MissingMetricError, MissingIntervalError):
                if decisive is None:
                    raise
                verdict = rule.compare(best=None, candidate=candidate)
            verdicts.append(verdict)
            if decisive is None and verdict.outcome not in _TIES:
                decisive = verdict
        asked = verdicts if decisive is None else verdicts[: verdicts.index(decisive) + 1]
        return Verdict(
            outcome=(decisive or verdicts[0]).outcome,
            explanation="; ".join(verdict.explanation for verdict in asked),
            comparisons=tuple(each for verdict in verdicts for each in verdict.comparisons),
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CompareFunction:
    """Better by a function of the author's.

    Attributes:
        function: `fn(best_eval_result, current_eval_result) -> bool`, called by keyword.
        name: As shown to people.
    """

    function: Callable[..., Any]
    name: str

    def compare(
        self,
        *,
        best: EvalResult | None,
        candidate: EvalResult,
        together: EvalResult | None = None,  # noqa: ARG002
    ) -> Verdict:
        """Returns what the function says.

        Without a best, the function is called with the candidate on both sides: so it is known
        which metrics it reads, and one that cannot work fails before anything is exported.

        Raises:
            MissingMetricError: The function asked for a metric that an evaluation lacks.
            RuntimeError: The function raised.
            TypeError: It returned something that is not a bool.
        """
        best_view = _RecordingEvalResult(candidate if best is None else best)
        candidate_view = _RecordingEvalResult(candidate)
        try:
            result = self.function(best_eval_result=best_view, current_eval_result=candidate_view)
        except MissingMetricError:
            # It says itself which metric, and which there are.
            raise
        except Exception as error:
            raise RuntimeError(
                f"compare_fn must return True or False (got {type(error).__name__} from"
                f" {self.name}: {error}). Mend the function; nothing was exported."
            ) from error
        if not _is_bool(result):
            raise TypeError(
                f"compare_fn must return True or False (got {result!r} from {self.name})."
                " Mend the function; nothing was exported."
            )
        names = sorted(set(best_view.names_read) | set(candidate_view.names_read))
        comparisons = tuple(_comparison_of(name, candidate, best) for name in names)
        values = ", ".join(
            f"{comparison.metric} {_text(comparison.candidate)}"
            + ("" if best is None else f" against the best's {_text(comparison.best)}")
            for comparison in comparisons
        )
        if best is None:
            return Verdict(
                outcome=Outcome.BETTER,
                explanation=values or f"{self.name} reads no metric",
                comparisons=comparisons,
            )
        explanation = f"{self.name} returned {bool(result)}" + (f" for {values}" if values else "")
        outcome = Outcome.BETTER if result else Outcome.NOT_BETTER
        if comparisons and all(_is_nan(comparison.best) for comparison in comparisons):
            # Against NaN every comparison is false: without this, the best would stay for ever.
            is_finite = all(
                comparison.candidate is not None and math.isfinite(comparison.candidate)
                for comparison in comparisons
            )
            outcome = Outcome.BETTER_THAN_NAN if is_finite else Outcome.NOT_BETTER
            explanation = f"{_AGAINST_NAN[outcome]}: {explanation}"
        return Verdict(outcome=outcome, explanation=explanation, comparisons=comparisons)


def _comparison_of(name: str, candidate: EvalResult, best: EvalResult | None) -> Comparison:
    value = candidate.by_name(name)
    best_value = None if best is None else best.by_name(name)
    return Comparison(
        metric=name,
        candidate=value.value if value else None,
        candidate_lower_bound=value.lower_bound if value else None,
        candidate_upper_bound=value.upper_bound if value else None,
        best=best_value.value if best_value else None,
        best_lower_bound=best_value.lower_bound if best_value else None,
        best_upper_bound=best_value.upper_bound if best_value else None,
    )


def _is_more(improvement: float, required: float, value: float, best_value: float) -> bool:
    """Returns whether an improvement is larger than required, and not by rounding alone."""
    return improvement > required + (numbers.rounding_of(value, best_value) if required else 0.0)


def improvement_of(value: float, best_value: float, direction: int) -> float:
    """Returns how much a value is better than the best's; negative where it is worse."""
    return value - best_value if direction == pb.HIGHER_IS_BETTER else best_value - value


def check_metric(metric: pb.MetricKey, direction: int, field: str) -> None:
    """Checks that a rule or a guardrail names its metric and says which way it improves.

    Raises:
        ValueError: It does not.
    """
    if not is_name(metric.name):
        raise ValueError(
            f"{field}.metric.name must be the name of a metric (got {metric.name!r})."
            " Name a metric of Evaluator's EvalConfig."
        )
    for part in ("output_name", "model_name"):
        name = getattr(metric, part)
        if name and not is_name(name):
            raise ValueError(
                f"{field}.metric.{part} must be a name (got {name!r})."
                " Name it as in Evaluator's EvalConfig, or leave it out."
            )
    kind = metric.sub_key.WhichOneof("kind")
    if kind and getattr(metric.sub_key, kind) < LEAST_SUB_KEYS[kind]:
        raise ValueError(
            f"{field}.metric.sub_key.{kind} must be {LEAST_SUB_KEYS[kind]} or larger (got"
            f" {getattr(metric.sub_key, kind)!r}). Classes count from 0, k and top_k from 1."
        )
    # Enums of proto3 are open: a message and JSON may hold numbers that have no name.
    if metric.aggregation not in pb.MetricKey.Aggregation.values():
        values = pb.MetricKey.Aggregation.DESCRIPTOR.values_by_name
        names = [each for each in values if each.endswith("_AVERAGE")]
        raise ValueError(
            f"{field}.metric.aggregation must be one of {', '.join(names)} (got"
            f" {metric.aggregation!r}). Leave it out where a metric is not averaged over classes."
        )
    if direction not in (pb.HIGHER_IS_BETTER, pb.LOWER_IS_BETTER):
        is_known = direction in pb.MetricDirection.values()
        raise ValueError(
            f"{field}.direction must be HIGHER_IS_BETTER or LOWER_IS_BETTER (got"
            f" {pb.MetricDirection.Name(direction) if is_known else direction}). Say which way"
            f" {metric.name!r} improves."
        )


def _is_bool(value: object) -> bool:
    """Returns whether a value is a bool or a numpy bool, without importing numpy."""
    kind = type(value)
    return isinstance(value, bool) or (
        kind.__module__ == "numpy" and kind.__name__ in ("bool", "bool_")
    )


def _is_nan(value: float | None) -> bool:
    return value is not None and math.isnan(value)


def _text(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"


class _RecordingEvalResult(EvalResult):
    """An EvalResult that remembers which metrics were read."""

    __slots__ = ("names_read",)

    def __init__(self, eval_result: EvalResult):
        super().__init__(
            eval_result.metrics,
            uri=eval_result.uri,
            source=eval_result.source,
            example_count=eval_result.example_count,
            model_name=eval_result.model_name,
            warnings=eval_result.warnings,
            slices=lambda: eval_result.slices,
            data=eval_result.data,
            evaluated_at=eval_result.evaluated_at,
            baseline=eval_result.baseline,
            differences=eval_result.differences,
            model_paths=eval_result.model_paths,
        )
        self.names_read: list[str] = []

    def __getitem__(self, name: str) -> float:
        value = super().__getitem__(name)
        self.names_read.append(name)
        return value
