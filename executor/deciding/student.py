"""Quantiles of Student's t distribution."""

from __future__ import annotations

import functools
import math
import statistics

# From here on the normal distribution is the same to more digits than anybody looks at.
_MANY_DEGREES_OF_FREEDOM = 1e7
_MAX_TERMS = 500


@functools.lru_cache(maxsize=256)
def quantile(probability: float, degrees_of_freedom: float) -> float:
    """Returns t with P(T <= t) = probability.

    By bisection of the distribution function, which is an incomplete beta function: Abramowitz and
    Stegun, Handbook of Mathematical Functions, 26.7.1 and 26.5.8.

    Args:
        probability: Larger than 0, smaller than 1.
        degrees_of_freedom: Larger than 0, need not be whole; infinite for the normal distribution.

    Raises:
        ValueError: An argument is out of its range.
    """
    if not 0 < probability < 1:
        raise ValueError(
            f"probability must be between 0 and 1 (got {probability!r}). Give a share."
        )
    if not degrees_of_freedom > 0:
        raise ValueError(
            f"degrees_of_freedom must be larger than 0 (got {degrees_of_freedom!r})."
            " Give the number of independent parts, less one."
        )
    if degrees_of_freedom >= _MANY_DEGREES_OF_FREEDOM:
        return statistics.NormalDist().inv_cdf(probability)
    if probability < 0.5:
        return -quantile(1 - probability, degrees_of_freedom)
    upper_tail = 1 - probability
    low, high = 0.0, 1.0
    while _upper_tail(high, degrees_of_freedom) > upper_tail:
        low, high = high, 2 * high
    while low < (middle := (low + high) / 2) < high:
        if _upper_tail(middle, degrees_of_freedom) > upper_tail:
            low = middle
        else:
            high = middle
    return high


def _upper_tail(t: float, degrees_of_freedom: float) -> float:
    """Returns P(T > t) for t >= 0."""
    square = t * t
    return 0.5 * _incomplete_beta(
        # 1 - x, which would be lost for a small t, is handed over as it is.
        degrees_of_freedom / (degrees_of_freedom + square),
        square / (degrees_of_freedom + square),
        degrees_of_freedom / 2,
        0.5,
    )


def _incomplete_beta(x: float, one_minus_x: float, a: float, b: float) -> float:
    """Returns the regularized incomplete beta function I_x(a, b)."""
    if x <= 0 or one_minus_x <= 0:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        # There the fraction of the other side converges fast.
        return 1 - _incomplete_beta(one_minus_x, x, b, a)
    log_front = (
        math.lgamma(a + b)
        - math.lgamma(a)
        - math.lgamma(b)
        + a * math.log(x)
        + b * math.log(one_minus_x)
    )
    return math.exp(log_front) / (a * _continued_fraction(x, a, b))


def _continued_fraction(x: float, a: float, b: float) -> float:
    """Returns 1 + d1/(1 + d2/(1 + ...)) of I_x(a, b), by convergents of ever more terms."""
    numerator, numerator_before = 1.0, 1.0
    denominator, denominator_before = 1.0, 0.0
    value = 1.0
    for term in range(1, _MAX_TERMS):
        m = term // 2
        if term % 2:
            d = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            d = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        numerator, numerator_before = numerator + d * numerator_before, numerator
        denominator, denominator_before = denominator + d * denominator_before, denominator
        # Both grow or shrink together: their scale is of no matter.
        numerator_before /= denominator
        denominator_before /= denominator
        numerator /= denominator
        denominator = 1.0
        if abs(numerator - value) <= 1e-16 * abs(numerator):
            return numerator
        value = numerator
    return value
