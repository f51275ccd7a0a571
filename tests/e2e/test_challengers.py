"""A pipeline on LocalDagRunner whose third run exports the model of the second one."""

import dataclasses
from pathlib import Path

import pytest
import tensorflow as tf
from google.protobuf import json_format, text_format
from tensorflow_model_analysis.proto import config_pb2
from tfx import v1 as tfx
from tfx.types import standard_artifacts

from tests import served_models
from tests.e2e import metadata
from tfx_best_exporter.component import BestExporter
from tfx_best_exporter.executor.policies import compare_policy, larger
from tfx_best_exporter.proto import best_exporter_pb2 as pb

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

EVAL_CONFIG = """
    model_specs { signature_name: "serving_default" label_key: "label" prediction_key: "above" }
    slicing_specs {}
    metrics_specs {
      metrics { class_name: "ExampleCount" }
      metrics { class_name: "BinaryAccuracy" }
    }
    options { compute_confidence_intervals { value: true } }
"""
POLICY = compare_policy(larger("binary_accuracy", alpha=0.05, challengers=2))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Work:
    """A pipeline whose models and examples are written by the test."""

    path: Path

    @property
    def base(self) -> Path:
        return self.path / "serving"

    def model(self, name: str, threshold: float) -> Path:
        path = self.path / "models" / name
        if not path.exists():
            served_models.write_model(path / "Format-Serving", threshold)
        return path

    def run(
        self, name: str, threshold: float, count: int
    ) -> tuple[metadata.Run, pb.ExportDecision]:
        """Runs the pipeline for a model on its own examples.

        Args:
            name: Name of the model.
            threshold: Threshold of the model. Its accuracy is 1 minus the distance from 0.5.
            count: Number of examples; other numbers are other data.
        """
        examples_path = self.path / "examples" / str(count)
        if not examples_path.exists():
            served_models.write_examples(examples_path, count)
            # ExampleGen would divide an only split into two.
            served_models.write_examples(examples_path, 10, split="train")
        example_gen = tfx.components.ImportExampleGen(
            input_base=str(examples_path),
            input_config=tfx.proto.Input(
                splits=[
                    tfx.proto.Input.Split(name=name, pattern=f"Split-{name}/*")
                    for name in ("train", "eval")
                ]
            ),
        )
        model = tfx.dsl.Importer(
            source_uri=str(self.model(name, threshold)),
            artifact_type=standard_artifacts.Model,
            custom_properties={"tfx_version": "1.21.0"},
        ).with_id("Model")
        evaluator = tfx.components.Evaluator(
            examples=example_gen.outputs["examples"],
            model=model.outputs["result"],
            eval_config=text_format.Parse(EVAL_CONFIG, config_pb2.EvalConfig()),
        )
        exporter = BestExporter(
            model=model.outputs["result"],
            evaluation=evaluator.outputs["evaluation"],
            examples=example_gen.outputs["examples"],
            compare_policy=POLICY,
            push_destination=tfx.proto.PushDestination(
                filesystem=tfx.proto.PushDestination.Filesystem(base_directory=str(self.base))
            ),
        )
        tfx.orchestration.LocalDagRunner().run(
            tfx.dsl.Pipeline(
                pipeline_name="challengers",
                pipeline_root=str(self.path / "root"),
                components=[example_gen, model, evaluator, exporter],
                enable_cache=True,
                metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
                    str(self.path / "metadata.sqlite")
                ),
                beam_pipeline_args=["--direct_running_mode=in_memory", "--direct_num_workers=1"],
            )
        )
        run = metadata.read_runs(metadata.connect(self.path / "metadata.sqlite"))[-1]
        [decision] = run.nodes["BestExporter"].outputs["decision"]
        text = (Path(decision.uri) / "decision.json").read_text()
        return run, json_format.Parse(text, pb.ExportDecision())


def answer(directory: Path) -> list[float]:
    """Returns the answers of a model for numbers around the thresholds."""
    model = tf.saved_model.load(str(directory))
    examples = []
    for x in (0.56, 0.58, 0.59, 0.62):
        example = tf.train.Example()
        example.features.feature["x"].float_list.value.append(x)
        examples.append(example.SerializeToString())
    answers = model.signatures["serving_default"](examples=tf.constant(examples))
    return answers["above"].numpy().ravel().tolist()


@pytest.mark.filterwarnings("ignore")
def test_third_run_exports_the_model_of_the_second_one(tmp_path: Path):
    work = Work(path=tmp_path)
    _, first = work.run("best", 0.60, 100)
    assert first.reason == pb.ExportDecision.FIRST_EXPORT
    second_run, second = work.run("older", 0.585, 200)
    assert second.reason == pb.ExportDecision.KEPT_AS_CHALLENGER, second.explanation
    third_run, third = work.run("newer", 0.61, 400)
    assert third.reason == pb.ExportDecision.CHALLENGER_BETTER, third.explanation
    # The pipeline has no blessing.
    assert [each for each in third.warnings if "was not validated" not in each] == []
    assert third.exported_challenger.uri == str(work.model("older", 0.585))
    assert third.candidate.uri == str(work.model("newer", 0.61))
    assert len(third.challenger_evidence.standings[0].runs) == 2
    # The files are those of the second run's model, in the base directory and for the pipeline.
    exporter = third_run.nodes["BestExporter"]
    [pushed_model] = exporter.outputs["pushed_model"]
    for directory in (work.base / str(third.version), Path(pushed_model.uri)):
        assert answer(directory) == [0.0, 0.0, 1.0, 1.0]
    properties = exporter.properties("pushed_model")
    assert properties["pushed"] == 1
    assert properties["pushed_version"] == str(third.version)
    assert properties["exported_model"] == third.exported_challenger.uri
    assert properties["exported_model_run"] == second.provenance.run_id
    assert second.provenance.run_id == second_run.run_id
    # The candidate of this run is not what is served.
    assert exporter.properties("blessing")["blessed"] == 0
    # The same inputs again: the state has changed, so the cache does not answer, and nothing is
    # exported again.
    again_run, again = work.run("newer", 0.61, 400)
    assert again_run.states["Evaluator"] == "CACHED"
    assert again_run.states["BestExporter"] == "COMPLETE"
    assert not again.exported
    assert again.best.version == third.version
