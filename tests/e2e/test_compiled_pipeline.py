"""The runs of the demo in the containers of the compiled pipeline."""

from pathlib import Path

import pytest
from google.protobuf import json_format
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipelines import compiled, demo, penguin_pipeline
from pipelines.local_pipeline import WorkDirectory
from tests.containers import launcher
from tests.containers.launcher import Artifact, Step
from tests.containers.processes import Containers
from tests.e2e import metadata
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.proto import best_exporter_pb2 as pb

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

# Inputs of BestExporter, with the nodes and outputs that they come from.
INPUTS = {
    "model": ("Trainer", "model"),
    "evaluation": ("Evaluator", "evaluation"),
    "model_blessing": ("Evaluator", "blessing"),
    "examples": ("ImportExampleGen", "examples"),
}


def as_input(run: metadata.Run, node: str, output: str) -> Artifact:
    """Returns an artifact as a container receives it: numbers in JSON are floats."""
    [artifact] = run.nodes[node].outputs[output]
    properties = run.nodes[node].properties(output)
    return Artifact(
        uri=artifact.uri,
        properties={
            name: float(value) if isinstance(value, int) else value
            for name, value in properties.items()
        },
    )


def said(decision: pb.ExportDecision) -> dict[str, object]:
    """Returns the parts of a decision that do not depend on the base directory."""
    return {
        "reason": pb.ExportDecision.Reason.Name(decision.reason),
        "explanation": decision.explanation.replace(str(decision.version), "<version>"),
        "exported": decision.exported,
        "candidate": decision.candidate.digest,
        "best": decision.best.model.digest,
        "comparisons": [json_format.MessageToDict(item) for item in decision.comparisons],
        "retired": [item.why for item in decision.retired],
        "kept": [item.why for item in decision.kept],
        "warnings": list(decision.warnings),
    }


def test_the_story_in_containers(
    tmp_path: Path,
    work_directory: WorkDirectory,
    story: list[pb.ExportDecision],
    containers: Containers,
):
    base_directory = tmp_path / "serving"
    job = compiled.compile_job(
        {
            "image": "tfx-best-exporter",
            "pipeline_root": str(tmp_path / "root"),
            "base_directory": str(base_directory),
            "data_root": penguin_pipeline.penguin_data_root(),
            "exports_to_keep": demo.EXPORTS_TO_KEEP,
            "enable_cache": True,
        }
    )
    step = Step.of(job, compiled.EXPORTER_ID)
    runs = metadata.read_runs(metadata.connect(work_directory.metadata_path))[: len(story)]
    decisions = []
    for number, run in enumerate(runs):
        output_path = tmp_path / str(number) / "output_metadata.json"
        executor_input = step.executor_input(
            {name: as_input(run, *producer) for name, producer in INPUTS.items()},
            flavor=launcher.NEWEST_KUBEFLOW,
            outputs_uri=str(tmp_path / "root" / str(number)),
            output_file=str(output_path),
        )
        ended = containers.run(step.command(executor_input), {})
        assert ended.code == 0, ended.log
        outputs = launcher.read_executor_output(output_path.read_text())
        text = Path(outputs["decision"]["uri"], "decision.json").read_text()
        decisions.append(json_format.Parse(text, pb.ExportDecision()))
        metrics = {
            f"candidate_metric_{item.key.name}": item.value
            for item in story[number].candidate_evaluation.metrics
        }
        assert metrics
        assert metrics.items() <= outputs["decision"]["metadata"].items()
    assert len(decisions) == len(demo.STORY) == 5
    assert [said(decision) for decision in decisions] == [said(decision) for decision in story]
    for number, step_of_story in enumerate(demo.STORY):
        demo.check_decision(step_of_story, number + 1, decisions[number])
    # The same exports are kept, with other versions: those of the third and the fourth run.
    exports = ExportDirectory(location_of(base_directory)).exports()
    assert [export.version for export in exports] == [
        decisions[2].version,
        decisions[3].version,
    ]
    # Without a driver, the PushedModel of a retired export is not deleted.
    [retired] = runs[0].nodes["BestExporter"].outputs["pushed_model"]
    assert mlmd.Artifact.State.Name(retired.state) == "DELETED"
    assert (tmp_path / "root" / "0" / "pushed_model" / "saved_model.pb").exists()
