from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from tfx_best_exporter.executor import storage
from tfx_best_exporter.executor.deciding.eval_result import (
    EvalResult,
    EvaluatedData,
    MetricKey,
    MetricValue,
)
from tfx_best_exporter.executor.deciding.models import Best
from tfx_best_exporter.executor.evaluations import best as basis
from tfx_best_exporter.proto import best_exporter_pb2 as pb

MODEL_URI = "/pipelines/penguin/Trainer/model/2"
EXPORT_URI = "/serving/penguin/1732240000"
DATA = EvaluatedData(examples_uri="/examples/1", splits=("eval",), eval_config_digest="sha256:1")
OTHER_DATA = EvaluatedData(
    examples_uri="/examples/2", splits=("eval",), eval_config_digest="sha256:1"
)
UNKNOWN_DATA = EvaluatedData(eval_config_digest="sha256:1")


def not_the_best(problem: str) -> str:
    return f"the evaluation's baseline is not used: it is not the best, but the model at {problem}"


def not_evaluated(problem: str) -> str:
    return f"the best could not be evaluated again on the candidate's examples: {problem}"


def must_be_evaluated(problem: str) -> str:
    return (
        f"cannot evaluate the best at {EXPORT_URI} on the candidate's examples: {problem}."
        " Nothing was exported, because compare_policy.comparability is REQUIRE_SAME_DATA."
        " Fix the examples or the EvalConfig, or set PREFER_SAME_DATA for one run."
    )


def evaluation(data: EvaluatedData | None = None, *names: str, **others: object) -> EvalResult:
    metrics = {MetricKey(name=name): MetricValue(value=0.5) for name in names or ("loss",)}
    return EvalResult(metrics, data=data, **others)  # type: ignore[arg-type]


def beside(path: str, *names: str, data: EvaluatedData = DATA) -> EvalResult:
    """Returns a candidate's evaluation whose baseline is the model at a path."""
    baseline = evaluation(data, *names, model_name="baseline", model_paths={"baseline": path})
    return evaluation(data, model_name="candidate", baseline=baseline)


class Found(NamedTuple):
    """The best's evaluation, and the warnings."""

    eval_result: EvalResult | None
    basis: int = pb.ExportDecision.BASIS_UNSPECIFIED
    together: EvalResult | None = None
    warnings: tuple[str, ...] = ()


def best_of(
    candidate: EvalResult,
    recorded: EvalResult | None = None,
    reevaluate: Callable[[], basis.Reevaluated] | None = None,
    **others: Any,
) -> Found:
    best, warnings = basis.with_evaluation(
        Best(version=7, digest="sha256:b", eval_result=recorded),
        candidate=candidate,
        reevaluate=reevaluate,
        model_uri=others.pop("model_uri", MODEL_URI),
        export_uri=others.pop("export_uri", EXPORT_URI),
        **others,
    )
    return Found(best.eval_result, best.basis, best.together, warnings)


def alone(best: EvalResult) -> basis.Reevaluated:
    return basis.Reevaluated(best=best)


def never() -> basis.Reevaluated:
    raise AssertionError("must not be evaluated again")


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(f"{MODEL_URI}/Format-Serving", id="the model's serving format"),
        pytest.param(MODEL_URI, id="the model itself"),
        pytest.param(f"{EXPORT_URI}/", id="the export"),
    ],
)
def test_a_baseline_that_is_the_best(path: str):
    candidate = beside(path)
    found = best_of(candidate, evaluation(DATA), never)
    assert found.basis == pb.ExportDecision.SAME_EVALUATION
    assert found.together is candidate
    assert found.eval_result is candidate.baseline
    assert found.warnings == ()


def test_a_model_of_another_content_at_the_same_uri_is_not_the_best():
    # A new ML Metadata store hands out the same URIs again.
    path, asked = f"{MODEL_URI}/Format-Serving", []

    def has_content_of_best(path: str) -> bool:
        asked.append(path)
        return False

    recorded = evaluation(DATA)
    found = best_of(beside(path), recorded, has_content_of_best=has_content_of_best)
    assert (found.eval_result, found.basis) == (recorded, pb.ExportDecision.RECORDED_SAME_DATA)
    assert found.warnings == (not_the_best(path),)
    assert asked == [path]


def test_only_what_is_compared_is_needed():
    path = f"{MODEL_URI}/Format-Serving"
    baseline = beside(path, "auc")
    assert best_of(baseline).basis != pb.ExportDecision.SAME_EVALUATION
    found = best_of(baseline, needed=[MetricKey(name="auc")])
    assert found.basis == pb.ExportDecision.SAME_EVALUATION


def test_a_best_that_lacks_a_metric_when_it_is_evaluated_again():
    candidate, again = evaluation(DATA, "loss", "auc"), evaluation(DATA, "auc")
    recorded = evaluation(DATA, "loss", "auc")
    found = best_of(candidate, recorded, lambda: alone(again))
    assert found.eval_result is recorded
    assert found.warnings == (not_evaluated("the new evaluation has no loss"),)
    with pytest.raises(RuntimeError) as caught:
        best_of(
            candidate,
            recorded,
            lambda: alone(again),
            comparability=pb.ComparePolicy.REQUIRE_SAME_DATA,
        )
    assert str(caught.value) == must_be_evaluated("the new evaluation has no loss")


@pytest.mark.parametrize(
    ("path", "model_uri"),
    [
        pytest.param("/pipelines/penguin/Trainer/model/3/Format-Serving", MODEL_URI, id="another"),
        pytest.param(f"{MODEL_URI}0/Format-Serving", MODEL_URI, id="a longer number"),
        pytest.param(f"{EXPORT_URI}/below", "", id="below the export"),
        pytest.param("/models/7", "", id="a best whose model is not known"),
    ],
)
def test_a_baseline_that_is_not_the_best_is_not_taken_for_it(path: str, model_uri: str):
    recorded = evaluation(DATA)
    found = best_of(beside(path), recorded, model_uri=model_uri)
    assert found.eval_result is recorded
    assert found.basis == pb.ExportDecision.RECORDED_SAME_DATA
    assert found.warnings == (not_the_best(path),)


def test_a_baseline_without_a_path_is_not_the_best():
    found = best_of(beside(""), evaluation(DATA), model_uri="", export_uri="")
    assert found.basis == pb.ExportDecision.RECORDED_SAME_DATA
    assert found.warnings == (not_the_best("an unknown path"),)


def test_a_baseline_without_the_candidates_metrics():
    again = evaluation(DATA)
    found = best_of(beside(MODEL_URI, "auc"), None, lambda: alone(again))
    assert found.eval_result is again
    assert found.warnings == (
        "the evaluation's baseline is the best, but it is not used: it has no loss",
    )


def test_evaluated_again_rather_than_recorded():
    again = evaluation(DATA)
    found = best_of(evaluation(DATA), evaluation(DATA), lambda: alone(again))
    assert found == Found(eval_result=again, basis=pb.ExportDecision.EVALUATED_AGAIN)


def test_evaluated_again_together():
    again, best = evaluation(DATA), evaluation(DATA)
    found = best_of(
        evaluation(DATA),
        evaluation(DATA),
        lambda: basis.Reevaluated(best=best, together=again),
    )
    assert found == Found(eval_result=best, basis=pb.ExportDecision.EVALUATED_AGAIN, together=again)


def of_loss(loss: float, example_count: float | None = None, **others: object) -> EvalResult:
    return EvalResult(
        {MetricKey(name="loss"): MetricValue(value=loss)},
        example_count=example_count,
        **others,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("example_count", "again", "problem"),
    [
        pytest.param(100, None, "", id="the best alone"),
        pytest.param(None, None, "", id="no count"),
        pytest.param(
            90,
            None,
            "`examples` has 90 examples, but the candidate was evaluated on 100",
            id="number of examples",
        ),
        pytest.param(
            100.01,
            None,
            "`examples` has 100.01 examples, but the candidate was evaluated on 100",
            id="another sum of weights",
        ),
        pytest.param(
            1_000_000,
            None,
            "`examples` has 1,000,000 examples, but the candidate was evaluated on 100",
            id="many more",
        ),
        pytest.param(100.0000305, None, "", id="weights in another order"),
        pytest.param(
            100.0,
            0.0,
            "the candidate's loss is 0 on `examples`, but 0.5 in its own evaluation",
            id="zero",
        ),
        pytest.param(100, 0.50004, "", id="nearly the same value"),
        pytest.param(
            100,
            0.5001,
            "the candidate's loss is 0.5001 on `examples`, but 0.5 in its own evaluation",
            id="another value of the candidate",
        ),
        pytest.param(
            100,
            float("nan"),
            "the candidate's loss is NaN on `examples`, but 0.5 in its own evaluation",
            id="NaN of the candidate",
        ),
    ],
)
@pytest.mark.parametrize("needed", [None, [MetricKey(name="loss")]])
def test_examples_that_are_not_the_candidates(
    example_count: float | None,
    again: float | None,
    problem: str,
    needed: list[MetricKey] | None,
):
    """The candidate's data are not known, even if the URIs of the examples are equal."""
    candidate = of_loss(0.5, 100, data=DATA)
    now = basis.Reevaluated(
        best=of_loss(0.4, example_count), together=None if again is None else of_loss(again)
    )
    found = best_of(candidate, evaluation(DATA), lambda: now, needed=needed)
    if problem:
        assert found.basis == pb.ExportDecision.RECORDED_OTHER_DATA
        assert found.warnings == (not_evaluated(problem),)
    else:
        assert found.basis == pb.ExportDecision.EVALUATED_AGAIN
        assert found.warnings == ()


def test_one_example_of_many_is_noticed():
    now = basis.Reevaluated(best=of_loss(0.4, 10_000_001))
    found = best_of(of_loss(0.5, 10_000_000), evaluation(DATA), lambda: now)
    assert found.basis == pb.ExportDecision.RECORDED_OTHER_DATA


@pytest.mark.parametrize(("own", "again"), [(float("nan"), 0.5), (0.5, float("nan"))])
def test_nan_is_another_value(own: float, again: float):
    now = basis.Reevaluated(best=of_loss(0.4), together=of_loss(again))
    found = best_of(of_loss(own), evaluation(DATA), lambda: now)
    assert found.basis == pb.ExportDecision.RECORDED_OTHER_DATA
    same = basis.Reevaluated(best=of_loss(0.4), together=of_loss(own))
    found = best_of(of_loss(own), evaluation(DATA), lambda: same)
    assert found.basis == pb.ExportDecision.EVALUATED_AGAIN


def test_a_value_near_zero_is_as_near_as_single_precision():
    now = basis.Reevaluated(best=of_loss(0.4), together=of_loss(2.1e-6))
    found = best_of(of_loss(2e-6), evaluation(DATA), lambda: now)
    assert found.basis == pb.ExportDecision.EVALUATED_AGAIN


def test_small_values_are_not_near_because_they_are_small():
    now = basis.Reevaluated(best=of_loss(0.0008), together=of_loss(0.0012))
    found = best_of(of_loss(0.0005), evaluation(DATA), lambda: now)
    assert found.basis == pb.ExportDecision.RECORDED_OTHER_DATA


def test_a_challenger_that_is_missing_is_a_warning():
    now = basis.Reevaluated(best=of_loss(0.4), warnings=("challenger sha256:1 is missing",))
    found = best_of(of_loss(0.5), evaluation(DATA), lambda: now)
    assert found.basis == pb.ExportDecision.EVALUATED_AGAIN
    assert found.warnings == ("challenger sha256:1 is missing",)


@pytest.mark.parametrize(
    ("again", "before", "problem"),
    [
        pytest.param(of_loss(0.5, 100), of_loss(0.5, 100), "", id="same"),
        pytest.param(of_loss(0.50001, 100), of_loss(0.5, 100), "", id="single precision"),
        pytest.param(of_loss(0.5), of_loss(0.5, 100), "", id="unknown number of examples"),
        pytest.param(of_loss(0.5), evaluation(DATA, "auc"), "", id="other metrics"),
        pytest.param(
            of_loss(0.5, 200),
            of_loss(0.5, 100),
            "it was evaluated on 200 examples, and on 100 before",
            id="other number of examples",
        ),
        pytest.param(
            of_loss(0.501), of_loss(0.5), "its loss is 0.501, and was 0.5 before", id="other value"
        ),
    ],
)
def test_two_evaluations_of_one_model(again: EvalResult, before: EvalResult, problem: str):
    assert basis.why_not_same_evaluation(again, before) == problem


@pytest.mark.parametrize(
    ("candidate", "recorded", "expected"),
    [
        pytest.param(DATA, DATA, pb.ExportDecision.RECORDED_SAME_DATA, id="same"),
        pytest.param(DATA, OTHER_DATA, pb.ExportDecision.RECORDED_OTHER_DATA, id="other"),
        pytest.param(DATA, UNKNOWN_DATA, pb.ExportDecision.RECORDED_OTHER_DATA, id="unknown"),
        pytest.param(
            UNKNOWN_DATA, UNKNOWN_DATA, pb.ExportDecision.RECORDED_OTHER_DATA, id="both unknown"
        ),
    ],
)
def test_recorded(candidate: EvaluatedData, recorded: EvaluatedData, expected: int):
    found = best_of(evaluation(candidate), evaluation(recorded))
    assert (found.basis, found.warnings) == (expected, ())


def test_nothing_is_known():
    assert best_of(evaluation(DATA)) == Found(eval_result=None)


def raising() -> basis.Reevaluated:
    raise ValueError("no signature\nand a long trace")


def test_what_cannot_be_evaluated_again_is_a_warning():
    recorded = evaluation(OTHER_DATA)
    found = best_of(evaluation(DATA), recorded, raising)
    assert found.eval_result is recorded
    assert found.basis == pb.ExportDecision.RECORDED_OTHER_DATA
    assert found.warnings == (not_evaluated("ValueError: no signature"),)


def test_what_cannot_be_evaluated_again_is_an_error_where_it_is_required():
    with pytest.raises(RuntimeError) as caught:
        best_of(
            evaluation(DATA),
            evaluation(DATA),
            raising,
            comparability=pb.ComparePolicy.REQUIRE_SAME_DATA,
        )
    assert str(caught.value) == must_be_evaluated("ValueError: no signature")


def of_model(path: str) -> EvalResult:
    return evaluation(DATA, model_name="candidate", model_paths={"candidate": path}, uri="/eval/4")


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(f"{MODEL_URI}/Format-Serving", id="serving format"),
        pytest.param(f"{MODEL_URI}/Format-TFMA", id="TFMA's format"),
        pytest.param("", id="not known"),
        pytest.param("/tmp/loaded_by_custom_eval_shared_model", id="loaded from elsewhere"),
    ],
)
def test_an_evaluation_of_the_candidate(path: str):
    basis.check_candidate(of_model(path), MODEL_URI)


def test_an_evaluation_of_another_model():
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        basis.check_candidate(of_model("/pipelines/Trainer/model/3/Format-Serving"), MODEL_URI)
    assert str(caught.value) == (
        f"evaluation must be of the candidate, '{MODEL_URI}' (got an evaluation of"
        " '/pipelines/Trainer/model/3', at /eval/4). Pass the same model channel to Evaluator and"
        " BestExporter."
    )


def test_an_evaluation_of_a_candidate_in_a_mounted_directory():
    # On Kubeflow Pipelines, Evaluator reads the model from a local folder.
    uri = "minio://test-best/model/2"
    storage.mount(uri, "/minio/test-best/model/2")
    basis.check_candidate(of_model("/minio/test-best/model/2/Format-Serving"), uri)
    with pytest.raises(ValueError, match=r"'/minio/test-best/model/3'"):
        basis.check_candidate(of_model("/minio/test-best/model/3/Format-Serving"), uri)
