"""The input of every gate of a decision: candidate, best, and the comparison between them."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING

from tfx_best_exporter.executor.arguments.errors import PathError, within
from tfx_best_exporter.executor.deciding import recipes, signatures
from tfx_best_exporter.executor.deciding.guardrail import GuardrailResult
from tfx_best_exporter.executor.deciding.models import (
    Best,
    Candidate,
    Compared,
    Decision,
    Judged,
    Observation,
    Reason,
)
from tfx_best_exporter.executor.deciding.old_best import OldBest, old_best_of
from tfx_best_exporter.executor.deciding.policy import Policy
from tfx_best_exporter.executor.deciding.significance import MissingIntervalError
from tfx_best_exporter.proto import best_exporter_pb2 as pb

if TYPE_CHECKING:
    from tfx_best_exporter.executor.deciding.contest import Ranking


def compare(observation: Observation, policy: Policy) -> Compared:
    """Returns the results of the policy's rule and guardrails.

    Args:
        observation: Candidate and best.
        policy: A policy returned by `Policy.for_candidate`.

    Raises:
        See `decide`.
    """
    candidate, best = observation.candidate.eval_result, observation.best
    known_best = best.eval_result if best else None
    together = best.together if best else None
    results: list[GuardrailResult] = []
    warnings: list[str] = []
    for index, guardrail in enumerate(policy.guardrails):
        path = f"compare_policy.guardrails[{index}]"
        with within(path):
            check = guardrail.check(candidate=candidate, best=known_best, together=together)
        if check.problem is not None:
            if isinstance(check.problem, PathError):
                check.problem.add_parent(path)
            if best is None or not best.is_foreign:
                raise check.problem
            # A foreign best was pushed without this guardrail. The candidate must meet its bound.
            warnings.append(str(check.problem))
            with within(path):
                check = guardrail.check(candidate=candidate, best=None)
        results.extend(check.results)
        warnings.extend(check.warnings)
    verdict = policy.rule.compare(best=known_best, candidate=candidate, together=together)
    if verdict.problem is not None:
        problem = verdict.problem
        is_candidates = isinstance(problem, MissingIntervalError) and problem.is_candidates
        if not (policy.force or (best and best.is_foreign and not is_candidates)):
            raise problem
        # A foreign best was evaluated without this rule, so it counts as not evaluated.
        known_best = None
        verdict = policy.rule.compare(best=None, candidate=candidate)
        warnings.insert(0, str(problem))
    return Compared(
        verdict=verdict,
        guardrails=tuple(results),
        known_best=known_best,
        warnings=tuple(warnings),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Situation:
    """The input of every gate.

    Attributes:
        candidate: The model that may be exported.
        best: The model that is served, or None.
        being_written: Description of a newer version that is being copied; empty if there is none.
        latest_record: Record of the newest export with a record, or None.
        policy: Definition of "better".
        now: Seconds since the epoch.
        known_compared: The argument `compared` of `decide`.
        hold: The hold of an operator that has not ended, or None.
        rejection: The rejection of the candidate, or None.
        ranking: The evidence of several runs; None without challengers.
        judged: The fates of candidate and challengers; None without challengers.
    """

    candidate: Candidate
    best: Best | None
    policy: Policy
    now: float
    being_written: str = ""
    latest_record: pb.ExportRecord | None = None
    known_compared: Compared | None = None
    hold: pb.Hold | None = None
    rejection: pb.Rejection | None = None
    ranking: Ranking | None = None
    judged: Judged | None = None

    # The comparison is lazy: if one of the first gates decides, the evaluations may lack metrics.
    @functools.cached_property
    def compared(self) -> Compared:
        """Results of the rule and the guardrails."""
        if self.known_compared is not None:
            return self.known_compared
        return compare(Observation(candidate=self.candidate, best=self.best), self.policy)

    @property
    def compared_best(self) -> Best | None:
        """The best if its evaluation decides; None if that is not known, or force is set."""
        is_compared = self.compared.known_best is not None and not self.policy.force
        return self.best if is_compared else None

    @functools.cached_property
    def old_best(self) -> OldBest | None:
        """The result for a best that is too old; None if its age does not matter."""
        best = self.compared_best
        if best is None:
            return None
        return old_best_of(self.candidate, best, self.compared, self.policy, self.now)

    @functools.cached_property
    def recipe_changes(self) -> list[str]:
        """Differences between the recipes of candidate and best; empty if one is not known."""
        best, recipe = self.best, self.candidate.recipe
        if best is None or best.recipe is None or recipe is None:
            return []
        return recipes.changes(best.recipe, recipe)

    @functools.cached_property
    def signature_changes(self) -> list[signatures.Change]:
        """Changes that clients of the best would notice, breaking changes first."""
        best, candidate = self.best, self.candidate
        if best is None or best.signatures is None or candidate.signatures is None:
            return []
        return signatures.changes(best.signatures, candidate.signatures)

    def decision(self, reason: Reason, explanation: str, *warnings: str) -> Decision:
        """Returns a decision made after comparing candidate and best."""
        return Decision(
            reason=reason,
            explanation=explanation,
            compared=self.compared,
            warnings=(*self.compared.warnings, *warnings),
        )

    def export_decision(self, reason: Reason, explanation: str, *warnings: str) -> Decision:
        """Returns a decision if the rule favors the candidate, with the signature changes."""
        best = self.best
        if best and best.signatures_problem and self.candidate.signatures is not None:
            # Model servers cannot load such a best either, so it has no clients to break.
            problem = f"the best's serving signatures were not compared: {best.signatures_problem}"
            warnings = (*warnings, problem)
        return dataclasses.replace(
            self.decision(reason, explanation, *warnings),
            signature_changes=tuple(change.text for change in self.signature_changes),
        )
