"""The outcome of a rule for a candidate, and evidence from elsewhere that changes it."""

from __future__ import annotations

import dataclasses
import enum


class Outcome(enum.Enum):
    """The outcome of a rule for a candidate."""

    BETTER = "better"
    BETTER_THAN_NAN = "better than NaN"
    NOT_SIGNIFICANT = "better, but not significantly"
    TIE = "a tie"
    NOT_BETTER = "not better"
    NOT_COMPARABLE = "not comparable"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """The evidence of several runs on a candidate, which decides instead of a rule's own test.

    Attributes:
        is_significant: True if the evidence is strong enough for an export.
        explanation: One clause, with the numbers.
    """

    is_significant: bool
    explanation: str

    def outcome(self, alone: Outcome) -> Outcome:
        """Returns the outcome by all runs.

        Args:
            alone: Outcome by this run alone.
        """
        if self.is_significant:
            return Outcome.BETTER
        return Outcome.NOT_SIGNIFICANT if alone is Outcome.BETTER else alone
