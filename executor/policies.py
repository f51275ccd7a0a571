"""Short constructors for what BestExporter is configured with.

Example:
    >>> compare_policy(
    ...     larger("auc", by=0.001, alpha=0.05),
    ...     tie_breakers=[smaller("loss")],
    ...     guardrails=[
    ...         at_least("recall", 0.8),
    ...         at_least("auc", max_regression=0.02, every_slice_min_examples=100),
    ...     ],
    ... )
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfx_best_exporter.proto import best_exporter_pb2 as pb


def metric(
    name: str,
    *,
    output_name: str = "",
    class_id: int | None = None,
    k: int | None = None,
    top_k: int | None = None,
    aggregation: str = "",
    example_weighted: bool | None = None,
) -> pb.MetricKey:
    """Returns which metric of an evaluation is meant, as TFMA addresses it.

    Args:
        name: For example "auc".
        output_name: Of a model with several outputs.
        class_id: The metric of this class.
        k: The metric of the k-th prediction.
        top_k: The metric over the first k predictions.
        aggregation: "MICRO_AVERAGE", "MACRO_AVERAGE" or "WEIGHTED_MACRO_AVERAGE".
        example_weighted: Needed only where an evaluation holds a metric weighted and unweighted.

    Raises:
        ValueError: More than one of class_id, k and top_k, or no such aggregation.
    """
    parts = {"class_id": class_id, "k": k, "top_k": top_k}
    given = {kind: value for kind, value in parts.items() if value is not None}
    if len(given) > 1:
        raise ValueError(
            f"metric must have at most one of class_id, k and top_k (got {given!r})."
            " They name different parts of a metric."
        )
    values = pb.MetricKey.Aggregation.DESCRIPTOR.values_by_name
    names = [each for each in values if each.endswith("_AVERAGE")]
    if aggregation and aggregation not in names:
        raise ValueError(
            f"aggregation must be one of {', '.join(names)} (got {aggregation!r})."
            " Leave it out where a metric is not averaged over classes."
        )
    key = pb.MetricKey(name=name, output_name=output_name, aggregation=aggregation or None)
    for kind, value in given.items():
        setattr(key.sub_key, kind, value)
    if example_weighted is not None:
        key.example_weighted = example_weighted
    return key


def larger(
    name: str | pb.MetricKey,
    *,
    by: float = 0.0,
    by_share: float = 0.0,
    alpha: float | None = None,
    tie_tolerance: float = 0.0,
) -> pb.MetricRule:
    """Returns the rule that a larger value of a metric is better.

    Args:
        name: Of the metric, or the metric.
        by: By more than this, in the metric's own unit.
        by_share: By more than this share of abs(best).
        alpha: The improvement must be more than noise, at 1 - alpha: asks for confidence
            intervals. None: noise is not looked at.
        tie_tolerance: Worse by no more than this is a tie, which the tie-breakers decide.
    """
    return _rule(name, pb.HIGHER_IS_BETTER, by, by_share, alpha, tie_tolerance)


def smaller(
    name: str | pb.MetricKey,
    *,
    by: float = 0.0,
    by_share: float = 0.0,
    alpha: float | None = None,
    tie_tolerance: float = 0.0,
) -> pb.MetricRule:
    """Returns the rule that a smaller value of a metric is better; arguments as in `larger`."""
    return _rule(name, pb.LOWER_IS_BETTER, by, by_share, alpha, tie_tolerance)


def at_least(
    name: str | pb.MetricKey,
    bound: float | None = None,
    *,
    max_regression: float | None = None,
    max_relative_regression: float | None = None,
    slices: Sequence[Mapping[str, object]] = (),
    every_slice_min_examples: float | None = None,
) -> pb.Guardrail:
    """Returns the guardrail that a metric, of which more is better, must not fall too low.

    Args:
        name: Of the metric, or the metric.
        bound: The least value allowed, in the metric's own unit.
        max_regression: How much less than the best's, in the metric's own unit.
        max_relative_regression: How much less, as a share of abs(best).
        slices: Where, for example [{"country": "nl"}]; neither these nor the next: overall.
        every_slice_min_examples: On every slice with at least so many examples, and overall.
    """
    return _guardrail(
        name,
        pb.HIGHER_IS_BETTER,
        bound,
        max_regression,
        max_relative_regression,
        slices,
        every_slice_min_examples,
    )


def at_most(
    name: str | pb.MetricKey,
    bound: float | None = None,
    *,
    max_regression: float | None = None,
    max_relative_regression: float | None = None,
    slices: Sequence[Mapping[str, object]] = (),
    every_slice_min_examples: float | None = None,
) -> pb.Guardrail:
    """Returns the guardrail that a metric, of which less is better, must not rise too high.

    Arguments as in `at_least`, with most and more for least and less.
    """
    return _guardrail(
        name,
        pb.LOWER_IS_BETTER,
        bound,
        max_regression,
        max_relative_regression,
        slices,
        every_slice_min_examples,
    )


def compare_policy(
    rule: pb.MetricRule | str,
    *,
    tie_breakers: Sequence[pb.MetricRule] = (),
    guardrails: Sequence[pb.Guardrail] = (),
    min_example_count: float = 0.0,
    comparability: str = "PREFER_SAME_DATA",
    on_unknown_best: str = "EXPORT",
    allow_signature_change: bool = False,
    force: str = "",
    max_best_evaluation_age_seconds: int = 0,
) -> pb.ComparePolicy:
    """Returns how a candidate is compared with the best: `compare_policy` of BestExporter.

    Args:
        rule: `larger` or `smaller`, or the name of a compare function.
        tie_breakers: What decides where the rule finds a tie, in order.
        guardrails: All of them must hold.
        min_example_count: The candidate's evaluation must have at least so many examples.
        comparability: "REQUIRE_SAME_DATA", "PREFER_SAME_DATA" or "ANY".
        on_unknown_best: "EXPORT", "KEEP" or "FAIL".
        allow_signature_change: Export although clients of the best would break.
        force: Export whatever the comparison with the best says, for this reason.
        max_best_evaluation_age_seconds: A recorded evaluation of the best that is older is not
            compared with; 0 for any age.

    Raises:
        ValueError: comparability or on_unknown_best is no such choice.
    """
    policy = pb.ComparePolicy(
        tie_breakers=tie_breakers,
        guardrails=guardrails,
        min_example_count=min_example_count,
        comparability=_choice(pb.ComparePolicy.Comparability, comparability, "comparability"),
        on_unknown_best=_choice(pb.ComparePolicy.OnUnknownBest, on_unknown_best, "on_unknown_best"),
        allow_signature_change=allow_signature_change,
        force=force,
        max_best_evaluation_age_seconds=max_best_evaluation_age_seconds,
    )
    if isinstance(rule, str):
        policy.compare_fn = rule
    else:
        policy.metric.CopyFrom(rule)
    return policy


def _rule(
    name: str | pb.MetricKey,
    direction: pb.MetricDirection,
    by: float,
    by_share: float,
    alpha: float | None,
    tie_tolerance: float,
) -> pb.MetricRule:
    return pb.MetricRule(
        metric=_key(name),
        direction=direction,
        min_absolute_change=by,
        min_relative_change=by_share,
        significance=None if alpha is None else pb.Significance(alpha=alpha),
        tie_tolerance=tie_tolerance,
    )


def _guardrail(
    name: str | pb.MetricKey,
    direction: pb.MetricDirection,
    bound: float | None,
    max_regression: float | None,
    max_relative_regression: float | None,
    slices: Sequence[Mapping[str, object]],
    every_slice_min_examples: float | None,
) -> pb.Guardrail:
    return pb.Guardrail(
        metric=_key(name),
        direction=direction,
        bound=bound,
        max_absolute_regression=max_regression,
        max_relative_regression=max_relative_regression,
        slices=[
            pb.Slice(features={column: str(value) for column, value in each.items()})
            for each in slices
        ],
        every_slice_min_examples=every_slice_min_examples,
    )


def _key(name: str | pb.MetricKey) -> pb.MetricKey:
    return name if isinstance(name, pb.MetricKey) else pb.MetricKey(name=name)


def _choice(enum: Any, name: str, field: str) -> str:
    values = enum.DESCRIPTOR.values_by_name
    names = [each for each in values if not each.endswith("UNSPECIFIED")]
    if name not in names:
        raise ValueError(
            f"{field} must be one of {', '.join(names)} (got {name!r}). See compare_policy."
        )
    return name
