"""Better by a function of the author's."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from tfx_best_exporter.executor.arguments.errors import FieldValueError, within
from tfx_best_exporter.executor.deciding.eval_result import (
    EvalResult,
    MissingMetricError,
)
from tfx_best_exporter.executor.deciding.rules import (
    AGAINST_NAN,
    Comparison,
    MetricRule,
    Outcome,
    Verdict,
)
from tfx_best_exporter.proto import best_exporter_pb2 as pb

COMPARE_FN_PARAMETERS = ("best_eval_result", "current_eval_result")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CompareFunction:
    """Better by a function of the author's.

    Attributes:
        function: `fn(best_eval_result, current_eval_result) -> bool`, called by keyword.
        name: As shown to people.
    """

    function: Callable[..., Any]
    name: str

    @property
    def metrics(self) -> None:
        """None: the function reads what it likes."""
        return None

    @property
    def needs_intervals(self) -> bool:
        """False: the function says nothing of it."""
        return False

    @property
    def leading(self) -> MetricRule | None:
        """None: there is no rule by a metric."""
        return None

    def for_candidate(self, model_name: str) -> CompareFunction:  # noqa: ARG002
        """Returns the function itself: it reads each evaluation by the names shown there."""
        return self

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
            MissingMetricError: Without a best, the function asked for a metric that the candidate's
                evaluation lacks.
            RuntimeError: The function raised.
            TypeError: It returned something that is not a bool.
        """
        names_read: set[str] = set()
        best_view = (candidate if best is None else best).reporting_reads(names_read.add)
        candidate_view = candidate.reporting_reads(names_read.add)
        try:
            result = self.function(best_eval_result=best_view, current_eval_result=candidate_view)
        except MissingMetricError as error:
            # It says itself which metric, and which there are.
            if best is None:
                raise
            return Verdict(
                outcome=Outcome.NOT_COMPARABLE, explanation="", comparisons=(), problem=error
            )
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
        comparisons = tuple(_comparison_of(name, candidate, best) for name in sorted(names_read))
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
            explanation = f"{AGAINST_NAN[outcome]}: {explanation}"
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
    """Returns the rule that `compare_fn` of a policy names.

    Raises:
        FieldValueError: There are tie-breakers too, or there is no such function.
    """
    if proto.tie_breakers:
        raise FieldValueError(
            "tie_breakers",
            "must be left out where compare_fn is given (got"
            f" {len(proto.tie_breakers)}). A compare function breaks ties itself.",
        )
    with within("compare_fn"):
        function = load_function(proto.compare_fn)
    return CompareFunction(function=function, name=proto.compare_fn)


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
