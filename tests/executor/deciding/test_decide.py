import dataclasses
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.errors import about
from tests.executor.deciding.decided import (
    AUC_THEN_LOSS,
    BLESSED,
    DE,
    HIGHER,
    INF,
    LOWER,
    NAN,
    NL,
    RULE,
    SIGNIFICANT,
    Metrics,
    R,
    decide,
    decide_by,
    evaluation,
    guarded,
    interval,
    said,
)
from tfx_best_exporter.executor.deciding import decide as comparison
from tfx_best_exporter.executor.deciding import decide as decide_module
from tfx_best_exporter.executor.deciding import recipes, signatures
from tfx_best_exporter.executor.deciding.eval_result import (
    EvalResult,
    EvaluatedData,
    MissingMetricError,
)
from tfx_best_exporter.executor.deciding.metric_limit import MetricLimit
from tfx_best_exporter.executor.deciding.models import (
    Best,
    Blessing,
    BlessingStatus,
    Candidate,
    Decision,
    Observation,
)
from tfx_best_exporter.executor.deciding.policy import check_policy, policy_from_proto
from tfx_best_exporter.executor.deciding.rules import Comparison
from tfx_best_exporter.executor.deciding.signatures import Signature, TensorSpec
from tfx_best_exporter.executor.policies import at_least, at_most, compare_policy, larger, smaller
from tfx_best_exporter.proto import best_exporter_pb2 as pb

UNKNOWN = "the evaluation of the best (version 7) is not known"
NOT_COMPARED = f"{UNKNOWN}, so the candidate was not compared with it"
NOT_BLESSED = Blessing(name="model_blessing", uri="/blessing/5", status=BlessingStatus.NOT_BLESSED)
NOT_COMPUTED = Blessing(name="infra_blessing", uri="/infra/6", status=BlessingStatus.NOT_COMPUTED)


NO_BLESSING = 'model_blessing at /blessing/5 is "not blessed"'


@pytest.mark.parametrize(
    ("blessings", "reason", "explanation", "warnings"),
    [
        pytest.param((BLESSED,), R.BETTER, None, (), id="blessed"),
        pytest.param((BLESSED, BLESSED), R.BETTER, None, (), id="both blessed"),
        pytest.param((), R.BETTER, None, (), id="none given"),
        pytest.param(
            (NOT_BLESSED,),
            R.NOT_BLESSED,
            NO_BLESSING,
            (),
            id="not blessed",
        ),
        pytest.param(
            (dataclasses.replace(NOT_BLESSED, why="auc is too small"),),
            R.NOT_BLESSED,
            f"{NO_BLESSING}: auc is too small",
            (),
            id="not blessed, for a reason",
        ),
        pytest.param(
            (BLESSED, NOT_COMPUTED),
            R.BLESSING_NOT_COMPUTED,
            "infra_blessing at /infra/6 was not computed",
            (),
            id="not computed",
        ),
        pytest.param(
            (NOT_COMPUTED, NOT_BLESSED),
            R.NOT_BLESSED,
            NO_BLESSING,
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
    assert decision.explanation == (
        "the candidate has the same content as version 7, which is served"
    )
    assert not decision.is_export


def test_the_best_itself_is_warned_of_where_it_is_not_validated():
    decision = decide({"loss": 1}, {"loss": 1}, best_digest="sha256:c", blessings=())
    assert (decision.reason, decision.warnings) == (R.ALREADY_BEST, ())


@pytest.mark.parametrize("value", [0.5, -1.0, 0.0, INF, -INF])
def test_first_export_whatever_its_metric(value: float):
    decision = decide({"loss": value}, is_served=False)
    assert decision.reason == R.FIRST_EXPORT
    assert decision.is_export
    assert decision.explanation == f"nothing is served yet: {said(LOWER, {'loss': value})}"
    assert decision.comparisons == (
        Comparison(metric="loss", direction=pb.LOWER_IS_BETTER, candidate=value),
    )


@pytest.mark.parametrize(
    ("on_unknown_best", "reason", "explanation", "warning"),
    [
        pytest.param(
            pb.ComparePolicy.EXPORT,
            R.BEST_UNKNOWN_EXPORTED,
            f"{UNKNOWN}, so the candidate is exported",
            NOT_COMPARED,
            id="EXPORT",
        ),
        pytest.param(
            pb.ComparePolicy.KEEP,
            R.BEST_UNKNOWN_KEPT,
            f"{UNKNOWN}, so the best is kept. To go on, run `best-exporter adopt` with its"
            " evaluation, pass examples, so that the best is evaluated on them, or set"
            " compare_policy.on_unknown_best to EXPORT for one run",
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


def test_unknown_best_is_kept_by_default():
    decision = decide({"loss": 1}, blessings=())
    assert decision.reason == R.BEST_UNKNOWN_KEPT
    assert decision.warnings == (UNKNOWN,)


@pytest.mark.parametrize("force", ["", "a reason"])
def test_while_a_version_is_being_written_nothing_is_exported(force: str):
    observation = Observation(
        candidate=Candidate(digest="sha256:c", eval_result=EvalResult.from_mapping({"loss": 0.1})),
        best=Best(version=7, digest="sha256:c", eval_result=EvalResult.from_mapping({"loss": 0.2})),
        being_written="version 9 is being written: x",
    )
    policy = policy_from_proto(compare_policy(smaller("loss"), force=force), lambda _: bool)
    decision = decide_module.decide(observation, policy, 0.0)
    # The candidate has the content of version 7, but version 9 is above it.
    assert decision.reason == R.BEING_WRITTEN
    assert not decision.is_favored
    assert decision.explanation == (
        "version 9 is being written: x. Nothing is exported until the version is complete, or has"
        " not changed for 10 minutes"
    )
    blessing = Blessing(name="model_blessing", uri="/b", status=BlessingStatus.NOT_BLESSED)
    candidate = dataclasses.replace(observation.candidate, blessings=(blessing,))
    observation = dataclasses.replace(observation, candidate=candidate)
    assert decide_module.decide(observation, policy, 0.0).reason == R.NOT_BLESSED


def test_the_problem_of_an_unknown_best_is_in_the_explanation():
    best = Best(version=7, digest="", eval_result=None, is_foreign=True, problem="it was edited")
    candidate = Candidate(digest="c", eval_result=EvalResult.from_mapping({"loss": 0.1}))
    policy = policy_from_proto(compare_policy(smaller("loss")), lambda _: bool)
    decision = decide_module.decide(Observation(candidate=candidate, best=best), policy, 0.0)
    assert decision.reason == R.BEST_UNKNOWN_KEPT
    assert decision.warnings == (f"{UNKNOWN}: it was edited",)


@pytest.mark.parametrize(
    ("is_unknown", "comparability", "remedies"),
    [
        pytest.param(
            True,
            "PREFER_SAME_DATA",
            "repair this version, or set compare_policy.on_unknown_best to EXPORT for one run",
            id="its content is not known",
        ),
        pytest.param(
            False,
            "REQUIRE_SAME_DATA",
            "pass examples, so that the best is evaluated on them, or set"
            " compare_policy.on_unknown_best to EXPORT and compare_policy.comparability to"
            " PREFER_SAME_DATA for one run",
            id="the same data are required",
        ),
    ],
)
def test_the_remedies_for_an_unknown_best(is_unknown: bool, comparability: str, remedies: str):
    best = Best(
        version=7, digest="", eval_result=None, is_foreign=True, problem="x", is_unknown=is_unknown
    )
    candidate = Candidate(digest="c", eval_result=EvalResult.from_mapping({"loss": 0.1}))
    policy = policy_from_proto(
        compare_policy(smaller("loss"), comparability=comparability), lambda _: bool
    )
    decision = decide_module.decide(Observation(candidate=candidate, best=best), policy, 0.0)
    assert decision.reason == R.BEST_UNKNOWN_KEPT
    assert decision.explanation == f"{UNKNOWN}: x, so the best is kept. To go on, {remedies}"


def test_unknown_best_fails():
    with pytest.raises(RuntimeError) as caught:
        decide({"loss": 1}, on_unknown_best=pb.ComparePolicy.FAIL)
    assert str(caught.value) == (
        f"cannot compare the candidate with the best: {UNKNOWN}, and"
        " compare_policy.on_unknown_best is FAIL. Set it to KEEP or EXPORT."
    )


NEVER_NAN = "the candidate's loss is NaN: a model with a NaN metric is never exported"


@pytest.mark.parametrize(
    ("candidate", "best", "reason"),
    [
        pytest.param(NAN, 0.5, R.CANDIDATE_IS_NAN, id="candidate"),
        pytest.param(NAN, NAN, R.CANDIDATE_IS_NAN, id="both"),
        pytest.param(NAN, INF, R.CANDIDATE_IS_NAN, id="candidate against infinity"),
        pytest.param(99.0, NAN, R.BEST_IS_NAN, id="best"),
        pytest.param(INF, NAN, R.NOT_BETTER, id="best, against infinity"),
        pytest.param(-INF, NAN, R.NOT_BETTER, id="best, against less than all"),
    ],
)
def test_nan(candidate: float, best: float, reason: int):
    decision = decide({"loss": candidate}, {"loss": best})
    assert decision.reason == reason
    text = said(LOWER, {"loss": candidate}, {"loss": best})
    is_refused = reason == R.CANDIDATE_IS_NAN
    assert decision.explanation == (f"{NEVER_NAN} ({text})" if is_refused else text)
    assert decision.is_export == (reason == R.BEST_IS_NAN)


def test_nan_is_no_first_export():
    decision = decide({"loss": NAN}, is_served=False)
    assert decision.reason == R.CANDIDATE_IS_NAN
    assert decision.explanation == NEVER_NAN


def test_each_metric_that_is_nan_is_named():
    decision = decide_by(AUC_THEN_LOSS, {"auc": NAN, "loss": NAN}, is_served=False)
    assert decision.explanation.startswith("the candidate's auc and loss are NaN: ")


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
    pattern = about("compare_policy.metric.metric.name", "'loss')")
    with pytest.raises(MissingMetricError, match=pattern):
        decide(candidate, best, is_served=is_served)


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
def test_a_worse_candidate_is_not_exported_whatever_the_best_lacks(
    policy: pb.ComparePolicy, candidate: Metrics, best: Metrics
):
    assert decide_by(policy, candidate, best, is_foreign=True).reason == R.NOT_BETTER


def test_a_metric_that_decides_must_be_the_bests_too():
    decision = decide_by(AUC_THEN_LOSS, {"auc": 0.9, "loss": 1}, {"auc": 0.9}, is_foreign=True)
    assert decision.reason == R.BEST_UNKNOWN_KEPT
    with pytest.raises(MissingMetricError):
        decide_by(AUC_THEN_LOSS, {"auc": 0.9, "loss": 1}, {"auc": 0.9})


@pytest.mark.parametrize(
    ("on_unknown_best", "reason"), [("EXPORT", R.BEST_UNKNOWN_KEPT), ("KEEP", R.BEST_UNKNOWN_KEPT)]
)
def test_an_unknown_best_is_kept_if_the_same_data_are_required(on_unknown_best: str, reason: int):
    policy = compare_policy(
        RULE, comparability="REQUIRE_SAME_DATA", on_unknown_best=on_unknown_best
    )
    assert decide_by(policy, {"auc": 0.9}).reason == reason


def test_a_value_measured_with_the_best_does_not_replace_the_candidates_own_nan():
    together = evaluation({"auc": 0.9}, differences={"auc": interval(0.1, 0.001)})
    decision = decide_by(
        SIGNIFICANT, {"auc": NAN}, {"auc": 0.8}, basis=R.EVALUATED_AGAIN, together=together
    )
    assert decision.reason == R.CANDIDATE_IS_NAN


def test_force_against_a_best_where_the_candidate_has_no_interval():
    policy = compare_policy(larger("auc", alpha=0.05), force="labels were wrong")
    decision = decide_by(policy, {"auc": 0.9}, {"auc": 0.8})
    assert decision.reason == R.FORCED
    assert re.match(about("compare_policy.metric.significance"), decision.warnings[0])


def too_few(count: str, least: str) -> str:
    return f"the candidate was evaluated on {count} examples; at least {least} are required"


def uncounted(place: str, remedy: str) -> str:
    return (
        "compare_policy.min_example_count must find the number of examples (got none, at"
        f" {place}). {remedy}"
    )


def test_too_few_examples():
    policy = compare_policy(larger("auc"), min_example_count=1000)
    of_nan = evaluation({"auc": 0.9}, example_count=NAN)
    assert decide_by(policy, of_nan, {"auc": 0.8}).explanation == (too_few("NaN", "1,000"))
    few = evaluation({"auc": 0.9}, example_count=999)
    assert decide_by(policy, few, {"auc": 0.8}).reason == R.TOO_FEW_EXAMPLES
    decision = decide_by(policy, few, is_served=False)
    assert (decision.reason, decision.explanation) == (
        R.TOO_FEW_EXAMPLES,
        too_few("999", "1,000"),
    )
    # A sum of weights can be just below the required number.
    nearly = evaluation({"auc": 0.9}, example_count=999.9999999)
    assert decide_by(policy, nearly, {"auc": 0.8}).explanation == (too_few("999.9999999", "1,000"))
    many = compare_policy(larger("auc"), min_example_count=2_000_000)
    assert decide_by(many, evaluation({"auc": 0.9}, example_count=1_234_567.5)).explanation == (
        too_few("1,234,568", "2,000,000")
    )
    enough = evaluation({"auc": 0.9}, example_count=1000)
    assert decide_by(policy, enough, {"auc": 0.8}).reason == R.BETTER
    with pytest.raises(MissingMetricError) as caught:
        decide_by(policy, {"auc": 0.9}, {"auc": 0.8})
    assert str(caught.value) == (
        uncounted("/eval/5", "Add the metric ExampleCount to Evaluator's EvalConfig.")
    )
    with pytest.raises(MissingMetricError) as caught:
        decide_by(policy, EvalResult.from_mapping({"auc": 0.9}), {"auc": 0.8})
    assert str(caught.value) == (
        uncounted("the evaluation", "Add it to the mapping as 'example_count'.")
    )


LARGER_AUC = said(HIGHER, {"auc": 0.9}, {"auc": 0.8})


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
    decision = decide_by(
        policy,
        evaluation({"auc": 0.9}, data=data[0]),
        evaluation({"auc": 0.8}, data=data[1]),
        basis=basis,
    )
    assert decision.reason == reason
    text = LARGER_AUC
    if suffix is None:
        assert decision.explanation == (
            "the best (version 7) was not evaluated on the candidate's data, which"
            f" compare_policy.comparability requires: {text}"
        )
    else:
        assert decision.explanation == f"{text}{suffix}"


def test_data_that_are_not_known_are_not_called_other_data():
    known = EvaluatedData(examples_uri="/examples/1", eval_config_digest="1")
    decision = decide_by(
        compare_policy(RULE),
        evaluation({"auc": 0.9}, data=known),
        {"auc": 0.8},
        basis=R.RECORDED_OTHER_DATA,
    )
    assert decision.explanation == LARGER_AUC


@pytest.mark.parametrize(
    ("evaluated_at", "basis", "reason", "explanation"),
    [
        pytest.param(900.0, R.RECORDED_OTHER_DATA, R.BETTER, None, id="young"),
        pytest.param(
            899.0,
            R.RECORDED_SAME_DATA,
            R.BEST_EVALUATION_TOO_OLD,
            "the best's evaluation (version 7) is 101 seconds old; at most 100 seconds are allowed:"
            f" {LARGER_AUC}",
            id="old",
        ),
        pytest.param(899.0, R.SAME_EVALUATION, R.BETTER, None, id="the same evaluation"),
        pytest.param(899.0, R.EVALUATED_AGAIN, R.BETTER, None, id="evaluated again"),
        pytest.param(
            None,
            R.RECORDED_SAME_DATA,
            R.BEST_EVALUATION_TOO_OLD,
            "the age of the best's evaluation (version 7) is not known; at most 100 seconds are"
            f" allowed: {LARGER_AUC}",
            id="unknown",
        ),
        pytest.param(1100.0, R.RECORDED_SAME_DATA, R.BETTER, None, id="clocks differ a little"),
        pytest.param(
            1100.5,
            R.RECORDED_SAME_DATA,
            R.BEST_EVALUATION_TOO_OLD,
            "the best's evaluation (version 7) is dated 100.5 seconds in the future, so a clock is"
            " wrong; evaluate the best again, or set"
            f" compare_policy.max_best_evaluation_age_seconds to 0: {LARGER_AUC}",
            id="a clock is wrong",
        ),
    ],
)
def test_age(evaluated_at: float | None, basis: R.Basis, reason: int, explanation: str | None):
    policy = compare_policy(larger("auc"), max_best_evaluation_age_seconds=100, comparability="ANY")
    best = evaluation({"auc": 0.8}, evaluated_at=evaluated_at)
    decision = decide_by(policy, {"auc": 0.9}, best, basis=basis, now=1000.0)
    assert decision.reason == reason
    assert explanation in (None, decision.explanation)


@pytest.mark.parametrize(
    ("decided_at", "exported_at", "age"),
    [
        pytest.param(899, 950, "at least 101 seconds old", id="decided"),
        pytest.param(900, 800, None, id="decided just now"),
        pytest.param(None, 899, "at least 101 seconds old", id="exported"),
        pytest.param(None, None, "not known", id="unknown"),
    ],
)
def test_age_counts_from_the_record_if_the_evaluation_has_no_time(
    decided_at: int | None, exported_at: int | None, age: str | None
):
    policy = compare_policy(larger("auc"), max_best_evaluation_age_seconds=100, comparability="ANY")
    record = pb.ExportRecord()
    if decided_at is not None:
        record.decision.decided_at.FromSeconds(decided_at)
    if exported_at is not None:
        record.exported_at.FromSeconds(exported_at)
    decision = decide_by(
        policy, {"auc": 0.9}, {"auc": 0.8}, basis=R.RECORDED_SAME_DATA, record=record, now=1000.0
    )
    assert decision.reason == (R.BETTER if age is None else R.BEST_EVALUATION_TOO_OLD)
    assert age is None or age in decision.explanation


def record_on_span(span: int | None) -> pb.ExportRecord:
    return pb.ExportRecord(evaluation=pb.Evaluation(data=pb.EvaluatedData(span=span)))


OLDER = "set compare_policy.allow_older_data to allow it"


@pytest.mark.parametrize(
    ("span", "best_span", "reason", "explanation"),
    [
        pytest.param(
            8,
            9,
            R.OLDER_DATA,
            "the candidate was evaluated on span 8, and the best (version 7) on the newer span 9;"
            f" {OLDER}: {LARGER_AUC}",
            id="older",
        ),
        pytest.param(-1, 0, R.OLDER_DATA, None, id="spans below 0"),
        pytest.param(9, 9, R.BETTER, LARGER_AUC, id="the same"),
        pytest.param(10, 9, R.BETTER, LARGER_AUC, id="newer"),
        pytest.param(None, 9, R.BETTER, LARGER_AUC, id="unknown"),
        pytest.param(8, None, R.BETTER, LARGER_AUC, id="the best's is unknown"),
    ],
)
@pytest.mark.parametrize("basis", [R.SAME_EVALUATION, R.EVALUATED_AGAIN])
def test_older_data(span, best_span, reason, explanation, basis):
    data = EvaluatedData(examples_uri="/examples/1", eval_config_digest="1", span=span)
    candidate = evaluation({"auc": 0.9}, data=data)
    # The best's metrics may come from the candidate's data, and its record has its own span.
    best = evaluation({"auc": 0.8}, data=data)
    decision = decide_by(
        compare_policy(RULE), candidate, best, basis=basis, record=record_on_span(best_span)
    )
    assert decision.reason == reason
    assert explanation in (None, decision.explanation)
    assert decision.was_compared


@pytest.mark.parametrize(
    ("policy", "best", "fields", "reason"),
    [
        pytest.param(compare_policy(RULE, allow_older_data=True), 0.8, {}, R.BETTER, id="allowed"),
        pytest.param(compare_policy(RULE, force="why"), 0.8, {}, R.FORCED, id="force"),
        pytest.param(compare_policy(RULE), NAN, {}, R.OLDER_DATA, id="NaN"),
        pytest.param(compare_policy(RULE), 0.8, {"record": None}, R.BETTER, id="no record"),
        pytest.param(compare_policy(RULE), 0.8, {"is_served": False}, R.FIRST_EXPORT, id="no best"),
        pytest.param(
            compare_policy(RULE, comparability="REQUIRE_SAME_DATA"),
            0.8,
            {},
            R.OLDER_DATA,
            id="before comparability",
        ),
    ],
)
def test_older_data_and_other_gates(
    policy: pb.ComparePolicy, best: float, fields: dict[str, Any], reason: int
):
    candidate = evaluation({"auc": 0.9}, data=EvaluatedData(span=8))
    every: dict[str, Any] = {"record": record_on_span(9)}
    every.update(fields)
    decision = decide_by(policy, candidate, {"auc": best}, **every)
    assert decision.reason == reason


def record_of(exported_at: float | None) -> pb.ExportRecord:
    record = pb.ExportRecord(version=6)
    if exported_at is not None:
        record.exported_at.FromNanoseconds(int(exported_at * 1e9))
    return record


COOL = compare_policy(larger("auc"), min_seconds_between_exports=100)
SINCE = "at least 100 seconds must lie between exports"


@pytest.mark.parametrize(
    ("exported_at", "reason", "explanation"),
    [
        pytest.param(900.0, R.BETTER, LARGER_AUC, id="long ago"),
        pytest.param(
            901.0,
            R.EXPORTED_RECENTLY,
            f"the last export (version 6) is dated 99 seconds ago; {SINCE}: {LARGER_AUC}",
            id="recently",
        ),
        pytest.param(
            1001.0,
            R.EXPORTED_RECENTLY,
            f"the last export (version 6) is dated 1 seconds in the future; {SINCE}: {LARGER_AUC}",
            id="clocks differ a little",
        ),
        pytest.param(1100.0, R.BETTER, LARGER_AUC, id="a clock is wrong"),
        pytest.param(None, R.BETTER, LARGER_AUC, id="unknown"),
    ],
)
def test_time_between_exports(exported_at: float | None, reason: int, explanation: str):
    decision = decide_by(
        COOL, {"auc": 0.9}, {"auc": 0.8}, now=1000.0, latest_record=record_of(exported_at)
    )
    assert (decision.reason, decision.explanation) == (reason, explanation)
    assert decision.is_favored
    assert decision.was_compared


@pytest.mark.parametrize(
    ("policy", "candidate", "best", "fields", "reason"),
    [
        pytest.param(COOL, {"auc": 0.7}, {"auc": 0.8}, {}, R.NOT_BETTER, id="not better"),
        pytest.param(COOL, {"auc": 0.7}, {"auc": NAN}, {}, R.BEST_IS_NAN, id="NaN"),
        pytest.param(
            COOL,
            {"auc": 0.9},
            {"auc": 0.8},
            {"serving_problems": ("no variable",)},
            R.BETTER,
            id="cannot be served",
        ),
        pytest.param(
            compare_policy(larger("auc"), min_seconds_between_exports=100, force="why"),
            {"auc": 0.7},
            {"auc": 0.8},
            {},
            R.FORCED,
            id="force",
        ),
        pytest.param(
            compare_policy(
                larger("auc"), min_seconds_between_exports=100, guardrails=[at_least("auc", 0.95)]
            ),
            {"auc": 0.9},
            {"auc": 0.8},
            {},
            R.GUARDRAIL_FAILED,
            id="guardrail",
        ),
        pytest.param(COOL, {"auc": 0.9}, None, {"is_served": False}, R.FIRST_EXPORT, id="first"),
    ],
)
def test_time_between_exports_and_other_gates(policy, candidate, best, fields, reason):
    decision = decide_by(
        policy, candidate, best, now=1000.0, latest_record=record_of(999.0), **fields
    )
    assert decision.reason == reason


FORCED = compare_policy(
    larger("auc", alpha=0.05), force="labels were wrong", comparability="REQUIRE_SAME_DATA"
)


def test_force():
    decision = decide_by(FORCED, {"auc": interval(0.7, 0.1)}, {"auc": interval(0.9, 0.1)})
    assert decision.reason == R.FORCED
    text = said(HIGHER, {"auc": 0.7}, {"auc": 0.9})
    assert decision.explanation == f"forced by compare_policy.force (labels were wrong): {text}"
    (warning,) = decision.warnings
    assert warning == (
        "compare_policy.force is still set (labels were wrong). Remove it once this model has been"
        " exported. Set compare_policy.force_model too: without it, every candidate is exported."
    )
    # Force also exports a candidate that cannot be compared with the best.
    assert decide_by(FORCED, {"auc": 0.7}, {"loss": 0.9}).reason == R.FORCED
    assert decide_by(FORCED, {"auc": 0.7}).reason == R.FORCED


def test_force_is_no_way_around_the_rest():
    policy = pb.ComparePolicy()
    policy.CopyFrom(FORCED)
    policy.min_example_count = 10
    policy.guardrails.append(at_least("auc", 0.5))
    good = evaluation({"auc": 0.7}, example_count=10)
    assert decide_by(policy, good, {"auc": 0.9}).reason == R.FORCED
    assert decide_by(policy, good, is_served=False).reason == R.FIRST_EXPORT
    # Guardrails are checked although the rule finds no metric of the best.
    policy.guardrails[0].max_absolute_regression = 0.1
    policy.guardrails[0].metric.name = "recall"
    poor = evaluation({"auc": 0.7, "recall": 0.6}, example_count=10)
    assert decide_by(policy, poor, {"recall": 0.9}).reason == R.GUARDRAIL_FAILED
    policy.guardrails[0].metric.name = "auc"
    policy.guardrails[0].ClearField("max_absolute_regression")
    for value, count, reason in (
        (NAN, 10.0, R.CANDIDATE_IS_NAN),
        (0.7, 9.0, R.TOO_FEW_EXAMPLES),
        (0.4, 10.0, R.GUARDRAIL_FAILED),
    ):
        candidate = evaluation({"auc": value}, example_count=count)
        assert decide_by(policy, candidate, {"auc": 0.9}).reason == reason


@pytest.mark.parametrize(
    ("bounds", "more"),
    [
        pytest.param([0.9], ". Without this guardrail", id="one"),
        pytest.param(
            [0.9, 0.5, 0.95],
            ", and 1 more guardrail failed. Without these guardrails",
            id="one more",
        ),
        pytest.param(
            [0.9, 0.91, 0.95],
            ", and 2 more guardrails failed. Without these guardrails",
            id="two more",
        ),
    ],
)
def test_guardrails_that_fail(bounds: list[float], more: str):
    policy = guarded(*(at_least("auc", bound) for bound in bounds))
    candidate, best = {"loss": 0.1, "auc": 0.8}, {"loss": 0.2, "auc": 0.8}
    decision = decide_by(policy, candidate, best)
    assert decision.reason == R.GUARDRAIL_FAILED
    text = said(LOWER, candidate, best)
    assert decision.explanation == (
        f"{decision.guardrails[0].explanation}{more} it would have been exported: {text}"
    )


def signatures_of(*names: str) -> Any:
    spec = TensorSpec(dtype="DT_FLOAT", shape=(None,))
    return {
        name: Signature(method="predict", inputs={"x": spec}, outputs={"y": spec}) for name in names
    }


@pytest.mark.parametrize(
    ("names", "is_allowed", "reason", "changed"),
    [
        (("a", "b"), False, R.BETTER, ()),
        (("a", "b", "c"), False, R.BETTER, ("c",)),
        (("b", "c"), False, R.SIGNATURES_CHANGED, ("a", "c")),
        (("b", "c"), True, R.BETTER, ("a", "c")),
    ],
)
def test_signatures(
    names: tuple[str, ...], is_allowed: bool, reason: int, changed: tuple[str, ...]
):
    decision = decide_by(
        compare_policy(larger("auc"), allow_signature_change=is_allowed),
        {"auc": 0.9},
        {"auc": 0.8},
        candidate_signatures=signatures_of(*names),
        signatures=signatures_of("a", "b"),
    )
    assert decision.reason == reason
    found = signatures.changes(signatures_of("a", "b"), signatures_of(*names))
    assert decision.signature_changes == tuple(change.text for change in found)
    assert len(found) == len(changed)
    assert all(repr(name) in each.text for name, each in zip(changed, found, strict=True))
    if reason == R.SIGNATURES_CHANGED:
        assert decision.explanation == (
            f"the serving signatures would break clients: {found[0].text}; set"
            " compare_policy.allow_signature_change to allow it. Without this change it would have"
            f" been exported: {LARGER_AUC}"
        )


def test_signatures_are_compared_only_for_what_would_be_exported():
    decision = decide_by(
        compare_policy(larger("auc")),
        {"auc": 0.7},
        {"auc": 0.8},
        candidate_signatures=signatures_of("a"),
        signatures=signatures_of("b"),
    )
    assert decision.reason == R.NOT_BETTER
    assert not decision.signature_changes


def test_signatures_that_cannot_be_read_break_no_client():
    decision = decide_by(
        compare_policy(larger("auc")),
        {"auc": 0.9},
        {"auc": 0.8},
        candidate_signatures=signatures_of("a"),
        signatures_problem="no such proto",
    )
    assert decision.reason == R.BETTER
    (warning,) = decision.warnings
    assert warning == ("the best's serving signatures were not compared: no such proto")


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
        check_policy(policy)
    except ValueError:
        del policy.guardrails[:]
    return policy


@given(_policies(), _evaluations(), _evaluations(), st.booleans())
def test_nothing_that_a_guardrail_forbids_is_exported(
    policy: pb.ComparePolicy, candidate: EvalResult, best: EvalResult, is_served: bool
):
    decision = decide_by(policy, candidate, best, is_served=is_served)
    if decision.is_export:
        for each in policy.guardrails:
            rail = MetricLimit.from_proto(each)
            known_best = best if is_served else None
            for result in rail.check(candidate=candidate, best=known_best).results:
                assert result.holds
                if rail.bound is not None or not result.best or not math.isnan(result.best):
                    assert not math.isnan(result.candidate)


@given(_policies(), _evaluations(), _evaluations(), st.floats(0.001, 3))
def test_a_better_metric_never_loses_an_export(
    policy: pb.ComparePolicy, candidate: EvalResult, best: EvalResult, more: float
):
    # A guardrail on auc may have the opposite direction and forbid a larger auc.
    rails = [each for each in policy.guardrails if each.metric.name != "auc"]
    del policy.guardrails[:]
    policy.guardrails.extend(rails)
    better = evaluation(
        {**candidate, "auc": candidate["auc"] + more},
        {key: dict(result) for key, result in candidate.slices.items()},
    )
    if decide_by(policy, candidate, best).is_export:
        assert decide_by(policy, better, best).is_export


@given(_policies(), _evaluations(), _evaluations(), st.randoms())
def test_the_order_of_metrics_and_slices_does_not_matter(
    policy: pb.ComparePolicy, candidate: EvalResult, best: EvalResult, random: Any
):
    def shuffled(result: EvalResult) -> EvalResult:
        metrics, slices = list(result.items()), list(result.slices.items())
        random.shuffle(metrics)
        random.shuffle(slices)
        return evaluation(dict(metrics), {key: dict(value) for key, value in slices})

    first = decide_by(policy, candidate, best)
    second = decide_by(policy, shuffled(candidate), shuffled(best))
    assert first.reason == second.reason
    assert first.explanation == second.explanation
    assert sorted(map(str, first.guardrails)) == sorted(map(str, second.guardrails))


# The same model, exported another way.


def same_model(
    recipe: pb.Recipe | None = None,
    best_recipe: pb.Recipe | None = None,
    *,
    blessing: Blessing = BLESSED,
    best_problems: tuple[str, ...] = (),
    candidate_problems: tuple[str, ...] = (),
    signatures: Any = None,
    best_signatures: Any = None,
    policy: pb.ComparePolicy | None = None,
) -> Decision:
    """Decides about a candidate that is the best, without a metric that the rule could compare."""
    return comparison.decide(
        Observation(
            candidate=Candidate(
                digest="sha256:b",
                eval_result=evaluation({}),
                blessings=(blessing,),
                recipe=recipe,
                serving_problems=candidate_problems,
                signatures=signatures,
            ),
            best=Best(
                version=7,
                digest="sha256:b",
                eval_result=None,
                record=pb.ExportRecord(recipe=best_recipe),
                serving_problems=best_problems,
                signatures=best_signatures,
            ),
        ),
        policy_from_proto(policy or compare_policy(smaller("loss")), lambda _: min),
        0.0,
    )


AS_TEXT = pb.Recipe(as_text=True)


def test_another_recipe_makes_another_export():
    decision = same_model(AS_TEXT, pb.Recipe())
    assert (decision.reason, decision.is_export) == (R.REEXPORTED, True)
    [change] = recipes.changes(pb.Recipe(), AS_TEXT)
    assert decision.explanation == (
        f"the candidate is the same model as version 7, exported another way: {change}"
    )


def test_a_blessing_counts_before_another_recipe():
    assert same_model(AS_TEXT, pb.Recipe(), blessing=NOT_BLESSED).reason == R.NOT_BLESSED


@pytest.mark.parametrize(
    ("recipe", "best_recipe"),
    [
        pytest.param(AS_TEXT, AS_TEXT, id="the same"),
        pytest.param(pb.Recipe(), pb.Recipe(), id="both empty"),
        pytest.param(AS_TEXT, None, id="of an earlier release"),
    ],
)
def test_a_recipe_that_equals_the_best_ones(recipe: pb.Recipe, best_recipe: pb.Recipe | None):
    assert same_model(recipe, best_recipe).reason == R.ALREADY_BEST


def test_a_best_that_a_server_cannot_run_is_exported_again():
    decision = same_model(AS_TEXT, None, best_problems=("assets/a is missing", "no signature"))
    assert decision.reason == R.REEXPORTED
    assert decision.explanation == (
        "the candidate is the same model as version 7, which a model server cannot run: assets/a is"
        " missing"
    )
    [warning] = decision.warnings
    assert warning == (
        "a model server cannot run the best (version 7): assets/a is missing; no signature. An"
        " export of a better model, or of the same model, replaces it"
    )


def test_a_candidate_that_is_saved_again_is_warned_of():
    decision = same_model(candidate_problems=("b is not restored", "c is not restored"))
    assert decision.reason == R.ALREADY_BEST
    [warning] = decision.warnings
    assert warning == (
        "a model server cannot run the candidate as it was saved: b is not restored; c is not"
        " restored. An export of it is saved again from its own signatures. Save it with"
        " model.export(path) or keras.export.ExportArchive instead of tf.saved_model.save"
    )


@pytest.mark.parametrize("is_allowed", [False, True])
def test_another_recipe_must_not_break_clients(is_allowed: bool):
    one = {"one": Signature(method="predict", inputs={}, outputs={})}
    decision = same_model(
        AS_TEXT,
        pb.Recipe(),
        signatures={},
        best_signatures=one,
        policy=compare_policy(smaller("loss"), allow_signature_change=is_allowed),
    )
    assert decision.reason == (R.REEXPORTED if is_allowed else R.SIGNATURES_CHANGED)
    assert decision.signature_changes == ("signature 'one' was removed",)
    assert decision.explanation.endswith(same_model(AS_TEXT, pb.Recipe()).explanation)
