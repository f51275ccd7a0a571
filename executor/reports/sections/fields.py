"""Fields of a decision for display: values that may be unset, and tables that can be expanded."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Generic, TypeAlias, TypeVar

from google.protobuf.message import Message

from tfx_best_exporter.executor.reports import charts, wording
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# Rows of a table that are visible at once. A table has at most _MOST_ROWS rows, and the others are
# in decision.json. That file is limited too: it lists the first guardrails, the slices that changed
# most, and the latest exports of the history.
OPEN_ROWS = 8
_MOST_ROWS = 200
_MOST_FEATURES = 12

# A value and the bounds of its confidence interval.
Interval: TypeAlias = tuple[float | None, float | None, float | None]
_Row = TypeVar("_Row")


@dataclasses.dataclass(frozen=True, slots=True)
class Rows(Generic[_Row]):
    """Rows that are visible at once, rows to expand, and the number of rows left out."""

    open: Sequence[_Row]
    folded: Sequence[_Row]
    left_out: int

    @classmethod
    def of(cls, rows: Iterable[_Row], at_least_open: int = 0) -> Rows[_Row]:
        """Returns rows for display; at least `at_least_open` of them are visible at once."""
        rows = list(rows)
        shown = rows[:_MOST_ROWS]
        split = max(OPEN_ROWS, at_least_open)
        # A single folded row would take as much room as the line that expands it.
        split = split if len(shown) > split + 1 else len(shown)
        return cls(shown[:split], shown[split:], len(rows) - len(shown))

    def __len__(self) -> int:
        return len(self.open) + len(self.folded) + self.left_out


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A value and its interval, as text and as a mark of a chart."""

    value: str
    interval: str
    mark: charts.Mark | None


def value(interval: Interval, scale: charts.Scale | None, *beside: float | None) -> Value:
    """Returns a value for display on a scale and next to other values."""
    value, lower, upper = interval
    bounds = ""
    if lower is not None and upper is not None:
        bounds = f"{number(lower, upper, value)} to {number(upper, lower, value)}"
    return Value(
        value=number(value, *beside),
        interval=bounds,
        mark=None if scale is None or value is None else scale.mark(value, lower, upper),
    )


def slice_features(value: pb.Slice) -> Rows[tuple[str, str]]:
    """Returns the features of a slice; only the first ones are shown."""
    features = wording.features(value)
    return Rows(features[:_MOST_FEATURES], (), max(len(features) - _MOST_FEATURES, 0))


def optional(message: Message, field: str) -> float | None:
    """Returns the value of a field, or None if it is unset."""
    return getattr(message, field) if message.HasField(field) else None


def interval(message: Message, name: str) -> Interval:
    """Returns the fields `<name>`, `<name>_lower_bound` and `<name>_upper_bound` of a message.

    Args:
        message: A message that has these fields.
        name: The name; empty for the fields "value", "lower_bound" and "upper_bound".
    """
    front = f"{name}_" if name else ""
    fields = type(message).DESCRIPTOR.fields_by_name
    value = name or "value"
    return (
        optional(message, value) if fields[value].has_presence else getattr(message, value),
        optional(message, f"{front}lower_bound"),
        optional(message, f"{front}upper_bound"),
    )


def is_finite(interval: Interval) -> bool:
    """Returns True if the value of an interval is known and finite."""
    return interval[0] is not None and math.isfinite(interval[0])


def number(value: float | None, *beside: float | None) -> str:
    """Returns a number as text, empty for None. See `wording.number` for the arguments."""
    return "" if value is None else wording.number(value, *beside)


def count(message: Message) -> str:
    """Returns the number of examples of a message as text, empty if it is unset."""
    count = optional(message, "example_count")
    return "" if count is None else wording.count(count)


def day(message: Message, field: str) -> str:
    """Returns the day of a time as text, empty if it is unset or outside the calendar."""
    text = time(message, field)
    return text[: len("2026-11-22")] if text[4:5] == "-" else ""


def time(message: Message, field: str) -> str:
    """Returns a time as text, empty if it is unset."""
    return wording.time(getattr(message, field)) if message.HasField(field) else ""
