"""Numbers as an explanation shows them, and how exact a difference of two of them is."""

from __future__ import annotations

import math
from collections.abc import Sequence

_DIGITS = 6
_MOST_DIGITS = 16
# A float keeps 15 decimal digits.
_MOST_IN_GROUPS = 1e15


def shown(value: float, *beside: float) -> str:
    """Returns a number with six digits, or with as many as tell it from others.

    Args:
        value: The number.
        beside: Numbers that it is read together with. Those that are equal to it, NaN or infinite
            are passed over.
    """
    for digits in range(_DIGITS, _MOST_DIGITS + 1):
        text = _text_unlike(value, beside, f".{digits}g")
        if text:
            return text
    return repr(value)


def _text_unlike(value: float, beside: Sequence[float], format_spec: str) -> str:
    """Returns a number's text, or an empty one if another number has the same."""
    text = format(value, format_spec)
    others = (other for other in beside if math.isfinite(other) and other != value)
    return "" if any(format(other, format_spec) == text for other in others) else text


def apart(first: float, second: float) -> tuple[str, str]:
    """Returns two numbers with six digits, or with as many as show that they differ."""
    texts = f"{first:.{_DIGITS}g}", f"{second:.{_DIGITS}g}"
    if texts[0] != texts[1]:
        # Nearly always.
        return texts
    return shown(first, second), shown(second, first)


def count(value: float, *beside: float) -> str:
    """Returns a number of examples, in groups of three digits where it is whole or large.

    Args:
        value: The number; where examples have weights, it need not be whole.
        beside: As in `shown`.
    """
    if abs(value) < _MOST_IN_GROUPS:
        if float(value).is_integer():
            return f"{value:,.0f}"
        text = _text_unlike(value, beside, ",.0f")
        if text and abs(value) >= 10 ** (_DIGITS - 1):
            return text
    return shown(value, *beside)


def rounding_of(*values: float) -> float:
    """Returns how far a sum or a difference of numbers may be from what their decimals say.

    0.8 - 0.1 is 0.7000000000000001, and 0.7 is not less than it by anybody's intention.
    """
    finite = [abs(value) for value in values if math.isfinite(value)]
    return 4 * math.ulp(max(finite, default=0.0))
