"""The one-sided test of an improvement against its noise."""

from __future__ import annotations

import dataclasses
import math

from tfx_best_exporter.executor.arguments.errors import FieldValueError, PathError
from tfx_best_exporter.executor.deciding.eval_result import EvalResult, MetricKey, MetricValue
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# See docs/decisions/0012-default-alpha.md.
DEFAULT_ALPHA = 0.05
MAX_CHALLENGERS = 8

_LEAST_ALPHA = 1e-9


def alpha_of(proto: pb.Significance) -> float:
    """Returns the alpha in the field `significance` of a rule or a guardrail.

    Raises:
        FieldValueError: It is out of range.
    """
    alpha = proto.alpha if proto.HasField("alpha") else DEFAULT_ALPHA
    if not _LEAST_ALPHA <= alpha < 0.5:
        raise FieldValueError(
            "significance.alpha",
            f"must be at least {_LEAST_ALPHA} and smaller than 0.5 (got {alpha!r}). With 0.05,"
            " at most one in twenty candidates that are not better passes.",
        )
    return alpha


def challengers_of(proto: pb.Significance) -> int:
    """Returns the number of challengers in the field `significance` of a rule.

    Raises:
        FieldValueError: It is out of range, or a guarantee is set without challengers.
    """
    if not 0 <= proto.challengers <= MAX_CHALLENGERS:
        raise FieldValueError(
            "significance.challengers",
            f"must be from 0 to {MAX_CHALLENGERS} (got {proto.challengers!r}). Each challenger is"
            " one more model to evaluate in each run; 2 are enough for most pipelines.",
        )
    if proto.guarantee and not proto.challengers:
        raise FieldValueError(
            "significance.guarantee",
            "must be left out without challengers (got True). Set challengers too, for example 2.",
        )
    return proto.challengers


def check_no_challengers(proto: pb.Significance) -> None:
    """Checks that a tie-breaker or a guardrail keeps no challengers.

    Raises:
        FieldValueError: It does.
    """
    if proto.challengers or proto.guarantee:
        name, value = (
            ("challengers", proto.challengers) if proto.challengers else ("guarantee", True)
        )
        raise FieldValueError(
            f"significance.{name}",
            f"must be left out of tie-breakers and guardrails (got {value!r}). Set it on"
            " compare_policy.metric: challengers are measured by that metric.",
        )


class MissingIntervalError(PathError, ValueError):
    """A rule needs significance, and an evaluation has no confidence intervals.

    Attributes:
        is_candidates: True if the candidate's evaluation has none, False for the best's.
    """

    def __init__(self, path: str, text: str, *, is_candidates: bool):
        """Makes the error.

        Args:
            path: Field of the rule that needs significance.
            text: Rest of the sentence, and the remedy.
            is_candidates: True if the candidate's evaluation has none, False for the best's.
        """
        super().__init__(path, text)
        self.is_candidates = is_candidates


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SignificanceTest:
    """The result of a test for significance; the fields of pb.SignificanceTest."""

    method: pb.SignificanceTest.Method
    alpha: float
    standard_error: float
    degrees_of_freedom: float
    lower_bound: float
    is_significant: bool


def significance_of(
    improvement: float,
    *,
    key: MetricKey,
    candidate: EvalResult,
    best: EvalResult,
    together: EvalResult | None,
    alpha: float,
    required: float = 0.0,
) -> SignificanceTest:
    """Returns a one-sided test that an improvement is larger than required, at 1 - alpha.

    The test is paired if both models were evaluated together and the evaluation has the standard
    error of their difference: noise that both share cancels out. Otherwise the estimates count as
    independent, and the difference has standard error and degrees of freedom as in B. L. Welch,
    "The generalization of 'Student's' problem when several different population variances are
    involved", Biometrika 34 (1947), 28-35.

    Args:
        improvement: Improvement over the best, in the metric's unit.
        key: The metric.
        candidate: The candidate's evaluation.
        best: The best's evaluation.
        together: Evaluation of both models together, with the differences between candidate and
            best, or None.
        alpha: Share of candidates that are not better than the best and may still pass.
        required: Size that the improvement must exceed, in the metric's unit.

    Raises:
        MissingIntervalError: An evaluation has no confidence interval of the metric.
    """
    difference = None if together is None else together.difference(key)
    if difference is not None and _has_standard_error(difference):
        method = pb.SignificanceTest.PAIRED
        standard_error, degrees_of_freedom = _standard_error_of(difference)
    else:
        method = pb.SignificanceTest.WELCH
        standard_error, degrees_of_freedom = _welch(
            _value_with_interval(key, candidate, is_candidates=True),
            _value_with_interval(key, best, is_candidates=False),
        )
    lower_bound = lower_bound_of(improvement, standard_error, degrees_of_freedom, alpha)
    return SignificanceTest(
        method=method,
        alpha=alpha,
        standard_error=standard_error,
        degrees_of_freedom=degrees_of_freedom,
        lower_bound=lower_bound,
        is_significant=lower_bound > required,
    )


def lower_bound_of(
    improvement: float, standard_error: float, degrees_of_freedom: float, alpha: float
) -> float:
    """Returns the lower bound of an improvement at a confidence of 1 - alpha.

    Args:
        improvement: Estimate of the improvement.
        standard_error: Standard error of the estimate; 0 or larger.
        degrees_of_freedom: Degrees of freedom of the standard error; infinite if it is exact.
        alpha: Probability that the improvement is smaller than the bound.
    """
    if not standard_error:
        return improvement
    return improvement - _upper_quantile(alpha, degrees_of_freedom) * standard_error


def chance_no_better(excess: float, standard_error: float, degrees_of_freedom: float) -> float:
    """Returns the one-sided p-value: the smallest alpha at which an improvement is significant.

    Args:
        excess: Estimate of the improvement, minus the required one.
        standard_error: Standard error of the estimate; 0 or larger.
        degrees_of_freedom: Degrees of freedom of the standard error; infinite if it is exact.
    """
    if not standard_error:
        return 0.0 if excess > 0 else 1.0
    # SciPy loads NumPy, which is slow to import.
    from scipy import special

    if math.isinf(degrees_of_freedom):
        return float(special.ndtr(-excess / standard_error))
    return float(special.stdtr(degrees_of_freedom, -excess / standard_error))


def _upper_quantile(tail: float, degrees_of_freedom: float) -> float:
    """Returns t with P(T > t) = tail for Student's t distribution.

    Args:
        tail: Probability, larger than 0 and smaller than 1.
        degrees_of_freedom: A positive number that need not be whole; infinite for the normal
            distribution.
    """
    # SciPy loads NumPy, which is slow to import, and only a test for significance needs them.
    from scipy import special

    if math.isinf(degrees_of_freedom):
        return -float(special.ndtri(tail))
    return -float(special.stdtrit(degrees_of_freedom, tail))


def _welch(candidate: MetricValue, best: MetricValue) -> tuple[float, float]:
    """Returns standard error and degrees of freedom of a difference of independent estimates."""
    parts = [_standard_error_of(candidate), _standard_error_of(best)]
    scale = max(error for error, _ in parts)
    if not scale:
        return 0.0, math.inf
    variance = sum((error / scale) ** 2 for error, _ in parts)
    divisor = sum((error / scale) ** 4 / degrees for error, degrees in parts)
    return scale * math.sqrt(variance), variance**2 / divisor if divisor else math.inf


def _value_with_interval(
    key: MetricKey, eval_result: EvalResult, *, is_candidates: bool
) -> MetricValue:
    value = eval_result.find(key)
    if value is not None and _has_standard_error(value):
        return value
    owner, where = ("candidate", "no URI") if is_candidates else ("best", "its record")
    raise MissingIntervalError(
        "significance",
        f"must find confidence intervals in the {owner}'s evaluation"
        f" (got none for {str(key)!r}, at {eval_result.uri or where}). Set options {{"
        " compute_confidence_intervals { value: true } } in Evaluator's EvalConfig, or leave"
        " significance out until both evaluations have them.",
        is_candidates=is_candidates,
    )


def _has_standard_error(value: MetricValue) -> bool:
    degrees_of_freedom = value.degrees_of_freedom
    return (
        value.standard_error is not None
        and 0 <= value.standard_error < math.inf
        and (degrees_of_freedom is None or degrees_of_freedom > 0)
    )


def _standard_error_of(value: MetricValue) -> tuple[float, float]:
    degrees_of_freedom = value.degrees_of_freedom
    return value.standard_error or 0.0, (
        math.inf if degrees_of_freedom is None else degrees_of_freedom
    )
