"""Checks of a policy against an EvalConfig, when the pipeline is built.

A run with the same mistake fails, or exports nothing, after the whole training and evaluation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tfx_best_exporter.executor.arguments.errors import FieldValueError, within
from tfx_best_exporter.executor.arguments.messages import did_you_mean
from tfx_best_exporter.executor.deciding import default_rule, thresholds
from tfx_best_exporter.executor.deciding.configured import Configured, ConfiguredSlices
from tfx_best_exporter.executor.deciding.eval_result import EXAMPLE_COUNT
from tfx_best_exporter.executor.deciding.known_metrics import known_direction, name_of_class
from tfx_best_exporter.executor.deciding.rules import MetricRule, path_of
from tfx_best_exporter.proto import best_exporter_pb2 as pb

_INTERVALS = "options=tfma.Options(compute_confidence_intervals={'value': True})"
_EXAMPLE_COUNT = "tfma.MetricConfig(class_name='ExampleCount')"


def check_policy_for(policy: pb.ComparePolicy, configured: Configured) -> list[str]:
    """Checks that an evaluation by an EvalConfig has everything that a policy needs.

    Args:
        policy: A valid policy.
        configured: The EvalConfig of the evaluation.

    Returns:
        A sentence for each metric that only the model itself could add to the evaluation, and for
        each guardrail that checks no slice.

    Raises:
        FieldValueError: The evaluation cannot have a slice, a confidence interval or the number of
            examples that the policy needs.
    """
    with within("compare_policy"):
        for index, rule in enumerate((policy.metric, *policy.tie_breakers)):
            if rule.HasField("significance") and not configured.has_intervals:
                raise FieldValueError(
                    f"{path_of(index)}.significance",
                    "must be left out if Evaluator's EvalConfig computes no confidence intervals"
                    f" (got {MetricRule.from_proto(rule).alpha!r}). Leave it out, or add"
                    f" {_INTERVALS} to the EvalConfig.",
                )
        if policy.min_example_count:
            with within("min_example_count"):
                _check_example_count(policy.min_example_count, configured)
        for index, guardrail in enumerate(policy.guardrails):
            with within(f"guardrails[{index}]"):
                _check_guardrail(guardrail, configured)
    return [*_unknown_metrics(policy, configured), *_without_slices(policy, configured)]


def direction_warnings(policy: pb.ComparePolicy) -> list[str]:
    """Returns a sentence for each well-known metric that is compared in the wrong direction.

    A guardrail with only a bound may be on either side: an auc of at most 0.99 shows a leak.
    """
    found = []
    for path, metric, direction, is_compared in _metrics_of(policy):
        known = known_direction(metric.name)
        if not is_compared or not known or known == direction:
            continue
        comparative = "larger" if known == pb.HIGHER_IS_BETTER else "smaller"
        found.append(
            f"compare_policy.{path}.direction is {pb.MetricDirection.Name(direction)}, but a"
            f" {comparative} {metric.name} is better. Change the direction, or rename a metric of"
            " your own"
        )
    return found


def check_blessing(configured: Configured, *, has_baseline: bool) -> list[str]:
    """Checks that Evaluator computes the blessing that `model_blessing` passes.

    Args:
        configured: The EvalConfig of the Evaluator.
        has_baseline: True if the Evaluator has a baseline model, at least from the second run on.

    Returns:
        A sentence if the blessing is not computed in the first run.

    Raises:
        FieldValueError: The blessing is never computed.
    """
    if not configured.metrics or configured.has_value_thresholds:
        return []
    why = thresholds.missing_text(configured)
    if has_baseline and configured.has_thresholds:
        return [f"model_blessing is not computed before there is a baseline model: {why}"]
    raise FieldValueError(
        "model_blessing",
        f"must be a blessing that Evaluator computes (got one that it never computes). {why}.",
    )


def default_rule_warnings(configured: Configured) -> Iterator[str]:
    """Yields a sentence if a pipeline sets no rule, and no default fits its EvalConfig."""
    has_loss = configured.find("loss") is not None
    if not configured.metrics or has_loss or default_rule.when_built(configured) is not None:
        return
    names = [each.name for each in configured.metrics if each.name != EXAMPLE_COUNT]
    yield (
        "compare_policy is not set, and no default rule fits: Evaluator's EvalConfig has no loss,"
        " and not exactly one metric with a threshold or with a known direction. The run fails"
        " unless the model adds a loss. Set compare_policy. Metrics:"
        f" {', '.join(names) or 'none'}"
    )


def _metrics_of(
    policy: pb.ComparePolicy,
) -> Iterator[tuple[str, pb.MetricKey, pb.MetricDirection, bool]]:
    """Yields path, key and direction of each metric, and True if the direction ranks models."""
    if policy.HasField("metric"):
        for index, rule in enumerate((policy.metric, *policy.tie_breakers)):
            yield path_of(index), rule.metric, rule.direction, True
    for index, guardrail in enumerate(policy.guardrails):
        is_compared = guardrail.HasField("max_absolute_regression") or guardrail.HasField(
            "max_relative_regression"
        )
        yield f"guardrails[{index}]", guardrail.metric, guardrail.direction, is_compared


def _unknown_metrics(policy: pb.ComparePolicy, configured: Configured) -> Iterator[str]:
    if not configured.metrics:
        return
    names = [each.name for each in configured.metrics]
    for path, metric, _, _ in _metrics_of(policy):
        if metric.name in names:
            continue
        by_class = name_of_class(metric.name)
        similar = f" Did you mean {by_class!r}?" if by_class in names else ""
        yield (
            f"compare_policy.{path}.metric.name is {metric.name!r}, which is not in Evaluator's"
            f" EvalConfig.{similar or did_you_mean(metric.name, names)} Metrics:"
            f" {', '.join(sorted(names))}. The run fails unless the model adds this metric"
        )


def _check_example_count(value: float, configured: Configured) -> None:
    if configured.metrics and configured.find(EXAMPLE_COUNT) is None:
        raise FieldValueError(
            "",
            "must be left out if Evaluator's EvalConfig does not count the examples (got"
            f" {value!r}). Leave it out, or add {_EXAMPLE_COUNT} to the EvalConfig.",
        )


def _check_guardrail(guardrail: pb.Guardrail, configured: Configured) -> None:
    if guardrail.HasField("every_slice_min_examples"):
        with within("every_slice_min_examples"):
            _check_example_count(guardrail.every_slice_min_examples, configured)
    for index, each in enumerate(guardrail.slices):
        features = dict(sorted(each.features.items()))
        if _has_slice(features, configured):
            continue
        columns = {column for spec in configured.slices or () for column in _columns_of(spec)}
        unknown = [column for column in features if column not in columns]
        similar = did_you_mean(unknown[0], sorted(columns)) if unknown else ""
        raise FieldValueError(
            f"slices[{index}]",
            f"must be a slice of Evaluator's EvalConfig (got {features!r}).{similar} Use another"
            f" slice, or add tfma.SlicingSpec(feature_values={features!r}) to its slicing_specs.",
        )


def _has_slice(features: Mapping[str, str], configured: Configured) -> bool:
    return configured.slices is None or any(
        _columns_of(spec) == set(features)
        and all(features[column] == value for column, value in spec.values)
        for spec in configured.slices
    )


def _columns_of(spec: ConfiguredSlices) -> set[str]:
    return {*spec.columns, *(column for column, _ in spec.values)}


def _without_slices(policy: pb.ComparePolicy, configured: Configured) -> Iterator[str]:
    if configured.slices is None or any(_columns_of(spec) for spec in configured.slices):
        return
    for index, guardrail in enumerate(policy.guardrails):
        if guardrail.HasField("every_slice_min_examples"):
            yield (
                f"compare_policy.guardrails[{index}].every_slice_min_examples checks the overall"
                " slice only, because Evaluator's EvalConfig has no other slicing_specs. Add"
                " tfma.SlicingSpec(feature_keys=[...]) to it"
            )
