from __future__ import annotations

from pathlib import Path

import pytest

from tests.executor.operating.desk import NOW, Desk, who
from tfx_best_exporter.executor.exports.decision_log import LoggedDecision, LoggedMetric
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.operating import rollback
from tfx_best_exporter.executor.operating.operation import OperationError
from tfx_best_exporter.executor.operating.showing import show
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.proto import best_exporter_pb2 as pb

R = pb.ExportDecision
REFUSED = LoggedDecision(
    at=30.5,
    reason="NOT_BETTER",
    explanation="auc 0.8 is not larger",
    best_version=9,
    candidate_uri="/models/c",
    candidate_digest="sha256:c",
    metrics=(LoggedMetric(name="auc", candidate=0.8, best=0.9),),
    evaluation={"uri": "/evaluation", "metrics": [{"key": {"name": "auc"}, "value": 0.8}]},
    pipeline_name="penguin",
    run_id="run-3",
    node_id="BestExporter",
)


def log(desk: Desk, *lines: LoggedDecision) -> None:
    with desk.exports.lock():
        for line in lines:
            desk.exports.decision_log.append(line)


def publish(desk: Desk, version: int) -> None:
    desk.publish(
        version,
        decision=pb.ExportDecision(
            exported=True, reason=R.BETTER, explanation=f"why {version}", version=version
        ),
        provenance=pb.Provenance(run_id=f"run-{version}"),
        evaluation=pb.Evaluation(uri=f"/evaluations/{version}"),
    )


def test_the_decision_of_a_version(desk: Desk) -> None:
    publish(desk, 10)
    decision = show(desk.exports, "10")
    assert (decision.version, decision.reason, decision.explanation) == (10, R.BETTER, "why 10")
    assert decision.candidate.digest == desk.digest(10)
    assert decision.candidate_evaluation.uri == "/evaluations/10"
    assert decision.provenance.run_id == "run-10"
    assert decision.base_directory == desk.exports.base.uri


def test_the_decision_of_a_version_that_is_gone(disk: Desk) -> None:
    publish(disk, 10)
    publish(disk, 11)
    rollback.rollback(disk.exports, **who())
    assert show(disk.exports, 11).explanation == "why 11"
    export = next(each for each in disk.exports.exports() if each.version == 10)
    publish(disk, 12)
    with disk.exports.lock():
        disk.exports.retire_all({export: "old"}, now=NOW)
    assert show(disk.exports, 10).explanation == "why 10"


def test_the_decision_of_a_run_that_exported_nothing(desk: Desk) -> None:
    log(desk, REFUSED)
    decision = show(desk.exports, "run-3")
    assert (decision.exported, decision.reason) == (False, R.NOT_BETTER)
    assert decision.explanation == "auc 0.8 is not larger"
    assert not decision.HasField("version")
    assert decision.best.version == 9
    assert (decision.candidate.uri, decision.candidate.digest) == ("/models/c", "sha256:c")
    (comparison,) = decision.comparisons
    assert (comparison.metric, comparison.candidate, comparison.best) == ("auc", 0.8, 0.9)
    assert decision.candidate_evaluation.metrics[0].value == 0.8
    assert decision.provenance.pipeline_name == "penguin"
    assert decision.decided_at.ToNanoseconds() == 30_500_000_000


def test_the_run_of_a_version_has_all_of_its_record(desk: Desk) -> None:
    publish(desk, 10)
    log(desk, LoggedDecision(at=1.0, exported=True, version=10, run_id="run-10"))
    assert show(desk.exports, "run-10").candidate_evaluation.uri == "/evaluations/10"


def test_the_run_of_a_version_that_a_person_removed(disk: Desk) -> None:
    line = LoggedDecision(at=1.0, reason="BETTER", exported=True, version=5, run_id="run-5")
    log(disk, line)
    decision = show(disk.exports, "run-5")
    assert (decision.exported, decision.version, decision.reason) == (True, 5, R.BETTER)


def test_the_newest_decision_is_that_of_a_run(desk: Desk) -> None:
    publish(desk, 10)
    assert show(desk.exports).version == 10
    log(desk, REFUSED, LoggedDecision(kind="pin", at=99.0, version=7, operator="ann"))
    assert show(desk.exports).explanation == "auc 0.8 is not larger"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param({"reason": "FROM_THE_FUTURE"}, R.REASON_UNSPECIFIED, id="unknown reason"),
        pytest.param({"evaluation": {"metrics": 7}}, R.NOT_BETTER, id="damaged evaluation"),
        pytest.param(
            {"metrics": (LoggedMetric(name="auc", candidate=float("nan"), best=float("nan")),)},
            R.NOT_BETTER,
            id="NaN",
        ),
    ],
)
def test_a_line_of_another_kind(disk: Desk, change: dict, reason: int) -> None:
    import dataclasses

    log(disk, dataclasses.replace(REFUSED, **change))
    decision = show(disk.exports)
    assert decision.reason == reason
    assert bool(decision.warnings) == ("evaluation" in change)


def test_what_is_not_there(disk: Desk, tmp_path: Path) -> None:
    with pytest.raises(OperationError, match="must be in the base directory"):
        show(disk.exports, 5)
    with pytest.raises(OperationError) as raised:
        show(disk.exports, "run-x")
    assert str(raised.value) == (
        f"VERSION or RUN must be in the history (got 'run-x'). `best-exporter history"
        f" {disk.exports.base} --all` lists both."
    )
    disk.push("10", "theirs")
    with pytest.raises(OperationError) as raised:
        show(disk.exports)
    assert str(raised.value) == (
        "version must have a record (got 10, which another tool or a person wrote)."
        f" `best-exporter adopt {disk.exports.base} 10 --help` shows how to give it one."
    )
    with pytest.raises(OperationError, match="must have a decision"):
        show(ExportDirectory(location_of(str(tmp_path))))
