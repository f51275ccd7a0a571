"""Models and examples for Evaluator; the label is whether a number is above 0.5."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf
from tfx import types
from tfx.types import artifact_utils, standard_artifacts

EVAL_CONFIG = """
    model_specs { signature_name: "serving_default" label_key: "label" prediction_key: "above" }
    slicing_specs {}
    slicing_specs { feature_keys: "kind" }
    metrics_specs {
      metrics { class_name: "ExampleCount" }
      metrics {
        class_name: "BinaryAccuracy"
        threshold {
          value_threshold { lower_bound { value: 0.1 } }
          change_threshold { absolute { value: -1 } direction: HIGHER_IS_BETTER }
        }
      }
    }
"""


def write_model(path: Path, threshold: float, feature: str = "x") -> Path:
    """Writes a SavedModel that predicts whether a feature is above a threshold.

    Its accuracy on the examples is 1 minus the distance of the threshold from 0.5.
    """

    class Model(tf.Module):
        def __init__(self):
            super().__init__()
            self.threshold = tf.Variable(tf.constant(threshold))

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
        def serve(self, examples: Any) -> Any:
            spec = {feature: tf.io.FixedLenFeature([1], tf.float32)}
            features: Any = tf.io.parse_example(examples, spec)
            return {"above": tf.cast(features[feature] > self.threshold, tf.float32)}

    model = Model()
    tf.saved_model.save(model, str(path), signatures={"serving_default": model.serve})
    return path


def write_examples(path: Path, count: int = 100, split: str = "eval") -> types.Artifact:
    """Writes an Examples artifact with one split, in which x is between 0 and 1."""
    directory = path / f"Split-{split}"
    directory.mkdir(parents=True)
    with tf.io.TFRecordWriter(
        str(directory / "data_tfrecord-00000-of-00001.gz"),
        tf.io.TFRecordOptions(compression_type="GZIP"),
    ) as writer:
        for index in range(count):
            x = (index + 0.5) / count
            example = tf.train.Example()
            feature = example.features.feature
            feature["x"].float_list.value.append(x)
            feature["label"].float_list.value.append(float(x > 0.5))
            feature["kind"].bytes_list.value.append(b"even" if index % 2 == 0 else b"odd")
            writer.write(example.SerializeToString())
    artifact = standard_artifacts.Examples()
    artifact.uri = str(path)
    artifact.split_names = artifact_utils.encode_split_names([split])
    artifact.set_string_custom_property("file_format", "tfrecords_gzip")
    artifact.set_string_custom_property("payload_format", "FORMAT_TF_EXAMPLE")
    return artifact


def evaluate(
    make_artifact: Callable[[type[types.Artifact]], types.Artifact],
    examples: types.Artifact,
    model: types.Artifact,
    baseline: types.Artifact | None = None,
    eval_config: str = EVAL_CONFIG,
) -> types.Artifact:
    """Runs TFX's Evaluator and returns its ModelEvaluation."""
    from google.protobuf import json_format, text_format
    from tensorflow_model_analysis.proto import config_pb2
    from tfx.components.evaluator import executor

    config = text_format.Parse(eval_config, config_pb2.EvalConfig())
    evaluation = make_artifact(standard_artifacts.ModelEvaluation)
    inputs = {"examples": [examples], "model": [model]}
    if baseline is not None:
        inputs["baseline_model"] = [baseline]
    executor.Executor().Do(
        inputs,
        {
            "evaluation": [evaluation],
            "blessing": [make_artifact(standard_artifacts.ModelBlessing)],
        },
        {"eval_config": json_format.MessageToJson(config), "example_splits": "null"},
    )
    return evaluation
