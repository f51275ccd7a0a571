"""TFX Trainer module of the penguin pipeline: a small Keras classifier of three species.

The SavedModel has two signatures. `serving_default` takes serialized tf.train.Example protos, which
TFX's Evaluator and clients of a model server send. `serve` takes the four measurements as numbers.
Both return `probabilities`, one for each species, and `species`, the most likely one.

Keep other code out of this directory: TFX packages every Python file in it into the wheel that
Trainer installs.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any, cast

import keras
import tensorflow as tf
from tfx import v1 as tfx

FEATURES = ("body_mass_g", "culmen_depth_mm", "culmen_length_mm", "flipper_length_mm")
LABEL = "species"
NUM_SPECIES = 3

# A batch holds all of the few hundred examples. With one step an epoch, the order of batches cannot
# make two runs differ.
_BATCH_SIZE = 1024
_HIDDEN_UNITS = 8
# TensorBoard's tf.summary.scalar writes this plugin name. Writing it needs no TensorBoard.
_SCALARS_PLUGIN = "scalars"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """Settings that Trainer's `custom_config` can contain, under these names.

    Attributes:
        epochs: Number of passes over the training examples, at least 1.
        learning_rate: Learning rate of the Adam optimizer, larger than 0.
        seed: Seed of the initial weights. Equal settings give equal models on the same CPU.
    """

    epochs: int = 100
    learning_rate: float = 0.05
    seed: int = 1

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError(f"epochs must be a positive number (got {self.epochs!r}).")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be larger than 0 (got {self.learning_rate!r}).")

    @classmethod
    def from_custom_config(cls, custom_config: Mapping[str, Any] | None) -> "Hyperparameters":
        """Returns the hyperparameters of `custom_config`, with defaults for missing ones.

        Args:
            custom_config: Trainer's `custom_config`. Other keys, such as those that TFX's cloud
                extensions use, are ignored.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        return cls(**{k: v for k, v in (custom_config or {}).items() if k in names})


def run_fn(fn_args: tfx.components.FnArgs) -> None:
    """Trains and exports the model, and writes its evaluation as event files. Trainer calls it.

    Args:
        fn_args: Arguments that TFX's Trainer sets. This function reads `train_files`,
            `eval_files`, `custom_config`, `serving_model_dir` and `model_run_dir`.
    """
    hyperparameters = Hyperparameters.from_custom_config(fn_args.custom_config)
    train_features, train_labels = _read_examples(fn_args.train_files)
    eval_features, eval_labels = _read_examples(fn_args.eval_files)

    keras.utils.set_random_seed(hyperparameters.seed)
    model = _build_model(hyperparameters.learning_rate)
    model.fit(
        train_features,
        train_labels,
        batch_size=_BATCH_SIZE,
        epochs=hyperparameters.epochs,
        shuffle=False,
        verbose=0,
    )
    metrics = model.evaluate(
        eval_features,
        eval_labels,
        batch_size=_BATCH_SIZE,
        verbose=0,
        return_dict=True,
    )
    _write_event_file(
        os.path.join(fn_args.model_run_dir, "eval"), metrics, step=hyperparameters.epochs
    )
    _export(model, fn_args.serving_model_dir)


def _feature_spec() -> dict[str, tf.io.FixedLenFeature]:
    return {name: tf.io.FixedLenFeature([1], tf.float32) for name in FEATURES}


def _read_examples(file_patterns: Sequence[str]) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    """Returns all features and labels of gzipped TFRecord files, ordered by file name."""
    files = sorted(name for pattern in file_patterns for name in tf.io.gfile.glob(pattern))
    serialized = list(tf.data.TFRecordDataset(files, compression_type="GZIP"))
    spec = _feature_spec() | {LABEL: tf.io.FixedLenFeature([1], tf.int64)}
    features = _parse_examples(tf.stack(serialized), spec)
    labels = features.pop(LABEL)
    return features, labels


def _parse_examples(
    examples: tf.Tensor, spec: Mapping[str, tf.io.FixedLenFeature]
) -> dict[str, tf.Tensor]:
    # Features of fixed length are dense. The annotation has sparse and ragged tensors too.
    return cast("dict[str, tf.Tensor]", tf.io.parse_example(examples, spec))


def _build_model(learning_rate: float) -> keras.Model:
    inputs = {name: keras.Input(shape=(1,), name=name) for name in FEATURES}
    hidden = keras.layers.Concatenate(name="measurements")(list(inputs.values()))
    hidden = keras.layers.Dense(_HIDDEN_UNITS, activation="relu", name="hidden")(hidden)
    output = keras.layers.Dense(NUM_SPECIES, activation="softmax", name="probabilities")
    model = keras.Model(inputs, output(hidden), name="penguin")
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        # XLA compilation takes longer than training a model of this size.
        jit_compile=False,
    )
    return model


def _export(model: keras.Model, serving_model_dir: str) -> None:
    """Writes a SavedModel to which signatures can be added after tf.saved_model.load."""

    def predict(features: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        probabilities = model(features, training=False)
        return {"probabilities": probabilities, "species": tf.argmax(probabilities, axis=-1)}

    def predict_examples(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return predict(_parse_examples(examples, _feature_spec()))

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serving_default",
        predict_examples,
        input_signature=[tf.TensorSpec([None], tf.string, name="examples")],
    )
    archive.add_endpoint(
        "serve",
        predict,
        input_signature=[{name: tf.TensorSpec([None, 1], tf.float32, name) for name in FEATURES}],
    )
    archive.write_out(serving_model_dir, verbose=False)


def _write_event_file(log_dir: str, metrics: Mapping[str, float], *, step: int) -> None:
    """Writes `metrics` to one event file, as scalars that TensorBoard can show."""
    metadata = tf.compat.v1.SummaryMetadata(
        plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name=_SCALARS_PLUGIN)
    )
    # 1 is DATA_CLASS_SCALAR. TensorFlow does not export the enum.
    metadata.data_class = 1
    writer = tf.summary.create_file_writer(log_dir)
    with writer.as_default():
        for tag, value in metrics.items():
            tf.summary.write(tag, tf.constant(value, tf.float32), step=step, metadata=metadata)
    writer.close()
