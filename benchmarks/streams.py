"""Simulates streams of candidates whose true quality is known, and their evaluations.

Each run of a stream has one candidate with a true accuracy. The candidate is measured on the
examples of the run. Their number is finite, and they can be harder or easier than those of other
runs.

A model is right or wrong about an example, and models tend to be right about the same examples. An
example has a latent difficulty, to which each model adds its own noise. The model is right if the
sum is below a threshold, which gives the model its accuracy. The shares of difficulty and noise
make the correctness of two models correlate by CORRELATION.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any, TypeAlias

import numpy as np
from scipy import optimize, special

Array: TypeAlias = Any

CANDIDATES = 60
MEAN_ACCURACY = 0.8
# Correlation between the correctness of two models on the same example.
CORRELATION = 0.8
# TFMA's jackknife splits the examples into this number of parts, which is not configurable.
BUCKETS = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scenario:
    """A kind of stream.

    Attributes:
        name: Name in the results.
        examples: Number of examples in each evaluation; a multiple of BUCKETS.
        sd: Standard deviation of the true accuracy between candidates.
        rise: Increase of the mean accuracy over the stream.
        drift: Standard deviation of the shift that the examples of a run add to the accuracy of
            every model.
    """

    name: str
    examples: int = 2000
    sd: float = 0.01
    rise: float = 0.0
    drift: float = 0.0


def both_right(first: Array, second: Array, latent: float) -> Array:
    """Returns the probability that two models are right about the same example.

    The formula uses Owen's T function: D. B. Owen, "Tables for computing bivariate normal
    probabilities", Annals of Mathematical Statistics 27 (1956), 1075-1090.

    Args:
        first: Accuracy of one model, larger than 0.5.
        second: Accuracy of the other, larger than 0.5.
        latent: Correlation of the variables that the models compare with their thresholds.
    """
    h, k = special.ndtri(first), special.ndtri(second)
    rest = math.sqrt(1 - latent * latent)
    return (
        (first + second) / 2
        - special.owens_t(h, (k - latent * h) / (h * rest))
        - special.owens_t(k, (h - latent * k) / (k * rest))
    )


@functools.cache
def latent_correlation(correlation: float = CORRELATION, accuracy: float = MEAN_ACCURACY) -> float:
    """Returns the latent correlation for a correlation between the correctness of two models."""
    variance = accuracy * (1 - accuracy)

    def excess(latent: float) -> float:
        return (both_right(accuracy, accuracy, latent) - accuracy**2) / variance - correlation

    return float(optimize.brentq(excess, 0.0, 0.999999))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Streams:
    """Several streams of one scenario; arrays of shape (streams, CANDIDATES).

    Attributes:
        quality: True accuracy of each candidate on data of mean difficulty.
        shift: Shift that the examples of each run add to the accuracy of every model.
    """

    quality: Array
    shift: Array


def mean_accuracies(scenario: Scenario) -> Array:
    """Returns the mean true accuracy of the candidate of each run: (CANDIDATES,)."""
    return MEAN_ACCURACY + np.linspace(0, scenario.rise, CANDIDATES)


def draw_streams(scenario: Scenario, count: int, rng: np.random.Generator) -> Streams:
    """Returns random streams of candidates."""
    shape = (count, CANDIDATES)
    return Streams(
        quality=mean_accuracies(scenario) + scenario.sd * rng.standard_normal(shape),
        shift=scenario.drift * rng.standard_normal(shape),
    )


class Examples:
    """The examples of one run in several streams, with the latent variables of some models."""

    def __init__(
        self, scenario: Scenario, streams: int, rng: np.random.Generator, *, challengers: int = 0
    ):
        """Draws the examples.

        Args:
            scenario: Scenario with the number of examples.
            streams: Number of streams.
            rng: Source of random numbers.
            challengers: Number of models other than the candidate and the best.
        """
        shape = (streams, scenario.examples)
        latent = latent_correlation()
        own = np.float32(math.sqrt(1 - latent))
        difficulty = rng.standard_normal(shape, dtype=np.float32)
        difficulty *= np.float32(math.sqrt(latent))
        self._candidate = difficulty + own * rng.standard_normal(shape, dtype=np.float32)
        self._best = difficulty + own * rng.standard_normal(shape, dtype=np.float32)
        self._challengers = [
            difficulty + own * rng.standard_normal(shape, dtype=np.float32)
            for _ in range(challengers)
        ]

    def candidate_right(self, accuracy: Array) -> Array:
        """Returns the number of examples in each bucket that the candidate has right.

        The shape is (streams, BUCKETS).
        """
        return self._right(self._candidate, accuracy)

    def best_right(self, accuracy: Array) -> Array:
        """Returns the number of examples in each bucket that the best has right.

        The shape is (streams, BUCKETS).
        """
        return self._right(self._best, accuracy)

    def challenger_right(self, index: int, accuracy: Array) -> Array:
        """Returns the number of examples in each bucket that a challenger has right.

        The shape is (streams, BUCKETS).
        """
        return self._right(self._challengers[index], accuracy)

    def _right(self, latent: Array, accuracy: Array) -> Array:
        return _right(latent, accuracy)


class ScoredExamples(Examples):
    """Examples with a label of two classes, to which models give scores. Metrics are AUCs.

    A score is the label's mean plus the latent variable of the model as its error. The AUC is the
    probability that the difference between the scores of two examples is positive. This difference
    has a normal error of variance 2, so a model with AUC a separates the means of the labels by
    sqrt(2) * ndtri(a). In each bucket, half of the examples have each label.

    In place of right answers there are pseudo-values of the AUC, scaled to a number of examples, so
    that `jackknife` returns the AUC and its standard error.
    """

    def _right(self, latent: Array, accuracy: Array) -> Array:
        count, examples = latent.shape
        separation = (math.sqrt(2) * special.ndtri(accuracy)).astype(np.float32)
        classes = latent.reshape(count, BUCKETS, 2, examples // BUCKETS // 2)
        # A pair of examples is in order if the sum of its errors is below the separation.
        limits = separation[:, None, None] - classes[:, :, 0]
        errors = classes[:, :, 1]
        by_first, by_second = _pairs_in_order(limits, errors), _pairs_in_order(-errors, -limits)
        inside = (errors[:, :, None, :] < limits[:, :, :, None]).sum(axis=(2, 3))
        total = by_first.sum(axis=1)
        rest = total[:, None] - by_first - by_second + inside
        half = examples / 2
        area, others = total / half**2, rest / (half * (1 - 1 / BUCKETS)) ** 2
        values = BUCKETS * area[:, None] - (BUCKETS - 1) * others
        # TFMA reports the AUC of all examples, from which the mean pseudo-value differs slightly.
        values += (area - values.mean(axis=1))[:, None]
        return values * (examples / BUCKETS)


def _pairs_in_order(limits: Array, values: Array) -> Array:
    """Returns the number of pairs of a limit and a value below it, for each bucket of limits.

    The shapes are (streams, BUCKETS, examples) of the arguments, and (streams, BUCKETS).
    """
    found = np.empty(limits.shape, dtype=np.int64)
    for stream, row in enumerate(values.reshape(len(values), -1)):
        found[stream] = np.searchsorted(np.sort(row), limits[stream])
    return found.sum(axis=2)


def _right(latent: Array, accuracy: Array) -> Array:
    is_right = latent < special.ndtri(accuracy).astype(np.float32)[:, None]
    buckets = is_right.view(np.uint8).reshape(len(latent), BUCKETS, -1)
    return buckets.sum(axis=-1, dtype=np.int32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimates:
    """Means over examples for each stream, with their standard errors.

    Attributes:
        value: Means.
        standard_error: Standard errors of the jackknife over BUCKETS parts.
    """

    value: Array
    standard_error: Array


def jackknife(counts: Array, examples: int) -> Estimates:
    """Returns TFMA's estimate of a mean over examples, with `compute_confidence_intervals`.

    With buckets of equal size, the pseudo-value of a bucket is its mean, and the standard error is
    that of a mean of BUCKETS values. TFMA draws the bucket of each example at random, so the sizes
    of its buckets differ slightly.

    Args:
        counts: Sum over each bucket: (streams, BUCKETS).
        examples: Number of examples in all buckets.
    """
    means = counts * (BUCKETS / examples)
    return Estimates(
        value=counts.sum(axis=1) / examples,
        standard_error=means.std(axis=1, ddof=1) / math.sqrt(BUCKETS),
    )
