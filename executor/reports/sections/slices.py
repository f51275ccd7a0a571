"""The change of the rule's metric on each slice."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from tfx_best_exporter.executor.reports import wording
from tfx_best_exporter.executor.reports.sections import fields
from tfx_best_exporter.executor.reports.sections.fields import Rows
from tfx_best_exporter.proto import best_exporter_pb2 as pb


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Slice:
    slice: Rows[tuple[str, str]]
    metric: str
    candidate: str
    best: str
    change: str
    # Percent of the largest change; None if the change is not finite.
    bar: float | None
    example_count: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _SliceGroup:
    title: str
    tone: str
    rows: Rows[_Slice]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Slices:
    # Empty if the slices have different metrics.
    metric: str
    groups: Sequence[_SliceGroup]
    shown: int
    total: int
    has_examples: bool


def section(decision: pb.ExportDecision) -> _Slices | None:
    """Returns the slices in groups: slices that got worse, worst first, then the others."""
    changes = sorted(
        decision.slices, key=lambda change: (change.metric, wording.features(change.slice))
    )
    if not changes:
        return None
    worse = [change for change in changes if change.improvement < 0]
    better = [change for change in changes if change.improvement > 0]
    groups = (
        ("Got worse", "worse", sorted(worse, key=lambda change: change.improvement)),
        ("Got better", "better", sorted(better, key=lambda change: -change.improvement)),
        ("No change", "", [change for change in changes if change.improvement == 0]),
        ("Not comparable", "", [change for change in changes if math.isnan(change.improvement)]),
    )
    sizes = [abs(change.improvement) for change in changes if math.isfinite(change.improvement)]
    metrics = {change.metric for change in changes}
    return _Slices(
        metric=metrics.pop() if len(metrics) == 1 else "",
        groups=[
            _SliceGroup(
                title=title,
                tone=tone,
                rows=Rows.of(_slice_change(change, max(sizes, default=0.0)) for change in members),
            )
            for title, tone, members in groups
            if members
        ],
        shown=len(changes),
        total=max(decision.slice_count, len(changes)),
        has_examples=any(change.HasField("example_count") for change in changes),
    )


def _slice_change(change: pb.SliceChange, largest: float) -> _Slice:
    size = abs(change.improvement)
    return _Slice(
        slice=fields.slice_features(change.slice),
        metric=change.metric,
        candidate=wording.number(change.candidate, change.best),
        best=wording.number(change.best, change.candidate),
        change=wording.change(change.improvement),
        bar=round(100 * (size / largest), 2) if 0 < size <= largest else None,
        example_count=fields.count(change),
    )
