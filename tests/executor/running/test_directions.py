"""A well-known metric with the wrong direction is a warning of every decision."""

from pathlib import Path

from tests.executor.plain import write_files
from tfx_best_exporter.executor.deciding import foresight
from tfx_best_exporter.executor.exporter import ModelExporter
from tfx_best_exporter.executor.policies import compare_policy, larger, smaller
from tfx_best_exporter.proto import best_exporter_pb2 as pb


def test_every_decision_has_the_warning(tmp_path: Path):
    write_files(tmp_path / "model")
    policy = compare_policy(smaller("auc"))
    exporter = ModelExporter(tmp_path / "serving", compare_policy=policy)
    first = exporter.run(tmp_path / "model", {"auc": 0.9})
    again = exporter.run(tmp_path / "model", {"auc": 0.9})
    assert [first.reason, again.reason] == [
        pb.ExportDecision.FIRST_EXPORT,
        pb.ExportDecision.ALREADY_BEST,
    ]
    written_only = exporter.decide(tmp_path / "model", {"auc": 0.9})
    [expected] = foresight.direction_warnings(policy)
    for decision in (first, again, written_only):
        assert list(decision.warnings) == [expected]


def test_the_right_direction(tmp_path: Path):
    write_files(tmp_path / "model")
    exporter = ModelExporter(tmp_path / "serving", compare_policy=compare_policy(larger("auc")))
    assert list(exporter.run(tmp_path / "model", {"auc": 0.9}).warnings) == []
