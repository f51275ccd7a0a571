"""The EvalConfig behind the channel of an evaluation, when the pipeline is built."""

import re
from typing import Any

import pytest
from google.protobuf import json_format
from tfx import types
from tfx import v1 as tfx
from tfx.orchestration import data_types
from tfx.types import standard_artifacts

from tests.component.test_component import channel, exec_properties, make
from tfx_best_exporter.component.eval_config import configured_for, has_baseline
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
        ConfiguredMetric(
            name="auc",
            has_threshold=True,
            has_value_threshold=True,
            direction=pb.HIGHER_IS_BETTER,
        ),
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
    for text in ('{"metrics_specs": 7}', "{"):
        producer: Any = evaluation.producer_component  # type: ignore[attr-defined]
        producer.spec.exec_properties["eval_config"] = text
        assert configured_for(evaluation) is None


def test_the_default_rule_is_stored():
    component = make(evaluation=evaluation_of(GATED))
    assert exec_properties(component)["default_rule"] == {
        "rule": {"metric": {"name": "auc"}, "direction": "HIGHER_IS_BETTER"},
        "why": "it is the only metric with a threshold in Evaluator's EvalConfig",
    }


FULL = {
    "metrics_specs": [GATED],
    "options": {"compute_confidence_intervals": True},
    "slicing_specs": [{}, {"feature_keys": ["country"]}],
}


def policy_of(**fields: Any) -> dict[str, Any]:
    rule = {"metric": "auc", "direction": "HIGHER_IS_BETTER", **fields}
    return {"compare_policy": {"metric": rule}}


def test_an_evaluation_with_everything_that_the_policy_needs():
    evaluation = evaluation_of(**FULL)
    policy = {
        **policy_of(significance={})["compare_policy"],
        "min_example_count": 100,
        "guardrails": [
            {
                "metric": "auc",
                "direction": "HIGHER_IS_BETTER",
                "bound": 0.5,
                "slices": [{"features": {"country": "nl"}}],
            }
        ],
    }
    examples = channel(standard_artifacts.Examples)
    component = make(
        evaluation=evaluation,
        model_blessing=blessing_of(evaluation),
        examples=examples,
        compare_policy=policy,
    )
    assert exec_properties(component)["compare_policy"]["min_example_count"] == 100


def blessing_of(evaluation: Any) -> types.BaseChannel:
    return evaluation.producer_component.outputs["blessing"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        pytest.param(
            policy_of(direction="LOWER_IS_BETTER"),
            "compare_policy.metric.direction is LOWER_IS_BETTER",
            id="direction",
        ),
        pytest.param(
            policy_of(metric="acu"), "compare_policy.metric.metric.name is 'acu'", id="metric"
        ),
        pytest.param(
            policy_of(significance={}), "examples is not set", id="significance without examples"
        ),
        pytest.param(
            policy_of(significance={"challengers": 2}),
            "examples is not set, so no challenger is measured again, and each run decides by its"
            " own evaluation. Pass examples=example_gen.outputs['examples'], or leave challengers"
            " out",
            id="challengers without examples",
        ),
        pytest.param(
            {"push_destination": {"filesystem": {"base_directory": "serving"}}},
            "push_destination.filesystem.base_directory is a relative path ('serving'), which"
            " depends on the working directory of each run. Pass os.path.abspath('serving')",
            id="relative path",
        ),
    ],
)
def test_warnings(arguments: dict[str, Any], text: str):
    with pytest.warns(UserWarning, match=f"^{re.escape(text)}") as caught:
        make(evaluation=evaluation_of(**FULL), **arguments)
    [warning] = caught
    # The warning shows the line of the author.
    assert warning.filename.endswith("test_component.py")


def test_no_rule_fits():
    recall = {"metrics": [{"class_name": "AUC"}, {"class_name": "Recall"}]}
    with pytest.warns(UserWarning, match="no default rule fits"):
        make(evaluation=evaluation_of(recall))


def test_an_object_store_is_no_relative_path():
    make(push_destination={"filesystem": {"base_directory": "gs://bucket/serving"}})


def test_a_blessing_that_is_never_computed():
    evaluation = evaluation_of({"metrics": [{"class_name": "AUC"}]})
    with pytest.raises(
        ValueError, match="model_blessing must be a blessing that Evaluator computes"
    ):
        make(evaluation=evaluation, model_blessing=blessing_of(evaluation))


def test_a_baseline_makes_change_thresholds_count():
    import tensorflow_model_analysis as tfma

    change = {"direction": "HIGHER_IS_BETTER", "absolute": -1e-10}
    metric = {"class_name": "AUC", "threshold": {"change_threshold": change}}
    content = {"metrics_specs": [{"metrics": [metric]}]}
    evaluator = tfx.components.Evaluator(
        examples=channel(standard_artifacts.Examples),
        model=channel(standard_artifacts.Model),
        baseline_model=channel(standard_artifacts.Model),
        eval_config=json_format.ParseDict(content, tfma.EvalConfig()),
    )
    assert has_baseline(evaluator.outputs["blessing"])
    with pytest.warns(UserWarning, match="not computed before there is a baseline model"):
        make(
            evaluation=evaluator.outputs["evaluation"],
            model_blessing=evaluator.outputs["blessing"],
        )
    # With a baseline, the test of significance is paired.
    assert not has_baseline(evaluation_of(GATED))
    assert not has_baseline(None)


def test_a_channel_of_another_type():
    with pytest.raises(TypeError) as caught:
        make(model=channel(standard_artifacts.ModelEvaluation))
    assert str(caught.value) == (
        "model must be a channel of Model (got a channel of ModelEvaluation). Pass an output of a"
        " component, for example trainer.outputs['model']."
    )


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
