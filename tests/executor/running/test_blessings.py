"""The candidate's blessings, and their reasons in the evaluation."""

from pathlib import Path
from typing import Any

import pytest

from tests.executor.deciding.decided import evaluation
from tests.executor.evaluations.test_validation import AUC, NAME, at_least, number, write
from tfx_best_exporter.executor.arguments.artifacts import InputArtifact
from tfx_best_exporter.executor.deciding import thresholds
from tfx_best_exporter.executor.deciding.configured import Configured, ConfiguredMetric
from tfx_best_exporter.executor.deciding.eval_result import EvalResult
from tfx_best_exporter.executor.deciding.models import BlessingStatus
from tfx_best_exporter.executor.running.blessings import blessings_of, explained
from tfx_best_exporter.proto import tfma_pb2

CONFIGURED = Configured(metrics=(ConfiguredMetric(name="auc"),))


def artifact(**properties: Any) -> InputArtifact:
    return InputArtifact(uri="/blessing/5", custom_properties=properties)


@pytest.mark.parametrize(
    ("properties", "status"),
    [
        ({"blessed": 1}, BlessingStatus.BLESSED),
        ({"blessed": 0}, BlessingStatus.NOT_BLESSED),
        ({}, BlessingStatus.NOT_COMPUTED),
    ],
)
def test_the_verdict_is_a_custom_property(properties: dict[str, int], status: BlessingStatus):
    [blessing] = blessings_of({"model_blessing": artifact(**properties)})
    assert (blessing.name, blessing.uri) == ("model_blessing", "/blessing/5")
    assert (blessing.status, blessing.why) == (status, "")


@pytest.fixture
def eval_result(tmp_path: Path) -> EvalResult:
    """An evaluation with a threshold that failed."""
    result = tfma_pb2.ValidationResult()
    result.metric_validations_per_slice.add().failures.add(
        metric_key=AUC, metric_threshold=at_least(0.6), metric_value=number(0.5)
    )
    uri = write(tmp_path, result)
    return evaluation({"auc": 0.5}, uri=uri, configured=CONFIGURED)


def test_not_blessed(eval_result: EvalResult):
    [blessing], warnings = explained(
        blessings_of({"model_blessing": artifact(blessed=0)}), eval_result
    )
    [failed] = blessing.failed_thresholds
    assert (failed.value, failed.threshold.lower_bound) == (0.5, 0.6)
    assert blessing.why == failed.explanation
    assert warnings == ()


def test_not_computed(eval_result: EvalResult):
    [blessing], warnings = explained(blessings_of({"model_blessing": artifact()}), eval_result)
    assert blessing.why == thresholds.missing_text(CONFIGURED)
    assert (blessing.failed_thresholds, warnings) == ((), ())


@pytest.mark.parametrize(
    "artifacts",
    [
        pytest.param({"model_blessing": artifact(blessed=1)}, id="blessed"),
        pytest.param({"infra_blessing": artifact(blessed=0)}, id="by InfraValidator"),
        pytest.param({"infra_blessing": artifact()}, id="not computed by InfraValidator"),
        pytest.param({}, id="none"),
    ],
)
def test_a_blessing_without_a_reason(eval_result: EvalResult, artifacts: dict[str, InputArtifact]):
    blessings = blessings_of(artifacts)
    assert explained(blessings, eval_result) == (blessings, ())


def test_event_files_have_no_reason():
    blessings = blessings_of({"model_blessing": artifact(blessed=0)})
    assert explained(blessings, EvalResult.from_mapping({"loss": 1.0})) == (blessings, ())


def test_a_reason_that_cannot_be_read(eval_result: EvalResult):
    Path(eval_result.uri, NAME).write_bytes(b"damaged")
    blessings = blessings_of({"model_blessing": artifact(blessed=0)})
    found, [warning] = explained(blessings, eval_result)
    assert found == blessings
    assert warning.startswith(
        "the reason for the blessing is not known: evaluation must be a TFMA evaluation (got"
    )
