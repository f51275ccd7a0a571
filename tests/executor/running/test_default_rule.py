"""Runs of a pipeline that sets no rule: which rule decides, and what the decision says about it."""

from pathlib import Path

import pytest

from tests.executor.deciding.decided import metrics_of
from tests.executor.plain import write_files
from tfx_best_exporter.executor.arguments.errors import FieldValueError
from tfx_best_exporter.executor.deciding.configured import Configured, ConfiguredMetric
from tfx_best_exporter.executor.deciding.eval_result import EvalResult
from tfx_best_exporter.executor.deciding.models import Blessing, BlessingStatus
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.reports.report import to_html
from tfx_best_exporter.executor.running.observe import observe_candidate
from tfx_best_exporter.executor.running.run import Request, decide_only, export_if_better
from tfx_best_exporter.executor.running.settings import Settings, compare_policy_of
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.proto import best_exporter_pb2 as pb

R = pb.ExportDecision
AUC = ConfiguredMetric(name="auc", has_threshold=True, direction=pb.HIGHER_IS_BETTER)
FPR = ConfiguredMetric(name="fpr", has_threshold=True, direction=pb.LOWER_IS_BETTER)


class Pipeline:
    """Runs of one pipeline without compare_fn and compare_policy."""

    def __init__(self, path: Path):
        self.path = path
        self.number = 0
        message, policy = compare_policy_of(None, None, lambda name: bool)
        self.settings = Settings(
            exports=ExportDirectory(location_of(path / "serving")),
            compare_policy=message,
            policy=policy,
            retention_policy=None,
            serving_signatures_fn=None,
            serving_signatures_name="",
            assets_extra={},
            as_text=False,
            unservable="resave",
            name="BestExporter",
            clock=lambda: 1000.0,
            chooses_rule=True,
        )

    def candidate(
        self, metrics: dict[str, float], *configured: ConfiguredMetric, is_blessed: bool = True
    ):
        self.number += 1
        model_path = self.path / f"model-{self.number}"
        write_files(model_path)
        (model_path / "assets" / "words.txt").write_text(f"word {self.number}")
        result = EvalResult(metrics_of(metrics), configured=Configured(metrics=configured))
        status = BlessingStatus.BLESSED if is_blessed else BlessingStatus.NOT_BLESSED
        blessing = Blessing(name="model_blessing", uri="/blessing/5", status=status)
        return observe_candidate(location_of(model_path), str(model_path), result, [blessing])

    def run(
        self, metrics: dict[str, float], *configured: ConfiguredMetric, is_blessed: bool = True
    ) -> pb.ExportDecision:
        model = self.candidate(metrics, *configured, is_blessed=is_blessed)
        return export_if_better(self.settings, model, Request())


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(tmp_path)


def test_the_metric_with_a_threshold_decides(pipeline: Pipeline):
    first = pipeline.run({"auc": 0.8, "fpr": 0.2}, AUC)
    assert first.reason == R.FIRST_EXPORT
    worse = pipeline.run({"auc": 0.7, "fpr": 0.1}, AUC)
    assert (worse.reason, worse.best.version) == (R.NOT_BETTER, first.version)
    better = pipeline.run({"auc": 0.9, "fpr": 0.9}, AUC)
    assert better.reason == R.BETTER
    for decision in (first, worse, better):
        assert decision.compare_policy.metric == decision.default_rule.rule
        assert decision.default_rule.rule.metric.name == "auc"
        assert decision.default_rule.why in to_html(decision).replace("&#39;", "'")
        assert list(decision.warnings) == []
    record = pipeline.settings.exports.served().record
    assert record is not None
    assert record.decision.default_rule == better.default_rule


def test_the_rule_of_the_record_stays(pipeline: Pipeline):
    pipeline.run({"auc": 0.8, "fpr": 0.2}, AUC)
    # The author moved the threshold. The candidate is better by the new rule only.
    worse = pipeline.run({"auc": 0.7, "fpr": 0.1}, FPR)
    assert worse.reason == R.NOT_BETTER
    assert worse.default_rule.rule.metric.name == "auc"
    assert len(worse.warnings) == 1
    # The record of the next best names the same rule, so the rule stays.
    assert pipeline.run({"auc": 0.9, "fpr": 0.3}, FPR).exported
    assert pipeline.run({"auc": 0.85, "fpr": 0.0}, FPR).reason == R.NOT_BETTER


def test_a_decision_that_writes_nothing(pipeline: Pipeline):
    pipeline.run({"auc": 0.8, "fpr": 0.2}, AUC)
    decision = decide_only(
        pipeline.settings, pipeline.candidate({"auc": 0.9, "fpr": 0.3}, FPR), None
    )
    assert decision.reason == R.BETTER
    assert len(decision.warnings) == 1


def test_no_rule_fits(pipeline: Pipeline):
    with pytest.raises(FieldValueError):
        pipeline.run({"auc": 0.8, "fpr": 0.2}, AUC, FPR)
    assert not (pipeline.path / "serving" / "1000").exists()
    # A candidate that is not blessed is not compared, so it needs no rule.
    refused = pipeline.run({"auc": 0.8, "fpr": 0.2}, AUC, FPR, is_blessed=False)
    assert refused.reason == R.NOT_BLESSED
    assert not refused.HasField("default_rule")
    assert refused.compare_policy == pb.ComparePolicy()
    del refused.refusals[:]
    assert "compare_policy" not in to_html(refused)


def test_nothing_is_evaluated_again_if_no_rule_fits(pipeline: Pipeline):
    pipeline.run({"auc": 0.8}, AUC)

    calls: list[object] = []

    def reevaluate(*arguments: object) -> None:
        calls.append(arguments)
        raise RuntimeError

    with pytest.raises(FieldValueError):
        export_if_better(
            pipeline.settings,
            pipeline.candidate({"mine": 0.8, "yours": 1.0}),
            Request(reevaluate=reevaluate),  # type: ignore[arg-type]
        )
    assert calls == []
