"""Withdrawals whose files were deleted long ago cost no run a read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.executor import plain
from tests.executor.bucket import Bucket
from tests.executor.operating.desk import Desk
from tfx_best_exporter.executor.exports.recovery import MAX_PURGED
from tfx_best_exporter.executor.operating.showing import show
from tfx_best_exporter.executor.storage.local import LocalStorage
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import LeaseLostError
from tfx_best_exporter.proto import best_exporter_pb2 as pb

PURGED = pb.Withdrawal.PURGED


@pytest.fixture(params=["disk", "bucket"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Desk:
    """A base directory with a version, and many withdrawals of versions before it."""
    base = Location(LocalStorage(), str(tmp_path / "base"))
    if request.param == "bucket":
        base = Bucket(tmp_path / "bucket").location("base")
    result = Desk(base, tmp_path)
    result.publish(1000)
    for version in range(100, 100 + MAX_PURGED + 3):
        withdrawal(result, version)
    return result


def withdrawal(desk: Desk, version: int, **fields: object) -> None:
    message = pb.Withdrawal(version=version, state=PURGED, digest=f"sha256:{version}")
    message.action.operator, message.action.reason = "ann", "bad"
    message.record.model.digest = message.digest
    message.MergeFrom(pb.Withdrawal(**fields))  # pyright: ignore[reportArgumentType]
    desk.exports.operators.write_withdrawal(message)


def test_the_oldest_become_tombstones(desk: Desk) -> None:
    # This one has no record, because a person had written it.
    withdrawal(desk, 99)
    assert plain.recover(desk.exports) == ()
    left = desk.exports.operators.names().withdrawn
    assert left == {*range(103, 100 + MAX_PURGED + 3)}
    tombstones = {each.record.version: each for each in desk.exports.tombstones()}
    assert {*tombstones} == {99, 100, 101, 102}
    assert tombstones[100].files_deleted
    assert tombstones[100].why == "withdrawn by ann (bad)"
    assert show(desk.exports, 100).candidate.digest == "sha256:100"
    # Another writer finds nothing to do.
    files = desk.files
    assert plain.recover(desk.exports) == ()
    assert desk.files == files


def test_nothing_is_written_after_the_lock_was_lost(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose() -> None:
        raise LeaseLostError("another writer has the lock")

    monkeypatch.setattr(desk.exports, "check_lease", lose)
    with pytest.raises(LeaseLostError):
        plain.recover(desk.exports)
    assert [*desk.exports.tombstones()] == []


def test_others_stay(desk: Desk) -> None:
    withdrawal(desk, 50, state=pb.Withdrawal.WITHDRAWN)
    # A person has put this version back.
    withdrawal(desk, 51)
    desk.publish(51)
    plain.recover(desk.exports)
    assert {50, 51} <= desk.exports.operators.names().withdrawn
