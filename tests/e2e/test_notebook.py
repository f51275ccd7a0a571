"""The launcher of InteractiveContext, which knows the older contract of drivers.

InteractiveContext itself needs Jupyter; its `run` does what `launch` does here.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tfx import v1 as tfx
from tfx.dsl.components.base.base_node import BaseNode
from tfx.orchestration import data_types, metadata
from tfx.orchestration.launcher.in_process_component_launcher import InProcessComponentLauncher
from tfx.types import standard_artifacts

from tests.tfx_runs import write_evaluation
from tfx_best_exporter.component import BestExporter

pytestmark = pytest.mark.e2e

_ARTIFACT_TYPES = {
    "model": standard_artifacts.Model,
    "evaluation": standard_artifacts.ModelEvaluation,
}


class Notebook:
    def __init__(self, path: Path, write_model: Callable[..., Path]):
        self.path = path
        self._write_model = write_model
        self._metadata = metadata.Metadata(
            metadata.sqlite_metadata_connection_config(str(path / "metadata.sqlite"))
        )

    def launch(self, component: BaseNode, run_id: str) -> Any:
        return InProcessComponentLauncher.create(
            component,
            data_types.PipelineInfo(
                pipeline_name="notebook",
                pipeline_root=str(self.path / "pipeline_root"),
                run_id=run_id,
            ),
            data_types.DriverArgs(enable_cache=True, interactive_resolution=True),
            self._metadata,
            [],
            {},
        ).launch()

    def run(self, name: str, scale: float, loss: float) -> str:
        """Returns the reason that BestExporter gives for a model with this loss."""
        self._write_model(self.path / name / "model" / "Format-Serving", scale)
        write_evaluation(self.path / name / "evaluation", {"loss": loss})
        inputs = {}
        for kind, artifact_type in _ARTIFACT_TYPES.items():
            importer = tfx.dsl.Importer(
                source_uri=str(self.path / name / kind), artifact_type=artifact_type
            ).with_id(f"{name}_{kind}")
            self.launch(importer, name)
            inputs[kind] = importer.outputs["result"]
        exporter = BestExporter(
            **inputs,
            push_destination={"filesystem": {"base_directory": str(self.path / "serving")}},
            exports_to_keep=1,
        )
        execution = self.launch(exporter, name)
        assert execution.exec_properties["best_fingerprint"]
        [artifact] = execution.output_dict["decision"]
        return json.loads(Path(artifact.uri, "decision.json").read_text())["reason"]

    def copies(self) -> list[str]:
        """Returns the PushedModels that have files, by execution."""
        root = self.path / "pipeline_root" / "BestExporter" / "pushed_model"
        return sorted(path.parent.name for path in root.glob("*/saved_model.pb"))


# What TFX's older driver calls of TFX.
@pytest.mark.filterwarnings("ignore:From .*matching_channel_name")
def test_in_a_notebook(tmp_path: Path, write_model: Callable[..., Path]):
    notebook = Notebook(tmp_path, write_model)
    assert notebook.run("first", scale=1.0, loss=0.5) == "FIRST_EXPORT"
    assert notebook.run("worse", scale=2.0, loss=0.6) == "NOT_BETTER"
    [first] = notebook.copies()
    assert notebook.run("better", scale=3.0, loss=0.4) == "BETTER"
    copies = notebook.copies()
    assert first in copies
    assert len(copies) == 2
    assert notebook.run("last", scale=4.0, loss=0.9) == "NOT_BETTER"
    # The driver deleted the copy of the first one, which had been retired.
    assert notebook.copies() == [copy for copy in copies if copy != first]
