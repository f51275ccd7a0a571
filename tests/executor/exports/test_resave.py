import shutil
from pathlib import Path
from typing import Any

import pytest

from tests import kinds_of_models as kinds
from tests.conftest import WriteModel
from tests.executor.bucket import Bucket
from tests.executor.plain import files_of, read_files, write_files
from tests.model_server import answer
from tfx_best_exporter.executor.exports import resave, saved_model
from tfx_best_exporter.executor.exports.servable import Kind
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.proto import saved_model_pb2 as pb

# as_text.


def test_as_text(tmp_path: Path, write_model: WriteModel):
    import tensorflow as tf

    path = write_model(tmp_path / "model", scale=3.0)
    (tmp_path / "work").mkdir()
    files = resave.as_text(files_of(path), tmp_path / "work")
    for file in files:
        (tmp_path / "text" / file.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file.source.path, tmp_path / "text" / file.path)
    names = set(read_files(path)) - {"saved_model.pb"} | {"saved_model.pbtxt"}
    assert {file.path for file in files} == set(read_files(tmp_path / "text")) == names
    saved_model.check(location_of(str(tmp_path / "text")), tmp_path / "unused")
    loaded = tf.saved_model.load(str(tmp_path / "text"))
    assert serve(loaded, "serving_default", x=[2.0]) == {"y": [6.0]}


def test_as_text_leaves_text_as_it_is(tmp_path: Path):
    files = files_of(write_files(tmp_path / "model", {"saved_model.pbtxt": b"x"}))
    assert resave.as_text(files, tmp_path) == files


def test_as_text_of_a_model_in_both_forms(tmp_path: Path, write_model: WriteModel):
    path = write_model(tmp_path / "model")
    (path / "saved_model.pbtxt").write_text("TensorFlow does not load this one")
    files = resave.as_text(files_of(path), tmp_path / "work")
    (text,) = (file for file in files if file.is_marker)
    assert text.source == location_of(tmp_path / "work" / "saved_model.pbtxt")
    assert "meta_graphs" in Path(text.source.path).read_text()


@pytest.mark.parametrize("content", [b"GRAPH", b"a longer graph", b""], ids=["", "more", "less"])
def test_as_text_refuses_what_has_another_content(tmp_path: Path, content: bytes):
    path = write_files(tmp_path / "model")
    files = files_of(path)
    (path / "saved_model.pb").write_bytes(content)
    with pytest.raises(ValueError, match=r"\Acannot export .*: its content changed during the run"):
        resave.as_text(files, tmp_path / "work")


def test_a_model_that_changed_since_it_was_decided_about_is_refused(
    tmp_path: Path, write_model: WriteModel
):
    path = write_model(tmp_path / "model")
    files = files_of(path)
    content = bytearray((path / "saved_model.pb").read_bytes())
    content[-1] ^= 1
    (path / "saved_model.pb").write_bytes(content)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        resave.as_text(files, tmp_path / "text")
    assert str(caught.value) == (
        f"cannot export {path / 'saved_model.pb'}: its content changed during the run. Nothing was"
        " published. Run again, and check whether another program writes to it."
    )


# serving_signatures_fn.


def serve(loaded: Any, signature: str, **inputs: list[float]) -> dict[str, list[float]]:
    import tensorflow as tf

    tensors = {name: tf.constant(value) for name, value in inputs.items()}
    outputs = loaded.signatures[signature](**tensors)
    return {name: value.numpy().tolist() for name, value in outputs.items()}


def squared(loaded: Any) -> dict[str, Any]:
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def square(x: Any) -> Any:
        return {"z": (loaded.scale * x) ** 2}

    return {"squared": square, "serving_default": loaded.signatures["serving_default"]}


def test_with_signatures(tmp_path: Path, write_model: WriteModel):
    import tensorflow as tf

    path = write_model(tmp_path / "model", scale=3.0)
    write_files(path, {"assets.extra/warmup": b"w", "assets.extra/best_exporter/record.json": b""})
    files = resave.with_signatures(location_of(path), files_of(path), squared, tmp_path / "work")
    names = [file.path for file in files]
    assert len(names) == len(set(names))
    assert "assets.extra/warmup" in names
    assert "assets.extra/best_exporter/record.json" not in names
    loaded = tf.saved_model.load(str(tmp_path / "work" / "saved"))
    assert set(loaded.signatures) == {"squared", "serving_default"}
    assert serve(loaded, "squared", x=[2.0]) == {"z": [36.0]}
    assert serve(loaded, "serving_default", x=[2.0]) == {"y": [6.0]}
    assert loaded.scale.numpy() == 3.0
    words = (path / "assets" / "words.txt").read_bytes()
    assert (tmp_path / "work" / "saved" / "assets" / "words.txt").read_bytes() == words


@pytest.mark.parametrize("value", [None, {}, [], {"a": 1}, {1: print}, "serve"], ids=repr)
def test_signatures_of_another_type_are_refused(
    tmp_path: Path, write_model: WriteModel, value: Any
):
    path = write_model(tmp_path / "model")
    with pytest.raises(TypeError) as caught:
        resave.with_signatures(
            location_of(path), files_of(path), lambda loaded: value, tmp_path / "work"
        )
    assert str(caught.value) == (
        "serving_signatures_fn must return a dictionary of signature name to tf.function (got"
        f" {value!r}). Fix the function; nothing was exported."
    )
    assert not (tmp_path / "work").exists()


def test_with_signatures_refuses_a_model_that_changed(tmp_path: Path, write_model: WriteModel):
    path = write_model(tmp_path / "model")
    files = files_of(path)
    (path / "assets" / "words.txt").write_text("other words")
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        resave.with_signatures(location_of(path), files, squared, tmp_path / "work")
    assert str(caught.value) == (
        f"cannot export {path}: its content changed during the run. Nothing was published. Run"
        " again, and check whether another program writes to it."
    )


def test_signatures_function_that_raises(tmp_path: Path, write_model: WriteModel):
    def fail(loaded: Any) -> dict[str, Any]:
        raise AttributeError("no such layer")

    path = write_model(tmp_path / "model")
    with pytest.raises(RuntimeError) as caught:
        resave.with_signatures(location_of(path), files_of(path), fail, tmp_path / "work")
    assert str(caught.value) == (
        "serving_signatures_fn must return a dictionary of signature name to tf.function (got"
        " AttributeError: no such layer). Fix the function; nothing was exported."
    )


def test_signatures_function_that_exits(tmp_path: Path, write_model: WriteModel):
    def leave(loaded: Any) -> dict[str, Any]:
        raise SystemExit(0)

    path = write_model(tmp_path / "model")
    with pytest.raises(RuntimeError, match=r"\(got SystemExit: 0\)"):
        resave.with_signatures(location_of(path), files_of(path), leave, tmp_path / "work")


def test_signatures_that_cannot_be_saved(tmp_path: Path, write_model: WriteModel):
    path = write_model(tmp_path / "model")
    with pytest.raises(RuntimeError) as caught:
        resave.with_signatures(
            location_of(path), files_of(path), lambda loaded: {"a": print}, tmp_path / "work"
        )
    assert str(caught.value).startswith(
        "serving_signatures_fn must return functions that tf.saved_model.save accepts (got"
        " ValueError: "
    )
    assert str(caught.value).endswith(
        ". Set an input_signature for each function, and use only variables and assets of the"
        " loaded model."
    )


# Models in another storage.


def test_resave_a_model_elsewhere(tmp_path: Path, write_model: WriteModel):
    import tensorflow as tf

    write_model(tmp_path / "model", scale=3.0)
    model = Bucket(tmp_path).location("model")
    files = saved_model.files_of(model)
    (text,) = (file for file in resave.as_text(files, tmp_path / "text") if file.is_marker)
    assert "meta_graphs" in Path(text.source.path).read_text()
    resave.with_signatures(model, files, squared, tmp_path / "work")
    loaded = tf.saved_model.load(str(tmp_path / "work" / "saved"))
    assert serve(loaded, "squared", x=[2.0]) == {"z": [36.0]}


# A model that a server cannot run.


def test_with_own_signatures(tmp_path: Path):
    path = tmp_path / "model"
    kinds.save_keras_by_tensorflow(path)
    write_files(path, {"assets.extra/warmup": b"w", "assets.extra/best_exporter/record.json": b""})
    before = files_of(path)
    files, warnings = resave.with_own_signatures(location_of(path), before, tmp_path / "work")
    assert warnings == ()
    names = {file.path for file in files}
    assert "assets.extra/warmup" in names
    assert "assets.extra/best_exporter/record.json" not in names
    assert files_of(path) == before
    assert answer(tmp_path / "work" / "saved", {"x": [[3.0]]}) == {"y": [[6.0]]}


def test_with_own_signatures_elsewhere(tmp_path: Path):
    kinds.save_keras_by_tensorflow(tmp_path / "model")
    model = Bucket(tmp_path).location("model")
    resave.with_own_signatures(model, saved_model.files_of(model), tmp_path / "work")
    assert answer(tmp_path / "work" / "saved", {"x": [[3.0]]}) == {"y": [[6.0]]}


def refusal(path: Path, problem: str) -> str:
    return (
        f"model must be a SavedModel that a model server can run (got {str(path)!r}, which was"
        f" saved again from its own signatures: {problem}). {Kind.UNSET_VARIABLES.value}"
    )


def save_without_a_value(path: Path) -> None:
    """Writes a graph of TensorFlow 1 whose variable is neither saved nor in a collection."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 1], name="x")
        saved = v1.get_variable("saved", initializer=tf.constant(1.0), use_resource=True)
        lost = v1.get_variable(
            "lost", initializer=tf.constant(1.0), use_resource=True, collections=[]
        )
        y = x * saved + lost
        session.run([saved.initializer, lost.initializer])
        builder = v1.saved_model.Builder(str(path))
        signature = v1.saved_model.predict_signature_def({"x": x}, {"y": y})
        builder.add_meta_graph_and_variables(
            session, ["serve"], {"serving_default": signature}, saver=v1.train.Saver([saved])
        )
        builder.save()


def test_a_variable_without_a_value_cannot_be_healed(tmp_path: Path):
    path = tmp_path / "model"
    save_without_a_value(path)
    with pytest.raises(saved_model.InvalidModelError) as caught:
        resave.with_own_signatures(location_of(path), files_of(path), tmp_path / "work")
    head, tail = refusal(path, "|").split("|")
    assert str(caught.value).startswith(head)
    assert str(caught.value).endswith(tail)


def test_a_graph_of_tensorflow_1_without_its_initialization_is_healed(tmp_path: Path):
    path = tmp_path / "model"
    kinds.save_by_tensorflow_1(path, is_initialized=False)
    resave.with_own_signatures(location_of(path), files_of(path), tmp_path / "work")
    assert answer(tmp_path / "work" / "saved", {"x": [[3.0]]}) == {"y": [[6.0]]}


def test_a_method_that_changes_is_refused(tmp_path: Path):
    """TensorFlow saves each signature with the method of predictions."""
    path = tmp_path / "model"
    kinds.save_keras_by_tensorflow(path)
    proto = pb.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    method = "tensorflow/serving/classify"
    proto.meta_graphs[0].signature_def["serving_default"].method_name = method
    (path / "saved_model.pb").write_bytes(proto.SerializeToString())
    with pytest.raises(saved_model.InvalidModelError) as caught:
        resave.with_own_signatures(location_of(path), files_of(path), tmp_path / "work")
    change = (
        f"the method of signature 'serving_default' changed from {method!r} to"
        " 'tensorflow/serving/predict'"
    )
    assert str(caught.value) == refusal(path, f"its signatures changed: {change}")


def test_with_own_signatures_refuses_a_model_that_changed(tmp_path: Path):
    path = tmp_path / "model"
    kinds.save_keras_by_tensorflow(path)
    files = files_of(path)
    write_files(path, {"assets.extra/new": b"x"})
    with pytest.raises(ValueError, match=r"\Acannot export .*: its content changed during the run"):
        resave.with_own_signatures(location_of(path), files, tmp_path / "work")


def test_new_signatures_that_a_server_cannot_run(tmp_path: Path):
    """TensorFlow saves no variable that the loaded model does not own."""
    path = tmp_path / "model"
    kinds.save_module(path)

    def of_keras(loaded: Any) -> dict[str, Any]:
        loaded.model = kinds.keras_model()
        return {"serving_default": kinds.serving_function(loaded.model)}

    with pytest.raises(saved_model.InvalidModelError) as caught:
        resave.with_signatures(location_of(path), files_of(path), of_keras, tmp_path / "work")
    assert str(caught.value).startswith(
        "serving_signatures_fn must return signatures that a model server can run (got"
        " serving_default: the serving signatures read 2 variables that are not restored"
    )
    assert str(caught.value).endswith(". Use only variables and assets of the loaded model.")
