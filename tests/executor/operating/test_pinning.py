from __future__ import annotations

import pytest

from tests.executor.operating.desk import WHO, Desk
from tfx_best_exporter.executor.operating.operation import OperationError
from tfx_best_exporter.executor.operating.pinning import pin, unpin
from tfx_best_exporter.executor.operating.rollback import rollback


def test_pins_and_unpins(desk: Desk) -> None:
    change = pin(desk.exports, "7", **WHO)
    assert (change.kind, change.versions) == ("pin", (7,))
    assert desk.state.pins[7].action.reason == "bad at night"
    change = unpin(desk.exports, 7, **WHO)
    assert (change.kind, change.versions) == ("unpin", (7,))
    assert not desk.state.pins
    assert desk.logged() == [("pin", 7, "ann"), ("unpin", 7, "ann")]


def test_pins_a_withdrawn_version(desk: Desk) -> None:
    rollback(desk.exports, **WHO)
    pin(desk.exports, 9, **WHO)
    assert {*desk.state.pins} == {9}
    unpin(desk.exports, 9, **WHO)
    with desk.exports.lock():
        desk.exports.withdrawals.purge(9)
    with pytest.raises(OperationError, match=r"^version must be in the base directory"):
        pin(desk.exports, 9, **WHO)


def test_unpins_what_is_gone(desk: Desk) -> None:
    pin(desk.exports, 7, **WHO)
    (desk.exports.base / "7").remove()
    unpin(desk.exports, 7, **WHO)
    assert not desk.state.pins


def test_refuses(desk: Desk) -> None:
    with pytest.raises(OperationError, match=r"^version must be in the base directory \(got 6;"):
        pin(desk.exports, 6, **WHO)
    pin(desk.exports, 7, **WHO)
    with pytest.raises(OperationError, match=r"^version must be pinned .* Pinned are: 7\.$"):
        unpin(desk.exports, 8, **WHO)


def test_dry_runs_write_nothing(desk: Desk) -> None:
    before = desk.files
    assert pin(desk.exports, 7, dry_run=True, **WHO).versions == (7,)
    assert desk.files == before
    pin(desk.exports, 7, **WHO)
    before = desk.files
    assert unpin(desk.exports, 7, dry_run=True, **WHO).versions == (7,)
    assert desk.files == before
