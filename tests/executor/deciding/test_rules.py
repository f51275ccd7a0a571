import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.errors import about
from tests.executor.deciding.decided import (
    AUC_THEN_LOSS,
    HIGHER,
    INF,
    LOWER,
    NAN,
    RULE,
    SIGNIFICANT,
    Metrics,
    R,
    changed,
    decide,
    decide_by,
    evaluation,
    interval,
    metric_policy,
    refused,
    rule_of,
    said,
    smaller_loss,
)
from tfx_best_exporter.executor.deciding import decide as decide_module
from tfx_best_exporter.executor.deciding.eval_result import (
    EvalResult,
    MetricKey,
    MetricValue,
    MissingMetricError,
)
from tfx_best_exporter.executor.deciding.models import Best, Candidate, Observation
from tfx_best_exporter.executor.deciding.policy import Policy, policy_from_proto
from tfx_best_exporter.executor.deciding.rules import Comparison, MetricRule, Outcome
from tfx_best_exporter.executor.policies import compare_policy, larger, smaller
from tfx_best_exporter.proto import best_exporter_pb2 as pb


def compared(metric: str, candidate: str, comparative: str, best: str, by: str = "") -> str:
    margin = f" by more than {by}" if by else ""
    return f"{metric} {candidate} is {comparative} than the best's {best}{margin}"


def best_is_nan(metric: str, value: str, which: str = "any") -> str:
    return f"the best's {metric} is NaN, so {which} finite value is better: {metric} is {value}"


def in_order(*texts: str) -> str:
    return "; ".join(texts)


@pytest.mark.parametrize(
    ("rule", "candidate", "best", "reason", "explanation"),
    [
        pytest.param(
            LOWER, 0.2, 0.3, R.BETTER, compared("loss", "0.2", "smaller", "0.3"), id="lower: less"
        ),
        pytest.param(
            LOWER,
            0.3,
            0.2,
            R.NOT_BETTER,
            compared("loss", "0.3", "not smaller", "0.2"),
            id="lower: more",
        ),
        pytest.param(
            LOWER, 0.3, 0.3, R.NOT_BETTER, compared("loss", "0.3", "not smaller", "0.3"), id="a tie"
        ),
        pytest.param(
            HIGHER, 0.9, 0.8, R.BETTER, compared("auc", "0.9", "larger", "0.8"), id="higher: more"
        ),
        pytest.param(
            HIGHER,
            0.8,
            0.9,
            R.NOT_BETTER,
            compared("auc", "0.8", "not larger", "0.9"),
            id="higher: less",
        ),
        pytest.param(
            HIGHER, 0.8, 0.8, R.NOT_BETTER, compared("auc", "0.8", "not larger", "0.8"), id="tie"
        ),
        pytest.param(
            LOWER,
            math.nextafter(0.3, 0),
            0.3,
            R.BETTER,
            compared("loss", "0.2999999999999999", "smaller", "0.3"),
            id="one bit less",
        ),
        pytest.param(
            LOWER, -2.0, -1.0, R.BETTER, compared("loss", "-2", "smaller", "-1"), id="negative"
        ),
        pytest.param(
            HIGHER,
            -2.0,
            -1.0,
            R.NOT_BETTER,
            compared("auc", "-2", "not larger", "-1"),
            id="negative, higher",
        ),
        pytest.param(
            LOWER, 0.0, -0.0, R.NOT_BETTER, compared("loss", "0", "not smaller", "0"), id="zeros"
        ),
    ],
)
def test_metric_rule(
    rule: MetricRule, candidate: float, best: float, reason: int, explanation: str
):
    decision = decide({rule.key.name: candidate}, {rule.key.name: best}, rule=rule)
    assert (decision.reason, decision.explanation) == (reason, explanation)
    assert decision.is_export == (reason == R.BETTER)
    assert decision.warnings == ()


@pytest.mark.parametrize(
    ("direction", "candidate", "best", "absolute", "relative", "is_better", "required"),
    [
        # 0.5 and 0.25 are exact floats: a change of exactly the threshold is not larger than it.
        pytest.param("lower", 0.5, 1.0, 0.5, 0.0, False, 0.5, id="absolute: just it"),
        pytest.param("lower", 0.25, 1.0, 0.5, 0.0, True, 0.5, id="absolute: more"),
        pytest.param("higher", 1.5, 1.0, 0.5, 0.0, False, 0.5, id="absolute, higher: just it"),
        pytest.param("higher", 1.75, 1.0, 0.5, 0.0, True, 0.5, id="absolute, higher: more"),
        pytest.param("lower", 1.5, 2.0, 0.0, 0.25, False, 0.5, id="relative: just it"),
        pytest.param("lower", 1.25, 2.0, 0.0, 0.25, True, 0.5, id="relative: more"),
        pytest.param("higher", 2.5, 2.0, 0.0, 0.25, False, 0.5, id="relative, higher: just it"),
        pytest.param("higher", 2.75, 2.0, 0.0, 0.25, True, 0.5, id="relative, higher: more"),
        pytest.param("lower", 0.25, 2.0, 1.0, 0.5, True, 1.0, id="both: equal"),
        pytest.param("lower", 1.25, 2.0, 0.5, 0.5, False, 1.0, id="both: the larger counts"),
        pytest.param("lower", 1.25, 2.0, 1.0, 0.25, False, 1.0, id="both: the other counts"),
        pytest.param("lower", -2.75, -2.0, 0.0, 0.25, True, 0.5, id="relative to a negative best"),
        pytest.param("lower", -2.5, -2.0, 0.0, 0.25, False, 0.5, id="negative: just it"),
        pytest.param("higher", -1.25, -2.0, 0.0, 0.25, True, 0.5, id="higher, negative best"),
        pytest.param("higher", -1.75, -2.0, 0.0, 0.25, False, 0.5, id="higher, negative: less"),
        pytest.param("higher", 1e-300, 0.0, 0.0, 9.0, True, 0.0, id="relative to 0 asks nothing"),
        pytest.param("higher", 0.0, 0.0, 0.0, 9.0, False, 0.0, id="0 and 0 tie"),
        pytest.param("higher", 0.5, 0.0, 0.5, 9.0, False, 0.5, id="absolute counts at 0"),
        pytest.param("lower", 5.0, INF, 1.0, 0.5, True, 1.0, id="infinite best"),
        pytest.param("higher", 5.0, -INF, 0.0, 0.5, True, 0.0, id="higher, infinite best"),
        pytest.param("lower", INF, 5.0, 0.0, 0.5, False, 2.5, id="infinite candidate"),
        pytest.param("higher", INF, 5.0, 0.0, 0.5, True, 2.5, id="higher, infinite candidate"),
        pytest.param("lower", INF, INF, 0.0, 0.0, False, 0.0, id="both infinite"),
        pytest.param("lower", -INF, -INF, 0.0, 0.5, False, 0.0, id="both infinite, relative"),
        pytest.param("lower", -INF, INF, 1.0, 1.0, True, 1.0, id="from one end to the other"),
    ],
)
def test_smallest_change_that_counts(
    direction: str,
    candidate: float,
    best: float,
    absolute: float,
    relative: float,
    is_better: bool,
    required: float,
):
    rule = MetricRule(
        key=MetricKey(name="m"),
        direction=pb.LOWER_IS_BETTER if direction == "lower" else pb.HIGHER_IS_BETTER,
        min_absolute_change=absolute,
        min_relative_change=relative,
    )
    decision = decide({"m": candidate}, {"m": best}, rule=rule)
    assert decision.reason == (R.BETTER if is_better else R.NOT_BETTER)
    (found,) = decision.comparisons
    assert found.required == required
    candidate_text, best_text = f"{candidate:.4g}", f"{best:.4g}"
    comparative = f"{'' if is_better else 'not '}{'smaller' if direction == 'lower' else 'larger'}"
    by = f"{required:.4g}" if required else ""
    assert decision.explanation == compared("m", candidate_text, comparative, best_text, by)


def test_comparison_holds_the_numbers():
    rule = MetricRule(
        key=MetricKey(name="auc", output_name="click"),
        direction=pb.HIGHER_IS_BETTER,
        min_absolute_change=0.25,
    )
    results = [
        EvalResult({rule.key: MetricValue(value=value)}, uri="/evaluation/4")
        for value in (0.5, 0.25)
    ]
    verdict = rule.compare(candidate=results[0], best=results[1])
    assert verdict.explanation == compared("click/auc", "0.5", "not larger", "0.25", by="0.25")
    assert verdict.comparisons == (
        Comparison(
            metric="click/auc",
            direction=pb.HIGHER_IS_BETTER,
            candidate=0.5,
            best=0.25,
            improvement=0.25,
            required=0.25,
        ),
    )


@pytest.mark.parametrize(
    ("candidate", "best", "explanation"),
    [
        pytest.param(NAN, 0.5, compared("loss", "NaN", "not smaller", "0.5"), id="candidate"),
        pytest.param(NAN, NAN, compared("loss", "NaN", "not smaller", "NaN"), id="both"),
        pytest.param(NAN, INF, compared("loss", "NaN", "not smaller", "inf"), id="and infinity"),
        pytest.param(99.0, NAN, best_is_nan("loss", "99"), id="best"),
        pytest.param(INF, NAN, best_is_nan("loss", "inf", "only a"), id="best, against infinity"),
        pytest.param(
            -INF, NAN, best_is_nan("loss", "-inf", "only a"), id="best, against less than all"
        ),
    ],
)
def test_explanation_of_nan(candidate: float, best: float, explanation: str):
    assert said(LOWER, {"loss": candidate}, {"loss": best}) == explanation


def test_explanation_without_a_best():
    assert said(LOWER, {"loss": 0.5}) == "loss is 0.5"


@pytest.mark.parametrize(
    ("policy", "candidate", "best", "difference", "explanation"),
    [
        pytest.param(
            SIGNIFICANT,
            {"auc": interval(0.92, 0.01)},
            {"auc": interval(0.9, 0.01)},
            None,
            f"{compared('auc', '0.92', 'larger', '0.9')}, but not significantly:"
            " the 95 % lower bound of the improvement of 0.02 is -0.003843 (unpaired test)",
            id="noise",
        ),
        pytest.param(
            compare_policy(smaller("loss", by=0.01, alpha=0.05)),
            {"loss": interval(0.28, 0.01)},
            {"loss": 0.3},
            {"loss": interval(-0.02, 0.001)},
            f"{compared('loss', '0.28', 'smaller', '0.3', by='0.01')}; the improvement of 0.02 is"
            " significant: its 95 % lower bound is 0.01827 (paired test)",
            id="more than noise",
        ),
        pytest.param(
            compare_policy(larger("auc", alpha=1e-9)),
            {"auc": interval(0.9, 0.001)},
            {"auc": interval(0.8, 0.001)},
            None,
            f"{compared('auc', '0.9', 'larger', '0.8')}; the improvement of 0.1 is significant:"
            " its 99.9999999 % lower bound is 0.08895 (unpaired test)",
            id="a confidence that is nearly one",
        ),
    ],
)
def test_explanation_of_noise(
    policy: pb.ComparePolicy,
    candidate: Metrics,
    best: Metrics,
    difference: Metrics | None,
    explanation: str,
):
    together = evaluation({}, differences=difference) if difference else None
    assert said(rule_of(policy), candidate, best, together=together) == explanation


@pytest.mark.parametrize(
    ("metrics", "uri", "got"),
    [
        pytest.param({}, "/evaluation/3", "at /evaluation/3). Found: none.", id="none"),
        pytest.param({"b": 1, "a": 2}, "", "at its record). Found: a, b.", id="others"),
    ],
)
def test_a_metric_that_only_the_best_lacks_is_an_error(
    metrics: dict[str, float], uri: str, got: str
):
    best = EvalResult(
        {MetricKey(name=name): MetricValue(value=value) for name, value in metrics.items()}, uri=uri
    )
    candidate = EvalResult.from_mapping({"loss": 1})
    verdict = LOWER.compare(best=best, candidate=candidate)
    assert verdict.outcome is Outcome.NOT_COMPARABLE
    assert isinstance(verdict.problem, MissingMetricError)
    observation = Observation(
        candidate=Candidate(digest="c", eval_result=candidate),
        best=Best(version=7, digest="b", eval_result=best),
    )
    with pytest.raises(MissingMetricError) as caught:
        decide_module.decide(observation, Policy(rule=LOWER), 0.0)
    assert str(caught.value) == (
        "compare_policy.metric.metric.name must be a metric of the best's evaluation too (got"
        f" 'loss', {got} Compare by one of these until a model with this metric has been exported."
    )


TOLERANT = compare_policy(larger("auc", by=0.01, tie_tolerance=0.02), tie_breakers=[smaller("ms")])


@pytest.mark.parametrize(
    ("policy", "candidate", "best", "reason", "explanation"),
    [
        pytest.param(
            AUC_THEN_LOSS,
            {"auc": 0.9, "loss": 0.5},
            {"auc": 0.8, "loss": 0.1},
            R.BETTER,
            compared("auc", "0.9", "larger", "0.8"),
            id="the first decides",
        ),
        pytest.param(
            AUC_THEN_LOSS,
            {"auc": 0.8, "loss": 0.1},
            {"auc": 0.9, "loss": 0.5},
            R.NOT_BETTER,
            compared("auc", "0.8", "not larger", "0.9"),
            id="the first decides against",
        ),
        pytest.param(
            AUC_THEN_LOSS,
            {"auc": 0.9, "loss": 0.1},
            {"auc": 0.9, "loss": 0.5},
            R.BETTER,
            in_order(
                compared("auc", "0.9", "not larger", "0.9"),
                compared("loss", "0.1", "smaller", "0.5"),
            ),
            id="the second decides",
        ),
        pytest.param(
            AUC_THEN_LOSS,
            {"auc": 0.9, "loss": 0.5},
            {"auc": 0.9, "loss": 0.5},
            R.NOT_BETTER,
            in_order(
                compared("auc", "0.9", "not larger", "0.9"),
                compared("loss", "0.5", "not smaller", "0.5"),
            ),
            id="all tie",
        ),
        pytest.param(
            TOLERANT,
            {"auc": 0.885, "ms": 3},
            {"auc": 0.9, "ms": 5},
            R.BETTER,
            in_order(
                compared("auc", "0.885", "not larger", "0.9", by="0.01"),
                compared("ms", "3", "smaller", "5"),
            ),
            id="a little worse is a tie",
        ),
        pytest.param(
            TOLERANT,
            {"auc": 0.875, "ms": 3},
            {"auc": 0.9, "ms": 5},
            R.NOT_BETTER,
            compared("auc", "0.875", "not larger", "0.9", by="0.01"),
            id="more than a little",
        ),
        pytest.param(
            TOLERANT,
            {"auc": 0.905, "ms": 3},
            {"auc": 0.9, "ms": 5},
            R.BETTER,
            in_order(
                compared("auc", "0.905", "not larger", "0.9", by="0.01"),
                compared("ms", "3", "smaller", "5"),
            ),
            id="better by too little is a tie",
        ),
        pytest.param(
            AUC_THEN_LOSS,
            {"auc": 0.9, "loss": 0.5},
            {"auc": 0.9, "loss": NAN},
            R.BEST_IS_NAN,
            in_order(
                compared("auc", "0.9", "not larger", "0.9"),
                best_is_nan("loss", "0.5"),
            ),
            id="the best ties and is NaN",
        ),
        pytest.param(
            AUC_THEN_LOSS,
            {"auc": 0.95, "loss": NAN},
            {"auc": 0.9, "loss": 0.1},
            R.CANDIDATE_IS_NAN,
            compared("auc", "0.95", "larger", "0.9"),
            id="NaN in a metric that does not decide",
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
    decision = decide_by(policy, candidate, best)
    assert decision.reason == reason
    assert said(rule_of(policy), candidate, best) == explanation
    # The decision shows the metrics of all rules, even if the first one decides.
    assert len(decision.comparisons) == 2


def test_a_missing_tie_breaker_is_an_error_although_the_first_metric_decides():
    pattern = about("compare_policy.tie_breakers[0].metric.name", "'loss', at /eval/5).")
    with pytest.raises(MissingMetricError, match=pattern):
        decide_by(AUC_THEN_LOSS, {"auc": 0.9}, {"auc": 0.8})


def test_a_tie_breaker_that_another_follows_has_a_tolerance():
    breakers = [smaller("loss", tie_tolerance=0.1), smaller("ms")]
    decision = decide_by(
        compare_policy(RULE, tie_breakers=breakers),
        {"auc": 0.9, "loss": 0.3, "ms": 4},
        {"auc": 0.9, "loss": 0.25, "ms": 5},
    )
    assert decision.reason == R.BETTER


def test_an_insignificant_improvement_is_a_tie():
    policy = compare_policy(larger("auc", alpha=0.05), tie_breakers=[smaller("ms")])
    candidate = {"auc": interval(0.91, 0.01), "ms": 3}
    best = {"auc": interval(0.9, 0.01), "ms": 5}
    assert decide_by(policy, candidate, best).reason == R.BETTER
    assert decide_by(policy, {**candidate, "ms": 5}, best).reason == R.NOT_SIGNIFICANT
    assert decide_by(policy, {**candidate, "ms": 6}, best).reason == R.NOT_BETTER


def test_the_value_measured_with_the_best_is_compared():
    """The difference and its error belong to the values of the evaluation of both models."""
    together = evaluation({"loss": 0.0012}, differences={"loss": interval(0.0004, 0.00001)})
    decision = decide_by(
        compare_policy(smaller("loss", alpha=0.05)),
        {"loss": 0.0005},
        {"loss": 0.0008},
        basis=R.EVALUATED_AGAIN,
        together=together,
    )
    assert (decision.reason, decision.explanation) == (
        R.NOT_BETTER,
        compared("loss", "0.0012", "not smaller", "0.0008"),
    )


@pytest.mark.parametrize(
    ("policy", "candidate", "best", "reason"),
    [
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
    assert decide_by(policy, candidate, best).reason == reason


def no_size(field: str, value: float) -> str:
    return (
        f"compare_policy.metric.{field} must be a finite number, 0 or larger (got {value!r})."
        " Use the absolute size of the change."
    )


def significant(alpha: float) -> str:
    return (
        "compare_policy.metric.significance.alpha must be at least 1e-09 and smaller than 0.5 (got"
        f" {alpha!r}). With 0.05, at most one in twenty candidates that are not better passes."
    )


def with_alpha(alpha: float) -> pb.ComparePolicy:
    return compare_policy(changed(RULE, significance=pb.Significance(alpha=alpha)))


@pytest.mark.parametrize(
    ("policy", "error"),
    [
        pytest.param(with_alpha(0.0), significant(0.0), id="alpha 0"),
        pytest.param(with_alpha(1e-17), significant(1e-17), id="tiny"),
        pytest.param(with_alpha(0.5), significant(0.5), id="alpha 0.5"),
        pytest.param(with_alpha(NAN), significant(NAN), id="alpha NaN"),
        pytest.param(
            compare_policy(changed(RULE, tie_tolerance=-1), tie_breakers=[smaller("loss")]),
            no_size("tie_tolerance", -1.0),
            id="negative tolerance",
        ),
        *(
            pytest.param(
                metric_policy(**{field: value}),
                no_size(field, value),
                id=f"{field} {value}",
            )
            for field in ("min_absolute_change", "min_relative_change")
            for value in (-0.5, INF, -INF, NAN)
        ),
    ],
)
def test_a_rule_is_refused(policy: pb.ComparePolicy, error: str):
    assert refused(policy) == error


def test_the_default_alpha():
    policy = compare_policy(changed(RULE, significance=pb.Significance()))
    rule: Any = policy_from_proto(policy, lambda _: smaller_loss).rule
    assert rule.alpha == 0.05


anything = st.floats()


rules = st.builds(
    MetricRule,
    key=st.just(MetricKey(name="m")),
    direction=st.sampled_from([pb.LOWER_IS_BETTER, pb.HIGHER_IS_BETTER]),
    min_absolute_change=st.floats(0, 1e6),
    min_relative_change=st.floats(0, 10),
)


@given(rule=rules, best=anything, values=st.tuples(anything, anything))
def test_a_better_metric_is_exported_if_a_worse_one_is(
    rule: MetricRule, best: float, values: tuple[float, float]
):
    is_higher_better = rule.direction == pb.HIGHER_IS_BETTER
    worse, better = sorted(values, reverse=not is_higher_better)
    if any(map(math.isnan, values)) or (math.isnan(best) and math.isinf(better)):
        return
    if decide({"m": worse}, {"m": best}, rule=rule).is_export:
        assert decide({"m": better}, {"m": best}, rule=rule).is_export


@given(rule=rules, one=anything, other=anything)
def test_of_two_models_at_most_one_is_better(rule: MetricRule, one: float, other: float):
    there = decide({"m": one}, {"m": other}, rule=rule)
    back = decide({"m": other}, {"m": one}, rule=rule)
    assert not (there.is_export and back.is_export)
    assert not decide({"m": one}, {"m": one}, rule=rule).is_export


@given(rule=rules, best=st.none() | anything, is_served=st.booleans())
def test_nan_is_never_exported(rule: MetricRule, best: float | None, is_served: bool):
    evaluation = None if best is None else {"m": best}
    assert not decide({"m": NAN}, evaluation, rule=rule, is_served=is_served).is_export


@given(rule=rules, candidate=st.floats(allow_nan=False, allow_infinity=False))
def test_nan_loses_to_every_finite_value(rule: MetricRule, candidate: float):
    assert decide({"m": candidate}, {"m": NAN}, rule=rule).reason == R.BEST_IS_NAN
