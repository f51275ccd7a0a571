"""The rule by a compare function that the author of the policy wrote."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from tfx_best_exporter.executor.arguments.errors import FieldValueError, within
from tfx_best_exporter.executor.arguments.user_functions import FAILURES, text_of
from tfx_best_exporter.executor.deciding import numbers
from tfx_best_exporter.executor.deciding.eval_result import (
    EvalResult,
    MissingMetricError,
)
from tfx_best_exporter.executor.deciding.outcome import Ruling
from tfx_best_exporter.executor.deciding.rules import (
    Comparison,
    MetricRule,
    Outcome,
    Verdict,
    against_nan,
)
from tfx_best_exporter.proto import best_exporter_pb2 as pb

COMPARE_FN_PARAMETERS = ("best_eval_result", "current_eval_result")


def check_one_policy(compare_fn: object, *, has_policy: bool) -> None:
    """Checks that at most one of the arguments compare_fn and compare_policy is set.

    Args:
        compare_fn: The argument, or None.
        has_policy: True if compare_policy is set.

    Raises:
        FieldValueError: Both are set.
    """
    if compare_fn is not None and has_policy:
        raise FieldValueError(
            "compare_fn",
            "must be None if compare_policy is set (got both)."
            " Set compare_policy.compare_fn instead.",
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CompareFunction:
    """Better by a function that the author of the policy wrote.

    Attributes:
        function: `fn(best_eval_result, current_eval_result) -> bool`, called by keyword.
        name: Name of the function in explanations and errors.
    """

    function: Callable[..., Any]
    name: str

    @property
    def metrics(self) -> None:
        """None: the function may read any metric."""
        return None

    @property
    def needs_intervals(self) -> bool:
        """False: a function does not declare that it needs intervals."""
        return False

    @property
    def leading(self) -> MetricRule | None:
        """None: a function is not a rule by a metric."""
        return None

    def for_candidate(self, model_name: str) -> CompareFunction:  # noqa: ARG002
        """Returns the same function, which reads each evaluation by its own names."""
        return self

    def with_ruling(self, ruling: Ruling | None) -> CompareFunction:  # noqa: ARG002
        """Returns the same function, which decides by itself."""
        return self

    def compare(
        self,
        *,
        best: EvalResult | None,
        candidate: EvalResult,
        together: EvalResult | None = None,  # noqa: ARG002
    ) -> Verdict:
        """Returns the verdict of the function.

        Without a best, the function is called with the candidate on both sides. The call shows
        which metrics it reads, and a faulty function fails before anything is exported.

        Raises:
            MissingMetricError: Without a best, the function read a metric that the candidate's
                evaluation lacks.
            RuntimeError: The function raised.
            TypeError: The function returned a value that is not a bool.
        """
        names_read: set[str] = set()
        best_view = (candidate if best is None else best).reporting_reads(names_read.add)
        candidate_view = candidate.reporting_reads(names_read.add)
        try:
            result = self.function(best_eval_result=best_view, current_eval_result=candidate_view)
        except MissingMetricError as error:
            # The error already names the metric and those that were found.
            if best is None:
                raise
            return Verdict(
                outcome=Outcome.NOT_COMPARABLE, explanation="", comparisons=(), problem=error
            )
        except FAILURES as error:
            raise RuntimeError(
                f"compare_fn must return True or False (got {type(error).__name__} from"
                f" {self.name}: {text_of(error)}). Fix the function; nothing was exported."
            ) from error
        if not _is_bool(result):
            raise TypeError(
                f"compare_fn must return True or False (got {text_of(result, repr)} from"
                f" {self.name})."
                " Fix the function; nothing was exported."
            )
        comparisons = tuple(_comparison_of(name, candidate, best) for name in sorted(names_read))
        values = ", ".join(_values_of(each, has_best=best is not None) for each in comparisons)
        if best is None:
            return Verdict(
                outcome=Outcome.BETTER,
                explanation=values or f"{self.name} reads no metric",
                comparisons=comparisons,
            )
        explanation = f"{self.name} returned {bool(result)}" + (f" for {values}" if values else "")
        outcome = Outcome.BETTER if result else Outcome.NOT_BETTER
        if comparisons and all(_is_nan(comparison.best) for comparison in comparisons):
            # Every comparison with NaN is false, so a best with NaN would otherwise stay forever.
            is_finite = all(
                comparison.candidate is not None and math.isfinite(comparison.candidate)
                for comparison in comparisons
            )
            outcome = Outcome.BETTER_THAN_NAN if is_finite else Outcome.NOT_BETTER
            metrics = [comparison.metric for comparison in comparisons]
            explanation = f"{against_nan(outcome, *metrics)}: {explanation}"
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


def from_policy(
    proto: pb.ComparePolicy, load_function: Callable[[str], Callable[..., Any]]
) -> CompareFunction:
    """Returns the rule in the field `compare_fn` of a policy.

    Raises:
        FieldValueError: The policy has tie-breakers too, or the function does not exist.
    """
    if proto.tie_breakers:
        raise FieldValueError(
            "tie_breakers",
            "must be left out if compare_fn is set (got"
            f" {len(proto.tie_breakers)}). Break ties in the compare function.",
        )
    with within("compare_fn"):
        function = load_function(proto.compare_fn)
    return CompareFunction(function=function, name=proto.compare_fn)


def _is_bool(value: object) -> bool:
    """Returns True if a value is a bool or a NumPy bool, without importing NumPy."""
    kind = type(value)
    return isinstance(value, bool) or (
        kind.__module__ == "numpy" and kind.__name__ in ("bool", "bool_")
    )


def _is_nan(value: float | None) -> bool:
    return value is not None and math.isnan(value)


def _values_of(comparison: Comparison, *, has_best: bool) -> str:
    candidate_text = _text(comparison.candidate, comparison.best)
    if not has_best:
        return f"{comparison.metric} {candidate_text}"
    best_text = _text(comparison.best, comparison.candidate)
    return f"{comparison.metric} {candidate_text} (best {best_text})"


def _text(value: float | None, beside: float | None) -> str:
    if value is None:
        return "none"
    return numbers.shown(value) if beside is None else numbers.shown(value, beside)
