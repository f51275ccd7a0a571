"""The decision log: what is appended is read, the newest 1,000 lines, whatever else is there."""

import dataclasses
import json
import math
from pathlib import Path

import pytest

from tfx_best_exporter.executor.exports import decision_log
from tfx_best_exporter.executor.exports.decision_log import (
    DecisionLog,
    LoggedDecision,
    LoggedMetric,
    ReadLog,
)
from tfx_best_exporter.executor.storage import location_of

DECISION = LoggedDecision(
    at=1795601713.25,
    reason="NOT_BETTER",
    explanation="loss 0.9 is not smaller than the best's 0.7",
    candidate_uri="/models/1",
    candidate_digest="sha256:ab",
    best_version=0,
    metrics=(LoggedMetric(name="loss", candidate=0.9, best=0.7),),
    evaluation={"metrics": [{"key": {"name": "loss"}, "value": 0.9}]},
    retired=(5, 6),
    pipeline_name="penguin",
    run_id="1",
    node_id="BestExporter",
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "decisions.jsonl"


@pytest.fixture
def log(path: Path) -> DecisionLog:
    return DecisionLog(location_of(path))


def test_what_is_appended_is_read(log: DecisionLog, path: Path):
    assert log.read() == ReadLog()
    operation = LoggedDecision(
        kind="rollback", at=1.0, version=7, explanation="bad", operator="ana@serving-1"
    )
    log.append(DECISION)
    log.append(operation)
    assert log.read().decisions == (DECISION, operation)
    assert log.read(newest=1).decisions == (operation,)
    assert log.read(newest=0).decisions == ()
    assert len(path.read_bytes().splitlines()) == 2


def test_a_log_that_was_read_is_not_read_again(log: DecisionLog, path: Path):
    log.append(DECISION)
    known = log.read(newest=0)
    path.unlink()
    operation = LoggedDecision(kind="hold", at=1.0)
    log.append(operation, after=known)
    assert log.read().decisions == (DECISION, operation)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0, None])
def test_every_number_is_plain_json(log: DecisionLog, path: Path, value: float | None):
    metrics = (LoggedMetric(name="loss", candidate=value, best=value),)
    log.append(dataclasses.replace(DECISION, metrics=metrics))
    assert "NaN," not in path.read_text()
    (metric,) = log.read().decisions[0].metrics
    assert str(metric.candidate) == str(None if value is None else float(value))


def test_the_newest_lines_are_kept(path: Path):
    log = DecisionLog(location_of(path), max_lines=3)
    for at in range(5):
        log.append(dataclasses.replace(DECISION, at=float(at)))
    assert [each.at for each in log.read().decisions] == [2.0, 3.0, 4.0]


@pytest.mark.parametrize(
    "line",
    ["", "{", "[]", "null", '{"schema_version": 2}', "[" * 5000, '{"schema_version": 1, "at": 5}'],
)
def test_a_damaged_line_is_skipped_and_kept(log: DecisionLog, path: Path, line: str):
    path.parent.mkdir()
    path.write_text(f"{line}\n")
    log.append(DECISION)
    found = log.read()
    assert found.decisions == (DECISION,)
    assert found.damaged == (1 if line else 0)
    assert path.read_text().startswith(line)


@pytest.mark.parametrize("field", sorted({*DECISION.to_json()} - {"exported", "evaluation_is_cut"}))
def test_a_line_with_a_wrong_field_is_damaged(log: DecisionLog, path: Path, field: str):
    log.append(DECISION)
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, field: 5}))
    assert log.read().damaged == 1


def test_a_long_line_is_cut(log: DecisionLog, path: Path):
    evaluation = {"metrics": [{"key": {"name": "x" * 1000}, "value": 1.0}] * 20}
    long = dataclasses.replace(DECISION, evaluation=evaluation, explanation="x" * 100_000)
    log.append(long)
    assert len(path.read_bytes()) < decision_log.MAX_LINE_BYTES
    (found,) = log.read().decisions
    assert found.is_cut
    assert found.evaluation == {}
    assert found.metrics == DECISION.metrics


def test_something_else_in_its_place_is_a_problem(log: DecisionLog, path: Path):
    path.mkdir(parents=True)
    found = log.read()
    assert found.decisions == ()
    assert str(path) in found.problem
    with pytest.raises(OSError, match=r"decisions\.jsonl"):
        log.append(DECISION)


def test_older_lines_are_searched_for_exports_only(log: DecisionLog):
    forged = '"exported":true,"version":"8"'
    for number, changes in enumerate(
        (
            {"exported": True, "version": 7},
            {"explanation": forged},
            {"version": 9},
            {"exported": True, "version": 10},
        )
    ):
        log.append(dataclasses.replace(DECISION, run_id=str(number), **changes))
    found = log.read(newest=1)
    assert [each.version for each in found.decisions] == [10]
    assert (found.skipped, found.skipped_versions) == (3, {7})
    assert (log.read(newest=9).skipped, log.read().skipped_versions) == (0, frozenset())
    assert len(log.read(newest=0).decisions) == 0
