"""Reads the thresholds that a candidate does not meet from Evaluator's validation result.

TFMA writes the result next to the metrics. It is read without TFMA.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from tfx_best_exporter.executor.deciding.eval_result import SliceKey
from tfx_best_exporter.executor.deciding.thresholds import FailedThreshold, Threshold
from tfx_best_exporter.executor.evaluations.eval_config import not_tfma
from tfx_best_exporter.executor.evaluations.tfma import key_of, number_of
from tfx_best_exporter.executor.evaluations.tfma_files import slice_key_of
from tfx_best_exporter.executor.evaluations.tfrecord import read_records
from tfx_best_exporter.executor.storage import foreign, location_of
from tfx_best_exporter.executor.storage.transfer import local_directory
from tfx_best_exporter.proto import tfma_pb2

# TFMA adds "-00000-of-00001.tfrecord", or only ".tfrecord" in older releases.
_PREFIX = "validations"


def failed_thresholds_of(evaluation_uri: str, model_name: str = "") -> tuple[FailedThreshold, ...]:
    """Returns the thresholds that the candidate of an evaluation does not meet.

    Args:
        evaluation_uri: URI of the ModelEvaluation artifact.
        model_name: Name of the candidate in the evaluation.

    Returns:
        Failures of the overall slice first. Empty if the candidate meets all thresholds, or if the
        evaluation has no validation result.

    Raises:
        ValueError: The validation result cannot be read.
    """
    location = location_of(evaluation_uri)
    names = [entry.name for entry in location.children() if entry.name.startswith(_PREFIX)]
    if not names:
        return ()
    with tempfile.TemporaryDirectory(prefix="best_exporter-") as work_path:
        path = local_directory(location, Path(work_path), names)
        try:
            with foreign.parsing():
                records = [record for name in sorted(names) for record in read_records(path / name)]
                results = [tfma_pb2.ValidationResult.FromString(record) for record in records]
                found = [each for result in results for each in _failed(result, model_name)]
        except foreign.ForeignContentError as error:
            raise not_tfma(f"{names[0]}: {error}", evaluation_uri) from error
    return tuple(sorted(found, key=lambda each: bool(each.slice_key) or each.key is None))


def _failed(result: tfma_pb2.ValidationResult, model_name: str) -> Iterator[FailedThreshold]:
    for validation in result.metric_validations_per_slice:
        other_slice_key = None
        slice_key = slice_key_of(validation.slice_key)
        if validation.HasField("cross_slice_key"):
            slice_key = slice_key_of(validation.cross_slice_key.comparison_slice_key)
            other_slice_key = slice_key_of(validation.cross_slice_key.baseline_slice_key)
        for failure in validation.failures:
            has_value = failure.HasField("metric_value") and not failure.message
            yield FailedThreshold(
                key=key_of(failure.metric_key, model_name),
                slice_key=slice_key,
                other_slice_key=other_slice_key,
                value=number_of(failure.metric_value) if has_value else None,
                threshold=_threshold_of(failure.metric_threshold),
            )
    for spec in result.missing_slices:
        yield FailedThreshold(key=None, slice_key=_slice_key_of_spec(spec))


def _threshold_of(threshold: tfma_pb2.MetricThreshold) -> Threshold:
    if not threshold.HasField("change_threshold"):
        value = threshold.value_threshold
        return Threshold(
            lower_bound=value.lower_bound.value if value.HasField("lower_bound") else None,
            upper_bound=value.upper_bound.value if value.HasField("upper_bound") else None,
        )
    change = threshold.change_threshold
    absolute = change.absolute.value if change.HasField("absolute") else None
    relative = change.relative.value if change.HasField("relative") else None
    is_lower = change.direction == tfma_pb2.HIGHER_IS_BETTER
    return Threshold(
        is_change=True,
        lower_bound=absolute if is_lower else None,
        upper_bound=None if is_lower else absolute,
        lower_share=relative if is_lower else None,
        upper_share=None if is_lower else relative,
    )


def _slice_key_of_spec(spec: tfma_pb2.SlicingSpec) -> SliceKey:
    """Returns a spec as a slice; any value of a feature is "*"."""
    return (
        *((column, "*") for column in spec.feature_keys),
        *sorted(spec.feature_values.items()),
    )
