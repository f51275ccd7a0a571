"""Candidate and challengers in one decision: the evidence on each of them, and their fates.

`challengers.py` has the statistics. Here, the model with the largest gain that passes the gates of
any candidate is exported, and the most hopeful of the others are kept.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping

from tfx_best_exporter.executor.arguments.errors import PathError
from tfx_best_exporter.executor.deciding import challengers
from tfx_best_exporter.executor.deciding.challengers import Standing, Standings, Terms
from tfx_best_exporter.executor.deciding.models import (
    Best,
    Candidate,
    Contest,
    Decision,
    Judged,
    Observation,
)
from tfx_best_exporter.executor.deciding.outcome import Outcome, Ruling
from tfx_best_exporter.executor.deciding.policy import Challenging, Policy
from tfx_best_exporter.executor.deciding.rules import MetricRule
from tfx_best_exporter.executor.deciding.situation import Situation
from tfx_best_exporter.executor.deciding.standing_text import text_of
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# Challengers need this many times the size of the best, if the policy has no limit.
_DEFAULT_SHARE = 2

# Reasons for which a model is neither exported nor measured again.
_STOPPED = {
    pb.ExportDecision.CANDIDATE_IS_NAN,
    pb.ExportDecision.SIGNATURES_CHANGED,
    pb.ExportDecision.GUARDRAIL_FAILED,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ranking:
    """The evidence on candidate and challengers.

    Attributes:
        contest: The measurements of the runs.
        terms: The test that promotes a model.
        challenging: The part of the policy about challengers.
        policy: The policy, as it is for all models.
        rule: The rule by which the models were measured.
        best: The best.
        candidate: The candidate.
    """

    contest: Contest
    terms: Terms
    challenging: Challenging
    policy: Policy
    rule: MetricRule
    best: Best
    candidate: Candidate

    @functools.cached_property
    def found(self) -> Standings:
        """Standings of all models, compared with the best."""
        return challengers.standings_of(self.contest.rows, self.best.digest, self.terms)

    @functools.cached_property
    def models(self) -> Mapping[str, Candidate]:
        """Candidate and challengers by content digest."""
        measured = {digest: each.candidate for digest, each in self.contest.challengers.items()}
        return {**measured, self.candidate.digest: self.candidate}

    def ruling_on(self, digest: str) -> Ruling | None:
        """Returns the evidence on a model for its rule; None if this run did not measure it."""
        standing = self.found.standings.get(digest)
        if standing is None:
            return None
        is_barred = digest in self.contest.barred
        return Ruling(
            is_significant=standing.is_significant and not is_barred,
            explanation=self.clause_on(standing),
        )

    def clause_on(self, standing: Standing) -> str:
        """Returns the evidence on a model as a clause with the numbers."""
        value = self.contest.rows[-1].models[standing.digest].value
        if self.rule.direction == pb.LOWER_IS_BETTER:
            value = -value
        return text_of(standing, self.terms, self.rule.key, value)

    def kept(self, served: str, stopped: Mapping[str, str]) -> tuple[str, ...]:
        """Returns the models to measure again, the largest expected gain first.

        Args:
            served: Digest of the model that is served after this run.
            stopped: Models that must not be measured again.
        """
        contest = self.contest
        found = self.found
        if served != self.best.digest:
            found = challengers.standings_of(contest.rows, served, self.terms)
        sizes = {digest: each.size_bytes for digest, each in contest.challengers.items()}
        sizes[self.candidate.digest] = contest.candidate_bytes
        if contest.can_keep_best:
            sizes[self.best.digest] = contest.best_bytes
        limit = self.challenging.max_bytes
        if limit is None:
            limit = _DEFAULT_SHARE * contest.best_bytes
        kept: list[str] = []
        for standing in challengers.hopeful(found, stopped):
            size = sizes.get(standing.digest)
            if size is None or size > limit or len(kept) == self.challenging.count:
                continue
            limit -= size
            kept.append(standing.digest)
        return tuple(kept)


def ranking_of(observation: Observation, policy: Policy) -> Ranking | None:
    """Returns the evidence on the candidate and the challengers; None without challengers.

    Args:
        observation: Candidate, best, and what the runs measured.
        policy: The policy as the run has it, without `for_candidate`. It has no `force` if that is
            for another candidate.
    """
    contest, best, challenging = observation.contest, observation.best, policy.challenging
    if contest is None or challenging is None or policy.force or best is None:
        return None
    rule = policy.for_candidate(observation.candidate.eval_result.model_name).rule.leading
    known = None if rule is None or best.eval_result is None else best.eval_result.find(rule.key)
    if rule is None or known is None or not math.isfinite(known.value):
        return None
    required = rule.required_of(known.value)
    return Ranking(
        contest=contest,
        terms=Terms(alpha=challenging.alpha, required=required, form=challenging.form),
        challenging=challenging,
        policy=policy,
        rule=rule,
        best=best,
        candidate=observation.candidate,
    )


def judge(situation: Situation, ranking: Ranking, gates: Callable[[Situation], Decision]) -> Judged:
    """Returns the fates of candidate and challengers.

    Args:
        situation: The situation of the candidate.
        ranking: The evidence.
        gates: Decides about one model, by the gates that concern the model itself.
    """
    own = situation.candidate.digest
    decisions: dict[str, Decision] = {own: gates(situation)}
    stopped = dict(ranking.contest.barred)
    for digest, candidate in ranking.models.items():
        if digest != own:
            try:
                decisions[digest] = gates(_situation_of(candidate, situation, ranking))
            except PathError as error:
                # The candidate's own evaluation has everything that the policy needs.
                stopped.setdefault(digest, f"its evaluation cannot be used: {error}")
    for digest, decision in decisions.items():
        problem = _why_stopped(decision)
        if problem:
            stopped.setdefault(digest, problem)
    ranked = [each.digest for each in challengers.winners(ranking.found, stopped)]
    # A candidate is exported for other reasons too: the best is too old, or a tie-breaker decides.
    promoted = next(
        (each for each in (*ranked, own) if each in decisions and decisions[each].makes_files), ""
    )
    is_served = bool(promoted) and decisions[promoted].is_export
    served = promoted if is_served else ranking.best.digest
    kept = ranking.kept(served, stopped)
    why = {
        digest: _why(digest, stopped, decisions.get(digest), served=served, kept=kept)
        for digest in ranking.models
    }
    if served in ranked:
        why[served] = "the evidence shows that it is better than the best"
    return Judged(
        found=ranking.found,
        decisions=decisions,
        promoted=promoted,
        kept=kept,
        why=why,
    )


def challenger_better(situation: Situation) -> Decision | None:
    """Exports a challenger if the evidence of several runs favors it more than the candidate."""
    judged, ranking = situation.judged, situation.ranking
    if judged is None or ranking is None or judged.promoted in ("", situation.candidate.digest):
        return None
    challenger = judged.decisions[judged.promoted]
    clause = ranking.clause_on(judged.found.standings[judged.promoted])
    export = Decision(
        reason=pb.ExportDecision.CHALLENGER_BETTER,
        explanation=(
            f"a model that an earlier run refused is better than the best: {clause}. The candidate"
            f" is not exported: {_refusal(situation, judged)}"
        ),
        compared=situation.compared,
        signature_changes=challenger.signature_changes,
        warnings=challenger.warnings,
        challenger=judged.promoted,
    )
    if challenger.awaited is None:
        return export
    return dataclasses.replace(
        export,
        reason=challenger.reason,
        explanation=(
            f"{export.explanation}. The policy requires approval: to export the earlier model, run"
            f" `best-exporter approve` with {judged.promoted}"
        ),
        awaited=export,
    )


def kept_as_challenger(situation: Situation) -> Decision | None:
    """Keeps a candidate that the evidence may still favor in a later run."""
    judged, best = situation.judged, situation.compared_best
    if judged is None or best is None or situation.candidate.digest not in judged.kept:
        return None
    if situation.compared.verdict.outcome is Outcome.BETTER:
        return None
    if situation.old_best is not None and situation.old_best.is_replaced:
        return None
    return situation.decision(
        pb.ExportDecision.KEPT_AS_CHALLENGER,
        f"{situation.compared.verdict.explanation}. The candidate is kept, and the next runs"
        " measure it again",
    )


def _situation_of(candidate: Candidate, situation: Situation, ranking: Ranking) -> Situation:
    """Returns the situation of a challenger as if it were the candidate."""
    evaluation = candidate.eval_result
    policy = ranking.policy.for_candidate(evaluation.model_name)
    return dataclasses.replace(
        situation,
        candidate=candidate,
        best=dataclasses.replace(ranking.best, together=evaluation),
        policy=policy.with_ruling(ranking.ruling_on(candidate.digest)),
        known_compared=None,
    )


def _why_stopped(decision: Decision) -> str:
    """Returns the reason why a model must not be measured again; empty if there is none."""
    failed = [each for each in decision.guardrails if not each.holds]
    if failed:
        return f"a guardrail failed: {failed[0].explanation}"
    return decision.explanation if decision.reason in _STOPPED else ""


def _why(
    digest: str,
    stopped: Mapping[str, str],
    decision: Decision | None,
    *,
    served: str,
    kept: tuple[str, ...],
) -> str:
    if digest == served and decision is not None:
        return decision.explanation
    if digest in stopped:
        return stopped[digest]
    if digest in kept:
        return (
            decision.explanation
            if decision is not None and decision.is_favored
            else "it may be better than the best"
        )
    return "others may be better, or the chance that it is better is small"


def _refusal(situation: Situation, judged: Judged) -> str:
    """Returns the reason why the candidate is not exported, as a clause."""
    own = judged.decisions[situation.candidate.digest]
    return "the other model's gain is larger" if own.makes_files else own.explanation
