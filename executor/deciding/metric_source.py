"""MetricSource, the protocol that an EvalResult reads its metrics from, and a source in memory.

A source for another kind of evaluation is one class with these methods, which is passed to
EvalResult.from_source. It may decode a metric when the metric is read.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Generic, Protocol, TypeVar

from tfx_best_exporter.executor.deciding.metric_key import (
    CANDIDATE_MODEL_NAME,
    MetricKey,
    MetricValue,
    SliceKey,
)


class SliceResult(Protocol):
    """The part of an EvalResult that a source uses. This module cannot import the class."""

    @property
    def example_count(self) -> float | None:
        """Number of examples in the slice, or None if it is not known."""
        ...

    def find(self, key: MetricKey) -> MetricValue | None:
        """Returns the value of a metric, or None."""
        ...


ResultT_co = TypeVar("ResultT_co", bound=SliceResult, covariant=True)


class Metrics(Protocol):
    """Metrics by key."""

    def items(self) -> Iterable[tuple[MetricKey, MetricValue]]:
        """Yields each metric that has a value, in order."""
        ...

    def not_numbers(self) -> Iterable[MetricKey]:
        """Yields the key of each metric whose value is not one number; `items` has the others."""
        ...

    def get(self, key: MetricKey) -> MetricValue | None:
        """Returns the value of the metric with exactly this key, or None."""
        ...

    def find(self, key: MetricKey) -> MetricValue | None:
        """Returns the value of the only metric that matches a key (see only_match), or None."""
        ...


class MetricsByKey(Mapping[MetricKey, MetricValue]):
    """Metrics as a read-only mapping."""

    __slots__ = ("_metrics",)

    def __init__(self, metrics: Metrics):
        """Makes the mapping of some metrics."""
        self._metrics = metrics

    def __getitem__(self, key: MetricKey) -> MetricValue:
        """Returns the value of the metric with exactly this key."""
        value = self._metrics.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __bool__(self) -> bool:
        """Returns True if there is any metric; reads at most one."""
        return any(True for _ in self)

    def __iter__(self) -> Iterator[MetricKey]:
        """Iterates over the keys."""
        return (key for key, _ in self._metrics.items())

    def __len__(self) -> int:
        """Returns the number of metrics."""
        return sum(1 for _ in self)


class MetricSource(Metrics, Protocol[ResultT_co]):
    """Metrics of one model on one slice of an evaluation, with its baseline and other slices.

    Only the source of the overall slice has the other slices.
    """

    @property
    def model_name(self) -> str:
        """Name of the model in the evaluation; often empty."""
        ...

    def example_count(self) -> float | None:
        """Returns the number of examples in the slice, or None if it is not known."""
        ...

    def differences(self) -> Metrics:
        """Returns candidate minus baseline by metric; empty without a baseline."""
        ...

    def baseline(self) -> ResultT_co | None:
        """Returns the metrics of the baseline on the same examples, or None."""
        ...

    def slices(self) -> Mapping[SliceKey, ResultT_co]:
        """Returns the slices other than the overall one."""
        ...

    def suppressed_slices(self) -> Mapping[SliceKey, str]:
        """Returns the reason for each slice without metrics; these are not among the slices."""
        ...

    def slice_values(self, key: MetricKey) -> dict[SliceKey, float]:
        """Returns the values of one metric on the slices that have it."""
        ...

    def slice_example_counts(self) -> dict[SliceKey, float | None]:
        """Returns the number of examples in each slice, or None if it is not known."""
        ...


class MemorySource(Generic[ResultT_co]):
    """A MetricSource whose metrics are in memory."""

    __slots__ = (
        "_baseline",
        "_differences",
        "_example_count",
        "_metrics",
        "_model_name",
        "_slices",
        "_suppressed_slices",
    )

    def __init__(
        self,
        metrics: Mapping[MetricKey, MetricValue],
        *,
        model_name: str = "",
        example_count: float | None = None,
        differences: Mapping[MetricKey, MetricValue] | None = None,
        baseline: ResultT_co | None = None,
        slices: (
            Mapping[SliceKey, ResultT_co] | Callable[[], Mapping[SliceKey, ResultT_co]] | None
        ) = None,
        suppressed_slices: Mapping[SliceKey, str] | None = None,
    ):
        """Makes a MemorySource.

        Args:
            metrics: Metrics of the slice, by key.
            model_name: Name of the model in the evaluation.
            example_count: Number of examples, or None.
            differences: Candidate minus baseline, by the key of the metric.
            baseline: Metrics of the baseline.
            slices: The other slices, or a function that reads them, called at most once.
            suppressed_slices: The reason for each slice without metrics.
        """
        self._metrics = dict(metrics)
        self._model_name = model_name
        self._example_count = example_count
        self._differences = dict(differences or {})
        self._baseline = baseline
        self._slices = types.MappingProxyType({}) if slices is None else slices
        self._suppressed_slices = types.MappingProxyType(dict(suppressed_slices or {}))

    @property
    def model_name(self) -> str:
        """Name of the model in the evaluation."""
        return self._model_name

    def items(self) -> Iterable[tuple[MetricKey, MetricValue]]:
        """Yields each metric; see Metrics."""
        return self._metrics.items()

    def not_numbers(self) -> Iterable[MetricKey]:
        """Yields nothing: all metrics in memory are numbers."""
        return ()

    def get(self, key: MetricKey) -> MetricValue | None:
        """Returns the value of the metric with exactly this key, or None."""
        return self._metrics.get(key)

    def find(self, key: MetricKey) -> MetricValue | None:
        """Returns the value of the only metric that matches a key, or None."""
        match = only_match(key, self._model_name, self._metrics)
        return None if match is None else self._metrics[match]

    def example_count(self) -> float | None:
        """Returns the number of examples, or None."""
        return self._example_count

    def differences(self) -> Metrics:
        """Returns candidate minus baseline by metric."""
        return MemorySource[ResultT_co](self._differences, model_name=self._model_name)

    def baseline(self) -> ResultT_co | None:
        """Returns the metrics of the baseline, or None."""
        return self._baseline

    def slices(self) -> Mapping[SliceKey, ResultT_co]:
        """Returns the other slices; reads them the first time."""
        if callable(self._slices):
            self._slices = self._slices()
        return self._slices

    def suppressed_slices(self) -> Mapping[SliceKey, str]:
        """Returns the reason for each slice without metrics."""
        return self._suppressed_slices

    def slice_values(self, key: MetricKey) -> dict[SliceKey, float]:
        """Returns the values of one metric on the slices that have it."""
        found = ((slice_key, result.find(key)) for slice_key, result in self.slices().items())
        return {slice_key: value.value for slice_key, value in found if value is not None}

    def slice_example_counts(self) -> dict[SliceKey, float | None]:
        """Returns the number of examples in each slice, or None if it is not known."""
        return {slice_key: result.example_count for slice_key, result in self.slices().items()}


def model_names_of(key: MetricKey, own_name: str) -> tuple[str, ...]:
    """Returns the model names that a key's metric may have in an evaluation.

    Args:
        key: Key of a metric. Without a model name, or with the candidate's, it means the model
            that the run trained, under any name in the evaluation.
        own_name: Name of that model in the evaluation.
    """
    if not key.model_name:
        return ("", own_name)
    if key.model_name in (own_name, CANDIDATE_MODEL_NAME):
        return ("", key.model_name)
    return (key.model_name,)


def only_match(key: MetricKey, own_name: str, others: Iterable[MetricKey]) -> MetricKey | None:
    """Returns the only one of some keys that matches a key, or None if none or several match.

    Args:
        key: Key to match. Without example_weighted it matches a key without it; if there is none,
            both kinds. Without a model name it matches the metrics of the model itself.
        own_name: Name of the model in the evaluation.
        others: Keys of the evaluation.
    """
    model_names = model_names_of(key, own_name)
    matches = [
        other
        for other in others
        if other.model_name in model_names
        and (other.name, other.output_name) == (key.name, key.output_name)
        and (other.sub_key, other.aggregation) == (key.sub_key, key.aggregation)
        and key.example_weighted in (None, other.example_weighted)
    ]
    if len(matches) > 1:
        # An evaluation has a metric without the flag next to one with it if the EvalConfig requests
        # the former and the model itself has the latter.
        matches = [each for each in matches if each.example_weighted == key.example_weighted]
    return matches[0] if len(matches) == 1 else None
