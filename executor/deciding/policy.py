"""How a candidate is compared with the best: a ComparePolicy, checked, as a value."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from google.protobuf import json_format

from tfx_best_exporter.executor.arguments.checks import is_visible
from tfx_best_exporter.executor.arguments.errors import FieldValueError, within
from tfx_best_exporter.executor.deciding import compare_function, guardrails, rules
from tfx_best_exporter.executor.deciding.eval_result import MetricKey
from tfx_best_exporter.executor.deciding.guardrails import Guardrail
from tfx_best_exporter.executor.deciding.metric_limit import MetricLimit
from tfx_best_exporter.executor.deciding.models import Candidate
from tfx_best_exporter.executor.deciding.rules import Rule
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# The function that a name refers to.
LoadFunction: TypeAlias = Callable[[str], Callable[..., Any]]

# How each kind of rule is read from a policy, by the field of the oneof `rule` that states it.
RULES: Mapping[str, Callable[[pb.ComparePolicy, LoadFunction], Rule]] = {
    "metric": lambda proto, _: rules.from_policy(proto),
    "compare_fn": compare_function.from_policy,
}

# The kinds of guardrail; the first one that a message states reads it.
GUARDRAILS: tuple[guardrails.Kind, ...] = (
    guardrails.Kind(is_stated_by=lambda _: True, from_proto=MetricLimit.from_proto),
)

# tf.estimator.BestExporter's default: a smaller "loss" is better.
DEFAULT_COMPARE_POLICY = pb.ComparePolicy(
    metric=pb.MetricRule(metric=pb.MetricKey(name="loss"), direction=pb.LOWER_IS_BETTER)
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a decision needs to know, computed from the policy and the candidate.

    Attributes:
        metrics: Those that are compared; None if a function of the author's reads what it likes.
        slices: Whether the best's slices are read.
        signatures: Whether the serving signatures are compared.
        intervals: Whether noise is looked at: best and candidate are evaluated together then.
    """

    metrics: tuple[MetricKey, ...] | None
    slices: bool
    signatures: bool
    intervals: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How a candidate is compared with the best.

    Attributes:
        rule: What "better" means.
        on_unknown_best: pb.ComparePolicy.OnUnknownBest.
        guardrails: All of them must hold.
        min_example_count: Of the candidate's evaluation.
        comparability: pb.ComparePolicy.Comparability.
        allow_signature_change: Whether clients of the best may break.
        force: Not empty: export whatever the comparison says, for this reason.
        max_best_evaluation_age_seconds: Of a recorded evaluation; 0 for any age.
    """

    rule: Rule
    on_unknown_best: pb.ComparePolicy.OnUnknownBest = pb.ComparePolicy.EXPORT
    guardrails: tuple[Guardrail, ...] = ()
    min_example_count: float = 0.0
    comparability: pb.ComparePolicy.Comparability = pb.ComparePolicy.PREFER_SAME_DATA
    allow_signature_change: bool = False
    force: str = ""
    max_best_evaluation_age_seconds: float = 0.0

    def for_candidate(self, model_name: str) -> Policy:
        """Returns the policy in which the candidate's own metrics go by no model's name.

        Args:
            model_name: The candidate's name in its evaluation.
        """
        if not model_name:
            return self
        return dataclasses.replace(
            self,
            rule=self.rule.for_candidate(model_name),
            guardrails=tuple(each.for_candidate(model_name) for each in self.guardrails),
        )

    def needs(self, candidate: Candidate) -> Needs:
        """Returns what a decision about a candidate needs to know.

        Args:
            candidate: Nothing is needed for one that is not blessed.
        """
        if not candidate.is_blessed:
            return Needs(metrics=(), slices=False, signatures=False, intervals=False)
        metrics = self.rule.metrics
        if metrics is not None:
            metrics = (*metrics, *(each.key for each in self.guardrails))
        return Needs(
            metrics=metrics,
            # A function may look at any slice; the changes on slices are reported by a rule.
            slices=(
                metrics is None
                or bool(candidate.eval_result.slices)
                or any(each.needs_slices for each in self.guardrails)
            ),
            signatures=True,
            intervals=self.rule.needs_intervals,
        )


def policy_message_of(text: str) -> pb.ComparePolicy:
    """Returns the message that was stored as JSON, or given as such when the pipeline was started.

    Raises:
        FieldValueError: It is no such message.
    """
    try:
        return json_format.Parse(text, pb.ComparePolicy())
    except json_format.ParseError as error:
        raise FieldValueError(
            "compare_policy",
            f"must be a ComparePolicy as JSON (got {text!r}: {error})."
            " See the fields in its .proto file.",
        ) from error


def policy_from_proto(
    proto: pb.ComparePolicy,
    load_function: LoadFunction,
    *,
    rule_kinds: Mapping[str, Callable[[pb.ComparePolicy, LoadFunction], Rule]] = RULES,
    guardrail_kinds: Sequence[guardrails.Kind] = GUARDRAILS,
) -> Policy:
    """Returns the policy that a proto states.

    Args:
        proto: The policy.
        load_function: Returns the compare function that a name refers to.
        rule_kinds: How each kind of rule is read.
        guardrail_kinds: The kinds of guardrail.

    Raises:
        FieldValueError: The policy has no rule, or something in it is not valid.
    """
    with within("compare_policy"):
        kind = proto.WhichOneof("rule")
        if kind is None:
            raise FieldValueError(
                "",
                "must have a rule (got none). Set metric or compare_fn, or pass no"
                " compare_policy to ask for a smaller 'loss'.",
            )
        rule = rule_kinds[kind](proto, load_function)
        found = guardrails.from_policy(proto, guardrail_kinds)
        _check_against(rule, found)
        check_options(proto)
    return Policy(
        rule=rule,
        on_unknown_best=proto.on_unknown_best or pb.ComparePolicy.EXPORT,
        guardrails=found,
        min_example_count=proto.min_example_count,
        comparability=proto.comparability or pb.ComparePolicy.PREFER_SAME_DATA,
        allow_signature_change=proto.allow_signature_change,
        force=proto.force,
        max_best_evaluation_age_seconds=proto.max_best_evaluation_age_seconds,
    )


def check_policy(proto: pb.ComparePolicy) -> None:
    """Checks a policy as far as that is possible without its compare function.

    Raises:
        FieldValueError: It has no rule, or something in it is not valid.
    """
    policy_from_proto(proto, lambda _: bool)


def _check_against(rule: Rule, found: Sequence[Guardrail]) -> None:
    """Checks that what the first metric rule asks for is not what a guardrail forbids."""
    first = rule.leading
    if first is None:
        return
    for index, each in enumerate(found):
        if each.key == first.key and each.direction != first.direction and each.limits_regression:
            raise FieldValueError(
                f"guardrails[{index}].direction",
                "must be the direction of compare_policy.metric (got"
                f" {pb.MetricDirection.Name(each.direction)} for {str(each.key)!r}). What the rule"
                " asks for is a regression to this guardrail: give a bound only, or mend one of"
                " both.",
            )


def check_options(proto: pb.ComparePolicy) -> None:
    """Checks the fields of a policy other than its rule and its guardrails.

    Raises:
        FieldValueError: One of them is invalid.
    """
    _check_sizes(proto)
    _check_choices(proto)


def _check_sizes(proto: pb.ComparePolicy) -> None:
    for name in ("min_example_count", "max_best_evaluation_age_seconds"):
        value = getattr(proto, name)
        if not 0 <= value < math.inf:
            raise FieldValueError(
                name,
                f"must be a finite number, 0 or larger (got {value!r})."
                " Leave it out where nothing is asked.",
            )


def _check_choices(proto: pb.ComparePolicy) -> None:
    # Enums of proto3 are open: a message and JSON may hold numbers that have no name.
    if proto.on_unknown_best not in pb.ComparePolicy.OnUnknownBest.values():
        raise FieldValueError(
            "on_unknown_best",
            "must be EXPORT, KEEP or FAIL (got"
            f" {proto.on_unknown_best!r}). Leave it out for EXPORT.",
        )
    if proto.comparability not in pb.ComparePolicy.Comparability.values():
        raise FieldValueError(
            "comparability",
            "must be REQUIRE_SAME_DATA, PREFER_SAME_DATA or ANY (got"
            f" {proto.comparability!r}). Leave it out for PREFER_SAME_DATA.",
        )
    if proto.force and not is_visible(proto.force):
        raise FieldValueError(
            "force",
            f"must be a reason (got {proto.force!r}). Say why in words, or leave it out.",
        )
