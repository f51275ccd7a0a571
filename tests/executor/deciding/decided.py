"""Small evaluations, and decisions about them: by a whole policy, or by a rule alone."""

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import pytest

from tfx_best_exporter.executor.arguments.errors import FieldValueError
from tfx_best_exporter.executor.deciding import decide as comparison
from tfx_best_exporter.executor.deciding.compare_function import CompareFunction
from tfx_best_exporter.executor.deciding.eval_result import (
    EvalResult,
    MetricKey,
    MetricValue,
    SliceKey,
)
from tfx_best_exporter.executor.deciding.models import (
    Best,
    Blessing,
    BlessingStatus,
    Candidate,
    Decision,
    Observation,
)
from tfx_best_exporter.executor.deciding.policy import Policy, check_policy, policy_from_proto
from tfx_best_exporter.executor.deciding.rules import MetricRule, Rule
from tfx_best_exporter.executor.policies import compare_policy, larger, smaller
from tfx_best_exporter.proto import best_exporter_pb2 as pb

R = pb.ExportDecision
NAN, INF = math.nan, math.inf
NL: SliceKey = (("country", "nl"),)
DE: SliceKey = (("country", "de"),)
FR: SliceKey = (("country", "fr"),)
BLESSED = Blessing(name="model_blessing", uri="/blessing/5", status=BlessingStatus.BLESSED)
LOWER = MetricRule(key=MetricKey(name="loss"), direction=pb.LOWER_IS_BETTER)
HIGHER = MetricRule(key=MetricKey(name="auc"), direction=pb.HIGHER_IS_BETTER)
RULE = larger("auc")
AUC_THEN_LOSS = compare_policy(larger("auc"), tie_breakers=[smaller("loss")])
SIGNIFICANT = compare_policy(larger("auc", alpha=0.05))
Metrics: TypeAlias = (
    Mapping[str, float | MetricValue] | Mapping[str | MetricKey, float | MetricValue]
)
Slices: TypeAlias = Mapping[SliceKey, Mapping[str, float]]

SLICES: Slices = {
    NL: {"auc": 0.8, "example_count": 50},
    DE: {"auc": 0.6, "example_count": 500},
}
BEST_SLICES: Slices = {
    NL: {"auc": 0.85, "example_count": 60},
    DE: {"auc": 0.7, "example_count": 400},
}


def metrics_of(values: Metrics) -> dict[MetricKey, MetricValue]:
    return {
        name if isinstance(name, MetricKey) else MetricKey(name=name): (
            value if isinstance(value, MetricValue) else MetricValue(value=value)
        )
        for name, value in values.items()
    }


def evaluation(
    values: Metrics,
    slices: Slices | None = None,
    differences: Metrics | None = None,
    **kwargs: Any,
) -> EvalResult:
    return EvalResult(
        metrics_of(values),
        uri=kwargs.pop("uri", "/eval/5"),
        source=pb.Evaluation.TFMA,
        slices={
            key: EvalResult(
                metrics_of(value), uri="/eval/5", example_count=value.get("example_count")
            )
            for key, value in (slices or {}).items()
        },
        differences=metrics_of(differences or {}),
        **kwargs,
    )


def interval(value: float, standard_error: float | None, degrees_of_freedom: float | None = 19):
    return MetricValue(
        value=value, standard_error=standard_error, degrees_of_freedom=degrees_of_freedom
    )


def result_of(value: EvalResult | Metrics) -> EvalResult:
    return value if isinstance(value, EvalResult) else evaluation(value)


def rule_of(policy: pb.ComparePolicy) -> Rule:
    return policy_from_proto(policy, lambda _: smaller_loss).rule


def said(
    rule: Rule,
    candidate: EvalResult | Metrics,
    best: EvalResult | Metrics | None = None,
    *,
    together: EvalResult | None = None,
) -> str:
    """Returns the explanation of the rule, which the test of its module pins."""
    known_best = None if best is None else result_of(best)
    verdict = rule.compare(candidate=result_of(candidate), best=known_best, together=together)
    return verdict.explanation


def smaller_loss(best_eval_result, current_eval_result):
    return current_eval_result["loss"] < best_eval_result["loss"]


def swapped_smaller_loss(current_eval_result, best_eval_result):
    return current_eval_result["loss"] < best_eval_result["loss"]


def function(compare: Callable[..., Any], name: str = "compare") -> CompareFunction:
    return CompareFunction(function=compare, name=name)


def changed(rule: pb.MetricRule, **fields: Any) -> pb.MetricRule:
    result = pb.MetricRule()
    result.CopyFrom(rule)
    result.MergeFrom(pb.MetricRule(**fields))
    return result


def guarded(*rails: pb.Guardrail) -> pb.ComparePolicy:
    return compare_policy(smaller("loss"), guardrails=rails)


def load_nothing(reference: str) -> Callable[..., Any]:
    raise AssertionError(reference)


def refused(policy: pb.ComparePolicy) -> str:
    """Returns the text with which a policy is refused at construction."""
    with pytest.raises(FieldValueError) as caught:
        check_policy(policy)
    return str(caught.value)


def metric_policy(**kwargs: Any) -> pb.ComparePolicy:
    rule: dict[str, Any] = {
        "metric": pb.MetricKey(name="auc"),
        "direction": pb.HIGHER_IS_BETTER,
        **kwargs,
    }
    return pb.ComparePolicy(metric=pb.MetricRule(**rule))


def decide_by(
    policy: pb.ComparePolicy,
    candidate: EvalResult | Metrics,
    best: EvalResult | Metrics | None = None,
    *,
    is_served: bool = True,
    now: float = 0.0,
    candidate_signatures: Any = None,
    latest_record: pb.ExportRecord | None = None,
    **kwargs: Any,
) -> Decision:
    candidate = result_of(candidate)
    if kwargs.get("basis") == R.SAME_EVALUATION:
        kwargs["together"] = candidate
    return comparison.decide(
        Observation(
            candidate=Candidate(
                digest="sha256:c", eval_result=candidate, signatures=candidate_signatures
            ),
            best=Best(
                version=7,
                digest="sha256:b",
                eval_result=None if best is None else result_of(best),
                **kwargs,
            )
            if is_served
            else None,
            latest_record=latest_record,
        ),
        policy_from_proto(policy, lambda _: smaller_loss),
        now,
    )


def decide(
    candidate: dict[str, float],
    best: dict[str, float] | None = None,
    *,
    rule: Rule = LOWER,
    is_served: bool = True,
    **kwargs: Any,
) -> Decision:
    return comparison.decide(
        Observation(
            candidate=Candidate(
                digest="sha256:c",
                eval_result=EvalResult.from_mapping(candidate),
                blessings=kwargs.pop("blessings", (BLESSED,)),
            ),
            best=Best(
                version=7,
                digest=kwargs.pop("best_digest", "sha256:b"),
                eval_result=None if best is None else EvalResult.from_mapping(best),
            )
            if is_served
            else None,
        ),
        Policy(rule=rule, **kwargs),
        0.0,
    )
