"""Numbers as an explanation shows them, and how exact a difference of two of them is."""

from __future__ import annotations

import math

_DIGITS = 6
_MOST_DIGITS = 16


def apart(first: float, second: float) -> tuple[str, str]:
    """Returns two numbers with six digits, or with as many as show that they differ."""
    for digits in range(_DIGITS, _MOST_DIGITS + 1):
        texts = f"{first:.{digits}g}", f"{second:.{digits}g}"
        if first == second or texts[0] != texts[1]:
            return texts
    return repr(first), repr(second)


def rounding_of(*values: float) -> float:
    """Returns how far a sum or a difference of numbers may be from what their decimals say.

    0.8 - 0.1 is 0.7000000000000001, and 0.7 is not less than it by anybody's intention.
    """
    finite = [abs(value) for value in values if math.isfinite(value)]
    return 4 * math.ulp(max(finite, default=0.0))
