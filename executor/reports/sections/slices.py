"""The change of the rule's metric on each slice."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from tfx_best_exporter.executor.deciding import slice_intervals
from tfx_best_exporter.executor.reports import wording
from tfx_best_exporter.executor.reports.sections import fields
from tfx_best_exporter.executor.reports.sections.fields import Rows
from tfx_best_exporter.proto import best_exporter_pb2 as pb

_WORSE, _BETTER, _NOISE = "Got worse", "Got better", "Within noise"
_WORSE_UNTESTED, _BETTER_UNTESTED = "Worse, not tested", "Better, not tested"
_NO_CHANGE, _NOT_COMPARABLE = "No change", "Not comparable"
# The groups in order, each with its tone.
_GROUPS = (
    (_WORSE, "worse"),
    (_BETTER, "better"),
    (_WORSE_UNTESTED, "noise"),
    (_BETTER_UNTESTED, "noise"),
    (_NOISE, "noise"),
    (_NO_CHANGE, ""),
    (_NOT_COMPARABLE, ""),
)
# Groups in the order of the change; True for the largest improvement first.
_ORDERS = {
    _WORSE: False,
    _BETTER: True,
    _WORSE_UNTESTED: False,
    _BETTER_UNTESTED: True,
    _NOISE: False,
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Slice:
    slice: Rows[tuple[str, str]]
    metric: str
    candidate: str
    best: str
    change: str
    # Interval of the improvement; empty if it is not known.
    interval: str
    # Percent of the largest change; None if the change is not finite.
    bar: float | None
    example_count: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _SliceGroup:
    title: str
    # "worse" and "better" for changes that are larger than their noise, otherwise "noise" or empty.
    tone: str
    # True if the rows of the group can have a bar.
    has_bars: bool
    rows: Rows[_Slice]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Slices:
    # Empty if the slices have different metrics.
    metric: str
    groups: Sequence[_SliceGroup]
    shown: int
    total: int
    has_examples: bool
    # Confidence of the intervals, which hold for all slices together; empty if there are none.
    confidence: str
    # True if changes have no interval, so that they may be noise.
    has_untested: bool


def section(decision: pb.ExportDecision) -> _Slices | None:
    """Returns the slices in groups: slices that got worse, worst first, then the others.

    A slice got worse or better if the interval of its change does not contain 0. Without an
    interval, neither is certain.
    """
    changes = sorted(
        decision.slices, key=lambda change: (change.metric, wording.features(change.slice))
    )
    if not changes:
        return None
    members: dict[str, list[pb.SliceChange]] = {title: [] for title, _ in _GROUPS}
    for change in changes:
        members[_group_of(change)].append(change)
    for title, is_largest_first in _ORDERS.items():
        # Reversal keeps the order of slices with equal changes.
        members[title].sort(key=lambda change: change.improvement, reverse=is_largest_first)
    sizes = [abs(change.improvement) for change in changes if math.isfinite(change.improvement)]
    metrics = {change.metric for change in changes}
    return _Slices(
        metric=metrics.pop() if len(metrics) == 1 else "",
        groups=[
            _SliceGroup(
                title=title,
                tone=tone,
                has_bars=title in _ORDERS,
                rows=Rows.of(
                    _slice_change(change, max(sizes, default=0.0)) for change in members[title]
                ),
            )
            for title, tone in _GROUPS
            if members[title]
        ],
        shown=len(changes),
        total=max(decision.slice_count, len(changes)),
        has_examples=any(change.HasField("example_count") for change in changes),
        confidence=_confidence(changes),
        has_untested=bool(members[_WORSE_UNTESTED] or members[_BETTER_UNTESTED]),
    )


def _confidence(changes: Sequence[pb.SliceChange]) -> str:
    return wording.confidence(slice_intervals.ALPHA) if any(map(_is_tested, changes)) else ""


def _is_tested(change: pb.SliceChange) -> bool:
    return change.HasField("improvement_lower_bound") and change.HasField("improvement_upper_bound")


def _group_of(change: pb.SliceChange) -> str:
    if math.isnan(change.improvement):
        return _NOT_COMPARABLE
    if change.improvement == 0:
        return _NO_CHANGE
    is_worse = change.improvement < 0
    # No noise explains an infinite change.
    if math.isinf(change.improvement):
        return _WORSE if is_worse else _BETTER
    if not _is_tested(change):
        return _WORSE_UNTESTED if is_worse else _BETTER_UNTESTED
    if change.improvement_upper_bound < 0:
        return _WORSE
    return _BETTER if change.improvement_lower_bound > 0 else _NOISE


def _slice_change(change: pb.SliceChange, largest: float) -> _Slice:
    size = abs(change.improvement)
    return _Slice(
        slice=fields.slice_features(change.slice),
        metric=change.metric,
        candidate=wording.number(change.candidate, change.best),
        best=wording.number(change.best, change.candidate),
        change=wording.change(change.improvement),
        interval=_interval(change) if _is_tested(change) else "",
        bar=round(100 * (size / largest), 2) if 0 < size <= largest else None,
        example_count=fields.count(change),
    )


def _interval(change: pb.SliceChange) -> str:
    lower, upper = change.improvement_lower_bound, change.improvement_upper_bound
    return f"{wording.number(lower, upper)} to {wording.number(upper, lower)}"
