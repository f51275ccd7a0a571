"""What became of the guardrails."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tfx_best_exporter.executor.reports import wording
from tfx_best_exporter.executor.reports.sections import fields
from tfx_best_exporter.executor.reports.sections.fields import OPEN_ROWS, Rows
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# Guardrails that failed are what somebody has to look at.
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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Guardrails:
    outcome: str
    rows: Rows[_Guardrail]
    # What is said of the rows to unfold.
    folded: str
    # In words, those of the failures that are seen at once.
    failures: Sequence[str]
    is_explained_at_once: bool
    # How many decision.json has, and how many it has not.
    listed: int
    unlisted: int
    has_best: bool
    has_examples: bool


def section(decision: pb.ExportDecision) -> _Guardrails | None:
    """Returns the guardrails: those that failed first, otherwise in the decision's order."""
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
    )


def _outcome_of_guardrails(failed: int, listed: int, unlisted: int) -> str:
    """Returns how many failed. They are listed first: those that are not, fail only if all do."""
    total = wording.count(listed + unlisted)
    if not failed:
        return "It holds" if listed + unlisted == 1 else f"All {total} hold"
    at_least = "At least " if unlisted and failed == listed else ""
    return f"{at_least}{wording.count(failed)} of {total} failed"


def _folded_failures(rows: Sequence[_Guardrail]) -> str:
    failed = sum(not row.holds for row in rows)
    if not failed:
        return ""
    return ", all failed" if failed == len(rows) else f", of which {wording.count(failed)} failed"


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
    )
