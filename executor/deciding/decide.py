"""Whether a candidate replaces the best, as a pure function of values."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from google.protobuf import json_format

from tfx_best_exporter.executor.arguments.checks import is_visible
from tfx_best_exporter.executor.deciding import guardrails, numbers, signatures, slices
from tfx_best_exporter.executor.deciding.eval_result import (
    EXAMPLE_COUNT,
    EvalResult,
    EvaluatedData,
    MetricKey,
    MissingMetricError,
)
from tfx_best_exporter.executor.deciding.guardrails import Guardrail, GuardrailResult
from tfx_best_exporter.executor.deciding.rules import (
    CompareFunction,
    Comparison,
    InOrder,
    MetricRule,
    Outcome,
    Rule,
    Verdict,
)
from tfx_best_exporter.executor.deciding.signatures import Signature
from tfx_best_exporter.executor.deciding.significance import MissingIntervalError
from tfx_best_exporter.executor.deciding.slices import SliceChange
from tfx_best_exporter.proto import best_exporter_pb2 as pb

_Named = TypeVar("_Named", MetricRule, Guardrail)
Reason = pb.ExportDecision.Reason
Basis = pb.ExportDecision.Basis

# tf.estimator.BestExporter's default: a smaller "loss" is better.
DEFAULT_COMPARE_POLICY = pb.ComparePolicy(
    metric=pb.MetricRule(metric=pb.MetricKey(name="loss"), direction=pb.LOWER_IS_BETTER)
)

_EXPORTING = frozenset(
    (
        pb.ExportDecision.FIRST_EXPORT,
        pb.ExportDecision.BETTER,
        pb.ExportDecision.BEST_IS_NAN,
        pb.ExportDecision.BEST_UNKNOWN_EXPORTED,
        pb.ExportDecision.FORCED,
    )
)
_SAME_DATA = frozenset(
    (
        pb.ExportDecision.SAME_EVALUATION,
        pb.ExportDecision.EVALUATED_AGAIN,
        pb.ExportDecision.RECORDED_SAME_DATA,
    )
)
_REASONS = {
    Outcome.BETTER: pb.ExportDecision.BETTER,
    Outcome.BETTER_THAN_NAN: pb.ExportDecision.BEST_IS_NAN,
    Outcome.NOT_SIGNIFICANT: pb.ExportDecision.NOT_SIGNIFICANT,
    Outcome.TIE: pb.ExportDecision.NOT_BETTER,
    Outcome.NOT_BETTER: pb.ExportDecision.NOT_BETTER,
}


class BlessingStatus(enum.Enum):
    """What a blessing artifact says of a model."""

    BLESSED = "blessed"
    NOT_BLESSED = "not blessed"
    NOT_COMPUTED = "not computed"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Blessing:
    """One blessing that the component was given.

    Attributes:
        name: Channel, "model_blessing" or "infra_blessing".
        uri: Of the artifact.
        status: What it says.
    """

    name: str
    uri: str
    status: BlessingStatus


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """The model that may be exported.

    Attributes:
        digest: Content digest of the SavedModel.
        eval_result: Its evaluation.
        blessings: The blessings that were given; may be empty.
        signatures: Returns its serving signatures; None where they are not to be compared.
    """

    digest: str
    eval_result: EvalResult
    blessings: tuple[Blessing, ...] = ()
    signatures: Callable[[], Mapping[str, Signature]] | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The model that is served.

    Attributes:
        version: Its export.
        digest: Content digest of the SavedModel it was made from.
        eval_result: Its evaluation, or None if nothing is known of it.
        is_foreign: Whether it was written by other means: its evaluation, found elsewhere, need not
            have the metrics of the rule.
        basis: pb.ExportDecision.Basis: where its evaluation came from.
        together: Evaluation of candidate and best together, whose differences are those to the
            best; None where each was evaluated alone.
        signatures: Returns its serving signatures; None where they are not to be compared.
    """

    version: int
    digest: str
    eval_result: EvalResult | None
    is_foreign: bool = False
    basis: Basis = pb.ExportDecision.BASIS_UNSPECIFIED
    together: EvalResult | None = None
    signatures: Callable[[], Mapping[str, Signature]] | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Exported, or not, and why.

    Attributes:
        reason: pb.ExportDecision.Reason.
        explanation: One sentence, with the numbers.
        comparisons: The metrics that were compared.
        guardrails: What became of each guardrail on each of its slices.
        signature_changes: What clients of the best would notice.
        warnings: What somebody should look at.
        was_compared: Whether the rule compared the candidate with the best.
    """

    reason: Reason
    explanation: str
    comparisons: tuple[Comparison, ...] = ()
    guardrails: tuple[GuardrailResult, ...] = ()
    signature_changes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    was_compared: bool = False

    @property
    def is_export(self) -> bool:
        """Whether the candidate is to be exported."""
        return self.reason in _EXPORTING


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


def policy_message_of(text: str) -> pb.ComparePolicy:
    """Returns the message that was stored as JSON, or given as such when the pipeline was started.

    Raises:
        ValueError: It is no such message.
    """
    try:
        return json_format.Parse(text, pb.ComparePolicy())
    except json_format.ParseError as error:
        raise ValueError(
            f"compare_policy must be a ComparePolicy as JSON (got {text!r}: {error})."
            " See the fields in its .proto file."
        ) from error


def policy_from_proto(
    proto: pb.ComparePolicy, load_function: Callable[[str], Callable[..., Any]]
) -> Policy:
    """Returns the policy that a proto states.

    Args:
        proto: The policy.
        load_function: Returns the compare function that a name refers to.

    Raises:
        ValueError: The policy has no rule, or something in it is not valid.
    """
    kind = proto.WhichOneof("rule")
    if kind == "metric":
        rule: Rule = _rule_of(proto)
    elif kind == "compare_fn":
        if proto.tie_breakers:
            raise ValueError(
                "compare_policy.tie_breakers must be left out where compare_fn is given (got"
                f" {len(proto.tie_breakers)}). A compare function breaks ties itself."
            )
        rule = CompareFunction(function=load_function(proto.compare_fn), name=proto.compare_fn)
    else:
        raise ValueError(
            "compare_policy must have a rule (got none). Set metric or compare_fn, or pass no"
            " compare_policy to ask for a smaller 'loss'."
        )
    found = tuple(
        Guardrail.from_proto(each, f"compare_policy.guardrails[{index}]")
        for index, each in enumerate(proto.guardrails)
    )
    guardrails.check_together(found)
    _check_against(rule, found)
    for name in ("min_example_count", "max_best_evaluation_age_seconds"):
        value = getattr(proto, name)
        if not 0 <= value < math.inf:
            raise ValueError(
                f"compare_policy.{name} must be a finite number, 0 or larger (got {value!r})."
                " Leave it out where nothing is asked."
            )
    # Enums of proto3 are open: a message and JSON may hold numbers that have no name.
    if proto.on_unknown_best not in pb.ComparePolicy.OnUnknownBest.values():
        raise ValueError(
            "compare_policy.on_unknown_best must be EXPORT, KEEP or FAIL (got"
            f" {proto.on_unknown_best!r}). Leave it out for EXPORT."
        )
    if proto.comparability not in pb.ComparePolicy.Comparability.values():
        raise ValueError(
            "compare_policy.comparability must be REQUIRE_SAME_DATA, PREFER_SAME_DATA or ANY (got"
            f" {proto.comparability!r}). Leave it out for PREFER_SAME_DATA."
        )
    if proto.force and not is_visible(proto.force):
        raise ValueError(
            f"compare_policy.force must be a reason (got {proto.force!r}). Say why in words, or"
            " leave it out."
        )
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
        ValueError: It has no rule, or something in it is not valid.
    """
    policy_from_proto(proto, lambda _: bool)


def _rule_of(proto: pb.ComparePolicy) -> Rule:
    first = MetricRule.from_proto(proto.metric, "compare_policy.metric")
    if not proto.tie_breakers:
        if first.tie_tolerance:
            raise ValueError(
                "compare_policy.metric.tie_tolerance must be left out without tie_breakers (got"
                f" {first.tie_tolerance!r}). A tie that nothing breaks is not better."
            )
        return first
    rules = [first]
    for index, each in enumerate(proto.tie_breakers):
        field = f"compare_policy.tie_breakers[{index}]"
        rule = MetricRule.from_proto(each, field)
        if any(rule.key == other.key for other in rules):
            raise ValueError(
                f"{field}.metric must be another metric than those before (got {str(rule.key)!r})."
                " Where a metric ties, it ties again: name another one."
            )
        rules.append(rule)
    if rules[-1].tie_tolerance:
        raise ValueError(
            f"compare_policy.tie_breakers[{len(rules) - 2}].tie_tolerance must be left out of the"
            f" last tie-breaker (got {rules[-1].tie_tolerance!r}). A tie that nothing breaks is not"
            " better."
        )
    return InOrder(rules=tuple(rules))


def metric_rules(rule: Rule) -> tuple[MetricRule, ...]:
    """Returns the rules that a rule consists of, in order; none where a function decides."""
    if isinstance(rule, InOrder):
        return rule.rules
    return (rule,) if isinstance(rule, MetricRule) else ()


def _check_against(rule: Rule, found: Sequence[Guardrail]) -> None:
    """Checks that what the first metric rule asks for is not what a guardrail forbids."""
    firsts = metric_rules(rule)[:1]
    for first, each in ((first, each) for first in firsts for each in found):
        if each.key == first.key and each.direction != first.direction and each.limits_regression:
            raise ValueError(
                f"{each.field}.direction must be the direction of compare_policy.metric (got"
                f" {pb.MetricDirection.Name(each.direction)} for {str(each.key)!r}). What the rule"
                " asks for is a regression to this guardrail: give a bound only, or mend one of"
                " both."
            )


def refusal_of(blessings: Sequence[Blessing]) -> Decision | None:
    """Returns the decision not to export, if a blessing that was given does not say yes."""
    for status, reason in (
        (BlessingStatus.NOT_BLESSED, pb.ExportDecision.NOT_BLESSED),
        (BlessingStatus.NOT_COMPUTED, pb.ExportDecision.BLESSING_NOT_COMPUTED),
    ):
        for blessing in blessings:
            if blessing.status is status:
                return Decision(
                    reason=reason,
                    explanation=f"{blessing.name} at {blessing.uri} is {status.value}",
                )
    return None


def decide(
    *, candidate: Candidate, best: Best | None, policy: Policy, now: float | None = None
) -> Decision:
    """Returns whether the candidate replaces the best, and why.

    In order: blessings; is it the best itself; are there enough examples; is there a best; is the
    best's evaluation known, of the same data and young enough, where that is asked; the rule; the
    serving signatures; the guardrails. A tie is not better; NaN never wins; a best that is NaN
    loses to any finite value.

    Args:
        candidate: The model that may be exported.
        best: The model that is served, or None.
        policy: What "better" means.
        now: Seconds since the epoch; needed where the policy has a maximum age.

    Raises:
        MissingMetricError: An evaluation lacks a metric of the rule or of a guardrail.
        MissingSliceError: The candidate's evaluation lacks a slice of a guardrail.
        MissingIntervalError: An evaluation lacks an interval that the rule asks for.
        RuntimeError: The compare function raised, or the best is unknown and the policy says FAIL.
        TypeError: The compare function returned no bool.
    """
    refusal = refusal_of(candidate.blessings)
    if refusal is not None:
        return dataclasses.replace(refusal, warnings=_warnings_of(policy))
    if best is not None and best.digest == candidate.digest:
        return Decision(
            reason=pb.ExportDecision.ALREADY_BEST,
            explanation=f"the candidate is version {best.version} itself",
            warnings=_warnings_of(policy),
        )
    policy = _of_the_candidate(policy, candidate.eval_result)
    compared = _compare(candidate.eval_result, best, policy)
    decision = _by_rule(candidate.eval_result, best, policy, compared, now)
    decision = dataclasses.replace(
        decision,
        comparisons=compared.verdict.comparisons,
        guardrails=compared.guardrails,
        warnings=(*compared.warnings, *decision.warnings, *_warnings_of(policy)),
        was_compared=compared.known_best is not None,
    )
    if not decision.is_export:
        return decision
    decision = check_signatures(decision, candidate, best, policy)
    failed = [result for result in compared.guardrails if not result.holds]
    if failed and decision.is_export:
        more = f", and {len(failed) - 1} more guardrails fail" if len(failed) > 1 else ""
        decision = dataclasses.replace(
            decision,
            reason=pb.ExportDecision.GUARDRAIL_FAILED,
            explanation=f"{failed[0].explanation}{more}; else: {decision.explanation}",
        )
    return decision


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Compared:
    """What the rule and the guardrails found; known_best is None where nothing was compared."""

    verdict: Verdict
    guardrails: tuple[GuardrailResult, ...]
    known_best: EvalResult | None
    warnings: tuple[str, ...] = ()


def _compare(candidate: EvalResult, best: Best | None, policy: Policy) -> _Compared:
    known_best = best.eval_result if best else None
    together = best.together if best else None
    results, warnings = _guard(candidate, best, policy)
    try:
        verdict = policy.rule.compare(best=known_best, candidate=candidate, together=together)
    except (MissingMetricError, MissingIntervalError) as error:
        is_candidates = isinstance(error, MissingIntervalError) and error.is_candidates
        if best is None or known_best is None or not (best.is_foreign or policy.force):
            raise
        if is_candidates and not policy.force:
            raise
        # Whoever pushed the best did not know of this rule. The candidate has to fit it.
        known_best = None
        verdict = policy.rule.compare(best=None, candidate=candidate)
        warnings = (str(error), *warnings)
    return _Compared(verdict=verdict, guardrails=results, known_best=known_best, warnings=warnings)


def _guard(
    candidate: EvalResult, best: Best | None, policy: Policy
) -> tuple[tuple[GuardrailResult, ...], tuple[str, ...]]:
    """Returns what becomes of the guardrails, and a warning where one could not be looked at."""
    results: list[GuardrailResult] = []
    warnings = []
    for guardrail in policy.guardrails:
        known_best = best.eval_result if best else None
        try:
            found, unsaid = guardrail.check(candidate=candidate, best=known_best)
        except (MissingMetricError, ValueError) as error:
            if best is None or known_best is None or not best.is_foreign:
                raise
            # As with the rule. What the candidate itself lacks is an error again.
            found, unsaid = guardrail.check(candidate=candidate, best=None)
            warnings.append(str(error))
        results.extend(found)
        warnings.extend(unsaid)
    return tuple(results), tuple(warnings)


def _by_rule(
    candidate: EvalResult,
    best: Best | None,
    policy: Policy,
    compared: _Compared,
    now: float | None,
) -> Decision:
    """Returns what the policy says before signatures and guardrails are looked at."""
    verdict = compared.verdict
    if any(
        each.candidate is not None and math.isnan(each.candidate) for each in verdict.comparisons
    ):
        return Decision(
            reason=pb.ExportDecision.CANDIDATE_IS_NAN,
            explanation=f"NaN is never exported: {verdict.explanation}",
        )
    too_few = _too_few_examples(candidate, policy.min_example_count)
    if too_few:
        return Decision(reason=pb.ExportDecision.TOO_FEW_EXAMPLES, explanation=too_few)
    if best is None:
        return Decision(
            reason=pb.ExportDecision.FIRST_EXPORT,
            explanation=f"nothing is served yet: {verdict.explanation}",
        )
    if policy.force:
        return Decision(
            reason=pb.ExportDecision.FORCED,
            explanation=f"forced, {policy.force}: {verdict.explanation}",
        )
    if compared.known_best is None:
        on_unknown_best = policy.on_unknown_best
        is_required = policy.comparability == pb.ComparePolicy.REQUIRE_SAME_DATA
        if is_required and on_unknown_best == pb.ComparePolicy.EXPORT:
            # Of data that nobody knows it cannot be said that they are the same.
            on_unknown_best = pb.ComparePolicy.KEEP
        reason, explanation, warning = _unknown_best(best.version, on_unknown_best)
        return Decision(reason=reason, explanation=explanation, warnings=(warning,))
    if policy.comparability == pb.ComparePolicy.REQUIRE_SAME_DATA and best.basis not in _SAME_DATA:
        return Decision(
            reason=pb.ExportDecision.NOT_COMPARABLE,
            explanation=(
                f"the best, version {best.version}, was not evaluated on the candidate's data, and"
                f" compare_policy.comparability asks for that: {verdict.explanation}"
            ),
        )
    too_old = _too_old(best, policy.max_best_evaluation_age_seconds, now)
    if too_old:
        return Decision(
            reason=pb.ExportDecision.BEST_EVALUATION_TOO_OLD,
            explanation=f"{too_old}: {verdict.explanation}",
        )
    explanation = verdict.explanation
    if (
        policy.comparability == pb.ComparePolicy.PREFER_SAME_DATA
        and best.basis == pb.ExportDecision.RECORDED_OTHER_DATA
        and _are_other_data(candidate.data, compared.known_best.data)
    ):
        explanation += "; the best was evaluated on other data"
    return Decision(reason=_REASONS[verdict.outcome], explanation=explanation)


def _warnings_of(policy: Policy) -> tuple[str, ...]:
    if not policy.force:
        return ()
    return (f"compare_policy.force is set, {policy.force}: take it out again",)


def _are_other_data(one: EvaluatedData, other: EvaluatedData) -> bool:
    """Returns whether two evaluations are known to be of different data."""
    return bool(one.examples_uri and other.examples_uri) and not one.is_same(other)


def _too_few_examples(candidate: EvalResult, min_example_count: float) -> str:
    """Returns why the evaluation is too small, or an empty text."""
    if not min_example_count:
        return ""
    if candidate.example_count is None:
        remedy = (
            f"Give it in the mapping, as {EXAMPLE_COUNT!r}."
            if candidate.source == pb.Evaluation.MAPPING
            else "Add the metric ExampleCount to Evaluator's EvalConfig."
        )
        raise MissingMetricError(
            "compare_policy.min_example_count must find the number of examples (got none, at"
            f" {candidate.uri or 'the evaluation'}). {remedy}"
        )
    if candidate.example_count >= min_example_count:
        return ""
    found = numbers.count(candidate.example_count, min_example_count)
    least = numbers.count(min_example_count, candidate.example_count)
    return f"the candidate was evaluated on {found} examples, fewer than {least}"


def _too_old(best: Best, max_age_seconds: float, now: float | None) -> str:
    """Returns why a recorded evaluation is not compared with, or an empty text."""
    is_new = best.basis in (pb.ExportDecision.SAME_EVALUATION, pb.ExportDecision.EVALUATED_AGAIN)
    if not max_age_seconds or is_new or best.eval_result is None:
        return ""
    if best.eval_result.evaluated_at is None:
        return (
            f"nobody knows when the best, version {best.version}, was evaluated, and that must not"
            f" be more than {max_age_seconds:,.0f} seconds ago"
        )
    assert now is not None, "now must be given where the policy has a maximum age"
    age_seconds = now - best.eval_result.evaluated_at
    if abs(age_seconds) <= max_age_seconds:
        return ""
    if age_seconds < 0:
        return (
            f"the best, version {best.version}, was evaluated {math.ceil(-age_seconds):,} seconds"
            " from now, which only a wrong clock can say; evaluate it again, or set"
            " compare_policy.max_best_evaluation_age_seconds to 0"
        )
    return (
        f"the best, version {best.version}, was evaluated {math.ceil(age_seconds):,} seconds ago,"
        f" more than {max_age_seconds:,.0f}"
    )


def check_signatures(
    decision: Decision, candidate: Candidate, best: Best | None, policy: Policy
) -> Decision:
    """Returns a decision to export, or its refusal where clients of the best would break.

    A part of `decide`, for a candidate whose signatures are known only after it.

    Raises:
        ValueError: The candidate's cannot be read.
    """
    if best is None or best.signatures is None or candidate.signatures is None:
        return decision
    try:
        before = best.signatures()
    except ValueError as error:
        # No model server can load it either: it has no clients to break.
        warning = f"the best's serving signatures were not compared: {error}"
        return dataclasses.replace(decision, warnings=(*decision.warnings, warning))
    changes = signatures.changes(before, candidate.signatures())
    texts = tuple(change.text for change in changes)
    breaking = [change.text for change in changes if change.is_breaking]
    if breaking and not policy.allow_signature_change:
        return dataclasses.replace(
            decision,
            reason=pb.ExportDecision.SIGNATURES_CHANGED,
            explanation=(
                f"clients of the best would break: {'; '.join(breaking)} (allow it by"
                f" compare_policy.allow_signature_change); else: {decision.explanation}"
            ),
            signature_changes=texts,
        )
    return dataclasses.replace(decision, signature_changes=texts)


def metrics_of(policy: Policy, candidate: EvalResult) -> tuple[MetricKey, ...] | None:
    """Returns the metrics that a policy compares; None where a function of the author's does."""
    policy = _of_the_candidate(policy, candidate)
    rules = metric_rules(policy.rule)
    if not rules:
        return None
    return tuple(each.key for each in (*rules, *policy.guardrails))


def _of_the_candidate(policy: Policy, candidate: EvalResult) -> Policy:
    """Returns a policy in which the candidate's own metrics go by no model's name.

    The best's evaluations know the model by other names, or by none.
    """
    if not candidate.model_name:
        return policy

    def rename(part: _Named) -> _Named:
        if part.key.model_name != candidate.model_name:
            return part
        return dataclasses.replace(part, key=dataclasses.replace(part.key, model_name=""))

    rule = policy.rule
    if isinstance(rule, InOrder):
        rule = InOrder(rules=tuple(map(rename, rule.rules)))
    elif isinstance(rule, MetricRule):
        rule = rename(rule)
    return dataclasses.replace(policy, rule=rule, guardrails=tuple(map(rename, policy.guardrails)))


def looks_at_noise(policy: Policy) -> bool:
    """Returns whether a rule asks that an improvement be more than noise."""
    return any(rule.alpha is not None for rule in metric_rules(policy.rule))


def slice_changes(*, candidate: Candidate, best: Best | None, policy: Policy) -> list[SliceChange]:
    """Returns how the rule's first metric changed on each slice, the worst first.

    Empty where there is nothing to compare, or a compare function decides.
    """
    rules = metric_rules(_of_the_candidate(policy, candidate.eval_result).rule)
    if best is None or best.eval_result is None or not rules:
        return []
    return slices.slice_changes(
        rules[0].key, rules[0].direction, candidate=candidate.eval_result, best=best.eval_result
    )


def _unknown_best(
    version: int, on_unknown_best: pb.ComparePolicy.OnUnknownBest
) -> tuple[Reason, str, str]:
    """Returns reason, explanation and warning for a best of which no evaluation is known."""
    problem = f"no evaluation of the best, version {version}, is known"
    if on_unknown_best == pb.ComparePolicy.FAIL:
        raise RuntimeError(
            f"compare_policy.on_unknown_best must be EXPORT or KEEP to go on (got FAIL): {problem}."
            " Choose one of these."
        )
    if on_unknown_best == pb.ComparePolicy.KEEP:
        return pb.ExportDecision.BEST_UNKNOWN_KEPT, f"{problem}: it is kept", problem
    return (
        pb.ExportDecision.BEST_UNKNOWN_EXPORTED,
        f"{problem}: the candidate is exported",
        f"{problem}: the candidate was compared with nothing",
    )
