"""The conditions under which a pipeline runs a component."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from tfx.dsl.context_managers import dsl_context_registry
from tfx.dsl.experimental.conditionals import conditional
from tfx.dsl.placeholder import placeholder
from tfx.proto.orchestration import placeholder_pb2
from tfx.types import standard_artifacts

from tfx_best_exporter.executor import keys

_BLESSINGS = {
    standard_artifacts.ModelBlessing.TYPE_NAME,
    standard_artifacts.InfraBlessing.TYPE_NAME,
}
_AND = placeholder_pb2.BinaryLogicalOperator.Operation.AND
_EQUAL = placeholder_pb2.ComparisonOperator.Operation.EQUAL

# Types of the channels in a predicate, by the key that stands for the channel.
_Types: TypeAlias = Mapping[str, set[Any]]


def is_gated_by_blessing() -> bool:
    """Returns True if a node that is made now runs only if a blessing says yes.

    That is the case in a block `with Cond(blessing.future()[0].custom_property("blessed") == 1)`,
    as in TFX's own pipelines.
    """
    return any(
        _requires_blessing(context.predicate.encode(), _types_of(context.predicate))
        for context in dsl_context_registry.get().active_contexts
        if isinstance(context, conditional.CondContext)
    )


def _types_of(predicate: placeholder.Predicate) -> _Types:
    found: dict[str, set[Any]] = {}
    for each in predicate.traverse():
        if isinstance(each, placeholder.ChannelWrappedPlaceholder):
            # Before a pipeline is compiled, a channel may have no key.
            found.setdefault(each.key or "", set()).add(each.channel.type_name)
    return found


def _requires_blessing(expression: placeholder_pb2.PlaceholderExpression, types: _Types) -> bool:
    operator = expression.operator
    if operator.HasField("binary_logical_op"):
        both = operator.binary_logical_op
        return both.op == _AND and (
            _requires_blessing(both.lhs, types) or _requires_blessing(both.rhs, types)
        )
    if not operator.HasField("compare_op") or operator.compare_op.op != _EQUAL:
        return False
    sides = (operator.compare_op.lhs, operator.compare_op.rhs)
    return any(_is_blessed(one, types) and _is_one(other) for one, other in (sides, sides[::-1]))


def _is_blessed(expression: placeholder_pb2.PlaceholderExpression, types: _Types) -> bool:
    """Returns True for the custom property `blessed` of a blessing."""
    name = expression.operator.artifact_property_op
    artifact = name.expression.operator.index_op.expression.placeholder
    return (
        name.is_custom_property
        and name.key == keys.BLESSED_PROPERTY
        and bool(types.get(artifact.key))
        and types[artifact.key] <= _BLESSINGS
    )


def _is_one(expression: placeholder_pb2.PlaceholderExpression) -> bool:
    return expression.value.HasField("int_value") and expression.value.int_value == 1
