"""Gates deployers for other model servers with the output `blessing`, by their real code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_metadata as mlmd
import pytest
from tfx import types
from tfx.components.evaluator import constants as evaluator
from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import (
    LatestBlessedModelStrategy,
)
from tfx.extensions.google_cloud_ai_platform import constants, prediction_clients
from tfx.extensions.google_cloud_ai_platform.pusher import executor as vertex_pusher
from tfx.types import standard_artifacts, standard_component_specs

from tests.tfx_runs import Candidate, Exported, PipelineRuns, exec_properties
from tfx_best_exporter.component.spec import BestExporterSpec
from tfx_best_exporter.executor import keys
from tfx_best_exporter.executor.executor import Executor
from tfx_best_exporter.proto import best_exporter_pb2 as pb

R = pb.ExportDecision


# TFX 1.21 calls a deprecated function of absl when it deploys.
pytestmark = pytest.mark.filterwarnings("ignore:The 'warn' function is deprecated")


class Endpoint:
    """An endpoint that exists under every name."""

    resource_name = "projects/1/locations/europe-west4/endpoints/8"

    @classmethod
    def list(cls, **_: Any) -> Any:
        return [cls()]


class VertexAi:
    """Takes the place of google.cloud.aiplatform, the network part of TFX's Vertex Pusher.

    Attributes:
        deployed: Directory of each model that was deployed.
        is_down: True if uploads fail.
    """

    def __init__(self) -> None:
        self.deployed: list[str] = []
        self.is_down = False
        # The names of the client's classes.
        self.Model = self
        self.Endpoint = Endpoint
        self.resource_name = "projects/1/locations/europe-west4/models/7"

    def init(self, **_: Any) -> None:
        """Connects to nothing."""

    def upload(self, *, artifact_uri: str, **_: Any) -> VertexAi:
        if self.is_down:
            raise ConnectionError("503 Service Unavailable")
        self.deployed.append(artifact_uri)
        return self

    def deploy(self, **_: Any) -> None:
        """Accepts the model that was uploaded last."""

    def wait(self) -> None:
        """Returns at once."""


@pytest.fixture
def vertex(monkeypatch: pytest.MonkeyPatch) -> VertexAi:
    result = VertexAi()
    monkeypatch.setattr(prediction_clients, "aiplatform", result)
    return result


@pytest.fixture
def runs(tmp_path: Path, write_model: Callable[..., Path]) -> PipelineRuns:
    config = mlmd.proto.ConnectionConfig()
    config.sqlite.filename_uri = str(tmp_path / "metadata.sqlite")
    return PipelineRuns(config, tmp_path, write_model)


def push_to_vertex(runs: PipelineRuns, candidate: Candidate, exported: Exported) -> bool:
    """Runs TFX's Vertex Pusher after BestExporter; returns its custom property `pushed`."""
    serving_args = {"project": "birds", "endpoint_name": "penguin"}
    custom_config = {
        constants.ENABLE_VERTEX_KEY: True,
        constants.VERTEX_REGION_KEY: "europe-west4",
        constants.VERTEX_CONTAINER_IMAGE_URI_KEY: "registry/tf2-cpu.2-15",
        constants.SERVING_ARGS_KEY: serving_args,
    }
    inputs = {"model": [candidate.model], "model_blessing": [exported.blessing]}
    pushed = runs.execute(
        "VertexPusher",
        {"pushed_model": standard_artifacts.PushedModel},
        lambda outputs: vertex_pusher.Executor().Do(
            inputs, outputs, {"custom_config": json.dumps(custom_config)}
        ),
        inputs,
    )
    return pushed["pushed_model"].get_int_custom_property("pushed") == 1


def properties_of(artifact: types.Artifact) -> dict[str, Any]:
    return {
        name: getattr(value, value.WhichOneof("value"))
        for name, value in artifact.mlmd_artifact.custom_properties.items()
        if name != "tfx_version"
    }


def files_of(artifact: types.Artifact) -> list[str]:
    return sorted(path.name for path in Path(artifact.uri).iterdir())


def test_the_best_is_deployed_and_a_refused_candidate_is_not(runs: PipelineRuns, vertex: VertexAi):
    first, worse, better = (
        runs.candidate(1.0, 0.5),
        runs.candidate(2.0, 0.6),
        runs.candidate(3.0, 0.4),
    )
    pushed = [push_to_vertex(runs, each, runs.export(each)) for each in (first, worse, better)]
    assert pushed == [True, False, True]
    assert len(vertex.deployed) == 2


def test_it_is_deployed_on_the_retry_after_a_failure(runs: PipelineRuns, vertex: VertexAi):
    candidate = runs.candidate(1.0, 0.5)
    vertex.is_down = True
    exported = runs.export(candidate)
    with pytest.raises(ConnectionError):
        push_to_vertex(runs, candidate, exported)
    vertex.is_down = False
    again = runs.export(candidate)
    # A deployer that is gated by `exported` would never see this model again.
    assert (again.decision.exported, again.decision.reason) == (False, R.ALREADY_BEST)
    assert push_to_vertex(runs, candidate, again)
    assert len(vertex.deployed) == 1


def test_a_rerun_of_a_former_best_is_refused(runs: PipelineRuns, vertex: VertexAi):
    former = runs.candidate(1.0, 0.5)
    runs.export(former)
    runs.export(runs.candidate(2.0, 0.4))
    assert not push_to_vertex(runs, former, runs.export(former))
    assert vertex.deployed == []


def test_what_the_blessing_has(runs: PipelineRuns):
    candidate, worse = runs.candidate(1.0, 0.5), runs.candidate(2.0, 0.6)
    for each, blessed, name in (
        (candidate, 1, "BLESSED"),
        (worse, 0, "NOT_BLESSED"),
        (candidate, 1, "BLESSED"),
    ):
        exported = runs.export(each)
        assert properties_of(exported.blessing) == {
            "blessed": blessed,
            "current_model": each.model.uri,
            "current_model_id": each.model.id,
        }
        assert files_of(exported.blessing) == [name]
        assert exported.pushed_model.get_int_custom_property("pushed") == blessed


def test_a_step_that_runs_again_replaces_the_file_of_its_first_attempt(runs: PipelineRuns):
    candidate = runs.candidate(1.0, 0.5)
    outputs: dict[str, list[types.Artifact]] = {}
    for key, artifact_type in BestExporterSpec.OUTPUTS.items():
        artifact = artifact_type.type()
        artifact.uri = str(runs.root / "BestExporter" / key / "1")
        Path(artifact.uri).mkdir(parents=True)
        outputs[key] = [artifact]
    Path(outputs["blessing"][0].uri, "NOT_BLESSED").touch()
    Executor().Do(candidate.inputs, outputs, exec_properties(runs.base_directory))
    assert files_of(outputs["blessing"][0]) == ["BLESSED"]


def test_the_best_is_refused_once_a_blessing_says_no(runs: PipelineRuns):
    candidate = runs.candidate(1.0, 0.5)
    runs.export(candidate)
    candidate.blessing.set_int_custom_property("blessed", 0)
    exported = runs.export(candidate)
    assert exported.decision.reason == R.NOT_BLESSED
    assert exported.blessing.get_int_custom_property("blessed") == 0


def test_the_best_is_refused_below_a_broken_version(runs: PipelineRuns):
    candidate = runs.candidate(1.0, 0.5)
    version = runs.export(candidate).decision.version
    # A file is no version that a server can load, and nobody is copying it.
    (runs.base_directory / str(version + 1)).touch()
    exported = runs.export(candidate)
    assert exported.decision.reason == R.ALREADY_BEST
    assert properties_of(exported.pushed_model)["pushed"] == 0
    assert properties_of(exported.pushed_model)["best_version"] == str(version)
    assert exported.blessing.get_int_custom_property("blessed") == 0
    assert files_of(exported.pushed_model) == []


def test_the_resolver_of_blessed_models_finds_the_best(runs: PipelineRuns):
    best, worse = runs.candidate(1.0, 0.5), runs.candidate(2.0, 0.6)
    blessings = [runs.export(each).blessing for each in (best, worse)]
    resolved = LatestBlessedModelStrategy().resolve_artifacts(
        runs.store, {"model": [best.model, worse.model], "model_blessing": blessings}
    )
    assert resolved is not None
    assert [model.id for model in resolved["model"]] == [best.model.id]


def test_names_are_those_of_evaluator():
    assert (
        keys.BLESSED_PROPERTY,
        keys.CURRENT_MODEL_PROPERTY,
        keys.CURRENT_MODEL_ID_PROPERTY,
        keys.BLESSED_FILE,
        keys.NOT_BLESSED_FILE,
    ) == (
        evaluator.ARTIFACT_PROPERTY_BLESSED_KEY,
        evaluator.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY,
        evaluator.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY,
        evaluator.BLESSED_FILE_NAME,
        evaluator.NOT_BLESSED_FILE_NAME,
    )
    assert keys.BLESSING_KEY == standard_component_specs.BLESSING_KEY
