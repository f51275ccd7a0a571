"""The story of a week at the desk, with a pipeline on LocalDagRunner and its ML Metadata."""

from __future__ import annotations

import collections
import time
from pathlib import Path

import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx import v1 as tfx
from tfx.types import standard_artifacts

from tests.conftest import WriteModel
from tests.e2e import metadata
from tests.story import Story, tell
from tests.tfx_runs import read_decision, write_evaluation
from tfx_best_exporter.component import BestExporter
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.proto import best_exporter_pb2 as pb

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SCALES = {"A": 1.0, "B": 2.0, "C": 3.0, "D": 4.0, "E": 5.0}


class Pipeline:
    """A pipeline that imports a model, its evaluation and its blessing, with the cache enabled."""

    def __init__(self, root: Path, write_model: WriteModel):
        self.base_path = root / "serving"
        self._root = root
        self._write_model = write_model
        self._metadata_path = root / "metadata.sqlite"

    def model(self, name: str) -> Path:
        """Returns the directory of a Model artifact."""
        path = self._root / "models" / name
        if not path.exists():
            self._write_model(path / "Format-Serving", SCALES[name])
        return path

    def run(self, name: str, loss: float) -> pb.ExportDecision:
        """Runs the pipeline once, and returns the decision."""
        model_path = self.model(name)
        evaluation_path = self._root / "evaluations" / name
        if not evaluation_path.exists():
            write_evaluation(evaluation_path, {"loss": loss})
        blessing_path = self._root / "blessings" / name
        blessing_path.mkdir(parents=True, exist_ok=True)
        model = tfx.dsl.Importer(
            source_uri=str(model_path), artifact_type=standard_artifacts.Model
        ).with_id("Model")
        evaluation = tfx.dsl.Importer(
            source_uri=str(evaluation_path), artifact_type=standard_artifacts.ModelEvaluation
        ).with_id("Evaluation")
        blessing = tfx.dsl.Importer(
            source_uri=str(blessing_path),
            artifact_type=standard_artifacts.ModelBlessing,
            custom_properties={"blessed": 1},
        ).with_id("Blessing")
        exporter = BestExporter(
            model=model.outputs["result"],
            evaluation=evaluation.outputs["result"],
            model_blessing=blessing.outputs["result"],
            push_destination={"filesystem": {"base_directory": str(self.base_path)}},
            exports_to_keep=None,
        )
        pipeline = tfx.dsl.Pipeline(
            pipeline_name="penguin",
            pipeline_root=str(self._root / "pipeline"),
            components=[model, evaluation, blessing, exporter],
            enable_cache=True,
            metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
                str(self._metadata_path)
            ),
        )
        tfx.orchestration.LocalDagRunner().run(pipeline)
        [artifact] = self.runs()[-1].nodes["BestExporter"].outputs["decision"]
        return read_decision(artifact)

    def runs(self) -> list[metadata.Run]:
        """Returns the runs in ML Metadata, oldest first."""
        return metadata.read_runs(metadata.connect(self._metadata_path))

    def states(self) -> dict[str, set[str]]:
        """Returns the states of the PushedModels of each version."""
        store = metadata.connect(self._metadata_path)
        found: dict[str, set[str]] = collections.defaultdict(set)
        for artifact in store.get_artifacts_by_type("PushedModel"):
            version = artifact.custom_properties["pushed_version"].string_value
            found[version].add(mlmd.Artifact.State.Name(artifact.state))
        return found


def test_story(tmp_path: Path, write_model: WriteModel) -> None:
    pipeline = Pipeline(tmp_path, write_model)
    base = location_of(pipeline.base_path)
    story = Story(base, pipeline.run)
    tell(story, str(pipeline.model("E") / "Format-Serving"), time.time)
    runs = pipeline.runs()
    # No cache hides a rollback, a hold, a release or a promotion from a run.
    assert [run.states["BestExporter"] for run in runs] == ["COMPLETE"] * 7

    # The next run brings the operations to ML Metadata.
    assert story.run("D", 0.2) == "NOT_COMPARABLE"
    states = pipeline.states()
    assert {name: states[str(version)] for version, name in story.names.items()} == {
        "A": {"LIVE"},
        "B": {"DELETED"},
        "C": {"DELETED"},
        "D": {"DELETED"},
        "promoted": {"LIVE"},
    }
