"""A static site of base directories: an index, and the history, decisions and trend of each."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tfx_best_exporter.executor.deciding import numbers
from tfx_best_exporter.executor.exports.decision_log import LoggedDecision
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.records import RecordError
from tfx_best_exporter.executor.operating.history import (
    COMMAND,
    FAILED_RUN,
    REFUSED,
    SAME,
    SERVED,
    HistoryItem,
    history,
)
from tfx_best_exporter.executor.operating.operation import OperationError
from tfx_best_exporter.executor.operating.showing import of_line, of_record, record_of_version
from tfx_best_exporter.executor.operating.status import DirectoryStatus, Metric, status
from tfx_best_exporter.executor.reports import charts, pages, report, wording
from tfx_best_exporter.executor.reports.links import Link, Neighbors
from tfx_best_exporter.executor.version import VERSION
from tfx_best_exporter.proto import best_exporter_pb2 as pb

INDEX = "index.html"
# The newest items of a base directory. A page with more takes long to read and to write.
MAX_ITEMS = 200

_PACKAGE = "tfx_best_exporter.executor.operating"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Point:
    """A candidate in the trend: `x` in percent from the left, `y` from the bottom."""

    x: float
    y: float
    kind: str
    title: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Trend:
    metric: str
    points: Sequence[_Point]
    lines: Sequence[tuple[_Point, _Point]]
    ticks: Sequence[charts.Tick]
    description: str


def write_site(bases: Sequence[ExportDirectory], directory: Path, now: float) -> Path:
    """Writes a site that needs neither a server nor a network, and returns its first page.

    Pages of the same names are replaced. A base directory that cannot be read is listed with its
    error.

    Args:
        bases: The base directories.
        directory: Directory of the site; made if it does not exist.
        now: Seconds since the epoch.

    Raises:
        OSError: A page cannot be written.
    """
    rows = []
    for exports in bases:
        base = exports.base.uri
        try:
            found = status(exports, now)
            pages = _pages(exports, found, now)
        except (OSError, ValueError) as error:
            rows.append(
                {"base": base, "page": "", "version": "unknown", "problems": [str(error)]}
                | dict.fromkeys(("since", "metric", "hold"), "")
            )
            continue
        folder = _folder_of(base)
        for name, page in pages.items():
            _write(directory / folder / name, page)
        rows.append(_row(found, f"{folder}/{INDEX}"))
    index = directory / INDEX
    _write(index, _render(title="Base directories", rows=rows, now=now))
    return index


def _folder_of(base: str) -> str:
    """Returns a folder name that people recognize and that no other base directory has."""
    name = _UNSAFE.sub("-", base.rstrip("/").rpartition("/")[2]).strip(".-") or "base"
    return f"{name[:60]}-{zlib.crc32(base.encode()):08x}"


def _write(path: Path, page: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")


def _row(found: DirectoryStatus, page: str) -> dict[str, Any]:
    served = found.served
    return {
        "base": found.base,
        "page": page,
        "version": served.version if served else "none",
        "since": numbers.time_of(served.since) if served and served.since is not None else "",
        "metric": _text_of(served.metrics[:1]) if served else "",
        "hold": _hold_of(found),
        "problems": [f"{each.code}: {each.text}" for each in found.problems],
    }


def _hold_of(found: DirectoryStatus) -> str:
    if found.hold is None:
        return ""
    end = numbers.time_of(found.hold.until) if found.hold.until is not None else "released"
    return f"until {end} by {found.hold.operator}: {found.hold.reason}"


def _pages(exports: ExportDirectory, found: DirectoryStatus, now: float) -> dict[str, str]:
    """Returns the pages of a base directory by name."""
    past = history(exports, include_all=True, newest=MAX_ITEMS)
    lines = {(line.at, line.run_id): line for line in exports.decision_log.read().decisions}
    decisions: list[tuple[Link, pb.ExportDecision]] = []
    items = []
    for number, item in enumerate(past.items):
        decision = _decision_of(exports, item, lines.get((item.at or 0.0, item.run_id)))
        page = ""
        if decision is not None:
            page = f"run-{number}.html" if item.version is None else f"version-{item.version}.html"
            decisions.append((Link(label=_label_of(item), href=page), decision))
        items.append(_cells(item, page))
    pages = _reports(decisions)
    facts = [(name, value) for name, value in _facts(found) if value]
    pages[INDEX] = _render(
        title=found.base,
        facts=facts,
        problems=[f"{each.code}: {each.text}" for each in found.problems],
        warnings=past.warnings,
        trend=trend_of(past.items),
        items=items,
        now=now,
    )
    return pages


def _reports(decisions: Sequence[tuple[Link, pb.ExportDecision]]) -> dict[str, str]:
    """Returns the pages of decisions, newest first, with links between them."""
    links: list[Link | None] = [None, *(link for link, _ in decisions), None]
    index = Link(label="All decisions", href=INDEX)
    return {
        link.href: report.to_html(
            decision, Neighbors(index=index, following=links[place], previous=links[place + 2])
        )
        for place, (link, decision) in enumerate(decisions)
    }


def _label_of(item: HistoryItem) -> str:
    name = f"version {item.version}" if item.version is not None else item.reason or item.state
    return name if item.at is None else f"{name}, {numbers.time_of(item.at)}"


def _facts(found: DirectoryStatus) -> Iterator[tuple[str, str]]:
    row = _row(found, "")
    yield "Served", f"version {row['version']}" if found.served else "nothing"
    yield "Since", str(row["since"])
    if found.served:
        yield "Why", found.served.explanation
        yield "Metrics", _text_of(found.served.metrics)
        yield "Operator", found.served.by
    for each in found.challengers:
        origin = f"{each.run_id or each.digest}, trained {_time_of(each.trained_at)}"
        yield "Challenger", f"{origin}: {each.explanation or 'not measured yet'}"
    yield "Hold", str(row["hold"])


def _decision_of(
    exports: ExportDirectory, item: HistoryItem, line: LoggedDecision | None
) -> pb.ExportDecision | None:
    """Returns the decision of an item; None if nothing more is known than its row says."""
    if item.state == COMMAND:
        return None
    if item.state in (REFUSED, FAILED_RUN, SAME):
        return of_line(exports, line) if line is not None and item.state == REFUSED else None
    try:
        return of_record(exports, record_of_version(exports, item.version or 0))
    except (OSError, OperationError, RecordError):
        # The row says what is known of a version without a record.
        return None


def _cells(item: HistoryItem, page: str) -> dict[str, Any]:
    return {
        "version": "" if item.version is None else item.version,
        "state": f"{item.state}, pinned" if item.is_pinned else item.state,
        "date": "" if item.at is None else numbers.time_of(item.at),
        "reason": item.reason,
        "metric": _text_of(item.metrics[:1]),
        "who": _who_of(item),
        "why": wording.text(item.explanation),
        "page": page,
    }


def _who_of(item: HistoryItem) -> str:
    who = item.operator or item.run_id
    if item.trained_by:
        return f"{wording.name(who)} (model of {wording.name(item.trained_by)})"
    return wording.name(who) if who else ""


def _time_of(seconds: float | None) -> str:
    return "at an unknown time" if seconds is None else numbers.time_of(seconds)


def _text_of(metrics: Sequence[Metric]) -> str:
    return wording.text(", ".join(f"{each.name} {wording.number(each.value)}" for each in metrics))


def trend_of(items: Sequence[HistoryItem]) -> _Trend | None:
    """Returns the metric of exported and refused candidates in order; None for fewer than two.

    Args:
        items: Items of a history, newest first.
    """
    runs = [item for item in reversed(items) if item.metrics and item.state not in (COMMAND, SAME)]
    if not runs:
        return None
    # A policy may have changed; the newest one names the metric.
    metric = runs[-1].metrics[0].name
    found = [
        (item, each.value)
        for item in runs
        for each in item.metrics
        if each.name == metric and math.isfinite(each.value)
    ]
    scale = charts.scale_of(value for _, value in found)
    if scale is None or len(found) < 2:
        return None
    across = charts.Scale(low=0, high=len(found) - 1)
    points = [
        _Point(
            x=across.at(place),
            y=scale.at(value),
            kind=_kind_of(item),
            title=_title_of(item, value),
        )
        for place, (item, value) in enumerate(found)
    ]
    exported = [point for point in points if point.kind != "refused"]
    return _Trend(
        metric=wording.name(metric),
        points=points,
        lines=list(itertools.pairwise(exported)),
        ticks=scale.ticks(),
        description=f"{len(points)} candidates. The last: {points[-1].title}.",
    )


def _kind_of(item: HistoryItem) -> str:
    if item.version is None:
        return "refused"
    return "served" if item.state == SERVED else "exported"


def _title_of(item: HistoryItem, value: float) -> str:
    label = f"version {item.version}, {item.state}" if item.version is not None else "refused"
    date = f", {numbers.time_of(item.at)}" if item.at is not None else ""
    return f"{label}{date}: {wording.number(value)}"


def _render(*, now: float, **variables: Any) -> str:
    return pages.rendered(
        _PACKAGE,
        "site.html.jinja",
        "site.css",
        written=numbers.time_of(now),
        release=VERSION,
        **variables,
    )
