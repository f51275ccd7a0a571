"""The protocol of a guardrail, a limit that a candidate must meet even if the rule favors it.

The table of the kinds of guardrail is `GUARDRAILS` in policy.py.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias

from tfx_best_exporter.executor.arguments.errors import FieldValueError, within
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

    The table is `GUARDRAILS` in policy.py.

    Attributes:
        key: The metric.
        direction: pb.LOWER_IS_BETTER or pb.HIGHER_IS_BETTER.
    """

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

    def for_candidate(self, model_name: str) -> Guardrail:
        """Returns the guardrail with the model name removed from the candidate's own metric."""
        ...

    def contradicts(self, other: Guardrail) -> str:
        """Returns the contradiction as text if no value can meet both, or an empty text."""
        ...

    def check(self, *, candidate: EvalResult, best: EvalResult | None) -> Check:
        """Returns the result on each guarded slice.

        Args:
            candidate: The candidate's evaluation.
            best: The best's evaluation; None if there is no best or its evaluation is not known.

        Raises:
            PathError: The candidate's evaluation lacks a metric or slice of the guardrail.
        """
        ...


# Reads one guardrail of a policy.
ReadGuardrail: TypeAlias = Callable[[pb.Guardrail], Guardrail]


def from_policy(
    proto: pb.ComparePolicy, kinds: Mapping[str, ReadGuardrail]
) -> tuple[Guardrail, ...]:
    """Returns the guardrails of a policy.

    Args:
        proto: The policy.
        kinds: Readers of the kinds of guardrail, by the fields that state a kind.

    Raises:
        FieldValueError: A guardrail is invalid or has limits of two kinds, or no value of a metric
            can meet two guardrails.
    """
    found: list[Guardrail] = []
    for index, each in enumerate(proto.guardrails):
        with within(f"guardrails[{index}]"):
            guardrail = _reader_of(each, kinds)(each)
        for other_index, other in enumerate(found):
            contradiction = other.contradicts(guardrail)
            if contradiction:
                raise FieldValueError(
                    f"guardrails[{index}]",
                    f"must not contradict compare_policy.guardrails[{other_index}] (got"
                    f" {contradiction}). No candidate can pass both: change one of them.",
                )
        found.append(guardrail)
    return tuple(found)


def _reader_of(proto: pb.Guardrail, kinds: Mapping[str, ReadGuardrail]) -> ReadGuardrail:
    stated = [name for name in kinds if proto.HasField(name)]
    readers = {kinds[name] for name in stated}
    if len(readers) > 1:
        raise FieldValueError(
            "",
            f"must have limits of one kind (got {' and '.join(stated)}). Use two guardrails.",
        )
    # The first kind reports the limit that a message without any lacks.
    return readers.pop() if readers else next(iter(kinds.values()))
