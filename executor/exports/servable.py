"""Checks that a model server can load a SavedModel and run its serving signatures.

A model server loads a graph in a session: it selects the graph by its tag, runs the restore
operation and the initialization operation, and then runs a signature. `tf.saved_model.load`
restores variables in another way, by the objects that own them. A model can therefore load in
Python and still fail in a server: Keras 3 with `tf.saved_model.save` writes a restore operation
that sets other variables than those that the signatures read.

This module reads only TensorFlow's messages, and does not import TensorFlow. It mirrors the loader
of TensorFlow (tensorflow/cc/saved_model/loader.cc).
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from tfx_best_exporter.executor.exports.saved_model import (
    BINARY,
    INDEX,
    MARKERS,
    SERVING_TAG,
    InvalidModelError,
)
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.proto import saved_model_pb2 as pb

_DEFAULT_SIGNATURE = "serving_default"
# Names of TensorFlow's own signatures, such as __saved_model_init_op, begin with this prefix.
_INTERNAL_PREFIX = "__"
_INIT_OP_SIGNATURE = "__saved_model_init_op"
# Collections that name the initialization operation, in the order in which the loader looks.
_INIT_OP_COLLECTIONS = ("saved_model_main_op", "legacy_init_op")
# Operations that own a variable. Those of TensorFlow 1 hold the value themselves.
_VARIABLE_OPS = frozenset(("VarHandleOp", "VariableV2", "Variable"))
_ASSETS = "assets"
# Number of variables that a problem names.
_MAX_NAMES = 3

# Container and shared name, which identify a variable in a session.
Variable: TypeAlias = tuple[str, str]


class Kind(enum.Enum):
    """A kind of problem. The value is the remedy."""

    MISSING_FILE = "Copy the whole SavedModel, with all files of its assets directory."
    NO_TAG = "Save the model with tf.saved_model.save or model.export(path), which set the tag."
    NO_SIGNATURE = (
        "Save the model with serving signatures, or set serving_signatures_fn to define them."
    )
    UNSET_VARIABLES = (
        "Save the model with model.export(path) or keras.export.ExportArchive instead of"
        " tf.saved_model.save."
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One reason why a model server cannot load or run a model.

    Attributes:
        kind: Kind of the problem.
        text: One clause.
    """

    kind: Kind
    text: str

    @property
    def is_healable(self) -> bool:
        """True if saving the model again from its own signatures may remove the problem."""
        return self.kind is Kind.UNSET_VARIABLES

    @property
    def prevents_loading(self) -> bool:
        """True if TensorFlow cannot load the model either, so that it cannot be saved again."""
        return self.kind is Kind.MISSING_FILE


def unservable_error(model: Location, problems: Sequence[Problem]) -> InvalidModelError:
    """Returns the error about a model that is not exported because of its problems.

    Args:
        model: Directory of the SavedModel.
        problems: At least one problem.
    """
    found = "; ".join(problem.text for problem in problems)
    return InvalidModelError(
        f"model must be a SavedModel that a model server can run (got {str(model)!r}: {found})."
        f" {problems[0].kind.value}"
    )


def problems_of(model: pb.SavedModel, sizes: Mapping[str, int]) -> tuple[Problem, ...]:
    """Returns the reasons why a model server cannot load or run a model; empty if it can.

    Args:
        model: Content of saved_model.pb or saved_model.pbtxt.
        sizes: Size of each file in bytes, by path relative to the SavedModel.
    """
    file = next((name for name in MARKERS if name in sizes), BINARY)
    graph = graph_of(model)
    if graph is None:
        found = "; ".join(sorted(_tags_text(each) for each in model.meta_graphs)) or "no graph"
        text = f"{file} has no graph with the tag {SERVING_TAG!r} (found: {found})"
        return (Problem(kind=Kind.NO_TAG, text=text),)
    problems = [
        Problem(kind=Kind.MISSING_FILE, text=f"{path} is missing")
        for path in sorted({f"{_ASSETS}/{asset.filename}" for asset in graph.asset_file_def})
        if path not in sizes
    ]
    signatures = serving_signatures_of(graph)
    if not signatures:
        problems.append(
            Problem(kind=Kind.NO_SIGNATURE, text=f"{file} defines no serving signature")
        )
    unset = _unset_variables(graph, signatures.values(), has_variables=INDEX in sizes)
    if unset:
        problems.append(Problem(kind=Kind.UNSET_VARIABLES, text=_unset_text(unset)))
    return tuple(problems)


def graph_of(model: pb.SavedModel) -> pb.MetaGraphDef | None:
    """Returns the graph that a model server loads; None if no graph has the tag.

    By default, a server loads the graph whose only tag is "serve". A server can be configured for a
    graph with more tags, so such a graph counts if it is the only choice.
    """
    tagged = [graph for graph in model.meta_graphs if SERVING_TAG in graph.meta_info_def.tags]
    return min(tagged, key=lambda graph: len(graph.meta_info_def.tags), default=None)


def serving_signatures_of(graph: pb.MetaGraphDef) -> dict[str, pb.SignatureDef]:
    """Returns the signatures that a client can call, by name.

    A model server refuses a signature without a method, except for the default one, which older
    tools wrote without it.
    """
    return {
        name: signature
        for name, signature in graph.signature_def.items()
        if not name.startswith(_INTERNAL_PREFIX)
        and (name == _DEFAULT_SIGNATURE or signature.method_name)
    }


def _tags_text(graph: pb.MetaGraphDef) -> str:
    return (
        ", ".join(repr(tag) for tag in sorted(graph.meta_info_def.tags)) or "a graph without tags"
    )


def _unset_text(variables: Sequence[str]) -> str:
    names = ", ".join(repr(name) for name in variables[:_MAX_NAMES])
    if len(variables) > _MAX_NAMES:
        names = f"{names} and {len(variables) - _MAX_NAMES:,} more"
    noun = "a variable" if len(variables) == 1 else f"{len(variables):,} variables"
    verb = "is" if len(variables) == 1 else "are"
    return (
        f"the serving signatures read {noun} that {verb} not restored when a model server loads the"
        f" model: {names}"
    )


def _unset_variables(
    graph: pb.MetaGraphDef, signatures: Iterable[pb.SignatureDef], *, has_variables: bool
) -> list[str]:
    """Returns the names of variables that signatures read and that no operation sets, sorted."""
    nodes = _Nodes(graph.graph_def)
    read: set[Variable] = set()
    for signature in signatures:
        fed = {_tensor(name) for name in _tensor_names(signature.inputs.values())}
        read |= nodes.variables_above(_tensor_names(signature.outputs.values()), fed)
    setters = [*_init_ops(graph)]
    # The loader runs the restore operation only if the model has variables.
    if has_variables and graph.saver_def.restore_op_name:
        setters.append(graph.saver_def.restore_op_name)
    return sorted(name for _, name in read - nodes.variables_above(setters, set()))


def _init_ops(graph: pb.MetaGraphDef) -> Iterator[str]:
    """Yields the name of the initialization operation, if the graph has one."""
    if _INIT_OP_SIGNATURE in graph.signature_def:
        yield from _tensor_names(graph.signature_def[_INIT_OP_SIGNATURE].outputs.values())
        return
    for name in _INIT_OP_COLLECTIONS:
        if name in graph.collection_def:
            yield from graph.collection_def[name].node_list.value
            return


def _tensor_names(infos: Iterable[pb.TensorInfo]) -> Iterator[str]:
    """Yields the names of all tensors of a signature's inputs or outputs."""
    for info in infos:
        kind = info.WhichOneof("encoding")
        if kind == "name":
            yield info.name
        elif kind == "coo_sparse":
            sparse = info.coo_sparse
            yield from (
                sparse.values_tensor_name,
                sparse.indices_tensor_name,
                sparse.dense_shape_tensor_name,
            )
        elif kind == "composite_tensor":
            yield from _tensor_names(info.composite_tensor.components)


def _tensor(name: str) -> tuple[str, str]:
    """Returns the node and the output number of a tensor's name."""
    node, _, output = name.partition(":")
    return node, output or "0"


class _Nodes:
    """The nodes and functions of a graph, by name."""

    def __init__(self, graph: pb.GraphDef):
        self._nodes = {node.name: node for node in graph.node}
        self._functions = {each.signature.name: each for each in graph.library.function}

    def variables_above(self, names: Iterable[str], fed: set[tuple[str, str]]) -> set[Variable]:
        """Returns the variables that some tensors or operations depend on.

        All nodes of a called function count, because the stateful ones run even if no output
        depends on them.

        Args:
            names: Names of tensors or operations.
            fed: Tensors that a client provides, so that the session does not compute them.
        """
        nodes = self._nodes_above(names, fed)
        variables: set[Variable] = set()
        called: set[str] = set()
        while nodes:
            node = nodes.pop()
            if node.op in _VARIABLE_OPS:
                # A session uses the name of the node if no name is shared.
                name = _text(node, "shared_name") or node.name
                variables.add((_text(node, "container"), name))
            for function in self._functions.keys() & set(_called_by(node)) - called:
                called.add(function)
                nodes.extend(self._functions[function].node_def)
        return variables

    def _nodes_above(self, names: Iterable[str], fed: set[tuple[str, str]]) -> list[pb.NodeDef]:
        found: dict[str, pb.NodeDef] = {}
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if not name.startswith("^") and _tensor(name) in fed:
                continue
            node_name, _ = _tensor(name.removeprefix("^"))
            if node_name in self._nodes and node_name not in found:
                found[node_name] = self._nodes[node_name]
                waiting.extend(found[node_name].input)
        return list(found.values())


def _text(node: pb.NodeDef, attribute: str) -> str:
    # Reading a missing key of a protobuf map would add it.
    return node.attr[attribute].s.decode(errors="replace") if attribute in node.attr else ""


def _called_by(node: pb.NodeDef) -> Iterator[str]:
    """Yields the names of the functions that a node may call."""
    yield node.op
    for value in node.attr.values():
        kind = value.WhichOneof("value")
        if kind == "func":
            yield value.func.name
        elif kind == "list":
            yield from (function.name for function in value.list.func)
