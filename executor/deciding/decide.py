"""Decides whether a candidate replaces the best: an ordered list of gates.

A gate is a small function of the situation. It returns the decision, or None to leave the decision
to the gates after it. docs/deciding.md lists the gates in the same order. A new gate is one
function and one row of `GATES`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator

from tfx_best_exporter.executor.deciding import contest, numbers, operator_gates, slices, timing
from tfx_best_exporter.executor.deciding.eval_result import (
    EXAMPLE_COUNT,
    EvaluatedData,
    MissingMetricError,
)
from tfx_best_exporter.executor.deciding.models import (
    Best,
    BlessingStatus,
    Compared,
    Decision,
    Observation,
    Reason,
)
from tfx_best_exporter.executor.deciding.policy import Policy
from tfx_best_exporter.executor.deciding.rules import Outcome, are_nan
from tfx_best_exporter.executor.deciding.situation import Situation
from tfx_best_exporter.executor.deciding.slices import SliceChange
from tfx_best_exporter.proto import best_exporter_pb2 as pb


def decide(
    observation: Observation, policy: Policy, now: float, *, compared: Compared | None = None
) -> Decision:
    """Returns the decision on whether the candidate replaces the best.

    Args:
        observation: Candidate and best.
        policy: Definition of "better".
        now: Seconds since the epoch.
        compared: Result of an earlier decision on the same candidate and best, so that a compare
            function is called only once; None to compare them now.

    Raises:
        MissingMetricError: An evaluation lacks a metric of the rule or of a guardrail.
        MissingSliceError: The candidate's evaluation lacks a slice of a guardrail.
        MissingIntervalError: An evaluation lacks an interval that the rule needs.
        RuntimeError: The compare function raised, or the best's evaluation is not known and
            on_unknown_best is FAIL.
        TypeError: The compare function returned a value that is not a bool.
    """
    candidate = observation.candidate
    if not policy.forces(candidate):
        policy = dataclasses.replace(policy, force="", force_model="")
    situation = Situation(
        candidate=candidate,
        best=observation.best,
        being_written=observation.being_written,
        latest_record=observation.latest_record,
        policy=policy.for_candidate(candidate.eval_result.model_name),
        now=now,
        known_compared=compared,
        hold=observation.hold,
        rejection=observation.rejection,
    )
    situation = _with_challengers(situation, observation, policy)
    decision = _first(GATES, situation)
    if situation.judged is not None:
        decision = dataclasses.replace(decision, judged=situation.judged)
    warnings = [*decision.warnings, *_serving_warnings(observation)]
    if policy.force:
        bound = (
            ""
            if policy.force_model
            else " Set compare_policy.force_model too: without it, every candidate is exported."
        )
        warnings.append(
            f"compare_policy.force is still set ({policy.force}). Remove it once this model has"
            f" been exported.{bound}"
        )
    return dataclasses.replace(decision, warnings=tuple(warnings))


def _first(gates: Iterable[Gate], situation: Situation) -> Decision:
    return next(filter(None, (gate.decide(situation) for gate in gates)))


def _with_challengers(situation: Situation, observation: Observation, policy: Policy) -> Situation:
    """Returns a situation with the evidence of several runs, if challengers were measured."""
    ranking = contest.ranking_of(observation, policy)
    if ranking is None:
        return situation
    ruled = dataclasses.replace(
        situation,
        policy=situation.policy.with_ruling(ranking.ruling_on(situation.candidate.digest)),
        known_compared=None,
        ranking=ranking,
    )
    judged = contest.judge(ruled, ranking, lambda each: _first(_MODEL_GATES, each))
    return dataclasses.replace(ruled, judged=judged)


def _serving_warnings(observation: Observation) -> Iterator[str]:
    """Yields a sentence for each of candidate and best that a model server cannot run."""
    candidate, best = observation.candidate, observation.best
    if candidate.serving_problems:
        yield (
            "a model server cannot run the candidate as it was saved:"
            f" {'; '.join(candidate.serving_problems)}. An export of it is saved again from its own"
            " signatures. Save it with model.export(path) or keras.export.ExportArchive instead of"
            " tf.saved_model.save"
        )
    if best is not None and best.serving_problems:
        yield (
            f"a model server cannot run the best (version {best.version}):"
            f" {'; '.join(best.serving_problems)}. An export of a better model, or of the same"
            " model, replaces it"
        )


def _blessings(situation: Situation) -> Decision | None:
    """Does not export a candidate that is not blessed, or whose blessing was not computed."""
    for status, reason, verdict in (
        (BlessingStatus.NOT_BLESSED, pb.ExportDecision.NOT_BLESSED, 'is "not blessed"'),
        (
            BlessingStatus.NOT_COMPUTED,
            pb.ExportDecision.BLESSING_NOT_COMPUTED,
            "was not computed",
        ),
    ):
        for blessing in situation.candidate.blessings:
            if blessing.status is status:
                why = f": {blessing.why}" if blessing.why else ""
                return Decision(
                    reason=reason,
                    explanation=f"{blessing.name} at {blessing.uri} {verdict}{why}",
                )
    return None


def _being_written(situation: Situation) -> Decision | None:
    """Does not export while somebody copies a newer version into the base directory."""
    if not situation.being_written:
        return None
    return Decision(
        reason=pb.ExportDecision.BEING_WRITTEN,
        explanation=(
            f"{situation.being_written}. Nothing is exported until the version is complete, or has"
            " not changed for 10 minutes"
        ),
    )


def _already_best(situation: Situation) -> Decision | None:
    """Keeps the best if the candidate has the same content and would be exported the same way."""
    best = situation.best
    if best is None or best.digest != situation.candidate.digest:
        return None
    if best.serving_problems or situation.recipe_changes:
        return None
    return Decision(
        reason=pb.ExportDecision.ALREADY_BEST,
        explanation=(
            f"the candidate has the same content as version {best.version}, which is served"
        ),
    )


def _reexported(situation: Situation) -> Decision | None:
    """Exports the same model another way, if clients of the best still work."""
    best = situation.best
    if best is None or best.digest != situation.candidate.digest:
        return None
    cause = (
        f"which a model server cannot run: {best.serving_problems[0]}"
        if best.serving_problems
        else f"exported another way: {'; '.join(situation.recipe_changes)}"
    )
    changes = tuple(change.text for change in situation.signature_changes)
    decision = Decision(
        reason=pb.ExportDecision.REEXPORTED,
        explanation=f"the candidate is the same model as version {best.version}, {cause}",
        signature_changes=changes,
    )
    return (
        _signature_veto(situation, decision)
        or operator_gates.approval(situation, decision)
        or decision
    )


def _candidate_is_nan(situation: Situation) -> Decision | None:
    """Does not export a candidate with NaN for a metric of the rule."""
    verdict = situation.compared.verdict
    metrics = [
        each.metric
        for each in verdict.comparisons
        if each.candidate is not None and math.isnan(each.candidate)
    ]
    if not metrics:
        return None
    # Without a best, the rule has nothing to add.
    has_best = situation.compared.known_best is not None
    comparison = f" ({verdict.explanation})" if has_best else ""
    return situation.decision(
        pb.ExportDecision.CANDIDATE_IS_NAN,
        f"the candidate's {are_nan(*metrics)}: a model with a NaN metric is never exported"
        f"{comparison}",
    )


def _too_few_examples(situation: Situation) -> Decision | None:
    """Does not export a candidate evaluated on fewer than `min_example_count` examples."""
    required, candidate = situation.policy.min_example_count, situation.candidate.eval_result
    if not required:
        return None
    if candidate.example_count is None:
        remedy = (
            f"Add it to the mapping as {EXAMPLE_COUNT!r}."
            if candidate.source == pb.Evaluation.MAPPING
            else "Add the metric ExampleCount to Evaluator's EvalConfig."
        )
        raise MissingMetricError(
            "compare_policy.min_example_count",
            "must find the number of examples (got none, at"
            f" {candidate.uri or 'the evaluation'}). {remedy}",
        )
    if candidate.example_count >= required:
        return None
    found = numbers.count(candidate.example_count, required)
    least = numbers.count(required, candidate.example_count)
    return situation.decision(
        pb.ExportDecision.TOO_FEW_EXAMPLES,
        f"the candidate was evaluated on {found} examples; at least {least} are required",
    )


def _unknown_best(situation: Situation) -> Decision | None:
    """Keeps a best without a known evaluation if `on_unknown_best` or `comparability` says so."""
    policy, best = situation.policy, situation.best
    if best is None or policy.force or situation.compared.known_best is not None:
        return None
    problem = _why_unknown(best)
    if policy.on_unknown_best == pb.ComparePolicy.FAIL:
        raise RuntimeError(
            f"cannot compare the candidate with the best: {problem}, and"
            " compare_policy.on_unknown_best is FAIL. Set it to KEEP or EXPORT."
        )
    # REQUIRE_SAME_DATA cannot be met if the data of the best's evaluation is not known.
    is_required = policy.comparability == pb.ComparePolicy.REQUIRE_SAME_DATA
    if policy.on_unknown_best == pb.ComparePolicy.EXPORT and not is_required:
        return None
    # Only a version without a record can be adopted.
    adopt = "" if best.problem else "run `best-exporter adopt` with its evaluation, "
    # An evaluation needs a version whose content is known, and REQUIRE_SAME_DATA overrides EXPORT.
    first = (
        "repair this version"
        if best.is_unknown
        else f"{adopt}pass examples, so that the best is evaluated on them"
    )
    setting = (
        "set compare_policy.on_unknown_best to EXPORT and compare_policy.comparability to"
        " PREFER_SAME_DATA"
        if is_required
        else "set compare_policy.on_unknown_best to EXPORT"
    )
    return situation.decision(
        pb.ExportDecision.BEST_UNKNOWN_KEPT,
        f"{problem}, so the best is kept. To go on, {first}, or {setting} for one run",
        problem,
    )


def _why_unknown(best: Best) -> str:
    clause = f": {best.problem}" if best.problem else ""
    return f"the evaluation of the best (version {best.version}) is not known{clause}"


def _not_comparable(situation: Situation) -> Decision | None:
    """Keeps a best of other data if `REQUIRE_SAME_DATA` or an operator's promotion requires it."""
    best = situation.compared_best
    if best is None:
        return None
    problem = operator_gates.why_not_replaceable(best, situation.candidate)
    if problem:
        return situation.decision(
            pb.ExportDecision.NOT_COMPARABLE,
            f"{problem}. Pass examples, so that both models are evaluated on the same data, or run"
            f" `best-exporter release`: {situation.compared.verdict.explanation}",
        )
    is_required = situation.policy.comparability == pb.ComparePolicy.REQUIRE_SAME_DATA
    if not is_required or best.basis in operator_gates.SAME_DATA:
        return None
    return situation.decision(
        pb.ExportDecision.NOT_COMPARABLE,
        f"the best (version {best.version}) was not evaluated on the candidate's data, which"
        f" compare_policy.comparability requires: {situation.compared.verdict.explanation}",
    )


def _not_better(situation: Situation) -> Decision | None:
    """Does not export a candidate that is not better by the rule, or not significantly better."""
    if situation.compared_best is None:
        return None
    outcome = situation.compared.verdict.outcome
    old_best = situation.old_best
    if outcome in (Outcome.BETTER, Outcome.BETTER_THAN_NAN) or (old_best and old_best.is_replaced):
        return None
    is_noise = outcome is Outcome.NOT_SIGNIFICANT
    by_age = f"; {old_best.explanation}" if old_best else ""
    return situation.decision(
        pb.ExportDecision.NOT_SIGNIFICANT if is_noise else pb.ExportDecision.NOT_BETTER,
        f"{_by_rule(situation)}{by_age}",
    )


def _signatures_changed(situation: Situation) -> Decision | None:
    """Does not export a candidate whose signatures would break clients of the best."""
    return _signature_veto(situation, None)


def _signature_veto(situation: Situation, export: Decision | None) -> Decision | None:
    """Returns the decision not to export a model whose signatures would break clients.

    Args:
        situation: Candidate and best.
        export: The decision without the changes; None for the one of the rule.
    """
    breaking = [change.text for change in situation.signature_changes if change.is_breaking]
    if not breaking or situation.policy.allow_signature_change:
        return None
    return _vetoed(
        export or _export(situation),
        pb.ExportDecision.SIGNATURES_CHANGED,
        f"the serving signatures would break clients: {'; '.join(breaking)}; set"
        " compare_policy.allow_signature_change to allow it",
        obstacle="this change" if len(breaking) == 1 else "these changes",
    )


def _guardrail_failed(situation: Situation) -> Decision | None:
    """Does not export a candidate that fails a guardrail."""
    failed = [result for result in situation.compared.guardrails if not result.holds]
    if not failed:
        return None
    veto, obstacle = failed[0].explanation, "this guardrail"
    if len(failed) > 1:
        others = "1 more guardrail" if len(failed) == 2 else f"{len(failed) - 1} more guardrails"
        veto, obstacle = f"{veto}, and {others} failed", "these guardrails"
    reason = pb.ExportDecision.GUARDRAIL_FAILED
    return _vetoed(_export(situation), reason, veto, obstacle=obstacle)


def _vetoed(export: Decision, reason: Reason, veto: str, *, obstacle: str) -> Decision:
    """Returns the decision not to export a candidate that would otherwise be exported."""
    explanation = f"{veto}. Without {obstacle} it would have been exported: {export.explanation}"
    return dataclasses.replace(export, reason=reason, explanation=explanation)


def _awaiting_approval(situation: Situation) -> Decision | None:
    """Stages the candidate instead of exporting it, if `approval` is `REQUIRED`."""
    return operator_gates.approval(situation, _export(situation))


def _export(situation: Situation) -> Decision:
    """Exports the candidate."""
    policy, best = situation.policy, situation.best
    explanation = situation.compared.verdict.explanation
    if best is None:
        return situation.export_decision(
            pb.ExportDecision.FIRST_EXPORT, f"nothing is served yet: {explanation}"
        )
    if policy.force:
        return situation.export_decision(
            pb.ExportDecision.FORCED,
            f"forced by compare_policy.force ({policy.force}): {explanation}",
        )
    if situation.compared.known_best is None:
        problem = _why_unknown(best)
        return situation.export_decision(
            pb.ExportDecision.BEST_UNKNOWN_EXPORTED,
            f"{problem}, so the candidate is exported",
            f"{problem}, so the candidate was not compared with it",
        )
    if situation.old_best is not None:
        return situation.export_decision(
            pb.ExportDecision.BEST_TOO_OLD,
            f"{_by_rule(situation)}; {situation.old_best.explanation}",
        )
    is_nan = situation.compared.verdict.outcome is Outcome.BETTER_THAN_NAN
    return situation.export_decision(
        pb.ExportDecision.BEST_IS_NAN if is_nan else pb.ExportDecision.BETTER, _by_rule(situation)
    )


def _by_rule(situation: Situation) -> str:
    """Returns the rule's explanation, with a note if PREFER_SAME_DATA compared other data."""
    best, known_best = situation.best, situation.compared.known_best
    explanation = situation.compared.verdict.explanation
    if (
        best is not None
        and known_best is not None
        and situation.policy.comparability == pb.ComparePolicy.PREFER_SAME_DATA
        and best.basis == pb.ExportDecision.RECORDED_OTHER_DATA
        and _are_other_data(situation.candidate.eval_result.data, known_best.data)
    ):
        return f"{explanation}; the best was evaluated on other data"
    return explanation


def _are_other_data(one: EvaluatedData, other: EvaluatedData) -> bool:
    """Returns True if two evaluations are known to be of different data."""
    return bool(one.examples_uri and other.examples_uri) and not one.is_same(other)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One step of a decision.

    The docstring of its function is its line in docs/deciding.md.

    Attributes:
        decide: Returns the decision, or None to leave it to the gates after this one.
        reasons: Reasons of its decisions, in the order of the table in docs/deciding.md.
    """

    decide: Callable[[Situation], Decision | None]
    reasons: tuple[Reason, ...]


GATES: tuple[Gate, ...] = (
    Gate(
        decide=_blessings,
        reasons=(pb.ExportDecision.NOT_BLESSED, pb.ExportDecision.BLESSING_NOT_COMPUTED),
    ),
    Gate(decide=_being_written, reasons=(pb.ExportDecision.BEING_WRITTEN,)),
    Gate(decide=operator_gates.rejected, reasons=(pb.ExportDecision.REJECTED,)),
    Gate(decide=_already_best, reasons=(pb.ExportDecision.ALREADY_BEST,)),
    Gate(decide=operator_gates.on_hold, reasons=(pb.ExportDecision.ON_HOLD,)),
    Gate(decide=_reexported, reasons=(pb.ExportDecision.REEXPORTED,)),
    Gate(decide=contest.challenger_better, reasons=(pb.ExportDecision.CHALLENGER_BETTER,)),
    Gate(decide=_candidate_is_nan, reasons=(pb.ExportDecision.CANDIDATE_IS_NAN,)),
    Gate(decide=_too_few_examples, reasons=(pb.ExportDecision.TOO_FEW_EXAMPLES,)),
    Gate(decide=_unknown_best, reasons=(pb.ExportDecision.BEST_UNKNOWN_KEPT,)),
    Gate(decide=timing.older_data, reasons=(pb.ExportDecision.OLDER_DATA,)),
    Gate(decide=_not_comparable, reasons=(pb.ExportDecision.NOT_COMPARABLE,)),
    Gate(
        decide=timing.best_evaluation_too_old,
        reasons=(pb.ExportDecision.BEST_EVALUATION_TOO_OLD,),
    ),
    Gate(decide=contest.kept_as_challenger, reasons=(pb.ExportDecision.KEPT_AS_CHALLENGER,)),
    Gate(
        decide=_not_better,
        reasons=(pb.ExportDecision.NOT_BETTER, pb.ExportDecision.NOT_SIGNIFICANT),
    ),
    Gate(decide=_signatures_changed, reasons=(pb.ExportDecision.SIGNATURES_CHANGED,)),
    Gate(decide=_guardrail_failed, reasons=(pb.ExportDecision.GUARDRAIL_FAILED,)),
    Gate(decide=timing.exported_recently, reasons=(pb.ExportDecision.EXPORTED_RECENTLY,)),
    Gate(decide=_awaiting_approval, reasons=(pb.ExportDecision.AWAITING_APPROVAL,)),
    Gate(
        decide=_export,
        reasons=(
            pb.ExportDecision.FIRST_EXPORT,
            pb.ExportDecision.FORCED,
            pb.ExportDecision.BEST_UNKNOWN_EXPORTED,
            pb.ExportDecision.BEST_IS_NAN,
            pb.ExportDecision.BEST_TOO_OLD,
            pb.ExportDecision.BETTER,
        ),
    ),
)


# Gates that concern a model, and not the run: a challenger must pass them too.
_MODEL_GATES = GATES[[gate.decide for gate in GATES].index(_candidate_is_nan) :]


def slice_changes(observation: Observation, policy: Policy) -> list[SliceChange]:
    """Returns the changes of the rule's first metric on each slice, the worst first.

    The list is empty if there is no evaluation of a best, or a compare function decides.

    Raises:
        ValueError: Two of the best's slices have the same features, or they cannot be read.
    """
    candidate, best = observation.candidate.eval_result, observation.best
    leading = policy.for_candidate(candidate.model_name).rule.leading
    if best is None or best.eval_result is None or leading is None:
        return []
    return slices.slice_changes(
        leading.key, leading.direction, candidate=candidate, best=best.eval_result
    )
