"""Compares the answers of a SavedModel before and after it was saved again.

The original answers in Python, as `tf.saved_model.load` loads it. The saved model answers in a
session, as in a model server. This module imports TensorFlow when it is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfx_best_exporter.executor.deciding.signatures import Signature, TensorSpec

# Both models run the same operations, but a session may fuse them in another way.
_RELATIVE_TOLERANCE = 1e-4
_ABSOLUTE_TOLERANCE = 1e-5


class DifferentAnswerError(Exception):
    """A model that was saved again does not answer like the original."""


def compare(
    original: Any, saved_path: Path, signatures: Mapping[str, Signature]
) -> tuple[str, ...]:
    """Runs each signature of two models on one small input.

    Args:
        original: The original, as `tf.saved_model.load` returns it.
        saved_path: Directory of the model that was saved again.
        signatures: Serving signatures of both.

    Returns:
        A sentence for each signature that could not be compared.

    Raises:
        DifferentAnswerError: The saved model answers in another way, or cannot answer.
    """
    import tensorflow as tf

    warnings, expected = [], {}
    for name, signature in sorted(signatures.items()):
        try:
            inputs = {key: _sample(spec) for key, spec in signature.inputs.items()}
            answer = _answer(original, name, inputs)
            # A signature with random numbers answers differently each time.
            is_steady = not _problem(answer, _answer(original, name, inputs))
        except tf.errors.FailedPreconditionError as error:
            # The original lacks a value, for example that of a variable.
            raise DifferentAnswerError(f"signature {name!r} fails: {_line(error)}") from error
        except Exception as error:
            warnings.append(
                f"the answers of signature {name!r} were not compared after the model was saved"
                f" again, because the original does not take a small input: {_line(error)}"
            )
            continue
        expected[name] = (inputs, answer, is_steady)
        if not is_steady:
            warnings.append(
                f"the answers of signature {name!r} were not compared after the model was saved"
                " again, because the original answers differently each time"
            )
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        try:
            graph = tf.compat.v1.saved_model.loader.load(session, ["serve"], str(saved_path))
        except Exception as error:
            raise DifferentAnswerError(f"it cannot be loaded: {_line(error)}") from error
        for name, (inputs, answer, is_steady) in expected.items():
            definition = graph.signature_def[name]
            feeds = {definition.inputs[key].name: value for key, value in inputs.items()}
            try:
                found = session.run({key: definition.outputs[key].name for key in answer}, feeds)
            except Exception as error:
                raise DifferentAnswerError(f"signature {name!r} fails: {_line(error)}") from error
            problem = _problem(answer, found)
            if is_steady and problem:
                raise DifferentAnswerError(f"signature {name!r} answers differently: {problem}")
    return tuple(warnings)


def _sample(spec: TensorSpec) -> Any:
    """Returns a small input: no serialized examples, or zeros in a batch of one."""
    import numpy as np
    import tensorflow as tf

    dtype = tf.as_dtype(spec.dtype.removeprefix("DT_").lower())
    if spec.shape == (None,) and dtype == tf.string:
        return np.zeros([0], object)
    shape = (1,) if spec.shape is None else tuple(size or 1 for size in spec.shape)
    if dtype == tf.string:
        return np.full(shape, b"", object)
    return np.zeros(shape, dtype.as_numpy_dtype)


def _answer(original: Any, name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the outputs of a signature of the original."""
    import tensorflow as tf

    tensors = {key: tf.constant(value) for key, value in inputs.items()}
    outputs = original.signatures[name](**tensors)
    return {key: value.numpy() for key, value in outputs.items()}


def _problem(expected: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """Returns the first difference between two answers, or an empty text."""
    import numpy as np

    for name, value in sorted(expected.items()):
        one, other = np.asarray(value), np.asarray(found[name])
        if one.shape != other.shape:
            return f"output {name!r} has the shape {other.shape} instead of {one.shape}"
        if one.dtype.kind in "OSUb":
            is_same = np.array_equal(one, other)
        else:
            # float64 also holds the types that numpy cannot compare, such as bfloat16.
            kind = complex if one.dtype.kind == "c" else float
            is_same = np.allclose(
                one.astype(kind),
                other.astype(kind),
                rtol=_RELATIVE_TOLERANCE,
                atol=_ABSOLUTE_TOLERANCE,
                equal_nan=True,
            )
        if not is_same:
            return f"output {name!r} has other values"
    return ""


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"
