"""Evaluator's validation result, read without TFMA, and one that TFMA itself wrote."""

import struct
from pathlib import Path

import pytest

from tfx_best_exporter.executor.deciding.eval_result import MetricKey
from tfx_best_exporter.executor.deciding.thresholds import FailedThreshold, Threshold
from tfx_best_exporter.executor.evaluations.validation import failed_thresholds_of
from tfx_best_exporter.executor.storage.digest import masked_crc32c
from tfx_best_exporter.proto import tfma_pb2

AUC = tfma_pb2.MetricKey(name="auc")
NAME = "validations-00000-of-00001.tfrecord"


def number(value: float) -> tfma_pb2.MetricValue:
    result = tfma_pb2.MetricValue()
    result.double_value.value = value
    return result


def at_least(value: float) -> tfma_pb2.MetricThreshold:
    result = tfma_pb2.MetricThreshold()
    result.value_threshold.lower_bound.value = value
    return result


def slice_of(value: bytes) -> tfma_pb2.SliceKey:
    single = tfma_pb2.SingleSliceKey(column="country", bytes_value=value)
    return tfma_pb2.SliceKey(single_slice_keys=[single])


def write(path: Path, result: tfma_pb2.ValidationResult) -> str:
    """Writes a validation result as TFMA does, and returns the evaluation's URI."""
    content = result.SerializeToString()
    length = struct.pack("<Q", len(content))
    checksums = [struct.pack("<I", masked_crc32c(each)) for each in (length, content)]
    (path / NAME).write_bytes(length + checksums[0] + content + checksums[1])
    return str(path)


def test_failures_of_the_overall_slice_come_first(tmp_path: Path):
    result = tfma_pb2.ValidationResult()
    on_slice = result.metric_validations_per_slice.add(slice_key=slice_of(b"nl"))
    on_slice.failures.add(metric_key=AUC, metric_threshold=at_least(0.6), metric_value=number(0.5))
    overall = result.metric_validations_per_slice.add(slice_key=tfma_pb2.SliceKey())
    overall.failures.add(metric_key=AUC, metric_threshold=at_least(0.7), metric_value=number(0.65))
    result.missing_slices.add(feature_keys=["year"], feature_values={"country": "de"})
    uri = write(tmp_path, result)
    assert failed_thresholds_of(uri) == (
        FailedThreshold(
            key=MetricKey(name="auc"), value=0.65, threshold=Threshold(lower_bound=0.7)
        ),
        FailedThreshold(
            key=MetricKey(name="auc"),
            slice_key=(("country", "nl"),),
            value=0.5,
            threshold=Threshold(lower_bound=0.6),
        ),
        FailedThreshold(key=None, slice_key=(("year", "*"), ("country", "de"))),
    )


def change(
    direction: tfma_pb2.MetricDirection, *, absolute: float | None, relative: float | None
) -> tfma_pb2.MetricThreshold:
    result = tfma_pb2.MetricThreshold()
    result.change_threshold.direction = direction
    if absolute is not None:
        result.change_threshold.absolute.value = absolute
    if relative is not None:
        result.change_threshold.relative.value = relative
    return result


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        pytest.param(
            change(tfma_pb2.HIGHER_IS_BETTER, absolute=-0.1, relative=None),
            Threshold(is_change=True, lower_bound=-0.1),
            id="higher",
        ),
        pytest.param(
            change(tfma_pb2.LOWER_IS_BETTER, absolute=0.1, relative=0.2),
            Threshold(is_change=True, upper_bound=0.1, upper_share=0.2),
            id="lower",
        ),
        pytest.param(
            change(tfma_pb2.HIGHER_IS_BETTER, absolute=None, relative=0.2),
            Threshold(is_change=True, lower_share=0.2),
            id="relative",
        ),
    ],
)
def test_change_thresholds(
    tmp_path: Path, threshold: tfma_pb2.MetricThreshold, expected: Threshold
):
    result = tfma_pb2.ValidationResult()
    key = tfma_pb2.MetricKey(name="auc", model_name="candidate", is_diff=True)
    result.metric_validations_per_slice.add().failures.add(
        metric_key=key, metric_threshold=threshold, metric_value=number(-0.3)
    )
    [failed] = failed_thresholds_of(write(tmp_path, result), "candidate")
    assert failed == FailedThreshold(key=MetricKey(name="auc"), value=-0.3, threshold=expected)


def test_a_difference_between_slices(tmp_path: Path):
    result = tfma_pb2.ValidationResult()
    validation = result.metric_validations_per_slice.add()
    validation.cross_slice_key.comparison_slice_key.CopyFrom(slice_of(b"nl"))
    validation.cross_slice_key.baseline_slice_key.SetInParent()
    validation.failures.add(metric_key=AUC, metric_value=number(0.5), metric_threshold=at_least(1))
    [failed] = failed_thresholds_of(write(tmp_path, result))
    assert (failed.slice_key, failed.other_slice_key) == ((("country", "nl"),), ())


def test_a_metric_that_is_not_in_the_evaluation(tmp_path: Path):
    result = tfma_pb2.ValidationResult()
    result.metric_validations_per_slice.add().failures.add(
        metric_key=AUC, metric_threshold=at_least(0.6), message="Metric not found."
    )
    [failed] = failed_thresholds_of(write(tmp_path, result))
    assert failed.value is None


def test_no_failures(tmp_path: Path):
    assert failed_thresholds_of(str(tmp_path)) == ()
    assert (
        failed_thresholds_of(write(tmp_path, tfma_pb2.ValidationResult(validation_ok=True))) == ()
    )


def test_a_damaged_file(tmp_path: Path):
    (tmp_path / NAME).write_bytes(b"damaged")
    with pytest.raises(
        ValueError, match=r"validations-00000-of-00001\.tfrecord: .*truncated"
    ) as error:
        failed_thresholds_of(str(tmp_path))
    assert str(tmp_path) in str(error.value)


@pytest.mark.slow
def test_a_result_that_tfma_wrote(evaluations: dict[str, Path]):
    import tensorflow_model_analysis as tfma

    path = evaluations["failing"]
    theirs = tfma.load_validation_result(str(path))
    assert not theirs.validation_ok
    key = MetricKey(name="binary_accuracy")
    assert failed_thresholds_of(str(path), "candidate") == (
        FailedThreshold(key=key, value=0.75, threshold=Threshold(lower_bound=0.8)),
        FailedThreshold(key=key, value=0.5, threshold=Threshold(is_change=True, lower_bound=0.6)),
        # TFMA applies the thresholds without slices to every slice of the EvalConfig too.
        *(
            FailedThreshold(key=key, slice_key=(("species", "b"),), value=value, threshold=each)
            for value, each in (
                (0.5, Threshold(lower_bound=0.8)),
                (0.5, Threshold(lower_bound=0.7)),
                (0.0, Threshold(is_change=True, lower_bound=0.6)),
            )
        ),
    )
