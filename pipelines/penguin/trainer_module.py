"""TFX Trainer module of the penguin pipeline: a small Keras classifier of three species.

The SavedModel has two signatures. `serving_default` takes serialized tf.train.Example protos, as
TFX's Evaluator and a model server send them; `serve` takes the four measurements themselves. Both
return `probabilities`, one a species, and `species`, the most likely one.

TFX packages every Python file of this folder into the wheel that Trainer installs: keep other
code out of it.
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

# Full batches: the data are a few hundred examples, and one step an epoch leaves no order of
# batches that could make two runs differ.
_BATCH_SIZE = 1024
_HIDDEN_UNITS = 8
# What TensorBoard's own tf.summary.scalar writes. TensorBoard itself is not needed to write it.
_SCALARS_PLUGIN = "scalars"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """What can be set by Trainer's `custom_config`, by these names.

    Attributes:
        epochs: Passes over the training examples, at least 1.
        learning_rate: Of Adam, larger than 0.
        seed: Of the initial weights. The same settings give the same model on the same CPU.
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
        """Returns the hyperparameters that `custom_config` sets, and defaults for the others.

        Args:
            custom_config: Trainer's `custom_config`. Keys that are no hyperparameters, such as
                the ones TFX's cloud extensions use, are left alone.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        return cls(**{k: v for k, v in (custom_config or {}).items() if k in names})


def run_fn(fn_args: tfx.components.FnArgs) -> None:
    """Trains, exports the model and writes its evaluation as event files. Called by Trainer.

    Args:
        fn_args: As TFX's Trainer sets them. Read are `train_files`, `eval_files`,
            `custom_config`, `serving_model_dir` and `model_run_dir`.
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
    """Returns all features and labels of gzipped TFRecord files, in the order of the files."""
    files = sorted(name for pattern in file_patterns for name in tf.io.gfile.glob(pattern))
    serialized = list(tf.data.TFRecordDataset(files, compression_type="GZIP"))
    spec = _feature_spec() | {LABEL: tf.io.FixedLenFeature([1], tf.int64)}
    features = _parse_examples(tf.stack(serialized), spec)
    labels = features.pop(LABEL)
    return features, labels


def _parse_examples(
    examples: tf.Tensor, spec: Mapping[str, tf.io.FixedLenFeature]
) -> dict[str, tf.Tensor]:
    # The annotated type has sparse and ragged tensors too; features of fixed length are dense.
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
        # Compiling with XLA takes longer than training a model this small.
        jit_compile=False,
    )
    return model


def _export(model: keras.Model, serving_model_dir: str) -> None:
    """Writes a SavedModel that other signatures can be added to after tf.saved_model.load."""

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
    """Writes `metrics` as scalars that TensorBoard shows, one event file."""
    metadata = tf.compat.v1.SummaryMetadata(
        plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name=_SCALARS_PLUGIN)
    )
    # DATA_CLASS_SCALAR. TensorFlow does not export the enum.
    metadata.data_class = 1
    writer = tf.summary.create_file_writer(log_dir)
    with writer.as_default():
        for tag, value in metrics.items():
            tf.summary.write(tag, tf.constant(value, tf.float32), step=step, metadata=metadata)
    writer.close()
