"""Parses the ExecutorInputs of all releases with TFX's parser, as passed and as repaired."""

import dataclasses
import json
from typing import Any

import pytest
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_entrypoint_utils as tfx_utils
from tfx.types import standard_artifacts

from tests.containers.conftest import compile_step
from tests.containers.launcher import (
    FLAVORS,
    KUBEFLOW_2_0,
    KUBEFLOW_2_5,
    KUBEFLOW_2_15,
    LOGS,
    VERTEX,
    Artifact,
    Flavor,
    Step,
)
from tfx_best_exporter.executor import executor
from tfx_best_exporter.executor.kubeflow import executor_input, places

RUN = "v2/artifacts/penguin/run"
ROOT = f"minio://mlpipeline/{RUN}"
FOLDER = f"/minio/mlpipeline/{RUN}"
UPSTREAM = {
    "model": Artifact(uri=f"{ROOT}/Trainer/model"),
    "evaluation": Artifact(uri=f"{ROOT}/Evaluator/evaluation", properties={"count": 3.0}),
    "model_blessing": Artifact(
        uri=f"{ROOT}/Evaluator/blessing",
        properties={"blessed": 1.0, "current_model": f"{ROOT}/Trainer/model"},
    ),
}
FIXED = "/tmp/kfp_outputs/output_metadata.json"

all_flavors = pytest.mark.parametrize("flavor", FLAVORS, ids=lambda flavor: flavor.name)


@pytest.fixture(scope="module")
def step(tmp_path_factory: pytest.TempPathFactory) -> Step:
    destination = {"filesystem": {"base_directory": "/serving"}}
    root = tmp_path_factory.mktemp("compiled")
    return compile_step(root, UPSTREAM, push_destination=destination)


def passed(step: Step, flavor: Flavor) -> tuple[str, str]:
    """Returns the ExecutorInput and the ComponentInputsSpec on the command line."""
    outputs_uri = step.outputs_uri(flavor, ROOT, "salt")
    words = step.command(step.executor_input(UPSTREAM, flavor=flavor, outputs_uri=outputs_uri))
    invocation, inputs_spec = (
        words[words.index(f"--json_serialized_{name}_args") + 1]
        for name in ("invocation", "inputs_spec")
    )
    return invocation, inputs_spec


def parsed_by_tfx(text: str) -> dict[str, Any]:
    """Returns all artifacts as TFX's entry point parses them."""
    message = json_format.Parse(text, pipeline_spec_pb2.ExecutorInput())
    names: dict[int, str] = {}
    inputs = tfx_utils.parse_raw_artifact_dict(message.inputs.artifacts, names)
    return inputs | tfx_utils.parse_raw_artifact_dict(message.outputs.artifacts, names)


@pytest.mark.parametrize(
    ("flavor", "kind", "metadata", "logs", "output_file"),
    [
        (KUBEFLOW_2_0, "", {"display_name"}, None, FIXED),
        (KUBEFLOW_2_5, "", {"display_name", "store_session_info"}, "executor-logs", FIXED),
        (
            KUBEFLOW_2_15,
            "",
            {"display_name", "store_session_info"},
            "executor-logs-0",
            f"{FOLDER}/BestExporter/salt/output_metadata.json",
        ),
        (
            VERTEX,
            "title: tfx.Model\ntype: object\n",
            set(),
            None,
            f"{ROOT}/BestExporter/salt/executor_output.json",
        ),
    ],
    ids=lambda each: each.name if isinstance(each, Flavor) else "",
)
def test_facts(
    step: Step, flavor: Flavor, kind: str, metadata: set[str], logs: str | None, output_file: str
):
    content = json.loads(passed(step, flavor)[0])
    [model] = content["inputs"]["artifacts"]["model"]["artifacts"]
    assert model["type"] == {"instanceSchema": kind}
    assert model.get("metadata", {}).keys() == metadata
    assert all(isinstance(value, str) for value in model.get("metadata", {}).values())
    outputs = content["outputs"]["artifacts"]
    assert (LOGS in outputs) is bool(logs)
    if logs:
        [artifact] = outputs[LOGS]["artifacts"]
        assert artifact["uri"].rpartition("/")[2] == logs
        assert artifact["type"] == {"schemaTitle": "system.Artifact"}
    assert content["outputs"]["outputFile"] == output_file


@all_flavors
def test_tfx_cannot_parse_what_kubeflow_passes(step: Step, flavor: Flavor):
    text, _ = passed(step, flavor)
    if flavor.is_vertex:
        assert parsed_by_tfx(text)
        return
    with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'get'"):
        parsed_by_tfx(text)


@all_flavors
def test_tfx_parses_what_is_repaired(step: Step, flavor: Flavor):
    invocation = places.read(*passed(step, flavor))
    found = parsed_by_tfx(invocation.for_tfx())
    assert found.keys() == UPSTREAM.keys() | step.component["outputDefinitions"]["artifacts"]
    [model], [blessing] = found["model"], found["model_blessing"]
    assert type(model) is standard_artifacts.Model
    assert model.uri == f"{FOLDER}/Trainer/model"
    assert type(blessing) is standard_artifacts.ModelBlessing
    assert blessing.get_int_custom_property("blessed") == 1
    assert type(found["pushed_model"][0]) is standard_artifacts.PushedModel
    # Evaluator looks the model up by its ID, and would not find the ID 0.
    assert model.id


@all_flavors
def test_a_step_of_ours_reads_the_same(step: Step, flavor: Flavor):
    text, spec = passed(step, flavor)
    invocation = places.read(text, spec)
    task = executor_input.read(json.dumps(invocation.content), spec)
    theirs = executor.values_of(parsed_by_tfx(json.dumps(invocation.content)))
    for channel in UPSTREAM:
        # TFX makes up an ID, and ours is the name in the metadata store of the platform.
        [ours], [other] = task.inputs[channel], theirs[channel]
        assert dataclasses.replace(ours, artifact_id=other.artifact_id) == other
        # Records and decisions get these URIs.
        assert task.inputs[channel][0].uri == UPSTREAM[channel].uri
    assert task.outputs.keys() == step.component["outputDefinitions"]["artifacts"].keys()
    assert task.exec_properties.keys() == step.task["inputs"]["parameters"].keys()
