"""Numbers as explanations show them, and the rounding error of their differences."""

from __future__ import annotations

import datetime
import decimal
import math
from collections.abc import Iterable

from google.protobuf.timestamp_pb2 import Timestamp

# Four significant digits are as many as a person reads at a glance.
_DIGITS = 4
# A whole part is rounded only from a million on: 123456, but 1.235e+06.
_MOST_WHOLE_DIGITS = 6
_MOST_DIGITS = 16
# A float keeps 15 decimal digits.
_MOST_IN_GROUPS = 1e15
_UNITS = (("days", 86400), ("hours", 3600))
_WHOLE_UNITS = (*_UNITS, ("minutes", 60))
# The confidence of a smaller alpha would be a row of nines.
_LEAST_ALPHA = 1e-12


def shown(value: float, *beside: float, digits: int = _DIGITS) -> str:
    """Returns a number with four digits, or with as many as distinguish it from others.

    Args:
        value: The number. NaN is "NaN", an infinity "inf" or "-inf", and -0.0 is "0".
        beside: Numbers that are shown next to it. Numbers that are equal to it, NaN or infinite
            need no more digits.
        digits: Smallest number of significant digits.
    """
    for places in range(digits, _MOST_DIGITS + 1):
        text = _rounded(value, places)
        if all(_rounded(other, places) != text for other in _others(value, beside)):
            return text
    return repr(value)


def apart(first: float, second: float) -> tuple[str, str]:
    """Returns two numbers with four digits, or with as many as show that they differ."""
    return shown(first, second), shown(second, first)


def compared(value: float, best_value: float, required: float) -> tuple[str, str, str]:
    """Returns two numbers and the required difference, with digits that show if it is exceeded.

    0.90204 and 0.9 differ by more than 0.002; with four digits, 0.902 and 0.9 do not.

    Args:
        value: The candidate's value.
        best_value: The best's value.
        required: Size that their difference is compared with, 0 or larger.
    """
    if not required or not all(map(math.isfinite, (value, best_value, required))):
        return *apart(value, best_value), shown(required)
    relation = _relation(value, best_value, required)
    for digits in range(_DIGITS, _MOST_DIGITS + 1):
        first, second, by = (_rounded(each, digits) for each in (value, best_value, required))
        if _relation(float(first), float(second), float(by)) == relation:
            return first, second, by
    return repr(value), repr(best_value), repr(required)


def _relation(value: float, best_value: float, required: float) -> tuple[bool, bool]:
    """Returns two flags: the numbers are equal, and they differ by more than required."""
    difference = abs(value - best_value)
    return value == best_value, difference > required + rounding_of(value, best_value)


def _rounded(value: float, digits: int) -> str:
    """Returns a number with at least this many significant digits, and its complete whole part."""
    if math.isnan(value):
        return "NaN"
    if abs(value) < 10**_MOST_WHOLE_DIGITS - 0.5:
        digits = max(digits, len(f"{abs(value):.0f}"))
    # -0.0 is 0.
    return f"{value + 0.0:.{digits}g}"


def _others(value: float, beside: Iterable[float]) -> list[float]:
    """Returns the finite numbers that are not equal to a number."""
    return [other for other in beside if math.isfinite(other) and other != value]


def count(value: float, *beside: float) -> str:
    """Returns a number of examples, in groups of three digits if it is whole or large.

    Args:
        value: The number. It need not be whole if examples have weights.
        beside: See `shown`.
    """
    if abs(value) < _MOST_IN_GROUPS:
        text = f"{value:,.0f}"
        if float(value).is_integer():
            return text
        is_unlike = all(f"{other:,.0f}" != text for other in _others(value, beside))
        if is_unlike and abs(value) >= 10 ** (_DIGITS - 1):
            return text
    return shown(value, *beside)


def confidence(alpha: float) -> str:
    """Returns 1 - alpha in percent, with enough digits to differ from 100 %."""
    if 0 < alpha < _LEAST_ALPHA:
        return f"more than {confidence(_LEAST_ALPHA)}"
    if not 0 < alpha < 1:
        return f"{shown(100 * (1 - alpha))} %"
    # Decimal is exact, and 1 - alpha is not: 99.99999994, not 99.99999993999999.
    share = 100 * (1 - decimal.Decimal(shown(alpha, 1.0)))
    return f"{share.normalize():f} %"


def durations(seconds: float, limit_seconds: float) -> tuple[str, str]:
    """Returns a duration and its limit in one unit, with digits that show if they differ.

    The unit is the largest one that the limit has at least two of: days, hours or seconds.

    Example:
        >>> durations(2_678_400, 2_592_000)
        ('31 days', '30 days')
    """
    unit, size = next((each for each in _UNITS if limit_seconds >= 2 * each[1]), ("seconds", 1))
    value, limit = seconds / size, limit_seconds / size
    return f"{count(value, limit)} {unit}", f"{count(limit, value)} {unit}"


def whole_duration(seconds: int) -> tuple[int, str]:
    """Returns a duration in the largest unit of which it is a whole number above one.

    Example:
        >>> whole_duration(604800), whole_duration(86400), whole_duration(61)
        ((7, 'days'), (24, 'hours'), (61, 'seconds'))
    """
    for unit, size in _WHOLE_UNITS:
        if seconds > size and seconds % size == 0:
            return seconds // size, unit
    return seconds, "seconds"


def rounding_of(*values: float) -> float:
    """Returns the largest rounding error of a sum or a difference of some numbers.

    0.8 - 0.1 is 0.7000000000000001, but 0.7 must not count as smaller than the difference.
    """
    finite = [abs(value) for value in values if math.isfinite(value)]
    return 4 * math.ulp(max(finite, default=0.0))


def seconds_of(timestamp: Timestamp) -> float:
    """Returns a time of a message in seconds since the epoch."""
    return timestamp.ToNanoseconds() / 1e9


def time_of(seconds: float) -> str:
    """Returns a time for a sentence, in UTC.

    Args:
        seconds: Seconds since the epoch.

    Example:
        >>> time_of(1732240000)
        '2024-11-22 01:46 UTC'
    """
    time = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return f"{time:%Y-%m-%d %H:%M} UTC"
