"""Every branch of a policy: ties, noise, guardrails, data, force, signatures."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_best_exporter.executor.deciding import decide as comparison
from tfx_best_exporter.executor.deciding import guardrails
from tfx_best_exporter.executor.deciding.decide import Best, Candidate, Decision
from tfx_best_exporter.executor.deciding.eval_result import (
    EvalResult,
    EvaluatedData,
    MetricKey,
    MetricValue,
    MissingMetricError,
    SliceKey,
)
from tfx_best_exporter.executor.deciding.guardrails import MissingSliceError
from tfx_best_exporter.executor.deciding.signatures import Signature, TensorSpec
from tfx_best_exporter.executor.deciding.significance import MissingIntervalError
from tfx_best_exporter.executor.policies import (
    at_least,
    at_most,
    compare_policy,
    larger,
    metric,
    smaller,
)
from tfx_best_exporter.proto import best_exporter_pb2 as pb

R = pb.ExportDecision
NAN, INF = math.nan, math.inf
NL: SliceKey = (("country", "nl"),)
DE: SliceKey = (("country", "de"),)
FR: SliceKey = (("country", "fr"),)

Metrics: TypeAlias = (
    Mapping[str, float | MetricValue] | Mapping[str | MetricKey, float | MetricValue]
)
Slices: TypeAlias = Mapping[SliceKey, Mapping[str, float]]


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


def decide(
    policy: pb.ComparePolicy,
    candidate: EvalResult | Metrics,
    best: EvalResult | Metrics | None = None,
    *,
    is_served: bool = True,
    now: float | None = None,
    candidate_signatures: Any = None,
    **kwargs: Any,
) -> Decision:
    def result_of(value: EvalResult | Metrics) -> EvalResult:
        return value if isinstance(value, EvalResult) else evaluation(value)

    candidate = result_of(candidate)
    if kwargs.get("basis") == R.SAME_EVALUATION:
        kwargs["together"] = candidate
    return comparison.decide(
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
        policy=comparison.policy_from_proto(policy, lambda _: smaller_loss),
        now=now,
    )


def smaller_loss(best_eval_result: EvalResult, current_eval_result: EvalResult) -> bool:
    return current_eval_result["loss"] < best_eval_result["loss"]


RULE = larger("auc")

# Tie-breakers.

AUC_THEN_LOSS = compare_policy(larger("auc"), tie_breakers=[smaller("loss")])
TOLERANT = compare_policy(larger("auc", by=0.01, tie_tolerance=0.02), tie_breakers=[smaller("ms")])


@pytest.mark.parametrize(
    ("policy", "candidate", "best", "reason", "explanation"),
    [
        pytest.param(
            AUC_THEN_LOSS,
            {"auc": 0.9, "loss": 0.5},
            {"auc": 0.8, "loss": 0.1},
            R.BETTER,
            "auc 0.9 is larger than the best's 0.8",
            id="the first decides",
        ),
        pytest.param(
            AUC_THEN_LOSS,
            {"auc": 0.8, "loss": 0.1},
            {"auc": 0.9, "loss": 0.5},
            R.NOT_BETTER,
            "auc 0.8 is not larger than the best's 0.9",
            id="the first decides against",
        ),
        pytest.param(
            AUC_THEN_LOSS,
            {"auc": 0.9, "loss": 0.1},
            {"auc": 0.9, "loss": 0.5},
            R.BETTER,
            "auc 0.9 is not larger than the best's 0.9; loss 0.1 is smaller than the best's 0.5",
            id="the second decides",
        ),
        pytest.param(
            AUC_THEN_LOSS,
            {"auc": 0.9, "loss": 0.5},
            {"auc": 0.9, "loss": 0.5},
            R.NOT_BETTER,
            "auc 0.9 is not larger than the best's 0.9; loss 0.5 is not smaller than the best's"
            " 0.5",
            id="all tie",
        ),
        pytest.param(
            TOLERANT,
            {"auc": 0.885, "ms": 3},
            {"auc": 0.9, "ms": 5},
            R.BETTER,
            "auc 0.885 is not larger than the best's 0.9 by more than 0.01; ms 3 is smaller than"
            " the best's 5",
            id="a little worse is a tie",
        ),
        pytest.param(
            TOLERANT,
            {"auc": 0.875, "ms": 3},
            {"auc": 0.9, "ms": 5},
            R.NOT_BETTER,
            "auc 0.875 is not larger than the best's 0.9 by more than 0.01",
            id="more than a little",
        ),
        pytest.param(
            TOLERANT,
            {"auc": 0.905, "ms": 3},
            {"auc": 0.9, "ms": 5},
            R.BETTER,
            "auc 0.905 is not larger than the best's 0.9 by more than 0.01; ms 3 is smaller than"
            " the best's 5",
            id="better by too little is a tie",
        ),
        pytest.param(
            AUC_THEN_LOSS,
            {"auc": 0.9, "loss": 0.5},
            {"auc": 0.9, "loss": NAN},
            R.BEST_IS_NAN,
            "auc 0.9 is not larger than the best's 0.9; the best is NaN: loss 0.5 is not smaller"
            " than the best's nan",
            id="the best ties and is NaN",
        ),
        pytest.param(
            AUC_THEN_LOSS,
            {"auc": 0.95, "loss": NAN},
            {"auc": 0.9, "loss": 0.1},
            R.CANDIDATE_IS_NAN,
            "NaN is never exported: auc 0.95 is larger than the best's 0.9",
            id="NaN in what was not asked",
        ),
    ],
)
def test_tie_breakers(
    policy: pb.ComparePolicy,
    candidate: Metrics,
    best: Metrics,
    reason: int,
    explanation: str,
):
    decision = decide(policy, candidate, best)
    assert (decision.reason, decision.explanation) == (reason, explanation)
    # All that could have been asked is shown.
    assert len(decision.comparisons) == 2


def test_a_tie_breaker_that_is_missing_is_an_error_though_it_is_not_asked():
    with pytest.raises(MissingMetricError) as caught:
        decide(AUC_THEN_LOSS, {"auc": 0.9}, {"auc": 0.8})
    assert str(caught.value) == (
        "compare_policy.tie_breakers[0].metric.name must be a metric of the evaluation (got 'loss',"
        " at /eval/5). Found: auc. Use one of these, or add it to Evaluator's EvalConfig."
    )


# Noise.


def interval(value: float, standard_error: float | None, degrees_of_freedom: float | None = 19):
    return MetricValue(
        value=value, standard_error=standard_error, degrees_of_freedom=degrees_of_freedom
    )


SIGNIFICANT = compare_policy(larger("auc", alpha=0.05))
# Student's t of 19 degrees of freedom, 95 %: 1.7291; of 38: 1.6860; of the normal: 1.6449.


@pytest.mark.parametrize(
    ("candidate", "best", "difference", "reason", "method", "lower_bound"),
    [
        # Welch: standard error sqrt(2) * 0.01, 38 degrees of freedom.
        pytest.param(
            interval(0.93, 0.01), interval(0.9, 0.01), None, R.BETTER, "WELCH", 0.006157, id="more"
        ),
        pytest.param(
            interval(0.92, 0.01),
            interval(0.9, 0.01),
            None,
            R.NOT_SIGNIFICANT,
            "WELCH",
            -0.003843,
            id="noise",
        ),
        # 0.02 - 1.7291 * 0.005, whatever the models' own errors are.
        pytest.param(
            interval(0.92, 0.01),
            interval(0.9, 0.01),
            interval(0.02, 0.005),
            R.BETTER,
            "PAIRED",
            0.011354,
            id="paired",
        ),
        pytest.param(
            interval(0.92, None),
            interval(0.9, None),
            interval(0.02, 0.005),
            R.BETTER,
            "PAIRED",
            0.011354,
            id="paired, without their own",
        ),
        pytest.param(
            interval(0.92, 0.01),
            interval(0.9, 0.01),
            interval(0.02, None),
            R.NOT_SIGNIFICANT,
            "WELCH",
            -0.003843,
            id="a difference without an error",
        ),
        pytest.param(
            interval(0.92, 0.0), interval(0.9, 0.0), None, R.BETTER, "WELCH", 0.02, id="no error"
        ),
        # Welch with one exact estimate: 19 degrees of freedom.
        pytest.param(
            interval(0.92, 0.01),
            interval(0.9, 0.0),
            None,
            R.BETTER,
            "WELCH",
            0.002709,
            id="one error",
        ),
        # 0.02 - 1.6449 * sqrt(2) * 0.01.
        pytest.param(
            interval(0.92, 0.01, None),
            interval(0.9, 0.01, None),
            None,
            R.NOT_SIGNIFICANT,
            "WELCH",
            -0.003262,
            id="normal",
        ),
    ],
)
def test_significance(
    candidate: MetricValue,
    best: MetricValue,
    difference: MetricValue | None,
    reason: int,
    method: str,
    lower_bound: float,
):
    decision = decide(
        SIGNIFICANT,
        evaluation({"auc": candidate}, differences={"auc": difference} if difference else {}),
        {"auc": best},
        basis=R.SAME_EVALUATION,
    )
    assert decision.reason == reason
    (compared,) = decision.comparisons
    assert compared.significance
    assert pb.SignificanceTest.Method.Name(compared.significance.method) == method
    assert compared.significance.lower_bound == pytest.approx(lower_bound, abs=1e-6)
    assert compared.significance.is_significant == (reason == R.BETTER)


def test_a_difference_to_another_model_is_not_looked_at():
    candidate = evaluation(
        {"auc": interval(0.92, 0.01)}, differences={"auc": interval(0.5, 0.0001)}
    )
    decision = decide(
        SIGNIFICANT, candidate, {"auc": interval(0.9, 0.01)}, basis=R.RECORDED_SAME_DATA
    )
    assert decision.reason == R.NOT_SIGNIFICANT
    assert decision.explanation == (
        "auc 0.92 is larger than the best's 0.9, but that may be chance: the improvement 0.02 is at"
        " least -0.003843 at 0.95, independent estimates"
    )


def test_a_difference_of_both_evaluated_again_together():
    together = evaluation({}, differences={"auc": interval(0.02, 0.005)})
    decision = decide(
        SIGNIFICANT,
        {"auc": interval(0.92, 0.01)},
        {"auc": interval(0.9, 0.01)},
        basis=R.EVALUATED_AGAIN,
        together=together,
    )
    assert decision.reason == R.BETTER
    (compared,) = decision.comparisons
    assert compared.significance
    assert compared.significance.method == pb.SignificanceTest.PAIRED
    assert compared.significance.lower_bound == pytest.approx(0.011354, abs=1e-6)


def test_significance_of_a_smaller_metric_and_a_threshold():
    policy = compare_policy(smaller("loss", by=0.01, alpha=0.05))
    candidate = evaluation(
        {"loss": interval(0.28, 0.01)}, differences={"loss": interval(-0.02, 0.001)}
    )
    decision = decide(policy, candidate, {"loss": 0.3}, basis=R.SAME_EVALUATION)
    assert decision.reason == R.BETTER
    assert decision.explanation == (
        "loss 0.28 is smaller than the best's 0.3 by more than 0.01, and not by chance: the"
        " improvement 0.02 is at least 0.0182709 at 0.95, paired estimates"
    )
    # More than noise, but not surely more than what is required.
    policy = compare_policy(smaller("loss", by=0.019, alpha=0.05))
    decision = decide(policy, candidate, {"loss": 0.3}, basis=R.SAME_EVALUATION)
    assert decision.reason == R.NOT_SIGNIFICANT


def test_what_may_be_noise_is_a_tie():
    policy = compare_policy(larger("auc", alpha=0.05), tie_breakers=[smaller("ms")])
    candidate = {"auc": interval(0.91, 0.01), "ms": 3}
    best = {"auc": interval(0.9, 0.01), "ms": 5}
    assert decide(policy, candidate, best).reason == R.BETTER
    assert decide(policy, {**candidate, "ms": 5}, best).reason == R.NOT_SIGNIFICANT
    assert decide(policy, {**candidate, "ms": 6}, best).reason == R.NOT_BETTER


@pytest.mark.parametrize(
    ("candidate", "best", "whose", "got"),
    [
        (0.92, interval(0.9, 0.01), "the candidate's", "'auc', at /eval/5"),
        (interval(0.92, 0.01), 0.9, "the best's", "'auc', at /eval/5"),
        (interval(0.92, NAN), interval(0.9, 0.01), "the candidate's", "'auc', at /eval/5"),
    ],
)
def test_intervals_that_are_absent(candidate: Any, best: Any, whose: str, got: str):
    with pytest.raises(MissingIntervalError) as caught:
        decide(SIGNIFICANT, {"auc": candidate}, {"auc": best})
    assert str(caught.value) == (
        f"compare_policy.metric.significance must find confidence intervals in {whose} evaluation"
        f" (got none of {got}). Set options {{ compute_confidence_intervals {{ value: true }} }} in"
        " Evaluator's EvalConfig, or leave significance out until both evaluations have them."
    )


def test_without_a_best_no_interval_is_needed():
    assert decide(SIGNIFICANT, {"auc": 0.9}, is_served=False).reason == R.FIRST_EXPORT


def test_against_a_foreign_best_without_intervals():
    decision = decide(SIGNIFICANT, {"auc": interval(0.9, 0.01)}, {"auc": 0.8}, is_foreign=True)
    assert decision.reason == R.BEST_UNKNOWN_EXPORTED
    assert decision.warnings[0].startswith("compare_policy.metric.significance must find")
    # The candidate itself must have what the rule asks for.
    with pytest.raises(MissingIntervalError) as caught:
        decide(SIGNIFICANT, {"auc": 0.9}, {"auc": interval(0.8, 0.01)}, is_foreign=True)
    assert "in the candidate's evaluation (got none of 'auc', at /eval/5)" in str(caught.value)


def test_an_interval_of_no_degrees_of_freedom_is_none():
    with pytest.raises(MissingIntervalError):
        decide(SIGNIFICANT, {"auc": interval(0.9, 0.01, 0)}, {"auc": interval(0.8, 0.01)})


def test_an_interval_that_a_tie_breaker_lacks():
    policy = compare_policy(larger("auc"), tie_breakers=[larger("ndcg", alpha=0.05)])
    with pytest.raises(MissingIntervalError) as caught:
        decide(policy, {"auc": 0.9, "ndcg": 0.6}, {"auc": 0.9, "ndcg": 0.5})
    assert str(caught.value).startswith("compare_policy.tie_breakers[0].significance must find")


def test_a_confidence_that_is_nearly_one():
    policy = compare_policy(larger("auc", alpha=1e-9))
    decision = decide(policy, {"auc": interval(0.9, 0.001)}, {"auc": interval(0.8, 0.001)})
    assert " at 1 - 1e-09, independent estimates" in decision.explanation


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (compare_policy(larger("auc")), False),
        (compare_policy(larger("auc", alpha=0.05)), True),
        (compare_policy(larger("auc"), tie_breakers=[smaller("ms", alpha=0.05)]), True),
        (pb.ComparePolicy(compare_fn="a.b"), False),
    ],
)
def test_what_looks_at_noise(policy: pb.ComparePolicy, expected: bool):
    read = comparison.policy_from_proto(policy, lambda _: smaller_loss)
    assert comparison.looks_at_noise(read) == expected


def test_the_value_beside_the_best_is_compared():
    """The difference and its error are of these, and not of the candidate's own evaluation."""
    together = evaluation({"loss": 0.0012}, differences={"loss": interval(0.0004, 0.00001)})
    decision = decide(
        compare_policy(smaller("loss", alpha=0.05)),
        {"loss": 0.0005},
        {"loss": 0.0008},
        basis=R.EVALUATED_AGAIN,
        together=together,
    )
    assert (decision.reason, decision.explanation) == (
        R.NOT_BETTER,
        "loss 0.0012 is not smaller than the best's 0.0008",
    )


def test_the_candidates_own_nan_is_not_made_good_beside_the_best():
    together = evaluation({"auc": 0.9}, differences={"auc": interval(0.1, 0.001)})
    decision = decide(
        SIGNIFICANT, {"auc": NAN}, {"auc": 0.8}, basis=R.EVALUATED_AGAIN, together=together
    )
    assert decision.reason == R.CANDIDATE_IS_NAN


def test_force_against_a_best_where_the_candidate_has_no_interval():
    policy = compare_policy(larger("auc", alpha=0.05), force="labels were wrong")
    decision = decide(policy, {"auc": 0.9}, {"auc": 0.8})
    assert decision.reason == R.FORCED
    assert decision.warnings[0].startswith("compare_policy.metric.significance must find")


def test_a_metric_by_its_models_name_in_an_evaluation_made_by_hand():
    key = MetricKey(name="auc", model_name="m")
    sides = [EvalResult({key: MetricValue(value=auc)}, model_name="m") for auc in (0.9, 0.8)]
    decision = decide(compare_policy(larger(key.to_proto())), *sides)
    assert decision.reason == R.BETTER


def named(model_name: str, auc: float, **others: Any) -> EvalResult:
    return EvalResult(
        {MetricKey(name="auc"): MetricValue(value=auc)}, model_name=model_name, **others
    )


@pytest.mark.parametrize("name", ["", "mine", "candidate"])
def test_the_candidates_name_is_its_own(name: str):
    """The best's evaluation, a baseline's or a recorded one, has the model by another name."""
    policy = compare_policy(
        larger(pb.MetricKey(name="auc", model_name=name)),
        guardrails=[at_least(pb.MetricKey(name="auc", model_name=name), max_regression=0.1)],
    )
    for best in (named("", 0.8), named("theirs", 0.8), named("baseline", 0.8)):
        decision = decide(policy, named("mine", 0.9), best)
        assert decision.explanation.endswith("auc 0.9 is larger than the best's 0.8")
    read = comparison.policy_from_proto(policy, lambda _: smaller_loss)
    keys = comparison.metrics_of(read, named("mine", 0.9))
    assert keys
    assert all(named("theirs", 0.8).find(key) for key in keys)


# Numbers whose decimals are not what the computer computes with.


@pytest.mark.parametrize(
    ("policy", "candidate", "best", "reason"),
    [
        pytest.param(
            compare_policy(larger("auc"), guardrails=[at_least("recall", max_regression=0.1)]),
            {"auc": 0.9, "recall": 0.7},
            {"auc": 0.8, "recall": 0.8},
            R.BETTER,
            id="0.8 less 0.1",
        ),
        pytest.param(
            compare_policy(larger("auc"), guardrails=[at_most("ms", max_relative_regression=0.1)]),
            {"auc": 0.9, "ms": 0.33},
            {"auc": 0.8, "ms": 0.3},
            R.BETTER,
            id="0.3 and a tenth",
        ),
        pytest.param(
            compare_policy(larger("auc"), guardrails=[at_least("recall", max_regression=0.1)]),
            {"auc": 0.9, "recall": 0.7 - 1e-12},
            {"auc": 0.8, "recall": 0.8},
            R.GUARDRAIL_FAILED,
            id="surely less",
        ),
        pytest.param(
            compare_policy(larger("auc"), guardrails=[at_least("recall", 0.7)]),
            {"auc": 0.9, "recall": math.nextafter(0.7, 0)},
            {"auc": 0.8, "recall": 0.8},
            R.GUARDRAIL_FAILED,
            id="a bound is exact",
        ),
        pytest.param(
            compare_policy(larger("auc", by=0.001)),
            {"auc": 0.901},
            {"auc": 0.9},
            R.NOT_BETTER,
            id="not more than required",
        ),
        pytest.param(
            compare_policy(larger("auc", by=0.001)),
            {"auc": 0.901000001},
            {"auc": 0.9},
            R.BETTER,
            id="more than required",
        ),
        pytest.param(
            compare_policy(larger("auc")),
            {"auc": math.nextafter(0.9, 1)},
            {"auc": 0.9},
            R.BETTER,
            id="nothing is required",
        ),
        pytest.param(
            compare_policy(larger("auc", tie_tolerance=0.01), tie_breakers=[smaller("ms")]),
            {"auc": 0.89, "ms": 1},
            {"auc": 0.9, "ms": 2},
            R.BETTER,
            id="worse by the tolerance",
        ),
    ],
)
def test_decimals(policy: pb.ComparePolicy, candidate: Any, best: Any, reason: int):
    assert decide(policy, candidate, best).reason == reason


def test_what_holds_by_its_decimals_is_told_by_them():
    rail = at_least("recall", max_regression=0.1)
    decision = decide(
        compare_policy(larger("auc"), guardrails=[rail]),
        {"auc": 0.9, "recall": 0.7},
        {"auc": 0.8, "recall": 0.8},
    )
    [result] = decision.guardrails
    assert result.explanation == "recall 0.7 is at least 0.7, the best's 0.8 less 0.1"
    assert result.worst_allowed == 0.7


# Guardrails.

SLICES: Slices = {
    NL: {"auc": 0.8, "example_count": 50},
    DE: {"auc": 0.6, "example_count": 500},
}
BEST_SLICES: Slices = {
    NL: {"auc": 0.85, "example_count": 60},
    DE: {"auc": 0.7, "example_count": 400},
}


def guarded(*rails: pb.Guardrail) -> pb.ComparePolicy:
    return compare_policy(smaller("loss"), guardrails=rails)


@pytest.mark.parametrize(
    ("rails", "expected"),
    [
        pytest.param([at_least("auc", 0.7)], [(True, "auc 0.75 is at least 0.7")], id="bound"),
        pytest.param([at_least("auc", 0.75)], [(True, "auc 0.75 is at least 0.75")], id="equal"),
        pytest.param(
            [at_least("auc", 0.76)], [(False, "auc 0.75 is not at least 0.76")], id="too low"
        ),
        pytest.param([at_most("auc", 0.7)], [(False, "auc 0.75 is not at most 0.7")], id="high"),
        pytest.param(
            [at_least("auc", max_regression=0.03)],
            [(False, "auc 0.75 is not at least 0.77, the best's 0.8 less 0.03")],
            id="regression",
        ),
        pytest.param(
            [at_least("auc", max_relative_regression=0.1)],
            [(True, "auc 0.75 is at least 0.72, the best's 0.8 less 0.08")],
            id="relative regression",
        ),
        pytest.param(
            [at_least("auc", 0.6, max_regression=0.1, max_relative_regression=0.01)],
            [(False, "auc 0.75 is not at least 0.792, the best's 0.8 less 0.008")],
            id="the strictest",
        ),
        pytest.param(
            [at_most("ms", max_relative_regression=0.1)],
            [(True, "ms 5.4 is at most 5.5, the best's 5 and 0.5")],
            id="lower is better",
        ),
        pytest.param(
            [at_least("auc", 0.7, slices=[{"country": "nl"}, {"country": "de"}])],
            [
                (True, "auc of country=nl 0.8 is at least 0.7"),
                (False, "auc of country=de 0.6 is not at least 0.7"),
            ],
            id="named slices",
        ),
        pytest.param(
            [at_least("auc", max_regression=0.06, every_slice_min_examples=100)],
            [
                (True, "auc 0.75 is at least 0.74, the best's 0.8 less 0.06"),
                (False, "auc of country=de 0.6 is not at least 0.64, the best's 0.7 less 0.06"),
            ],
            id="every slice that is large enough",
        ),
        pytest.param(
            [at_least("auc", max_regression=0.2, every_slice_min_examples=0)],
            [
                (True, "auc 0.75 is at least 0.6, the best's 0.8 less 0.2"),
                (True, "auc of country=de 0.6 is at least 0.5, the best's 0.7 less 0.2"),
                (True, "auc of country=nl 0.8 is at least 0.65, the best's 0.85 less 0.2"),
            ],
            id="every slice",
        ),
    ],
)
def test_guardrails(rails: list[pb.Guardrail], expected: list[tuple[bool, str]]):
    decision = decide(
        guarded(*rails),
        evaluation({"loss": 0.1, "auc": 0.75, "ms": 5.4}, SLICES),
        evaluation({"loss": 0.2, "auc": 0.8, "ms": 5.0}, BEST_SLICES),
    )
    assert [(each.holds, each.explanation) for each in decision.guardrails] == expected
    failed = [explanation for holds, explanation in expected if not holds]
    assert decision.reason == (R.GUARDRAIL_FAILED if failed else R.BETTER)
    else_ = "loss 0.1 is smaller than the best's 0.2"
    assert decision.explanation == (f"{failed[0]}; else: {else_}" if failed else else_)


def test_several_guardrails_that_fail():
    decision = decide(
        guarded(at_least("auc", 0.9), at_most("auc", 0.99), at_least("auc", 0.95)),
        {"loss": 0.1, "auc": 0.8},
        {"loss": 0.2, "auc": 0.8},
    )
    assert decision.explanation == (
        "auc 0.8 is not at least 0.9, and 1 more guardrails fail; else: loss 0.1 is smaller than"
        " the best's 0.2"
    )


@pytest.mark.parametrize(
    ("value", "best", "holds"),
    [
        pytest.param(NAN, 0.8, False, id="NaN"),
        pytest.param(0.1, NAN, True, id="a best that is NaN"),
        pytest.param(0.1, INF, True, id="an infinite best"),
        pytest.param(-INF, 0.8, False, id="minus infinity"),
        pytest.param(INF, 0.8, True, id="infinity"),
    ],
)
def test_guardrails_on_what_is_not_finite(value: float, best: float, holds: bool):
    decision = decide(
        guarded(at_least("auc", max_regression=0.1)),
        {"loss": 0.1, "auc": value},
        {"loss": 0.2, "auc": best},
    )
    assert [each.holds for each in decision.guardrails] == [holds]


def test_a_slice_that_the_best_does_not_have():
    decision = decide(
        guarded(at_least("auc", 0.5, max_regression=0.1, slices=[{"country": "nl"}])),
        evaluation({"loss": 0.1}, SLICES),
        evaluation({"loss": 0.2}),
    )
    (result,) = decision.guardrails
    assert result.explanation == (
        "auc of country=nl 0.8 is at least 0.5; nothing is known of the best there"
    )
    decision = decide(
        guarded(at_least("auc", max_regression=0.1, slices=[{"country": "nl"}])),
        evaluation({"loss": 0.1}, SLICES),
        evaluation({"loss": 0.2}),
    )
    (result,) = decision.guardrails
    assert result.explanation == "auc of country=nl is 0.8, and nothing is known of the best there"


def test_a_first_export_must_keep_the_bounds():
    policy = guarded(at_least("auc", 0.7, max_regression=0.01))
    decision = decide(policy, {"loss": 0.1, "auc": 0.6}, is_served=False)
    assert decision.reason == R.GUARDRAIL_FAILED
    assert decision.explanation == (
        "auc 0.6 is not at least 0.7; nothing is known of the best there; else: nothing is served"
        " yet: loss is 0.1"
    )
    assert decide(policy, {"loss": 0.1, "auc": 0.8}, is_served=False).is_export


def test_numbers_in_slices_are_text():
    key: SliceKey = (("age", 30), ("ratio", 0.5))
    policy = guarded(at_least("auc", 0.9, slices=[{"ratio": 0.5, "age": 30}]))
    decision = decide(policy, evaluation({"loss": 0.1}, {key: {"auc": 0.8}}), {"loss": 0.2})
    assert decision.explanation.startswith("auc of age=30, ratio=0.5 0.8 is not at least 0.9")


@pytest.mark.parametrize(
    ("rail", "candidate", "best", "kind", "error"),
    [
        pytest.param(
            at_least("f1", 0.5),
            evaluation({"loss": 0.1}),
            {"loss": 0.2},
            MissingMetricError,
            "compare_policy.guardrails[0].metric.name must be a metric of the evaluation (got 'f1',"
            " at /eval/5). Found: loss. Use one of these, or add it to Evaluator's EvalConfig.",
            id="metric",
        ),
        pytest.param(
            at_least("f1", 0.5, slices=[{"country": "nl"}]),
            evaluation({"loss": 0.1}, SLICES),
            {"loss": 0.2},
            MissingMetricError,
            "compare_policy.guardrails[0].metric.name must be a metric of the evaluation (got 'f1'"
            " of country=nl, at /eval/5). Found: auc, example_count. Use one of these, or add it to"
            " Evaluator's EvalConfig.",
            id="metric of a slice",
        ),
        pytest.param(
            at_least("auc", 0.5),
            evaluation(
                {
                    "loss": 0.1,
                    MetricKey(name="auc", example_weighted=True): 0.6,
                    MetricKey(name="auc", example_weighted=False): 0.7,
                }
            ),
            {"loss": 0.2},
            MissingMetricError,
            "compare_policy.guardrails[0].metric.name must be a metric of the evaluation (got"
            " 'auc', at /eval/5). Found: auc[unweighted], auc[weighted], loss. Set example_weighted"
            " beside name, to say which of these is meant.",
            id="weighted and unweighted",
        ),
        pytest.param(
            at_least("f1", max_regression=0.5),
            evaluation({"loss": 0.1, "f1": 0.5}),
            {"loss": 0.2},
            MissingMetricError,
            "compare_policy.guardrails[0].metric.name must be a metric of the best's evaluation too"
            " (got 'f1', at /eval/5). Found: loss. Give a bound only until a model with the metric"
            " is exported.",
            id="metric of the best",
        ),
        pytest.param(
            at_least("auc", 0.5, slices=[{"country": "be"}]),
            evaluation({"loss": 0.1}, SLICES),
            {"loss": 0.2},
            MissingSliceError,
            "compare_policy.guardrails[0].slices must be slices of the evaluation (got country=be,"
            " at /eval/5). Found: country=de, country=nl. Use one of these, or add it to the"
            " slicing_specs of Evaluator's EvalConfig.",
            id="slice",
        ),
        pytest.param(
            at_least("auc", 0.5, slices=[{"country": "be"}]),
            evaluation({"loss": 0.1}, {(("n", i),): {"auc": 0.1} for i in range(25)}),
            {"loss": 0.2},
            MissingSliceError,
            "compare_policy.guardrails[0].slices must be slices of the evaluation (got country=be,"
            " at /eval/5). Found: "
            + ", ".join(f"n={i}" for i in sorted(map(str, range(25)))[:20])
            + " and 5 more. Use one of these, or add it to the slicing_specs of Evaluator's"
            " EvalConfig.",
            id="slice of many",
        ),
        pytest.param(
            at_least("auc", 0.5, every_slice_min_examples=10),
            evaluation({"loss": 0.1, "auc": 0.7}, {NL: {"auc": 0.8}}),
            {"loss": 0.2},
            MissingMetricError,
            "compare_policy.guardrails[0].every_slice_min_examples must find the number of examples"
            " of each slice (got none of country=nl, at /eval/5). Add the metric ExampleCount to"
            " Evaluator's EvalConfig.",
            id="number of examples",
        ),
    ],
)
def test_what_a_guardrail_does_not_find(
    rail: pb.Guardrail, candidate: EvalResult, best: Metrics, kind: type[Exception], error: str
):
    with pytest.raises(kind) as caught:
        decide(guarded(rail), candidate, best)
    assert str(caught.value) == error


def test_a_slice_that_is_undefined_for_both_models():
    values = {NL: {"auc": NAN}}
    policy = guarded(at_least("auc", max_regression=0.01, slices=[{"country": "nl"}]))
    candidate, best = evaluation({"loss": 0.1}, values), evaluation({"loss": 0.2}, values)
    (result,) = decide(policy, candidate, best).guardrails
    assert (result.holds, result.explanation) == (
        True,
        "auc of country=nl is defined for neither model",
    )
    # It was defined once, or has a bound to keep.
    assert not decide(policy, candidate, evaluation({"loss": 0.2}, SLICES)).guardrails[0].holds
    policy = guarded(at_least("auc", 0.5, max_regression=0.01, slices=[{"country": "nl"}]))
    assert not decide(policy, candidate, best).guardrails[0].holds


# A best that somebody else pushed, and that lacks something.


@pytest.mark.parametrize(
    ("policy", "candidate", "best"),
    [
        pytest.param(
            guarded(at_least("recall", max_regression=0.1)),
            {"loss": 0.9, "recall": 0.9},
            {"loss": 0.1},
            id="metric of a guardrail",
        ),
        pytest.param(SIGNIFICANT, {"auc": 0.6}, {"auc": 0.9}, id="intervals of what is worse"),
        pytest.param(
            AUC_THEN_LOSS, {"auc": 0.6, "loss": 0.1}, {"auc": 0.9}, id="metric of a tie-breaker"
        ),
    ],
)
def test_what_is_worse_is_not_exported_whatever_the_best_lacks(
    policy: pb.ComparePolicy, candidate: Metrics, best: Metrics
):
    assert decide(policy, candidate, best, is_foreign=True).reason == R.NOT_BETTER


def test_a_metric_that_decides_must_be_the_bests_too():
    decision = decide(AUC_THEN_LOSS, {"auc": 0.9, "loss": 1}, {"auc": 0.9}, is_foreign=True)
    assert decision.reason == R.BEST_UNKNOWN_EXPORTED
    with pytest.raises(MissingMetricError):
        decide(AUC_THEN_LOSS, {"auc": 0.9, "loss": 1}, {"auc": 0.9})


@pytest.mark.parametrize(
    ("on_unknown_best", "reason"), [("EXPORT", R.BEST_UNKNOWN_KEPT), ("KEEP", R.BEST_UNKNOWN_KEPT)]
)
def test_a_best_of_which_nothing_is_known_is_kept_where_the_same_data_are_required(
    on_unknown_best: str, reason: int
):
    policy = compare_policy(
        RULE, comparability="REQUIRE_SAME_DATA", on_unknown_best=on_unknown_best
    )
    assert decide(policy, {"auc": 0.9}).reason == reason


# Examples, data, age, force, signatures.


def test_a_guardrail_on_slices_of_which_the_best_has_not_the_metric():
    """That a slice is new says nothing; that nobody ever looked is somebody's oversight."""
    rail = at_least("recall", max_regression=0.01, slices=[{"country": "nl"}])
    policy = compare_policy(larger("auc"), guardrails=[rail])
    candidate = evaluation({"auc": 0.9}, {NL: {"recall": 0.0}})
    best = evaluation({"auc": 0.8, "recall": 0.8}, {NL: {"auc": 0.8}})
    with pytest.raises(MissingMetricError) as caught:
        decide(policy, candidate, best)
    assert str(caught.value).startswith(
        "compare_policy.guardrails[0].metric.name must be a metric of the best's evaluation too"
        " (got 'recall'"
    )
    # Somebody else's best need not have it: that is a warning.
    decision = decide(policy, candidate, best, is_foreign=True)
    assert decision.reason == R.BETTER
    assert decision.warnings[0].startswith("compare_policy.guardrails[0].metric.name must be")


def test_slices_of_a_foreign_best_that_cannot_be_read():
    class Unreadable(Mapping[SliceKey, EvalResult]):
        def __getitem__(self, key: Any) -> Any:
            raise ValueError("evaluation must be a TFMA evaluation")

        def __iter__(self) -> Any:
            return iter([NL])

        def __len__(self) -> int:
            return 1

    rail = at_least("recall", 0.5, max_regression=0.01, slices=[{"country": "nl"}])
    policy = compare_policy(larger("auc"), guardrails=[rail])
    candidate = evaluation({"auc": 0.9}, {NL: {"recall": 0.6}})
    best = EvalResult(metrics_of({"auc": 0.8, "recall": 0.8}), slices=Unreadable())
    decision = decide(policy, candidate, best, is_foreign=True)
    assert decision.reason == R.BETTER
    assert decision.warnings == ("evaluation must be a TFMA evaluation",)
    with pytest.raises(ValueError, match="must be a TFMA evaluation"):
        decide(policy, candidate, best)


def test_slices_that_are_not_guarded_are_warned_of():
    rail = at_least("recall", max_regression=0.1, every_slice_min_examples=100)
    policy = compare_policy(larger("auc"), guardrails=[rail])
    overall = {"auc": 0.9, "recall": 0.8}
    names = "abcde"
    candidate = evaluation(
        overall,
        {NL: {"recall": 0.8, "example_count": 100}, DE: {"recall": 0.1, "example_count": 9}},
    )
    best = evaluation(
        {**overall, "auc": 0.8},
        {(("country", name),): {"recall": 0.8, "example_count": 500} for name in names},
    )
    decision = decide(policy, candidate, best)
    assert decision.reason == R.BETTER
    gone, unlimited = decision.warnings
    assert gone == (
        "recall was not guarded on country=a; country=b; country=c and 2 more, which the best's"
        " evaluation has and the candidate's has not"
    )
    assert unlimited == "recall was not guarded on country=nl, where the best's gives no limit"
    # Of how many examples a slice was that is gone, nobody may have counted.
    uncounted = evaluation(
        {**overall, "auc": 0.8}, {NL: {"recall": 0.8}, DE: {"recall": 0.8}, FR: {"recall": 0.8}}
    )
    [gone] = decide(policy, candidate, uncounted).warnings
    assert gone.startswith("recall was not guarded on country=fr, which the best's evaluation")
    # Nobody asked for those that are not named.
    named_rail = at_least("recall", max_regression=0.1, slices=[{"country": "nl"}])
    policy_of_one = compare_policy(larger("auc"), guardrails=[named_rail])
    assert decide(policy_of_one, candidate, uncounted).warnings == ()
    # What was small before is not missed, and a new slice can be bounded.
    small = evaluation(
        {**overall, "auc": 0.8},
        {NL: {"recall": 0.8, "example_count": 5}, FR: {"recall": 0.8, "example_count": 5}},
    )
    assert decide(policy, candidate, small).warnings == ()


def test_every_slice_of_an_evaluation_without_slices():
    rail = at_least("recall", 0.5, every_slice_min_examples=100)
    with pytest.raises(guardrails.MissingSliceError) as caught:
        decide(compare_policy(larger("auc"), guardrails=[rail]), {"auc": 0.9, "recall": 0.8})
    assert str(caught.value) == (
        "compare_policy.guardrails[0].every_slice_min_examples must find slices in the evaluation"
        " (got none, at /eval/5). Add slicing_specs to Evaluator's EvalConfig, or guard the overall"
        " slice alone."
    )


@pytest.mark.parametrize("value", [NAN, math.inf])
def test_a_best_that_gives_no_limit(value: float):
    rail = at_least("recall", max_regression=0.1)
    decision = decide(
        compare_policy(larger("auc"), guardrails=[rail]),
        {"auc": 0.9, "recall": 0.0},
        {"auc": 0.8, "recall": value},
    )
    [result] = decision.guardrails
    assert result.explanation == f"recall is 0, and the best's {value} gives no limit"
    assert decision.warnings == (
        "recall was not guarded on the overall slice, where the best's gives no limit",
    )


def test_too_few_examples():
    policy = compare_policy(larger("auc"), min_example_count=1000)
    of_nan = evaluation({"auc": 0.9}, example_count=NAN)
    assert decide(policy, of_nan, {"auc": 0.8}).explanation == (
        "the candidate was evaluated on nan examples, fewer than 1,000"
    )
    few = evaluation({"auc": 0.9}, example_count=999)
    assert decide(policy, few, {"auc": 0.8}).reason == R.TOO_FEW_EXAMPLES
    decision = decide(policy, few, is_served=False)
    assert (decision.reason, decision.explanation) == (
        R.TOO_FEW_EXAMPLES,
        "the candidate was evaluated on 999 examples, fewer than 1,000",
    )
    # Of weights, all but enough.
    nearly = evaluation({"auc": 0.9}, example_count=999.9999999)
    assert decide(policy, nearly, {"auc": 0.8}).explanation == (
        "the candidate was evaluated on 999.9999999 examples, fewer than 1,000"
    )
    many = compare_policy(larger("auc"), min_example_count=2_000_000)
    assert decide(many, evaluation({"auc": 0.9}, example_count=1_234_567.5)).explanation == (
        "the candidate was evaluated on 1,234,568 examples, fewer than 2,000,000"
    )
    enough = evaluation({"auc": 0.9}, example_count=1000)
    assert decide(policy, enough, {"auc": 0.8}).reason == R.BETTER
    with pytest.raises(MissingMetricError) as caught:
        decide(policy, {"auc": 0.9}, {"auc": 0.8})
    assert str(caught.value) == (
        "compare_policy.min_example_count must find the number of examples (got none, at /eval/5)."
        " Add the metric ExampleCount to Evaluator's EvalConfig."
    )
    with pytest.raises(MissingMetricError) as caught:
        decide(policy, EvalResult.from_mapping({"auc": 0.9}), {"auc": 0.8})
    assert str(caught.value) == (
        "compare_policy.min_example_count must find the number of examples (got none, at the"
        " evaluation). Give it in the mapping, as 'example_count'."
    )


@pytest.mark.parametrize(
    ("comparability", "basis", "reason", "suffix"),
    [
        ("REQUIRE_SAME_DATA", R.SAME_EVALUATION, R.BETTER, ""),
        ("REQUIRE_SAME_DATA", R.EVALUATED_AGAIN, R.BETTER, ""),
        ("REQUIRE_SAME_DATA", R.RECORDED_SAME_DATA, R.BETTER, ""),
        ("REQUIRE_SAME_DATA", R.RECORDED_OTHER_DATA, R.NOT_COMPARABLE, None),
        ("REQUIRE_SAME_DATA", R.BASIS_UNSPECIFIED, R.NOT_COMPARABLE, None),
        (
            "PREFER_SAME_DATA",
            R.RECORDED_OTHER_DATA,
            R.BETTER,
            "; the best was evaluated on other data",
        ),
        ("PREFER_SAME_DATA", R.RECORDED_SAME_DATA, R.BETTER, ""),
        ("ANY", R.RECORDED_OTHER_DATA, R.BETTER, ""),
    ],
)
def test_comparability(comparability: str, basis: R.Basis, reason: int, suffix: str | None):
    policy = compare_policy(larger("auc"), comparability=comparability)
    data = [EvaluatedData(examples_uri=f"/examples/{n}", eval_config_digest="1") for n in (1, 2)]
    decision = decide(
        policy,
        evaluation({"auc": 0.9}, data=data[0]),
        evaluation({"auc": 0.8}, data=data[1]),
        basis=basis,
    )
    assert decision.reason == reason
    text = "auc 0.9 is larger than the best's 0.8"
    if suffix is None:
        assert decision.explanation == (
            "the best, version 7, was not evaluated on the candidate's data, and"
            f" compare_policy.comparability asks for that: {text}"
        )
    else:
        assert decision.explanation == f"{text}{suffix}"


def test_data_that_nobody_knows_are_not_called_other_data():
    known = EvaluatedData(examples_uri="/examples/1", eval_config_digest="1")
    decision = decide(
        compare_policy(RULE),
        evaluation({"auc": 0.9}, data=known),
        {"auc": 0.8},
        basis=R.RECORDED_OTHER_DATA,
    )
    assert decision.explanation == "auc 0.9 is larger than the best's 0.8"


@pytest.mark.parametrize(
    ("evaluated_at", "basis", "reason", "explanation"),
    [
        pytest.param(900.0, R.RECORDED_OTHER_DATA, R.BETTER, None, id="young"),
        pytest.param(
            899.0,
            R.RECORDED_SAME_DATA,
            R.BEST_EVALUATION_TOO_OLD,
            "the best, version 7, was evaluated 101 seconds ago, more than 100: auc 0.9 is larger"
            " than the best's 0.8",
            id="old",
        ),
        pytest.param(899.0, R.SAME_EVALUATION, R.BETTER, None, id="the same evaluation"),
        pytest.param(899.0, R.EVALUATED_AGAIN, R.BETTER, None, id="evaluated again"),
        pytest.param(
            None,
            R.RECORDED_SAME_DATA,
            R.BEST_EVALUATION_TOO_OLD,
            "nobody knows when the best, version 7, was evaluated, and that must not be more than"
            " 100 seconds ago: auc 0.9 is larger than the best's 0.8",
            id="unknown",
        ),
        pytest.param(1100.0, R.RECORDED_SAME_DATA, R.BETTER, None, id="clocks differ a little"),
        pytest.param(
            1100.5,
            R.RECORDED_SAME_DATA,
            R.BEST_EVALUATION_TOO_OLD,
            "the best, version 7, was evaluated 101 seconds from now, which only a wrong clock can"
            " say; evaluate it again, or set compare_policy.max_best_evaluation_age_seconds to 0:"
            " auc 0.9 is larger than the best's 0.8",
            id="a clock is wrong",
        ),
    ],
)
def test_age(evaluated_at: float | None, basis: R.Basis, reason: int, explanation: str | None):
    policy = compare_policy(larger("auc"), max_best_evaluation_age_seconds=100, comparability="ANY")
    best = evaluation({"auc": 0.8}, evaluated_at=evaluated_at)
    decision = decide(policy, {"auc": 0.9}, best, basis=basis, now=1000.0)
    assert decision.reason == reason
    assert explanation in (None, decision.explanation)


FORCED = compare_policy(
    larger("auc", alpha=0.05), force="labels were wrong", comparability="REQUIRE_SAME_DATA"
)


def test_force():
    decision = decide(FORCED, {"auc": interval(0.7, 0.1)}, {"auc": interval(0.9, 0.1)})
    assert decision.reason == R.FORCED
    assert decision.explanation == (
        "forced, labels were wrong: auc 0.7 is not larger than the best's 0.9"
    )
    assert decision.warnings == (
        "compare_policy.force is set, labels were wrong: take it out again",
    )
    # What cannot be compared is exported all the same.
    assert decide(FORCED, {"auc": 0.7}, {"loss": 0.9}).reason == R.FORCED
    assert decide(FORCED, {"auc": 0.7}).reason == R.FORCED


def test_force_is_no_way_around_the_rest():
    policy = pb.ComparePolicy()
    policy.CopyFrom(FORCED)
    policy.min_example_count = 10
    policy.guardrails.append(at_least("auc", 0.5))
    good = evaluation({"auc": 0.7}, example_count=10)
    assert decide(policy, good, {"auc": 0.9}).reason == R.FORCED
    assert decide(policy, good, is_served=False).reason == R.FIRST_EXPORT
    # Though the rule finds nothing to compare with.
    policy.guardrails[0].max_absolute_regression = 0.1
    policy.guardrails[0].metric.name = "recall"
    poor = evaluation({"auc": 0.7, "recall": 0.6}, example_count=10)
    assert decide(policy, poor, {"recall": 0.9}).reason == R.GUARDRAIL_FAILED
    policy.guardrails[0].metric.name = "auc"
    policy.guardrails[0].ClearField("max_absolute_regression")
    for value, count, reason in (
        (NAN, 10.0, R.CANDIDATE_IS_NAN),
        (0.7, 9.0, R.TOO_FEW_EXAMPLES),
        (0.4, 10.0, R.GUARDRAIL_FAILED),
    ):
        candidate = evaluation({"auc": value}, example_count=count)
        assert decide(policy, candidate, {"auc": 0.9}).reason == reason


def signatures_of(*names: str) -> Any:
    spec = TensorSpec(dtype="DT_FLOAT", shape=(None,))
    return lambda: {
        name: Signature(method="predict", inputs={"x": spec}, outputs={"y": spec}) for name in names
    }


A_IS_GONE = ("signature 'a' is gone", "signature 'c' is new")


@pytest.mark.parametrize(
    ("names", "is_allowed", "reason", "changes"),
    [
        (("a", "b"), False, R.BETTER, ()),
        (("a", "b", "c"), False, R.BETTER, ("signature 'c' is new",)),
        (
            ("b", "c"),
            False,
            R.SIGNATURES_CHANGED,
            ("signature 'a' is gone", "signature 'c' is new"),
        ),
        (("b", "c"), True, R.BETTER, ("signature 'a' is gone", "signature 'c' is new")),
    ],
)
def test_signatures(
    names: tuple[str, ...], is_allowed: bool, reason: int, changes: tuple[str, ...]
):
    decision = decide(
        compare_policy(larger("auc"), allow_signature_change=is_allowed),
        {"auc": 0.9},
        {"auc": 0.8},
        candidate_signatures=signatures_of(*names),
        signatures=signatures_of("a", "b"),
    )
    assert (decision.reason, decision.signature_changes) == (reason, changes)
    if reason == R.SIGNATURES_CHANGED:
        assert decision.explanation == (
            "clients of the best would break: signature 'a' is gone (allow it by"
            " compare_policy.allow_signature_change); else: auc 0.9 is larger than the best's 0.8"
        )


def test_signatures_are_read_only_for_what_would_be_exported():
    def fail() -> Any:
        raise AssertionError("nobody asked for signatures")

    decision = decide(
        compare_policy(larger("auc")),
        {"auc": 0.7},
        {"auc": 0.8},
        candidate_signatures=fail,
        signatures=fail,
    )
    assert decision.reason == R.NOT_BETTER


def test_signatures_that_cannot_be_read_break_no_client():
    def fail() -> Any:
        raise ValueError("saved_model.pb must be that of a SavedModel")

    decision = decide(
        compare_policy(larger("auc")),
        {"auc": 0.9},
        {"auc": 0.8},
        candidate_signatures=signatures_of("a"),
        signatures=fail,
    )
    assert decision.reason == R.BETTER
    (warning,) = decision.warnings
    assert warning == (
        "the best's serving signatures were not compared: saved_model.pb must be that of a"
        " SavedModel"
    )


# What is refused at construction.


def changed(rule: pb.MetricRule, **fields: Any) -> pb.MetricRule:
    result = pb.MetricRule()
    result.CopyFrom(rule)
    result.MergeFrom(pb.MetricRule(**fields))
    return result


def significant(alpha: float) -> str:
    return (
        "compare_policy.metric.significance.alpha must be at least 1e-09 and smaller than 0.5 (got"
        f" {alpha!r}). 0.05 lets one of twenty candidates pass that are no better; leave"
        " significance out to ignore noise."
    )


@pytest.mark.parametrize(
    ("policy", "error"),
    [
        pytest.param(compare_policy(larger("auc", alpha=0.0)), significant(0.0), id="alpha 0"),
        pytest.param(compare_policy(larger("auc", alpha=1e-17)), significant(1e-17), id="tiny"),
        pytest.param(compare_policy(larger("auc", alpha=0.5)), significant(0.5), id="alpha 0.5"),
        pytest.param(compare_policy(larger("auc", alpha=NAN)), significant(NAN), id="alpha NaN"),
        pytest.param(
            compare_policy(larger("auc", tie_tolerance=0.1)),
            "compare_policy.metric.tie_tolerance must be left out without tie_breakers (got 0.1)."
            " A tie that nothing breaks is not better.",
            id="tolerance for nothing",
        ),
        pytest.param(
            compare_policy(larger("auc", tie_tolerance=-1), tie_breakers=[smaller("loss")]),
            "compare_policy.metric.tie_tolerance must be a finite number, 0 or larger (got -1.0)."
            " It is the size of an improvement, whichever the direction.",
            id="negative tolerance",
        ),
        pytest.param(
            compare_policy(larger("auc"), tie_breakers=[smaller("loss"), larger("auc")]),
            "compare_policy.tie_breakers[1].metric must be another metric than those before (got"
            " 'auc'). Where a metric ties, it ties again: name another one.",
            id="tie-breaker twice",
        ),
        pytest.param(
            compare_policy("my.compare", tie_breakers=[smaller("loss")]),
            "compare_policy.tie_breakers must be left out where compare_fn is given (got 1). A"
            " compare function breaks ties itself.",
            id="tie-breakers of a function",
        ),
        pytest.param(
            compare_policy(RULE, guardrails=[at_least("loss")]),
            "compare_policy.guardrails[0] must have a limit (got none). Set bound,"
            " max_absolute_regression or max_relative_regression.",
            id="no limit",
        ),
        pytest.param(
            compare_policy(RULE, guardrails=[at_least("loss", 1), at_least("loss", NAN)]),
            "compare_policy.guardrails[1].bound must be a finite number (got nan). Leave it out"
            " where nothing is asked.",
            id="NaN",
        ),
        pytest.param(
            compare_policy(RULE, guardrails=[at_least("loss", max_regression=INF)]),
            "compare_policy.guardrails[0].max_absolute_regression must be a finite number (got"
            " inf). Leave it out where nothing is asked.",
            id="infinite",
        ),
        pytest.param(
            compare_policy(RULE, guardrails=[at_least("loss", max_relative_regression=-0.1)]),
            "compare_policy.guardrails[0].max_relative_regression must be 0 or larger (got -0.1)."
            " Whichever the direction, it is a size.",
            id="negative",
        ),
        pytest.param(
            compare_policy(
                RULE,
                guardrails=[at_least("loss", 1, slices=[{"a": 1}], every_slice_min_examples=1)],
            ),
            "compare_policy.guardrails[0].slices must be left out where every_slice_min_examples is"
            " given (got both). Make two guardrails of it.",
            id="slices twice",
        ),
        pytest.param(
            compare_policy(RULE, guardrails=[at_least("loss", 1, slices=[{}])]),
            "compare_policy.guardrails[0].slices must have features (got a slice without any)."
            " Leave slices out to guard the overall slice.",
            id="a slice of nothing",
        ),
        pytest.param(
            compare_policy(RULE, guardrails=[pb.Guardrail(bound=1, direction=pb.LOWER_IS_BETTER)]),
            "compare_policy.guardrails[0].metric.name must be the name of a metric (got ''). Name a"
            " metric of Evaluator's EvalConfig.",
            id="no metric",
        ),
        pytest.param(
            compare_policy(
                RULE, guardrails=[pb.Guardrail(bound=1, metric=pb.MetricKey(name="loss"))]
            ),
            "compare_policy.guardrails[0].direction must be HIGHER_IS_BETTER or LOWER_IS_BETTER"
            " (got METRIC_DIRECTION_UNSPECIFIED). Say which way 'loss' improves.",
            id="no direction",
        ),
        pytest.param(
            compare_policy(RULE, guardrails=[at_most("loss", 0.1), at_least("loss", 0.2)]),
            "compare_policy.guardrails[1] must not contradict compare_policy.guardrails[0] (got"
            " 'loss' at least 0.2 and at most 0.1). No candidate could pass: mend one of both.",
            id="contradiction",
        ),
        pytest.param(
            compare_policy(RULE, guardrails=[at_most("auc", max_regression=0.1)]),
            "compare_policy.guardrails[0].direction must be the direction of compare_policy.metric"
            " (got LOWER_IS_BETTER for 'auc'). What the rule asks for is a regression to this"
            " guardrail: give a bound only, or mend one of both.",
            id="against the rule",
        ),
        pytest.param(
            compare_policy(RULE, min_example_count=NAN),
            "compare_policy.min_example_count must be a finite number, 0 or larger (got nan). Leave"
            " it out where nothing is asked.",
            id="examples",
        ),
        pytest.param(
            compare_policy(RULE, max_best_evaluation_age_seconds=-1),
            "compare_policy.max_best_evaluation_age_seconds must be a finite number, 0 or larger"
            " (got -1). Leave it out where nothing is asked.",
            id="age",
        ),
        pytest.param(
            compare_policy(RULE, force=" "),
            "compare_policy.force must be a reason (got ' '). Say why in words, or leave it out.",
            id="force",
        ),
        pytest.param(
            compare_policy(RULE, force="\u200b\ufe0f"),
            "compare_policy.force must be a reason (got '\\u200b\ufe0f'). Say why in words, or"
            " leave it out.",
            id="force without anything to see",
        ),
        pytest.param(
            compare_policy(
                larger("auc", tie_tolerance=0.1), tie_breakers=[smaller("loss", tie_tolerance=0.2)]
            ),
            "compare_policy.tie_breakers[0].tie_tolerance must be left out of the last tie-breaker"
            " (got 0.2). A tie that nothing breaks is not better.",
            id="tolerance of the last tie-breaker",
        ),
        pytest.param(
            compare_policy(
                RULE,
                tie_breakers=[smaller("loss"), smaller("ms", tie_tolerance=0.2)],
            ),
            "compare_policy.tie_breakers[1].tie_tolerance must be left out of the last tie-breaker"
            " (got 0.2). A tie that nothing breaks is not better.",
            id="tolerance of the last of two tie-breakers",
        ),
        *(
            pytest.param(
                compare_policy(RULE, guardrails=rails),
                "compare_policy.guardrails[1] must not contradict compare_policy.guardrails[0] (got"
                " 'r' at least 0.9 and at most 0.8). No candidate could pass: mend one of both.",
                id=f"contradiction on a slice {number}",
            )
            for number, rails in enumerate(
                [
                    [
                        at_least("r", 0.9, slices=[{"c": "nl"}]),
                        at_most("r", 0.8, every_slice_min_examples=0),
                    ],
                    [
                        at_least("r", 0.9, every_slice_min_examples=0),
                        at_most("r", 0.8, slices=[{"c": "nl"}]),
                    ],
                    [
                        at_least("r", 0.9, slices=[{"c": "nl"}]),
                        at_most("r", 0.8, slices=[{"c": "de"}, {"c": "nl"}]),
                    ],
                ]
            )
        ),
        *(
            pytest.param(
                compare_policy(RULE, guardrails=[at_least("r", 0.9, slices=[{column: "nl"}])]),
                "compare_policy.guardrails[0].slices must name the features of each slice (got"
                f" {column!r}). Name them as in the slicing_specs of Evaluator's EvalConfig.",
                id=f"a feature called {column!r}",
            )
            for column in ("", " ", "c\n")
        ),
        *(
            pytest.param(
                compare_policy(larger(name)),
                f"compare_policy.metric.metric.name must be the name of a metric (got {name!r})."
                " Name a metric of Evaluator's EvalConfig.",
                id=f"a metric called {name!r}",
            )
            for name in ("", "  ", "auc\n", "\u200b")
        ),
        pytest.param(
            compare_policy(RULE, tie_breakers=[smaller(metric("loss", output_name=" "))]),
            "compare_policy.tie_breakers[0].metric.output_name must be a name (got ' '). Name it as"
            " in Evaluator's EvalConfig, or leave it out.",
            id="a blank output",
        ),
        pytest.param(
            compare_policy(larger(pb.MetricKey(name="auc", model_name="a\t"))),
            "compare_policy.metric.metric.model_name must be a name (got 'a\\t'). Name it as in"
            " Evaluator's EvalConfig, or leave it out.",
            id="a model with a tab",
        ),
        *(
            pytest.param(
                compare_policy(larger(pb.MetricKey(name="recall", sub_key={kind: value}))),
                f"compare_policy.metric.metric.sub_key.{kind} must be {least} or larger (got"
                f" {value}). Classes count from 0, k and top_k from 1.",
                id=f"{kind} {value}",
            )
            for kind, value, least in (
                ("top_k", 0, 1),
                ("top_k", -1, 1),
                ("k", 0, 1),
                ("k", -1, 1),
                ("class_id", -1, 0),
            )
        ),
        # Enums of proto3 are open.
        pytest.param(
            comparison.policy_message_of('{"compare_fn": "a.b", "on_unknown_best": 9}'),
            "compare_policy.on_unknown_best must be EXPORT, KEEP or FAIL (got 9). Leave it out for"
            " EXPORT.",
            id="an unknown choice",
        ),
        pytest.param(
            comparison.policy_message_of('{"compare_fn": "a.b", "comparability": 9}'),
            "compare_policy.comparability must be REQUIRE_SAME_DATA, PREFER_SAME_DATA or ANY (got"
            " 9). Leave it out for PREFER_SAME_DATA.",
            id="an unknown comparability",
        ),
        pytest.param(
            pb.ComparePolicy(metric=RULE, on_unknown_best=-1),  # type: ignore[arg-type]
            "compare_policy.on_unknown_best must be EXPORT, KEEP or FAIL (got -1). Leave it out for"
            " EXPORT.",
            id="an unknown choice in a message",
        ),
        pytest.param(
            compare_policy(larger(pb.MetricKey(name="auc", aggregation=9))),  # type: ignore[arg-type]
            "compare_policy.metric.metric.aggregation must be one of MICRO_AVERAGE, MACRO_AVERAGE,"
            " WEIGHTED_MACRO_AVERAGE (got 9). Leave it out where a metric is not averaged over"
            " classes.",
            id="an unknown aggregation",
        ),
        pytest.param(
            compare_policy(
                RULE,
                guardrails=[
                    pb.Guardrail(
                        bound=1,
                        metric=pb.MetricKey(name="loss"),
                        direction=7,  # type: ignore[arg-type]
                    )
                ],
            ),
            "compare_policy.guardrails[0].direction must be HIGHER_IS_BETTER or LOWER_IS_BETTER"
            " (got 7). Say which way 'loss' improves.",
            id="an unknown direction",
        ),
    ],
)
def test_refused_at_construction(policy: pb.ComparePolicy, error: str):
    with pytest.raises(ValueError, match="must") as caught:
        comparison.check_policy(policy)
    assert str(caught.value) == error


@pytest.mark.parametrize(
    "rails",
    [
        pytest.param([at_most("loss", 0.2), at_least("loss", 0.1)], id="a range"),
        pytest.param([at_most("auc", 0.99)], id="a bound against the rule"),
        pytest.param(
            [at_most("loss", 0.1), at_least("loss", 0.2, slices=[{"a": "b"}])], id="elsewhere"
        ),
        pytest.param([at_most("loss", 0.1), at_least("gain", 0.2)], id="another metric"),
        pytest.param(
            [
                at_most("loss", 0.1, every_slice_min_examples=1),
                at_least("loss", 0.2, slices=[{"a": ""}]),
            ],
            id="a slice that may be too small, of a feature without a value",
        ),
    ],
)
def test_guardrails_that_go_together(rails: list[pb.Guardrail]):
    comparison.check_policy(compare_policy(RULE, guardrails=rails))


def test_a_tie_breaker_that_another_follows_has_a_tolerance():
    breakers = [smaller("loss", tie_tolerance=0.1), smaller("ms")]
    decision = decide(
        compare_policy(RULE, tie_breakers=breakers),
        {"auc": 0.9, "loss": 0.3, "ms": 4},
        {"auc": 0.9, "loss": 0.25, "ms": 5},
    )
    assert decision.reason == R.BETTER


def test_the_default_alpha():
    policy = compare_policy(changed(RULE, significance=pb.Significance()))
    rule: Any = comparison.policy_from_proto(policy, lambda _: smaller_loss).rule
    assert rule.alpha == 0.05


def test_a_policy_keeps_all_that_is_said():
    policy = comparison.policy_from_proto(
        compare_policy(
            "my.compare",
            comparability="ANY",
            on_unknown_best="KEEP",
            allow_signature_change=True,
            force="why",
            min_example_count=3,
            max_best_evaluation_age_seconds=4,
            guardrails=[at_least("auc", 0.1)],
        ),
        lambda _: smaller_loss,
    )
    assert (policy.comparability, policy.on_unknown_best) == (
        pb.ComparePolicy.ANY,
        pb.ComparePolicy.KEEP,
    )
    assert (policy.allow_signature_change, policy.force) == (True, "why")
    assert (policy.min_example_count, policy.max_best_evaluation_age_seconds) == (3, 4)
    assert policy.guardrails == (
        guardrails.Guardrail(key=MetricKey(name="auc"), direction=pb.HIGHER_IS_BETTER, bound=0.1),
    )


# Constructors.

_BAD_PARTS: Any = (
    ("top_k", 0, 1),
    ("k", -1, 1),
    ("class_id", -1, 0),
    ("class_id", 2**31, 0),
    ("class_id", 2**40, 0),
)
_NO_NUMBERS: Any = (True, 1.0, "1")
_NO_RULES: Any = (
    (None, "None"),
    (metric("auc"), "MetricKey"),
    (compare_policy(RULE), "ComparePolicy"),
)


def test_metrics_as_tfma_addresses_them():
    key = metric(
        "precision",
        output_name="click",
        top_k=5,
        aggregation="MICRO_AVERAGE",
        example_weighted=True,
    )
    assert str(MetricKey.from_proto(key)) == "click/precision[top_k=5,micro_average,weighted]"
    assert metric("recall", class_id=0).sub_key.class_id == 0
    assert metric("recall", k=2).sub_key.k == 2
    assert larger(key).metric == key


def test_constructors_take_what_means_the_same():
    rail = at_least("auc", 1, slices=({"country": "nl", "age": 3, "share": 0.5},))
    assert rail.bound == 1.0
    assert dict(rail.slices[0].features) == {"country": "nl", "age": "3", "share": "0.5"}
    # Seconds of a timedelta are a float; those of an int are not rounded to one.
    policy = compare_policy(RULE, max_best_evaluation_age_seconds=2592000.0)
    assert policy.max_best_evaluation_age_seconds == 2592000
    policy = compare_policy(RULE, max_best_evaluation_age_seconds=2**53 + 1)
    assert policy.max_best_evaluation_age_seconds == 2**53 + 1
    copy = compare_policy(RULE, guardrails=compare_policy(RULE, guardrails=[rail]).guardrails)
    assert list(copy.guardrails) == [rail]


def test_constructors_take_numbers_of_numpy():
    np = pytest.importorskip("numpy")
    assert larger(metric("recall", k=np.int64(3)), by=np.float32(0.5)) == larger(
        metric("recall", k=3), by=0.5
    )
    rail = at_least("auc", 1, slices=[{"age": np.int64(3)}])
    assert dict(rail.slices[0].features) == {"age": "3"}


@pytest.mark.parametrize(
    ("make", "error"),
    [
        pytest.param(
            lambda: metric("auc", k=1, top_k=2),
            "metric must have at most one of class_id, k and top_k (got {'k': 1, 'top_k': 2})."
            " They name different parts of a metric.",
        ),
        pytest.param(
            lambda: metric("auc", aggregation="MEAN"),
            "aggregation must be one of MICRO_AVERAGE, MACRO_AVERAGE, WEIGHTED_MACRO_AVERAGE (got"
            " 'MEAN'). Leave it out where a metric is not averaged over classes.",
        ),
        pytest.param(
            lambda: compare_policy(RULE, comparability="SAME"),
            "comparability must be one of REQUIRE_SAME_DATA, PREFER_SAME_DATA, ANY (got 'SAME')."
            " See compare_policy.",
        ),
        pytest.param(
            lambda: compare_policy(RULE, on_unknown_best="ASK"),
            "on_unknown_best must be one of EXPORT, KEEP, FAIL (got 'ASK'). See compare_policy.",
        ),
        *(
            pytest.param(
                lambda part={kind: value}: metric("recall", **part),
                f"{kind} must be a whole number from {least} to 2147483647 (got {value}). Classes"
                " count from 0, k and top_k from 1.",
            )
            for kind, value, least in _BAD_PARTS
        ),
        pytest.param(
            lambda: compare_policy(RULE, max_best_evaluation_age_seconds=3.5),
            "max_best_evaluation_age_seconds must be a whole number of seconds, less than 2**63"
            " (got 3.5). Round it, or leave it out for any age.",
        ),
        pytest.param(
            lambda: compare_policy(RULE, max_best_evaluation_age_seconds=INF),
            "max_best_evaluation_age_seconds must be a whole number of seconds, less than 2**63"
            " (got inf). Round it, or leave it out for any age.",
        ),
        pytest.param(
            lambda: compare_policy(RULE, max_best_evaluation_age_seconds=2**63),
            "max_best_evaluation_age_seconds must be a whole number of seconds, less than 2**63"
            " (got 9223372036854775808). Round it, or leave it out for any age.",
        ),
        pytest.param(
            lambda: larger("auc", by=10**400),
            "by must be a number that a float can hold (got a larger int). Scale it, or leave it"
            " out.",
        ),
        *(
            pytest.param(
                make,
                f"{field} must be text that UTF-8 can encode (got 'a\\udc80'). Replace the"
                " characters that it cannot.",
            )
            for field, make in (
                ("name", lambda: larger("a\udc80")),
                ("output_name", lambda: metric("auc", output_name="a\udc80")),
                ("rule", lambda: compare_policy("a\udc80")),
                ("force", lambda: compare_policy(RULE, force="a\udc80")),
                ("a name in slices[0]", lambda: at_least("r", 1, slices=[{"a\udc80": 1}])),
                ("slices[0]['c']", lambda: at_least("r", 1, slices=[{"c": "a\udc80"}])),
            )
        ),
    ],
)
def test_constructors_refuse(make: Any, error: str):
    with pytest.raises(ValueError, match="must") as caught:
        make()
    assert str(caught.value) == error
    # Not one of Python's own, which are ValueErrors too.
    assert type(caught.value) is ValueError


_EACH_SLICE = " Give one dictionary for each slice, such as [{'country': 'nl'}]."
_EACH_GUARDRAIL = " Make each with at_least or at_most, and put even one alone into a list."
_NUMBER = " Convert it to a float, or leave it out."


@pytest.mark.parametrize(
    ("make", "error"),
    [
        pytest.param(
            lambda: at_least("r", 1, slices={"country": "nl"}),  # type: ignore[arg-type]
            "slices must be a list of dictionaries (got {'country': 'nl'})." + _EACH_SLICE,
            id="slices is a dict",
        ),
        pytest.param(
            lambda: at_most("r", 1, slices="country"),  # type: ignore[arg-type]
            "slices must be a list of dictionaries (got 'country')." + _EACH_SLICE,
            id="slices is a str",
        ),
        pytest.param(
            lambda: at_most("r", 1, slices=["country"]),  # type: ignore[list-item]
            "slices[0] must be a dictionary of features (got 'country')." + _EACH_SLICE,
            id="a slice is a str",
        ),
        pytest.param(
            lambda: at_most("r", 1, slices=[{"a": 1}, {5: 1}]),  # type: ignore[dict-item]
            "a name in slices[1] must be that of a feature (got 5). Give it as a str.",
            id="a feature is a number",
        ),
        *(
            pytest.param(
                lambda value=value: at_most("r", 1, slices=[{"country": value}]),
                f"slices[0]['country'] must be the value of a feature (got {value!r}). Give it as a"
                " str or a number.",
                id=f"a slice of {value!r}",
            )
            for value in (b"nl", None, True, ["nl"])
        ),
        pytest.param(
            lambda: compare_policy(RULE, guardrails=at_least("r", 1)),  # type: ignore[arg-type]
            "guardrails must be a list (got Guardrail)." + _EACH_GUARDRAIL,
            id="one guardrail",
        ),
        pytest.param(
            lambda: compare_policy(RULE, guardrails=None),  # type: ignore[arg-type]
            "guardrails must be a list (got None)." + _EACH_GUARDRAIL,
            id="guardrails is None",
        ),
        pytest.param(
            lambda: compare_policy(RULE, guardrails=[at_least("r", 1), RULE]),  # type: ignore[list-item]
            "guardrails[1] must be a Guardrail (got MetricRule). Make it with at_least or at_most.",
            id="a rule as a guardrail",
        ),
        pytest.param(
            lambda: compare_policy(RULE, tie_breakers=smaller("loss")),  # type: ignore[arg-type]
            "tie_breakers must be a list (got MetricRule). Make each with larger or smaller, and"
            " put even one alone into a list.",
            id="one tie-breaker",
        ),
        pytest.param(
            lambda: compare_policy(RULE, tie_breakers=["loss"]),  # type: ignore[list-item]
            "tie_breakers[0] must be a MetricRule (got 'loss'). Make it with larger or smaller.",
            id="a name as a tie-breaker",
        ),
        *(
            pytest.param(
                lambda rule=rule: compare_policy(rule),
                "rule must be a metric rule, or the name of a compare function (got"
                f" {got}). Make a rule with larger or smaller.",
                id=f"rule {got}",
            )
            for rule, got in _NO_RULES
        ),
        pytest.param(
            lambda: larger(3),  # type: ignore[arg-type]
            "name must be the name of a metric, or a metric (got 3). Give a str, or what metric"
            " returns.",
            id="a number as a metric",
        ),
        pytest.param(
            lambda: smaller(RULE),  # type: ignore[arg-type]
            "name must be the name of a metric, or a metric (got MetricRule). Give a str, or what"
            " metric returns.",
            id="a rule as a metric",
        ),
        pytest.param(
            lambda: metric(3),  # type: ignore[arg-type]
            "name must be the name of a metric (got 3). Give it as a str.",
            id="a number as a name",
        ),
        *(
            pytest.param(
                make, f"{field} must be a number (got {got})." + _NUMBER, id=f"{field} {got}"
            )
            for field, got, make in (
                ("bound", "'0.5'", lambda: at_least("r", "0.5")),  # type: ignore[arg-type]
                ("bound", "True", lambda: at_least("r", True)),
                ("max_regression", "'1'", lambda: at_most("r", max_regression="1")),  # type: ignore[arg-type]
                ("by", "'0.1'", lambda: larger("auc", by="0.1")),  # type: ignore[arg-type]
                ("by", "None", lambda: larger("auc", by=None)),  # type: ignore[arg-type]
                ("alpha", "True", lambda: larger("auc", alpha=True)),
                (
                    "max_best_evaluation_age_seconds",
                    "'3'",
                    lambda: compare_policy(RULE, max_best_evaluation_age_seconds="3"),  # type: ignore[arg-type]
                ),
            )
        ),
        *(
            pytest.param(
                lambda value=value: metric("recall", k=value),
                f"k must be a whole number from 1 to 2147483647 (got {value!r}). Classes count from"
                " 0, k and top_k from 1.",
                id=f"k {value!r}",
            )
            for value in _NO_NUMBERS
        ),
        pytest.param(
            lambda: metric("auc", example_weighted="no"),  # type: ignore[arg-type]
            "example_weighted must be True or False (got 'no'). Leave it out for the default.",
            id="weighted 'no'",
        ),
        pytest.param(
            lambda: compare_policy(RULE, allow_signature_change="no"),  # type: ignore[arg-type]
            "allow_signature_change must be True or False (got 'no'). Leave it out for the"
            " default.",
            id="change 'no'",
        ),
        pytest.param(
            lambda: compare_policy(RULE, force=True),  # type: ignore[arg-type]
            "force must be a reason in words (got True). Give it as a str.",
            id="force without a reason",
        ),
    ],
)
def test_constructors_refuse_another_type(make: Any, error: str):
    with pytest.raises(TypeError, match="must") as caught:
        make()
    assert str(caught.value) == error


# Data.


def test_same_data():
    data = EvaluatedData(examples_uri="/examples/1", splits=("eval",), eval_config_digest="sha:1")
    assert data.is_same(dataclasses.replace(data))
    assert not data.is_same(dataclasses.replace(data, splits=("test",)))
    assert not data.is_same(dataclasses.replace(data, eval_config_digest="sha:2"))
    # Nobody knows whether two unknown ones are the same.
    assert not EvaluatedData().is_same(EvaluatedData())
    unknown = dataclasses.replace(data, examples_uri="")
    assert not unknown.is_same(unknown)


# Slices that changed.


def test_slice_changes():
    policy = comparison.policy_from_proto(
        compare_policy(larger("auc"), tie_breakers=[smaller("loss")]), lambda _: smaller_loss
    )
    candidate = evaluation(
        {"auc": 0.9},
        {NL: {"auc": 0.8}, DE: {"auc": 0.7, "example_count": 5}, (("x", 1),): {"auc": 0.1}},
    )
    best = evaluation(
        {"auc": 0.9}, {NL: {"auc": 0.7}, DE: {"auc": 0.75}, (("x", 2),): {"auc": 0.3}}
    )
    changes = comparison.slice_changes(
        candidate=Candidate(digest="c", eval_result=candidate),
        best=Best(version=1, digest="b", eval_result=best),
        policy=policy,
    )
    assert [(each.slice, round(each.improvement, 3), each.example_count) for each in changes] == [
        ((("country", "de"),), -0.05, 5),
        ((("country", "nl"),), 0.1, None),
    ]


# Properties.

_values = st.floats(-2, 2) | st.sampled_from([NAN, INF, -INF])
_names = st.sampled_from(["auc", "loss", "recall"])


@st.composite
def _evaluations(draw: st.DrawFn) -> EvalResult:
    def some() -> dict[str, float]:
        return {name: draw(_values) for name in ("auc", "loss", "recall")}

    return evaluation(
        some(), {NL: {**some(), "example_count": 10}, DE: {**some(), "example_count": 99}}
    )


@st.composite
def _guardrails(draw: st.DrawFn) -> pb.Guardrail:
    make = draw(st.sampled_from([at_least, at_most]))
    where: dict[str, Any] = draw(
        st.sampled_from([{}, {"slices": [{"country": "nl"}]}, {"every_slice_min_examples": 50}])
    )
    bound = draw(st.none() | st.floats(-1, 1))
    limit = draw(st.floats(0, 1))
    return make(draw(_names), bound, max_regression=limit, **where)


@st.composite
def _policies(draw: st.DrawFn) -> pb.ComparePolicy:
    policy = compare_policy(
        larger("auc", by=draw(st.sampled_from([0.0, 0.1])), tie_tolerance=0.05),
        tie_breakers=[smaller("loss")],
        guardrails=draw(st.lists(_guardrails(), max_size=3)),
        force=draw(st.sampled_from(["", "because"])),
    )
    try:
        comparison.check_policy(policy)
    except ValueError:
        del policy.guardrails[:]
    return policy


@given(_policies(), _evaluations(), _evaluations(), st.booleans())
def test_nothing_that_a_guardrail_forbids_is_exported(
    policy: pb.ComparePolicy, candidate: EvalResult, best: EvalResult, is_served: bool
):
    decision = decide(policy, candidate, best, is_served=is_served)
    if decision.is_export:
        for each in policy.guardrails:
            rail = guardrails.Guardrail.from_proto(each, "field")
            known_best = best if is_served else None
            for result in rail.check(candidate=candidate, best=known_best)[0]:
                assert result.holds
                if rail.bound is not None or not result.best or not math.isnan(result.best):
                    assert not math.isnan(result.candidate)


@given(_policies(), _evaluations(), _evaluations(), st.floats(0.001, 3))
def test_a_better_metric_never_loses_an_export(
    policy: pb.ComparePolicy, candidate: EvalResult, best: EvalResult, more: float
):
    # A guardrail may well forbid more of what it wants less of.
    rails = [each for each in policy.guardrails if each.metric.name != "auc"]
    del policy.guardrails[:]
    policy.guardrails.extend(rails)
    better = evaluation(
        {**candidate, "auc": candidate["auc"] + more},
        {key: dict(result) for key, result in candidate.slices.items()},
    )
    if decide(policy, candidate, best).is_export:
        assert decide(policy, better, best).is_export


@given(_policies(), _evaluations(), _evaluations(), st.randoms())
def test_the_order_of_metrics_and_slices_is_of_no_matter(
    policy: pb.ComparePolicy, candidate: EvalResult, best: EvalResult, random: Any
):
    def shuffled(result: EvalResult) -> EvalResult:
        metrics, slices = list(result.items()), list(result.slices.items())
        random.shuffle(metrics)
        random.shuffle(slices)
        return evaluation(dict(metrics), {key: dict(value) for key, value in slices})

    first = decide(policy, candidate, best)
    second = decide(policy, shuffled(candidate), shuffled(best))
    assert first.reason == second.reason
    assert first.explanation == second.explanation
    assert sorted(map(str, first.guardrails)) == sorted(map(str, second.guardrails))


@given(st.floats(0.001, 0.49), st.floats(0, 1), st.floats(0.0001, 0.5), st.floats(1, 1000))
def test_a_smaller_alpha_never_lets_more_pass(
    alpha: float, improvement: float, standard_error: float, degrees_of_freedom: float
):
    candidate = {"auc": interval(improvement, standard_error, degrees_of_freedom)}
    best = {"auc": interval(0, standard_error, degrees_of_freedom)}
    strict = decide(compare_policy(larger("auc", alpha=alpha / 2)), candidate, best)
    lenient = decide(compare_policy(larger("auc", alpha=alpha)), candidate, best)
    assert lenient.is_export or not strict.is_export
