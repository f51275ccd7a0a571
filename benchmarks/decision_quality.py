"""Measures the quality of decision rules on simulated candidates whose true quality is known.

`make bench-decisions` runs this module. It replays the streams of streams.py under the rules of
rules.py, and compares the models that were served with the best ones available.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from benchmarks import charts, chunks, results
from benchmarks.rules import (
    ALPHAS,
    DEFAULT_ALPHA,
    FLOOR,
    MLFLOW,
    ORACLE,
    TF_ESTIMATOR,
    TFMA,
    UNPAIRED,
    Ours,
    Rule,
    Run,
    name_of,
    rules_of,
)
from benchmarks.streams import (
    BUCKETS,
    CANDIDATES,
    Array,
    Examples,
    Scenario,
    Streams,
    both_right,
    draw_streams,
    jackknife,
    latent_correlation,
)

EQUAL = Scenario(name="equal quality", sd=0.0)
SCENARIOS = (
    Scenario(name="stationary"),
    Scenario(name="rising", rise=0.05),
    Scenario(name="drifting data", drift=0.02),
    Scenario(name="rising, drifting data", rise=0.05, drift=0.02),
    Scenario(name="300 examples", examples=300),
    Scenario(name="sd 0.003", sd=0.003),
    EQUAL,
)
SEED = 20261122
REPETITIONS = 3000
# Number of streams that are replayed together. Their examples fit into a processor's cache.
CHUNK = 50
# Calls of decide() take most of the time. The alpha of the targets replays all streams, and other
# policies only the first ones.
OTHER_POLICIES_STREAMS = 1000
UNPAIRED_STREAMS = 50
Z95 = 1.959964

SECTION = "Quality of decisions"
QUALITY_CHART_PATH = Path(__file__).parent / "decision_quality.svg"
ALPHA_CHART_PATH = Path(__file__).parent / "decision_alpha.svg"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Replay:
    """Decisions of a rule in several streams; each array has one entry or row for each stream.

    Attributes:
        served: True quality of the served model after each run: (streams, CANDIDATES).
        regret: True quality of the best candidate so far minus that of the served model, as the
            mean over the runs.
        promotions: Number of candidates that replaced a best.
        worse: Number of promotions of a candidate that is truly worse than the best.
        loss: Sum of the true accuracy that these promotions lost.
        improvements: Number of candidates that are truly better than the best of their run.
        missed: Number of improvements that were not promoted.
        curse: Recorded minus true quality of the served model, as the mean over the runs.
    """

    served: Array
    regret: Array
    promotions: Array
    worse: Array
    loss: Array
    improvements: Array
    missed: Array
    curse: Array


class _Serving:
    """The served models of several streams under one rule, with their history."""

    def __init__(self, streams: Streams):
        self._streams = streams
        self._every = np.arange(len(streams.quality))
        shape = streams.quality.shape
        self._index = np.zeros(shape[0], dtype=np.intp)
        self._recorded = np.zeros((shape[0], BUCKETS), dtype=np.int32)
        self._history = np.zeros(shape, dtype=np.intp)
        self._recorded_history = np.zeros(shape)
        self._is_promoted = np.zeros(shape, dtype=bool)
        # True accuracy of the candidate minus that of the best.
        self._gain = np.zeros(shape)

    def decide(self, index: int, rule: Rule, run: _RunExamples) -> None:
        """Applies the rule to the candidate of a run, and serves the candidate or the best."""
        if index == 0:
            # The first candidate is exported with any metrics.
            is_promoted = np.ones(len(self._every), dtype=bool)
        else:
            quality = self._streams.quality
            best_quality = quality[self._every, self._index]
            is_promoted = rule(run.seen(best_quality, self._recorded))
            self._is_promoted[:, index] = is_promoted
            self._gain[:, index] = quality[:, index] - best_quality
        self._index = np.where(is_promoted, index, self._index)
        self._recorded = np.where(is_promoted[:, None], run.candidate_right, self._recorded)
        self._history[:, index] = self._index
        self._recorded_history[:, index] = self._recorded.sum(axis=1) / run.examples

    def replay(self) -> Replay:
        """Returns the history of all runs."""
        quality = self._streams.quality
        served = np.take_along_axis(quality, self._history, axis=1)
        is_better = self._gain > 0
        is_worse = self._is_promoted & (self._gain < 0)
        return Replay(
            served=served,
            regret=(np.maximum.accumulate(quality, axis=1) - served).mean(axis=1),
            promotions=self._is_promoted.sum(axis=1),
            worse=is_worse.sum(axis=1),
            loss=-np.where(is_worse, self._gain, 0.0).sum(axis=1),
            improvements=is_better.sum(axis=1),
            missed=(is_better & ~self._is_promoted).sum(axis=1),
            curse=(self._recorded_history - served).mean(axis=1),
        )


class _RunExamples:
    """The examples of one run, and the results of its candidate on them."""

    def __init__(self, scenario: Scenario, streams: Streams, index: int, rng: np.random.Generator):
        self.examples = scenario.examples
        self._drawn = Examples(scenario, len(streams.quality), rng)
        self._quality = streams.quality[:, index]
        self._shift = streams.shift[:, index]
        self.candidate_right = self._drawn.candidate_right(self._quality + self._shift)

    def seen(self, best_quality: Array, recorded: Array) -> Run:
        """Returns the measurements for a best with this true quality and these recorded counts."""
        best_right = self._drawn.best_right(best_quality + self._shift)
        first, second = self._quality + self._shift, best_quality + self._shift
        disagreement = first + second - 2 * both_right(first, second, latent_correlation())
        variance = disagreement - (first - second) ** 2
        return Run(
            candidate=jackknife(self.candidate_right, self.examples),
            best=jackknife(best_right, self.examples),
            difference=jackknife(self.candidate_right - best_right, self.examples),
            recorded=jackknife(recorded, self.examples),
            candidate_quality=self._quality,
            best_quality=best_quality,
            true_standard_error=np.sqrt(variance / self.examples),
        )


def replay(
    scenario: Scenario, rules: Mapping[str, Rule], streams: int, seed: Sequence[int]
) -> dict[str, Replay]:
    """Returns the decisions of each rule on the same streams and examples.

    Args:
        scenario: Kind of stream.
        rules: Rules by name.
        streams: Number of streams.
        seed: Seed of all random numbers.
    """
    rng = np.random.default_rng(list(seed))
    drawn = draw_streams(scenario, streams, rng)
    serving = {name: _Serving(drawn) for name in rules}
    for index in range(CANDIDATES):
        run = _RunExamples(scenario, drawn, index, rng)
        for name, rule in rules.items():
            serving[name].decide(index, rule, run)
    return {name: each.replay() for name, each in serving.items()}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Interval:
    """A figure and half the width of its 95 % interval, from the spread between streams."""

    value: float
    margin: float

    def percent(self) -> str:
        """Returns the figure and its margin in percent."""
        return f"{100 * self.value:.1f} ± {100 * self.margin:.1f} %"

    def text(self, digits: int) -> str:
        """Returns the figure and its margin with a number of digits."""
        return f"{self.value:.{digits}f} ± {self.margin:.{digits}f}"


def mean_of(values: Array) -> Interval:
    """Returns the mean over streams, with its interval."""
    return Interval(
        value=float(values.mean()), margin=float(Z95 * values.std(ddof=1) / math.sqrt(len(values)))
    )


def ratio_of(numerators: Array, denominators: Array) -> Interval | None:
    """Returns the ratio of two sums with its interval, or None if the denominators sum to 0.

    The variance is that of the residuals, because the numerator and the denominator of a stream
    depend on each other: W. G. Cochran, Sampling Techniques, 3rd edition (1977), section 6.3.
    """
    total = denominators.sum()
    if not total:
        return None
    value = numerators.sum() / total
    residuals = numerators - value * denominators
    margin = Z95 * residuals.std(ddof=1) * math.sqrt(len(residuals)) / total
    return Interval(value=float(value), margin=float(margin))


Outcomes: TypeAlias = Mapping[str, Mapping[str, Replay]]


def simulate(
    scenarios: Sequence[Scenario],
    alphas: Sequence[float],
    repetitions: int,
    workers: int,
    seed: int = SEED,
) -> dict[str, dict[str, Replay]]:
    """Returns the replays by name of the scenario and name of the rule.

    Each chunk of streams has its own seed, so the results do not depend on the number of
    processes.
    """
    sizes = [min(CHUNK, repetitions - start) for start in range(0, repetitions, CHUNK)]
    tasks = {
        scenario.name: [
            (index, tuple(alphas), size, (seed, index, chunk)) for chunk, size in enumerate(sizes)
        ]
        for index, scenario in enumerate(scenarios)
    }
    return chunks.replayed(functools.partial(_replay_chunk, tuple(scenarios)), tasks, workers)


def _replay_chunk(
    scenarios: Sequence[Scenario], task: tuple[int, Sequence[float], int, tuple[int, int, int]]
) -> dict[str, Replay]:
    index, alphas, size, seed = task
    first = seed[-1] * CHUNK
    rules = {
        name: rule
        for name, rule in rules_of(alphas, scenarios[index]).items()
        if first < _streams_of(name, rule)
    }
    return replay(scenarios[index], rules, size, seed)


def _streams_of(name: str, rule: Rule) -> float:
    if name == UNPAIRED:
        return UNPAIRED_STREAMS
    if isinstance(rule, Ours) and name != name_of(DEFAULT_ALPHA):
        return OTHER_POLICIES_STREAMS
    return math.inf


def regret_ratio(replays: Mapping[str, Replay], rule: str, peer: str) -> Interval | None:
    """Returns the ratio of a rule's regret to a peer's, on the streams that both replayed."""
    ours, theirs = replays[rule].regret, replays[peer].regret
    return ratio_of(ours, theirs[: len(ours)])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """A figure with a limit.

    Attributes:
        name: Name of the figure in the table.
        scenario: Name of the scenario.
        found: Measured figure.
        limit: Largest figure that meets the target.
        is_share: Whether the figure is shown in percent.
    """

    name: str
    scenario: str
    found: Interval
    limit: float
    is_share: bool

    @property
    def verdict(self) -> str:
        """Text that says whether the target is met, or missed by less than the margin."""
        if self.found.value <= self.limit:
            return "met"
        if self.found.value - self.found.margin <= self.limit:
            return "missed, within the margin"
        return "missed"


def targets_of(outcomes: Outcomes, rule: str) -> list[Target]:
    """Returns the targets, with the figures of one rule."""
    found = []
    by_name = {scenario.name: scenario for scenario in SCENARIOS}
    for name, replays in outcomes.items():
        scenario = by_name[name]
        if scenario == EQUAL:
            share = mean_of(replays[rule].promotions / (CANDIDATES - 1))
            found.append(
                Target(
                    name="promotions per candidate",
                    scenario=name,
                    found=share,
                    limit=0.05,
                    is_share=True,
                )
            )
            continue
        for peer in (TF_ESTIMATOR, MLFLOW):
            ratio = regret_ratio(replays, rule, peer)
            if ratio:
                found.append(
                    Target(
                        name=f"regret relative to {peer}",
                        scenario=name,
                        found=ratio,
                        limit=0.6,
                        is_share=False,
                    )
                )
        if (scenario.examples, scenario.sd) != (2000, 0.01):
            continue
        promotions = replays[rule].promotions
        for figure, denominators in (
            ("promotions that made serving worse", promotions),
            ("exports that made serving worse, first exports counted", promotions + 1),
        ):
            worse = ratio_of(replays[rule].worse, denominators)
            if worse:
                found.append(
                    Target(name=figure, scenario=name, found=worse, limit=0.05, is_share=True)
                )
    return found


def show_targets(targets: Sequence[Target]) -> str:
    """Returns a table in Markdown."""
    lines = ["| figure | scenario | measured | limit | |", "|---|---|---:|---:|---|"]
    for target in sorted(targets, key=lambda target: target.name):
        found = target.found.percent() if target.is_share else target.found.text(2)
        limit = f"{100 * target.limit:g} %" if target.is_share else f"{target.limit:g}"
        lines.append(
            f"| {target.name} | {target.scenario} | {found} | {limit} | {target.verdict} |"
        )
    return "\n".join(lines)


def show_scenario(replays: Mapping[str, Replay]) -> str:
    """Returns a table in Markdown, one line for each rule."""
    lines = [
        (
            "| rule | regret | relative to tf.estimator | promotions that made serving worse"
            " | mean loss of these | improvements missed | promotions per candidate"
            " | true accuracy at the end | recorded minus true |"
        ),
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, replayed in replays.items():
        ratio = regret_ratio(replays, name, TF_ESTIMATOR)
        worse = ratio_of(replayed.worse, replayed.promotions)
        loss = ratio_of(replayed.loss, replayed.worse)
        missed = ratio_of(replayed.missed, replayed.improvements)
        promoted = mean_of(replayed.promotions / (CANDIDATES - 1))
        lines.append(
            f"| {name} | {mean_of(replayed.regret).text(4)} | {ratio.text(2) if ratio else ''}"
            f" | {worse.percent() if worse else ''}"
            f" | {loss.text(4) if loss else ''} | {missed.percent() if missed else ''}"
            f" | {promoted.percent()} | {mean_of(replayed.served[:, -1]).text(4)}"
            f" | {mean_of(replayed.curse).text(4)} |"
        )
    return "\n".join(lines)


def show(outcomes: Outcomes, repetitions: int) -> str:
    """Returns the section for results.md."""
    parts = [
        (
            f"`make bench-decisions` writes this section. It simulates {repetitions:,} streams of"
            f" {CANDIDATES} candidates for each scenario, with fixed seeds. Intervals are 95 %"
            " intervals over the streams. Our policies without significance or with another alpha"
            f" than {DEFAULT_ALPHA:g} replay only the first {OTHER_POLICIES_STREAMS:,} streams, and"
            f" the slow unpaired policy {UNPAIRED_STREAMS}. [streams.py](streams.py) describes the"
            " streams and [rules.py](rules.py) the rules. Rules called *ours* are `decide()`."
            " Regret is the true accuracy of the best candidate so far minus that of the served"
            " model, averaged over the runs. The last column is the winner's curse: the recorded"
            " accuracy of the served model minus its true accuracy."
        ),
        f"![Quality served over time]({QUALITY_CHART_PATH.name})",
        f"### Targets: same data, alpha {DEFAULT_ALPHA:g}",
        show_targets(targets_of(outcomes, name_of(DEFAULT_ALPHA))),
        f"### Targets: {FLOOR}",
        (
            "This test knows the standard error, which other rules estimate. It shows how much a"
            " better estimate could gain at this level."
        ),
        show_targets(targets_of(outcomes, FLOOR)),
        "### Trade-off between regret and wrong promotions",
        f"![Cost of each alpha]({ALPHA_CHART_PATH.name})",
    ]
    for scenario in SCENARIOS:
        details = (
            f"{scenario.examples:,} examples a run, sd {scenario.sd:g} between candidates, rising"
            f" by {scenario.rise:g}, data drifting by sd {scenario.drift:g}."
        )
        parts += [
            f"### {scenario.name[0].upper()}{scenario.name[1:]}",
            details,
            show_scenario(outcomes[scenario.name]),
        ]
    return "\n\n".join(parts)


def write_quality_chart(outcomes: Outcomes, path: Path) -> None:
    """Writes a chart of the served quality over time, for some of the rules."""
    styles = {
        ORACLE: ("#222", "2 3"),
        TF_ESTIMATOR: ("#c2410c", "7 3"),
        TFMA: ("#7c3aed", "1 2 6 2"),
        name_of(DEFAULT_ALPHA): ("#0b62a8", ""),
    }
    panels = [
        charts.Panel(
            title=scenario,
            x_label="run",
            y_label="true accuracy minus the oracle's",
            lines=[
                charts.Line(
                    name=name,
                    points=list(enumerate(_below_oracle(replays, name), start=1)),
                    colour=colour,
                    dash=dash,
                )
                for name, (colour, dash) in styles.items()
            ],
        )
        for scenario, replays in outcomes.items()
        if scenario != EQUAL.name
    ]
    charts.write(
        path,
        panels,
        title="Quality served over time, compared with an oracle",
        description=(
            "Mean true accuracy of the served model after each of 60 runs minus that of the best"
            " candidate so far, in six scenarios. Figures are in results.md."
        ),
        columns=3,
    )


def _below_oracle(replays: Mapping[str, Replay], rule: str) -> list[float]:
    return (replays[rule].served - replays[ORACLE].served).mean(axis=0).tolist()


def write_alpha_chart(outcomes: Outcomes, alphas: Sequence[float], path: Path) -> None:
    """Writes a chart of regret against the share of promotions that made serving worse."""
    styles = (
        ("#0b62a8", "", "circle"),
        ("#c2410c", "7 3", "square"),
        ("#15803d", "2 3", "triangle"),
        ("#7c3aed", "1 2 6 2", "diamond"),
        ("#a16207", "", "square"),
        ("#222", "7 3", "circle"),
    )
    lines = []
    scenarios = [name for name in outcomes if name != EQUAL.name]
    for scenario, (colour, dash, marker) in zip(scenarios, styles, strict=False):
        points = []
        for alpha in alphas:
            ratio = regret_ratio(outcomes[scenario], name_of(alpha), TF_ESTIMATOR)
            replayed = outcomes[scenario][name_of(alpha)]
            worse = ratio_of(replayed.worse, replayed.promotions)
            if ratio and worse:
                points.append((ratio.value, worse.value))
        lines.append(
            charts.Line(
                name=scenario,
                points=points,
                colour=colour,
                dash=dash,
                marker=marker,
                labels=[f"{alpha:g}" for alpha in alphas],
            )
        )
    panel = charts.Panel(
        title="Same data, paired test; labels show alpha",
        x_label="regret / regret of tf.estimator's BestExporter",
        y_label="promotions that made serving worse",
        lines=lines,
        target=(0.6, 0.05),
        target_name="at most 0.6 and 5 %",
        zero=True,
        percent=True,
        scale=2.2,
    )
    charts.write(
        path,
        [panel],
        title="Cost of each alpha",
        description=(
            "Regret and share of promotions that made serving worse for each alpha, one line for"
            " each scenario. The shaded area has regret of at most 0.6 times tf.estimator's and at"
            " most 5 % such promotions. Figures are in results.md."
        ),
        columns=1,
    )


def main() -> None:
    """Runs the simulation, prints the tables, and writes the tables and charts."""
    parser = argparse.ArgumentParser(description="Replay streams of candidates under each rule.")
    parser.add_argument(
        "--streams",
        type=int,
        default=REPETITIONS,
        help=f"number of streams of each scenario (default: {REPETITIONS}); another number writes"
        " no files",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=SEED,
        help=f"seed of all random numbers (default: {SEED}); another seed writes no files",
    )
    parser.add_argument(
        "--alpha",
        type=float,
        action="append",
        help="additional alpha; repeat for more; writes no files",
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="number of processes")
    arguments = parser.parse_args()
    alphas = sorted({*ALPHAS, *(arguments.alpha or ())})
    started = time.monotonic()
    outcomes = simulate(SCENARIOS, alphas, arguments.streams, arguments.workers, arguments.seed)
    text = show(outcomes, arguments.streams)
    print(text)
    print(f"{time.monotonic() - started:.0f} s")
    if (arguments.streams, arguments.seed) == (REPETITIONS, SEED) and not arguments.alpha:
        results.write_section(SECTION, text)
        write_quality_chart(outcomes, QUALITY_CHART_PATH)
        write_alpha_chart(outcomes, alphas, ALPHA_CHART_PATH)


if __name__ == "__main__":
    main()
