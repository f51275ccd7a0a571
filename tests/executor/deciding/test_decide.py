import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_best_exporter.executor.deciding import decide as comparison
from tfx_best_exporter.executor.deciding.decide import (
    Best,
    Blessing,
    BlessingStatus,
    Candidate,
    CompareFunction,
    Decision,
    MetricRule,
    Policy,
)
from tfx_best_exporter.executor.deciding.eval_result import (
    EvalResult,
    MetricKey,
    MetricValue,
    MissingMetricError,
)
from tfx_best_exporter.proto import best_exporter_pb2 as pb

R = pb.ExportDecision
NAN, INF = math.nan, math.inf
UNKNOWN = "no evaluation of the best, version 7, is known"
BLESSED = Blessing(name="model_blessing", uri="/blessing/5", status=BlessingStatus.BLESSED)
NOT_BLESSED = Blessing(name="model_blessing", uri="/blessing/5", status=BlessingStatus.NOT_BLESSED)
NOT_COMPUTED = Blessing(name="infra_blessing", uri="/infra/6", status=BlessingStatus.NOT_COMPUTED)

LOWER = MetricRule(key=MetricKey(name="loss"), direction=pb.LOWER_IS_BETTER)
HIGHER = MetricRule(key=MetricKey(name="auc"), direction=pb.HIGHER_IS_BETTER)


def smaller_loss(best_eval_result, current_eval_result):
    return current_eval_result["loss"] < best_eval_result["loss"]


def swapped_smaller_loss(current_eval_result, best_eval_result):
    return current_eval_result["loss"] < best_eval_result["loss"]


def function(compare: Callable[..., Any], name: str = "compare") -> CompareFunction:
    return CompareFunction(function=compare, name=name)


def decide(
    candidate: dict[str, float],
    best: dict[str, float] | None = None,
    *,
    rule: comparison.Rule = LOWER,
    is_served: bool = True,
    **kwargs: Any,
) -> Decision:
    return comparison.decide(
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
        policy=Policy(rule=rule, **kwargs),
    )


# Direction, ties and sizes of a change.


@pytest.mark.parametrize(
    ("rule", "candidate", "best", "reason", "explanation"),
    [
        pytest.param(
            LOWER, 0.2, 0.3, R.BETTER, "loss 0.2 is smaller than the best's 0.3", id="lower: less"
        ),
        pytest.param(
            LOWER,
            0.3,
            0.2,
            R.NOT_BETTER,
            "loss 0.3 is not smaller than the best's 0.2",
            id="lower: more",
        ),
        pytest.param(
            LOWER, 0.3, 0.3, R.NOT_BETTER, "loss 0.3 is not smaller than the best's 0.3", id="a tie"
        ),
        pytest.param(
            HIGHER, 0.9, 0.8, R.BETTER, "auc 0.9 is larger than the best's 0.8", id="higher: more"
        ),
        pytest.param(
            HIGHER,
            0.8,
            0.9,
            R.NOT_BETTER,
            "auc 0.8 is not larger than the best's 0.9",
            id="higher: less",
        ),
        pytest.param(
            HIGHER, 0.8, 0.8, R.NOT_BETTER, "auc 0.8 is not larger than the best's 0.8", id="tie"
        ),
        pytest.param(
            LOWER,
            math.nextafter(0.3, 0),
            0.3,
            R.BETTER,
            "loss 0.2999999999999999 is smaller than the best's 0.3",
            id="one bit less",
        ),
        pytest.param(
            LOWER, -2.0, -1.0, R.BETTER, "loss -2 is smaller than the best's -1", id="negative"
        ),
        pytest.param(
            HIGHER,
            -2.0,
            -1.0,
            R.NOT_BETTER,
            "auc -2 is not larger than the best's -1",
            id="negative, higher",
        ),
        pytest.param(
            LOWER, 0.0, -0.0, R.NOT_BETTER, "loss 0 is not smaller than the best's -0", id="zeros"
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
        # 0.5 and 0.25 are exact: a change of just the threshold is not larger than it.
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
    (compared,) = decision.comparisons
    assert compared.required == required
    assert (f" by more than {required:.6g}" in decision.explanation) == bool(required)


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
    assert verdict.explanation == (
        "click/auc 0.5 is not larger than the best's 0.25 by more than 0.25"
    )
    assert verdict.comparisons == (
        comparison.Comparison(
            metric="click/auc",
            direction=pb.HIGHER_IS_BETTER,
            candidate=0.5,
            best=0.25,
            improvement=0.25,
            required=0.25,
        ),
    )


# The order of deciding.


@pytest.mark.parametrize(
    ("blessings", "reason", "explanation", "warnings"),
    [
        pytest.param((BLESSED,), R.BETTER, None, (), id="blessed"),
        pytest.param((BLESSED, BLESSED), R.BETTER, None, (), id="both blessed"),
        pytest.param((), R.BETTER, None, (), id="none given"),
        pytest.param(
            (NOT_BLESSED,),
            R.NOT_BLESSED,
            "model_blessing at /blessing/5 is not blessed",
            (),
            id="not blessed",
        ),
        pytest.param(
            (BLESSED, NOT_COMPUTED),
            R.BLESSING_NOT_COMPUTED,
            "infra_blessing at /infra/6 is not computed",
            (),
            id="not computed",
        ),
        pytest.param(
            (NOT_COMPUTED, NOT_BLESSED),
            R.NOT_BLESSED,
            "model_blessing at /blessing/5 is not blessed",
            (),
            id="a no comes first",
        ),
    ],
)
def test_blessings(
    blessings: tuple[Blessing, ...], reason: int, explanation: str | None, warnings: tuple[str, ...]
):
    decision = decide({"loss": 1}, {"loss": 2}, blessings=blessings)
    assert decision.reason == reason
    assert decision.explanation == explanation or explanation is None
    assert decision.warnings == warnings


def test_blessing_counts_before_anything_is_compared():
    decision = decide({"auc": 1}, blessings=(NOT_BLESSED,), best_digest="sha256:c")
    assert decision.reason == R.NOT_BLESSED
    assert decision.comparisons == ()


def test_the_best_itself_is_not_compared():
    decision = decide({"auc": NAN}, {"auc": 1}, best_digest="sha256:c")
    assert decision.reason == R.ALREADY_BEST
    assert decision.explanation == "the candidate is version 7 itself"
    assert not decision.is_export


def test_the_best_itself_is_warned_of_where_it_is_not_validated():
    decision = decide({"loss": 1}, {"loss": 1}, best_digest="sha256:c", blessings=())
    assert (decision.reason, decision.warnings) == (R.ALREADY_BEST, ())


@pytest.mark.parametrize("value", [0.5, -1.0, 0.0, INF, -INF])
def test_first_export_whatever_its_metric(value: float):
    decision = decide({"loss": value}, is_served=False)
    assert decision.reason == R.FIRST_EXPORT
    assert decision.is_export
    assert decision.explanation == f"nothing is served yet: loss is {value:.6g}"
    assert decision.comparisons == (
        comparison.Comparison(metric="loss", direction=pb.LOWER_IS_BETTER, candidate=value),
    )


@pytest.mark.parametrize(
    ("on_unknown_best", "reason", "explanation", "warning"),
    [
        pytest.param(
            pb.ComparePolicy.EXPORT,
            R.BEST_UNKNOWN_EXPORTED,
            f"{UNKNOWN}: the candidate is exported",
            f"{UNKNOWN}: the candidate was compared with nothing",
            id="EXPORT",
        ),
        pytest.param(
            pb.ComparePolicy.KEEP,
            R.BEST_UNKNOWN_KEPT,
            f"{UNKNOWN}: it is kept",
            UNKNOWN,
            id="KEEP",
        ),
    ],
)
def test_unknown_best(
    on_unknown_best: pb.ComparePolicy.OnUnknownBest, reason: int, explanation: str, warning: str
):
    decision = decide({"loss": 1}, on_unknown_best=on_unknown_best)
    assert (decision.reason, decision.explanation) == (reason, explanation)
    assert decision.warnings == (warning,)
    assert decision.is_export == (on_unknown_best == pb.ComparePolicy.EXPORT)


def test_unknown_best_is_exported_over_by_default_and_after_other_warnings():
    decision = decide({"loss": 1}, blessings=())
    assert decision.reason == R.BEST_UNKNOWN_EXPORTED
    assert decision.warnings == (f"{UNKNOWN}: the candidate was compared with nothing",)


def test_unknown_best_fails():
    with pytest.raises(RuntimeError) as caught:
        decide({"loss": 1}, on_unknown_best=pb.ComparePolicy.FAIL)
    assert str(caught.value) == (
        "compare_policy.on_unknown_best must be EXPORT or KEEP to go on (got FAIL): no evaluation"
        " of the best, version 7, is known. Choose one of these."
    )


@pytest.mark.parametrize(
    ("candidate", "best", "reason", "explanation"),
    [
        pytest.param(
            NAN,
            0.5,
            R.CANDIDATE_IS_NAN,
            "NaN is never exported: loss nan is not smaller than the best's 0.5",
            id="candidate",
        ),
        pytest.param(
            NAN,
            NAN,
            R.CANDIDATE_IS_NAN,
            "NaN is never exported: loss nan is not smaller than the best's nan",
            id="both",
        ),
        pytest.param(
            NAN,
            INF,
            R.CANDIDATE_IS_NAN,
            "NaN is never exported: loss nan is not smaller than the best's inf",
            id="candidate against infinity",
        ),
        pytest.param(
            99.0,
            NAN,
            R.BEST_IS_NAN,
            "the best is NaN: loss 99 is not smaller than the best's nan",
            id="best",
        ),
        pytest.param(
            INF,
            NAN,
            R.NOT_BETTER,
            "neither is finite: loss inf is not smaller than the best's nan",
            id="best, against infinity",
        ),
        pytest.param(
            -INF,
            NAN,
            R.NOT_BETTER,
            "neither is finite: loss -inf is not smaller than the best's nan",
            id="best, against less than all",
        ),
    ],
)
def test_nan(candidate: float, best: float, reason: int, explanation: str):
    decision = decide({"loss": candidate}, {"loss": best})
    assert (decision.reason, decision.explanation) == (reason, explanation)
    assert decision.is_export == (reason == R.BEST_IS_NAN)


def test_nan_is_no_first_export():
    decision = decide({"loss": NAN}, is_served=False)
    assert decision.reason == R.CANDIDATE_IS_NAN
    assert decision.explanation == "NaN is never exported: loss is nan"


def test_nan_is_not_exported_over_an_unknown_best():
    assert decide({"loss": NAN}).reason == R.CANDIDATE_IS_NAN


def test_nan_of_another_metric_does_not_count():
    assert decide({"loss": 1, "auc": NAN}, {"loss": 2, "auc": NAN}).reason == R.BETTER


@pytest.mark.parametrize(
    ("candidate", "best", "is_served"),
    [
        pytest.param({"auc": 1, "acc": 2}, None, False, id="first export"),
        pytest.param({"auc": 1, "acc": 2}, None, True, id="unknown best"),
        pytest.param({"auc": 1, "acc": 2}, {"loss": 2}, True, id="best has it"),
    ],
)
def test_a_missing_metric_is_an_error(
    candidate: dict[str, float], best: dict[str, float] | None, is_served: bool
):
    with pytest.raises(MissingMetricError) as caught:
        decide(candidate, best, is_served=is_served)
    assert str(caught.value) == (
        "compare_policy.metric.metric.name must be a metric of the evaluation (got 'loss')."
        " Found: acc, auc. Use one of these, or add it to Evaluator's EvalConfig."
    )


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
    with pytest.raises(MissingMetricError) as caught:
        LOWER.compare(best=best, candidate=EvalResult.from_mapping({"loss": 1}))
    assert str(caught.value) == (
        "compare_policy.metric.metric.name must be a metric of the best's evaluation too (got"
        f" 'loss', {got} Compare by one of these until a model with the metric is exported."
    )


# Compare functions.


@pytest.mark.parametrize("compare", [smaller_loss, swapped_smaller_loss])
@pytest.mark.parametrize(
    ("candidate", "best", "reason"),
    [(1, 2, R.BETTER), (2, 1, R.NOT_BETTER), (1, 1, R.NOT_BETTER)],
)
def test_compare_function_is_called_by_keyword(
    compare: Callable[..., bool], candidate: float, best: float, reason: int
):
    decision = decide({"loss": candidate}, {"loss": best}, rule=function(compare))
    assert decision.reason == reason
    assert decision.explanation == (
        f"compare returned {candidate < best} for loss {candidate} against the best's {best}"
    )
    assert decision.comparisons == (
        comparison.Comparison(metric="loss", candidate=candidate, best=best),
    )


def test_compare_function_gets_whole_evaluations():
    seen: dict[str, Any] = {}

    def compare(best_eval_result, current_eval_result):
        for name, result in (("best", best_eval_result), ("current", current_eval_result)):
            seen[name] = (
                result.uri,
                result.source,
                result.example_count,
                result.model_name,
                dict(result.slices),
                result.find(MetricKey(name="auc")),
            )
        return True

    part = EvalResult.from_mapping({"auc": 1})
    results = [
        EvalResult(
            {MetricKey(name="auc"): MetricValue(value=value, lower_bound=0, upper_bound=1)},
            uri=f"/{value}",
            source=pb.Evaluation.TFMA,
            example_count=9,
            model_name="mine",
            slices={(("a", 1),): part},
        )
        for value in (0.25, 0.5)
    ]
    function(compare).compare(best=results[0], candidate=results[1])
    slices = {(("a", 1),): part}
    for name, value in (("best", 0.25), ("current", 0.5)):
        metric = MetricValue(value=value, lower_bound=0, upper_bound=1)
        assert seen[name] == (f"/{value}", pb.Evaluation.TFMA, 9, "mine", slices, metric)


def numpy_bool(value: bool) -> Any:
    return pytest.importorskip("numpy").bool_(value)


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        pytest.param(lambda: True, R.BETTER, id="True"),
        pytest.param(lambda: False, R.NOT_BETTER, id="False"),
        pytest.param(lambda: numpy_bool(True), R.BETTER, id="numpy True"),
        pytest.param(lambda: numpy_bool(False), R.NOT_BETTER, id="numpy False"),
    ],
)
def test_compare_function_may_return(returned: Callable[[], Any], reason: int):
    rule = function(lambda best_eval_result, current_eval_result: returned())
    decision = decide({"loss": 1}, {"loss": 1}, rule=rule)
    assert decision.reason == reason
    assert decision.explanation == f"compare returned {reason == R.BETTER}"
    assert decision.comparisons == ()


@pytest.mark.parametrize("returned", [None, "True", 1, 0.0, (), [True]], ids=repr)
@pytest.mark.parametrize("is_served", [True, False], ids=["best", "no best"])
def test_compare_function_must_not_return(returned: Any, is_served: bool):
    rule = function(lambda best_eval_result, current_eval_result: returned)
    with pytest.raises(TypeError) as caught:
        decide({"loss": 1}, {"loss": 2}, rule=rule, is_served=is_served)
    assert str(caught.value) == (
        f"compare_fn must return True or False (got {returned!r} from compare)."
        " Mend the function; nothing was exported."
    )


@pytest.mark.parametrize("is_served", [True, False], ids=["best", "no best"])
def test_compare_function_that_raises(is_served: bool):
    def compare(best_eval_result, current_eval_result):
        raise OSError("out of luck")

    with pytest.raises(RuntimeError) as caught:
        decide({"loss": 1}, {"loss": 2}, rule=function(compare), is_served=is_served)
    assert str(caught.value) == (
        "compare_fn must return True or False (got OSError from compare: out of luck)."
        " Mend the function; nothing was exported."
    )
    assert isinstance(caught.value.__cause__, OSError)


def test_compare_function_that_reads_a_missing_metric():
    with pytest.raises(MissingMetricError) as caught:
        decide({"auc": 1, "acc": 2}, is_served=False, rule=function(smaller_loss))
    assert str(caught.value) == (
        "metric name must be a metric of the evaluation (got 'loss'). Found: acc, auc."
        " Use one of these, or add it to Evaluator's EvalConfig."
    )


@pytest.mark.parametrize(
    ("rule", "explanation"),
    [
        pytest.param(
            function(smaller_loss), "nothing is served yet: loss 3", id="metrics it reads"
        ),
        pytest.param(
            function(lambda best_eval_result, current_eval_result: False),
            "nothing is served yet: compare reads no metric",
            id="none",
        ),
    ],
)
def test_compare_function_does_not_decide_the_first_export(rule: CompareFunction, explanation: str):
    decision = decide({"loss": 3, "auc": NAN}, is_served=False, rule=rule)
    assert (decision.reason, decision.explanation) == (R.FIRST_EXPORT, explanation)


@pytest.mark.parametrize(
    ("candidate", "best", "reason"),
    [
        pytest.param({"loss": NAN}, {"loss": 1}, R.CANDIDATE_IS_NAN, id="candidate"),
        pytest.param({"loss": 1}, {"loss": NAN}, R.BEST_IS_NAN, id="best"),
        pytest.param({"loss": INF}, {"loss": NAN}, R.NOT_BETTER, id="neither is finite"),
        pytest.param({"loss": 1, "x": NAN}, {"loss": 2}, R.BETTER, id="not read"),
        pytest.param({"loss": 1}, {"loss": 2, "x": NAN}, R.BETTER, id="not read of the best"),
    ],
)
def test_nan_that_a_compare_function_reads(
    candidate: dict[str, float], best: dict[str, float], reason: int
):
    assert decide(candidate, best, rule=function(smaller_loss)).reason == reason


def test_nan_in_one_of_two_metrics_of_the_best_leaves_it_to_the_function():
    def compare(best_eval_result, current_eval_result):
        dict(best_eval_result)
        return current_eval_result["loss"] < best_eval_result["loss"]

    best = {"loss": 0.1, "auc": NAN}
    assert decide({"loss": 9, "auc": 1}, best, rule=function(compare)).reason == R.NOT_BETTER
    assert decide({"loss": 0, "auc": 1}, best, rule=function(compare)).reason == R.BETTER


def test_asking_whether_there_is_a_metric_is_not_reading_it():
    def compare(best_eval_result, current_eval_result):
        assert "auc" in current_eval_result
        return current_eval_result["loss"] < best_eval_result["loss"]

    decision = decide({"loss": 1, "auc": NAN}, {"loss": 2}, rule=function(compare))
    assert decision.reason == R.BETTER


def test_nan_is_no_first_export_with_a_compare_function():
    decision = decide({"loss": NAN}, is_served=False, rule=function(smaller_loss))
    assert decision.reason == R.CANDIDATE_IS_NAN


def test_compare_function_that_always_agrees_does_not_export_nan():
    def careless(best_eval_result, current_eval_result):
        return not current_eval_result.get("loss") > best_eval_result.get("loss")

    assert decide({"loss": NAN}, {"loss": 1}, rule=function(careless)).reason == R.CANDIDATE_IS_NAN


def test_compare_function_may_read_what_only_one_side_has():
    def compare(best_eval_result, current_eval_result):
        return current_eval_result.get("new", 0.0) > best_eval_result.get("new", 0.0)

    decision = decide({"new": 1}, {"loss": 1}, rule=function(compare))
    assert decision.reason == R.BETTER
    assert decision.explanation == "compare returned True for new 1 against the best's none"


# Policies.


def load_nothing(reference: str) -> Callable[..., Any]:
    raise AssertionError(reference)


def metric_policy(**kwargs: Any) -> pb.ComparePolicy:
    rule: dict[str, Any] = {
        "metric": pb.MetricKey(name="auc"),
        "direction": pb.HIGHER_IS_BETTER,
        **kwargs,
    }
    return pb.ComparePolicy(metric=pb.MetricRule(**rule))


def test_policy_of_a_metric():
    proto = metric_policy(
        metric=pb.MetricKey(name="auc", output_name="click", sub_key=pb.SubKey(top_k=3)),
        min_absolute_change=0.5,
        min_relative_change=0.25,
    )
    proto.on_unknown_best = pb.ComparePolicy.KEEP
    assert comparison.policy_from_proto(proto, load_nothing) == Policy(
        rule=MetricRule(
            key=MetricKey(name="auc", output_name="click", sub_key=("top_k", 3)),
            direction=pb.HIGHER_IS_BETTER,
            min_absolute_change=0.5,
            min_relative_change=0.25,
        ),
        on_unknown_best=pb.ComparePolicy.KEEP,
    )


def test_policy_of_a_function():
    loaded = []

    def load(reference: str) -> Callable[..., Any]:
        loaded.append(reference)
        return smaller_loss

    policy = comparison.policy_from_proto(pb.ComparePolicy(compare_fn="my.compare"), load)
    assert policy == Policy(rule=CompareFunction(function=smaller_loss, name="my.compare"))
    assert loaded == ["my.compare"]


def test_default_policy_is_a_smaller_loss():
    policy = comparison.policy_from_proto(comparison.DEFAULT_COMPARE_POLICY, load_nothing)
    assert policy == Policy(rule=LOWER, on_unknown_best=pb.ComparePolicy.EXPORT)


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        pytest.param(
            pb.ComparePolicy(on_unknown_best=pb.ComparePolicy.KEEP),
            "compare_policy must have a rule (got none). Set metric or compare_fn, or pass no"
            " compare_policy to ask for a smaller 'loss'.",
            id="no rule",
        ),
        pytest.param(
            metric_policy(metric=pb.MetricKey(output_name="click")),
            "compare_policy.metric.metric.name must be the name of a metric (got '')."
            " Name a metric of Evaluator's EvalConfig.",
            id="no name",
        ),
        pytest.param(
            metric_policy(direction=pb.METRIC_DIRECTION_UNSPECIFIED),
            "compare_policy.metric.direction must be HIGHER_IS_BETTER or LOWER_IS_BETTER (got"
            " METRIC_DIRECTION_UNSPECIFIED). Say which way 'auc' improves.",
            id="no direction",
        ),
        *(
            pytest.param(
                metric_policy(**{field: value}),
                f"compare_policy.metric.{field} must be a finite number, 0 or larger"
                f" (got {value!r}). It is the size of an improvement, whichever the direction.",
                id=f"{field} {value}",
            )
            for field in ("min_absolute_change", "min_relative_change")
            for value in (-0.5, INF, -INF, NAN)
        ),
    ],
)
def test_policy_is_refused(proto: pb.ComparePolicy, message: str):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        comparison.policy_from_proto(proto, load_nothing)
    assert str(caught.value) == message


# Properties.

anything = st.floats()
rules = st.builds(
    MetricRule,
    key=st.just(MetricKey(name="m")),
    direction=st.sampled_from([pb.LOWER_IS_BETTER, pb.HIGHER_IS_BETTER]),
    min_absolute_change=st.floats(0, 1e6),
    min_relative_change=st.floats(0, 10),
)


@given(rule=rules, best=anything, values=st.tuples(anything, anything))
def test_a_better_metric_is_never_refused_where_a_worse_one_is_taken(
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
