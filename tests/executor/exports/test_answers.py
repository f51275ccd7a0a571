from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import tensorflow as tf

from tests import kinds_of_models as kinds
from tests.executor.plain import files_of
from tfx_best_exporter.executor.exports import answers, saved_model


def save(path: Path, function: Callable[..., Any], *specs: tf.TensorSpec) -> Path:
    """Writes a model whose serving signature is a function."""
    module: Any = tf.Module()
    module.one = tf.Variable(tf.constant(1.0))
    module.serve = tf.function(function, input_signature=specs)
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.serve})
    return path


def compare(original: Path, saved: Path) -> tuple[str, ...]:
    sources = {file.path: file.source for file in files_of(original)}
    loaded = tf.saved_model.load(str(original))
    return answers.compare(loaded, saved, saved_model.signatures_of(sources))


def spec(dtype: tf.DType, *shape: int | None) -> tf.TensorSpec:
    return tf.TensorSpec(shape, dtype, name="x")


ANY_RANK = tf.TensorSpec(cast(Any, None), tf.int64, name="x")


@pytest.mark.parametrize(
    ("function", "x"),
    [
        pytest.param(lambda x: {"y": x * 2}, spec(tf.float32, None, 3), id="numbers"),
        pytest.param(lambda x: {"y": x}, spec(tf.bfloat16, None), id="bfloat16"),
        pytest.param(lambda x: {"y": x}, spec(tf.complex64, 2), id="complex"),
        pytest.param(lambda x: {"y": x}, spec(tf.bool), id="a scalar"),
        pytest.param(lambda x: {"y": x / x}, spec(tf.float32, None), id="NaN"),
        pytest.param(lambda x: {"y": x}, ANY_RANK, id="any rank"),
        pytest.param(lambda x: {"y": x + "!"}, spec(tf.string, None, 1), id="words"),
        pytest.param(
            lambda x: tf.io.parse_example(x, {"y": tf.io.FixedLenFeature([], tf.float32)}),
            spec(tf.string, None),
            id="serialized examples",
        ),
    ],
)
def test_a_model_answers_like_itself(
    tmp_path: Path, function: Callable[..., Any], x: tf.TensorSpec
):
    path = save(tmp_path / "model", function, x)
    assert compare(path, path) == ()


FLOATS = spec(tf.float32, None)


@pytest.mark.parametrize(
    ("original", "saved", "problem"),
    [
        pytest.param(
            lambda x: {"y": x + 1},
            lambda x: {"y": x + 1.01},
            "signature 'serving_default' answers differently: output 'y' has other values",
            id="values",
        ),
        pytest.param(
            lambda x: {"y": x},
            lambda x: {"y": tf.tile(x, [2])},
            "signature 'serving_default' answers differently: output 'y' has the shape (2,) instead"
            " of (1,)",
            id="shape",
        ),
        pytest.param(
            lambda x: {"y": tf.as_string(x)},
            lambda x: {"y": tf.as_string(x + 1)},
            "signature 'serving_default' answers differently: output 'y' has other values",
            id="words",
        ),
        pytest.param(
            lambda x: {"y": x},
            lambda x: {"y": tf.ensure_shape(x, [7])},
            "signature 'serving_default' fails: InvalidArgumentError: ",
            id="error",
        ),
    ],
)
def test_a_model_that_answers_differently(
    tmp_path: Path, original: Callable[..., Any], saved: Callable[..., Any], problem: str
):
    one = save(tmp_path / "original", original, FLOATS)
    other = save(tmp_path / "saved", saved, FLOATS)
    with pytest.raises(answers.DifferentAnswerError) as caught:
        compare(one, other)
    assert str(caught.value).startswith(problem)
    assert "\n" not in str(caught.value)


def test_a_model_that_cannot_be_loaded(tmp_path: Path):
    path = save(tmp_path / "model", lambda x: {"y": x}, FLOATS)
    with pytest.raises(answers.DifferentAnswerError, match=r"\Ait cannot be loaded: \w+: "):
        compare(path, tmp_path / "nothing")


def test_variables_that_are_not_restored(tmp_path: Path):
    kinds.save_keras_by_tensorflow(tmp_path / "model")
    with pytest.raises(answers.DifferentAnswerError, match="FailedPreconditionError"):
        compare(tmp_path / "model", tmp_path / "model")


def test_an_original_that_takes_no_small_input(tmp_path: Path):
    path = save(tmp_path / "model", lambda x: {"y": tf.ensure_shape(x, [7])}, FLOATS)
    [warning] = compare(path, path)
    assert warning.startswith(
        "the answers of signature 'serving_default' were not compared after the model was saved"
        " again, because the original does not take a small input: InvalidArgumentError: "
    )
    assert "\n" not in warning


def test_an_original_that_answers_by_chance(tmp_path: Path):
    path = save(tmp_path / "model", lambda x: {"y": tf.random.uniform([9])}, FLOATS)
    [warning] = compare(path, path)
    assert warning == (
        "the answers of signature 'serving_default' were not compared after the model was saved"
        " again, because the original answers differently each time"
    )


def test_float_noise_is_no_difference(tmp_path: Path):
    one = save(tmp_path / "one", lambda x: {"y": x + 1}, FLOATS)
    other = save(tmp_path / "other", lambda x: {"y": x + np.float32(1.00001)}, FLOATS)
    assert compare(one, other) == ()
