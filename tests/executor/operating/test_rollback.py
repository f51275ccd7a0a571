from __future__ import annotations

import os
from typing import Any

import pytest

from tests.executor import plain
from tests.executor.operating.desk import NOW, WHO, Desk, who
from tests.faults.storages import SteppedStorage
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.records import RECORD_PATH
from tfx_best_exporter.executor.exports.versions import Export
from tfx_best_exporter.executor.operating.operation import OperationError
from tfx_best_exporter.executor.operating.rejecting import reject, unreject
from tfx_best_exporter.executor.operating.restoring import restore
from tfx_best_exporter.executor.operating.rollback import rollback
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.proto import best_exporter_pb2 as pb


def test_withdraws_the_served_version(desk: Desk) -> None:
    change = rollback(desk.exports, **WHO)
    assert change.kind == "rollback"
    assert change.versions == (9,)
    assert change.sentences == (
        "version 9 is withdrawn, and its model is rejected",
        "version 8 is served",
    )
    assert (desk.versions, desk.served) == ([7, 8], 8)
    assert {*desk.state.rejected} == {desk.digest(9)}
    withdrawal = desk.state.withdrawn[9]
    assert withdrawal.state == pb.Withdrawal.WITHDRAWN
    assert (withdrawal.action.operator, withdrawal.action.reason) == ("ann", "bad at night")
    assert withdrawal.record.model.uri == "/models/9"
    assert not withdrawal.record.manifest
    assert desk.state.rejected[desk.digest(9)].version == 9
    assert ".best_exporter/withdrawn/9/saved_model.pb" in desk.files
    (logged,) = desk.exports.decision_log.read().decisions
    assert (logged.kind, logged.version, logged.best_version) == ("rollback", 8, 9)
    assert (logged.operator, logged.at) == ("ann", NOW)
    assert logged.explanation.startswith("bad at night: version 9 ")


def test_withdraws_everything_above_a_version(desk: Desk) -> None:
    # The text of a command line is as good as a number.
    change = rollback(desk.exports, to="7", **WHO)
    assert change.versions == (8, 9)
    assert (desk.versions, desk.served) == ([7], 7)
    assert {*desk.state.rejected} == {desk.digest(8), desk.digest(9)}
    assert {*desk.state.withdrawn} == {8, 9}


def test_serves_no_version_between(disk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    served = []
    finish = disk.exports.withdrawals.finish

    def watched(export: Export, withdrawal: pb.Withdrawal) -> None:
        # All notes are written before the first version moves.
        assert {*disk.state.withdrawn} == {8, 9}
        finish(export, withdrawal)
        served.append(disk.served)

    monkeypatch.setattr(disk.exports.withdrawals, "finish", watched)
    rollback(disk.exports, to=7, **WHO)
    assert served == [9, 7]


def test_is_one_rename_on_a_disk(disk: Desk) -> None:
    storage = SteppedStorage(disk.exports.base.storage)
    rollback(ExportDirectory(Location(storage, disk.exports.base.path)), **WHO)
    names = [step.name for step in storage.steps]
    assert names.count("rename") == 1
    # The others are small files: the rejection, the withdrawal before and after, stamps, the log.
    assert {*names} == {"lock", "write", "rename", "unlock"}


@pytest.mark.parametrize("to", [None, 7, 8])
def test_dry_run_returns_the_same_and_writes_nothing(desk: Desk, to: int | None) -> None:
    before = desk.files
    planned = rollback(desk.exports, to=to, hold_seconds=60, dry_run=True, **WHO)
    assert desk.files == before
    assert rollback(desk.exports, to=to, hold_seconds=60, **WHO) == planned


def test_holds(desk: Desk) -> None:
    change = rollback(desk.exports, hold_seconds=3600.0, **WHO)
    assert desk.state.hold.until.seconds == NOW + 3600
    assert change.sentences[-1] == ("no run exports or retires anything until 2027-01-15 09:00 UTC")


def test_passes_over_broken_versions(desk: Desk) -> None:
    desk.publish(10)
    for version in (8, 10):
        (desk.exports.base / f"{version}/variables/variables.index").remove()
    desk.wait()
    change = rollback(desk.exports, **WHO)
    # A broken version above the served one goes too, and one below it changes nothing.
    assert change.versions == (9, 10)
    assert (desk.versions, desk.served) == ([7, 8], 7)


def test_an_unfinished_copy_stays(desk: Desk) -> None:
    desk.put("10/variables/variables.index")
    change = rollback(desk.exports, **WHO)
    assert change.versions == (9,)
    assert desk.versions == [7, 8, 10]
    assert change.sentences[-1].startswith("version 10 is being written and stays")


def test_a_version_of_another_tool(desk: Desk) -> None:
    desk.push("00012", "pushed")
    change = rollback(desk.exports, **WHO)
    assert change.versions == (12,)
    assert (desk.versions, desk.served) == ([7, 8, 9], 9)
    assert {*desk.state.rejected} == {desk.digest("pushed")}
    assert not desk.state.withdrawn[12].HasField("record")


def test_a_version_that_was_edited_rejects_the_recorded_model(desk: Desk) -> None:
    desk.put("9/assets/words.txt", b"edited")
    rollback(desk.exports, **WHO)
    assert desk.served == 8
    assert {*desk.state.rejected} == {desk.digest(9)}


def test_a_damaged_record_does_not_stop_an_operator(desk: Desk) -> None:
    desk.put(f"9/{RECORD_PATH}", b"{")
    with pytest.raises(ValueError, match="cannot read"):
        desk.exports.served()
    rollback(desk.exports, **WHO)
    assert desk.served == 8


def test_the_model_that_is_served_afterwards_is_not_rejected(desk: Desk) -> None:
    desk.publish(10, 8)
    change = rollback(desk.exports, to=8, **WHO)
    assert change.sentences[0] == (
        "version 10 is withdrawn, and its model is not rejected, because it is the model that is"
        " served"
    )
    assert {*desk.state.rejected} == {desk.digest(9)}
    assert {*desk.state.withdrawn} == {9, 10}


def test_another_recipe_of_the_served_model_is_rejected(desk: Desk) -> None:
    desk.publish(10, recipe=pb.Recipe())
    desk.publish(11, 10, recipe=pb.Recipe(as_text=True))
    rollback(desk.exports, **WHO)
    assert desk.served == 10
    # Otherwise the next run would export it again.
    assert {*desk.state.rejected} == {desk.digest(10)}


@pytest.mark.parametrize("to", [None, 8])
def test_an_interrupted_rollback_is_finished_and_not_repeated(desk: Desk, to: int | None) -> None:
    export = Export(version=9, base=desk.exports.base)
    with desk.exports.lock():
        desk.exports.withdrawals.begin(
            export, pb.Withdrawal(digest=desk.digest(9), action=pb.OperatorAction(operator="bob"))
        )
    assert desk.served == 9
    change = rollback(desk.exports, to=to, **WHO)
    assert change.versions == (9,)
    assert "bob" in change.sentences[0]
    assert desk.served == 8


def begin(desk: Desk, *versions: int) -> None:
    """Writes the notes of a rollback by Bob, and dies."""
    action = pb.OperatorAction(operator="bob", reason="slow")
    with desk.exports.lock():
        for version in versions:
            desk.exports.withdrawals.begin(
                Export(version=version, base=desk.exports.base),
                pb.Withdrawal(digest=desk.digest(version), action=action),
            )


@pytest.mark.parametrize("to", [None, 8])
def test_the_command_of_an_interrupted_rollback_holds_and_logs(desk: Desk, to: int | None) -> None:
    begin(desk, 9)
    planned = rollback(desk.exports, hold_seconds=60.0, dry_run=True, **WHO)
    change = rollback(desk.exports, to=to, hold_seconds=60.0, **WHO)
    assert change == planned
    assert change.sentences == (
        "the interrupted rollback of version 9 by bob is finished (slow)",
        "no run exports or retires anything until 2027-01-15 08:01 UTC",
    )
    assert desk.state.hold.until.seconds == NOW + 60
    first, logged = desk.exports.decision_log.read().decisions
    assert (first.kind, first.version, first.operator) == ("rollback", 8, "bob")
    assert (logged.kind, logged.version, logged.best_version) == ("rollback", 8, 9)
    assert logged.explanation.startswith("bad at night: the interrupted rollback")


@pytest.mark.parametrize("to", [None, 8])
def test_the_same_command_withdraws_what_has_no_note(desk: Desk, to: int | None) -> None:
    desk.publish(10)
    (desk.exports.base / "10/variables/variables.index").remove()
    desk.wait()
    begin(desk, 9)
    planned = rollback(desk.exports, dry_run=True, **WHO)
    change = rollback(desk.exports, to=to, **WHO)
    assert change == planned
    assert change.versions == (9, 10)
    assert (desk.versions, desk.served) == ([7, 8], 8)
    assert desk.logged() == [("rollback", 8, "bob"), ("rollback", 8, "ann")]


def test_the_served_version_had_no_note_yet(desk: Desk) -> None:
    reject(desk.exports, 8, **WHO)
    begin(desk, 8)
    change = rollback(desk.exports, **WHO)
    assert change.versions == (9,)
    assert desk.served == 7


def test_an_older_target_than_that_of_the_interrupted_rollback(desk: Desk) -> None:
    with desk.exports.lock():
        desk.exports.withdrawals.begin(
            Export(version=9, base=desk.exports.base), pb.Withdrawal(digest=desk.digest(9))
        )
    assert rollback(desk.exports, to=7, **WHO).versions == (8,)
    assert (desk.versions, desk.served) == ([7], 7)


def test_the_next_writer_finishes_a_rollback(desk: Desk) -> None:
    export = Export(version=9, base=desk.exports.base)
    with desk.exports.lock():
        desk.exports.withdrawals.begin(export, pb.Withdrawal(digest=desk.digest(9)))
    plain.recover(desk.exports)
    assert (desk.versions, desk.served) == ([7, 8], 8)
    assert desk.state.withdrawn[9].state == pb.Withdrawal.WITHDRAWN


def test_no_number_is_given_twice(desk: Desk) -> None:
    """The clock is behind, and the note of the largest version is lost."""
    with desk.exports.lock():
        desk.exports.withdrawals.begin(
            Export(version=9, base=desk.exports.base), pb.Withdrawal(digest=desk.digest(9))
        )
    for _ in range(2):
        (desk.exports.state / "largest_version").remove()
        with desk.exports.lock():
            # The first one finishes the withdrawal.
            desk.exports.recover()
            assert desk.exports.next_version(0.0) == 10


def test_a_link_is_removed_and_its_target_stays(disk: Desk) -> None:
    base_path = plain.path_of(disk.exports.base)
    os.symlink(disk.model("elsewhere"), base_path / "12")
    rollback(disk.exports, **WHO)
    assert disk.versions == [7, 8, 9]
    assert disk.model("elsewhere").is_dir()


REFUSED = {
    "nothing older": ({"to": None}, [8, 9], "an older version must be loadable"),
    "no such version": ({"to": 6}, [], "version must be in the base directory"),
    "not a version": ({"to": "latest"}, [], "version must be a number"),
    "nothing newer": ({"to": 9}, [], "to must be older"),
    "no reason": ({"reason": " "}, [], "reason must be a text"),
    "no operator": ({"operator": ""}, [], "operator must be a text"),
    "a hold of no time": ({"hold_seconds": 0.0}, [], "hold must end in the future"),
}


@pytest.mark.parametrize(("arguments", "removed", "text"), REFUSED.values(), ids=REFUSED)
def test_refuses(desk: Desk, arguments: dict[str, Any], removed: list[int], text: str) -> None:
    for version in removed:
        (desk.exports.base / str(version)).remove()
    before = desk.files
    with pytest.raises(OperationError, match=f"^{text}"):
        rollback(desk.exports, **who(**arguments))
    assert desk.files == before


def test_refuses_a_broken_target(desk: Desk) -> None:
    (desk.exports.base / "7/saved_model.pb").remove()
    with pytest.raises(OperationError, match=r"^to must be a version that a model server can load"):
        rollback(desk.exports, to=7, **WHO)
    assert desk.served == 9


def test_refuses_two_names_of_one_number(desk: Desk) -> None:
    desk.push("0009", "other")
    with pytest.raises(OperationError, match=r"^version must be one directory"):
        rollback(desk.exports, **WHO)


def test_refuses_the_target_of_a_link_that_stays(disk: Desk) -> None:
    os.symlink("9", plain.path_of(disk.exports.base) / "6")
    with pytest.raises(OperationError, match=r"^version 9 must not be the target of a link"):
        rollback(disk.exports, to=7, **WHO)
    assert disk.served == 9


def test_passes_over_a_rejected_model(desk: Desk) -> None:
    reject(desk.exports, 8, **who(operator="bob"))
    change = rollback(desk.exports, **WHO)
    assert change.versions == (8, 9)
    assert change.sentences == (
        "version 9 is withdrawn, and its model is rejected",
        "version 8 is withdrawn, and its model stays rejected",
        "version 7 is served",
    )
    assert desk.served == 7
    with pytest.raises(OperationError, match=r"rejected by bob: bad at night\)\. Allow it first"):
        restore(desk.exports, 8, **WHO)
    unreject(desk.exports, 8, **WHO)
    restore(desk.exports, 8, **WHO)
    assert desk.served == 8


@pytest.mark.parametrize("dry_run", [True, False])
def test_refuses_a_rejected_target(desk: Desk, dry_run: bool) -> None:
    reject(desk.exports, 8, **WHO)
    with pytest.raises(OperationError, match=r"^to must be a version whose model is not rejected"):
        rollback(desk.exports, to=8, dry_run=dry_run, **WHO)
    reject(desk.exports, 7, **WHO)
    with pytest.raises(OperationError, match=r"^an older version must be loadable, with a model"):
        rollback(desk.exports, dry_run=dry_run, **WHO)
    assert desk.served == 9


def test_leaves_broken_versions_below_the_target(desk: Desk) -> None:
    reject(desk.exports, 8, **WHO)
    (desk.exports.base / "7/saved_model.pb").remove()
    desk.publish(6)
    desk.wait()
    # Version 7 would be served if somebody repaired it, as below every target.
    assert rollback(desk.exports, **WHO).versions == (8, 9)
    assert desk.versions == [6, 7]


def test_an_earlier_rejection_stays(desk: Desk) -> None:
    reject(desk.exports, 9, **who(operator="bob", reason="biased", now=NOW - 60.0))
    rejection = desk.state.rejected[desk.digest(9)]
    planned = rollback(desk.exports, dry_run=True, **WHO)
    change = rollback(desk.exports, **WHO)
    assert change == planned
    assert change.sentences[0] == "version 9 is withdrawn, and its model stays rejected"
    assert desk.state.rejected[desk.digest(9)] == rejection
    assert not desk.state.withdrawn[9].rejects_model
    with desk.exports.lock():
        desk.exports.withdrawals.restore(9)
    assert desk.served == 9
    assert desk.state.rejected[desk.digest(9)] == rejection


def test_refuses_a_base_directory_that_does_not_exist(desk: Desk) -> None:
    base = desk.exports.base
    other = Desk(Location(base.storage, f"{base.path}x"), desk.tmp_path)
    with pytest.raises(OperationError, match=r"^base directory must exist"):
        rollback(other.exports, **WHO)
    assert not other.exports.base.exists()


def test_a_version_that_a_person_copied_back(desk: Desk) -> None:
    rollback(desk.exports, **WHO)
    copy_back(desk, 9)
    assert desk.served == 9
    rollback(desk.exports, **WHO)
    assert desk.served == 8
    restore(desk.exports, 9, **WHO)
    assert desk.served == 9
    assert desk.exports.verify(desk.exports.exports()[-1]) == []


def copy_back(desk: Desk, version: int) -> None:
    """Copies the kept files of a withdrawn version into the base directory by hand."""
    kept = desk.exports.state / f"withdrawn/{version}"
    for path in kept.sizes():
        desk.put(f"{version}/{path}", (kept / path).read(1 << 20))


@pytest.mark.parametrize("is_half", [True, False], ids=["half a copy", "edited"])
def test_the_only_whole_copy_is_never_deleted(desk: Desk, is_half: bool) -> None:
    rollback(desk.exports, **WHO)
    copy_back(desk, 9)
    if is_half:
        (desk.exports.base / "9/variables/variables.index").remove()
    else:
        desk.put("9/assets/words.txt", b"edited")
    desk.wait()
    before = desk.files
    for dry_run in (True, False):
        with pytest.raises(OperationError, match=r"^version 9 must be a whole copy of the files"):
            rollback(desk.exports, to=7, dry_run=dry_run, **WHO)
    assert desk.files == before
    (desk.exports.base / "9").remove()
    restore(desk.exports, 9, **WHO)
    assert desk.served == 9
    assert desk.exports.verify(desk.exports.exports()[-1]) == []


def test_half_of_the_kept_files_gives_way_to_a_whole_copy(desk: Desk) -> None:
    rollback(desk.exports, **WHO)
    copy_back(desk, 9)
    # A rollback was killed while it deleted the kept files.
    (desk.exports.state / "withdrawn/9/saved_model.pb").remove()
    rollback(desk.exports, **WHO)
    restore(desk.exports, 9, **WHO)
    assert desk.exports.verify(desk.exports.exports()[-1]) == []


def test_refuses_while_an_operation_cannot_be_finished(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with desk.exports.lock():
        desk.exports.withdrawals.begin(Export(version=9, base=desk.exports.base), pb.Withdrawal())
    monkeypatch.setattr(desk.exports.withdrawals, "recover", lambda *_: ["cannot finish"])
    with pytest.raises(OperationError, match=r"must have no unfinished .* on version 9\)"):
        rollback(desk.exports, to=7, **WHO)
    assert desk.served == 9
