"""What a run tells, with many slices and with what cannot be read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import WriteModel
from tfx_best_exporter.executor import comparison, decisions
from tfx_best_exporter.executor.comparison import Best, Candidate
from tfx_best_exporter.executor.eval_result import EvalResult, MetricKey, MetricValue, SliceKey
from tfx_best_exporter.executor.exporter import ModelExporter
from tfx_best_exporter.executor.exports import ExportDirectory
from tfx_best_exporter.executor.policies import at_least, compare_policy, larger
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


def told(candidate: EvalResult, best: EvalResult) -> pb.ExportDecision:
    values = (
        Candidate(digest="c", eval_result=candidate),
        Best(version=1, digest="b", eval_result=best, basis=pb.ExportDecision.SAME_EVALUATION),
    )
    policy = comparison.policy_from_proto(POLICY, lambda _: bool)
    decision = comparison.decide(candidate=values[0], best=values[1], policy=policy)
    result = pb.ExportDecision()
    decisions.tell(result, decision, candidate=values[0], best=values[1], policy=policy, now=1.5)
    return result


def test_the_most_telling_of_many_slices_are_told():
    result = told(sliced(0.9, -1), sliced(0.4, 0))
    assert result.slice_count == SLICES
    improvements = [change.improvement for change in result.slices]
    assert len(improvements) == 2 * decisions.MAX_SLICES
    assert improvements == sorted(improvements)
    assert improvements[0] == pytest.approx(0.5 - 0.4995)
    assert improvements[-1] == pytest.approx(0.5)
    assert result.basis == pb.ExportDecision.SAME_EVALUATION


def test_guardrails_that_fail_are_told_first():
    result = told(sliced(0.9, -1), sliced(0.8, 0))
    assert result.reason == pb.ExportDecision.GUARDRAIL_FAILED
    assert result.guardrail_count == SLICES + 1
    assert len(result.guardrails) == decisions.MAX_GUARDRAILS
    assert not any(each.holds for each in result.guardrails)


def test_slices_of_the_best_that_cannot_be_read_are_only_told(tmp_path: Path):
    def fail() -> Mapping[SliceKey, EvalResult]:
        raise ValueError("evaluation must be a TFMA evaluation")

    policy = comparison.policy_from_proto(compare_policy(larger("auc")), lambda _: bool)
    values = (
        Candidate(digest="c", eval_result=sliced(0.9, -1)),
        Best(version=1, digest="b", eval_result=evaluation(0.4, fail)),
    )
    decision = comparison.decide(candidate=values[0], best=values[1], policy=policy)
    result = pb.ExportDecision()
    decisions.tell(result, decision, candidate=values[0], best=values[1], policy=policy, now=1.5)
    assert result.reason == pb.ExportDecision.BETTER
    assert list(result.warnings) == [
        "slices were not compared: evaluation must be a TFMA evaluation"
    ]


def test_records_do_not_grow_with_slices(tmp_path: Path, write_model: WriteModel):
    model_path = write_model(tmp_path / "model")
    exporter = ModelExporter(tmp_path / "serving", compare_policy=POLICY, clock=lambda: 1000.0)
    decision = exporter.run(model_path, sliced(0.9, -1))
    assert decision.guardrail_count == SLICES + 1
    exports = ExportDirectory(location_of(tmp_path / "serving"))
    record = exports.record(exports.list().exports[0])
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
        (1001, "auc", 0.25, False),
        (1002, "auc", 0.5, False),
    ]
