"""Pools what several runs measured: differences between models, with their variances.

Each run measures some models on examples of its own: value = level of the model + difficulty of the
run + noise. Weighted least squares estimates the levels. Only differences of levels are known, and
the normal matrix is the Laplacian of a graph: models are nodes, and each run connects the models
that it measured. The variance of a difference is the effective resistance between two nodes: D. J.
Klein and M. Randic, "Resistance distance", Journal of Mathematical Chemistry 12 (1993), 81-95.

A node is eliminated by the star-mesh transform, which is a step of Gaussian elimination on a
Laplacian: A. Rosen, "A new network theorem", Journal of the IEE 62 (1924), 916-918. It adds only
positive numbers. Models that left the ledger are eliminated first, in the order in which they left,
so at most as many models as one run measured are connected with each other.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Collection, Iterable, Mapping, Sequence

from tfx_best_exporter.executor.deciding.ledger import Row

# Weight of the noise that a run measured, relative to the run after it.
_DECAY = 0.9
# Range in which squares of metrics and of their errors are numbers.
_LEAST_SCALE, _LARGEST_SCALE = 1e-200, 1e200


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """The noise of the measurements.

    Attributes:
        scale: Variance of one model's value, times the number of examples.
        degrees_of_freedom: Degrees of freedom of the estimate.
    """

    scale: float
    degrees_of_freedom: float

    def of_value(self, example_count: float) -> float:
        """Returns the variance of the value of one model in a run."""
        return self.scale / example_count

    def of_difference(self, example_count: float) -> float:
        """Returns the variance of a difference between two models in one run."""
        return 2 * self.of_value(example_count)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The level of a model minus that of the best.

    Attributes:
        value: Least-squares estimate.
        variance: Variance of the estimate.
    """

    value: float
    variance: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """The differences between the models of the last row, estimated from all rows.

    Attributes:
        differences: Differences from the best, by the digest of the model.
        residual: Weighted sum of the squared residuals.
        free: Degrees of freedom of the residual; negative if some rows are not connected.
    """

    differences: Mapping[str, Difference]
    residual: float
    free: int


def noise_of(rows: Sequence[Row]) -> Noise | None:
    """Returns the noise, pooled over the rows; None if the standard errors do not determine it.

    The variance of one value is half the variance of a difference. A difference divided by an
    estimated standard error with D degrees of freedom follows Student's t distribution, whose
    variance is D / (D - 2). This factor gives the normal distribution the same variance.

    Args:
        rows: Usable rows, the newest last.
    """
    weighted = weights = degrees_of_freedom = 0.0
    weight = 1.0
    for row in reversed(rows):
        for measured in row.models.values():
            if measured.standard_error is not None:
                weighted += (
                    weight * row.example_count * measured.standard_error * measured.standard_error
                )
                weights += weight
                degrees_of_freedom += weight * measured.degrees_of_freedom
        weight *= _DECAY
    if degrees_of_freedom <= 2:
        return None
    correction = 1.0
    if math.isfinite(degrees_of_freedom):
        correction = degrees_of_freedom / (degrees_of_freedom - 2)
    scale = weighted / weights / 2 * correction
    if not _LEAST_SCALE < scale < _LARGEST_SCALE:
        return None
    return Noise(scale=scale, degrees_of_freedom=degrees_of_freedom)


def pool(rows: Sequence[Row], best: str, digests: Collection[str], noise: Noise) -> Pooled:
    """Returns the differences of some models of the last row from the best.

    Args:
        rows: Usable rows with different data, the newest last.
        best: Digest of a model of the last row.
        digests: Digests of at least one other model of the last row, without the best.
        noise: Noise of the measurements.
    """
    row_counts = collections.Counter(digest for row in rows for digest in row.models)
    network = _Network()
    for row in rows:
        # The level of a model that only one row has fits its value exactly, so it says nothing
        # about other models.
        values = {
            digest: each.value
            for digest, each in row.models.items()
            if row_counts[digest] > 1 or digest in digests or digest == best
        }
        if len(values) > 1:
            network.add(values, noise.of_value(row.example_count))
    for digest in _in_order_of_last_row(rows):
        if digest in network and digest != best and digest not in digests:
            network.eliminate(digest)
    differences = {}
    explained = 0.0
    for digest in digests:
        pair = network.copied()
        for other in digests:
            if other != digest:
                pair.eliminate(other)
        differences[digest] = pair.difference(digest)
        pair.eliminate(digest)
        # The order of elimination does not matter for this sum.
        explained = pair.explained
    return Pooled(
        differences=differences,
        residual=max(network.total - explained, 0.0),
        free=row_counts.total() - len(row_counts) - len(rows) + 1,
    )


def _in_order_of_last_row(rows: Sequence[Row]) -> Iterable[str]:
    """Returns the models of all rows, the ones whose last row is oldest first."""
    last: dict[str, None] = {}
    for row in reversed(rows):
        for digest in row.models:
            last.setdefault(digest)
    return reversed(last)


class _Network:
    """The normal equations of the levels, as a network of conductances.

    Attributes:
        total: Sum of the squared deviations from the mean of each row, divided by their variance.
        explained: Part of the total that the levels of the eliminated models explain.
    """

    def __init__(self):
        self.total = 0.0
        self.explained = 0.0
        self._conductances: dict[str, dict[str, float]] = {}
        self._flows: dict[str, float] = {}

    def copied(self) -> _Network:
        """Returns an independent copy."""
        result = _Network()
        result.total, result.explained = self.total, self.explained
        result._conductances = {
            digest: {**conductances} for digest, conductances in self._conductances.items()
        }
        result._flows = {**self._flows}
        return result

    def __contains__(self, digest: str) -> bool:
        return digest in self._flows

    def add(self, values: Mapping[str, float], variance: float) -> None:
        """Adds the values of a row by the digest of the model, each with the same variance."""
        mean = sum(values.values()) / len(values)
        conductance = 1 / (len(values) * variance)
        for digest, value in values.items():
            deviation = value - mean
            self.total += deviation * deviation / variance
            self._flows[digest] = self._flows.get(digest, 0.0) + deviation / variance
            conductances = self._conductances.setdefault(digest, {})
            for other in values:
                if other != digest:
                    conductances[other] = conductances.get(other, 0.0) + conductance

    def eliminate(self, digest: str) -> None:
        """Eliminates the level of a model, by the star-mesh transform."""
        conductances = self._conductances.pop(digest)
        flow = self._flows.pop(digest)
        if not conductances:
            # The model is the last one of its part of the network, so its level is arbitrary.
            return
        total = sum(conductances.values())
        self.explained += flow * flow / total
        for other, conductance in conductances.items():
            share = conductance / total
            self._flows[other] += share * flow
            others = self._conductances[other]
            del others[digest]
            for third, its_conductance in conductances.items():
                if third != other:
                    others[third] = others.get(third, 0.0) + share * its_conductance

    def difference(self, digest: str) -> Difference:
        """Returns the difference of a model to the only other model that is left."""
        (conductance,) = self._conductances[digest].values()
        return Difference(value=self._flows[digest] / conductance, variance=1 / conductance)
