"""Measures the quality of decisions from the evidence of several runs.

`make bench-decisions` runs this module after decision_quality.py. It replays streams of candidates
under `challengers.choose` with 0, 1 and 2 challengers, and under tf.estimator's rule in the same
runs. Figures with a limit are its last lines.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, TypeAlias

import numpy as np

from benchmarks import chunks, results
from benchmarks.decision_quality import Interval, mean_of, ratio_of
from benchmarks.rules import ACCURACY, ours
from benchmarks.streams import BUCKETS, Array, Estimates, jackknife
from benchmarks.worlds import DIFFICULT, FRESH, Drawn, World
from tfx_best_exporter.executor.deciding import decide
from tfx_best_exporter.executor.deciding.challengers import Form, choose
from tfx_best_exporter.executor.deciding.eval_result import (
    EvalResult,
    EvaluatedData,
    MetricValue,
)
from tfx_best_exporter.executor.deciding.ledger import Measured, Row
from tfx_best_exporter.executor.deciding.models import Best, Candidate, Observation
from tfx_best_exporter.proto import best_exporter_pb2 as pb

SECTION = "Quality of decisions with challengers"
SEED = 20261125
STREAMS = 2500
# Calls of choose() take most of the time. The default policy replays all streams.
OTHER_POLICIES_STREAMS = 1000
# Runs that share examples become one long row of the ledger, which takes longer to evaluate.
DIFFICULT_STREAMS = 500
# Number of streams that are replayed together.
CHUNK = 50
LEDGER_ROWS = 40
_DEGREES_OF_FREEDOM = BUCKETS - 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measurements:
    """The measurements of one run in all streams.

    Attributes:
        run: Index of the run, which is also the candidate.
        data: Identity of the run's examples.
        example_count: Number of examples.
        spans: Span of each run.
        candidate: Accuracy of the candidate.
        best: Accuracy of the best on the same examples.
        difference: Candidate minus best.
        recorded: Accuracy of the best on the examples of the run that exported it.
        best_models: The best of each stream, as the index of its run.
        challengers: For each challenger: its model in each stream (-1 for none), its accuracy, and
            its difference to the best.
    """

    run: int
    data: str
    example_count: int
    spans: Array
    candidate: Estimates
    best: Estimates
    difference: Estimates
    recorded: Array
    best_models: Array
    challengers: Sequence[tuple[Array, Estimates, Estimates]]


class Rule(Protocol):
    """A decision rule with its state.

    Attributes:
        slots: Number of challengers that it measures.
    """

    slots: int

    def choose(self, measurements: Measurements) -> tuple[Array, Array]:
        """Returns the model to serve and the challengers to keep.

        The shapes are (streams,) and (streams, slots). Models are indices of runs; a missing
        challenger is -1.
        """
        ...


class Larger:
    """Serves the candidate if it is larger: than the recorded value, or on the same examples."""

    slots = 0

    def __init__(self, *, is_recorded: bool):
        """Makes the rule.

        Args:
            is_recorded: True to compare with the recorded value, as tf.estimator does.
        """
        self._is_recorded = is_recorded

    def choose(self, measurements: Measurements) -> tuple[Array, Array]:
        """See `Rule.choose`."""
        best = measurements.recorded if self._is_recorded else measurements.best.value
        is_larger = measurements.candidate.value > best
        serve = np.where(is_larger, measurements.run, measurements.best_models)
        return serve, np.empty((len(serve), 0), dtype=np.intp)


class Challengers:
    """Calls challengers.choose() for each stream."""

    def __init__(self, streams: int, *, alpha: float, challengers: int, form: Form):
        """Makes the rule with empty ledgers.

        Args:
            streams: Number of streams.
            alpha: Argument of choose().
            challengers: Argument of choose().
            form: Argument of choose().
        """
        self.slots = challengers
        self._alpha = alpha
        self._form = form
        self._ledgers: list[list[Row]] = [[] for _ in range(streams)]

    def choose(self, measurements: Measurements) -> tuple[Array, Array]:
        """See `Rule.choose`."""
        serve = measurements.best_models.copy()
        kept = np.full((len(serve), self.slots), -1)
        spans = measurements.spans
        for stream, row in enumerate(_rows(measurements)):
            if _is_older(int(spans[measurements.run]), int(spans[serve[stream]])):
                # Such a run decides nothing, and its values are no evidence about newer data.
                for slot, (models, _, _) in enumerate(measurements.challengers[: self.slots]):
                    kept[stream, slot] = models[stream]
                continue
            ledger = self._ledgers[stream]
            ledger.append(row)
            del ledger[:-LEDGER_ROWS]
            verdict = choose(
                ledger,
                row.best,
                alpha=self._alpha,
                challengers=self.slots,
                form=self._form,
            )
            serve[stream] = int(verdict.serve)
            kept[stream, : len(verdict.challengers)] = [int(each) for each in verdict.challengers]
        return serve, kept


def _rows(measurements: Measurements) -> Iterator[Row]:
    """Yields the row of the ledger of each stream."""
    for stream, best in enumerate(measurements.best_models.tolist()):
        models = {
            str(best): Measured(value=float(measurements.best.value[stream])),
            str(measurements.run): _measured(
                measurements.candidate, measurements.difference, stream
            ),
        }
        for indices, values, differences in measurements.challengers:
            if indices[stream] >= 0:
                models[str(indices[stream])] = _measured(values, differences, stream)
        yield Row(
            data=measurements.data,
            example_count=measurements.example_count,
            best=str(best),
            models=models,
        )


@functools.cache
def _is_older(span: int, best_span: int) -> bool:
    """Returns True if decide() keeps the best because of the spans."""
    metrics = {ACCURACY: MetricValue(value=0.8)}
    record = pb.ExportRecord(evaluation={"data": {"span": best_span}})
    decision = decide.decide(
        Observation(
            candidate=Candidate(
                digest="candidate", eval_result=EvalResult(metrics, data=EvaluatedData(span=span))
            ),
            best=Best(version=1, digest="best", eval_result=EvalResult(metrics), record=record),
        ),
        ours(pb.ExportDecision.RECORDED_OTHER_DATA).policy,
        0.0,
    )
    return decision.reason == pb.ExportDecision.OLDER_DATA


def _measured(values: Estimates, differences: Estimates, stream: int) -> Measured:
    return Measured(
        value=float(values.value[stream]),
        standard_error=float(differences.standard_error[stream]),
        degrees_of_freedom=_DEGREES_OF_FREEDOM,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Replay:
    """Decisions of a rule in several streams; arrays with one entry for each stream.

    Attributes:
        regret: True accuracy of the best model so far minus that of the served one, as the mean
            over the runs.
        promotions: Number of models that replaced a best.
        worse: Number of promotions of a model that was truly worse than the best at the time.
        measured_again: Mean number of challengers that a run measured.
        candidates: Number of candidates that could replace a best.
        older: Number of promotions in runs on an older span than that of the best.
    """

    regret: Array
    promotions: Array
    worse: Array
    measured_again: Array
    candidates: Array
    older: Array


class _Serving:
    """The served models of several streams under one rule."""

    def __init__(self, drawn: Drawn, rule: Rule):
        self.rule = rule
        self._drawn = drawn
        count = drawn.count
        self._best = np.zeros(count, dtype=np.intp)
        self._recorded = np.zeros(count)
        self._kept = np.full((count, rule.slots), -1)
        names = ("regret", "promotions", "worse", "again", "older")
        self._sums = {name: np.zeros(count) for name in names}

    def decide(self, run: int, answers: _Answers) -> None:
        """Applies the rule to the models of a run."""
        if run == 0:
            # The first candidate is exported with any metrics.
            self._recorded = answers.candidate.value
            return
        measurements = answers.measurements(self._best, self._recorded, self._kept)
        self._sums["again"] += (self._kept >= 0).sum(axis=1)
        serve, self._kept = self.rule.choose(measurements)
        is_promoted = serve != self._best
        gain = self._drawn.truth(run, serve) - self._drawn.truth(run, self._best)
        self._sums["promotions"] += is_promoted
        self._sums["worse"] += is_promoted & (gain < 0)
        spans = self._drawn.spans
        self._sums["older"] += is_promoted & (spans[run] < spans[self._best])
        # Only tf.estimator's rule reads the recorded value, and it promotes only the candidate.
        self._recorded = np.where(is_promoted, answers.candidate.value, self._recorded)
        self._best = serve
        self._sums["regret"] += self._drawn.best_truth(run) - self._drawn.truth(run, serve)

    def replay(self) -> Replay:
        """Returns the decisions of all runs."""
        runs = self._drawn.world.runs
        return Replay(
            regret=self._sums["regret"] / runs,
            promotions=self._sums["promotions"],
            worse=self._sums["worse"],
            measured_again=self._sums["again"] / (runs - 1),
            candidates=np.full(self._drawn.count, runs - 1.0),
            older=self._sums["older"],
        )


class _Answers:
    """The answers of the models of one run, which all rules share."""

    def __init__(self, drawn: Drawn, run: int, slots: int):
        self._world = drawn.world
        self._spans = drawn.spans
        self._run = run
        self._drawn = drawn.run(run, slots)
        self._right = self._drawn.candidate_right()
        self.candidate = self._estimates(self._right)

    def measurements(self, best: Array, recorded: Array, kept: Array) -> Measurements:
        """Returns the measurements of these models, the input of a rule."""
        best_right = self._drawn.best_right(best)
        challengers = []
        for slot in range(kept.shape[1]):
            models = kept[:, slot]
            right = self._drawn.challenger_right(slot, np.maximum(models, 0))
            challengers.append(
                (models, self._estimates(right), self._estimates(right - best_right))
            )
        is_same = self._world.overlap == 1
        return Measurements(
            run=self._run,
            data="the same" if is_same else str(self._run),
            example_count=self._world.scenario.examples,
            spans=self._spans,
            candidate=self.candidate,
            best=self._estimates(best_right),
            difference=self._estimates(self._right - best_right),
            recorded=recorded,
            best_models=best,
            challengers=challengers,
        )

    def _estimates(self, right: Array) -> Estimates:
        return jackknife(right, self._world.scenario.examples)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Policy:
    """Arguments of choose().

    Attributes:
        alpha: Largest probability of being no better with which a model is promoted.
        challengers: Number of challengers.
        form: The test that promotes a model.
    """

    alpha: float
    challengers: int
    form: Form = Form.CALIBRATED

    @property
    def name(self) -> str:
        """Name in the results."""
        guarantee = ", with a guarantee" if self.form is Form.GUARANTEED else ""
        noun = "challenger" if self.challengers == 1 else "challengers"
        return f"alpha {self.alpha:g}, {self.challengers} {noun}{guarantee}"


TF_ESTIMATOR = "tf.estimator BestExporter"
GREEDY = "larger on the same examples"
DEFAULT = Policy(alpha=0.05, challengers=2)
EAGER = Policy(alpha=0.1, challengers=2)
STRICT = Policy(alpha=0.02, challengers=2)
GUARANTEED = Policy(alpha=0.05, challengers=2, form=Form.GUARANTEED)
POLICIES = (
    Policy(alpha=0.05, challengers=0),
    Policy(alpha=0.05, challengers=1),
    DEFAULT,
    EAGER,
    STRICT,
    GUARANTEED,
)
Outcomes: TypeAlias = Mapping[str, Mapping[str, Replay]]


def replay(
    world: World, policies: Sequence[Policy], streams: int, seed: Sequence[int]
) -> dict[str, Replay]:
    """Returns the decisions of each rule on the same streams.

    Args:
        world: Kind of stream.
        policies: Policies of choose(); tf.estimator's rule and the larger value are added.
        streams: Number of streams.
        seed: Seed of all random numbers.
    """
    drawn = Drawn(world, streams, np.random.default_rng(list(seed)))
    rules: dict[str, Rule] = {
        TF_ESTIMATOR: Larger(is_recorded=True),
        GREEDY: Larger(is_recorded=False),
        **{
            each.name: Challengers(
                streams, alpha=each.alpha, challengers=each.challengers, form=each.form
            )
            for each in policies
        },
    }
    serving = {name: _Serving(drawn, rule) for name, rule in rules.items()}
    slots = max(rule.slots for rule in rules.values())
    for run in range(world.runs):
        answers = _Answers(drawn, run, slots)
        for each in serving.values():
            each.decide(run, answers)
    return {name: each.replay() for name, each in serving.items()}


def simulate(
    worlds: Sequence[World],
    streams: int,
    seed: int,
    workers: int,
    policies: Sequence[Policy] = POLICIES,
) -> dict[str, dict[str, Replay]]:
    """Returns the replays by name of the world and name of the rule.

    Each chunk of streams has its own seed, so the results do not depend on the number of processes.

    Args:
        worlds: Kinds of streams.
        streams: Number of streams of each; policies other than the default replay fewer.
        seed: Seed of all random numbers.
        workers: Number of processes.
        policies: Policies of choose().
    """
    tasks = {
        world.name: [
            (world, tuple(policies), min(CHUNK, count - start), (seed, *world.name.encode(), start))
            for count in [min(streams, DIFFICULT_STREAMS) if world in DIFFICULT else streams]
            for start in range(0, count, CHUNK)
        ]
        for world in worlds
    }
    return chunks.replayed(_replay_chunk, tasks, workers)


def _replay_chunk(
    task: tuple[World, Sequence[Policy], int, tuple[int, ...]],
) -> dict[str, Replay]:
    world, policies, streams, seed = task
    is_first = seed[-1] < OTHER_POLICIES_STREAMS
    return replay(world, policies if is_first else (DEFAULT,), streams, seed)


def regret_ratio(replays: Mapping[str, Replay], rule: str) -> Interval | None:
    """Returns a rule's regret relative to tf.estimator's, on the streams that both replayed."""
    ours, theirs = replays[rule].regret, replays[TF_ESTIMATOR].regret
    return ratio_of(ours, theirs[: len(ours)])


def excess_over_greedy(replays: Mapping[str, Replay], rule: str) -> Interval | None:
    """Returns a rule's regret minus that of the larger value, relative to tf.estimator's."""
    ours = replays[rule].regret
    greedy, theirs = (replays[name].regret[: len(ours)] for name in (GREEDY, TF_ESTIMATOR))
    return ratio_of(ours - greedy, theirs)


def wrong_promotions(replays: Mapping[str, Replay], rule: str) -> Interval | None:
    """Returns the share of promotions that made serving worse."""
    return ratio_of(replays[rule].worse, replays[rule].promotions)


def promotions_per_candidate(replays: Mapping[str, Replay], rule: str) -> Interval | None:
    """Returns the number of promotions for each candidate."""
    return ratio_of(replays[rule].promotions, replays[rule].candidates)


def exports_of_older_models(replays: Mapping[str, Replay], rule: str) -> Interval:
    """Returns the mean number of promotions on older data than the best's, for each stream."""
    return mean_of(replays[rule].older)


def measured_again(replays: Mapping[str, Replay], rule: str) -> Interval:
    """Returns the mean number of challengers that a run measured."""
    return mean_of(replays[rule].measured_again)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure with a limit.

    Attributes:
        name: Name of the figure and the policy.
        scenario: Name of the world.
        found: Measured figure.
        limit: Largest figure that meets the limit.
    """

    name: str
    scenario: str
    found: Interval
    limit: float

    @property
    def is_met(self) -> bool:
        """True if the figure is at most the limit, or larger by less than its margin."""
        return self.found.value - self.found.margin <= self.limit

    def line(self) -> str:
        """Returns the figure as fields with tabs between them."""
        fields = (
            self.name,
            self.scenario,
            f"{self.found.value:.4f}",
            f"{self.found.margin:.4f}",
            f"{self.limit:g}",
            "met" if self.is_met else "missed",
        )
        return "\t".join(fields)


_LARGE = ("stationary", "rising", "drifting data", "rising, drifting data")
_EVERY = (*_LARGE, "300 examples", "sd 0.003")
_MEASURES = {
    "regret": regret_ratio,
    "regret above greedy": excess_over_greedy,
    "wrong promotions": wrong_promotions,
    "promotions per candidate": promotions_per_candidate,
    "evaluations of challengers per run": measured_again,
    "exports after a rerun of old data": exports_of_older_models,
}
# Each limit with its figure, policy and scenarios.
_LIMITS: tuple[tuple[str, Policy, Sequence[str], float], ...] = (
    ("regret", DEFAULT, ["stationary"], 0.20),
    ("regret", DEFAULT, ["drifting data"], 0.10),
    ("regret", DEFAULT, ["rising, drifting data"], 0.15),
    ("regret", DEFAULT, ["rising"], 0.37),
    ("regret", DEFAULT, ["300 examples"], 0.30),
    ("regret", DEFAULT, ["sd 0.003"], 0.35),
    ("wrong promotions", DEFAULT, _LARGE, 0.03),
    ("wrong promotions", DEFAULT, ["300 examples"], 0.12),
    ("wrong promotions", DEFAULT, ["sd 0.003"], 0.18),
    ("promotions per candidate", DEFAULT, ["equal quality"], 0.055),
    ("evaluations of challengers per run", DEFAULT, _LARGE, 1.1),
    ("wrong promotions", DEFAULT, ["same examples each run"], 0.03),
    ("exports after a rerun of old data", DEFAULT, ["reruns of old data"], 0.0),
    ("wrong promotions", STRICT, ["sd 0.003"], 0.07),
    ("regret", STRICT, _EVERY, 0.50),
    ("wrong promotions", GUARANTEED, _EVERY, 0.03),
    ("regret above greedy", EAGER, _EVERY, 0.01),
    ("wrong promotions", EAGER, _LARGE, 0.05),
)


def figures_of(outcomes: Outcomes) -> list[Figure]:
    """Returns the figures that have a limit, for the worlds that were simulated."""
    found = []
    for name, policy, scenarios, limit in _LIMITS:
        for scenario in scenarios:
            measured = (
                _MEASURES[name](outcomes[scenario], policy.name) if scenario in outcomes else None
            )
            if measured is not None:
                found.append(
                    Figure(
                        name=f"{name}, {policy.name}",
                        scenario=scenario,
                        found=measured,
                        limit=limit,
                    )
                )
    return found


def show_figures(figures: Sequence[Figure]) -> str:
    """Returns a table in Markdown."""
    lines = ["| figure | scenario | measured | limit | |", "|---|---|---:|---:|---|"]
    for each in figures:
        is_met = "met" if each.is_met else "missed"
        lines.append(
            f"| {each.name} | {each.scenario} | {each.found.text(3)} | {each.limit:g} | {is_met} |"
        )
    return "\n".join(lines)


def show_world(replays: Mapping[str, Replay]) -> str:
    """Returns a table in Markdown, one line for each rule."""
    lines = [
        (
            "| rule | streams | regret relative to tf.estimator"
            " | promotions that made serving worse"
            " | promotions per candidate | challengers measured per run"
            " | exports after a rerun of old data |"
        ),
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for rule, replayed in replays.items():
        ratio, wrong = regret_ratio(replays, rule), wrong_promotions(replays, rule)
        promoted = promotions_per_candidate(replays, rule)
        lines.append(
            f"| {rule} | {len(replayed.regret):,} | {ratio.text(3) if ratio else ''}"
            f" | {wrong.percent() if wrong else ''} | {promoted.percent() if promoted else ''}"
            f" | {measured_again(replays, rule).text(2)}"
            f" | {exports_of_older_models(replays, rule).text(2)} |"
        )
    return "\n".join(lines)


def show(outcomes: Outcomes) -> str:
    """Returns the section for results.md."""
    parts = [
        (
            "`make bench-decisions` writes this section. The simulation is that of the section on"
            " the quality of decisions, with other seeds. Each run also measures the challengers,"
            " and `challengers.choose` decides by the last"
            f" {LEDGER_ROWS} rows of its ledger. Intervals are 95 % intervals over the streams. A"
            " limit is met if the figure minus its margin is at most the limit."
            " [worlds.py](worlds.py) describes the scenarios."
        ),
        "### Figures with a limit",
        show_figures(figures_of(outcomes)),
    ]
    for name, replays in outcomes.items():
        parts += [f"### Challengers: {name}", show_world(replays)]
    return "\n\n".join(parts)


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the simulation, prints tables and figures, and writes the section of results.md.

    Args:
        argv: Arguments of the command; None for those of the process.
    """
    parser = argparse.ArgumentParser(description="Replay streams of candidates with challengers.")
    parser.add_argument(
        "--streams",
        type=int,
        default=STREAMS,
        help=f"number of streams of each scenario (default: {STREAMS}); another number writes no"
        " files",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=SEED,
        help=f"seed of all random numbers (default: {SEED}); another seed writes no files",
    )
    worlds = {world.name: world for world in (*FRESH, *DIFFICULT)}
    parser.add_argument(
        "--scenario",
        choices=sorted(worlds),
        action="append",
        help="simulate only this scenario; repeat for more; writes no files",
    )
    parser.add_argument(
        "--alpha",
        type=float,
        action="append",
        default=[],
        help="additional alpha, with 2 challengers; repeat for more; writes no files",
    )
    parser.add_argument("--workers", type=int, default=1, help="number of processes (default: 1)")
    arguments = parser.parse_args(argv)
    started = time.monotonic()
    selected = [worlds[name] for name in arguments.scenario or worlds]
    policies = [*POLICIES, *(Policy(alpha=alpha, challengers=2) for alpha in arguments.alpha)]
    outcomes = simulate(
        selected,
        arguments.streams,
        arguments.seed,
        arguments.workers,
        [*dict.fromkeys(policies)],
    )
    text = show(outcomes)
    print(text)
    print(f"{time.monotonic() - started:.0f} s")
    given = arguments.streams, arguments.seed, arguments.scenario, arguments.alpha
    if given == (STREAMS, SEED, None, []):
        results.write_section(SECTION, text)
    for figure in figures_of(outcomes):
        print(figure.line())


if __name__ == "__main__":
    main()
