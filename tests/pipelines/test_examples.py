"""TFX's own example pipelines, with BestExporter in place of Pusher: `make test-pipelines`.

The examples train Keras 3 models and save them with tf.saved_model.save, so a model server cannot
run them as they are.
"""

import csv
import dataclasses
import importlib.resources
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from google.protobuf import json_format
from tfx import v1 as tfx

from pipelines import decisions, penguin_pipeline
from tests.model_server import answer
from tfx_best_exporter.component import BestExporter
from tfx_best_exporter.executor.policies import compare_policy, larger
from tfx_best_exporter.proto import best_exporter_pb2 as pb

pytestmark = pytest.mark.pipelines

EXAMPLES = Path(str(importlib.resources.files("tfx"))) / "examples"
# Beam starts no workers for this little data.
BEAM_ARGUMENTS = ["--direct_running_mode=in_memory", "--direct_num_workers=1"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example:
    """One of TFX's example pipelines, with its data.

    Attributes:
        pipeline: The pipeline as TFX builds it.
        metric: Metric of its EvalConfig.
        steps: Number of training steps.
        base_path: Directory that a model server polls.
        metadata_path: SQLite file of ML Metadata.
    """

    pipeline: Any
    metric: str
    steps: int
    base_path: Path
    metadata_path: Path


def taxi(tmp_path: Path) -> Example:
    from tfx.examples.chicago_taxi_pipeline import taxi_pipeline_native_keras

    folder = EXAMPLES / "chicago_taxi_pipeline"
    rows = (folder / "data" / "simple" / "data.csv").read_text().splitlines(keepends=True)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "data.csv").write_text("".join(rows[:3001]))
    pipeline = taxi_pipeline_native_keras._create_pipeline(
        pipeline_name="taxi",
        pipeline_root=str(tmp_path / "root"),
        data_root=str(tmp_path / "data"),
        module_file=str(folder / "taxi_utils_native_keras.py"),
        serving_model_dir=str(tmp_path / "pushed"),
        metadata_path=str(tmp_path / "metadata.sqlite"),
        beam_pipeline_args=BEAM_ARGUMENTS,
    )
    return Example(
        pipeline=pipeline,
        metric="binary_accuracy",
        steps=100,
        base_path=tmp_path / "serving",
        metadata_path=tmp_path / "metadata.sqlite",
    )


def penguin(tmp_path: Path) -> Example:
    from tfx.examples.penguin import penguin_pipeline_local

    write_penguins(tmp_path / "data" / "labelled" / "penguins.csv")
    pipeline = penguin_pipeline_local.create_pipeline(
        pipeline_name="penguin",
        pipeline_root=str(tmp_path / "root"),
        data_root=str(tmp_path / "data"),
        module_file=str(EXAMPLES / "penguin" / "penguin_utils_keras.py"),
        accuracy_threshold=0.1,
        serving_model_dir=str(tmp_path / "pushed"),
        metadata_path=str(tmp_path / "metadata.sqlite"),
        user_provided_schema_path=None,
        enable_tuning=False,
        enable_bulk_inferrer=False,
        enable_example_diff=False,
        examplegen_input_config=None,
        examplegen_range_config_date=None,
        resolver_range_config=None,
        beam_pipeline_args=BEAM_ARGUMENTS,
        enable_transform_input_cache=False,
    )
    return Example(
        pipeline=pipeline,
        metric="sparse_categorical_accuracy",
        steps=20,
        base_path=tmp_path / "serving",
        metadata_path=tmp_path / "metadata.sqlite",
    )


def write_penguins(path: Path) -> None:
    """Writes the penguins of TFX's wheel, which has them only as records, as the example's CSV."""
    columns = ["culmen_length_mm", "culmen_depth_mm", "flipper_length_mm", "body_mass_g"]
    path.parent.mkdir(parents=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*columns, "species"])
        # ExampleGen splits by a hash of the record, so the records of a split stay together.
        for record in records_of(Path(penguin_pipeline.penguin_data_root()), "*"):
            features = tf.train.Example.FromString(record).features.feature
            values = [features[name].float_list.value[0] for name in columns]
            writer.writerow([*values, features["species"].int64_list.value[0]])


def records_of(directory: Path, split: str = "eval") -> list[bytes]:
    """Returns the serialized examples in a split of Examples; "*" for all splits."""
    files = [str(path) for path in sorted(directory.glob(f"Split-{split}/*"))]
    assert files
    dataset = tf.data.TFRecordDataset(files, compression_type="GZIP")
    return [bytes(record) for record in dataset.as_numpy_iterator()]


def with_exporter(example: Example) -> Any:
    """Returns the pipeline with BestExporter in place of Pusher, and fewer training steps."""
    nodes = {node.id: node for node in example.pipeline.components}
    trainer, evaluator, pusher = nodes["Trainer"], nodes["Evaluator"], nodes.pop("Pusher")
    for node in list(pusher.upstream_nodes):
        pusher.remove_upstream_node(node)
    for name, steps in (
        ("train_args", tfx.proto.TrainArgs(num_steps=example.steps)),
        ("eval_args", tfx.proto.EvalArgs(num_steps=5)),
    ):
        trainer.exec_properties[name] = json_format.MessageToJson(steps)
    exporter = BestExporter(
        model=trainer.outputs["model"],
        evaluation=evaluator.outputs["evaluation"],
        model_blessing=evaluator.outputs["blessing"],
        push_destination={"filesystem": {"base_directory": str(example.base_path)}},
        compare_policy=compare_policy(larger(example.metric)),
    )
    return tfx.dsl.Pipeline(
        pipeline_name=example.pipeline.pipeline_info.pipeline_name,
        pipeline_root=example.pipeline.pipeline_info.pipeline_root,
        components=[*nodes.values(), exporter],
        metadata_connection_config=example.pipeline.metadata_connection_config,
        beam_pipeline_args=example.pipeline.beam_pipeline_args,
    )


# TFX warns that the nodes were in another pipeline, the one with Pusher. The examples cause other
# warnings.
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("example_of", [penguin, taxi], ids=["penguin", "taxi"])
def test_what_is_exported_answers_in_a_session(
    tmp_path: Path, example_of: Callable[[Path], Example]
):
    example = example_of(tmp_path)
    tfx.orchestration.LocalDagRunner().run(with_exporter(example))
    decision = decisions.read_last_decision(str(example.metadata_path)).decision
    assert decision.reason == pb.ExportDecision.FIRST_EXPORT
    [warning] = [each for each in decision.warnings if "are not restored" in each]
    assert "model.export(path) or keras.export.ExportArchive" in warning
    [model_path] = (tmp_path / "root" / "Trainer" / "model").glob("*/Format-Serving")
    [examples_path] = (tmp_path / "root" / "CsvExampleGen" / "examples").iterdir()
    records = records_of(examples_path)[:50]
    exported = example.base_path / str(decision.version)
    assert [path.name for path in example.base_path.glob("[0-9]*")] == [exported.name]
    # TensorFlow restores the Trainer's model in its own way.
    original = tf.saved_model.load(str(model_path))
    for signature in ("serving_default", "transform_features"):
        expected = original.signatures[signature](examples=tf.constant(records))
        found = answer(exported, {"examples": records}, signature)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            if value.dtype == tf.string:
                assert (found[name] == value.numpy()).all()
            else:
                assert tf.reduce_all(tf.math.is_finite(tf.cast(value, tf.float32)))
                assert found[name] == pytest.approx(value.numpy(), rel=1e-4, abs=1e-5)
    # Without the export's own restore operation, a server cannot run the model.
    with pytest.raises(tf.errors.FailedPreconditionError):
        answer(model_path, {"examples": records})
