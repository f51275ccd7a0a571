"""Positions of the marks in a chart: values converted to percent of its width or height."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable

# Margin on either side of the outermost marks in percent, so that no mark is cut in half.
_INSET = 4.0
_MOST_INTERVALS = 4
# Ticks with more digits differ by little more than the precision of a double.
_MOST_DIGITS = 12
_NICE_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclasses.dataclass(frozen=True, slots=True)
class Tick:
    """A position on an axis, in percent, and its label."""

    at: float
    label: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A value and its interval, in percent of the axis.

    Attributes:
        at: The value.
        low: Lower end of the interval; None without an interval.
        high: Upper end of the interval; None without an interval.
        has_low_cap: True if the interval ends at `low`, and false if it extends beyond the chart.
        has_high_cap: The same for `high`.
    """

    at: float
    low: float | None = None
    high: float | None = None
    has_low_cap: bool = False
    has_high_cap: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """A linear axis from `low` to `high`, both finite, `low` the smaller one."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Returns the position of a value in percent; a value beyond the axis is at its end.

        Args:
            value: A number other than NaN.
        """
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(_INSET + (100 - 2 * _INSET) * share, 2)

    def mark(self, value: float, lower: float | None, upper: float | None) -> Mark | None:
        """Returns the mark of a value and its interval, or None if the value is not finite."""
        if not math.isfinite(value):
            return None
        if lower is None or upper is None or math.isnan(lower) or math.isnan(upper):
            return Mark(at=self.at(value))
        return Mark(
            at=self.at(value),
            low=self.at(lower) if math.isfinite(lower) else 0.0,
            high=self.at(upper) if math.isfinite(upper) else 100.0,
            has_low_cap=math.isfinite(lower),
            has_high_cap=math.isfinite(upper),
        )

    def ticks(self) -> tuple[Tick, ...]:
        """Returns up to five round numbers on the axis, or none if doubles are too coarse."""
        rough = (self.high - self.low) / _MOST_INTERVALS
        magnitude = 10.0 ** math.floor(math.log10(rough))
        step = next(nice for nice in _NICE_STEPS if nice * magnitude >= rough * 0.999) * magnitude
        largest = max(abs(self.low), abs(self.high))
        digits = math.floor(math.log10(largest)) - math.floor(math.log10(step)) + 2
        if digits > _MOST_DIGITS:
            return ()
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return tuple(
            Tick(at=self.at(index * step), label=f"{index * step:.{max(digits, 1)}g}")
            for index in range(first, last + 1)
        )


def scale_of(values: Iterable[float | None]) -> Scale | None:
    """Returns an axis that has room for all values, or None if no chart can show them.

    Args:
        values: The values to show. None, NaN and infinities are skipped.
    """
    finite = [value for value in values if value is not None and math.isfinite(value)]
    if not finite:
        return None
    low, high = min(finite), max(finite)
    # Values too close to distinguish in a chart are drawn in its middle.
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        room = 0.05 * max(abs(low), abs(high)) or 1.0
        low, high = low - room, high + room
    # Differences of the smallest or the largest doubles underflow to 0 or overflow to infinity.
    return Scale(low=low, high=high) if 1e-300 < high - low < math.inf else None
