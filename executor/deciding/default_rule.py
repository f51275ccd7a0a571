"""The rule of a pipeline that sets neither compare_fn nor compare_policy.

It is the first of these that exists:

1. a smaller `loss`;
2. the only metric with a threshold in Evaluator's EvalConfig;
3. the only metric of the EvalConfig whose direction is known, if the EvalConfig is known when the
   pipeline is built.

A rule that differs from the rule in the best's record would rank the exports of one base directory
in two ways. The record's rule is then used, with a warning.
"""

from __future__ import annotations

import dataclasses

from google.protobuf import json_format

from tfx_best_exporter.executor.arguments.errors import FieldValueError
from tfx_best_exporter.executor.deciding.configured import Configured, ConfiguredMetric
from tfx_best_exporter.executor.deciding.eval_result import EXAMPLE_COUNT, EvalResult, MetricKey
from tfx_best_exporter.executor.deciding.known_metrics import known_direction
from tfx_best_exporter.executor.deciding.outcome import Ruling
from tfx_best_exporter.executor.deciding.policy import Policy, policy_from_proto
from tfx_best_exporter.executor.deciding.rules import Verdict
from tfx_best_exporter.proto import best_exporter_pb2 as pb

_LOSS = MetricKey(name="loss")
# Number of policies that an error suggests.
_MAX_SUGGESTIONS = 5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The policy of a run without compare_fn and compare_policy.

    Attributes:
        message: The policy as a message; empty if no rule fits.
        policy: The same policy as a value.
        default_rule: The rule and the reason for it; None if no rule fits.
        warnings: Differences from the rule of the best.
    """

    message: pb.ComparePolicy
    policy: Policy
    default_rule: pb.DefaultRule | None
    warnings: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NoRule:
    """The rule if no default fits: an error, raised only if candidate and best are compared.

    Attributes:
        problem: The error.
    """

    problem: FieldValueError

    @property
    def metrics(self) -> tuple[MetricKey, ...]:
        """No metric."""
        return ()

    @property
    def needs_intervals(self) -> bool:
        """False: nothing is compared."""
        return False

    @property
    def leading(self) -> None:
        """None: there is no metric."""
        return

    def for_candidate(self, model_name: str) -> NoRule:  # noqa: ARG002
        """Returns the rule itself."""
        return self

    def with_ruling(self, ruling: Ruling | None) -> NoRule:  # noqa: ARG002
        """Returns the same rule."""
        return self

    def compare(
        self,
        *,
        best: EvalResult | None,  # noqa: ARG002
        candidate: EvalResult,  # noqa: ARG002
        together: EvalResult | None = None,  # noqa: ARG002
    ) -> Verdict:
        """Raises the error.

        Raises:
            FieldValueError: Always.
        """
        raise self.problem


def by_threshold(configured: Configured) -> pb.DefaultRule | None:
    """Returns the rule by the only metric with a threshold, or None if there is no such rule."""
    gated = [each for each in configured.metrics if each.has_threshold]
    # Evaluator drops change thresholds, and their direction, while there is no baseline.
    directions = [each.direction or known_direction(each.name) for each in gated]
    if len(gated) != 1 or not directions[0]:
        return None
    return _default_rule(
        _key_of(gated[0]),
        directions[0],
        "it is the only metric with a threshold in Evaluator's EvalConfig",
    )


def when_built(configured: Configured) -> pb.DefaultRule | None:
    """Returns the rule for an evaluation without `loss`, by the EvalConfig of the pipeline.

    Args:
        configured: The EvalConfig that the pipeline's author passes to Evaluator.

    Returns:
        The rule, or None if no rule fits, or if the EvalConfig has a loss, which goes first.
    """
    if configured.find(_LOSS.name) is not None:
        return None
    rule = by_threshold(configured)
    if rule is not None:
        return rule
    known = [each for each in configured.metrics if known_direction(each.name)]
    if len(known) != 1:
        return None
    return _default_rule(
        _key_of(known[0]),
        known_direction(known[0].name),
        "it is the only metric of Evaluator's EvalConfig whose direction is known",
    )


def choose(
    candidate: EvalResult, built: pb.DefaultRule | None, best: pb.ExportRecord | None
) -> Chosen:
    """Returns the policy for a candidate.

    Args:
        candidate: Evaluation of the candidate.
        built: Result of `when_built`; None if the EvalConfig was not known, or no rule fits.
        best: Record of the best; None if there is none.
    """
    found = _default_of(candidate, built)
    warning = ""
    if best is not None:
        found, warning = _by_best(candidate, found, best)
    warnings = (warning,) if warning else ()
    if found is None:
        return Chosen(
            message=pb.ComparePolicy(),
            policy=Policy(rule=NoRule(problem=_nothing_fits(candidate))),
            default_rule=None,
            warnings=warnings,
        )
    message = pb.ComparePolicy(metric=found.rule)
    return Chosen(
        message=message,
        policy=policy_from_proto(message, lambda _: bool),
        default_rule=found,
        warnings=warnings,
    )


def text_of(rule: pb.MetricRule) -> str:
    """Returns a rule in words, for example "a larger auc"."""
    comparative = "larger" if rule.direction == pb.HIGHER_IS_BETTER else "smaller"
    return f"a {comparative} {MetricKey.from_proto(rule.metric)}"


def policy_text_of(key: MetricKey, direction: pb.MetricDirection) -> str:
    """Returns the argument `compare_policy` as its author can paste it."""
    policy = pb.ComparePolicy(metric=pb.MetricRule(metric=key.to_proto(), direction=direction))
    fields = json_format.MessageToDict(policy, preserving_proto_field_name=True)
    return f"compare_policy={fields!r}"


def _default_of(candidate: EvalResult, built: pb.DefaultRule | None) -> pb.DefaultRule | None:
    """Returns the first rule whose metric the evaluation has, or None."""
    if candidate.find(_LOSS) is not None:
        return _default_rule(_LOSS, pb.LOWER_IS_BETTER, "the evaluation has a loss")
    for each in (built, by_threshold(candidate.configured)):
        key = (
            None if each is None else _found_key(MetricKey.from_proto(each.rule.metric), candidate)
        )
        if each is not None and key is not None:
            return _default_rule(key, each.rule.direction, each.why)
    return None


def _found_key(key: MetricKey, candidate: EvalResult) -> MetricKey | None:
    """Returns the key of the only metric that a key of an EvalConfig can mean, or None.

    The EvalConfig may compute the metric for one class or as an average, which is part of the key
    in the evaluation.
    """
    if candidate.find(key) is not None:
        return key
    found = [
        each
        for each in candidate.metrics
        if (each.name, each.model_name) == (key.name, "")
        and key.output_name in ("", each.output_name)
    ]
    return found[0] if len(found) == 1 else None


def _by_best(
    candidate: EvalResult, found: pb.DefaultRule | None, best: pb.ExportRecord
) -> tuple[pb.DefaultRule | None, str]:
    """Returns the rule by which the best was exported if possible, and a warning if it differs.

    Args:
        candidate: Evaluation of the candidate.
        found: The default without a best; None if no rule fits.
        best: Record of the best.
    """
    policy = best.decision.compare_policy
    now = "no rule" if found is None else text_of(found.rule)
    if policy.compare_fn:
        return found, (
            f"the best (version {best.version}) was exported by the function {policy.compare_fn},"
            f" which this pipeline does not set: the default is {now}. Set compare_fn or"
            " compare_policy to choose the rule"
        )
    if not policy.HasField("metric"):
        return found, ""
    # Another EvalConfig may have given another name to the model.
    key = dataclasses.replace(MetricKey.from_proto(policy.metric.metric), model_name="")
    recorded = _default_rule(
        key, policy.metric.direction, f"the best (version {best.version}) was exported by it"
    )
    if found is not None and found.rule == recorded.rule:
        return found, ""
    changed = (
        f"the default rule has changed: the best (version {best.version}) was exported by"
        f" {text_of(recorded.rule)}, and the default is now {now}"
    )
    if candidate.find(key) is None:
        return found, (
            f"{changed}, because the candidate's evaluation has no {key}. Set compare_policy to"
            " choose the rule"
        )
    return recorded, (
        f"{changed}. The candidate is compared by {text_of(recorded.rule)}. Set compare_policy to"
        " choose the rule"
    )


def _nothing_fits(candidate: EvalResult) -> FieldValueError:
    directions = {
        key: known_direction(key.name) for key in candidate.metrics if key.name != EXAMPLE_COUNT
    }
    known = [key for key, direction in directions.items() if direction]
    other = sorted(str(key) for key, direction in directions.items() if not direction)
    policies = " or ".join(
        policy_text_of(key, directions[key]) for key in sorted(known, key=str)[:_MAX_SUGGESTIONS]
    )
    remedies = [f"Pass {policies}."] if policies else []
    if other:
        example = policy_text_of(MetricKey(name=other[0]), pb.HIGHER_IS_BETTER)
        remedies.append(
            f"For {', '.join(other)}, pass the direction too, for example {example}."
            if policies
            else f"Pass a metric and its direction, for example {example}."
            f" Found: {', '.join(other)}."
        )
    if not remedies:
        remedies.append("Add a metric to Evaluator's EvalConfig.")
    where = f", at {candidate.uri}" if candidate.uri else ""
    return FieldValueError(
        "compare_policy",
        "must be set if the evaluation has no loss and Evaluator's EvalConfig has thresholds for no"
        f" metric or for several (got None{where}). {' '.join(remedies)}",
    )


def _key_of(metric: ConfiguredMetric) -> MetricKey:
    outputs = metric.output_names
    return MetricKey(name=metric.name, output_name=outputs[0] if len(outputs) == 1 else "")


def _default_rule(key: MetricKey, direction: pb.MetricDirection, why: str) -> pb.DefaultRule:
    rule = pb.MetricRule(metric=key.to_proto(), direction=direction)
    return pb.DefaultRule(rule=rule, why=why)
