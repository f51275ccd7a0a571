"""Reads EvalConfigs as the author of a pipeline and as Evaluator writes them."""

from typing import Any

import pytest
from google.protobuf import json_format

from tfx_best_exporter.executor.deciding.configured import (
    Configured,
    ConfiguredMetric,
    ConfiguredSlices,
)
from tfx_best_exporter.executor.evaluations.configured import configured_of
from tfx_best_exporter.proto import best_exporter_pb2 as pb

UP = {"change_threshold": {"direction": "HIGHER_IS_BETTER", "absolute": -1e-10}}
DOWN = {"change_threshold": {"direction": "LOWER_IS_BETTER", "absolute": 1e-10}}
AT_LEAST = {"value_threshold": {"lower_bound": 0.6}}
AT_MOST = {"value_threshold": {"upper_bound": 0.6}}
BETWEEN = {"value_threshold": {"lower_bound": 0.6, "upper_bound": 0.9}}


def metric_of(**fields: Any) -> ConfiguredMetric:
    config = {"metrics_specs": [{"metrics": [{"class_name": "AUC", **fields}]}]}
    [metric] = configured_of(config).metrics
    assert metric.name == "auc"
    return metric


@pytest.mark.parametrize(
    ("fields", "has_threshold", "direction"),
    [
        pytest.param({}, False, pb.METRIC_DIRECTION_UNSPECIFIED, id="no threshold"),
        pytest.param({"threshold": UP}, True, pb.HIGHER_IS_BETTER, id="higher"),
        pytest.param({"threshold": DOWN}, True, pb.LOWER_IS_BETTER, id="lower"),
        pytest.param({"threshold": AT_LEAST}, True, pb.HIGHER_IS_BETTER, id="lower bound"),
        pytest.param({"threshold": AT_MOST}, True, pb.LOWER_IS_BETTER, id="upper bound"),
        pytest.param({"threshold": BETWEEN}, True, pb.METRIC_DIRECTION_UNSPECIFIED, id="both"),
        pytest.param({"threshold": {**BETWEEN, **UP}}, True, pb.HIGHER_IS_BETTER, id="two kinds"),
        pytest.param(
            {"threshold": {**AT_LEAST, **DOWN}}, True, pb.LOWER_IS_BETTER, id="change goes first"
        ),
        pytest.param({"threshold": {}}, True, pb.METRIC_DIRECTION_UNSPECIFIED, id="dropped"),
        pytest.param(
            {"per_slice_thresholds": [{"threshold": AT_MOST}]},
            True,
            pb.LOWER_IS_BETTER,
            id="on slices",
        ),
        pytest.param(
            {"cross_slice_thresholds": [{"threshold": UP}]},
            True,
            pb.HIGHER_IS_BETTER,
            id="between slices",
        ),
        pytest.param(
            {"threshold": UP, "per_slice_thresholds": [{"threshold": AT_MOST}]},
            True,
            pb.METRIC_DIRECTION_UNSPECIFIED,
            id="contradicting",
        ),
    ],
)
def test_thresholds(fields: dict[str, Any], has_threshold: bool, direction: int):
    metric = metric_of(**fields)
    assert (metric.has_threshold, metric.direction) == (has_threshold, direction)


def test_thresholds_that_need_no_baseline():
    assert metric_of(threshold={**AT_LEAST, **UP}).has_value_threshold
    assert metric_of(per_slice_thresholds=[{"threshold": AT_MOST}]).has_value_threshold
    assert not metric_of(threshold=UP).has_value_threshold
    assert not metric_of(threshold={}).has_value_threshold


def test_thresholds_of_metrics_that_are_saved_in_the_model():
    spec = {
        "metrics": [{"class_name": "ExampleCount"}],
        "thresholds": {"accuracy": AT_LEAST},
        "per_slice_thresholds": {"recall": {"thresholds": [{"threshold": AT_LEAST}]}},
        "cross_slice_thresholds": {"fpr": {"thresholds": [{"threshold": DOWN}]}},
    }
    configured = configured_of({"metrics_specs": [spec]})
    assert [(each.name, each.has_threshold, each.direction) for each in configured.metrics] == [
        ("example_count", False, pb.METRIC_DIRECTION_UNSPECIFIED),
        ("accuracy", True, pb.HIGHER_IS_BETTER),
        ("recall", True, pb.HIGHER_IS_BETTER),
        ("fpr", True, pb.LOWER_IS_BETTER),
    ]
    assert configured.has_thresholds
    assert configured.find("fpr") == configured.metrics[3]
    assert configured.find("tpr") is None


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ('"name": "mse"', "mse"),
        ('{"name": "mse", "dtype": "float32"}', "mse"),
        ("", "mean_squared_error"),
        ('"name": ""', "mean_squared_error"),
        ('"name": 7', "mean_squared_error"),
        ("[]", "mean_squared_error"),
        ("not json", "mean_squared_error"),
    ],
)
def test_names(config: str, name: str):
    metric = {"class_name": "MeanSquaredError", "config": config}
    assert configured_of({"metrics_specs": [{"metrics": [metric]}]}).metrics == (
        ConfiguredMetric(name=name),
    )


def test_outputs_and_models():
    specs = [
        {"output_names": ["click"], "metrics": [{"class_name": "AUC"}]},
        {"output_names": ["buy"], "metrics": [{"class_name": "AUC", "threshold": AT_LEAST}]},
        {"model_names": ["old"], "metrics": [{"class_name": "Recall"}]},
        {"model_names": ["new", "old"], "metrics": [{"class_name": "Precision"}]},
    ]
    models = [{"name": "new"}, {"name": "old", "is_baseline": True}]
    assert configured_of({"metrics_specs": specs, "model_specs": models}).metrics == (
        ConfiguredMetric(
            name="auc",
            output_names=("click", "buy"),
            has_threshold=True,
            has_value_threshold=True,
            direction=pb.HIGHER_IS_BETTER,
        ),
        ConfiguredMetric(name="precision"),
    )


def test_slices_and_intervals():
    # Evaluator writes these names, and the exec property of Evaluator the others.
    written = {
        "slicingSpecs": [{}, {"featureKeys": ["country", "year"]}, {"featureValues": {"b": "1"}}],
        "options": {"computeConfidenceIntervals": True},
        "aLaterField": 7,
    }
    configured = configured_of(written)
    assert configured == Configured(
        slices=(
            ConfiguredSlices(),
            ConfiguredSlices(columns=("country", "year")),
            ConfiguredSlices(values=(("b", "1"),)),
        ),
        has_intervals=True,
    )
    assert configured_of({"slicing_specs": [{"slice_keys_sql": "SELECT 1"}]}).slices is None
    assert configured_of({}) == Configured()


def test_a_field_of_another_type():
    with pytest.raises(json_format.ParseError):
        configured_of({"metrics_specs": 7})
