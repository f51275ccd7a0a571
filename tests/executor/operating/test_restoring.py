from __future__ import annotations

import os
import shutil

import pytest

from tests.executor import plain
from tests.executor.operating.desk import WHO, Desk
from tfx_best_exporter.executor.exports import withdrawals
from tfx_best_exporter.executor.exports.versions import Export, Status
from tfx_best_exporter.executor.operating.operation import OperationError
from tfx_best_exporter.executor.operating.rejecting import unreject
from tfx_best_exporter.executor.operating.restoring import restore
from tfx_best_exporter.executor.operating.rollback import rollback
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.proto import best_exporter_pb2 as pb


def test_restores_a_version_with_a_relative_link(disk: Desk) -> None:
    base_path = plain.path_of(disk.exports.base)
    shutil.copytree(base_path / "9", base_path / "12")
    shutil.rmtree(base_path / "12/variables")
    os.symlink("../9/variables", base_path / "12/variables")
    assert disk.served == 12
    rollback(disk.exports, **WHO)
    restore(disk.exports, 12, **WHO)
    assert disk.served == 12


def test_restores_a_model_that_was_allowed_in_between(desk: Desk) -> None:
    rollback(desk.exports, **WHO)
    assert desk.state.withdrawn[9].rejects_model
    unreject(desk.exports, 9, **WHO)
    change = restore(desk.exports, 9, **WHO)
    # It was allowed before.
    assert change.sentences == ("version 9 is in service again and is served",)


def test_restores(desk: Desk) -> None:
    before = {name: size for name, size in desk.files.items() if name[0].isdigit()}
    rollback(desk.exports, **WHO)
    planned = restore(desk.exports, 9, dry_run=True, **WHO)
    change = restore(desk.exports, "9", **WHO)
    assert change == planned
    assert change.sentences == (
        "version 9 is in service again and is served",
        "its model may be exported again",
    )
    assert desk.served == 9
    assert {name: size for name, size in desk.files.items() if name[0].isdigit()} == before
    assert desk.exports.inspect(Export(version=9, base=desk.exports.base)).status is Status.OURS
    assert not desk.state.rejected
    assert not desk.state.withdrawn
    assert not any("withdrawn/" in name for name in desk.files)
    assert desk.logged() == [("rollback", 8, "ann"), ("restore", 9, "ann")]


@pytest.mark.parametrize("lost", ["variables/variables.index", "saved_model.pb"])
def test_restores_no_part_of_a_version(desk: Desk, lost: str) -> None:
    rollback(desk.exports, **WHO)
    (desk.exports.state / "withdrawn/9" / lost).remove()
    before = desk.files
    for dry_run in (True, False):
        with pytest.raises(OperationError, match=r"^kept files of version 9 must be whole"):
            restore(desk.exports, 9, dry_run=dry_run, **WHO)
    assert desk.files == before
    assert desk.state.withdrawn[9].state == pb.Withdrawal.WITHDRAWN
    with desk.exports.lock(), pytest.raises(ValueError, match=r"^kept files of version 9 must"):
        desk.exports.withdrawals.restore(9)


def test_restores_every_recorded_file_in_a_store(bucket: Desk) -> None:
    rollback(bucket.exports, **WHO)
    # A model server loads the version without it.
    (bucket.exports.state / "withdrawn/9/assets/words.txt").remove()
    with pytest.raises(OperationError, match=r"assets/words\.txt is missing"):
        restore(bucket.exports, 9, **WHO)


def test_copies_no_marker_to_a_part_of_a_version(
    bucket: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollback(bucket.exports, **WHO)
    copy = withdrawals.copy_files

    def lossy(pairs: list[tuple[Location, Location]]) -> None:
        copy([pair for pair in pairs if not pair[0].path.endswith("variables.index")])

    with monkeypatch.context() as patch:
        patch.setattr(withdrawals, "copy_files", lossy)
        with pytest.raises(OSError, match=r"the copy of variables/variables\.index is missing"):
            restore(bucket.exports, 9, **WHO)
    assert "9/saved_model.pb" not in bucket.files
    plain.recover(bucket.exports)
    assert bucket.served == 9
    assert bucket.exports.verify(bucket.exports.exports()[-1]) == []


@pytest.mark.parametrize("dry_run", [True, False])
def test_the_command_of_an_interrupted_restore_logs(desk: Desk, dry_run: bool) -> None:
    rollback(desk.exports, **WHO)
    withdrawal = desk.state.withdrawn[9]
    withdrawal.state = pb.Withdrawal.RESTORING
    desk.exports.operators.write_withdrawal(withdrawal)
    change = restore(desk.exports, 9, dry_run=dry_run, **WHO)
    assert change.sentences == (
        "the interrupted restore is finished",
        "version 9 is in service again and is served",
        "its model may be exported again",
    )
    assert desk.served == (8 if dry_run else 9)
    assert desk.logged()[1:] == ([] if dry_run else [("restore", 9, "ann")])


def test_restores_below_the_served_version(desk: Desk) -> None:
    rollback(desk.exports, **WHO)
    desk.publish(12)
    change = restore(desk.exports, 9, **WHO)
    assert change.sentences[0] == "version 9 is in service again and is kept below version 12"
    assert desk.served == 12


def test_restores_only_what_is_withdrawn(desk: Desk) -> None:
    rollback(desk.exports, **WHO)
    for version in (8, 5):
        with pytest.raises(OperationError, match=r"These can be restored: 9\.$"):
            restore(desk.exports, version, **WHO)
    with desk.exports.lock():
        desk.exports.withdrawals.purge(9)
    with pytest.raises(OperationError, match=r"These can be restored: none\.$"):
        restore(desk.exports, 9, **WHO)


def test_restores_nothing_over_another_version(disk: Desk) -> None:
    rollback(disk.exports, **WHO)
    shutil.copytree(disk.model("other"), plain.path_of(disk.exports.base) / "9")
    with pytest.raises(OperationError, match="which is in the base directory"):
        restore(disk.exports, 9, **WHO)
