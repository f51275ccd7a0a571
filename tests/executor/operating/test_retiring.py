from __future__ import annotations

from typing import Any

import pytest

from tests.executor.operating.desk import NOW, WHO, Desk, who
from tfx_best_exporter.executor.exports import retention
from tfx_best_exporter.executor.exports.retention_rules import KeepLatest
from tfx_best_exporter.executor.operating.holding import hold
from tfx_best_exporter.executor.operating.operation import OperationError
from tfx_best_exporter.executor.operating.pinning import pin
from tfx_best_exporter.executor.operating.retiring import RetirePlan, retire
from tfx_best_exporter.executor.operating.rollback import rollback
from tfx_best_exporter.proto import best_exporter_pb2 as pb


def retired(desk: Desk, keep: int | None = 1, **arguments: Any) -> RetirePlan:
    policy = None if keep is None else retention.Policy(rules=(KeepLatest(count=keep),))
    return retire(desk.exports, policy, **who(**arguments))


def table(plan: RetirePlan) -> list[tuple[int, bool, str]]:
    return [(row.version, row.is_kept, row.why) for row in plan.rows]


def test_deletes_what_the_policy_does_not_keep(desk: Desk) -> None:
    planned = retired(desk, dry_run=True)
    assert desk.versions == [7, 8, 9]
    plan = retired(desk)
    assert plan == planned
    assert table(plan) == [
        (7, False, "not among the 1 latest exports"),
        (8, False, "not among the 1 latest exports"),
        (9, True, "the best; the latest export; among the 1 latest exports"),
    ]
    assert plan.retired == (7, 8)
    assert plan.freed_bytes == sum(row.size_bytes or 0 for row in plan.rows[:2]) > 0
    assert desk.versions == [9]
    assert [each.record.version for each in desk.exports.tombstones()] == [8, 7]
    (logged,) = desk.exports.decision_log.read().decisions
    assert (logged.kind, logged.retired, logged.operator) == ("retire", (7, 8), "ann")
    assert logged.explanation == "bad at night: the files of versions 7 and 8 are deleted"


def test_keeps_what_is_pinned(desk: Desk) -> None:
    pin(desk.exports, 7, **WHO)
    assert retired(desk).retired == (8,)
    assert desk.versions == [7, 9]


def test_a_damaged_record_of_the_best_does_not_stop_a_person(desk: Desk) -> None:
    desk.put("9/assets.extra/best_exporter/record.json", b"{")
    plan = retired(desk)
    assert plan.retired == (7,)
    assert desk.versions == [8, 9]
    assert "version 9 is kept because it cannot be read" in plan.warnings[0]


def test_a_hold_does_not_stop_a_person(desk: Desk) -> None:
    hold(desk.exports, **WHO)
    assert retired(desk).retired == (7, 8)


def test_without_a_policy_everything_stays(desk: Desk) -> None:
    assert retired(desk, None).retired == ()
    assert desk.logged() == []


def test_deletes_the_files_of_withdrawn_versions(desk: Desk) -> None:
    rollback(desk.exports, to=7, **WHO)
    pin(desk.exports, 8, **WHO)
    assert retired(desk, None).retired == ()
    planned = retired(desk, None, withdrawn=True, dry_run=True)
    assert desk.state.withdrawn[9].state == pb.Withdrawal.WITHDRAWN
    plan = retired(desk, None, withdrawn=True)
    assert plan == planned
    assert plan.retired == (9,)
    rows = {row.version: row for row in plan.rows}
    assert rows[8].why == "pinned; withdrawn by ann (bad at night)"
    assert rows[9].is_withdrawn
    assert rows[9].size_bytes
    assert desk.state.withdrawn[9].state == pb.Withdrawal.PURGED
    assert desk.state.withdrawn[8].state == pb.Withdrawal.WITHDRAWN
    assert not any(path.startswith(".best_exporter/withdrawn/9/") for path in desk.files)
    # The model stays rejected.
    assert desk.digest(9) in desk.state.rejected
    # A version without files is not listed again.
    assert 9 not in {row.version for row in retired(desk, None, withdrawn=True).rows}


def test_refuses_while_a_version_is_copied(desk: Desk) -> None:
    desk.put("10/variables/variables.index")
    with pytest.raises(OperationError, match=r"^base directory must not be changing"):
        retired(desk)
    assert desk.versions == [7, 8, 9, 10]


def test_keeps_the_best_by_the_metric_of_an_exporter(desk: Desk) -> None:
    from tfx_best_exporter.executor.exporter import ModelExporter

    exporter = ModelExporter(
        desk.exports.base,
        clock=lambda: NOW,
        retention_policy={"keep_latest": 1},
    )
    before = desk.files
    planned = exporter.retire(dry_run=True)
    assert [each.version for each in planned.retired] == [7, 8]
    assert desk.files == before
    assert exporter.retire() == planned
    assert desk.versions == [9]
