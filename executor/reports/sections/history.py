"""The history of exports: a chart, a table, and the exports that this run retired and kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from tfx_best_exporter.executor.reports import charts, message, wording
from tfx_best_exporter.executor.reports.sections import fields
from tfx_best_exporter.executor.reports.sections.fields import Interval, Rows, Value
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# A chart with more points than this has small points and faint intervals.
_FEW_POINTS = 60
# State of an export that a run failed to retire.
NOT_DELETED = "not deleted yet"
# Marks of states that have no mark of their own.
_MARKS = {NOT_DELETED: "retired"}
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
    own_version = message.candidate_version_of(decision)
    states = {entry.version: _state(entry, decision) for entry in entries}
    drawn = [
        entry
        for entry in entries
        if entry.metric == metric and fields.is_finite(fields.interval(entry, ""))
    ]
    dated = [_export_mark(entry, states, own_version) for entry in drawn]
    refused = map(_refusal_mark, decision.refusals)
    dated += [mark for mark in refused if mark.metric and mark.metric == metric]
    # The sort is stable, so exports of the same time keep the order of their versions.
    dated.sort(key=lambda mark: mark.seconds)
    marks = [(mark.state, mark.title, mark.interval) for mark in dated]
    ends = [mark.day for mark in (*dated[:1], *dated[-1:])]
    candidate = _candidate_interval(decision, metric)
    is_recorded = own_version in {entry.version for entry in entries}
    if fields.is_finite(candidate) and not is_recorded:
        state, outcome = ("refused", ", not exported") if own_version is None else ("candidate", "")
        marks.append((state, f"this run's candidate{outcome}", candidate))
        ends[1:] = ["this run"]
    rows = [_entry(entry, metric, states) for entry in reversed(entries)]
    if decision.exported and version is not None and version not in states:
        # A challenger has its value in its own section.
        value = candidate if version == own_version else (None, None, None)
        rows.insert(0, _exported_entry(decision, version, value))
    directions = {each.metric: int(each.direction) for each in decision.comparisons}
    return _History(
        metric=metric,
        direction=wording.DIRECTIONS.get(directions.get(metric, 0), ""),
        rows=Rows.of(rows),
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


def _state(entry: pb.HistoryEntry, decision: pb.ExportDecision) -> str:
    """Returns the state of an export after the run, as the section on retired exports has it."""
    if entry.version == message.served_version_of(decision):
        return "served"
    for each in decision.retired:
        if each.version == entry.version:
            return NOT_DELETED if each.error else "retired"
    return "retired" if entry.retired else "kept"


def _entry(entry: pb.HistoryEntry, metric: str, states: Mapping[int, str]) -> _Entry:
    return _Entry(
        version=entry.version,
        exported_at=fields.time(entry, "exported_at"),
        metric=entry.metric if entry.metric != metric else "",
        value=fields.value(fields.interval(entry, ""), None),
        state=states[entry.version],
    )


def _exported_entry(decision: pb.ExportDecision, version: int, candidate: Interval) -> _Entry:
    """Returns the row of the export of this run, which is in the history of the next one."""
    return _Entry(
        version=version,
        exported_at=fields.time(decision, "decided_at"),
        metric="",
        value=fields.value(candidate, None),
        state="served",
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _DatedMark:
    """A candidate of an earlier run. `seconds` since the epoch order exports and refusals."""

    seconds: float
    state: str
    title: str
    metric: str
    interval: Interval
    day: str


def _export_mark(
    entry: pb.HistoryEntry, states: Mapping[int, str], version: int | None
) -> _DatedMark:
    state, date = states[entry.version], fields.day(entry, "exported_at")
    # A version without a time is a time itself in nearly all base directories.
    has_time = entry.HasField("exported_at")
    return _DatedMark(
        seconds=entry.exported_at.seconds if has_time else entry.version,
        state="candidate" if entry.version == version else _MARKS.get(state, state),
        title=f"version {entry.version}, {state}{f', exported {date}' if date else ''}",
        metric=entry.metric,
        interval=fields.interval(entry, ""),
        day=date or f"version {entry.version}",
    )


def _refusal_mark(refusal: pb.Refusal) -> _DatedMark:
    interval = (fields.optional(refusal, "value"), None, None)
    date = fields.day(refusal, "decided_at")
    return _DatedMark(
        seconds=refusal.decided_at.seconds,
        state="declined",
        title=f"a candidate that was not exported{f', {date}' if date else ''}",
        # Without a value there is nothing to draw.
        metric=refusal.metric if fields.is_finite(interval) else "",
        interval=interval,
        day=date or "an earlier run",
    )


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
    # Empty if it is not known.
    exported_at: str
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
    dates = {each.version: fields.time(each, "exported_at") for each in decision.history}
    if decision.exported:
        dates.setdefault(decision.version, fields.time(decision, "decided_at"))
    retired = [
        _Export(
            version=each.version,
            exported_at=dates.get(each.version, ""),
            outcome=NOT_DELETED if each.error else "retired",
            why=each.why,
            error=each.error,
        )
        for each in sorted(decision.retired, key=lambda each: -each.version)
    ]
    kept = [
        _Export(
            version=each.version,
            exported_at=dates.get(each.version, ""),
            outcome="kept",
            why=each.why,
            error="",
        )
        for each in sorted(decision.kept, key=lambda each: -each.version)
    ]
    undeleted = sum(bool(each.error) for each in retired)
    outcome = [f"{wording.count(len(retired) - undeleted)} retired by this run"]
    if undeleted:
        outcome.append(f"{wording.count(undeleted)} not deleted yet")
    outcome.append(f"{wording.count(len(kept))} kept")
    return _Exports(outcome=", ".join(outcome), rows=Rows.of([*retired, *kept]))
