"""Checks the inputs of a step. tests/executor/test_executor.py runs whole steps."""

import pytest

from tfx_best_exporter.executor.arguments.artifacts import InputArtifact
from tfx_best_exporter.executor.running import step
from tfx_best_exporter.executor.running.exec_properties import ExecProperties

ONE, OTHER = InputArtifact(uri="/1"), InputArtifact(uri="/2")


def inputs_with(**artifacts: tuple[InputArtifact, ...]) -> step.StepInputs:
    return step.StepInputs(
        artifacts=artifacts,
        exec_properties=ExecProperties(base_directory="/serving"),
        output_uris={"pushed_model": "/p", "decision": "/d"},
    )


def test_the_artifact_of_a_channel():
    inputs = inputs_with(model=(ONE,), model_blessing=())
    assert inputs.only("model") is ONE
    assert inputs.has("model")
    assert not inputs.has("model_blessing")
    assert not inputs.has("evaluation")


@pytest.mark.parametrize(
    ("artifacts", "count"), [((), 0), ((ONE, OTHER), 2)], ids=["none", "several"]
)
def test_a_channel_of_another_number(artifacts: tuple[InputArtifact, ...], count: int):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole text follows.
        inputs_with(model=artifacts).only("model")
    assert str(caught.value) == (
        f"model must have one artifact (got {count}). Pass a channel that resolves to one artifact."
    )


def test_examples_of_several_artifacts_have_one_name():
    assert step.uri_of([OTHER, ONE]) == "/1,/2"
