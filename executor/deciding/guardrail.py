"""The protocol of a guardrail, a limit that a candidate must meet even if the rule favors it.

The table of the kinds of guardrail is `GUARDRAILS` in guardrails.py.
"""

from __future__ import annotations

import dataclasses
from typing import Protocol

from tfx_best_exporter.executor.deciding.eval_result import EvalResult, MetricKey
from tfx_best_exporter.executor.deciding.slices import Features
from tfx_best_exporter.proto import best_exporter_pb2 as pb


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GuardrailResult:
    """The result of a guardrail on one slice; the fields of pb.GuardrailResult."""

    metric: str
    direction: int
    slice: Features
    candidate: float
    best: float | None
    worst_allowed: float | None
    holds: bool
    explanation: str
    example_count: float | None
    best_fails: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The result of a guardrail.

    Attributes:
        results: Results, one for each guarded slice.
        warnings: Slices that it could not guard.
        problem: The error to raise if it is not tolerated: the best's evaluation lacks a metric or
            has ambiguous slices. There are no results then.
    """

    results: tuple[GuardrailResult, ...] = ()
    warnings: tuple[str, ...] = ()
    problem: Exception | None = None


class Guardrail(Protocol):
    """A limit that a candidate must meet. A new kind is a class like this and a row of a table.

    The table is `GUARDRAILS` in guardrails.py. The class reads its own messages, checks candidates
    and describes itself, so no other module depends on a kind.

    Attributes:
        key: The metric.
        direction: pb.LOWER_IS_BETTER or pb.HIGHER_IS_BETTER.
    """

    @classmethod
    def from_proto(cls, proto: pb.Guardrail) -> Guardrail:
        """Returns the guardrail in a proto.

        Raises:
            FieldValueError: The proto is incomplete, or a field is invalid.
        """
        ...

    @classmethod
    def text_of(cls, proto: pb.Guardrail) -> str:
        """Returns the limits and the guarded slices as text, for the report.

        Args:
            proto: A guardrail of this kind. A report may show one that `from_proto` refuses.
        """
        ...

    @property
    def key(self) -> MetricKey:
        """The metric."""
        ...

    @property
    def direction(self) -> pb.MetricDirection:
        """pb.LOWER_IS_BETTER or pb.HIGHER_IS_BETTER."""
        ...

    @property
    def limits_regression(self) -> bool:
        """True if a limit depends on the best's value."""
        ...

    @property
    def needs_slices(self) -> bool:
        """True if it guards slices other than the overall one."""
        ...

    @property
    def needs_intervals(self) -> bool:
        """True if it needs the intervals of differences from the best."""
        ...

    def for_candidate(self, model_name: str) -> Guardrail:
        """Returns the guardrail with the model name removed from the candidate's own metric."""
        ...

    def contradicts(self, other: Guardrail) -> str:
        """Returns the contradiction as text if no value can meet both, or an empty text."""
        ...

    def check(
        self,
        *,
        candidate: EvalResult,
        best: EvalResult | None,
        together: EvalResult | None = None,
    ) -> Check:
        """Returns the result on each guarded slice.

        Args:
            candidate: The candidate's evaluation.
            best: The best's evaluation; None if there is no best or its evaluation is not known.
            together: Evaluation of both models together, with the differences between candidate
                and best, or None.

        Raises:
            PathError: The candidate's evaluation lacks a metric or slice of the guardrail.
        """
        ...
