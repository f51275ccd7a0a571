"""Rows of the results: medians and quartiles of pairs of measurements, as a Markdown table."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The quartiles of some values.

    Attributes:
        lower: First quartile.
        median: Second quartile.
        upper: Third quartile.
    """

    lower: float
    median: float
    upper: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the results.

    Attributes:
        name: Name of the measurement and of the peer.
        ours: Our median, in `unit`.
        peer: Median of the peer, in `unit`.
        found: Quartiles of the pairs' ratios, or of their differences.
        pairs: Number of pairs.
        limit: Largest median of `found` that is met; None for no limit.
        unit: Unit of `ours` and `peer`.
        is_difference: Whether `found` is ours minus the peer, instead of ours divided by the peer.
    """

    name: str
    ours: float
    peer: float
    found: Spread
    pairs: int
    limit: float | None
    unit: str = "s"
    is_difference: bool = False

    def text_of(self, value: float) -> str:
        """Returns the text of a ratio or a difference in the table."""
        return f"{value:+.2f} {self.unit}" if self.is_difference else f"{value:.2f}"

    @property
    def quartiles(self) -> str:
        """Text of the quartiles in the table."""
        return f"{self.text_of(self.found.lower)} to {self.text_of(self.found.upper)}"

    @property
    def verdict(self) -> str:
        """Text that says whether the median is within the limit; empty without a limit."""
        if self.limit is None:
            return ""
        return "met" if self.found.median <= self.limit else "missed"


def spread_of(values: Sequence[float]) -> Spread:
    """Returns the quartiles of values, which are treated as the whole population."""
    if len(values) == 1:
        return Spread(lower=values[0], median=values[0], upper=values[0])
    lower, median, upper = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(lower=lower, median=median, upper=upper)


def ratio_of(
    name: str, measured: Sequence[tuple[float, float]], limit: float | None, unit: str = "s"
) -> Row:
    """Returns a row for the ratios of pairs.

    Args:
        name: Name of the measurement and of the peer.
        measured: Pairs of our value and the peer's.
        limit: Limit of the median ratio; None for no limit.
        unit: Unit of the values.
    """
    return _row_of(name, measured, [ours / peer for ours, peer in measured], limit, unit)


def difference_of(
    name: str, measured: Sequence[tuple[float, float]], limit: float | None, unit: str = "s"
) -> Row:
    """Returns a row for the differences of pairs, ours minus the peer's; see `ratio_of`."""
    differences = [ours - peer for ours, peer in measured]
    row = _row_of(name, measured, differences, limit, unit)
    return dataclasses.replace(row, is_difference=True)


def _row_of(
    name: str,
    measured: Sequence[tuple[float, float]],
    values: Sequence[float],
    limit: float | None,
    unit: str,
) -> Row:
    return Row(
        name=name,
        ours=statistics.median(ours for ours, _ in measured),
        peer=statistics.median(peer for _, peer in measured),
        found=spread_of(values),
        pairs=len(measured),
        limit=limit,
        unit=unit,
    )


def show(rows: Sequence[Row]) -> str:
    """Returns the results as a table in Markdown."""
    lines = [
        "| measured | ours | peer | ratio (median) | quartiles | pairs | limit | |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for row in rows:
        limit = "" if row.limit is None else row.text_of(row.limit)
        lines.append(
            f"| {row.name} | {row.ours:.3g} {row.unit} | {row.peer:.3g} {row.unit} |"
            f" {row.text_of(row.found.median)} | {row.quartiles} | {row.pairs} | {limit} |"
            f" {row.verdict} |"
        )
    return "\n".join(lines) + "\n"
