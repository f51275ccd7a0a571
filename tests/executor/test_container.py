"""The entry point of containers, beside TFX's own on the same ExecutorInput."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_entrypoint_utils
from tfx.types import standard_component_specs

from tests.containers.processes import Containers, Ended
from tests.image.inputs import INPUTS_SPEC, artifact, executor_input
from tfx_best_exporter.executor import container, keys

RESOURCE = "projects/1/locations/here/metadataStores/default/artifacts/7"


@pytest.fixture
def root(tmp_path: Path, write_model: Callable[..., Path], evaluations: dict[str, Path]) -> Path:
    write_model(tmp_path / "model_a" / "Format-Serving", 1.0)
    write_model(tmp_path / "model_b" / "Format-Serving", 2.0)
    shutil.copytree(evaluations["paired"], tmp_path / "paired")
    return tmp_path


def arguments(root: Path, name: str, model: str) -> list[str]:
    return [
        "--executor_class_path",
        container.OUR_EXECUTOR,
        "--json_serialized_invocation_args",
        json.dumps(executor_input(root, name, model, "paired")),
        "--json_serialized_inputs_spec_args",
        json.dumps(INPUTS_SPEC),
    ]


def output_of(root: Path, name: str) -> dict[str, Any]:
    return json.loads((root / name / "executor_output.json").read_text())


def run(containers: Containers, module: str, words: list[str]) -> Ended:
    return containers.run(["python", "-m", module, *words], {})


@pytest.mark.slow
def test_it_does_what_the_entry_point_of_tfx_does(containers: Containers, root: Path):
    first = run(containers, container.__name__, arguments(root, "first", "model_a"))
    assert first.code == 0, first.log
    (version,) = (path.name for path in (root / "serving").iterdir() if path.name.isdecimal())
    pushed_model = output_of(root, "first")["artifacts"]["pushed_model"]["artifacts"][0]
    assert pushed_model["metadata"]["pushed_version"] == version
    outputs = []
    for module in (container.TFX_ENTRY_POINT, container.__name__):
        second = run(containers, module, arguments(root, "second", "model_b"))
        assert second.code == 0, second.log
        outputs.append(output_of(root, "second"))
        shutil.rmtree(root / "second")
    assert outputs[0] == outputs[1]
    metadata = outputs[1]["artifacts"]["decision"]["artifacts"][0]["metadata"]
    assert metadata["reason"] == "NOT_BETTER"


@pytest.mark.slow
def test_it_imports_less(containers: Containers, root: Path):
    first = run(containers, container.__name__, arguments(root, "first", "model_a"))
    assert first.code == 0, first.log
    script = (
        "import atexit, runpy, sys; atexit.register(lambda: print(*sorted(sys.modules)));"
        f" runpy.run_module({container.__name__!r}, run_name='__main__')"
    )
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, *arguments(root, "second", "model_b")],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    decision = output_of(root, "second")["artifacts"]["decision"]["artifacts"][0]
    assert decision["metadata"]["reason"] == "NOT_BETTER"
    imported = set(ended.stdout.splitlines()[-1].split())
    assert "tensorflow" in imported
    unneeded = {"apache_beam", "kubernetes", "tensorflow_model_analysis", "tfx.components"}
    assert imported & unneeded == set()


@pytest.mark.slow
def test_a_failure_is_one_of_the_process(containers: Containers, root: Path):
    shutil.rmtree(root / "paired")
    (root / "paired").mkdir()
    failed = run(containers, container.__name__, arguments(root, "first", "model_a"))
    assert failed.code == 1
    last_line = failed.log.rstrip().splitlines()[-1]
    assert last_line.startswith("ValueError: evaluation ")
    assert str(root / "paired") in last_line
    assert not (root / "first" / "executor_output.json").exists()


@pytest.mark.slow
def test_other_components_are_handed_over(containers: Containers):
    other = ["--executor_class_path", "no.such.Executor", "--json_serialized_invocation_args", "{}"]
    handed_over = run(containers, container.__name__, other)
    assert handed_over.code == 1
    assert "kubeflow_v2_run_executor.py" in handed_over.log
    assert "ModuleNotFoundError: No module named 'no'" in handed_over.log


# Artifacts, as TFX's own entry point reads and writes them.

SCHEMA = "title: tfx.Examples\ntype: object\nproperties:\n  span:\n    type: integer\n"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param({"type": {"schemaTitle": "tfx.Model"}, "uri": "/m"}, id="no name"),
        pytest.param(
            {"type": {"schemaTitle": "tfx.Model"}, "uri": "/m", "name": RESOURCE}, id="name"
        ),
        pytest.param(
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
            artifact("best_exporter.ExportDecision", Path("/d"), blessed=1)["artifacts"][0],
            id="type of ours",
        ),
    ],
)
def test_an_artifact_goes_in_and_out_as_with_tfx(content: dict[str, Any]):
    message = json_format.ParseDict(content, pipeline_spec_pb2.RuntimeArtifact())
    names: dict[int, str] = {}
    theirs_names: dict[int, str] = {}
    ours = container._artifact_of(message, names)
    artifact_list = pipeline_spec_pb2.ArtifactList(artifacts=[message])
    [theirs] = kubeflow_v2_entrypoint_utils.parse_raw_artifact_dict(
        {"key": artifact_list}, theirs_names
    )["key"]
    assert type(ours) is type(theirs)
    assert ours.mlmd_artifact == theirs.mlmd_artifact
    assert names == theirs_names
    for each in (ours, theirs):
        each.set_string_custom_property("tfx_version", "1")
        each.set_int_custom_property("pushed", 1)
        each.set_float_custom_property("metric", 0.25)
    assert container._runtime_artifact_of(
        ours, names
    ) == kubeflow_v2_entrypoint_utils.to_runtime_artifact(theirs, theirs_names)


@pytest.mark.parametrize("has_spec", [True, False], ids=["schema 2.1", "schema 2.0"])
def test_exec_properties_are_read_as_with_tfx(has_spec: bool):
    content: dict[str, Any] = {
        "parameterValues": {"push_destination": "{}", "as_text": 1},
        "parameters": {"push_destination": {"stringValue": "{}"}, "as_text": {"intValue": "1"}},
    }
    inputs = json_format.ParseDict(content, pipeline_spec_pb2.ExecutorInput.Inputs())
    spec = None
    if has_spec:
        spec = json_format.ParseDict(INPUTS_SPEC, pipeline_spec_pb2.ComponentInputsSpec())
    theirs = kubeflow_v2_entrypoint_utils.parse_execution_properties(
        inputs.parameter_values, inputs.parameters, spec
    )
    assert container._exec_properties_of(inputs, spec) == theirs
    assert theirs == {"push_destination": "{}", "as_text": 1}


# What is written down here because importing it would import everything.


@pytest.mark.parametrize(
    "name",
    [
        "MODEL_KEY",
        "EVALUATION_KEY",
        "MODEL_RUN_KEY",
        "MODEL_BLESSING_KEY",
        "INFRA_BLESSING_KEY",
        "PUSHED_MODEL_KEY",
        "PUSH_DESTINATION_KEY",
        "MODULE_FILE_KEY",
        "MODULE_PATH_KEY",
    ],
)
def test_names_are_those_of_tfx(name: str):
    assert getattr(keys, name) == getattr(standard_component_specs, name)
