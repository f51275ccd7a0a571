import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import kinds_of_models as kinds
from tests.model_server import answer
from tfx_best_exporter.executor.exports import saved_model, servable
from tfx_best_exporter.executor.exports.servable import Kind, Problem
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.proto import saved_model_pb2 as pb

SIZES = {"saved_model.pb": 1, saved_model.INDEX: 1}


def problems_of(path: Path) -> tuple[Problem, ...]:
    contents = saved_model.check(location_of(path), path.parent / "work of the check")
    return servable.problems_of(contents.message, contents.sizes)


@pytest.mark.parametrize(
    ("save", "inputs", "value"),
    [
        pytest.param(kinds.save_module, {"x": [[3.0]]}, [[6.0]], id="module"),
        pytest.param(kinds.export_keras, {"x": [[3.0]]}, [[6.0]], id="Keras export"),
        pytest.param(kinds.archive_keras, {"x": [[3.0]]}, [[6.0]], id="Keras archive"),
        pytest.param(kinds.save_again, {"x": [[3.0]]}, [[6.0]], id="saved again"),
        pytest.param(kinds.save_by_tensorflow_1, {"x": [[3.0]]}, [[6.0]], id="TensorFlow 1"),
        pytest.param(kinds.save_words, {"x": [b"versicolor"]}, [2], id="table with an asset"),
    ],
)
def test_a_model_that_a_server_can_run(
    tmp_path: Path, save: Callable[[Path], None], inputs: dict[str, Any], value: Any
):
    path = tmp_path / "model"
    save(path)
    assert problems_of(path) == ()
    assert list(answer(path, inputs).values()) == [value]


def test_keras_3_by_tensorflow(tmp_path: Path):
    import tensorflow as tf

    path = tmp_path / "model"
    kinds.save_keras_by_tensorflow(path)
    [problem] = problems_of(path)
    assert problem.is_healable
    assert problem == Problem(
        kind=Kind.UNSET_VARIABLES,
        text=(
            "the serving signatures read 2 variables that are not restored when a model server"
            " loads the model: 'dense/bias', 'dense/kernel'"
        ),
    )
    with pytest.raises(tf.errors.FailedPreconditionError, match="Could not find variable"):
        answer(path, {"x": [[3.0]]})


def test_tensorflow_1_without_an_initialization(tmp_path: Path):
    import tensorflow as tf

    path = tmp_path / "model"
    kinds.save_by_tensorflow_1(path, is_initialized=False)
    [problem] = problems_of(path)
    assert problem.is_healable
    assert problem == Problem(
        kind=Kind.UNSET_VARIABLES,
        text=(
            "the serving signatures read a variable that is not restored when a model server loads"
            " the model: 'bias'"
        ),
    )
    with pytest.raises(tf.errors.FailedPreconditionError):
        answer(path, {"x": [[3.0]]})


def test_missing_asset(tmp_path: Path):
    import tensorflow as tf

    path = tmp_path / "model"
    kinds.save_words(path)
    (path / "assets" / "words.txt").unlink()
    [problem] = problems_of(path)
    assert problem == Problem(kind=Kind.MISSING_FILE, text="assets/words.txt is missing")
    assert problem.prevents_loading
    with pytest.raises(tf.errors.NotFoundError):
        answer(path, {"x": [b"setosa"]})


def test_as_text(tmp_path: Path):
    from google.protobuf import text_format
    from tensorflow.core.protobuf import saved_model_pb2

    path = tmp_path / "model"
    kinds.save_keras_by_tensorflow(path)
    expected = problems_of(path)
    proto = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    (path / "saved_model.pbtxt").write_text(text_format.MessageToString(proto))
    (path / "saved_model.pb").unlink()
    assert problems_of(path) == expected


# Small graphs.


def tensor(name: str) -> pb.TensorInfo:
    return pb.TensorInfo(name=name)


def variable(name: str, op: str = "VarHandleOp", **attributes: str) -> pb.NodeDef:
    attr = {key: pb.AttrValue(s=value.encode()) for key, value in attributes.items()}
    return pb.NodeDef(name=name, op=op, attr=attr)


def node(name: str, *inputs: str, op: str = "Identity", **functions: str) -> pb.NodeDef:
    attr = {key: pb.AttrValue(func=pb.NameAttrList(name=value)) for key, value in functions.items()}
    return pb.NodeDef(name=name, op=op, input=inputs, attr=attr)


def function(name: str, *nodes: pb.NodeDef) -> pb.FunctionDef:
    return pb.FunctionDef(signature=pb.OpDef(name=name), node_def=nodes)


def model_of(
    *nodes: pb.NodeDef,
    functions: tuple[pb.FunctionDef, ...] = (),
    tags: tuple[str, ...] = ("serve",),
    outputs: dict[str, pb.TensorInfo] | None = None,
    inputs: dict[str, pb.TensorInfo] | None = None,
    signature: str = "serving_default",
    method: str = "",
    restore: str = "",
    **kwargs: Any,
) -> pb.SavedModel:
    graph = pb.MetaGraphDef(
        meta_info_def=pb.MetaGraphDef.MetaInfoDef(tags=tags),
        graph_def=pb.GraphDef(node=nodes, library=pb.FunctionDefLibrary(function=functions)),
        saver_def=pb.SaverDef(restore_op_name=restore),
        **kwargs,
    )
    graph.signature_def[signature].CopyFrom(
        pb.SignatureDef(inputs=inputs, outputs=outputs or {"y": tensor("y:0")}, method_name=method)
    )
    return pb.SavedModel(meta_graphs=[graph])


def texts(model: pb.SavedModel, sizes: dict[str, int] | None = None) -> list[str]:
    return [problem.text for problem in servable.problems_of(model, sizes or SIZES)]


def unset(model: pb.SavedModel, sizes: dict[str, int] | None = None) -> list[str]:
    """Returns the variables that the problems of a model name."""
    return [name for text in texts(model, sizes) for name in re.findall("'([^']+)'", text)]


A, B = variable("a", shared_name="a"), variable("b", shared_name="b")
READ = node("y", "a:0", "^b")


@pytest.mark.parametrize(
    ("model", "names"),
    [
        pytest.param(model_of(A, B, node("y")), [], id="no variable is read"),
        pytest.param(model_of(A, B, READ), ["a", "b"], id="data and control inputs"),
        pytest.param(
            model_of(A, B, READ, node("restore", "a"), restore="restore"), ["b"], id="restored"
        ),
        pytest.param(
            model_of(
                A,
                B,
                READ,
                node("restore", "^assign"),
                node("assign", "a"),
                node("all", "b"),
                restore="restore",
                collection_def={
                    "saved_model_main_op": pb.CollectionDef(
                        node_list=pb.CollectionDef.NodeList(value=["all"])
                    )
                },
            ),
            [],
            id="main op",
        ),
        pytest.param(
            model_of(
                A,
                B,
                READ,
                node("all", "a", "b"),
                collection_def={
                    "legacy_init_op": pb.CollectionDef(
                        node_list=pb.CollectionDef.NodeList(value=["all"])
                    )
                },
            ),
            [],
            id="legacy init op",
        ),
        pytest.param(
            model_of(
                variable("of the graph", shared_name="a"),
                variable("of the restore", shared_name="a"),
                variable("elsewhere", shared_name="a", container="other"),
                node("y", "of the graph", "elsewhere"),
                node("restore", "of the restore"),
                restore="restore",
            ),
            ["a"],
            id="shared name and container",
        ),
        pytest.param(
            model_of(variable("a"), variable("b", op="VariableV2"), READ),
            ["a", "b"],
            id="names of nodes",
        ),
        pytest.param(
            model_of(A, node("x", "a"), node("y", "x:1"), inputs={"x": tensor("x:1")}),
            [],
            id="above a tensor that is fed",
        ),
        pytest.param(
            model_of(A, node("x", "a"), node("y", "x:0"), inputs={"x": tensor("x:1")}),
            ["a"],
            id="another output of a node that is fed",
        ),
        pytest.param(
            model_of(
                node("y", "x:0", op="call"),
                functions=(function("call", node("inner", f="f"), A), function("f", B)),
            ),
            ["a", "b"],
            id="functions",
        ),
        pytest.param(
            model_of(
                node("y", f="f"),
                node("restore", f="g"),
                functions=(function("f", A, node("f", f="g")), function("g", B, node("g", f="f"))),
                restore="restore",
            ),
            [],
            id="functions that call each other",
        ),
        pytest.param(
            model_of(
                pb.NodeDef(
                    name="y",
                    op="Case",
                    attr={
                        "branches": pb.AttrValue(
                            list=pb.AttrValue.ListValue(
                                func=[pb.NameAttrList(name="f"), pb.NameAttrList(name="g")]
                            )
                        )
                    },
                ),
                functions=(function("f", A), function("g", B)),
            ),
            ["a", "b"],
            id="branches",
        ),
        pytest.param(
            model_of(
                A,
                B,
                node("values", "a"),
                node("splits", "b"),
                outputs={
                    "sparse": pb.TensorInfo(
                        coo_sparse=pb.TensorInfo.CooSparse(values_tensor_name="values:0")
                    ),
                    "ragged": pb.TensorInfo(
                        composite_tensor=pb.TensorInfo.CompositeTensor(
                            components=[tensor("splits:0")]
                        )
                    ),
                },
            ),
            ["a", "b"],
            id="sparse and composite outputs",
        ),
    ],
)
def test_variables_that_are_not_set(model: pb.SavedModel, names: list[str]):
    assert unset(model) == names


def test_the_initialization_signature():
    model = model_of(A, node("y", "a"), node("init", "a"))
    signatures = model.meta_graphs[0].signature_def
    signatures["__saved_model_init_op"].outputs["__saved_model_init_op"].name = "init"
    assert texts(model) == []


def test_nothing_is_restored_without_an_index():
    model = model_of(A, node("y", "a"), node("restore", "a"), restore="restore")
    assert texts(model) == []
    assert unset(model, {"saved_model.pb": 1}) == ["a"]


def test_at_most_three_variables_are_named():
    nodes = [variable(f"v{index}") for index in range(5)]
    model = model_of(*nodes, node("y", *[each.name for each in nodes]))
    assert texts(model)[0].endswith(" loads the model: 'v0', 'v1', 'v2' and 2 more")


@pytest.mark.parametrize(
    ("model", "kind", "problem"),
    [
        pytest.param(
            model_of(tags=("train",)),
            Kind.NO_TAG,
            "saved_model.pb has no graph with the tag 'serve' (found: 'train')",
            id="train",
        ),
        pytest.param(
            model_of(tags=()),
            Kind.NO_TAG,
            "saved_model.pb has no graph with the tag 'serve' (found: a graph without tags)",
            id="no tag",
        ),
        pytest.param(
            pb.SavedModel(),
            Kind.NO_TAG,
            "saved_model.pb has no graph with the tag 'serve' (found: no graph)",
            id="no graph",
        ),
        pytest.param(
            model_of(signature="__saved_model_init_op", method="m"),
            Kind.NO_SIGNATURE,
            "saved_model.pb defines no serving signature",
            id="internal signature",
        ),
        pytest.param(
            model_of(signature="predict"),
            Kind.NO_SIGNATURE,
            "saved_model.pb defines no serving signature",
            id="no method",
        ),
        pytest.param(
            model_of(asset_file_def=[pb.AssetFileDef(filename="../saved_model.pb")]),
            Kind.MISSING_FILE,
            "assets/../saved_model.pb is missing",
            id="asset outside assets/",
        ),
    ],
)
def test_what_saving_again_cannot_heal(model: pb.SavedModel, kind: Kind, problem: str):
    [found] = servable.problems_of(model, SIZES)
    assert found == Problem(kind=kind, text=problem)
    assert not found.is_healable


def test_the_error_has_the_remedy_of_the_first_problem():
    problems = [Problem(kind=Kind.NO_SIGNATURE, text="a"), Problem(kind=Kind.NO_TAG, text="b")]
    error = servable.unservable_error(location_of("/models/7"), problems)
    assert str(error) == (
        "model must be a SavedModel that a model server can run (got '/models/7': a; b)."
        f" {Kind.NO_SIGNATURE.value}"
    )


@pytest.mark.parametrize("kind", Kind)
def test_a_remedy_is_a_sentence(kind: Kind):
    assert re.fullmatch(r"(Copy|Save) the .*\.", kind.value)


def test_a_signature_of_any_name_counts():
    assert texts(model_of(signature="predict", method="tensorflow/serving/predict")) == []


def test_the_graph_with_the_fewest_tags_is_served():
    model = pb.SavedModel()
    for tags in (("serve", "tpu"), ("serve",), ("train",)):
        model.MergeFrom(model_of(A, node("y", "a"), tags=tags))
    del model.meta_graphs[1].graph_def.node[:]
    assert texts(model) == []
    del model.meta_graphs[1]
    assert unset(model) == ["a"]


_CHECK = """
import sys
from pathlib import Path
from tfx_best_exporter.executor.exports import saved_model, servable
from tfx_best_exporter.executor.storage import location_of

contents = saved_model.check(location_of(sys.argv[1]), Path(sys.argv[1] + " work"))
print(len(servable.problems_of(contents.message, contents.sizes)))
print(*({"numpy", "tensorflow", "tfx"} & set(sys.modules)))
"""


def test_tensorflow_is_not_imported(tmp_path: Path):
    kinds.save_keras_by_tensorflow(tmp_path / "model")
    output = subprocess.run(
        [sys.executable, "-c", _CHECK, str(tmp_path / "model")],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert output.splitlines() == ["1", ""]
