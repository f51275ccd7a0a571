"""The guardrail that knows noise: a regression that must be excluded with some confidence."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from tfx_best_exporter.executor.arguments.errors import FieldValueError
from tfx_best_exporter.executor.deciding import numbers, significance
from tfx_best_exporter.executor.deciding.eval_result import EvalResult, MetricKey
from tfx_best_exporter.executor.deciding.guardrail import Check, Guardrail, GuardrailResult
from tfx_best_exporter.executor.deciding.metric_limit import MetricLimit
from tfx_best_exporter.executor.deciding.metrics import improvement_of
from tfx_best_exporter.executor.deciding.significance import (
    MissingIntervalError,
    SignificanceTest,
)
from tfx_best_exporter.executor.deciding.slices import Features, by_features, text_of
from tfx_best_exporter.proto import best_exporter_pb2 as pb


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NonInferiority:
    """A limit of the regression from the best, with a test for non-inferiority.

    The limit allows a regression. The test requires that a larger one is excluded at a confidence
    of 1 - alpha, with the interval of the difference on each guarded slice. A candidate passes only
    if it passes on every slice, so alpha needs no correction for the number of slices: R. L.
    Berger, "Multiparameter hypothesis testing and acceptance sampling", Technometrics 24 (1982),
    295-300. The more slices there are and the smaller they are, the more rarely a candidate that
    is as good as the best passes.

    Attributes:
        limit: The limit, with an allowed regression. Its bound applies without a test.
        alpha: Probability with which a candidate passes whose regression is as large as allowed.
    """

    limit: MetricLimit
    alpha: float

    @classmethod
    def from_proto(cls, proto: pb.Guardrail) -> NonInferiority:
        """Returns the guardrail in a proto.

        Raises:
            FieldValueError: The proto is incomplete or has an invalid limit, slice or alpha.
        """
        alpha = significance.alpha_of(proto.significance)
        if not (
            proto.HasField("max_absolute_regression") or proto.HasField("max_relative_regression")
        ):
            raise FieldValueError(
                "significance",
                f"must be left out without an allowed regression (got alpha {alpha!r})."
                " Set an allowed regression: the test is about its size.",
            )
        return cls(limit=MetricLimit.from_proto(proto), alpha=alpha)

    @classmethod
    def text_of(cls, proto: pb.Guardrail) -> str:
        """Returns the limits and the guarded slices as text, for the report."""
        has_alpha = proto.significance.HasField("alpha")
        alpha = proto.significance.alpha if has_alpha else significance.DEFAULT_ALPHA
        return f"{MetricLimit.text_of(proto)}, at {numbers.confidence(alpha)} confidence"

    @property
    def key(self) -> MetricKey:
        """The metric."""
        return self.limit.key

    @property
    def direction(self) -> pb.MetricDirection:
        """pb.LOWER_IS_BETTER or pb.HIGHER_IS_BETTER."""
        return self.limit.direction

    @property
    def limits_regression(self) -> bool:
        """True: the test is about a regression."""
        return True

    @property
    def needs_slices(self) -> bool:
        """True if it guards slices other than the overall one."""
        return self.limit.needs_slices

    @property
    def needs_intervals(self) -> bool:
        """True: the test needs the interval of the difference."""
        return True

    def for_candidate(self, model_name: str) -> NonInferiority:
        """Returns the guardrail with the model name removed from the candidate's own metric."""
        return dataclasses.replace(self, limit=self.limit.for_candidate(model_name))

    def contradicts(self, other: Guardrail) -> str:
        """Returns the contradiction as text if no value can meet both, or an empty text."""
        return self.limit.contradicts(other.limit if isinstance(other, NonInferiority) else other)

    def check(
        self,
        *,
        candidate: EvalResult,
        best: EvalResult | None,
        together: EvalResult | None = None,
    ) -> Check:
        """Returns the result on each guarded slice, with warnings for unguarded slices.

        Args:
            candidate: The candidate's evaluation.
            best: The best's evaluation; None if there is no best or its evaluation is not known.
                Without it, and on a slice that it lacks, only the bound applies.
            together: Evaluation of both models together, or None.

        Raises:
            MissingIntervalError: The candidate's evaluation has no interval of the metric on the
                overall slice.
            MissingSliceError: See `MetricLimit.check`.
            MissingMetricError: See `MetricLimit.check`.
        """
        found = self.limit.check(candidate=candidate, best=best)
        if best is None or found.problem is not None:
            return found
        sides = _Sides(candidate=candidate, best=best, together=together)
        try:
            results = tuple(self._tested(each, sides, found.results) for each in found.results)
        except MissingIntervalError as error:
            if error.is_candidates:
                raise
            return Check(problem=error)
        return dataclasses.replace(found, results=results)

    def _tested(
        self, result: GuardrailResult, sides: _Sides, results: Sequence[GuardrailResult]
    ) -> GuardrailResult:
        """Returns a result with the test added; the same result if the limit decided already."""
        allowed = None if result.best is None else self.limit.allowed_regression(result.best)
        if not result.holds or result.best is None or allowed is None:
            return result
        improvement = improvement_of(result.candidate, result.best, self.direction)
        if not math.isfinite(improvement):
            # An infinite improvement excludes every regression.
            return result
        candidate, best, together = sides.on(result.slice)
        where = f" on {text_of(result.slice)}" if result.slice else ""
        try:
            test = significance.significance_of(
                improvement,
                key=self.key,
                candidate=candidate,
                best=best,
                together=together,
                alpha=self.alpha,
                required=-allowed,
            )
        except MissingIntervalError:
            if not result.slice:
                raise
            return dataclasses.replace(
                result,
                holds=False,
                explanation=(
                    f"{self.key}{where} has no confidence interval, so a regression of more than"
                    f" {numbers.shown(allowed)} cannot be excluded"
                ),
            )
        return dataclasses.replace(
            result,
            holds=test.is_significant,
            explanation=self._explanation(result, where, improvement, allowed, test, len(results)),
        )

    def _explanation(
        self,
        result: GuardrailResult,
        where: str,
        improvement: float,
        allowed: float,
        test: SignificanceTest,
        slice_count: int,
    ) -> str:
        best = numbers.shown(result.best or 0.0, result.candidate)
        value = numbers.shown(result.candidate, result.best or 0.0)
        kind = "paired" if test.method == pb.SignificanceTest.PAIRED else "unpaired"
        many = f"; {slice_count:,} slices are tested" if slice_count > 1 else ""
        bound = (
            f"the {numbers.confidence(self.alpha)} lower bound of the improvement of"
            f" {numbers.shown(improvement, test.lower_bound, -allowed)} is"
            f" {numbers.shown(test.lower_bound, improvement, -allowed)} ({kind} test{many})"
        )
        is_or_may = "is not" if test.is_significant else "may be"
        return (
            f"{self.key} {value}{where} {is_or_may} worse than the best's {best} by more than"
            f" {numbers.shown(allowed)}: {bound}"
        )


class _Sides:
    """The evaluations of a comparison, by slice."""

    def __init__(self, *, candidate: EvalResult, best: EvalResult, together: EvalResult | None):
        self._sides = (candidate, best, together)
        self._by_features: tuple[Mapping[Features, EvalResult], ...] | None = None

    def on(self, features: Features) -> tuple[EvalResult, EvalResult, EvalResult | None]:
        """Returns candidate, best and the evaluation of both on a slice that the first two have."""
        if not features:
            return self._sides
        if self._by_features is None:
            self._by_features = tuple(
                {} if side is None else _slices_of(side) for side in self._sides
            )
        candidate, best, together = self._by_features
        return candidate[features], best[features], together.get(features)


def _slices_of(eval_result: EvalResult) -> dict[Features, EvalResult]:
    slices = eval_result.slices
    return {features: slices[slice_key] for features, slice_key in by_features(slices).items()}
