"""Policy, a checked ComparePolicy as a value, and its construction."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from google.protobuf import json_format

from tfx_best_exporter.executor.arguments.checks import is_visible
from tfx_best_exporter.executor.arguments.errors import FieldValueError, within
from tfx_best_exporter.executor.deciding import compare_function, guardrails, rules, significance
from tfx_best_exporter.executor.deciding.challengers import Form
from tfx_best_exporter.executor.deciding.eval_result import MetricKey
from tfx_best_exporter.executor.deciding.guardrail import Guardrail
from tfx_best_exporter.executor.deciding.models import Candidate
from tfx_best_exporter.executor.deciding.outcome import Ruling
from tfx_best_exporter.executor.deciding.rules import Rule
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# Type of a function that returns the compare function of a name.
LoadFunction: TypeAlias = Callable[[str], Callable[..., Any]]

# Constructors of each kind of rule, by its field in the oneof `rule` of a policy.
RULES: Mapping[str, Callable[[pb.ComparePolicy, LoadFunction], Rule]] = {
    "metric": lambda proto, _: rules.from_policy(proto),
    "compare_fn": compare_function.from_policy,
}

# The default of tf.estimator.BestExporter is that a smaller "loss" is better.
DEFAULT_COMPARE_POLICY = pb.ComparePolicy(
    metric=pb.MetricRule(metric=pb.MetricKey(name="loss"), direction=pb.LOWER_IS_BETTER)
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Challenging:
    """The part of a policy about challengers: refused models that are measured again.

    Attributes:
        count: Number of models to keep, at least 1.
        alpha: Largest chance of being no better with which a model is exported.
        form: The test that promotes a model.
        max_bytes: Maximum total size of their files; None for twice the size of the best.
    """

    count: int
    alpha: float
    form: Form = Form.CALIBRATED
    max_bytes: int | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """The input that a decision needs, computed from the policy and the candidate.

    Attributes:
        metrics: Metrics that are compared; None if a compare function may read any.
        slices: True if the best's slices are read.
        signatures: True if the serving signatures are compared.
        intervals: True if a rule or a guardrail has a test. Candidate and best are then evaluated
            together.
    """

    metrics: tuple[MetricKey, ...] | None
    slices: bool
    signatures: bool
    intervals: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The definition of "better" and all conditions of an export.

    Attributes:
        rule: Definition of "better".
        on_unknown_best: pb.ComparePolicy.OnUnknownBest.
        guardrails: Guardrails, all of which must hold.
        min_example_count: Minimum number of examples of the candidate's evaluation; 0 for any.
        comparability: pb.ComparePolicy.Comparability.
        allow_signature_change: True if an export may break clients of the best.
        force: Reason to export regardless of the comparison with the best; empty to compare.
        force_model: Content digest or URI of the only candidate that `force` is for; empty for any.
        max_best_evaluation_age_seconds: Maximum age of a recorded evaluation; 0 for any.
        min_seconds_between_exports: Minimum time between two exports; 0 for any.
        max_best_age_seconds: Age above which the best loses to a candidate that is not worse by
            more than old_best_margin; 0 for any.
        old_best_margin: The largest regression from a best that is too old.
        allow_older_data: True if a candidate may be evaluated on an older span than the best.
        requires_approval: True if a person must approve each export.
        challenging: The challengers to keep; None for a decision by this run alone.
    """

    rule: Rule
    on_unknown_best: pb.ComparePolicy.OnUnknownBest = pb.ComparePolicy.KEEP
    guardrails: tuple[Guardrail, ...] = ()
    min_example_count: float = 0.0
    comparability: pb.ComparePolicy.Comparability = pb.ComparePolicy.PREFER_SAME_DATA
    allow_signature_change: bool = False
    force: str = ""
    force_model: str = ""
    max_best_evaluation_age_seconds: float = 0.0
    min_seconds_between_exports: float = 0.0
    max_best_age_seconds: float = 0.0
    old_best_margin: float = 0.0
    allow_older_data: bool = False
    requires_approval: bool = False
    challenging: Challenging | None = None

    def forces(self, candidate: Candidate) -> bool:
        """Returns True if the candidate is exported regardless of the comparison with the best."""
        return bool(self.force) and self.force_model in ("", candidate.digest, candidate.uri)

    def for_candidate(self, model_name: str) -> Policy:
        """Returns the policy with the model name removed from the candidate's own metrics.

        Args:
            model_name: Name of the candidate in its evaluation.
        """
        if not model_name:
            return self
        return dataclasses.replace(
            self,
            rule=self.rule.for_candidate(model_name),
            guardrails=tuple(each.for_candidate(model_name) for each in self.guardrails),
        )

    def with_ruling(self, ruling: Ruling | None) -> Policy:
        """Returns the policy for a candidate with known evidence of several runs."""
        return dataclasses.replace(self, rule=self.rule.with_ruling(ruling))

    def needs(self, candidate: Candidate) -> Needs:
        """Returns the input that a decision on a candidate needs.

        Args:
            candidate: The candidate. One that is not blessed needs no input.
        """
        if not candidate.is_blessed:
            return Needs(metrics=(), slices=False, signatures=False, intervals=False)
        metrics = self.rule.metrics
        if metrics is not None:
            metrics = (*metrics, *(each.key for each in self.guardrails))
        return Needs(
            metrics=metrics,
            # A function may read any slice. For a rule, the decision reports changes on slices.
            slices=(
                metrics is None
                or bool(candidate.eval_result.slices)
                or any(each.needs_slices for each in self.guardrails)
            ),
            signatures=True,
            intervals=(
                self.rule.needs_intervals or any(each.needs_intervals for each in self.guardrails)
            ),
        )


def policy_message_of(text: str) -> pb.ComparePolicy:
    """Returns the message of a JSON text, from a stored property or a runtime parameter.

    Raises:
        FieldValueError: The text is not a ComparePolicy as JSON.
    """
    try:
        return json_format.Parse(text, pb.ComparePolicy())
    except json_format.ParseError as error:
        raise FieldValueError(
            "compare_policy",
            f"must be a ComparePolicy as JSON (got {text!r}: {error})."
            " Use the fields of best_exporter.proto.",
        ) from error


def policy_from_proto(
    proto: pb.ComparePolicy,
    load_function: LoadFunction,
    *,
    rule_kinds: Mapping[str, Callable[[pb.ComparePolicy, LoadFunction], Rule]] = RULES,
    guardrail_kinds: Mapping[str, type[Guardrail]] = guardrails.GUARDRAILS,
) -> Policy:
    """Returns the policy in a proto.

    Args:
        proto: The policy.
        load_function: Returns the compare function of a name.
        rule_kinds: Constructors of each kind of rule.
        guardrail_kinds: Kinds of guardrail.

    Raises:
        FieldValueError: The policy has no rule, or a field is invalid.
    """
    with within("compare_policy"):
        kind = proto.WhichOneof("rule")
        if kind is None:
            raise FieldValueError(
                "",
                "must have a rule (got none). Set metric or compare_fn, or leave out"
                " compare_policy for the default rule.",
            )
        rule = rule_kinds[kind](proto, load_function)
        found = guardrails.from_policy(proto, guardrail_kinds)
        for index, guardrail in enumerate(proto.guardrails):
            with within(f"guardrails[{index}]"):
                significance.check_no_challengers(guardrail.significance)
        _check_against(rule, found)
        check_options(proto)
        if proto.HasField("max_challenger_bytes") and not proto.metric.significance.challengers:
            raise FieldValueError(
                "max_challenger_bytes",
                f"must be left out without challengers (got {proto.max_challenger_bytes!r}). Set"
                " metric.significance.challengers, for example to 2.",
            )
        if proto.max_best_age_seconds and rule.leading is None:
            raise FieldValueError(
                "max_best_age_seconds",
                "must be left out if compare_fn is set (got"
                f" {proto.max_best_age_seconds!r}). Use metric: the margin is about its value.",
            )
    return Policy(
        rule=rule,
        on_unknown_best=proto.on_unknown_best or pb.ComparePolicy.KEEP,
        guardrails=found,
        min_example_count=proto.min_example_count,
        comparability=proto.comparability or pb.ComparePolicy.PREFER_SAME_DATA,
        allow_signature_change=proto.allow_signature_change,
        force=proto.force,
        force_model=proto.force_model,
        max_best_evaluation_age_seconds=proto.max_best_evaluation_age_seconds,
        min_seconds_between_exports=proto.min_seconds_between_exports,
        max_best_age_seconds=proto.max_best_age_seconds,
        old_best_margin=proto.old_best_margin,
        allow_older_data=proto.allow_older_data,
        requires_approval=proto.approval == pb.ComparePolicy.REQUIRED,
        challenging=_challenging_of(proto, rule),
    )


def _challenging_of(proto: pb.ComparePolicy, rule: Rule) -> Challenging | None:
    """Returns the part of a policy about challengers; None if it keeps none."""
    leading = rule.leading
    if leading is None or leading.alpha is None or not leading.challengers:
        return None
    return Challenging(
        count=leading.challengers,
        alpha=leading.alpha,
        form=Form.GUARANTEED if leading.has_guarantee else Form.CALIBRATED,
        max_bytes=proto.max_challenger_bytes if proto.HasField("max_challenger_bytes") else None,
    )


def check_policy(proto: pb.ComparePolicy) -> None:
    """Checks a policy without loading its compare function.

    Raises:
        FieldValueError: The policy has no rule, or a field is invalid.
    """
    policy_from_proto(proto, lambda _: bool)


def _check_against(rule: Rule, found: Sequence[Guardrail]) -> None:
    """Checks that no guardrail forbids the improvement of the first metric."""
    first = rule.leading
    if first is None:
        return
    for index, each in enumerate(found):
        if each.key == first.key and each.direction != first.direction and each.limits_regression:
            raise FieldValueError(
                f"guardrails[{index}].direction",
                "must be the direction of compare_policy.metric (got"
                f" {pb.MetricDirection.Name(each.direction)} for {str(each.key)!r}). Every"
                " improvement by the rule is a regression by this guardrail: set only a bound, or"
                " change one of the directions.",
            )


def check_options(proto: pb.ComparePolicy) -> None:
    """Checks the fields of a policy other than its rule and its guardrails.

    Raises:
        FieldValueError: One of them is invalid.
    """
    _check_sizes(proto)
    _check_choices(proto)


def _check_sizes(proto: pb.ComparePolicy) -> None:
    for name in (
        "min_example_count",
        "max_best_evaluation_age_seconds",
        "min_seconds_between_exports",
        "max_best_age_seconds",
        "old_best_margin",
    ):
        value = getattr(proto, name)
        if not 0 <= value < math.inf:
            raise FieldValueError(
                name,
                f"must be a finite number, 0 or larger (got {value!r}). Leave it out for no limit.",
            )
    if proto.HasField("max_challenger_bytes") and proto.max_challenger_bytes < 1:
        raise FieldValueError(
            "max_challenger_bytes",
            f"must be a positive number of bytes (got {proto.max_challenger_bytes!r}). Leave it out"
            " for twice the size of the best.",
        )
    if proto.old_best_margin and not proto.max_best_age_seconds:
        raise FieldValueError(
            "old_best_margin",
            "must be left out without max_best_age_seconds (got"
            f" {proto.old_best_margin!r}). Set both: the margin is for an old best.",
        )


def _check_choices(proto: pb.ComparePolicy) -> None:
    # Enums of proto3 are open: a message or JSON may have a number without a name.
    if proto.on_unknown_best not in pb.ComparePolicy.OnUnknownBest.values():
        raise FieldValueError(
            "on_unknown_best",
            f"must be EXPORT, KEEP or FAIL (got {proto.on_unknown_best!r}). Leave it out for KEEP.",
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
            f"must be a reason (got {proto.force!r}). Give the reason in words, or leave it out.",
        )
    if proto.force_model and not proto.force:
        raise FieldValueError(
            "force_model",
            f"must be left out without compare_policy.force (got {proto.force_model!r}). Set"
            " compare_policy.force to the reason.",
        )
    if proto.approval not in pb.ComparePolicy.Approval.values():
        raise FieldValueError(
            "approval",
            f"must be REQUIRED or NOT_REQUIRED (got {proto.approval!r}). Leave it out for"
            " NOT_REQUIRED.",
        )
