"""A second kind of guardrail is a class and a row; everything else takes it from the table."""

import dataclasses
from typing import Any

import pytest

from tests.executor.deciding.decided import evaluation, load_nothing
from tfx_best_exporter.executor.arguments.errors import FieldValueError
from tfx_best_exporter.executor.deciding import guardrails
from tfx_best_exporter.executor.deciding.decide import decide
from tfx_best_exporter.executor.deciding.eval_result import EvalResult, MetricKey
from tfx_best_exporter.executor.deciding.guardrail import Check, Guardrail, GuardrailResult
from tfx_best_exporter.executor.deciding.metric_limit import MetricLimit
from tfx_best_exporter.executor.deciding.models import Candidate, Observation
from tfx_best_exporter.executor.deciding.policy import policy_from_proto
from tfx_best_exporter.executor.policies import at_least, compare_policy, larger
from tfx_best_exporter.proto import best_exporter_pb2 as pb


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Forbidden:
    """A second kind of guardrail: no candidate meets it."""

    key: MetricKey
    direction: pb.MetricDirection = pb.HIGHER_IS_BETTER
    limits_regression: bool = False
    needs_slices: bool = False
    needs_intervals: bool = False

    @classmethod
    def from_proto(cls, proto: pb.Guardrail) -> "Forbidden":
        if proto.every_slice_min_examples < 1:
            raise FieldValueError("every_slice_min_examples", "must be 1 or larger.")
        return cls(key=MetricKey.from_proto(proto.metric))

    @classmethod
    def text_of(cls, proto: pb.Guardrail) -> str:
        return "forbidden"

    def for_candidate(self, model_name: str) -> "Forbidden":
        return self

    def contradicts(self, other: Guardrail) -> str:
        return "a forbidden metric twice" if isinstance(other, Forbidden) else ""

    def check(
        self,
        *,
        candidate: EvalResult,
        best: EvalResult | None,
        together: EvalResult | None = None,
    ) -> Check:
        result = GuardrailResult(
            metric=str(self.key),
            direction=self.direction,
            slice=(),
            candidate=0.0,
            best=None,
            worst_allowed=None,
            holds=False,
            explanation="forbidden",
            example_count=None,
        )
        return Check(results=(result,))


# A row for a field of pb.Guardrail that no other kind has.
KINDS: dict[str, type[Guardrail]] = {
    **guardrails.GUARDRAILS,
    "every_slice_min_examples": Forbidden,
}


UNLIMITED = pb.Guardrail(metric=pb.MetricKey(name="auc"), direction=pb.HIGHER_IS_BETTER)


def forbidden(**fields: Any) -> pb.Guardrail:
    values: dict[str, Any] = {"every_slice_min_examples": 1, **fields}
    return pb.Guardrail(
        metric=pb.MetricKey(name="forbidden"), direction=pb.HIGHER_IS_BETTER, **values
    )


def test_a_second_kind_is_decided_by():
    policy = policy_from_proto(
        compare_policy(larger("auc"), guardrails=[at_least("auc", 0.5), forbidden()]),
        load_nothing,
        guardrail_kinds=KINDS,
    )
    candidate = Candidate(digest="c", eval_result=evaluation({"auc": 0.9}))
    decision = decide(Observation(candidate=candidate, best=None), policy, 0.0)
    assert decision.reason == pb.ExportDecision.GUARDRAIL_FAILED
    assert [each.holds for each in decision.guardrails] == [True, False]


def test_a_second_kind_reads_its_messages():
    assert guardrails.from_proto(forbidden(), KINDS) == Forbidden(key=MetricKey(name="forbidden"))
    with pytest.raises(FieldValueError, match="every_slice_min_examples must be 1 or larger"):
        guardrails.from_proto(forbidden(every_slice_min_examples=0), KINDS)


def test_a_second_kind_has_its_own_text():
    assert guardrails.text_of(forbidden(), KINDS) == "forbidden: forbidden."
    assert guardrails.text_of(at_least("auc", 0.5), KINDS) == (
        f"auc: {MetricLimit.text_of(at_least('auc', 0.5))}."
    )


def test_a_kind_of_a_later_release_is_not_shown_as_no_limit():
    assert guardrails.text_of(UNLIMITED) == "auc: a limit that this release does not know."


def test_a_guardrail_is_of_one_kind():
    policy = compare_policy(larger("auc"), guardrails=[forbidden(bound=0.5)])
    with pytest.raises(FieldValueError) as caught:
        policy_from_proto(policy, load_nothing, guardrail_kinds=KINDS)
    assert str(caught.value) == (
        "compare_policy.guardrails[0] must have limits of one kind (got bound and"
        " every_slice_min_examples). Use two guardrails."
    )


def test_guardrails_that_contradict_each_other():
    policy = compare_policy(larger("auc"), guardrails=[forbidden(), forbidden()])
    with pytest.raises(FieldValueError) as caught:
        policy_from_proto(policy, load_nothing, guardrail_kinds=KINDS)
    assert str(caught.value) == (
        "compare_policy.guardrails[1] must not contradict compare_policy.guardrails[0] (got a"
        " forbidden metric twice). No candidate can pass both: change one of them."
    )


def test_a_message_without_a_limit_is_refused_by_the_first_kind():
    with pytest.raises(FieldValueError, match="must have a limit"):
        guardrails.from_proto(UNLIMITED, KINDS)
