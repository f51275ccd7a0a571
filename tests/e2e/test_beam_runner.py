"""A pipeline on BeamDagRunner, with ML Metadata on SQLite."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tfx import v1 as tfx
from tfx.dsl.components.base.base_node import BaseNode
from tfx.orchestration import data_types
from tfx.orchestration.beam.beam_dag_runner import BeamDagRunner
from tfx.types import standard_artifacts

from tests.e2e import metadata
from tests.tfx_runs import write_evaluation
from tfx_best_exporter.component import BestExporter

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.mark.filterwarnings("ignore")
def test_on_beam(tmp_path: Path, write_model: Callable[..., Path]):
    base_directory = str(tmp_path / "serving")
    destination = {"filesystem": {"base_directory": base_directory}}

    def run(
        name: str, scale: float, loss: float, push_destination: Any, *others: BaseNode
    ) -> metadata.NodeRun:
        write_model(tmp_path / name / "model" / "Format-Serving", scale)
        write_evaluation(tmp_path / name / "evaluation", {"loss": loss})
        importers = {
            kind: tfx.dsl.Importer(
                source_uri=str(tmp_path / name / kind), artifact_type=artifact_type
            ).with_id(kind)
            for kind, artifact_type in (
                ("model", standard_artifacts.Model),
                ("evaluation", standard_artifacts.ModelEvaluation),
            )
        }
        exporter = BestExporter(
            importers["model"].outputs["result"],
            importers["evaluation"].outputs["result"],
            push_destination,
            exports_to_keep=1,
        )
        pipeline = tfx.dsl.Pipeline(
            pipeline_name="on_beam",
            pipeline_root=str(tmp_path / "root"),
            components=[*others, *importers.values(), exporter],
            metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
                str(tmp_path / "metadata.sqlite")
            ),
        )
        BeamDagRunner().run(pipeline)
        runs = metadata.read_runs(metadata.connect(tmp_path / "metadata.sqlite"))
        return runs[-1].nodes["BestExporter"]

    # Two values are known only at run time: the default of a parameter, and the output of a node.
    parameter = data_types.RuntimeParameter("base-directory", ptype=str, default=base_directory)
    text = tfx.dsl.Importer(
        source_uri=str(tmp_path / "text"), artifact_type=standard_artifacts.String
    ).with_id("text")
    (tmp_path / "text").write_text(base_directory)
    value = text.outputs["result"].future()[0].value
    nodes = [
        run("first", 1.0, 0.5, destination),
        run("worse", 2.0, 0.6, parameter),
        run("better", 3.0, 0.4, value, text),
    ]
    assert [node.state for node in nodes] == ["COMPLETE"] * 3
    assert [node.properties("decision")["reason"] for node in nodes] == [
        "FIRST_EXPORT",
        "NOT_BETTER",
        "BETTER",
    ]
    assert [node.properties("decision")["number_retired"] for node in nodes] == [0, 0, 1]
    # The driver adds the fingerprint, so the cache key changes when the served model does.
    fingerprints = [
        node.execution.custom_properties["best_fingerprint"].string_value for node in nodes
    ]
    assert fingerprints[0] != fingerprints[1] == fingerprints[2]
