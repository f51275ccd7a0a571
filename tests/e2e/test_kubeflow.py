"""The penguin pipeline in pods of Kubeflow Pipelines, with minio:// as the pipeline root.

The steps have no credentials of the object store behind minio://. `make test-kubeflow` runs these
tests, and `make test` does not.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from pipelines import compiled, demo, penguin_pipeline
from tests.containers import launcher, pods
from tests.containers.pods import Cluster, Pod
from tests.containers.processes import Containers
from tfx_best_exporter.proto import best_exporter_pb2 as pb

pytestmark = [pytest.mark.e2e, pytest.mark.kubeflow]

# The name is also that of a local folder.
BUCKET = "mlpipeline-best-exporter-test"


@pytest.fixture(scope="module")
def cluster(containers: Containers) -> Iterator[Cluster]:
    with pods.cluster(BUCKET, launcher.NEWEST_KUBEFLOW, containers) as result:
        yield result


def compile_job(tmp_path: Path, epochs: int) -> dict[str, Any]:
    return compiled.compile_job(
        {
            "image": "tfx-best-exporter",
            # TFX's compiler writes the wheel of the trainer module here. Runs have another root.
            "pipeline_root": str(tmp_path / "root"),
            "base_directory": str(tmp_path / "serving"),
            "data_root": penguin_pipeline.penguin_data_root(),
            "exports_to_keep": demo.EXPORTS_TO_KEEP,
            "enable_cache": True,
            "epochs": epochs,
        }
    )


def without_examples(job: dict[str, Any], base_path: Path) -> dict[str, Any]:
    """Returns a pipeline whose BestExporter compares recorded evaluations."""
    spec = job["pipelineSpec"]
    del spec["components"][compiled.EXPORTER_ID]["inputDefinitions"]["artifacts"]["examples"]
    task = spec["root"]["dag"]["tasks"][compiled.EXPORTER_ID]
    del task["inputs"]["artifacts"]["examples"]
    destination = {"filesystem": {"base_directory": str(base_path)}}
    task["inputs"]["parameters"]["push_destination"] = {
        "runtimeValue": {"constant": json.dumps(destination)}
    }
    return job


def decision_of(cluster: Cluster, pod: Pod) -> pb.ExportDecision:
    content = cluster.read(f"{pod.outputs['decision'].uri}/decision.json")
    return json_format.Parse(content, pb.ExportDecision())


def said(decision: pb.ExportDecision) -> dict[str, Any]:
    """Returns the parts of a decision that runners share."""
    return {
        "reason": pb.ExportDecision.Reason.Name(decision.reason),
        "exported": decision.exported,
        "kept": [each.why for each in decision.kept],
        "retired": [each.why for each in decision.retired],
        "candidate": {
            each.key.name: pytest.approx(each.value, rel=1e-3)
            for each in decision.candidate_evaluation.metrics
        },
    }


def test_the_story(cluster: Cluster, tmp_path: Path, story: list[pb.ExportDecision]):
    outputs: dict[str, Any] = {}
    outputs_by_epochs: dict[int, Any] = {}
    decisions: list[pb.ExportDecision] = []
    for step in demo.STORY:
        # The cache of Kubeflow repeats the outputs of steps with the same inputs.
        known = outputs_by_epochs.get(
            step.epochs, {name: each for name, each in outputs.items() if "ExampleGen" in name}
        )
        ran = cluster.run_pipeline(compile_job(tmp_path, step.epochs), known)
        outputs = known | {name: pod.outputs for name, pod in ran.items()}
        exporter = ran.pop(compiled.EXPORTER_ID)
        del outputs[compiled.EXPORTER_ID]
        outputs_by_epochs[step.epochs] = outputs
        decisions.append(decision_of(cluster, exporter))
    for number, (step, decision) in enumerate(zip(demo.STORY, decisions, strict=True), 1):
        demo.check_decision(step, number, decision)
        # Each later candidate was compared on its own examples.
        assert list(decision.warnings) == []
    assert [said(decision) for decision in decisions] == [said(each) for each in story]
    assert decisions[1].basis == pb.ExportDecision.EVALUATED_AGAIN
    names = {path.name for path in (tmp_path / "serving").iterdir() if path.name.isdecimal()}
    assert names == {str(decision.version) for decision in decisions[2:4]}

    # The same candidates without examples.
    first, worse, better = (step.epochs for step in demo.STORY[:3])
    job = without_examples(compile_job(tmp_path, first), tmp_path / "serving_2")
    reasons = []
    for epochs in (first, worse, better):
        ran = cluster.run_pipeline(job, outputs_by_epochs[epochs])
        decision = decision_of(cluster, ran[compiled.EXPORTER_ID])
        reasons.append(pb.ExportDecision.Reason.Name(decision.reason))
    assert reasons == [step.reason for step in demo.STORY[:3]]
