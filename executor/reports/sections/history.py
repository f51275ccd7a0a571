"""The history of exports: a chart, a table, and the exports that this run retired and kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tfx_best_exporter.executor.reports import charts, message, wording
from tfx_best_exporter.executor.reports.sections import fields
from tfx_best_exporter.executor.reports.sections.fields import Interval, Rows, Value
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# A chart with more points than this has small points and faint intervals.
_FEW_POINTS = 60
# Gap between the exports and a candidate that was not exported, as a share of the exports.
_GAP = 0.06


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    version: int
    exported_at: str
    metric: str
    value: Value
    state: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Point:
    """A point of the history chart: `x` in percent from the left, `mark` from the bottom."""

    x: float
    mark: charts.Mark
    state: str
    title: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _HistoryChart:
    points: Sequence[_Point]
    states: frozenset[str]
    ticks: Sequence[charts.Tick]
    ends: Sequence[str]
    description: str
    is_dense: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _History:
    metric: str
    direction: str
    rows: Rows[_Entry]
    chart: _HistoryChart | None
    # Number of exports whose records have no finite value of the metric.
    left_out: int


def section(decision: pb.ExportDecision) -> _History | None:
    """Returns the exports of the history, and the candidate if it is not one of them."""
    entries = sorted(decision.history, key=lambda entry: entry.version)
    if not entries:
        return None
    metric = _history_metric(decision, entries)
    version = message.version_of(decision)
    served = decision.best.version if version is None else version
    own_version = message.candidate_version_of(decision)
    drawn = [
        entry
        for entry in entries
        if entry.metric == metric and fields.is_finite(fields.interval(entry, ""))
    ]
    marks = [
        (
            "candidate" if entry.version == own_version else _state(entry, served),
            f"version {entry.version}, {_state(entry, served)}",
            fields.interval(entry, ""),
        )
        for entry in drawn
    ]
    ends = [_day(entry) for entry in (*drawn[:1], *drawn[-1:])]
    candidate = _candidate_interval(decision, metric)
    is_recorded = own_version in {entry.version for entry in entries}
    if fields.is_finite(candidate) and not is_recorded:
        state, outcome = ("refused", ", not exported") if own_version is None else ("candidate", "")
        marks.append((state, f"this run's candidate{outcome}", candidate))
        ends[1:] = ["this run"]
    directions = {each.metric: int(each.direction) for each in decision.comparisons}
    return _History(
        metric=metric,
        direction=wording.DIRECTIONS.get(directions.get(metric, 0), ""),
        rows=Rows.of(
            _Entry(
                version=entry.version,
                exported_at=fields.time(entry, "exported_at"),
                metric=entry.metric if entry.metric != metric else "",
                value=fields.value(fields.interval(entry, ""), None),
                state=_state(entry, served),
            )
            for entry in reversed(entries)
        ),
        chart=_history_chart(marks, ends),
        left_out=len(entries) - len(drawn),
    )


def _history_chart(
    marks: Sequence[tuple[str, str, Interval]], ends: Sequence[str]
) -> _HistoryChart | None:
    """Returns a chart of states, labels and values in order; None for fewer than two values."""
    scale = charts.scale_of(value for _, _, interval in marks for value in interval)
    if scale is None or len(marks) < 2:
        return None
    places: list[float] = [*range(len(marks))]
    if marks[-1][0] == "refused":
        # A candidate that was not exported stands apart, so that it does not cover the served one.
        places[-1] += max(_GAP * len(marks) - 1, 0)
    across = charts.Scale(low=0, high=places[-1])
    points = []
    for place, (state, label, interval) in zip(places, marks, strict=True):
        value = fields.value(interval, scale)
        if value.mark is None:
            raise ValueError(f"a mark of the history must have a finite value (got {interval}).")
        points.append(
            _Point(
                x=across.at(place), mark=value.mark, state=state, title=f"{label}: {value.value}"
            )
        )
    values = [value for _, _, (value, _, _) in marks if value is not None]
    smallest, largest = min(values), max(values)
    return _HistoryChart(
        points=points,
        states=frozenset(point.state for point in points),
        ticks=scale.ticks(),
        ends=ends,
        description=(
            f"{len(points)} values, from {wording.number(smallest, largest)} to"
            f" {wording.number(largest, smallest)}. The first: {points[0].title}. The last:"
            f" {points[-1].title}."
        ),
        is_dense=len(points) > _FEW_POINTS,
    )


def _history_metric(decision: pb.ExportDecision, entries: Sequence[pb.HistoryEntry]) -> str:
    """Returns the metric to draw: the rule's if the history has it, otherwise the latest one."""
    known = [entry.metric for entry in entries if entry.metric]
    compared = [comparison.metric for comparison in decision.comparisons]
    return next((metric for metric in compared if metric in known), known[-1] if known else "")


def _candidate_interval(decision: pb.ExportDecision, metric: str) -> Interval:
    for comparison in decision.comparisons:
        if comparison.metric == metric:
            return fields.interval(comparison, "candidate")
    for value in decision.candidate_evaluation.metrics:
        if wording.metric(value.key) == metric:
            return fields.interval(value, "")
    return None, None, None


def _day(entry: pb.HistoryEntry) -> str:
    return fields.time(entry, "exported_at")[: len("2026-11-22")] or f"version {entry.version}"


def _state(entry: pb.HistoryEntry, served: int) -> str:
    if entry.version == served:
        return "served"
    return "retired" if entry.retired else "kept"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Refusal:
    decided_at: str
    reason: str
    explanation: str
    metric: str
    value: str
    run_id: str


def refusals(decision: pb.ExportDecision) -> Rows[_Refusal] | None:
    """Returns the earlier runs that exported nothing, newest first; None if there are none."""
    if not decision.refusals:
        return None
    return Rows.of(
        _Refusal(
            decided_at=fields.time(each, "decided_at"),
            reason=each.reason,
            explanation=each.explanation,
            metric=each.metric,
            value=wording.number(each.value) if each.HasField("value") else "",
            run_id=each.run_id,
        )
        for each in reversed(decision.refusals)
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Export:
    version: int
    outcome: str
    why: str
    error: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Exports:
    outcome: str
    rows: Rows[_Export]


def exports(decision: pb.ExportDecision) -> _Exports | None:
    """Returns the retired exports, then the kept ones, each newest first."""
    if not decision.kept and not decision.retired:
        return None
    retired = [
        _Export(
            version=each.version,
            outcome="not deleted yet" if each.error else "retired",
            why=each.why,
            error=each.error,
        )
        for each in sorted(decision.retired, key=lambda each: -each.version)
    ]
    kept = [
        _Export(version=each.version, outcome="kept", why=each.why, error="")
        for each in sorted(decision.kept, key=lambda each: -each.version)
    ]
    undeleted = sum(bool(each.error) for each in retired)
    outcome = [f"{wording.count(len(retired) - undeleted)} retired by this run"]
    if undeleted:
        outcome.append(f"{wording.count(undeleted)} not deleted yet")
    outcome.append(f"{wording.count(len(kept))} kept")
    return _Exports(outcome=", ".join(outcome), rows=Rows.of([*retired, *kept]))
