"""What a candidate must keep, however much better it is by the rule: the protocol of a guardrail.

The table of the kinds of guardrail is `GUARDRAILS` in policy.py.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Protocol

from tfx_best_exporter.executor.arguments.errors import FieldValueError, within
from tfx_best_exporter.executor.deciding.eval_result import EvalResult, MetricKey
from tfx_best_exporter.executor.deciding.slices import Features
from tfx_best_exporter.proto import best_exporter_pb2 as pb


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GuardrailResult:
    """What became of a guardrail on one slice; the fields of pb.GuardrailResult."""

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
    """What became of a guardrail.

    Attributes:
        results: On each of its slices.
        warnings: Where it says nothing.
        problem: The error to raise where it is not tolerated: the best's evaluation lacks what the
            guardrail needs of it. Nothing else is known then.
    """

    results: tuple[GuardrailResult, ...] = ()
    warnings: tuple[str, ...] = ()
    problem: Exception | None = None


class Guardrail(Protocol):
    """What a candidate must keep. A new kind is a class like this, and a row of a table.

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
        """Whether the best's value counts."""
        ...

    @property
    def needs_slices(self) -> bool:
        """Whether it looks at slices other than the overall one."""
        ...

    def for_candidate(self, model_name: str) -> Guardrail:
        """Returns the guardrail in which the candidate's own metric goes by no model's name."""
        ...

    def contradicts(self, other: Guardrail) -> str:
        """Returns why no value of a metric could satisfy both, or an empty text."""
        ...

    def check(self, *, candidate: EvalResult, best: EvalResult | None) -> Check:
        """Returns what becomes of it on each of its slices.

        Args:
            candidate: Its evaluation.
            best: The best's; None where there is none, or nothing is known of it.

        Raises:
            PathError: The candidate's evaluation lacks what the guardrail needs of it.
        """
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of guardrail.

    Attributes:
        is_stated_by: Returns whether a message states one of this kind.
        from_proto: Returns the guardrail that a message states.
    """

    is_stated_by: Callable[[pb.Guardrail], bool]
    from_proto: Callable[[pb.Guardrail], Guardrail]


def from_policy(proto: pb.ComparePolicy, kinds: Sequence[Kind]) -> tuple[Guardrail, ...]:
    """Returns the guardrails that a policy states.

    Args:
        proto: The policy.
        kinds: Of guardrail; the first one that a message states reads it.

    Raises:
        FieldValueError: One of them is invalid, or no value of a metric could satisfy two of them.
    """
    found: list[Guardrail] = []
    for index, each in enumerate(proto.guardrails):
        with within(f"guardrails[{index}]"):
            kind = next(kind for kind in kinds if kind.is_stated_by(each))
            guardrail = kind.from_proto(each)
        for other_index, other in enumerate(found):
            contradiction = other.contradicts(guardrail)
            if contradiction:
                raise FieldValueError(
                    f"guardrails[{index}]",
                    f"must not contradict compare_policy.guardrails[{other_index}] (got"
                    f" {contradiction}). No candidate could pass: mend one of both.",
                )
        found.append(guardrail)
    return tuple(found)
