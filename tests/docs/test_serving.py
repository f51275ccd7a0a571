"""Runs the deployer of docs/serving.md with its network client replaced."""

from __future__ import annotations

import dataclasses
import importlib
import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from tfx.types import standard_artifacts

from tests.docs.test_documents import BLOCKS, ROOT

SERVING = ROOT / "docs" / "serving.md"
ENDPOINT = "projects/1/locations/europe-west4/endpoints/8"


@dataclasses.dataclass(kw_only=True)
class UploadedModel:
    display_name: str
    artifact_uri: str
    parent_model: str | None
    labels: dict[str, str]
    resource_name: str
    vertex: VertexAi

    def deploy(self, *, endpoint: Any, deployed_model_display_name: str, **_: Any) -> None:
        if self.vertex.fails:
            raise ConnectionError("503 Service Unavailable")
        endpoint.deployed.append(
            DeployedModel(id=str(next(self.vertex.ids)), display_name=deployed_model_display_name)
        )


@dataclasses.dataclass(kw_only=True)
class DeployedModel:
    id: str
    display_name: str


class VertexAi:
    """Takes the place of google.cloud.aiplatform: one Model with versions, and one endpoint.

    Attributes:
        uploads: Models that were uploaded.
        deployed: Models of the endpoint.
        fails: True if a deployment fails.
    """

    def __init__(self) -> None:
        self.uploads: list[UploadedModel] = []
        self.deployed: list[DeployedModel] = []
        self.ids = itertools.count(1)
        self.fails = False
        # The names of the client's classes.
        self.Model = self
        self.Endpoint = self._endpoint

    def _endpoint(self, name: str) -> VertexAi:
        assert name == ENDPOINT
        return self

    def list(self, *, filter: str) -> list[UploadedModel]:
        # The service lists the default version, the one that was uploaded last.
        field, _, value = filter.partition("=")
        return [
            model
            for model in self.uploads[-1:]
            if f'"{model.labels["best_exporter"] if "labels" in field else model.display_name}"'
            == value
        ]

    def upload(self, *, serving_container_image_uri: str, **arguments: Any) -> UploadedModel:
        model = UploadedModel(resource_name="models/7", vertex=self, **arguments)
        self.uploads.append(model)
        return model

    def list_models(self) -> Any:
        return list(self.deployed)

    def undeploy(self, model_id: str) -> None:
        self.deployed = [each for each in self.deployed if each.id != model_id]


@pytest.fixture
def vertex() -> VertexAi:
    return VertexAi()


def snippet(name: str) -> str:
    """Returns the code of the page whose first line names this module."""
    [block] = [
        block
        for block in BLOCKS
        if block.document == SERVING and block.text.startswith(f"# {name}.py\n")
    ]
    return block.text


def module_of(name: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module(name)
    monkeypatch.delitem(sys.modules, name)
    return module


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vertex: VertexAi) -> ModuleType:
    """Returns the module of the deployer for Vertex AI."""
    # The last statement adds the component to the pipeline of the page.
    text, separator, _ = snippet("vertex_deployer").partition("\n\ndeployer = ")
    assert separator
    module = module_of("vertex_deployer", text, tmp_path, monkeypatch)
    monkeypatch.setattr(module, "aiplatform", vertex)
    return module


@pytest.fixture
def deploy(page: ModuleType) -> Callable[[str], None]:
    """Returns the function of the page that deploys a version."""
    return lambda version: page.deploy(f"gs://m/{version}", version, ENDPOINT, "image")


@pytest.mark.parametrize(("blessed", "deployed"), [(0, []), (1, ["penguin-7"])])
def test_the_component_is_gated(page: ModuleType, vertex: VertexAi, blessed: int, deployed: Any):
    pushed_model, blessing = standard_artifacts.PushedModel(), standard_artifacts.ModelBlessing()
    pushed_model.uri = "gs://m/7"
    pushed_model.set_string_custom_property("pushed_version", "7")
    blessing.set_int_custom_property("blessed", blessed)
    executor_class = page.VertexDeployer.EXECUTOR_SPEC.executor_class
    executor_class().Do(
        {"pushed_model": [pushed_model], "model_blessing": [blessing]},
        {},
        {"endpoint_name": ENDPOINT, "image": "image"},
    )
    assert [model.display_name for model in vertex.deployed] == deployed


def test_each_version_is_a_version_of_one_model(deploy: Callable[[str], None], vertex: VertexAi):
    for version in ("1", "2"):
        deploy(version)
    assert [model.parent_model for model in vertex.uploads] == [None, "models/7"]
    assert [model.artifact_uri for model in vertex.uploads] == ["gs://m/1", "gs://m/2"]
    assert [model.display_name for model in vertex.deployed] == ["penguin-2"]


def test_a_rerun_changes_nothing(deploy: Callable[[str], None], vertex: VertexAi):
    deploy("1")
    before = vertex.list_models()
    deploy("1")
    assert vertex.list_models() == before
    assert len(vertex.uploads) == 1


def test_a_retry_after_a_failure_uploads_nothing_twice(
    deploy: Callable[[str], None], vertex: VertexAi
):
    vertex.fails = True
    with pytest.raises(ConnectionError):
        deploy("1")
    vertex.fails = False
    deploy("1")
    assert len(vertex.uploads) == 1
    assert [model.display_name for model in vertex.deployed] == ["penguin-1"]


@pytest.mark.parametrize(("blessed", "annotations"), [(0, []), (1, ["7"])])
def test_the_patch_for_kserve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blessed: int, annotations: list[str]
):
    patches: list[dict[str, Any]] = []
    client = SimpleNamespace(patch_namespaced_custom_object=lambda **patch: patches.append(patch))
    kubernetes: Any = ModuleType("kubernetes")
    kubernetes.client = SimpleNamespace(CustomObjectsApi=lambda: client)
    kubernetes.config = SimpleNamespace(load_incluster_config=lambda: None)
    monkeypatch.setitem(sys.modules, "kubernetes", kubernetes)
    module = module_of("kserve_rollout", snippet("kserve_rollout"), tmp_path, monkeypatch)
    pushed_model, blessing = standard_artifacts.PushedModel(), standard_artifacts.ModelBlessing()
    pushed_model.set_string_custom_property("pushed_version", "7")
    blessing.set_int_custom_property("blessed", blessed)
    module.KServeRollout.EXECUTOR_SPEC.executor_class().Do(
        {"pushed_model": [pushed_model], "model_blessing": [blessing]},
        {},
        {"name": "penguin", "namespace": "models"},
    )
    found = [
        patch["body"]["spec"]["predictor"]["annotations"]["best-exporter/version"]
        for patch in patches
    ]
    assert found == annotations
    assert {(patch["namespace"], patch["name"]) for patch in patches} <= {("models", "penguin")}


def test_hugging_face_is_gated_by_the_exporter(monkeypatch: pytest.MonkeyPatch):
    given: dict[str, Any] = {}
    replaced: Any = ModuleType("tfx_addons.huggingface_pusher.component")
    replaced.HFPusher = lambda **arguments: given.update(arguments)
    for name in ("tfx_addons", "tfx_addons.huggingface_pusher"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, replaced.__name__, replaced)
    exporter = SimpleNamespace(outputs={"blessing": "the exporter's"})
    trainer = SimpleNamespace(outputs={"model": "the trainer's"})
    names = {"exporter": exporter, "trainer": trainer, "encrypted_token": "token"}
    exec(compile(snippet("hf_pusher"), SERVING, "exec"), names)
    assert (given["model"], given["model_blessing"]) == ("the trainer's", "the exporter's")
