"""The guardrail by a metric: a bound or an allowed regression, on some slices."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from tfx_best_exporter.executor.arguments.checks import is_name
from tfx_best_exporter.executor.arguments.errors import FieldValueError, PathError
from tfx_best_exporter.executor.deciding import numbers
from tfx_best_exporter.executor.deciding.eval_result import (
    EvalResult,
    MetricKey,
    MissingMetricError,
    SliceKey,
)
from tfx_best_exporter.executor.deciding.guardrail import Check, Guardrail, GuardrailResult
from tfx_best_exporter.executor.deciding.metrics import check_metric
from tfx_best_exporter.executor.deciding.slices import (
    Features,
    by_features,
    features_of,
    matched,
    text_of,
)
from tfx_best_exporter.proto import best_exporter_pb2 as pb

_MAX_NAMED = 20
_MAX_WARNED = 3
# The position of a value relative to its limit, by (holds, higher is better).
_POSITIONS = {
    (True, True): "at least",
    (True, False): "at most",
    (False, True): "below",
    (False, False): "above",
}
_UNKNOWN = "no value of the best is known"


class MissingSliceError(PathError, KeyError):
    """An evaluation lacks a slice that a guardrail needs."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MetricLimit:
    """A bound or an allowed regression of one metric on some slices.

    Attributes:
        key: The metric.
        direction: pb.LOWER_IS_BETTER or pb.HIGHER_IS_BETTER.
        bound: Worst value allowed, in the metric's unit; None for any.
        max_absolute_regression: Maximum regression from the best, in the metric's unit; None for
            any.
        max_relative_regression: Maximum regression, as a share of abs(best); None for any.
        slices: Guarded slices; empty for the overall slice.
        every_slice_min_examples: Minimum number of examples of a guarded slice, to guard every
            slice and the overall one; None for `slices`.
    """

    key: MetricKey
    direction: pb.MetricDirection
    bound: float | None = None
    max_absolute_regression: float | None = None
    max_relative_regression: float | None = None
    slices: tuple[Features, ...] = ()
    every_slice_min_examples: float | None = None

    @classmethod
    def from_proto(cls, proto: pb.Guardrail) -> MetricLimit:
        """Returns the guardrail in a proto.

        Raises:
            FieldValueError: The proto is incomplete or has an invalid limit or slice.
        """
        check_metric(proto.metric, proto.direction)
        values = {
            name: getattr(proto, name) if proto.HasField(name) else None
            for name in (
                "bound",
                "max_absolute_regression",
                "max_relative_regression",
                "every_slice_min_examples",
            )
        }
        limits = [values["bound"], values["max_absolute_regression"]]
        if all(value is None for value in (*limits, values["max_relative_regression"])):
            raise FieldValueError(
                "",
                "must have a limit (got none). Set a bound or an allowed regression.",
            )
        for name, value in values.items():
            if value is None:
                continue
            if not math.isfinite(value):
                raise FieldValueError(
                    name,
                    f"must be a finite number (got {value!r}). Leave it out for no limit.",
                )
            if name != "bound" and value < 0:
                raise FieldValueError(
                    name,
                    f"must be 0 or larger (got {value!r}). Use the absolute size of"
                    " the regression.",
                )
        if proto.slices and values["every_slice_min_examples"] is not None:
            raise FieldValueError(
                "slices",
                "must be left out if every_slice_min_examples is set (got both). Use two"
                " guardrails.",
            )
        if not all(each.features for each in proto.slices):
            raise FieldValueError(
                "slices",
                "must have features (got a slice without any). Leave slices out to guard the"
                " overall slice.",
            )
        for column in (name for each in proto.slices for name in each.features):
            if not is_name(column):
                raise FieldValueError(
                    "slices",
                    f"must name the features of each slice (got {column!r})."
                    " Use the names in the slicing_specs of Evaluator's EvalConfig.",
                )
        return cls(
            key=MetricKey.from_proto(proto.metric),
            direction=proto.direction,
            slices=tuple(tuple(sorted(each.features.items())) for each in proto.slices),
            **values,
        )

    @classmethod
    def text_of(cls, proto: pb.Guardrail) -> str:
        """Returns the limits and the guarded slices as text, for the report."""
        is_higher_better = proto.direction == pb.HIGHER_IS_BETTER
        limits = []
        if proto.HasField("bound"):
            position = "at least" if is_higher_better else "at most"
            limits.append(f"{position} {numbers.shown(proto.bound)}")
        if proto.HasField("max_absolute_regression"):
            size = numbers.shown(proto.max_absolute_regression)
            limits.append(f"worse than the best by at most {size}")
        if proto.HasField("max_relative_regression"):
            share = numbers.shown(100 * proto.max_relative_regression)
            limits.append(f"worse than the best by at most {share} % of it")
        named = [text_of(tuple(sorted(each.features.items()))) for each in proto.slices]
        where = f"on {'; '.join(named) or text_of(())}"
        if proto.HasField("every_slice_min_examples"):
            count = numbers.count(proto.every_slice_min_examples)
            where += f" and on every slice of at least {count} examples"
        return f"{' and '.join(limits)}, {where}"

    @property
    def limits_regression(self) -> bool:
        """True if a limit depends on the best's value."""
        return self.max_absolute_regression is not None or self.max_relative_regression is not None

    @property
    def needs_slices(self) -> bool:
        """True if it guards slices other than the overall one."""
        return bool(self.slices) or self.every_slice_min_examples is not None

    @property
    def needs_intervals(self) -> bool:
        """False: a limit is compared with the value itself."""
        return False

    def for_candidate(self, model_name: str) -> MetricLimit:
        """Returns the guardrail with the model name removed from the candidate's own metric."""
        return dataclasses.replace(self, key=self.key.for_candidate(model_name))

    def contradicts(self, other: Guardrail) -> str:
        """Returns the contradiction as text if no value can meet both, or an empty text."""
        if not isinstance(other, MetricLimit):
            return ""
        higher, lower = sorted((self, other), key=lambda each: each.direction, reverse=True)
        if (
            self.key != other.key
            or self.direction == other.direction
            or not _overlap(self, other)
            or higher.bound is None
            or lower.bound is None
            or higher.bound <= lower.bound
        ):
            return ""
        return f"{str(self.key)!r} at least {higher.bound!r} and at most {lower.bound!r}"

    def check(
        self,
        *,
        candidate: EvalResult,
        best: EvalResult | None,
        together: EvalResult | None = None,  # noqa: ARG002
    ) -> Check:
        """Returns the result on each guarded slice, with warnings for unguarded slices.

        Args:
            candidate: The candidate's evaluation.
            best: The best's evaluation; None if there is no best or its evaluation is not known.
                Without it, and on a slice that it lacks, only the bound applies.
            together: Not used.

        Raises:
            MissingSliceError: The candidate's evaluation lacks a named slice, or has no slices
                although every slice is guarded.
            MissingMetricError: The candidate's evaluation lacks the metric on a slice, or the
                number of examples.
        """
        results: list[GuardrailResult] = []
        warnings = []
        if not self.slices:
            value = candidate.find(self.key)
            if value is None:
                raise self._missing_metric((), candidate)
            best_value = best.find(self.key) if best is not None else None
            if best is not None and best_value is None and self.limits_regression:
                return Check(problem=self._missing_metric_of_best(best))
            results.append(
                self._result(
                    (),
                    value.value,
                    best_value.value if best_value else None,
                    candidate.example_count,
                )
            )
        if self.needs_slices:
            example_counts = candidate.slice_example_counts()
            values = candidate.slice_values(self.key)
            slice_keys = by_features(example_counts)
            suppressed = {
                features_of(slice_key): reason
                for slice_key, reason in candidate.suppressed_slices.items()
            }
            if not self.slices and not slice_keys and not suppressed:
                raise self._no_slices(candidate)
            try:
                best_values = self._slices_of_best(best)
                matching = matched(best_values, values)
            except ValueError as error:
                return Check(problem=error)
            if best is not None and self.limits_regression and best.slices and not best_values:
                return Check(problem=self._missing_metric_of_best(best))
            results.extend(
                self._on_slices(candidate, slice_keys, suppressed, example_counts, values, matching)
            )
            warnings.extend(self._not_evaluated(suppressed))
            gone = self._gone(best, best_values, slice_keys, suppressed)
            if gone:
                warnings.append(
                    f"{self.key} was not guarded on {_several(gone)}: the candidate's evaluation"
                    " lacks these slices of the best's evaluation"
                )
        if best is not None:
            unlimited = [text_of(each.slice) for each in results if each.worst_allowed is None]
            if unlimited:
                warnings.append(
                    f"{self.key} was not guarded on {_several(unlimited)}: the best has no finite"
                    " value there and the guardrail has no bound"
                )
        return Check(results=tuple(results), warnings=tuple(warnings))

    def _slices_of_best(self, best: EvalResult | None) -> Mapping[SliceKey, float]:
        return {} if best is None else best.slice_values(self.key)

    def _on_slices(
        self,
        candidate: EvalResult,
        slice_keys: Mapping[Features, SliceKey],
        suppressed: Collection[Features],
        example_counts: Mapping[SliceKey, float | None],
        values: Mapping[SliceKey, float],
        best_values: Mapping[SliceKey, float],
    ) -> Iterator[GuardrailResult]:
        """Yields the result on each slice that is named or large enough."""
        for features in self.slices or self._large_enough(slice_keys, example_counts, candidate):
            if features in suppressed:
                continue
            slice_key = slice_keys.get(features)
            if slice_key is None:
                raise self._missing_slice(features, candidate, slice_keys)
            if slice_key not in values:
                raise self._missing_metric(features, candidate.slices[slice_key])
            yield self._result(
                features, values[slice_key], best_values.get(slice_key), example_counts[slice_key]
            )

    def _not_evaluated(self, suppressed: Mapping[Features, str]) -> Iterator[str]:
        """Yields a warning if the evaluation left out the metrics of guarded slices."""
        guarded = [each for each in self.slices or sorted(suppressed) if each in suppressed]
        if guarded:
            yield (
                f"{self.key} was not guarded on {_several([text_of(each) for each in guarded])}:"
                f" the evaluation has no metrics there ({suppressed[guarded[0]]})"
            )

    def _gone(
        self,
        best: EvalResult | None,
        best_values: Mapping[SliceKey, float],
        slice_keys: Mapping[Features, SliceKey],
        suppressed: Collection[Features],
    ) -> list[str]:
        """Returns the large slices that only the best's evaluation has."""
        if best is None or self.slices:
            return []
        found = []
        known = {*slice_keys.values()}
        for slice_key in best_values.keys() - known:
            features = features_of(slice_key)
            if features not in slice_keys and features not in suppressed:
                example_count = best.slices[slice_key].example_count
                if example_count is None or example_count >= (self.every_slice_min_examples or 0):
                    found.append(text_of(features))
        return sorted(found)

    def _large_enough(
        self,
        slice_keys: Mapping[Features, SliceKey],
        example_counts: Mapping[SliceKey, float | None],
        candidate: EvalResult,
    ) -> Iterator[Features]:
        least = self.every_slice_min_examples or 0.0
        for features, slice_key in slice_keys.items():
            example_count = example_counts[slice_key]
            if example_count is None:
                raise MissingMetricError(
                    "every_slice_min_examples",
                    "must find the number of examples of"
                    f" each slice (got none for {text_of(features)},"
                    f" at {candidate.uri or 'the evaluation'}). Add the metric ExampleCount to"
                    " Evaluator's EvalConfig.",
                )
            if example_count >= least:
                yield features

    def _result(
        self,
        features: Features,
        value: float,
        best_value: float | None,
        example_count: float | None,
    ) -> GuardrailResult:
        worst_allowed, why = self._worst_allowed(best_value)
        metric = str(self.key)
        where = f" on {text_of(features)}" if features else ""
        if self._is_undefined(value, best_value):
            # A metric such as the AUC of a slice with one class is NaN without any regression.
            holds = True
            explanation = f"{metric}{where} is NaN for both models"
        elif worst_allowed is None:
            holds = not math.isnan(value)
            why = (
                _UNKNOWN
                if best_value is None
                else f"the best's {numbers.shown(best_value)} sets no limit"
            )
            explanation = f"{metric}{where} is {numbers.shown(value)}, and {why}"
        else:
            is_higher_better = self.direction == pb.HIGHER_IS_BETTER
            # NaN never holds: both comparisons with it are false.
            holds = value >= worst_allowed if is_higher_better else value <= worst_allowed
            # A computed limit is only as exact as the numbers that it is computed from.
            if (
                not holds
                and why
                and best_value is not None
                and abs(value - worst_allowed) <= numbers.rounding_of(best_value, worst_allowed)
            ):
                holds, worst_allowed = True, value
            value_text, limit_text = numbers.apart(value, worst_allowed)
            limit = f"{'minimum' if is_higher_better else 'maximum'} of {limit_text}{why}"
            if math.isnan(value):
                explanation = f"{metric}{where} is NaN, which never meets the {limit}"
            else:
                position = _POSITIONS[holds, is_higher_better]
                explanation = f"{metric} {value_text}{where} is {position} the {limit}"
            if best_value is None and self.limits_regression:
                explanation += f"; {_UNKNOWN}"
        return GuardrailResult(
            metric=metric,
            direction=self.direction,
            slice=features,
            candidate=value,
            best=best_value,
            worst_allowed=worst_allowed,
            holds=holds,
            explanation=explanation,
            example_count=example_count,
            best_fails=self._fails_bound(best_value),
        )

    def _fails_bound(self, value: float | None) -> bool:
        """Returns True if a known value does not meet the bound. NaN meets none."""
        if value is None or self.bound is None:
            return False
        is_higher_better = self.direction == pb.HIGHER_IS_BETTER
        return not (value >= self.bound if is_higher_better else value <= self.bound)

    def _is_undefined(self, value: float, best: float | None) -> bool:
        return self.bound is None and math.isnan(value) and best is not None and math.isnan(best)

    def allowed_regression(self, best: float) -> float | None:
        """Returns the strictest allowed regression from a value of the best; None for any."""
        if not math.isfinite(best):
            return None
        relative = self.max_relative_regression
        regressions = (
            self.max_absolute_regression,
            None if relative is None else relative * abs(best),
        )
        return min((each for each in regressions if each is not None), default=None)

    def _worst_allowed(self, best: float | None) -> tuple[float | None, str]:
        """Returns the strictest limit, and its calculation from the best for the explanation."""
        limits = [] if self.bound is None else [(self.bound, "")]
        # A best that is NaN or infinite sets no limit.
        regression = None if best is None else self.allowed_regression(best)
        if best is not None and regression is not None:
            sign = -1 if self.direction == pb.HIGHER_IS_BETTER else 1
            texts = numbers.shown(best), numbers.shown(regression)
            why = f" (best {texts[0]} {'-' if sign < 0 else '+'} {texts[1]})"
            limits.append((best + sign * regression, why))
        if not limits:
            return None, ""
        strictest = max if self.direction == pb.HIGHER_IS_BETTER else min
        return strictest(limits, key=lambda limit: limit[0])

    def _missing_metric_of_best(self, best: EvalResult) -> MissingMetricError:
        return MissingMetricError(
            "metric.name",
            "must be a metric of the best's evaluation too (got"
            f" {str(self.key)!r}, at {best.uri or 'its record'}). Found:"
            f" {', '.join(sorted(best)) or 'none'}. Set only a bound until a model with this"
            " metric has been exported.",
        )

    def _no_slices(self, candidate: EvalResult) -> MissingSliceError:
        return MissingSliceError(
            "every_slice_min_examples",
            "must find slices in the evaluation (got none,"
            f" at {candidate.uri or 'the evaluation'}). Add slicing_specs to Evaluator's"
            " EvalConfig, or guard the overall slice alone.",
        )

    def _missing_metric(self, features: Features, candidate: EvalResult) -> MissingMetricError:
        name = f"{str(self.key)!r} on {text_of(features)}" if features else repr(str(self.key))
        where = f", at {candidate.uri}" if candidate.uri else ""
        return MissingMetricError(
            "metric.name",
            f"must be a metric of the evaluation (got {name}{where})."
            f" Found: {', '.join(sorted(candidate)) or 'none'}. {candidate.remedy(self.key)}",
        )

    def _missing_slice(
        self, features: Features, candidate: EvalResult, found: Iterable[Features]
    ) -> MissingSliceError:
        names = sorted(text_of(each) for each in found)
        more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
        return MissingSliceError(
            "slices",
            f"must be slices of the evaluation (got {text_of(features)}, at"
            f" {candidate.uri or 'the evaluation'}). Found:"
            f" {', '.join(names[:_MAX_NAMED]) or 'none'}{more}. Use one of these, or add it to the"
            " slicing_specs of Evaluator's EvalConfig.",
        )


def _several(names: Sequence[str]) -> str:
    """Returns the first names, and the number of further ones."""
    more = f" and {len(names) - _MAX_WARNED} more" if len(names) > _MAX_WARNED else ""
    return f"{'; '.join(names[:_MAX_WARNED])}{more}"


def _overlap(first: MetricLimit, second: MetricLimit) -> bool:
    """Returns True if two guardrails are certain to share a slice.

    A guardrail fails without the slices that it names, so these exist, with 0 or more examples.
    """
    if any(each.every_slice_min_examples == 0 for each in (first, second)):
        return True
    places = [
        {()} if each.every_slice_min_examples is not None or not each.slices else {*each.slices}
        for each in (first, second)
    ]
    return not places[0].isdisjoint(places[1])
