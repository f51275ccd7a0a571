"""Runs an export as a model server does: restore operation, initialization operation, signature."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def answer(
    path: Path, inputs: Mapping[str, Any], signature: str = "serving_default"
) -> dict[str, Any]:
    """Returns the outputs of a signature, by name."""
    import tensorflow as tf

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        graph = tf.compat.v1.saved_model.loader.load(session, ["serve"], str(path))
        definition = graph.signature_def[signature]
        outputs = {name: info.name for name, info in definition.outputs.items()}
        feeds = {definition.inputs[name].name: value for name, value in inputs.items()}
        values = session.run(outputs, feeds)
        return {name: value.tolist() for name, value in values.items()}
