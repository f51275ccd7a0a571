"""The content of an EvalConfig as values: its metrics, thresholds, slices and intervals."""

from __future__ import annotations

import dataclasses

from tfx_best_exporter.proto import best_exporter_pb2 as pb


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredMetric:
    """A metric of an EvalConfig.

    Attributes:
        name: Name of the metric in the evaluation, for example "binary_accuracy".
        output_names: Outputs of the model for which it is computed; empty for a model with one.
        has_threshold: True if Evaluator blesses a model only if the metric meets a threshold.
        has_value_threshold: True if one of its thresholds needs no baseline model.
        direction: Direction of its change threshold, otherwise the side of a value threshold with
            one bound; METRIC_DIRECTION_UNSPECIFIED without either.
    """

    name: str
    output_names: tuple[str, ...] = ()
    has_threshold: bool = False
    has_value_threshold: bool = False
    direction: pb.MetricDirection = pb.METRIC_DIRECTION_UNSPECIFIED


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredSlices:
    """A slicing spec of an EvalConfig.

    Attributes:
        columns: Features of which each combination of values is a slice.
        values: Features with one value.
    """

    columns: tuple[str, ...] = ()
    values: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """The content of an EvalConfig.

    Attributes:
        metrics: Metrics by name, in order.
        slices: Slicing specs; None if one of them is an SQL query, which can define any slice.
        has_intervals: True if confidence intervals are computed.
    """

    metrics: tuple[ConfiguredMetric, ...] = ()
    slices: tuple[ConfiguredSlices, ...] | None = ()
    has_intervals: bool = False

    @property
    def has_thresholds(self) -> bool:
        """True if any metric has a threshold. Without one, Evaluator computes no blessing."""
        return any(each.has_threshold for each in self.metrics)

    @property
    def has_value_thresholds(self) -> bool:
        """True if any metric has a threshold that needs no baseline model."""
        return any(each.has_value_threshold for each in self.metrics)

    def find(self, name: str) -> ConfiguredMetric | None:
        """Returns the metric of a name, or None."""
        return next((each for each in self.metrics if each.name == name), None)
