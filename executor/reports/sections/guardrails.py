"""The results of the guardrails."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tfx_best_exporter.executor.reports import wording
from tfx_best_exporter.executor.reports.sections import fields
from tfx_best_exporter.executor.reports.sections.fields import OPEN_ROWS, Rows
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# Failed guardrails need attention, so more of them than of other rows are visible at once.
_OPEN_FAILURES = 20


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Guardrail:
    metric: str
    slice: Rows[tuple[str, str]]
    holds: bool
    candidate: str
    best: str
    bound: str
    example_count: str
    explanation: str
    best_fails: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Guardrails:
    outcome: str
    rows: Rows[_Guardrail]
    # Text about the rows to expand; empty if none of them failed.
    folded: str
    # Explanations of the failures that are visible at once.
    failures: Sequence[str]
    is_explained_at_once: bool
    # Number of results in decision.json, and number of those that its limit left out.
    listed: int
    unlisted: int
    has_best: bool
    has_examples: bool
    # Sentence about a best that fails guardrails itself; empty if it fails none.
    about_best: str


def section(decision: pb.ExportDecision) -> _Guardrails | None:
    """Returns the guardrails, failures first, otherwise in the decision's order."""
    results = sorted(decision.guardrails, key=lambda result: result.holds)
    if not results:
        return None
    failed = sum(not result.holds for result in results)
    rows = Rows.of(map(_guardrail, results), at_least_open=min(failed, _OPEN_FAILURES))
    failures = [row.explanation for row in rows.open if not row.holds and row.explanation]
    unlisted = max(decision.guardrail_count - len(results), 0)
    return _Guardrails(
        outcome=_outcome_of_guardrails(failed, len(results), unlisted),
        rows=rows,
        folded=_folded_failures(rows.folded),
        failures=failures,
        is_explained_at_once=len(failures) <= OPEN_ROWS,
        listed=len(results),
        unlisted=unlisted,
        has_best=any(result.HasField("best") for result in results),
        has_examples=any(result.HasField("example_count") for result in results),
        about_best=_about_best(decision),
    )


def _about_best(decision: pb.ExportDecision) -> str:
    failed = sum(result.best_fails for result in decision.guardrails)
    if not failed:
        return ""
    which = "1 guardrail" if failed == 1 else f"{wording.count(failed)} guardrails"
    return f"The best, version {decision.best.version}, itself fails the bound of {which}."


def _outcome_of_guardrails(failed: int, listed: int, unlisted: int) -> str:
    """Returns the caption with the number of failures.

    Failures are listed first. An unlisted guardrail can have failed only if all listed ones failed.
    """
    total = wording.count(listed + unlisted)
    if not failed:
        return "Passed" if listed + unlisted == 1 else f"All {total} passed"
    at_least = "At least " if unlisted and failed == listed else ""
    return f"{at_least}{wording.count(failed)} of {total} failed"


def _folded_failures(rows: Sequence[_Guardrail]) -> str:
    failed = sum(not row.holds for row in rows)
    if not failed:
        return ""
    return ", all failed" if failed == len(rows) else f", {wording.count(failed)} of them failed"


def _guardrail(result: pb.GuardrailResult) -> _Guardrail:
    limit = {pb.HIGHER_IS_BETTER: "at least ", pb.LOWER_IS_BETTER: "at most "}
    candidate, best = fields.optional(result, "candidate"), fields.optional(result, "best")
    worst_allowed = fields.optional(result, "worst_allowed")
    bound = fields.number(worst_allowed, candidate, best)
    return _Guardrail(
        metric=result.metric,
        slice=fields.slice_features(result.slice),
        holds=result.holds,
        candidate=fields.number(candidate, worst_allowed, best),
        best=fields.number(best, worst_allowed, candidate),
        bound=limit.get(result.direction, "") + bound if bound else "",
        example_count=fields.count(result),
        explanation=result.explanation,
        best_fails=result.best_fails,
    )
