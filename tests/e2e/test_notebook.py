"""InteractiveContext, which uses TFX's older driver interface, in cells of IPython."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from tfx.types import standard_artifacts

from tests.e2e import metadata
from tests.tfx_runs import write_evaluation

pytestmark = pytest.mark.e2e

SETUP = """
from tfx import v1 as tfx
from tfx.orchestration.experimental.interactive.interactive_context import InteractiveContext
from tfx.orchestration import metadata
from tfx_best_exporter.component import BestExporter

context = InteractiveContext(
    pipeline_name="notebook",
    pipeline_root=str(path / "pipeline_root"),
    metadata_connection_config=metadata.sqlite_metadata_connection_config(
        str(path / "metadata.sqlite")
    ),
)
"""

RUN = """
inputs = {}
for kind, artifact_type in artifact_types.items():
    importer = tfx.dsl.Importer(source_uri=str(path / name / kind), artifact_type=artifact_type)
    context.run(importer.with_id(f"{name}_{kind}"))
    inputs[kind] = importer.outputs["result"]
exporter = BestExporter(
    **inputs,
    push_destination={"filesystem": {"base_directory": str(path / "serving")}},
    exports_to_keep=1,
)
result = context.run(exporter)
"""


class Notebook:
    """Cells in an IPython shell. InteractiveContext runs nothing outside of IPython."""

    def __init__(self, shell: InteractiveShell, path: Path, write_model: Callable[..., Path]):
        self.path = path
        self._shell = shell
        self._write_model = write_model
        shell.push(
            {
                "path": path,
                "artifact_types": {
                    "model": standard_artifacts.Model,
                    "evaluation": standard_artifacts.ModelEvaluation,
                },
            }
        )
        self._run_cell(SETUP)

    def _run_cell(self, code: str) -> None:
        self._shell.run_cell(code).raise_error()

    def run(self, name: str, scale: float, loss: float) -> str:
        """Runs BestExporter on a model with this loss, and returns the reason of its decision."""
        self._write_model(self.path / name / "model" / "Format-Serving", scale)
        write_evaluation(self.path / name / "evaluation", {"loss": loss})
        self._shell.push({"name": name})
        self._run_cell(RUN)
        result: Any = self._shell.user_ns["result"]
        exporter: Any = self._shell.user_ns["exporter"]
        store = metadata.connect(self.path / "metadata.sqlite")
        [execution] = store.get_executions_by_id([result.execution_id])
        # The driver adds the fingerprint, so the cache key changes when the served model does.
        assert execution.properties["best_fingerprint"].string_value
        [artifact] = exporter.outputs["decision"].get()
        with capture_output() as shown:
            self._run_cell('context.show(exporter.outputs["decision"])')
        # The cell shows the URI of the artifact, and its report.
        assert len(shown.outputs) == 2
        assert "Decision of" in shown.outputs[1].data["text/html"]
        return json.loads(Path(artifact.uri, "decision.json").read_text())["reason"]

    def copies(self) -> list[str]:
        """Returns the execution IDs of the PushedModels that have files."""
        root = self.path / "pipeline_root" / "BestExporter" / "pushed_model"
        return sorted(path.parent.name for path in root.glob("*/saved_model.pb"))


# TFX's older driver calls a deprecated function of TFX.
@pytest.mark.filterwarnings("ignore:From .*matching_channel_name")
# InteractiveContext.show imports a deprecated name.
@pytest.mark.filterwarnings("ignore:Importing display from IPython:DeprecationWarning")
def test_in_a_notebook(shell: InteractiveShell, tmp_path: Path, write_model: Callable[..., Path]):
    notebook = Notebook(shell, tmp_path, write_model)
    assert notebook.run("first", scale=1.0, loss=0.5) == "FIRST_EXPORT"
    assert notebook.run("worse", scale=2.0, loss=0.6) == "NOT_BETTER"
    [first] = notebook.copies()
    assert notebook.run("better", scale=3.0, loss=0.4) == "BETTER"
    copies = notebook.copies()
    assert first in copies
    assert len(copies) == 2
    assert notebook.run("last", scale=4.0, loss=0.9) == "NOT_BETTER"
    # The driver deleted the copy of the first export, which was retired.
    assert notebook.copies() == [copy for copy in copies if copy != first]
