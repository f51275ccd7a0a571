from collections.abc import Callable
from typing import Any

import pytest

from tests.errors import about
from tests.executor.deciding.decided import (
    INF,
    NAN,
    R,
    decide,
    function,
    said,
    smaller_loss,
    swapped_smaller_loss,
)
from tfx_best_exporter.executor.arguments.errors import FieldValueError
from tfx_best_exporter.executor.deciding.compare_function import CompareFunction, check_one_policy
from tfx_best_exporter.executor.deciding.eval_result import (
    EvalResult,
    MetricKey,
    MetricValue,
    MissingMetricError,
)
from tfx_best_exporter.executor.deciding.rules import Comparison
from tfx_best_exporter.proto import best_exporter_pb2 as pb


def against(metric: str, candidate: str, best: str) -> str:
    return f"{metric} {candidate} (best {best})"


def called(returned: bool, values: str = "") -> str:
    return f"compare returned {returned}{values and f' for {values}'}"


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
    values = against("loss", str(candidate), str(best))
    assert decision.explanation == called(candidate < best, values)
    assert decision.comparisons == (Comparison(metric="loss", candidate=candidate, best=best),)


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
    assert decision.explanation == called(reason == R.BETTER)
    assert decision.comparisons == ()


def no_bool(got: str) -> str:
    return (
        f"compare_fn must return True or False (got {got}). Fix the function; nothing was exported."
    )


@pytest.mark.parametrize("returned", [None, "True", 1, 0.0, (), [True]], ids=repr)
@pytest.mark.parametrize("is_served", [True, False], ids=["best", "no best"])
def test_compare_function_must_not_return(returned: Any, is_served: bool):
    rule = function(lambda best_eval_result, current_eval_result: returned)
    with pytest.raises(TypeError) as caught:
        decide({"loss": 1}, {"loss": 2}, rule=rule, is_served=is_served)
    assert str(caught.value) == no_bool(f"{returned!r} from compare")


@pytest.mark.parametrize("is_served", [True, False], ids=["best", "no best"])
def test_compare_function_that_raises(is_served: bool):
    def compare(best_eval_result, current_eval_result):
        raise OSError("out of luck")

    with pytest.raises(RuntimeError) as caught:
        decide({"loss": 1}, {"loss": 2}, rule=function(compare), is_served=is_served)
    assert str(caught.value) == no_bool("OSError from compare: out of luck")
    assert isinstance(caught.value.__cause__, OSError)


class UnshownError(Exception):
    """An exception, and a value, that cannot be shown."""

    def __str__(self) -> str:
        raise LookupError

    __repr__ = __str__


@pytest.mark.parametrize(
    ("error", "got"),
    [
        pytest.param(SystemExit(0), "SystemExit from compare: 0", id="sys.exit"),
        pytest.param(
            UnshownError(),
            "UnshownError from compare: UnshownError whose text raises LookupError",
            id="a text that raises",
        ),
    ],
)
def test_compare_function_that_ends_in_another_way(error: BaseException, got: str):
    def compare(best_eval_result, current_eval_result):
        raise error

    with pytest.raises(RuntimeError) as caught:
        decide({"loss": 1}, {"loss": 2}, rule=function(compare))
    assert str(caught.value) == no_bool(got)


def test_compare_function_that_returns_what_cannot_be_shown():
    rule = function(lambda best_eval_result, current_eval_result: UnshownError())
    with pytest.raises(TypeError) as caught:
        decide({"loss": 1}, {"loss": 2}, rule=rule)
    assert str(caught.value) == no_bool("UnshownError whose text raises LookupError from compare")


def test_a_function_and_a_policy_exclude_each_other():
    check_one_policy(None, has_policy=True)
    check_one_policy(smaller_loss, has_policy=False)
    with pytest.raises(FieldValueError) as caught:
        check_one_policy("a.b", has_policy=True)
    assert str(caught.value) == (
        "compare_fn must be None if compare_policy is set (got both)."
        " Set compare_policy.compare_fn instead."
    )


def test_compare_function_that_reads_a_missing_metric():
    with pytest.raises(MissingMetricError, match=about("metric name", "'loss'")):
        decide({"auc": 1, "acc": 2}, is_served=False, rule=function(smaller_loss))


@pytest.mark.parametrize(
    ("rule", "explanation"),
    [
        pytest.param(function(smaller_loss), "loss 3", id="metrics it reads"),
        pytest.param(
            function(lambda best_eval_result, current_eval_result: False),
            "compare reads no metric",
            id="none",
        ),
    ],
)
def test_compare_function_does_not_decide_the_first_export(rule: CompareFunction, explanation: str):
    decision = decide({"loss": 3, "auc": NAN}, is_served=False, rule=rule)
    assert decision.reason == R.FIRST_EXPORT
    assert said(rule, {"loss": 3, "auc": NAN}) == explanation


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


@pytest.mark.parametrize(
    ("candidate", "which"),
    [pytest.param(1, "any", id="finite"), pytest.param(INF, "only a", id="infinite")],
)
def test_explanation_where_the_best_is_nan(candidate: float, which: str):
    assert said(function(smaller_loss), {"loss": candidate}, {"loss": NAN}) == (
        f"the best's loss is NaN, so {which} finite value is better:"
        f" {called(False, against('loss', str(candidate), 'NaN'))}"
    )


def test_explanation_where_all_metrics_of_the_best_are_nan():
    def compare(best_eval_result, current_eval_result):
        return [best_eval_result[name] for name in ("auc", "loss")] == []

    explanation = said(function(compare), {"auc": 1, "loss": 1}, {"auc": NAN, "loss": NAN})
    assert explanation.startswith("the best's auc and loss are NaN, so any finite value is better:")


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
    assert decision.explanation == called(True, against("new", "1", "none"))
