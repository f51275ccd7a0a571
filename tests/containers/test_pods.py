"""Runs BestExporter's step in pods of Kubeflow Pipelines, with minio:// as the pipeline root."""

import dataclasses
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from tests.conftest import WriteModel
from tests.containers import components, pods
from tests.containers.conftest import BUCKET as S3_BUCKET
from tests.containers.conftest import as_other, compile_step
from tests.containers.launcher import NEWEST_KUBEFLOW, Artifact, Step, local_path
from tests.containers.pods import Cluster
from tests.containers.processes import Containers
from tests.servers import environment_of
from tests.tfx_runs import write_evaluation
from tfx_best_exporter.proto import best_exporter_pb2 as pb

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not pods.has_folders(), reason="only root can make the folder /minio"),
]

INPUTS = ("model", "evaluation", "model_blessing")


@pytest.fixture(scope="module")
def cluster(containers: Containers) -> Iterator[Cluster]:
    # The name is also that of a local folder, which parallel tests must not share.
    with pods.cluster(f"pods-{uuid.uuid4().hex}", NEWEST_KUBEFLOW, containers) as result:
        yield result


@pytest.fixture
def step(tmp_path: Path) -> Step:
    destination = {"filesystem": {"base_directory": str(tmp_path / "serving")}}
    return compile_step(tmp_path / "compiled", INPUTS, push_destination=destination)


@pytest.fixture
def candidate(cluster: Cluster, write_model: WriteModel, tmp_path: Path) -> dict[str, Artifact]:
    name = uuid.uuid4().hex
    write_model(tmp_path / "model" / "Format-Serving")
    write_evaluation(tmp_path / "evaluation", {"loss": 0.5})
    (tmp_path / "blessing").mkdir()
    (tmp_path / "blessing" / "BLESSED").touch()
    uris = {key: cluster.put(tmp_path / key, f"{name}/{key}") for key in ("model", "evaluation")}
    blessing_uri = cluster.put(tmp_path / "blessing", f"{name}/blessing")
    return {
        **{key: Artifact(uri=uri) for key, uri in uris.items()},
        "model_blessing": Artifact(uri=blessing_uri, properties={"blessed": 1.0}),
    }


def record_in(base_path: Path) -> dict[str, Any]:
    [path] = base_path.glob("*/assets.extra/best_exporter/record.json")
    return json.loads(path.read_text())


def strings_of(value: Any) -> Iterator[str]:
    """Yields all strings in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from strings_of(each)


def test_everything_that_is_stored_has_uris(
    cluster: Cluster, step: Step, candidate: dict[str, Artifact], tmp_path: Path
):
    pod = cluster.run_step(step, candidate)
    assert pod.ended.code == 0, pod.ended.log
    assert pod.outputs.keys() >= {"pushed_model", "decision", "executor-logs"}
    pushed_model = pod.outputs["pushed_model"]
    assert pushed_model.uri.startswith("minio://")
    assert pushed_model.properties["pushed"] == 1.0
    record = record_in(tmp_path / "serving")
    assert record["model"]["uri"] == candidate["model"].uri
    assert record["evaluation"]["uri"] == candidate["evaluation"].uri
    assert record["pushed_model_uri"] == pushed_model.uri
    decision = json.loads(cluster.read(f"{pod.outputs['decision'].uri}/decision.json"))
    stored = [record, decision, *(artifact.properties for artifact in pod.outputs.values())]
    assert [text for text in strings_of(stored) if "/minio/" in text] == []
    files = cluster.keys(pushed_model.uri.split("/", 3)[3])
    assert any(name.endswith("/saved_model.pb") for name in files)


def test_a_base_directory_in_another_store(
    cluster: Cluster, candidate: dict[str, Artifact], s3_url: str, tmp_path: Path
):
    """The pod has the credentials of the base directory, but none of the pipeline root."""
    name = uuid.uuid4().hex
    destination = {"filesystem": {"base_directory": f"s3://{S3_BUCKET}/{name}"}}
    step = compile_step(tmp_path / "compiled", INPUTS, push_destination=destination)
    secrets = environment_of("s3", s3_url)
    reasons = []
    for _ in range(2):
        pod = cluster.run_step(step, candidate, secrets)
        assert pod.ended.code == 0, pod.ended.log
        assert pod.outputs["pushed_model"].uri.startswith("minio://")
        reasons.append(pod.outputs["decision"].properties["reason"])
    assert reasons == ["FIRST_EXPORT", "ALREADY_BEST"]
    # Without the credentials, nothing can be known about the base directory.
    assert cluster.run_step(step, candidate).ended.code == 1


def test_the_explanation_has_uris(cluster: Cluster, step: Step, candidate: dict[str, Artifact]):
    blessing = Artifact(uri=candidate["model_blessing"].uri, properties={"blessed": 0.0})
    pod = cluster.run_step(step, {**candidate, "model_blessing": blessing})
    assert pod.ended.code == 0, pod.ended.log
    assert f" {blessing.uri} " in pod.outputs["decision"].properties["explanation"]


def test_a_retried_step(
    cluster: Cluster, step: Step, candidate: dict[str, Artifact], tmp_path: Path
):
    """The first attempt has exported, and its pod was lost before the launcher's upload."""
    first = cluster.run_step(step, candidate)
    again = cluster.run(step, first.executor_input)
    assert again.ended.code == 0, again.ended.log
    assert len([each for each in (tmp_path / "serving").iterdir() if each.name.isdecimal()]) == 1
    uri = again.outputs["decision"].uri
    decision = json_format.Parse(cluster.read(f"{uri}/decision.json"), pb.ExportDecision())
    assert pb.ExportDecision.Reason.Name(decision.reason) == "ALREADY_BEST"
    assert again.outputs["pushed_model"].properties["pushed"] == 1.0


# Other components.


@pytest.mark.parametrize(
    ("executor", "words"),
    [
        (components.Recorder, []),
        (components.BeamRecorder, ["--runner=DirectRunner"]),
        # TFX's compiler passes the arguments of Beam to all components.
        (components.Recorder, ["--runner=DataflowRunner"]),
    ],
)
def test_another_component(
    cluster: Cluster, step: Step, candidate: dict[str, Artifact], executor: type, words: list[str]
):
    pod = cluster.run_step(as_other(step, executor, *words), candidate)
    assert pod.ended.code == 0, pod.ended.log
    output = pod.outputs["decision"]
    read = json.loads(cluster.read(f"{output.uri}/inputs.json"))
    assert read == {name: local_path(each.uri) for name, each in candidate.items()}
    assert output.uri.startswith("minio://")
    properties = dict(output.properties)
    assert properties.pop("tfx_version")
    assert properties == {
        "path": f"{candidate['model'].uri}/Format-Serving",
        "number": 7.0,
        # The metadata store wraps lists, and a later step unwraps them.
        "list": {"list": [1, "a"]},
    }


def test_another_component_whose_workers_cannot_read_the_folders(
    cluster: Cluster, step: Step, candidate: dict[str, Artifact]
):
    other = as_other(step, components.BeamRecorder, "--runner=DataflowRunner")
    pod = cluster.run_step(other, candidate)
    assert pod.ended.code == 1
    last_line = pod.ended.log.rstrip().splitlines()[-1]
    assert last_line.startswith("ValueError: beam_pipeline_args must name a local runner ")


def test_a_second_evaluation_whose_workers_cannot_read_the_folders(
    cluster: Cluster, candidate: dict[str, Artifact], tmp_path: Path
):
    destination = {"filesystem": {"base_directory": str(tmp_path / "serving")}}
    step = compile_step(tmp_path / "compiled", [*INPUTS, "examples"], push_destination=destination)
    words = [*step.container["args"], "--runner=DataflowRunner"]
    other = dataclasses.replace(step, container={**step.container, "args": words})
    examples = Artifact(uri=f"{candidate['model'].uri}/examples")
    pod = cluster.run_step(other, {**candidate, "examples": examples})
    assert pod.ended.code == 1
    last_line = pod.ended.log.rstrip().splitlines()[-1]
    assert last_line.startswith("ValueError: beam_pipeline_args must name a local runner ")
    assert not (tmp_path / "serving").exists()


def test_a_runner_elsewhere_without_examples(
    cluster: Cluster, step: Step, candidate: dict[str, Artifact]
):
    """BestExporter runs Beam only to evaluate the best on examples."""
    words = [*step.container["args"], "--runner=DataflowRunner"]
    other = dataclasses.replace(step, container={**step.container, "args": words})
    pod = cluster.run_step(other, candidate)
    assert pod.ended.code == 0, pod.ended.log
