"""Complete pipelines on LocalDagRunner, with ML Metadata on SQLite."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from google.protobuf import json_format
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx import v1 as tfx
from tfx.dsl.components.base.base_node import BaseNode

from pipelines import penguin_pipeline
from pipelines.local_pipeline import WorkDirectory, run_once
from pipelines.penguin import trainer_module
from tests.e2e import metadata
from tfx_best_exporter.component import BestExporter
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.proto import best_exporter_pb2 as pb

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

NODES = ["ImportExampleGen", "Trainer", "Resolver", "Evaluator", "BestExporter"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finished:
    """All runs of one pipeline, in order."""

    work_directory: WorkDirectory
    decisions: list[pb.ExportDecision]
    runs: list[metadata.Run]


@pytest.fixture(scope="session")
def finished(work_directory: WorkDirectory, story: list[pb.ExportDecision]) -> Finished:
    """Returns the demo's five runs, and two more: the last model again, and a worse one again."""
    again = [
        run_once(work_directory, hyperparameters={"epochs": epochs}, exports_to_keep=2).decision
        for epochs in (80, 10)
    ]
    return Finished(
        work_directory=work_directory,
        decisions=[*story, *again],
        runs=metadata.read_runs(metadata.connect(work_directory.metadata_path)),
    )


def penguins() -> tf.Tensor:
    files = tf.io.gfile.glob(f"{penguin_pipeline.penguin_data_root()}/Split-eval/*")
    return tf.stack(list(tf.data.TFRecordDataset(files, compression_type="GZIP")))


def test_what_was_decided(finished: Finished):
    assert [pb.ExportDecision.Reason.Name(each.reason) for each in finished.decisions] == [
        "FIRST_EXPORT",
        "NOT_BETTER",
        "BETTER",
        "BETTER",
        "ALREADY_BEST",
        "ALREADY_BEST",
        "NOT_BETTER",
    ]


def test_every_execution_ended(finished: Finished):
    states = [run.states["BestExporter"] for run in finished.runs]
    assert states == ["COMPLETE"] * 5 + ["CACHED", "COMPLETE"]
    for run in finished.runs:
        assert sorted(run.nodes) == sorted(NODES)
        assert set(run.states.values()) <= {"COMPLETE", "CACHED"}


def test_best_and_candidate_are_evaluated_together(finished: Finished):
    first, *others = finished.decisions
    assert first.basis == pb.ExportDecision.BASIS_UNSPECIFIED
    for decision in others:
        if decision.reason != pb.ExportDecision.ALREADY_BEST:
            assert decision.basis == pb.ExportDecision.SAME_EVALUATION
            assert decision.best.evaluation.uri == decision.candidate_evaluation.uri
            assert decision.best.evaluation.data == decision.candidate_evaluation.data
    # The examples are the same as when the best was the candidate, and so is its loss.
    [best_loss] = [each.best for each in finished.decisions[2].comparisons]
    [loss] = [each.candidate for each in first.comparisons]
    assert best_loss == pytest.approx(loss)


def test_the_cache_is_hit_unless_the_best_has_changed(finished: Finished):
    states = [[run.states[node] for node in NODES] for run in finished.runs]
    # A resolver runs in every run. The model is the same, but it is now the best, so Evaluator has
    # another baseline.
    assert states[4] == ["CACHED", "CACHED", "COMPLETE", "COMPLETE", "COMPLETE"]
    # The model and the best are the same.
    assert states[5] == ["CACHED", "CACHED", "COMPLETE", "CACHED", "CACHED"]
    # The model is that of the second run, but the best is another one.
    assert states[6] == ["CACHED", "CACHED", "COMPLETE", "COMPLETE", "COMPLETE"]


def test_each_run_has_one_pushed_model_and_one_decision(finished: Finished):
    for run in finished.runs:
        outputs = run.nodes["BestExporter"].outputs
        assert sorted(outputs) == ["blessing", "decision", "pushed_model"]
        assert [artifact.type for artifact in outputs["decision"]] == [
            "best_exporter.ExportDecision"
        ]
        assert [artifact.type for artifact in outputs["pushed_model"]] == ["PushedModel"]


def test_what_the_artifacts_say(finished: Finished):
    base_directory = finished.work_directory.base_directory
    for decision, run in zip(finished.decisions, finished.runs, strict=True):
        node = run.nodes["BestExporter"]
        version = str(decision.version or "")
        common = {
            "reason": pb.ExportDecision.Reason.Name(decision.reason),
            "explanation": decision.explanation,
            "pushed_version": version,
            "best_version": str(decision.best.version or ""),
            "number_retired": len(decision.retired),
        }
        metrics = {
            f"{whose}_metric_{metric.key.name}": metric.value
            for whose, evaluation in (
                ("candidate", decision.candidate_evaluation),
                ("best", decision.best.evaluation),
            )
            for metric in evaluation.metrics
        }
        assert {"candidate_metric_loss", "candidate_metric_sparse_categorical_accuracy"} <= {
            *metrics
        }
        expected = {
            "pushed_model": {
                **common,
                "pushed": 1 if version else 0,
                "pushed_destination": str(base_directory / version) if version else "",
            },
            "decision": {**common, "exported": 1 if decision.exported else 0},
        }
        for output, others in expected.items():
            properties = node.properties(output)
            # ML Metadata on SQLite stores six digits.
            assert {
                name: properties.pop(name) for name in list(properties) if "_metric_" in name
            } == pytest.approx(metrics, rel=1e-5)
            assert properties == others
        blessing = node.properties("blessing")
        [model] = run.nodes["Trainer"].outputs["model"]
        assert (blessing["blessed"], blessing["current_model_id"]) == (int(bool(version)), model.id)


def test_where_a_decision_came_from(finished: Finished):
    for decision, run in zip(finished.decisions, finished.runs, strict=True):
        if run.states["BestExporter"] == "COMPLETE":
            assert decision.provenance.pipeline_name == "penguin"
            assert decision.provenance.run_id == run.run_id
            assert decision.provenance.node_id == "BestExporter"
        [model] = run.nodes["Trainer"].outputs["model"]
        [evaluation] = run.nodes["Evaluator"].outputs["evaluation"]
        assert decision.candidate.uri == model.uri
        assert decision.candidate_evaluation.uri == evaluation.uri


def test_what_was_retired_is_deleted_by_the_run_after(finished: Finished):
    first, _, third, fourth, *_ = finished.runs
    [retired] = first.nodes["BestExporter"].outputs["pushed_model"]
    assert mlmd.Artifact.State.Name(retired.state) == "DELETED"
    assert not Path(retired.uri).exists()
    assert [entry.version for entry in finished.decisions[3].retired] == [
        finished.decisions[0].version
    ]
    for run in (third, fourth):
        [kept] = run.nodes["BestExporter"].outputs["pushed_model"]
        assert mlmd.Artifact.State.Name(kept.state) == "LIVE"
        assert Path(kept.uri, "saved_model.pb").exists()
    exports = ExportDirectory(location_of(finished.work_directory.base_directory)).exports()
    assert [export.version for export in exports] == [
        finished.decisions[2].version,
        finished.decisions[3].version,
    ]
    # BestExporter does not delete the model that the export was made from.
    [model] = first.nodes["Trainer"].outputs["model"]
    assert mlmd.Artifact.State.Name(model.state) == "LIVE"
    assert Path(model.uri).exists()


def test_no_decision_warns(finished: Finished):
    assert [warning for decision in finished.decisions for warning in decision.warnings] == []


def test_a_decision_names_the_pushed_model_of_the_best(finished: Finished):
    [pushed_model] = finished.runs[2].nodes["BestExporter"].outputs["pushed_model"]
    assert finished.decisions[3].best.pushed_model_uri == pushed_model.uri


@pytest.mark.parametrize("where", ["base directory", "PushedModel"])
def test_the_export_is_loaded_and_called(finished: Finished, where: str):
    decision = finished.decisions[3]
    [pushed_model] = finished.runs[3].nodes["BestExporter"].outputs["pushed_model"]
    served = finished.work_directory.base_directory / str(decision.version)
    model = tf.saved_model.load(str(served if where == "base directory" else pushed_model.uri))
    outputs = model.signatures["serving_default"](examples=penguins())
    features = [tf.train.Example.FromString(each.numpy()).features for each in penguins()]
    labels = [each.feature["species"].int64_list.value[0] for each in features]
    rows = outputs["probabilities"].numpy()
    loss = -sum(math.log(row[label]) for row, label in zip(rows, labels, strict=True)) / len(rows)
    metrics = {each.key.name: each.value for each in decision.candidate_evaluation.metrics}
    # The served model is the one whose metrics were compared.
    assert loss == pytest.approx(metrics["loss"], rel=1e-4)


# A pipeline in which BestExporter replaces Pusher.


class Existing:
    """A pipeline whose last node is made by the caller."""

    def __init__(self, path: Path):
        self.work_directory = WorkDirectory(path)

    def run(
        self, epochs: int, make_last: Callable[[BaseNode, dict[str, Any]], BaseNode]
    ) -> metadata.Run:
        """Runs the pipeline once.

        Args:
            epochs: Number of training epochs.
            make_last: Function that makes the last node from Evaluator and Pusher's arguments.
        """
        example_gen = tfx.components.ImportExampleGen(
            input_base=penguin_pipeline.penguin_data_root(),
            input_config=tfx.proto.Input(
                splits=[
                    tfx.proto.Input.Split(name="train", pattern="Split-train/*"),
                    tfx.proto.Input.Split(name="eval", pattern="Split-eval/*"),
                ]
            ),
        )
        hyperparameters = trainer_module.Hyperparameters(epochs=epochs)
        trainer = tfx.components.Trainer(
            module_file=trainer_module.__file__,
            examples=example_gen.outputs["examples"],
            custom_config=dataclasses.asdict(hyperparameters),
        )
        evaluator = tfx.components.Evaluator(
            examples=example_gen.outputs["examples"],
            model=trainer.outputs["model"],
            eval_config=penguin_pipeline.create_eval_config(),
        )
        arguments = {
            "model": trainer.outputs["model"],
            "model_blessing": evaluator.outputs["blessing"],
            "push_destination": tfx.proto.PushDestination(
                filesystem=tfx.proto.PushDestination.Filesystem(
                    base_directory=str(self.work_directory.base_directory)
                )
            ),
        }
        pipeline = tfx.dsl.Pipeline(
            pipeline_name="existing",
            pipeline_root=str(self.work_directory.pipeline_root),
            components=[example_gen, trainer, evaluator, make_last(evaluator, arguments)],
            enable_cache=True,
            metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
                str(self.work_directory.metadata_path)
            ),
            beam_pipeline_args=["--direct_running_mode=in_memory", "--direct_num_workers=1"],
        )
        tfx.orchestration.LocalDagRunner().run(pipeline)
        return self.last_run()

    def last_run(self) -> metadata.Run:
        return metadata.read_runs(metadata.connect(self.work_directory.metadata_path))[-1]

    def versions(self) -> list[int]:
        exports = ExportDirectory(location_of(self.work_directory.base_directory)).exports()
        return [export.version for export in exports]


def with_pusher(evaluator: BaseNode, arguments: dict[str, Any]) -> BaseNode:
    return tfx.components.Pusher(**arguments)


def with_best_exporter(evaluator: BaseNode, arguments: dict[str, Any]) -> BaseNode:
    return BestExporter(evaluation=evaluator.outputs["evaluation"], **arguments)


def with_examples(evaluator: BaseNode, arguments: dict[str, Any]) -> BaseNode:
    return BestExporter(
        evaluation=evaluator.outputs["evaluation"],
        examples=evaluator.inputs["examples"],
        **arguments,
    )


def with_module(module_file: Path) -> Callable[[BaseNode, dict[str, Any]], BaseNode]:
    def make(evaluator: BaseNode, arguments: dict[str, Any]) -> BaseNode:
        return BestExporter(
            evaluation=evaluator.outputs["evaluation"], module_file=str(module_file), **arguments
        )

    return make


_COMPARE_AND_PREFER = """
def compare_fn(best_eval_result, current_eval_result):
    return current_eval_result["loss"] > best_eval_result["loss"]
"""

_COMPARE_AND_FAIL = """
def compare_fn(best_eval_result, current_eval_result):
    raise ValueError("the cause")
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Swapped:
    """Runs of a pipeline that first had Pusher, and the versions after each run."""

    pipeline: Existing
    pushed: metadata.Run
    swapped: metadata.Run
    shipped: metadata.Run
    executor_failed: metadata.Run
    executor_error: str
    driver_failed: metadata.Run
    driver_error: str
    repaired: metadata.Run
    versions: dict[str, list[int]]


@pytest.fixture(scope="module")
def swapped(tmp_path_factory: pytest.TempPathFactory, offline: None) -> Swapped:
    pipeline = Existing(tmp_path_factory.mktemp("existing"))
    modules = tmp_path_factory.mktemp("modules")
    # TFX packages all Python files of a directory, so each module has its own.
    for name, text in (("prefer", _COMPARE_AND_PREFER), ("fail", _COMPARE_AND_FAIL)):
        (modules / name).mkdir()
        (modules / name / f"compare_and_{name}.py").write_text(text)
    versions = {}

    def run(name: str, epochs: int, make_last: Any = with_best_exporter) -> metadata.Run:
        result = pipeline.run(epochs, make_last)
        versions[name] = pipeline.versions()
        return result

    def fail(name: str, epochs: int, make_last: Any = with_best_exporter) -> str:
        with pytest.raises(RuntimeError) as caught:
            pipeline.run(epochs, make_last)
        versions[name] = pipeline.versions()
        return str(caught.value)

    results: dict[str, Any] = {
        "pushed": run("pushed", 40, with_pusher),
        "swapped": run("swapped", 15),
        "shipped": run("shipped", 15, with_module(modules / "prefer" / "compare_and_prefer.py")),
        "executor_error": fail(
            "executor_failed", 40, with_module(modules / "fail" / "compare_and_fail.py")
        ),
        "executor_failed": pipeline.last_run(),
    }
    served = pipeline.work_directory.base_directory / str(pipeline.versions()[-1])
    record_path = served / "assets.extra/best_exporter/record.json"
    record = record_path.read_text()
    record_path.write_text(record[:100])
    results["driver_error"] = fail("driver_failed", 40)
    results["driver_failed"] = pipeline.last_run()
    record_path.write_text(record)
    results["repaired"] = run("repaired", 40, with_examples)
    return Swapped(pipeline=pipeline, versions=versions, **results)


def decision_of(run: metadata.Run) -> pb.ExportDecision:
    [artifact] = run.nodes["BestExporter"].outputs["decision"]
    text = Path(artifact.uri, "decision.json").read_text()
    return json_format.Parse(text, pb.ExportDecision())


def test_best_exporter_takes_the_place_of_pusher(swapped: Swapped):
    assert swapped.pushed.states["Pusher"] == "COMPLETE"
    [version] = swapped.versions["pushed"]
    assert swapped.versions["swapped"] == [version]
    decision = decision_of(swapped.swapped)
    assert decision.reason == pb.ExportDecision.NOT_BETTER
    assert decision.best.version == version
    assert not decision.best.has_record
    # The evaluation comes from ML Metadata's lineage. The base directory has no record of it.
    [evaluation] = swapped.pushed.nodes["Evaluator"].outputs["evaluation"]
    assert decision.best.evaluation.uri == evaluation.uri
    assert list(decision.warnings) == []


def test_what_reads_the_output_of_pusher_reads_that_of_best_exporter(swapped: Swapped):
    pushed = swapped.pushed.nodes["Pusher"].properties("pushed_model")
    exported = swapped.shipped.nodes["BestExporter"].properties("pushed_model")
    refused = swapped.swapped.nodes["BestExporter"].properties("pushed_model")
    assert pushed.keys() <= exported.keys()
    assert {name: type(value) for name, value in pushed.items()} == {
        name: type(exported[name]) for name in pushed
    }
    assert (pushed["pushed"], exported["pushed"], refused["pushed"]) == (1, 1, 0)


def test_a_compare_function_in_module_file_is_shipped(swapped: Swapped):
    decision = decision_of(swapped.shipped)
    assert decision.reason == pb.ExportDecision.BETTER
    assert [each.metric for each in decision.comparisons] == ["loss"]
    assert len(swapped.versions["shipped"]) == len(swapped.versions["swapped"]) + 1
    wheels = list((swapped.pipeline.work_directory.pipeline_root / "_wheels").iterdir())
    # Each of the two module files has a wheel.
    assert len([wheel for wheel in wheels if "_bestexporter-" in wheel.name]) == 2


def test_an_executor_that_fails(swapped: Swapped):
    assert swapped.executor_failed.states["BestExporter"] == "FAILED"
    assert "(got ValueError from compare_fn: the cause)" in swapped.executor_error
    assert swapped.versions["executor_failed"] == swapped.versions["shipped"]


def test_a_driver_that_fails(swapped: Swapped):
    assert swapped.driver_failed.states["BestExporter"] == "FAILED"
    assert "RecordError: cannot read " in swapped.driver_error
    assert swapped.versions["driver_failed"] == swapped.versions["shipped"]


def test_the_run_after_a_failure_goes_on(swapped: Swapped):
    decision = decision_of(swapped.repaired)
    assert decision.reason == pb.ExportDecision.BETTER
    assert decision.best.version == swapped.versions["shipped"][-1]
    assert swapped.versions["repaired"] == [*swapped.versions["shipped"], decision.version]


def test_the_best_is_evaluated_again_with_the_beam_arguments_of_the_pipeline(swapped: Swapped):
    decision = decision_of(swapped.repaired)
    [artifact] = swapped.repaired.nodes["BestExporter"].outputs["decision"]
    assert decision.basis == pb.ExportDecision.EVALUATED_AGAIN
    assert decision.best.evaluation.uri == (
        f"{artifact.uri}/best_evaluation/{decision.best.version}"
    )
    assert decision.best.evaluation.data == decision.candidate_evaluation.data
    # The best was exported by a function that this pipeline does not set.
    [warning] = decision.warnings
    assert "compare_fn" in warning
    # The examples are the same as when the best was the candidate.
    [comparison] = decision.comparisons
    recorded = {
        each.key.name: each.value
        for each in decision_of(swapped.shipped).candidate_evaluation.metrics
    }
    assert comparison.best == pytest.approx(recorded["loss"], rel=1e-5)


def test_no_execution_runs_for_ever(swapped: Swapped):
    runs = metadata.read_runs(metadata.connect(swapped.pipeline.work_directory.metadata_path))
    assert len(runs) == 6
    states = [state for run in runs for state in run.states.values()]
    assert sorted(set(states)) == ["CACHED", "COMPLETE", "FAILED"]
    assert states.count("FAILED") == 2
