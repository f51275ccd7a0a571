"""The message of a run, with many slices and with evaluations that cannot be read."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import WriteModel
from tests.errors import about
from tfx_best_exporter.executor.deciding import decide
from tfx_best_exporter.executor.deciding.eval_result import (
    EvalResult,
    EvaluatedData,
    MetricKey,
    MetricValue,
    SliceKey,
)
from tfx_best_exporter.executor.deciding.models import Best, Candidate, Decision, Observation
from tfx_best_exporter.executor.deciding.policy import Policy, policy_from_proto
from tfx_best_exporter.executor.deciding.slices import by_features, matched
from tfx_best_exporter.executor.exporter import ModelExporter
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.records import RECORD_PATH
from tfx_best_exporter.executor.policies import at_least, compare_policy, larger
from tfx_best_exporter.executor.reports import message as decisions
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.proto import best_exporter_pb2 as pb

SLICES = 1000
POLICY = compare_policy(
    larger("auc"), guardrails=[at_least("auc", max_regression=0.1, every_slice_min_examples=0)]
)


def evaluation(auc: float, slices: Any = None) -> EvalResult:
    return EvalResult(
        {MetricKey(name="auc"): MetricValue(value=auc)},
        uri="/eval/5",
        example_count=10,
        slices=slices,
    )


def sliced(auc: float, sign: int) -> EvalResult:
    slices: Mapping[SliceKey, EvalResult] = {
        (("number", number),): evaluation(auc + sign * number / SLICES / 2)
        for number in range(SLICES)
    }
    return evaluation(auc, slices)


def reported(observation: Observation, decision: Decision, policy: Policy) -> pb.ExportDecision:
    origin = decisions.Origin(
        base_directory="/serving",
        candidate_uri="/model",
        compare_policy=POLICY,
        policy=policy,
        provenance=pb.Provenance(),
        decided_at=1.5,
    )
    return decisions.export_decision(origin, observation, decision)


def message_of(candidate: EvalResult, best: EvalResult) -> pb.ExportDecision:
    values = (
        Candidate(digest="c", eval_result=candidate),
        Best(version=1, digest="b", eval_result=best, basis=pb.ExportDecision.SAME_EVALUATION),
    )
    policy = policy_from_proto(POLICY, lambda _: bool)
    decision = decide.decide(Observation(candidate=values[0], best=values[1]), policy, 0.0)
    return reported(Observation(candidate=values[0], best=values[1]), decision, policy)


@pytest.mark.parametrize(
    ("arguments", "examples_uri", "count"),
    [
        pytest.param({"alpha": 0.05}, "/examples", 1, id="tests each candidate once"),
        pytest.param({"alpha": 0.05}, "", 0, id="without examples"),
        pytest.param({}, "/examples", 0, id="without a test"),
        pytest.param({"alpha": 0.05, "challengers": 1}, "/examples", 0, id="with challengers"),
    ],
)
def test_challengers_are_recommended_where_they_work(
    arguments: dict[str, Any], examples_uri: str, count: int
):
    policy = compare_policy(larger("auc", **arguments))
    evaluated = EvalResult(
        {MetricKey(name="auc"): MetricValue(value=0.9)},
        data=EvaluatedData(examples_uri=examples_uri, splits=("eval",)),
    )
    origin = decisions.Origin(
        base_directory="/serving",
        candidate_uri="/model",
        compare_policy=policy,
        policy=policy_from_proto(policy, lambda _: bool),
        provenance=pb.Provenance(),
        decided_at=1.5,
    )
    observation = Observation(candidate=Candidate(digest="c", eval_result=evaluated), best=None)
    decision = decide.decide(observation, origin.policy, 0.0)
    found = decisions.export_decision(origin, observation, decision)
    assert len(found.recommendations) == count
    assert all("challengers=2" in sentences for sentences in found.recommendations)


def test_facts_of_the_record_of_the_best(tmp_path: Path, write_model: WriteModel):
    base, model_path = tmp_path / "serving", tmp_path
    decision = pb.ExportDecision()
    for number, policy in enumerate((larger("auc"), larger("auc", by=0.01))):
        exporter = ModelExporter(
            base,
            compare_policy=compare_policy(policy),
            clock=lambda number=number: 1000.0 + number,
        )
        model_path = write_model(tmp_path / f"model-{number}", scale=1.0 + number)
        decision = exporter.run(model_path, {"auc": 0.5 + number / 4, "example_count": 10 + number})
    best = decision.best
    assert not best.compare_policy.metric.min_absolute_change
    assert decision.compare_policy.metric.min_absolute_change == 0.01
    assert best.recorded_example_count == 10
    size = sum(path.stat().st_size for path in model_path.rglob("*") if path.is_file())
    assert decision.candidate.size_bytes == size
    assert best.model.size_bytes == pytest.approx(size, rel=0.1)
    # Nobody knows when a mapping or a TFMA evaluation was made.
    assert not decision.candidate_evaluation.HasField("evaluated_at")
    assert not best.evaluation.HasField("evaluated_at")
    # No record grows with the facts of the one before.
    exports = ExportDirectory(location_of(base))
    recorded = exports.record(exports.exports()[-1]).decision.best
    assert (recorded.version, recorded.HasField("compare_policy")) == (1000, False)
    assert not recorded.HasField("recorded_example_count")


def test_changes_on_slices_have_intervals_if_the_evaluations_have_them():
    def side(auc: float, standard_error: float | None) -> EvalResult:
        value = MetricValue(value=auc, standard_error=standard_error, degrees_of_freedom=19)
        slices: Mapping[SliceKey, EvalResult] = {
            (("x", "1"),): EvalResult({MetricKey(name="auc"): value}, example_count=5)
        }
        return EvalResult({MetricKey(name="auc"): MetricValue(value=auc)}, slices=slices)

    [change] = message_of(side(0.9, 0.001), side(0.8, 0.001)).slices
    assert 0 < change.improvement_lower_bound < 0.1 < change.improvement_upper_bound < 0.2
    [change] = message_of(side(0.9, None), side(0.8, 0.001)).slices
    assert not change.HasField("improvement_lower_bound")
    assert not change.HasField("improvement_upper_bound")


def test_slices_that_changed_most_are_reported():
    result = message_of(sliced(0.9, -1), sliced(0.4, 0))
    assert result.slice_count == SLICES
    improvements = [change.improvement for change in result.slices]
    assert len(improvements) == 2 * decisions.MAX_SLICES
    assert improvements == sorted(improvements)
    assert improvements[0] == pytest.approx(0.5 - 0.4995)
    assert improvements[-1] == pytest.approx(0.5)
    assert result.basis == pb.ExportDecision.SAME_EVALUATION


def test_guardrails_that_fail_are_reported_first():
    result = message_of(sliced(0.9, -1), sliced(0.8, 0))
    assert result.reason == pb.ExportDecision.GUARDRAIL_FAILED
    assert result.guardrail_count == SLICES + 1
    assert len(result.guardrails) == decisions.MAX_GUARDRAILS
    assert not any(each.holds for each in result.guardrails)


NAN = float("nan")


def test_slices_that_are_undefined_stand_where_they_matter():
    values = {"fine": (0.9, 0.8), "worse": (0.7, 0.8), "gone": (NAN, 0.9), "new": (0.1, NAN)}
    values |= {"never": (NAN, NAN), "infinite": (float("inf"), float("inf"))}
    sides = [
        evaluation(
            auc, {(("name", name),): evaluation(pair[side]) for name, pair in values.items()}
        )
        for side, auc in enumerate((0.9, 0.8))
    ]
    policy = policy_from_proto(compare_policy(larger("auc")), lambda _: bool)
    changes = decide.slice_changes(
        Observation(
            candidate=Candidate(digest="c", eval_result=sides[0]),
            best=Best(version=1, digest="b", eval_result=sides[1]),
        ),
        policy,
    )
    assert [dict(change.slice)["name"] for change in changes] == [
        "gone",
        "worse",
        "infinite",
        "never",
        "fine",
        "new",
    ]


def test_two_slices_with_one_text():
    result = evaluation(0.9, {(("x", 1),): evaluation(0.9), (("x", "1"),): evaluation(0.8)})
    with pytest.raises(ValueError, match=about("slices", "x=1 twice")):
        by_features(result.slices)


def test_what_was_not_compared_has_no_basis():
    policy = policy_from_proto(compare_policy(larger("auc")), lambda _: bool)
    values = (
        Candidate(digest="c", eval_result=evaluation(0.9)),
        Best(
            version=1,
            digest="b",
            eval_result=EvalResult.from_mapping({"loss": 0.1}),
            is_foreign=True,
            basis=pb.ExportDecision.RECORDED_OTHER_DATA,
        ),
    )
    decision = decide.decide(Observation(candidate=values[0], best=values[1]), policy, 0.0)
    result = reported(Observation(candidate=values[0], best=values[1]), decision, policy)
    assert result.reason == pb.ExportDecision.BEST_UNKNOWN_KEPT
    assert result.basis == pb.ExportDecision.BASIS_UNSPECIFIED


def test_slices_of_the_best_that_cannot_be_read_are_only_reported(tmp_path: Path):
    def fail() -> Mapping[SliceKey, EvalResult]:
        raise ValueError("no such file")

    policy = policy_from_proto(compare_policy(larger("auc")), lambda _: bool)
    values = (
        Candidate(digest="c", eval_result=sliced(0.9, -1)),
        Best(version=1, digest="b", eval_result=evaluation(0.4, fail)),
    )
    decision = decide.decide(Observation(candidate=values[0], best=values[1]), policy, 0.0)
    result = reported(Observation(candidate=values[0], best=values[1]), decision, policy)
    assert result.reason == pb.ExportDecision.BETTER
    assert list(result.warnings) == ["the slices were not compared: no such file"]


def test_records_do_not_grow_with_slices(tmp_path: Path, write_model: WriteModel):
    model_path = write_model(tmp_path / "model")
    exporter = ModelExporter(tmp_path / "serving", compare_policy=POLICY, clock=lambda: 1000.0)
    decision = exporter.run(model_path, sliced(0.9, -1))
    assert decision.guardrail_count == SLICES + 1
    exports = ExportDirectory(location_of(tmp_path / "serving"))
    record = exports.record(exports.exports()[0])
    assert not record.decision.guardrails
    assert not record.decision.slices


def test_history_goes_on_from_record_to_record(tmp_path: Path, write_model: WriteModel):
    decision = pb.ExportDecision()
    for number in range(4):
        exporter = ModelExporter(
            tmp_path / "serving",
            compare_policy=compare_policy(larger("auc")),
            exports_to_keep=2,
            clock=lambda number=number: 1000.0 + number,
        )
        model_path = write_model(tmp_path / f"model-{number}", scale=1.0 + number)
        decision = exporter.run(model_path, {"auc": number / 4})
    assert [(each.version, each.metric, each.value, each.retired) for each in decision.history] == [
        (1000, "auc", 0.0, True),
        # This run has retired it.
        (1001, "auc", 0.25, True),
        (1002, "auc", 0.5, False),
    ]
    assert [each.version for each in decision.retired] == [1001]


def test_history_goes_on_after_an_export_by_other_means(tmp_path: Path, write_model: WriteModel):
    base = tmp_path / "serving"
    exporter = ModelExporter(
        base,
        compare_policy=compare_policy(larger("auc"), on_unknown_best="EXPORT"),
        clock=lambda: 1000.0,
    )
    exporter.run(write_model(tmp_path / "first", scale=1.0), {"auc": 0.5})
    shutil.copytree(write_model(tmp_path / "foreign", scale=2.0), base / "2000")
    exporter.run(write_model(tmp_path / "second", scale=3.0), {"auc": 0.6})
    decision = exporter.run(write_model(tmp_path / "third", scale=4.0), {"auc": 0.7})
    # The foreign export has no record, so the history has no entry for it.
    assert [(each.version, each.value) for each in decision.history] == [(1000, 0.5), (2001, 0.6)]


@pytest.mark.parametrize("damage", ["directory", "damaged"])
def test_a_record_that_cannot_be_read_ends_the_history_alone(
    tmp_path: Path, write_model: WriteModel, damage: str
):
    base = tmp_path / "serving"
    exporter = ModelExporter(
        base,
        compare_policy=compare_policy(larger("auc"), on_unknown_best="EXPORT"),
        exports_to_keep=None,
        clock=lambda: 1000.0,
    )
    exporter.run(write_model(tmp_path / "first", scale=1.0), {"auc": 0.5})
    record_path = base / "1000" / RECORD_PATH
    record_path.unlink()
    if damage == "directory":
        record_path.mkdir()
    else:
        record_path.write_text("{")
    shutil.copytree(write_model(tmp_path / "foreign", scale=2.0), base / "2000")
    decision = exporter.run(write_model(tmp_path / "second", scale=3.0), {"auc": 0.6})
    assert decision.exported
    assert not decision.history
    assert [each for each in decision.warnings if "version 1000" in each and "record.json" in each]


def test_two_slices_of_the_best_with_one_text():
    values: dict[SliceKey, float] = {(("x", 1),): 0.9, (("x", "1"),): 0.8}
    with pytest.raises(ValueError, match="got x=1 twice"):
        matched(values, [(("x", 2),)])


def test_a_log_line_is_one_line(
    tmp_path: Path, write_model: WriteModel, caplog: pytest.LogCaptureFixture
):
    exporter = ModelExporter(
        tmp_path / "serving",
        compare_policy=compare_policy(
            larger("auc"), guardrails=[at_least("auc", 0.5, every_slice_min_examples=0)]
        ),
    )
    slices = {(("name", "a\nnot exported: FORGED"),): evaluation(0.1)}
    with caplog.at_level("INFO"):
        exporter.run(write_model(tmp_path / "model"), evaluation(0.9, slices))
    [line] = [
        each.getMessage() for each in caplog.records if "GUARDRAIL_FAILED" in each.getMessage()
    ]
    assert "name=a\\nnot exported: FORGED" in line
    assert "\n" not in line
    # Explanations and warnings are logged in full, regardless of their length.
    long = {(("name", "a\n" * 1000),): evaluation(0.1)}
    fine = {(("name", "a"),): evaluation(0.9)}
    with caplog.at_level("INFO"):
        caplog.clear()
        exporter.run(
            write_model(tmp_path / "b", scale=2.0), evaluation(0.9, fine), warnings=["a\nb"]
        )
        exporter.run(write_model(tmp_path / "c", scale=3.0), evaluation(0.95, long))
    messages = [each.getMessage() for each in caplog.records]
    assert any(message.count("a\\n") == 1000 for message in messages)
    assert "a\\nb" in messages


@pytest.mark.parametrize(
    ("fields", "version", "path"),
    [
        pytest.param({"exported": True, "version": 7}, 7, "/base/7", id="exported"),
        pytest.param({"exported": True, "version": 0}, 0, "/base/0", id="exported as 0"),
        pytest.param({"exported": False}, None, "", id="not exported"),
        pytest.param(
            {"exported": False, "version": 0, "reason": pb.ExportDecision.NOT_BETTER},
            None,
            "",
            id="not exported, by the first release",
        ),
        pytest.param(
            {
                "exported": False,
                "version": 0,
                "reason": pb.ExportDecision.ALREADY_BEST,
                "best": pb.ExportDecision.Best(version=0, path="/base/0"),
            },
            0,
            "/base/0",
            id="already 0",
        ),
        pytest.param(
            {
                "exported": False,
                "version": 7,
                "reason": pb.ExportDecision.ALREADY_BEST,
                "best": pb.ExportDecision.Best(version=7, path="/base/007"),
            },
            7,
            "/base/007",
            id="already 007",
        ),
    ],
)
def test_the_version_that_contains_the_candidate(
    fields: dict[str, Any], version: int | None, path: str
):
    decision = pb.ExportDecision(base_directory="/base", **fields)
    assert decisions.version_of(decision) == version
    assert decisions.path_of_version(decision) == path
