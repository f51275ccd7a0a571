"""The kinds of guardrail: their table, and the guardrails of a policy.

guardrail.py has the protocol of a kind.
"""

from __future__ import annotations

from collections.abc import Mapping

from tfx_best_exporter.executor.arguments.errors import FieldValueError, within
from tfx_best_exporter.executor.deciding.eval_result import MetricKey
from tfx_best_exporter.executor.deciding.guardrail import Guardrail
from tfx_best_exporter.executor.deciding.metric_limit import MetricLimit
from tfx_best_exporter.executor.deciding.noninferiority import NonInferiority
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# Each kind of guardrail, by the fields of a pb.Guardrail that state it.
GUARDRAILS: Mapping[str, type[Guardrail]] = {
    **dict.fromkeys(("bound", "max_absolute_regression", "max_relative_regression"), MetricLimit),
    "significance": NonInferiority,
}
# Kinds that read all fields of another kind, in addition to their own.
_EXTENSIONS: Mapping[type[Guardrail], type[Guardrail]] = {NonInferiority: MetricLimit}


def from_policy(
    proto: pb.ComparePolicy, kinds: Mapping[str, type[Guardrail]] = GUARDRAILS
) -> tuple[Guardrail, ...]:
    """Returns the guardrails of a policy.

    Args:
        proto: The policy.
        kinds: Kinds of guardrail, by the fields that state a kind.

    Raises:
        FieldValueError: A guardrail is invalid or has limits of two kinds, or no value of a metric
            can meet two guardrails.
    """
    found: list[Guardrail] = []
    for index, each in enumerate(proto.guardrails):
        with within(f"guardrails[{index}]"):
            guardrail = from_proto(each, kinds)
        for other_index, other in enumerate(found):
            contradiction = other.contradicts(guardrail) or guardrail.contradicts(other)
            if contradiction:
                raise FieldValueError(
                    f"guardrails[{index}]",
                    f"must not contradict compare_policy.guardrails[{other_index}] (got"
                    f" {contradiction}). No candidate can pass both: change one of them.",
                )
        found.append(guardrail)
    return tuple(found)


def from_proto(proto: pb.Guardrail, kinds: Mapping[str, type[Guardrail]] = GUARDRAILS) -> Guardrail:
    """Returns the guardrail in a proto.

    Args:
        proto: The guardrail.
        kinds: Kinds of guardrail, by the fields that state a kind.

    Raises:
        FieldValueError: The guardrail is invalid or has limits of two kinds.
    """
    stated = _stated(proto, kinds)
    if len({*stated.values()}) > 1:
        raise FieldValueError(
            "",
            f"must have limits of one kind (got {' and '.join(stated)}). Use two guardrails.",
        )
    # The first kind reports the limit that a message without any lacks.
    kind = next(iter((stated or kinds).values()))
    return kind.from_proto(proto)


def text_of(proto: pb.Guardrail, kinds: Mapping[str, type[Guardrail]] = GUARDRAILS) -> str:
    """Returns a guardrail as one sentence, for the report.

    Args:
        proto: The guardrail.
        kinds: Kinds of guardrail, by the fields that state a kind.
    """
    # A later release may have written the message, with a kind that this one does not have.
    texts = [kind.text_of(proto) for kind in dict.fromkeys(_stated(proto, kinds).values())]
    limits = " and ".join(texts) or "a limit that this release does not know"
    return f"{MetricKey.from_proto(proto.metric)}: {limits}."


def _stated(
    proto: pb.Guardrail, kinds: Mapping[str, type[Guardrail]]
) -> dict[str, type[Guardrail]]:
    found = {field: kind for field, kind in kinds.items() if proto.HasField(field)}
    extended = {_EXTENSIONS[kind]: kind for kind in found.values() if kind in _EXTENSIONS}
    return {field: extended.get(kind, kind) for field, kind in found.items()}
