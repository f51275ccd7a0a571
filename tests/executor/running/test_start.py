from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.executor.operating.desk import NOW, WHO, ClockedBucket, Desk
from tfx_best_exporter.executor.exports.decision_log import ReadLog
from tfx_best_exporter.executor.operating.rollback import rollback
from tfx_best_exporter.executor.running.start import start_of


class DiedError(Exception):
    """Simulates the end of a process."""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A store with the versions 8 and 9, whose reads are made in parallel."""
    result = Desk(ClockedBucket(tmp_path / "bucket").location("base"), tmp_path)
    for version in (8, 9):
        result.publish(version)
    return result


def test_log_and_instructions_are_those_after_a_repair(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log is read before the repair adds a line to it, as it may be in a store."""
    exports = desk.exports

    def die(*_: object) -> None:
        raise DiedError

    with monkeypatch.context() as patch:
        patch.setattr(exports.withdrawals, "finish", die)
        with pytest.raises(DiedError):
            rollback(exports, to=8, **WHO)
    is_read = threading.Event()
    read, recover = exports.decision_log.read, exports.recover

    def early(*, newest: int | None = None) -> ReadLog:
        found = read(newest=newest)
        is_read.set()
        return found

    def late() -> tuple[str, ...]:
        assert is_read.wait(10)
        return recover()

    monkeypatch.setattr(exports.decision_log, "read", early)
    monkeypatch.setattr(exports, "recover", late)
    with exports.lock():
        start = start_of(exports, NOW)
    assert start.recovered == ("finished the withdrawal of version 9",)
    assert start.log is not None
    assert [line.kind for line in start.log.decisions] == ["rollback"]
    assert len(start.instructions.names.rejected) == 1
