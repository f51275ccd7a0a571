"""Reads the metrics, thresholds, slices and intervals of an EvalConfig, without TFMA."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf import json_format

from tfx_best_exporter.executor.deciding.configured import (
    Configured,
    ConfiguredMetric,
    ConfiguredSlices,
)
from tfx_best_exporter.executor.deciding.known_metrics import name_of_class
from tfx_best_exporter.proto import best_exporter_pb2 as pb
from tfx_best_exporter.proto import tfma_pb2

_DIRECTIONS: Mapping[int, pb.MetricDirection] = {
    tfma_pb2.UNKNOWN: pb.METRIC_DIRECTION_UNSPECIFIED,
    tfma_pb2.LOWER_IS_BETTER: pb.LOWER_IS_BETTER,
    tfma_pb2.HIGHER_IS_BETTER: pb.HIGHER_IS_BETTER,
}


def configured_of(eval_config: Mapping[str, Any]) -> Configured:
    """Returns the content of an EvalConfig.

    Args:
        eval_config: A tfma.EvalConfig as JSON, with the field names of either JSON form.

    Raises:
        google.protobuf.json_format.ParseError: A field has another type than in TFMA.
    """
    proto = json_format.ParseDict(eval_config, tfma_pb2.EvalConfig(), ignore_unknown_fields=True)
    baselines = {spec.name for spec in proto.model_specs if spec.is_baseline}
    metrics: dict[str, ConfiguredMetric] = {}
    for spec in proto.metrics_specs:
        if spec.model_names and baselines.issuperset(spec.model_names):
            continue
        for name, thresholds in _thresholds_of(spec):
            metrics[name] = _merged(metrics.get(name), name, spec, thresholds)
    return Configured(
        metrics=tuple(metrics.values()),
        slices=_slices_of(proto),
        has_intervals=proto.options.compute_confidence_intervals.value,
    )


def _slices_of(proto: tfma_pb2.EvalConfig) -> tuple[ConfiguredSlices, ...] | None:
    if any(spec.slice_keys_sql for spec in proto.slicing_specs):
        return None
    return tuple(
        ConfiguredSlices(
            columns=tuple(spec.feature_keys), values=tuple(sorted(spec.feature_values.items()))
        )
        for spec in proto.slicing_specs
    )


def _thresholds_of(spec: tfma_pb2.MetricsSpec) -> Iterator[tuple[str, list[Any]]]:
    """Yields each metric with its thresholds. Metrics without a config are saved in the model."""
    for metric in spec.metrics:
        yield (
            _name_of(metric),
            [
                *([metric.threshold] if metric.HasField("threshold") else []),
                *(each.threshold for each in metric.per_slice_thresholds),
                *(each.threshold for each in metric.cross_slice_thresholds),
            ],
        )
    for name, threshold in sorted(spec.thresholds.items()):
        yield name, [threshold]
    for by_slice in (spec.per_slice_thresholds, spec.cross_slice_thresholds):
        for name, thresholds in sorted(by_slice.items()):
            yield name, [each.threshold for each in thresholds.thresholds]


def _name_of(metric: tfma_pb2.MetricConfig) -> str:
    # TFMA adds missing braces too.
    text = metric.config.strip()
    try:
        config = json.loads(text if text.startswith("{") else f"{{{text}}}")
    except ValueError:
        config = {}
    name = config.get("name") if isinstance(config, dict) else None
    return name if isinstance(name, str) and name else name_of_class(metric.class_name)


def _merged(
    known: ConfiguredMetric | None, name: str, spec: tfma_pb2.MetricsSpec, thresholds: list[Any]
) -> ConfiguredMetric:
    """Returns a metric of several specs."""
    before = known or ConfiguredMetric(name=name)
    directions = [direction for each in thresholds if (direction := _direction_of(each))]
    return ConfiguredMetric(
        name=name,
        output_names=tuple(dict.fromkeys((*before.output_names, *spec.output_names))),
        has_threshold=before.has_threshold or bool(thresholds),
        has_value_threshold=before.has_value_threshold
        or any(each.HasField("value_threshold") for each in thresholds),
        direction=before.direction
        or (directions[0] if len(set(directions)) == 1 else pb.METRIC_DIRECTION_UNSPECIFIED),
    )


def _direction_of(threshold: tfma_pb2.MetricThreshold) -> pb.MetricDirection:
    direction = _DIRECTIONS.get(threshold.change_threshold.direction)
    if direction:
        return direction
    value = threshold.value_threshold
    has_lower, has_upper = value.HasField("lower_bound"), value.HasField("upper_bound")
    if has_lower == has_upper:
        return pb.METRIC_DIRECTION_UNSPECIFIED
    return pb.HIGHER_IS_BETTER if has_lower else pb.LOWER_IS_BETTER
