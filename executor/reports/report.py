"""The page that shows a decision: ExportDecision -> report.html."""

from __future__ import annotations

import base64
import dataclasses
import functools
import hashlib
import importlib.resources
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import jinja2
from google.protobuf import json_format
from google.protobuf.message import Message

from tfx_best_exporter.executor.reports import charts, wording
from tfx_best_exporter.proto import best_exporter_pb2 as pb

_PACKAGE = "tfx_best_exporter.executor.reports"
_TEMPLATE = "report.html.jinja"
_STYLE = "report.css"

# Rows of a table that are seen at once, and rows of a table at all. decision.json has the others;
# but it does not have all either: only the first of many guardrails, the slices that changed most,
# and the latest exports of a history.
_OPEN_ROWS = 8
_MOST_ROWS = 200
# Guardrails that failed are what somebody has to look at.
_OPEN_FAILURES = 20
_MOST_FEATURES = 12
_POLICY_LENGTH = 20_000
# A chart with more points than this has small ones, and faint intervals.
_FEW_POINTS = 60
# Between the exports and a candidate that is none, as a share of the exports.
_GAP = 0.06

_Decision = pb.ExportDecision
# A value, and the bounds of its confidence interval.
_Interval = tuple[float | None, float | None, float | None]
_Row = TypeVar("_Row")

# Each continues "Exported: ", or "Not exported: ", or "Served already: ".
_REASONS: Mapping[int, str] = {
    _Decision.FIRST_EXPORT: "the first export",
    _Decision.BETTER: "better than the best",
    _Decision.BEST_IS_NAN: "the best's own metric is NaN",
    _Decision.BEST_UNKNOWN_EXPORTED: "nothing is known of the best's evaluation",
    _Decision.ALREADY_BEST: "the candidate is the best itself",
    _Decision.NOT_BETTER: "not better than the best",
    _Decision.NOT_BLESSED: "a blessing says no",
    _Decision.BLESSING_NOT_COMPUTED: "a blessing was never computed",
    _Decision.CANDIDATE_IS_NAN: "the candidate's metric is NaN",
    _Decision.BEST_UNKNOWN_KEPT: "nothing is known of the best's evaluation",
    _Decision.FORCED: "the policy forces it",
    _Decision.GUARDRAIL_FAILED: "a guardrail forbids it",
    _Decision.NOT_SIGNIFICANT: "better, but by no more than noise",
    _Decision.NOT_COMPARABLE: "the best is not known on the candidate's data",
    _Decision.TOO_FEW_EXAMPLES: "evaluated on too few examples",
    _Decision.SIGNATURES_CHANGED: "clients of the best would break",
    _Decision.BEST_EVALUATION_TOO_OLD: "the best's evaluation is too old",
}
# What happens every day. Other refusals ask somebody to look.
_ORDINARY = (_Decision.NOT_BETTER, _Decision.NOT_SIGNIFICANT)

# On which data, and by what.
_BASES: Mapping[int, tuple[str, str]] = {
    _Decision.SAME_EVALUATION: ("the same data", "one evaluation of both models"),
    _Decision.EVALUATED_AGAIN: (
        "the same data",
        "the best was evaluated again on the candidate's examples",
    ),
    _Decision.RECORDED_SAME_DATA: ("the same data", "the best's recorded evaluation"),
    _Decision.RECORDED_OTHER_DATA: (
        "other data, or data that nobody recorded",
        "the best's recorded evaluation",
    ),
}
_SOURCES: Mapping[int, str] = {
    pb.Evaluation.TFMA: "TensorFlow Model Analysis",
    pb.Evaluation.EVENT_FILES: "event files",
    pb.Evaluation.MAPPING: "given by the caller",
}
_METHODS: Mapping[int, str] = {
    pb.SignificanceTest.PAIRED: (
        "Paired test: both models were evaluated together, on the same examples."
    ),
    pb.SignificanceTest.WELCH: "Welch's test, of two independent evaluations.",
}


def to_html(decision: pb.ExportDecision) -> str:
    """Returns the page that shows a decision: complete in itself, and without scripts.

    The same decision gives the same page. Names and sentences are shown as text, whatever they
    hold.

    Args:
        decision: As a run wrote it. What is unset is left out of the page.

    Example:
        >>> page = to_html(pb.ExportDecision(reason=pb.ExportDecision.FIRST_EXPORT, exported=True))
    """
    style = _read(_STYLE)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return _template().render(style=style, style_digest=digest, **_page(decision))


@functools.cache
def _read(name: str) -> str:
    return (importlib.resources.files(_PACKAGE) / name).read_text(encoding="utf-8")


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True,
        loader=jinja2.FunctionLoader(_read),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(count=wording.count, name=wording.name, text=wording.text)
    return environment.get_template(_TEMPLATE)


def _page(decision: pb.ExportDecision) -> dict[str, Any]:
    """Returns what the template arranges. A section that has nothing is empty."""
    return {
        "verdict": _verdict(decision),
        "pipeline": decision.provenance.pipeline_name,
        "run": _run(decision),
        "facts": _facts(decision),
        "warnings": _Rows.of(decision.warnings),
        "metrics": _metrics(decision),
        "tests": _tests(decision),
        "guardrails": _guardrails(decision),
        "slices": _slices(decision),
        "history": _history(decision),
        "signatures": _Rows.of(decision.signature_changes),
        "exports": _exports(decision),
        "policy": list(wording.policy(decision.compare_policy)),
        "policy_json": _policy_json(decision.compare_policy),
        "provenance": _provenance(decision),
        "exporter_version": decision.provenance.exporter_version,
    }


@dataclasses.dataclass(frozen=True, slots=True)
class _Rows(Generic[_Row]):
    """Rows that are seen at once, rows that unfold, and how many more there are."""

    open: Sequence[_Row]
    folded: Sequence[_Row]
    left_out: int

    @classmethod
    def of(cls, rows: Iterable[_Row], at_least_open: int = 0) -> _Rows[_Row]:
        """Returns rows as they are shown; `at_least_open` of them at once."""
        rows = list(rows)
        shown = rows[:_MOST_ROWS]
        split = max(_OPEN_ROWS, at_least_open)
        # A single row is not worth a click.
        split = split if len(shown) > split + 1 else len(shown)
        return cls(shown[:split], shown[split:], len(rows) - len(shown))

    def __len__(self) -> int:
        return len(self.open) + len(self.folded) + self.left_out


# --- the head -------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Verdict:
    title: str
    reason: str
    code: str
    tone: str
    explanation: str


def _verdict(decision: pb.ExportDecision) -> _Verdict:
    if decision.exported:
        title, tone = "Exported", "exported"
    elif decision.version:
        title, tone = "Served already", "served"
    else:
        title = "Not exported"
        tone = "kept" if decision.reason in _ORDINARY else "refused"
    # A later release may know more reasons.
    is_known = decision.reason in _Decision.Reason.values()
    return _Verdict(
        title=title,
        reason=_REASONS.get(decision.reason, ""),
        code=_Decision.Reason.Name(decision.reason) if is_known else f"reason {decision.reason}",
        tone=tone,
        explanation=decision.explanation,
    )


def _run(decision: pb.ExportDecision) -> list[tuple[str, str]]:
    facts = (
        ("Pipeline", decision.provenance.pipeline_name),
        ("Run", decision.provenance.run_id),
        ("Decided", _time(decision, "decided_at")),
    )
    return [(label, wording.name(value)) for label, value in facts if value]


def _facts(decision: pb.ExportDecision) -> list[tuple[str, str, str]]:
    """Returns what most readers look for: a label, a value and a detail, which may be empty."""
    served = decision.version or decision.best.version
    facts = [("Served now", f"version {served}" if served else "nothing", "")]
    if decision.exported and decision.best.version:
        facts.append(("Served before", f"version {decision.best.version}", ""))
    if decision.basis:
        facts.append(("Compared on", *_basis(decision)))
    if decision.candidate_evaluation.HasField("example_count"):
        count = wording.count(
            decision.candidate_evaluation.example_count, decision.compare_policy.min_example_count
        )
        facts.append(("Candidate evaluated on", f"{count} examples", ""))
    if decision.reason == _Decision.FORCED:
        facts.append(("Forced because", wording.text(decision.compare_policy.force), ""))
    return facts


def _basis(decision: pb.ExportDecision) -> tuple[str, str]:
    return _BASES.get(decision.basis, (f"basis {decision.basis}", ""))


# --- metrics --------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Value:
    """A value and its interval, as words and as a mark of a chart."""

    value: str
    interval: str
    mark: charts.Mark | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Metric:
    name: str
    direction: str
    candidate: _Value
    best: _Value | None
    change: str
    required: str
    # "enough", "noise" or "short"; empty where nothing is required.
    outcome: str
    # Where the candidate had to get past: its place, and its value.
    goal: float | None
    goal_value: str
    ticks: Sequence[charts.Tick]
    # Whether there is more to draw than one mark.
    has_chart: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Metrics:
    rows: _Rows[_Metric]
    has_best: bool
    has_chart: bool
    has_goal: bool
    has_interval: bool


def _metrics(decision: pb.ExportDecision) -> _Metrics | None:
    metrics = [_metric(comparison) for comparison in decision.comparisons]
    if not metrics:
        return None
    return _Metrics(
        rows=_Rows.of(metrics),
        has_best=any(metric.best for metric in metrics),
        has_chart=any(metric.has_chart for metric in metrics),
        has_goal=any(metric.goal is not None for metric in metrics),
        has_interval=any(
            value is not None and value.mark is not None and value.mark.low is not None
            for metric in metrics
            for value in (metric.candidate, metric.best)
        ),
    )


def _metric(comparison: pb.MetricComparison) -> _Metric:
    candidate, best = _interval(comparison, "candidate"), _interval(comparison, "best")
    improvement = _optional(comparison, "improvement")
    required = _optional(comparison, "required")
    sign = {pb.HIGHER_IS_BETTER: 1, pb.LOWER_IS_BETTER: -1}.get(comparison.direction, 0)
    goal = None
    # Without a margin the goal is the best itself.
    if sign and required and best[0] is not None and math.isfinite(best[0] + required):
        goal = best[0] + sign * required
    scale = charts.scale_of([*candidate, *best, goal])
    values = (
        _value(candidate, scale, best[0], goal),
        _value(best, scale, candidate[0], goal),
    )
    marks = [value.mark for value in values if value.mark]
    return _Metric(
        name=comparison.metric,
        direction=wording.DIRECTIONS.get(comparison.direction, ""),
        candidate=values[0],
        best=None if best[0] is None else values[1],
        change="" if improvement is None else wording.change(improvement, required),
        required="" if required is None else f"more than {wording.number(required, improvement)}",
        outcome=_outcome(comparison),
        goal=None if scale is None or goal is None else scale.at(goal),
        goal_value=_number(goal, candidate[0], best[0]),
        ticks=scale.ticks() if scale else (),
        has_chart=len(marks) > 1 or any(mark.low is not None for mark in marks),
    )


def _value(interval: _Interval, scale: charts.Scale | None, *beside: float | None) -> _Value:
    """Returns a value as it is shown on a scale, and beside other values."""
    value, lower, upper = interval
    bounds = ""
    if lower is not None and upper is not None:
        bounds = f"{_number(lower, upper, value)} to {_number(upper, lower, value)}"
    return _Value(
        value=_number(value, *beside),
        interval=bounds,
        mark=None if scale is None or value is None else scale.mark(value, lower, upper),
    )


def _outcome(comparison: pb.MetricComparison) -> str:
    if not (comparison.HasField("improvement") and comparison.HasField("required")):
        return ""
    if not comparison.improvement > comparison.required:
        return "short"
    is_noise = comparison.HasField("significance") and not comparison.significance.is_significant
    return "noise" if is_noise else "enough"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Test:
    metric: str
    is_significant: bool
    method: str
    sentence: str


def _tests(decision: pb.ExportDecision) -> _Rows[_Test]:
    return _Rows.of(
        _test(comparison)
        for comparison in decision.comparisons
        if comparison.HasField("significance")
    )


def _test(comparison: pb.MetricComparison) -> _Test:
    test, required = comparison.significance, comparison.required
    improvement = _optional(comparison, "improvement")
    subject = "No change"
    if improvement:
        subject = f"The candidate is {wording.change(improvement, test.lower_bound, required)}"
    return _Test(
        metric=comparison.metric,
        is_significant=test.is_significant,
        method=_METHODS.get(test.method, ""),
        sentence=(
            f"{subject}, with a standard error of {wording.number(test.standard_error)} and"
            f" {wording.number(test.degrees_of_freedom)} degrees of freedom. With"
            f" {wording.confidence(test.alpha)} confidence (one-sided, alpha"
            f" {wording.number(test.alpha)}), the improvement is larger than"
            f" {wording.number(test.lower_bound, required, improvement)}, which is"
            f" {'' if test.is_significant else 'not '}more than the"
            f" {wording.number(required, test.lower_bound, improvement)} that is required."
        ),
    )


# --- guardrails and slices ------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Guardrail:
    metric: str
    slice: _Rows[tuple[str, str]]
    holds: bool
    candidate: str
    best: str
    bound: str
    example_count: str
    explanation: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Guardrails:
    outcome: str
    rows: _Rows[_Guardrail]
    # What is said of the rows to unfold.
    folded: str
    # In words, those of the failures that are seen at once.
    failures: Sequence[str]
    is_explained_at_once: bool
    # How many decision.json has, and how many it has not.
    listed: int
    unlisted: int
    has_best: bool
    has_examples: bool


def _guardrails(decision: pb.ExportDecision) -> _Guardrails | None:
    """Returns the guardrails: those that failed first, otherwise in the decision's order."""
    results = sorted(decision.guardrails, key=lambda result: result.holds)
    if not results:
        return None
    failed = sum(not result.holds for result in results)
    rows = _Rows.of(map(_guardrail, results), at_least_open=min(failed, _OPEN_FAILURES))
    failures = [row.explanation for row in rows.open if not row.holds and row.explanation]
    unlisted = max(decision.guardrail_count - len(results), 0)
    return _Guardrails(
        outcome=_outcome_of_guardrails(failed, len(results), unlisted),
        rows=rows,
        folded=_folded_failures(rows.folded),
        failures=failures,
        is_explained_at_once=len(failures) <= _OPEN_ROWS,
        listed=len(results),
        unlisted=unlisted,
        has_best=any(result.HasField("best") for result in results),
        has_examples=any(result.HasField("example_count") for result in results),
    )


def _outcome_of_guardrails(failed: int, listed: int, unlisted: int) -> str:
    """Returns how many failed. They are listed first: those that are not, fail only if all do."""
    total = wording.count(listed + unlisted)
    if not failed:
        return "It holds" if listed + unlisted == 1 else f"All {total} hold"
    at_least = "At least " if unlisted and failed == listed else ""
    return f"{at_least}{wording.count(failed)} of {total} failed"


def _folded_failures(rows: Sequence[_Guardrail]) -> str:
    failed = sum(not row.holds for row in rows)
    if not failed:
        return ""
    return ", all failed" if failed == len(rows) else f", of which {wording.count(failed)} failed"


def _guardrail(result: pb.GuardrailResult) -> _Guardrail:
    limit = {pb.HIGHER_IS_BETTER: "at least ", pb.LOWER_IS_BETTER: "at most "}
    candidate, best = _optional(result, "candidate"), _optional(result, "best")
    worst_allowed = _optional(result, "worst_allowed")
    bound = _number(worst_allowed, candidate, best)
    return _Guardrail(
        metric=result.metric,
        slice=_slice(result.slice),
        holds=result.holds,
        candidate=_number(candidate, worst_allowed, best),
        best=_number(best, worst_allowed, candidate),
        bound=limit.get(result.direction, "") + bound if bound else "",
        example_count=_count(result),
        explanation=result.explanation,
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Slice:
    slice: _Rows[tuple[str, str]]
    metric: str
    candidate: str
    best: str
    change: str
    # Percent of the largest change there is; None where it is not finite.
    bar: float | None
    example_count: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _SliceGroup:
    title: str
    tone: str
    rows: _Rows[_Slice]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Slices:
    # Empty where the slices have several.
    metric: str
    groups: Sequence[_SliceGroup]
    shown: int
    total: int
    has_examples: bool


def _slices(decision: pb.ExportDecision) -> _Slices | None:
    """Returns the slices in groups: those that got worse, the worst first, then the others."""
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
                rows=_Rows.of(_slice_change(change, max(sizes, default=0.0)) for change in members),
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
        slice=_slice(change.slice),
        metric=change.metric,
        candidate=wording.number(change.candidate, change.best),
        best=wording.number(change.best, change.candidate),
        change=wording.change(change.improvement),
        bar=round(100 * (size / largest), 2) if 0 < size <= largest else None,
        example_count=_count(change),
    )


def _slice(value: pb.Slice) -> _Rows[tuple[str, str]]:
    features = wording.features(value)
    return _Rows(features[:_MOST_FEATURES], (), max(len(features) - _MOST_FEATURES, 0))


# --- exports --------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    version: int
    exported_at: str
    metric: str
    value: _Value
    state: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Point:
    """A point of the history's chart: `x` in percent from the left, `mark` from the bottom."""

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
    rows: _Rows[_Entry]
    chart: _HistoryChart | None
    # Exports whose records do not have the metric, or no finite value of it.
    left_out: int


def _history(decision: pb.ExportDecision) -> _History | None:
    """Returns the exports there were, with the candidate where it is none of them."""
    entries = sorted(decision.history, key=lambda entry: entry.version)
    if not entries:
        return None
    metric = _history_metric(decision, entries)
    served = decision.version or decision.best.version
    drawn = [
        entry for entry in entries if entry.metric == metric and _is_finite(_interval(entry, ""))
    ]
    marks = [
        (
            "candidate" if entry.version == decision.version else _state(entry, served),
            f"version {entry.version}, {_state(entry, served)}",
            _interval(entry, ""),
        )
        for entry in drawn
    ]
    ends = [_day(entry) for entry in (*drawn[:1], *drawn[-1:])]
    candidate = _candidate_interval(decision, metric)
    is_recorded = decision.version in {entry.version for entry in entries}
    if _is_finite(candidate) and not is_recorded:
        state, outcome = ("candidate", "") if decision.version else ("refused", ", not exported")
        marks.append((state, f"this run's candidate{outcome}", candidate))
        ends[1:] = ["this run"]
    directions = {each.metric: int(each.direction) for each in decision.comparisons}
    return _History(
        metric=metric,
        direction=wording.DIRECTIONS.get(directions.get(metric, 0), ""),
        rows=_Rows.of(
            _Entry(
                version=entry.version,
                exported_at=_time(entry, "exported_at"),
                metric=entry.metric if entry.metric != metric else "",
                value=_value(_interval(entry, ""), None),
                state=_state(entry, served),
            )
            for entry in reversed(entries)
        ),
        chart=_history_chart(marks, ends),
        left_out=len(entries) - len(drawn),
    )


def _history_chart(
    marks: Sequence[tuple[str, str, _Interval]], ends: Sequence[str]
) -> _HistoryChart | None:
    """Returns a chart of states, labels and values in order; None of fewer than two values."""
    scale = charts.scale_of(value for _, _, interval in marks for value in interval)
    if scale is None or len(marks) < 2:
        return None
    places: list[float] = [*range(len(marks))]
    if marks[-1][0] == "refused":
        # Beside what is served, not upon it.
        places[-1] += max(_GAP * len(marks) - 1, 0)
    across = charts.Scale(low=0, high=places[-1])
    points = []
    for place, (state, label, interval) in zip(places, marks, strict=True):
        value = _value(interval, scale)
        assert value.mark is not None, "only finite values are drawn"
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
    """Returns the metric to draw: that of the rule if the history has it, else the latest one."""
    known = [entry.metric for entry in entries if entry.metric]
    compared = [comparison.metric for comparison in decision.comparisons]
    return next((metric for metric in compared if metric in known), known[-1] if known else "")


def _candidate_interval(decision: pb.ExportDecision, metric: str) -> _Interval:
    for comparison in decision.comparisons:
        if comparison.metric == metric:
            return _interval(comparison, "candidate")
    for value in decision.candidate_evaluation.metrics:
        if wording.metric(value.key) == metric:
            return _interval(value, "")
    return None, None, None


def _day(entry: pb.HistoryEntry) -> str:
    return _time(entry, "exported_at")[: len("2026-11-22")] or f"version {entry.version}"


def _state(entry: pb.HistoryEntry, served: int) -> str:
    if entry.version == served:
        return "served"
    return "retired" if entry.retired else "kept"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Export:
    version: int
    outcome: str
    why: str
    error: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Exports:
    outcome: str
    rows: _Rows[_Export]


def _exports(decision: pb.ExportDecision) -> _Exports | None:
    """Returns what was retired, then what was kept, each from the newest on."""
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
    return _Exports(outcome=", ".join(outcome), rows=_Rows.of([*retired, *kept]))


# --- policy and provenance ------------------------------------------------------------------------


def _policy_json(policy: pb.ComparePolicy) -> str:
    if not policy.ListFields():
        return ""
    content = json_format.MessageToJson(policy, preserving_proto_field_name=True)
    if len(content) > _POLICY_LENGTH:
        return f"{content[:_POLICY_LENGTH]}… ({len(content):,} characters)"
    return content


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    """A row of the provenance: the same fact of both models."""

    label: str
    candidate: str
    best: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Provenance:
    run: Sequence[tuple[str, str]]
    models: Sequence[_Field]
    has_best: bool


def _provenance(decision: pb.ExportDecision) -> _Provenance:
    run = (
        ("Base directory", decision.base_directory),
        ("Pipeline", decision.provenance.pipeline_name),
        ("Run", decision.provenance.run_id),
        ("Component", decision.provenance.node_id),
        ("tfx-best-exporter", decision.provenance.exporter_version),
        ("Decided", _time(decision, "decided_at")),
        ("Compared on", ": ".join(filter(None, _basis(decision))) if decision.basis else ""),
        ("Schema of the decision", str(decision.schema_version or "")),
    )
    candidate = _model(decision.version, decision.candidate, decision.candidate_evaluation)
    best: Mapping[str, str] = {}
    if decision.HasField("best"):
        best = {
            **_model(decision.best.version, decision.best.model, decision.best.evaluation),
            "Directory": decision.best.path,
            "PushedModel": decision.best.pushed_model_uri,
            "Record": "yes" if decision.best.has_record else "none: pushed by other means",
        }
    labels = dict.fromkeys([*candidate, *best])
    return _Provenance(
        run=[(label, value) for label, value in run if value],
        models=[
            _Field(label=label, candidate=candidate.get(label, ""), best=best.get(label, ""))
            for label in labels
            if candidate.get(label) or best.get(label)
        ],
        has_best=bool(best),
    )


def _model(version: int, model: pb.SourceModel, evaluation: pb.Evaluation) -> dict[str, str]:
    """Returns what is known of a model and its evaluation, by label."""
    return {
        "Version": str(version or ""),
        "Model": model.uri,
        "Digest": model.digest,
        "Evaluation": evaluation.uri,
        "Kind of evaluation": _SOURCES.get(evaluation.source, ""),
        "Model in the evaluation": evaluation.model_name,
        "Evaluated": _time(evaluation, "evaluated_at"),
        "Evaluated on": evaluation.data.examples_uri,
        "Splits": ", ".join(evaluation.data.splits),
        "Examples": _count(evaluation),
        "Eval config": evaluation.data.eval_config_digest,
    }


# --- fields that may be unset ---------------------------------------------------------------------


def _optional(message: Message, field: str) -> float | None:
    return getattr(message, field) if message.HasField(field) else None


def _interval(message: Message, name: str) -> _Interval:
    """Returns a value and its bounds, of a message that has them as `name` and `name_lower_bound`.

    Args:
        message: Has these fields.
        name: Empty for "value" and "lower_bound".
    """
    front = f"{name}_" if name else ""
    fields = type(message).DESCRIPTOR.fields_by_name
    value = name or "value"
    return (
        _optional(message, value) if fields[value].has_presence else getattr(message, value),
        _optional(message, f"{front}lower_bound"),
        _optional(message, f"{front}upper_bound"),
    )


def _is_finite(interval: _Interval) -> bool:
    return interval[0] is not None and math.isfinite(interval[0])


def _number(value: float | None, *beside: float | None) -> str:
    return "" if value is None else wording.number(value, *beside)


def _count(message: Message) -> str:
    count = _optional(message, "example_count")
    return "" if count is None else wording.count(count)


def _time(message: Message, field: str) -> str:
    return wording.time(getattr(message, field)) if message.HasField(field) else ""
