"""Streams of candidates whose true quality is known, and what an evaluation sees of it.

In each run of a stream a candidate of some true accuracy arrives and is measured on that run's
examples, which are finite in number and may be harder or easier than those of other runs.

Whether a model is right about an example is binary, and models agree: an example has a latent
difficulty, a model adds noise of its own to it, and is right if the sum lies below a threshold that
gives the model its accuracy. The share of the common part is such that the correctness of two
models correlates by CORRELATION.
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
# Between the correctness of two models on the same example.
CORRELATION = 0.8
# Parts that TFMA's jackknife splits the examples into; it is not configurable there.
BUCKETS = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scenario:
    """A kind of stream.

    Attributes:
        name: As shown.
        examples: Number of examples in each evaluation; a multiple of BUCKETS.
        sd: Standard deviation of true accuracy between candidates.
        rise: By how much the mean accuracy rises over the stream.
        drift: Standard deviation between runs of what the difficulty of a run's examples adds to
            the accuracy of every model on them.
    """

    name: str
    examples: int = 2000
    sd: float = 0.01
    rise: float = 0.0
    drift: float = 0.0


def both_right(first: Array, second: Array, latent: float) -> Array:
    """Returns the probability that two models are right about the same example.

    By Owen's T function: D. B. Owen, "Tables for computing bivariate normal probabilities", Annals
    of Mathematical Statistics 27 (1956), 1075-1090.

    Args:
        first: Accuracy of one model, larger than 0.5.
        second: Accuracy of the other, larger than 0.5.
        latent: Correlation of what they compare with their thresholds.
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
    """Returns the latent correlation that makes the correctness of two models correlate so."""
    variance = accuracy * (1 - accuracy)

    def excess(latent: float) -> float:
        return (both_right(accuracy, accuracy, latent) - accuracy**2) / variance - correlation

    return float(optimize.brentq(excess, 0.0, 0.999999))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Streams:
    """Several streams of one scenario; arrays of shape (streams, CANDIDATES).

    Attributes:
        quality: True accuracy of each candidate, on data of mean difficulty.
        shift: What the difficulty of each run's examples adds to every model's accuracy.
    """

    quality: Array
    shift: Array


def mean_accuracies(scenario: Scenario) -> Array:
    """Returns the mean true accuracy of the candidates of each run: (CANDIDATES,)."""
    return MEAN_ACCURACY + np.linspace(0, scenario.rise, CANDIDATES)


def draw_streams(scenario: Scenario, count: int, rng: np.random.Generator) -> Streams:
    """Returns streams of candidates."""
    shape = (count, CANDIDATES)
    return Streams(
        quality=mean_accuracies(scenario) + scenario.sd * rng.standard_normal(shape),
        shift=scenario.drift * rng.standard_normal(shape),
    )


class Examples:
    """The examples of one run, in several streams, with two models' views of them."""

    def __init__(self, scenario: Scenario, streams: int, rng: np.random.Generator):
        """Draws the examples.

        Args:
            scenario: Says how many.
            streams: Number of streams.
            rng: Where chance comes from.
        """
        shape = (streams, scenario.examples)
        latent = latent_correlation()
        own = np.float32(math.sqrt(1 - latent))
        difficulty = rng.standard_normal(shape, dtype=np.float32)
        difficulty *= np.float32(math.sqrt(latent))
        self._candidate = difficulty + own * rng.standard_normal(shape, dtype=np.float32)
        self._best = difficulty + own * rng.standard_normal(shape, dtype=np.float32)

    def candidate_right(self, accuracy: Array) -> Array:
        """Returns in how many of each bucket the candidate is right: (streams, BUCKETS)."""
        return _right(self._candidate, accuracy)

    def best_right(self, accuracy: Array) -> Array:
        """Returns in how many of each bucket the best is right: (streams, BUCKETS)."""
        return _right(self._best, accuracy)


def _right(latent: Array, accuracy: Array) -> Array:
    is_right = latent < special.ndtri(accuracy).astype(np.float32)[:, None]
    buckets = is_right.view(np.uint8).reshape(len(latent), BUCKETS, -1)
    return buckets.sum(axis=-1, dtype=np.int32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimates:
    """Means over examples, one for each stream, with their standard errors.

    Attributes:
        value: The means.
        standard_error: By the jackknife over BUCKETS parts.
    """

    value: Array
    standard_error: Array


def jackknife(counts: Array, examples: int) -> Estimates:
    """Returns what TFMA computes for a mean over examples, with `compute_confidence_intervals`.

    With buckets of equal size the pseudo-value of a bucket is the mean over it, and the standard
    error is that of a mean of BUCKETS values. TFMA draws the bucket of each example, so that its
    buckets differ a little in size.

    Args:
        counts: Sum over each bucket: (streams, BUCKETS).
        examples: In all buckets together.
    """
    means = counts * (BUCKETS / examples)
    return Estimates(
        value=counts.sum(axis=1) / examples,
        standard_error=means.std(axis=1, ddof=1) / math.sqrt(BUCKETS),
    )
