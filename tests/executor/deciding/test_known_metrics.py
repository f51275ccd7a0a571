"""The names and directions of well-known metrics. TFMA and Keras say how they name them."""

import inspect
from collections.abc import Iterator
from typing import Any

import pytest

from tfx_best_exporter.executor.deciding.known_metrics import known_direction, name_of_class
from tfx_best_exporter.proto import best_exporter_pb2 as pb

UNKNOWN = pb.METRIC_DIRECTION_UNSPECIFIED


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("auc", pb.HIGHER_IS_BETTER),
        ("auc_1", pb.HIGHER_IS_BETTER),
        ("sparse_categorical_accuracy", pb.HIGHER_IS_BETTER),
        ("loss", pb.LOWER_IS_BETTER),
        ("root_mean_squared_error_12", pb.LOWER_IS_BETTER),
        ("fpr", pb.LOWER_IS_BETTER),
        # A calibration of 1 is best.
        ("calibration", UNKNOWN),
        ("example_count", UNKNOWN),
        ("my_auc", UNKNOWN),
        ("AUC", UNKNOWN),
    ],
)
def test_directions(name: str, direction: int):
    assert known_direction(name) == direction


def named_by_libraries() -> Iterator[tuple[str, str]]:
    """Yields each class of a metric that needs no arguments, and the name of the metric."""
    import keras
    from tensorflow_model_analysis.metrics import metric_types

    classes = {
        name: each
        for name, each in vars(keras.metrics).items()
        if inspect.isclass(each) and issubclass(each, keras.metrics.Metric)
    }
    # TFMA uses its own class if both have one of that name.
    for name, each in {**classes, **metric_types.registered_metrics()}.items():
        try:
            metric: Any = each()
        except (TypeError, ValueError):
            continue
        # TFMA names some kinds of plots and statistics by their parts.
        if isinstance(metric.name, str):
            yield name, metric.name


@pytest.mark.slow
def test_names_are_those_of_tfma_and_keras():
    named = dict(named_by_libraries())
    assert len(named) > 80
    # A plot is not a number, so no rule can compare it.
    named.pop("ObjectDetectionConfusionMatrixPlot")
    assert {each: name_of_class(each) for each in named} == named
