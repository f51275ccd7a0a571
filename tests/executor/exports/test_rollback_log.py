from __future__ import annotations

from pathlib import Path

import pytest

from tests.executor import plain
from tests.executor.operating.desk import NOW, WHO, Desk
from tfx_best_exporter.executor.exports import rollback_log
from tfx_best_exporter.executor.exports.versions import Served
from tfx_best_exporter.executor.operating.rollback import rollback
from tfx_best_exporter.executor.storage.local import LocalStorage
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.proto import best_exporter_pb2 as pb


class DiedError(Exception):
    """Simulates the end of a process."""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A base directory with the versions 7, 8 and 9."""
    result = Desk(Location(LocalStorage(), str(tmp_path / "base")), tmp_path)
    for version in (7, 8, 9):
        result.publish(version)
    return result


@pytest.mark.parametrize("method", ["finish", "settle"])
def test_the_next_writer_adds_the_line(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """The command dies before its first move, or after its last move and before its last note."""

    def die(*_: object) -> None:
        raise DiedError

    with monkeypatch.context() as patch:
        patch.setattr(desk.exports.withdrawals, method, die)
        with pytest.raises(DiedError):
            rollback(desk.exports, to=7, **WHO)
    is_logged = method == "settle"
    assert len(desk.logged()) == int(is_logged)
    sentences = plain.recover(desk.exports)
    assert sentences == (
        "finished the withdrawal of version 8",
        "finished the withdrawal of version 9",
    )
    [line] = desk.exports.decision_log.read().decisions
    assert (line.kind, line.version, line.best_version) == ("rollback", 7, 9)
    assert (line.operator, line.at) == ("ann", NOW)
    assert line.explanation.startswith("bad at night: version ")
    assert line.explanation.endswith("finished by the next writer") == (not is_logged)
    assert plain.recover(desk.exports) == ()
    assert len(desk.logged()) == 1


def test_a_log_that_cannot_be_written_leaves_no_rollback_unfinished(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(desk.exports.decision_log, "append", fail)
        with pytest.raises(OSError, match="No space"):
            rollback(desk.exports, **WHO)
        sentences = plain.recover(desk.exports)
    assert sentences[-1].startswith("the decision log was not written: ")
    assert plain.recover(desk.exports) == ()
    assert desk.served == 8


def test_the_served_version_may_be_unknown(desk: Desk) -> None:
    def fail() -> Served:
        raise OSError

    withdrawal = pb.Withdrawal(version=9, action=pb.OperatorAction(operator="ann", reason="R"))
    with desk.exports.lock():
        rollback_log.note(desk.exports.decision_log, [withdrawal], fail)
    [line] = desk.exports.decision_log.read().decisions
    assert (line.version, line.best_version) == (None, 9)
