"""Checks of a metric in a policy, and its improvement by the policy's direction."""

from __future__ import annotations

from tfx_best_exporter.executor.arguments.checks import is_name
from tfx_best_exporter.executor.arguments.errors import FieldValueError, within
from tfx_best_exporter.executor.deciding.eval_result import LEAST_SUB_KEYS
from tfx_best_exporter.proto import best_exporter_pb2 as pb


def improvement_of(value: float, best_value: float, direction: int) -> float:
    """Returns the improvement over the best's value; negative if the value is worse."""
    return value - best_value if direction == pb.HIGHER_IS_BETTER else best_value - value


def check_metric(metric: pb.MetricKey, direction: int) -> None:
    """Checks the metric and the direction of a rule or a guardrail.

    Raises:
        FieldValueError: The metric or the direction is missing or invalid.
    """
    with within("metric"):
        _check_key(metric)
    if direction not in (pb.HIGHER_IS_BETTER, pb.LOWER_IS_BETTER):
        is_known = direction in pb.MetricDirection.values()
        raise FieldValueError(
            "direction",
            "must be HIGHER_IS_BETTER or LOWER_IS_BETTER (got"
            f" {pb.MetricDirection.Name(direction) if is_known else direction}). Set the"
            f" direction in which {metric.name!r} improves.",
        )


def _check_key(metric: pb.MetricKey) -> None:
    if not is_name(metric.name):
        raise FieldValueError(
            "name",
            f"must be the name of a metric (got {metric.name!r})."
            " Use a metric of Evaluator's EvalConfig.",
        )
    for part in ("output_name", "model_name"):
        name = getattr(metric, part)
        if name and not is_name(name):
            raise FieldValueError(
                part,
                f"must be a name (got {name!r})."
                " Use the name in Evaluator's EvalConfig, or leave it out.",
            )
    kind = metric.sub_key.WhichOneof("kind")
    if kind and getattr(metric.sub_key, kind) < LEAST_SUB_KEYS[kind]:
        raise FieldValueError(
            f"sub_key.{kind}",
            f"must be {LEAST_SUB_KEYS[kind]} or larger (got"
            f" {getattr(metric.sub_key, kind)!r}). Classes count from 0, k and top_k from 1.",
        )
    # Enums of proto3 are open: a message or JSON may have a number without a name.
    if metric.aggregation not in pb.MetricKey.Aggregation.values():
        values = pb.MetricKey.Aggregation.DESCRIPTOR.values_by_name
        names = [each for each in values if each.endswith("_AVERAGE")]
        raise FieldValueError(
            "aggregation",
            f"must be one of {', '.join(names)} (got {metric.aggregation!r})."
            " Leave it out for a metric that is not averaged over classes.",
        )
