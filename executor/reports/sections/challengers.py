"""The evidence of several runs on candidate and challengers, as a table and forest plots."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from tfx_best_exporter.executor.deciding import standing_text
from tfx_best_exporter.executor.reports import charts, wording
from tfx_best_exporter.executor.reports.sections import fields
from tfx_best_exporter.executor.reports.sections.fields import Rows
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# Runs of one model that a plot shows. A ledger has up to 40.
_MOST_RUNS = 12
# Number of standard errors on either side of a difference, for 95 %.
_ERRORS = 1.96
# Height of a row of a plot, and place of its mark in the row, in pixels.
_ROW, _MIDDLE = 22, 11

_NEXT: Mapping[int, str] = {
    pb.ModelStanding.EXPORTED: "exported",
    pb.ModelStanding.KEPT: "kept",
    pb.ModelStanding.DROPPED: "dropped",
    pb.ModelStanding.STAGED: "staged",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Lane:
    """A row of a forest plot: the difference in one run, or over all runs.

    Attributes:
        label: Time of the run, or name of the estimate.
        kind: "run", "pooled" or "gain".
        mark: The difference and its interval.
        y: Place of the mark in pixels from the top.
    """

    label: str
    kind: str
    mark: charts.Mark
    y: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Plot:
    lanes: Sequence[_Lane]
    height: int
    # Positions of a zero difference and of the required gain; None if no gain is required.
    zero: float
    goal: float | None
    ticks: Sequence[charts.Tick]
    description: str
    # Number of earlier runs that are not drawn.
    left_out: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Standing:
    name: str
    trained_at: str
    run_id: str
    uri: str
    run_count: str
    gain: str
    # Chance that the model is no better, or its e-value.
    chance: str
    next: str
    why: str
    sentence: str
    plot: _Plot | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Challengers:
    rows: Rows[_Standing]
    # Heading of the column with the test, and the limit of the test.
    test: str
    limit: str
    consistency: str
    # Facts about an exported challenger; none if this run exported none.
    exported: Sequence[tuple[str, str]]
    has_plot: bool
    has_goal: bool
    has_pooled: bool


def section(decision: pb.ExportDecision) -> _Challengers | None:
    """Returns the evidence on candidate and challengers, or None if there is none."""
    evidence = decision.challenger_evidence
    exported = [*_exported(decision)]
    if not (evidence.standings or exported):
        return None
    required = _required(decision)
    scale = _scale(evidence, required)
    rows = [
        _standing(evidence, each, name, required, scale)
        for each, name in zip(evidence.standings, _names(evidence.standings), strict=True)
    ]
    plots = [row.plot for row in rows if row.plot]
    return _Challengers(
        rows=Rows.of(rows),
        test="E-value" if evidence.guarantee else "Chance that it is no better",
        limit=_limit(evidence),
        consistency=_consistency(evidence),
        exported=exported,
        has_plot=bool(plots),
        has_goal=any(plot.goal is not None for plot in plots),
        has_pooled=bool(plots) and evidence.is_pooled,
    )


def policy(decision: pb.ExportDecision) -> Iterator[tuple[str, str]]:
    """Yields the part of a policy about challengers: a label and one or two sentences."""
    policy = decision.compare_policy
    test = policy.metric.significance
    if test.challengers:
        is_one = test.challengers == 1
        models = "1 refused model is" if is_one else f"{test.challengers} refused models are"
        size = ""
        if policy.HasField("max_challenger_bytes"):
            size = f", of at most {wording.count(policy.max_challenger_bytes)} bytes in total"
        guarantee = " The test has a guarantee." if test.guarantee else ""
        yield "Challengers", f"Up to {models} measured again in each run{size}.{guarantee}"
    for sentences in decision.recommendations:
        yield "Recommended", sentences


def _exported(decision: pb.ExportDecision) -> Iterator[tuple[str, str]]:
    """Yields the known facts about the challenger that this run exported."""
    if not decision.HasField("exported_challenger"):
        return
    model = decision.exported_challenger
    for each in decision.challenger_evidence.standings:
        if each.model.digest == model.digest:
            yield "Trained by run", each.run_id
            yield "Trained", fields.time(each, "trained_at")
    yield "Model", model.uri
    yield "Digest", model.digest


def _names(standings: Sequence[pb.ModelStanding]) -> Iterator[str]:
    place = 0
    for each in standings:
        place += not each.is_candidate
        yield "This run's candidate" if each.is_candidate else f"Challenger {place}"


def _required(decision: pb.ExportDecision) -> float:
    """Returns the size that a gain must exceed."""
    metric = decision.challenger_evidence.metric
    for each in decision.comparisons:
        if each.metric == metric and each.HasField("required"):
            return each.required
    return 0.0


def _consistency(evidence: pb.ChallengerEvidence) -> str:
    """Returns the variation between runs in words; empty if no model has several runs."""
    has_runs = any(each.run_count > 1 for each in evidence.standings)
    is_known = evidence.is_pooled and has_runs
    return standing_text.consistency_text(evidence.consistency) if is_known else ""


def _limit(evidence: pb.ChallengerEvidence) -> str:
    if evidence.guarantee:
        return f"at least {standing_text.e_values(0.0, evidence.alpha)[1]} is required"
    return f"at most {standing_text.chances(evidence.alpha, evidence.alpha)[1]} is allowed"


def _standing(
    evidence: pb.ChallengerEvidence,
    each: pb.ModelStanding,
    name: str,
    required: float,
    scale: charts.Scale | None,
) -> _Standing:
    log_e_value = fields.optional(each, "log_e_value")
    gain, error = standing_text.with_error(each.gain, each.gain_error)
    if log_e_value is None:
        chance, _ = standing_text.chances(each.chance_no_better, evidence.alpha)
    else:
        chance, _ = standing_text.e_values(log_e_value, evidence.alpha)
    return _Standing(
        name=name,
        trained_at=fields.time(each, "trained_at"),
        run_id=each.run_id,
        uri=each.model.uri,
        run_count=wording.count(each.run_count),
        gain=f"{gain} ± {error}",
        chance=chance,
        next=_NEXT.get(each.next, ""),
        why=each.why,
        sentence=standing_text.standing_text(
            evidence.metric,
            each.value,
            run_count=each.run_count,
            gain=each.gain,
            gain_error=each.gain_error,
            chance_no_better=each.chance_no_better,
            alpha=evidence.alpha,
            required=required,
            log_e_value=log_e_value,
        ),
        plot=_plot(evidence, each, required, scale),
    )


# --- forest plots ---------------------------------------------------------------------------------


def _estimates(
    evidence: pb.ChallengerEvidence, each: pb.ModelStanding
) -> Iterator[tuple[str, str, fields.Interval]]:
    """Yields the label, the kind and the interval of each row of a plot."""
    for place, run in enumerate(each.runs, 1):
        time = fields.time(run, "measured_at")[: len("2026-11-22 06:38")]
        error = fields.optional(run, "standard_error")
        yield time or f"run {place}", "run", _interval(run.difference, error)
    if evidence.is_pooled:
        runs = "1 run" if each.run_count == 1 else f"{wording.count(each.run_count)} runs"
        yield f"{runs} pooled", "pooled", _interval(each.difference, each.difference_error)
        yield "estimated gain", "gain", _interval(each.gain, each.gain_error)


def _interval(value: float, error: float | None) -> fields.Interval:
    if error is None:
        return value, None, None
    return value, value - _ERRORS * error, value + _ERRORS * error


def _scale(evidence: pb.ChallengerEvidence, required: float) -> charts.Scale | None:
    """Returns one axis for all models, so that their plots can be compared."""
    ends = [
        end
        for each in evidence.standings
        for _, _, interval in _estimates(evidence, each)
        for end in interval
    ]
    return charts.scale_of([*ends, 0.0, required]) if ends else None


def _plot(
    evidence: pb.ChallengerEvidence,
    each: pb.ModelStanding,
    required: float,
    scale: charts.Scale | None,
) -> _Plot | None:
    if scale is None:
        return None
    estimates = [*_estimates(evidence, each)]
    left_out = max(0, len(each.runs) - _MOST_RUNS)
    lanes: list[_Lane] = []
    words: list[str] = []
    for label, kind, interval in estimates[left_out:]:
        found = fields.value(interval, scale)
        if found.mark is None:
            continue
        lanes.append(_Lane(label=label, kind=kind, mark=found.mark, y=_ROW * len(lanes) + _MIDDLE))
        ends = f", interval {found.interval}" if found.interval else ""
        words.append(f"{label}: {found.value}{ends}.")
    if not lanes:
        return None
    if required:
        words.append(f"Required: more than {wording.number(required)}.")
    return _Plot(
        lanes=lanes,
        height=_ROW * len(lanes),
        zero=scale.at(0.0),
        goal=scale.at(required) if required else None,
        ticks=scale.ticks(),
        description=" ".join(words),
        left_out=left_out,
    )
