from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from tests.executor import plain
from tests.executor.operating.desk import NOW, WHO, Desk, who
from tfx_best_exporter.executor.exports.decision_log import LoggedDecision
from tfx_best_exporter.executor.exports.records import RECORD_PATH
from tfx_best_exporter.executor.operating import holding, pinning, rejecting, restoring, rollback
from tfx_best_exporter.executor.operating import status as statuses
from tfx_best_exporter.executor.operating.operation import OperationError
from tfx_best_exporter.executor.operating.status import DirectoryStatus, Metric, ago, status
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import LockOwner
from tfx_best_exporter.proto import best_exporter_pb2 as pb


def found(desk: Desk) -> DirectoryStatus:
    return status(desk.exports, NOW)


def codes(desk: Desk) -> tuple[int, list[str]]:
    """Returns the exit code, and the codes of the problems."""
    result = found(desk)
    return result.exit_code, [problem.code for problem in result.problems]


def test_a_healthy_directory(desk: Desk) -> None:
    before = desk.files
    result = found(desk)
    assert (result.exit_code, result.problems, result.version_count) == (0, (), 3)
    assert result.served is not None
    assert (result.served.version, result.served.origin) == (9, "ours")
    assert result.served.path == f"{desk.exports.base.uri}/9"
    assert result.served.digest == desk.digest(9)
    assert (result.hold, result.lock, result.awaiting) == (None, None, ())
    assert desk.files == before


def test_the_record_of_the_served_version(disk: Desk) -> None:
    evaluation = pb.Evaluation(
        metrics=[
            pb.MetricValue(key=pb.MetricKey(name="auc"), value=0.9, lower_bound=0.8, upper_bound=1),
            pb.MetricValue(key=pb.MetricKey(name="loss"), value=0.2),
        ]
    )
    decision = pb.ExportDecision(
        reason=pb.ExportDecision.BETTER,
        explanation="loss 0.2 is smaller",
        comparisons=[pb.MetricComparison(metric="loss")],
    )
    record = pb.ExportRecord(
        evaluation=evaluation,
        decision=decision,
        provenance=pb.Provenance(pipeline_name="penguin", run_id="run-7"),
        promotion=pb.OperatorAction(operator="ann", reason="hotfix"),
    )
    record.exported_at.FromSeconds(1000)
    fields = {field.name: value for field, value in record.ListFields()}
    disk.publish(10, **fields)
    served = found(disk).served
    assert served is not None
    assert (served.reason, served.explanation) == ("BETTER", "loss 0.2 is smaller")
    # The compared metric comes first.
    assert served.metrics == (
        Metric(name="loss", value=0.2),
        Metric(name="auc", value=0.9, lower=0.8, upper=1.0),
    )
    assert (served.pipeline_name, served.run_id, served.since) == ("penguin", "run-7", 1000.0)
    assert served.by == "promoted by ann: hotfix"


def test_a_version_without_a_record(desk: Desk) -> None:
    desk.push("10", "theirs")
    result = found(desk)
    assert (result.exit_code, result.problems) == (0, ())
    assert result.served is not None
    assert (result.served.version, result.served.origin) == (10, "foreign")
    assert result.served.digest == desk.digest("theirs")
    assert result.served.metrics == ()
    if desk.exports.base.local_path():
        assert result.served.since == pytest.approx((desk.exports.base / "10").tree().changed_at)


def test_a_broken_version_above(desk: Desk) -> None:
    desk.put("10/saved_model.pb", b"")
    desk.wait()
    result = found(desk)
    assert codes(desk) == (1, [statuses.BROKEN])
    assert result.served is not None
    assert result.served.version == 9
    assert result.problems[0].text.startswith(
        "version 10 is broken and does not count: saved_model.pb is missing"
    )
    assert result.problems[0].text.endswith(
        ". A model server that is restarted serves nothing. Repair or remove it."
    )


def test_a_version_that_is_being_written(desk: Desk) -> None:
    desk.put("10/saved_model.pb", b"x")
    result = found(desk)
    assert codes(desk) == (1, [statuses.UNFINISHED])
    assert result.served is not None
    assert result.served.version == 9
    assert result.problems[0].text.endswith(". Wait until the copy is finished, or remove it.")


def test_two_names_of_one_number(desk: Desk) -> None:
    desk.push("009", "theirs")
    result = found(desk)
    assert codes(desk) == (1, [statuses.DUPLICATE])
    assert result.problems[0].text == (
        "a model server reads the same number from '009' and '9'. Keep only one of them."
    )
    assert result.served is not None
    assert (result.served.version, result.served.origin) == (9, "unknown")


def test_a_duplicate_below_the_served_version_is_no_problem(desk: Desk) -> None:
    desk.push("007", "theirs")
    assert codes(desk) == (0, [])


def test_a_version_that_was_edited(desk: Desk) -> None:
    desk.put("9/assets/words.txt", b"X")
    desk.put("9/variables/variables.data-00000-of-00001", b"DATA")
    result = found(desk)
    assert codes(desk) == (1, [statuses.EDITED])
    assert result.served is not None
    assert result.served.origin == "edited"
    assert f"best-exporter promote {desk.exports.base} MODEL" in result.problems[0].text


def test_a_rejected_version_that_is_served(desk: Desk) -> None:
    rejecting.reject(desk.exports, 9, **WHO)
    result = found(desk)
    assert codes(desk) == (1, [statuses.REJECTED_BUT_SERVED])
    assert result.problems[0].text == (
        "version 9 is served, but ann rejected its model: bad at night. Take it out of service with"
        f" best-exporter rollback {desk.exports.base}, or allow it with best-exporter unreject"
        f" {desk.exports.base} 9."
    )
    rejecting.reject(desk.exports, 7, **WHO)
    rejecting.unreject(desk.exports, 9, **WHO)
    assert codes(desk) == (0, [])


def test_nothing_that_can_be_loaded(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    desk = Desk(plain.later(tmp_path / "base"), tmp_path)
    assert codes(desk) == (1, [statuses.NOTHING_SERVED])
    desk.put("1/saved_model.pb", b"")
    assert codes(desk) == (1, [statuses.BROKEN, statuses.NOTHING_SERVED])
    assert found(desk).served is None


def test_a_version_that_cannot_be_read(disk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = disk.exports.base.storage
    tree = storage.tree

    def refused(path: str) -> object:
        if path.endswith("/9"):
            raise PermissionError(13, "Permission denied", path)
        return tree(path)

    monkeypatch.setattr(storage, "tree", refused)
    assert codes(disk) == (2, [statuses.UNREADABLE])


def test_a_damaged_record_is_no_reason_to_fail(disk: Desk) -> None:
    disk.put(f"9/{RECORD_PATH}", b"{")
    result = found(disk)
    assert codes(disk) == (1, [statuses.EDITED])
    assert result.served is not None
    assert result.served.version == 9


def test_a_hold_until_it_ends(desk: Desk) -> None:
    holding.hold(desk.exports, until=NOW + 60, **WHO)
    hold = found(desk).hold
    assert hold is not None
    assert dataclasses.astuple(hold) == ("ann", "bad at night", NOW, NOW + 60)
    assert found(desk).exit_code == 0
    assert status(desk.exports, NOW + 61).hold is None
    holding.hold(desk.exports, **WHO)
    hold = status(desk.exports, NOW + 1e9).hold
    assert hold is not None
    assert hold.until is None


def test_a_pinned_version(desk: Desk) -> None:
    pinning.pin(desk.exports, 9, **WHO)
    served = found(desk).served
    assert served is not None
    assert served.is_pinned


def test_a_version_is_served_since_the_rollback(desk: Desk) -> None:
    def since() -> float | None:
        served = found(desk).served
        assert served is not None
        return served.since

    assert since() is None
    with desk.exports.lock():
        desk.exports.decision_log.append(LoggedDecision(at=5.0, exported=True, version=8))
    rollback.rollback(desk.exports, **who(now=NOW - 50))
    assert since() == NOW - 50
    restoring.restore(desk.exports, 9, **who(now=NOW - 20))
    assert since() == NOW - 20


def test_the_writer_that_holds_the_lock(disk: Desk) -> None:
    with disk.exports.lock():
        owner = found(disk).lock
        assert owner is not None
        assert owner.name.startswith("process ")
        assert codes(disk) == (0, [])
    assert found(disk).lock is None


def test_the_lock_of_a_dead_writer(disk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = LockOwner(name="process 7 on b", is_dead=True)
    monkeypatch.setattr(type(disk.exports.base.storage), "lock_owner", lambda self, path: owner)
    assert codes(disk) == (1, [statuses.DEAD_LOCK])
    assert found(disk).problems[0].text == (
        "the lock belongs to process 7 on b, which no longer renews it. The next writer takes it"
        f" over; best-exporter lock {disk.exports.base} --break does so now."
    )


def test_a_half_rollback(desk: Desk) -> None:
    withdrawal = pb.Withdrawal(version=9, state=pb.Withdrawal.WITHDRAWING)
    desk.exports.operators.write_withdrawal(withdrawal)
    assert codes(desk) == (1, [statuses.HALF_WITHDRAWN])


def test_candidates_that_wait_for_approval(desk: Desk) -> None:
    digits = "ab" * 32
    staged = {"schema_version": 1}
    desk.put(f".best_exporter/awaiting/{digits}/staged.json", json.dumps(staged).encode())
    assert found(desk).awaiting == (f"sha256:{digits}",)


def test_a_directory_that_does_not_exist(disk: Desk) -> None:
    shutil.rmtree(plain.path_of(disk.exports.base))
    with pytest.raises(OperationError):
        found(disk)
    missing: Location = disk.exports.base
    assert not missing.exists()


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (1, "1 seconds ago"),
        (119, "119 seconds ago"),
        (120, "2 minutes ago"),
        (7200, "2 hours ago"),
        (3 * 86400 + 5, "3 days ago"),
        (-50, "0 seconds ago"),
    ],
)
def test_the_age_of_a_time(age: float, text: str) -> None:
    assert ago(NOW - age, NOW).endswith(f" UTC ({text})")
