"""The EvalConfig behind the channel of an evaluation, when the pipeline is built."""

from typing import Any

import pytest
from google.protobuf import json_format
from tfx import types
from tfx import v1 as tfx
from tfx.orchestration import data_types
from tfx.types import standard_artifacts

from tests.component.test_component import channel, exec_properties, make
from tfx_best_exporter.component.eval_config import configured_for
from tfx_best_exporter.executor.deciding.configured import ConfiguredMetric
from tfx_best_exporter.proto import best_exporter_pb2 as pb

AT_LEAST = {"value_threshold": {"lower_bound": 0.6}}
GATED = {"metrics": [{"class_name": "ExampleCount"}, {"class_name": "AUC", "threshold": AT_LEAST}]}


def evaluation_of(*metrics_specs: dict[str, Any], **fields: Any) -> types.BaseChannel:
    """Returns the evaluation of an Evaluator with an EvalConfig."""
    import tensorflow_model_analysis as tfma

    content = {"metrics_specs": list(metrics_specs), **fields}
    return evaluator_with(json_format.ParseDict(content, tfma.EvalConfig())).outputs["evaluation"]


def evaluator_with(eval_config: Any) -> Any:
    return tfx.components.Evaluator(
        examples=channel(standard_artifacts.Examples),
        model=channel(standard_artifacts.Model),
        eval_config=eval_config,
    )


def test_the_eval_config_of_an_evaluator():
    configured = configured_for(evaluation_of(GATED))
    assert configured is not None
    assert configured.metrics == (
        ConfiguredMetric(name="example_count"),
        ConfiguredMetric(name="auc", has_threshold=True, direction=pb.HIGHER_IS_BETTER),
    )


def test_a_channel_without_an_eval_config():
    late = data_types.RuntimeParameter(name="eval_config", ptype=str)
    assert configured_for(evaluator_with(late).outputs["evaluation"]) is None
    assert configured_for(channel(standard_artifacts.ModelEvaluation)) is None
    assert configured_for(None) is None
    importer = tfx.dsl.Importer(
        source_uri="/eval/4", artifact_type=standard_artifacts.ModelEvaluation
    )
    assert configured_for(importer.outputs["result"]) is None


def test_a_later_tfma(monkeypatch: pytest.MonkeyPatch):
    evaluation = evaluation_of(GATED)
    for text in ('{"metrics_specs": 7}', "{", "[]"):
        producer: Any = evaluation.producer_component  # type: ignore[attr-defined]
        producer.spec.exec_properties["eval_config"] = text
        assert configured_for(evaluation) is None


def test_the_default_rule_is_stored():
    component = make(evaluation=evaluation_of(GATED))
    assert exec_properties(component)["default_rule"] == {
        "rule": {"metric": {"name": "auc"}, "direction": "HIGHER_IS_BETTER"},
        "why": "it is the only metric with a threshold in Evaluator's EvalConfig",
    }


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"compare_policy": {"compare_fn": "a.b"}}, id="a policy"),
        pytest.param({"compare_fn": "a.b"}, id="a function"),
        pytest.param(
            {"compare_policy": data_types.RuntimeParameter(name="policy", ptype=str)},
            id="a policy that is known later",
        ),
    ],
)
def test_a_policy_has_no_default_rule(arguments: dict[str, Any]):
    component = make(evaluation=evaluation_of(GATED), **arguments)
    assert exec_properties(component)["default_rule"] is None
