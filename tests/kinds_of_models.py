"""Writes SavedModels of the kinds that training programs save.

Each function writes `y = 2 * x` for floats of shape [None, 1] to a path, unless it says otherwise.
"""

from pathlib import Path
from typing import Any


def save_module(path: Path) -> None:
    """Writes a tf.Module by tf.saved_model.save."""
    import tensorflow as tf

    module: Any = tf.Module()
    module.weight = tf.Variable(tf.constant(2.0))

    @tf.function(input_signature=[tf.TensorSpec([None, 1], tf.float32, name="x")])
    def serve(x: Any) -> Any:
        return {"y": module.weight * x}

    tf.saved_model.save(module, str(path), signatures={"serving_default": serve})


def keras_model() -> Any:
    """Returns a Keras 3 model."""
    import keras

    inputs = keras.Input((1,), name="x")
    layer = keras.layers.Dense(1, kernel_initializer=keras.initializers.Constant(2.0), name="dense")
    return keras.Model(inputs, layer(inputs))


def serving_function(model: Any) -> Any:
    """Returns a tf.function that calls a model."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None, 1], tf.float32, name="x")])
    def serve(x: Any) -> Any:
        return {"y": model(x)}

    return serve


def save_keras_by_tensorflow(path: Path) -> None:
    """Writes a Keras 3 model by tf.saved_model.save, which a model server cannot run."""
    import tensorflow as tf

    model = keras_model()
    signatures = {"serving_default": serving_function(model)}
    tf.saved_model.save(model, str(path), signatures=signatures)


def export_keras(path: Path) -> None:
    """Writes a Keras 3 model by model.export; its output has another name than y."""
    keras_model().export(str(path), verbose=False)


def archive_keras(path: Path) -> None:
    """Writes a Keras 3 model by keras.export.ExportArchive."""
    import keras

    model = keras_model()
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serving_default", serving_function(model))
    archive.write_out(str(path), verbose=False)


def save_again(path: Path) -> None:
    """Writes the unservable Keras 3 model again, from its own signatures."""
    import tensorflow as tf

    original = path.with_name(f"{path.name} original")
    save_keras_by_tensorflow(original)
    loaded = tf.saved_model.load(str(original))
    tf.saved_model.save(loaded, str(path), signatures=dict(loaded.signatures))


def save_by_tensorflow_1(path: Path, *, is_initialized: bool = True) -> None:
    """Writes a graph of TensorFlow 1: a partitioned variable, a table and a local variable.

    Args:
        path: Directory of the SavedModel.
        is_initialized: False to leave out the initialization operation.
    """
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 1], name="x")
        weight = v1.get_variable(
            "weight",
            initializer=tf.constant([[2.0, 0.0]]),
            partitioner=v1.fixed_size_partitioner(2, axis=1),
        )
        bias = v1.get_variable(
            "bias",
            initializer=tf.constant(1.0),
            collections=[v1.GraphKeys.LOCAL_VARIABLES],
            use_resource=True,
        )
        words = tf.lookup.KeyValueTensorInitializer(["a"], [1.0])
        table = tf.lookup.StaticHashTable(words, -1.0)
        y = (
            tf.matmul(x, tf.convert_to_tensor(weight))[:, :1]
            + bias
            - table.lookup(tf.constant("a"))
        )
        initialize = tf.group(v1.local_variables_initializer(), v1.tables_initializer())
        session.run([v1.global_variables_initializer(), initialize])
        builder = v1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {"serving_default": v1.saved_model.predict_signature_def({"x": x}, {"y": y})},
            main_op=initialize if is_initialized else None,
            saver=v1.train.Saver(v1.global_variables()),
        )
        builder.save()


def save_words(path: Path) -> None:
    """Writes a model that looks words up in assets/words.txt, and adds the variable 1."""
    import tensorflow as tf

    words_path = path.with_name("words.txt")
    words_path.write_text("setosa\nversicolor\n")
    module: Any = tf.Module()
    index = tf.lookup.TextFileIndex
    words = tf.lookup.TextFileInitializer(
        str(words_path), tf.string, index.WHOLE_LINE, tf.int64, index.LINE_NUMBER
    )
    module.table = tf.lookup.StaticHashTable(words, -1)
    module.one = tf.Variable(tf.constant(1, tf.int64))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="x")])
    def serve(x: Any) -> Any:
        return {"y": module.table.lookup(x) + module.one}

    tf.saved_model.save(module, str(path), signatures={"serving_default": serve})
    # The model must not depend on the file that it was made from.
    words_path.unlink()
