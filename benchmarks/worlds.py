"""Simulates runs that measure several models, and circumstances in which that is difficult.

streams.py has the candidates and the examples. A world adds what may go wrong when evidence of
several runs is pooled: models age, their differences vary between runs, or runs share examples.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from benchmarks import streams
from benchmarks.streams import (
    BUCKETS,
    Array,
    Examples,
    Scenario,
    ScoredExamples,
    draw_streams,
)

# Largest and smallest true accuracy. Accuracies with noise added must stay between 0 and 1.
_RANGE = (0.02, 0.98)


@dataclasses.dataclass(frozen=True, kw_only=True)
class World:
    """A kind of stream in which models are measured in several runs.

    Attributes:
        scenario: Candidates and examples.
        runs: Number of runs, at most streams.CANDIDATES.
        overlap: Share of the examples of a run that all runs have in common: 0, 0.5 or 1.
        has_heavy_tails: True if the candidates' accuracy follows Student's t distribution with
            three degrees of freedom, scaled to the same standard deviation.
        carry: Share of a candidate's deviation from the mean that it inherits from the candidate
            before it, as with a warm start.
        bursts: Number of steps in which the mean accuracy rises by 0.02 each.
        broken: Probability that a candidate is broken, which costs it an accuracy of 0.1.
        ageing: Accuracy that each model loses in each run after its own.
        interaction: Standard deviation of the shift that the examples of a run add to the accuracy
            of each model alone.
        reruns: Probability that a run is a rerun of an earlier one: its candidate is as good as
            candidates were then, and it is evaluated on the span of that run. The examples are
            drawn anew.
        is_auc: True if the metric is the AUC in place of the accuracy. Needs examples of each run's
            own: no overlap.
    """

    scenario: Scenario
    runs: int = streams.CANDIDATES
    overlap: float = 0.0
    has_heavy_tails: bool = False
    carry: float = 0.0
    bursts: int = 0
    broken: float = 0.0
    ageing: float = 0.0
    interaction: float = 0.0
    reruns: float = 0.0
    is_auc: bool = False

    @property
    def name(self) -> str:
        """Name in the results."""
        return self.scenario.name


class Drawn:
    """Random streams of a world.

    Attributes:
        world: The world.
        count: Number of streams.
        spans: Span of each run's examples: the index of the run, or an earlier one in a rerun.
    """

    def __init__(self, world: World, count: int, rng: np.random.Generator):
        """Draws the models.

        Args:
            world: The world.
            count: Number of streams.
            rng: Source of random numbers.
        """
        self.world = world
        self.count = count
        self._rng = rng
        scenario, runs = world.scenario, world.runs
        drawn = draw_streams(scenario, count, rng)
        self._shift = drawn.shift
        self.spans = np.arange(streams.CANDIDATES)
        if world.reruns:
            is_rerun = rng.random(streams.CANDIDATES) < world.reruns
            earlier = rng.integers(np.maximum(self.spans, 1))
            self.spans = np.where(is_rerun, earlier, self.spans)
        means = streams.mean_accuracies(scenario)
        deviations = drawn.quality - means
        means = means[self.spans]
        if world.has_heavy_tails:
            deviations = scenario.sd * rng.standard_t(3, deviations.shape) / math.sqrt(3)
        if world.carry:
            for run in range(1, runs):
                fresh = math.sqrt(1 - world.carry**2) * deviations[:, run]
                deviations[:, run] = world.carry * deviations[:, run - 1] + fresh
        steps = np.arange(streams.CANDIDATES) * (world.bursts + 1) // runs
        quality = means + 0.02 * steps * bool(world.bursts) + deviations
        quality -= 0.1 * (rng.random(quality.shape) < world.broken)
        self._quality = quality
        self._every = np.arange(count)
        self._interaction = world.interaction * rng.standard_normal((count, runs, runs))
        self._common = self._draw_common()

    def _draw_common(self) -> Array:
        """Returns each model's right answers on the common examples: (streams, runs, BUCKETS)."""
        world = self.world
        examples = round(world.scenario.examples * world.overlap)
        result = np.zeros((self.count, world.runs, BUCKETS), dtype=np.int32)
        if examples:
            scenario = dataclasses.replace(world.scenario, examples=examples)
            common = Examples(scenario, self.count, self._rng, challengers=world.runs)
            for model in range(world.runs):
                accuracy = np.clip(self._quality[:, model], *_RANGE)
                result[:, model] = common.challenger_right(model, accuracy)
        return result

    def truth(self, run: int, models: Array) -> Array:
        """Returns the true accuracy of a model of each stream in a run."""
        age = run - models
        return self._quality[self._every, models] - self.world.ageing * age

    def best_truth(self, run: int) -> Array:
        """Returns the true accuracy of the best model up to a run, for each stream."""
        ages = run - np.arange(run + 1)
        return (self._quality[:, : run + 1] - self.world.ageing * ages).max(axis=1)

    def run(self, run: int, challengers: int) -> DrawnRun:
        """Returns the examples of a run.

        Args:
            run: Index of the run.
            challengers: Number of models other than the candidate and the best.
        """
        return DrawnRun(self, run, challengers)

    def draw_fresh(self, challengers: int) -> Examples | None:
        """Returns examples that only one run has, or None if it has only the common ones."""
        scenario = self.world.scenario
        examples = scenario.examples - round(scenario.examples * self.world.overlap)
        if not examples:
            return None
        scenario = dataclasses.replace(scenario, examples=examples)
        make = ScoredExamples if self.world.is_auc else Examples
        return make(scenario, self.count, self._rng, challengers=challengers)

    def accuracy(self, run: int, models: Array) -> Array:
        """Returns the expected accuracy of a model of each stream on the fresh examples."""
        alone = self._interaction[self._every, models, run]
        return np.clip(self.truth(run, models) + self._shift[:, run] + alone, *_RANGE)

    def common_right(self, models: Array) -> Array:
        """Returns the right answers of a model of each stream on the common examples."""
        return self._common[self._every, models]


class DrawnRun:
    """The examples of one run in all streams, with the answers of the models."""

    def __init__(self, drawn: Drawn, run: int, challengers: int):
        """Draws the examples. See `Drawn.run` for the arguments."""
        self._drawn = drawn
        self._run = run
        self._fresh = drawn.draw_fresh(challengers)

    def candidate_right(self) -> Array:
        """Returns the number of examples in each bucket that the candidate has right."""
        models = np.full(self._drawn.count, self._run)
        right = self._drawn.common_right(models)
        if self._fresh is None:
            return right
        return right + self._fresh.candidate_right(self._drawn.accuracy(self._run, models))

    def best_right(self, models: Array) -> Array:
        """Returns the same for the best, given as one model for each stream."""
        right = self._drawn.common_right(models)
        if self._fresh is None:
            return right
        return right + self._fresh.best_right(self._drawn.accuracy(self._run, models))

    def challenger_right(self, index: int, models: Array) -> Array:
        """Returns the same for a challenger."""
        right = self._drawn.common_right(models)
        if self._fresh is None:
            return right
        accuracy = self._drawn.accuracy(self._run, models)
        return right + self._fresh.challenger_right(index, accuracy)


STATIONARY = World(scenario=Scenario(name="stationary"))
# The scenarios of decision_quality.py, in which each run has examples of its own.
FRESH = (
    STATIONARY,
    World(scenario=Scenario(name="rising", rise=0.05)),
    World(scenario=Scenario(name="drifting data", drift=0.02)),
    World(scenario=Scenario(name="rising, drifting data", rise=0.05, drift=0.02)),
    World(scenario=Scenario(name="300 examples", examples=300)),
    World(scenario=Scenario(name="sd 0.003", sd=0.003)),
    World(scenario=Scenario(name="equal quality", sd=0.0)),
)
DIFFICULT = (
    World(scenario=Scenario(name="same examples each run"), overlap=1.0),
    World(scenario=Scenario(name="half of the examples the same"), overlap=0.5),
    World(scenario=Scenario(name="15 runs, rising", rise=0.2), runs=15),
    World(scenario=Scenario(name="AUC"), is_auc=True),
    World(scenario=Scenario(name="heavy tails"), has_heavy_tails=True),
    World(scenario=Scenario(name="warm start"), carry=0.9),
    World(scenario=Scenario(name="bursts"), bursts=3),
    World(scenario=Scenario(name="broken candidates"), broken=0.1),
    World(scenario=Scenario(name="ageing"), ageing=0.0005),
    World(scenario=Scenario(name="interaction"), interaction=0.005),
    World(scenario=Scenario(name="reruns of old data", rise=0.05), reruns=0.1),
)
