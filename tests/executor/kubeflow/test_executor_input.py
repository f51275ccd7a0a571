"""Compares the translation of ExecutorInput and ExecutorOutput with TFX's."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_entrypoint_utils
from tfx.orchestration.portable import outputs_utils
from tfx.types.artifact import PropertyType

from tests.image.inputs import INPUTS_SPEC, artifact
from tests.proto_subset import messages_of, name_of, shape_of, the_message
from tfx_best_exporter.component.spec import BestExporterSpec
from tfx_best_exporter.executor import executor
from tfx_best_exporter.executor.arguments.artifacts import InputArtifact
from tfx_best_exporter.executor.kubeflow import executor_input
from tfx_best_exporter.executor.running import step
from tfx_best_exporter.proto import kubeflow_pb2

RESOURCE = "projects/1/locations/here/metadataStores/default/artifacts/7"
SCHEMA = "title: tfx.Examples\ntype: object\nproperties:\n  span:\n    type: integer\n"
DECISION = artifact("best_exporter.ExportDecision", Path("/d"), blessed=1)["artifacts"][0]
CASES = [
    pytest.param("model", {"type": {"schemaTitle": "tfx.Model"}, "uri": "/m"}, id="no name"),
    pytest.param(
        "model",
        {"type": {"schemaTitle": "tfx.Model"}, "uri": "/m", "name": RESOURCE},
        id="name",
    ),
    pytest.param(
        "examples",
        {
            "type": {"instanceSchema": SCHEMA},
            "metadata": {
                "span": 3,
                "version": "no number",
                "split_names": '["train"]',
                "custom:span": "x",
                "custom:other": "y",
                "list": [1, "a"],
                "object": {"a": 1},
                "flag": True,
            },
        },
        id="properties of JSON",
    ),
    pytest.param(
        "examples",
        {
            "type": {"schemaTitle": "tfx.Examples"},
            "properties": {"span": {"intValue": "3"}},
            "customProperties": {
                "a": {"intValue": "1"},
                "b": {"doubleValue": 0.5},
                "c": {"stringValue": "x"},
            },
        },
        id="properties of schema 2.0",
    ),
    pytest.param(
        "model_blessing",
        {
            "type": {"schemaTitle": "tfx.ModelBlessing"},
            "metadata": {"blessed": 1, "span": 2, "custom:x": 3},
        },
        id="properties that the type does not declare",
    ),
    pytest.param("decision", DECISION, id="type of this package"),
]


def theirs(content: dict[str, Any]) -> tuple[Any, dict[int, str]]:
    """Returns TFX's artifact, and the resource names by artifact id."""
    names: dict[int, str] = {}
    message = json_format.ParseDict(content, pipeline_spec_pb2.RuntimeArtifact())
    artifact_list = pipeline_spec_pb2.ArtifactList(artifacts=[message])
    [found] = kubeflow_v2_entrypoint_utils.parse_raw_artifact_dict({"key": artifact_list}, names)[
        "key"
    ]
    return found, names


@pytest.mark.parametrize(("channel", "content"), CASES)
def test_an_artifact_is_read_as_with_tfx(channel: str, content: dict[str, Any]):
    given = {"inputs": {"artifacts": {channel: {"artifacts": [content]}}}}
    [ours] = executor_input.read(json.dumps(given)).inputs[channel]
    other = executor.values_of({channel: [theirs(content)[0]]})[channel][0]
    # TFX makes up an ID, and ours is the name in the metadata store of the platform.
    assert dataclasses.replace(ours, artifact_id=other.artifact_id) == other


@pytest.mark.parametrize(("channel", "content"), CASES)
def test_an_artifact_is_written_as_with_tfx(channel: str, content: dict[str, Any]):
    given = {"outputs": {"artifacts": {channel: {"artifacts": [content]}}}}
    properties = {"pushed": 1, "metric": 0.25, "reason": "BETTER", "span": 4}
    text = executor_input.executor_output(
        executor_input.read(json.dumps(given)),
        step.StepOutputs(custom_properties={channel: properties}),
    )
    ours = json_format.Parse(text, pipeline_spec_pb2.ExecutorOutput())
    expected, names = theirs(content)
    expected.set_int_custom_property("pushed", 1)
    expected.set_float_custom_property("metric", 0.25)
    expected.set_string_custom_property("reason", "BETTER")
    expected.set_int_custom_property("span", 4)
    outputs_utils.tag_output_artifacts_with_version({channel: [expected]})
    message = kubeflow_v2_entrypoint_utils.to_runtime_artifact(expected, names)
    assert [*ours.artifacts] == [channel]
    assert [*ours.artifacts[channel].artifacts] == [message]
    assert message.metadata["tfx_version"]


@pytest.mark.parametrize("has_spec", [True, False], ids=["schema 2.1", "schema 2.0"])
def test_exec_properties_are_read_as_with_tfx(has_spec: bool):
    content: dict[str, Any] = {
        "parameterValues": {"push_destination": "{}", "as_text": 1},
        "parameters": {"push_destination": {"stringValue": "{}"}, "as_text": {"intValue": "1"}},
    }
    inputs = json_format.ParseDict(content, pipeline_spec_pb2.ExecutorInput.Inputs())
    spec = json_format.ParseDict(INPUTS_SPEC, pipeline_spec_pb2.ComponentInputsSpec())
    expected = kubeflow_v2_entrypoint_utils.parse_execution_properties(
        inputs.parameter_values, inputs.parameters, spec if has_spec else None
    )
    task = executor_input.read(
        json.dumps({"inputs": content}), json.dumps(INPUTS_SPEC) if has_spec else None
    )
    assert task.exec_properties == expected
    assert expected == {"push_destination": "{}", "as_text": 1}
    assert type(task.exec_properties["as_text"]) is int


def test_fields_that_are_not_known_are_ignored():
    content = {
        "inputs": {"new": 1, "artifacts": {"model": {"artifacts": [{"uri": "/m", "new": {}}]}}},
        "outputs": {"outputFile": "/o", "parameters": {"x": {"outputFile": "/x"}}},
    }
    task = executor_input.read(json.dumps(content), json.dumps({"new": []}))
    assert task.output_file == "/o"
    assert task.inputs == {"model": (InputArtifact(uri="/m"),)}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("{", id="no JSON"),
        pytest.param('{"inputs": 1}', id="another type"),
        pytest.param('{"outputs": {"outputFile": 1}}', id="a number as the file"),
        pytest.param(
            '{"inputs": {"parameters": {"as_text": {"intValue": "x"}}}}', id="text as a number"
        ),
    ],
)
def test_what_is_no_executor_input(content: str):
    with pytest.raises(json_format.ParseError):
        json_format.Parse(content, pipeline_spec_pb2.ExecutorInput(), ignore_unknown_fields=True)
    with pytest.raises(json_format.ParseError):
        executor_input.read(content)


@pytest.mark.parametrize("count", [0, 2])
def test_an_output_has_one_artifact(count: int):
    content = {"outputs": {"artifacts": {"decision": {"artifacts": [{"uri": "/d"}] * count}}}}
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole text follows.
        executor_input.read(json.dumps(content))
    assert str(caught.value) == (
        f"decision must have one output artifact (got {count}). Compile the pipeline with"
        " KubeflowV2DagRunner."
    )


def test_a_parameter_without_a_value():
    content = {"inputs": {"parameters": {"as_text": {}}}}
    with pytest.raises(TypeError) as caught:
        executor_input.read(json.dumps(content))
    assert str(caught.value) == (
        "a parameter or property must have a value (got an empty Value). Compile the pipeline with"
        " KubeflowV2DagRunner."
    )


def test_the_inputs_of_the_step():
    content = {
        "inputs": {
            "artifacts": {"model": {"artifacts": [{"uri": "/m"}]}},
            "parameterValues": {"push_destination": "/serving", "as_text": 1},
        },
        "outputs": {
            "artifacts": {
                "pushed_model": {"artifacts": [{"uri": "/p"}]},
                "decision": {"artifacts": [{"uri": "/d"}]},
            }
        },
    }
    inputs = executor_input.read(json.dumps(content), json.dumps(INPUTS_SPEC)).step_inputs(
        ["--runner=DirectRunner"]
    )
    assert inputs.only("model").uri == "/m"
    assert inputs.exec_properties.base_directory == "/serving"
    assert inputs.exec_properties.as_text is True
    assert inputs.output_uris == {"pushed_model": "/p", "decision": "/d"}
    assert inputs.provenance == step.Provenance()
    assert inputs.beam.pipeline_args == ("--runner=DirectRunner",)


# Limits of platforms.


def written_with(properties: dict[str, Any]) -> dict[str, Any]:
    """Returns the metadata of an output with custom properties."""
    artifacts = {"pushed_model": {"artifacts": [{"uri": "/p"}]}}
    task = executor_input.read(json.dumps({"outputs": {"artifacts": artifacts}}))
    text = executor_input.executor_output(
        task, step.StepOutputs(custom_properties={"pushed_model": properties})
    )
    metadata = json.loads(text)["artifacts"]["pushed_model"]["artifacts"][0]["metadata"]
    assert metadata.pop("tfx_version")
    return metadata


def test_many_metrics_fit_into_a_command_line(caplog: pytest.LogCaptureFixture):
    metrics = {f"candidate_metric_auc_of_slice_{number:05}": 1 / 3 for number in range(2000)}
    written = written_with({"pushed": 1, "reason": "BETTER", **metrics})
    assert len(json.dumps(written)) < 131_071 / 5
    assert written.pop("pushed") == 1.0
    assert written.pop("reason") == "BETTER"
    count = len(written)
    assert 300 < count < 1000
    # The first metrics are kept.
    assert written == dict.fromkeys([*metrics][:count], 1 / 3)
    assert caplog.messages[0].startswith(f"{2000 - count} of 2003 custom properties are left out: ")


def test_a_long_name_is_left_out():
    assert written_with({"x" * 255: 1.0, "y" * 256: 2.0, "z": 3.0}) == {"x" * 255: 1.0, "z": 3.0}


# Names and numbers of TFX and kfp.


@pytest.mark.parametrize("channel", [*BestExporterSpec.INPUTS, *BestExporterSpec.OUTPUTS])
def test_declared_properties_are_those_of_tfx(channel: str):
    types = {PropertyType.INT: int, PropertyType.STRING: str}
    parameter = {**BestExporterSpec.INPUTS, **BestExporterSpec.OUTPUTS}[channel]
    expected = {
        name: types[declared.type] for name, declared in (parameter.type.PROPERTIES or {}).items()
    }
    assert executor_input._DECLARED.get(channel, {}) == expected


@pytest.mark.parametrize(
    "message", messages_of(kubeflow_pb2.DESCRIPTOR), ids=lambda message: message.full_name
)
def test_messages_are_those_of_kfp(message: Any):
    expected = the_message(name_of(message) or "", [pipeline_spec_pb2.DESCRIPTOR])
    for field in message.fields:
        assert shape_of(field) == shape_of(expected.fields_by_name[field.name])
    for enum in message.enum_types:
        theirs_by_name = expected.enum_types_by_name[enum.name].values_by_name
        for value in enum.values:
            assert theirs_by_name[value.name].number == value.number
