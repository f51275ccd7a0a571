from __future__ import annotations

from typing import Any

import pytest

from tests.executor.operating.desk import NOW, WHO, Desk, who
from tfx_best_exporter.executor.operating.holding import extended, held, hold, release
from tfx_best_exporter.executor.operating.operation import OperationError, Order
from tfx_best_exporter.executor.operating.rollback import rollback
from tfx_best_exporter.proto import best_exporter_pb2 as pb


def test_holds_and_releases(desk: Desk) -> None:
    change = hold(desk.exports, **WHO)
    assert change.kind == "hold"
    assert change.sentences == ("no run exports or retires anything until somebody releases it",)
    found = desk.state.hold
    assert (found.action.operator, found.action.reason) == ("ann", "bad at night")
    assert not found.HasField("until")
    assert found.action.at.seconds == NOW

    change = release(desk.exports, **who(operator="bob"))
    assert change.sentences == ("the hold by ann (bad at night) is over",)
    assert desk.state.hold is None
    assert desk.logged() == [("hold", None, "ann"), ("release", None, "bob")]


def test_replaces_a_hold(desk: Desk) -> None:
    hold(desk.exports, **WHO)
    change = hold(desk.exports, until=NOW + 90, **who(operator="bob"))
    assert change.sentences == (
        "no run exports or retires anything until 2027-01-15 08:01 UTC",
        "this replaces the hold by ann (bad at night)",
    )
    assert desk.state.hold.until.seconds == NOW + 90
    assert desk.state.hold.action.operator == "bob"


def test_a_hold_that_is_over_is_not_replaced(desk: Desk) -> None:
    hold(desk.exports, until=NOW + 90, **WHO)
    change = hold(desk.exports, until=NOW + 900, **who(now=NOW + 91))
    assert len(change.sentences) == 1


def test_a_damaged_hold_is_released(desk: Desk) -> None:
    desk.put(".best_exporter/hold.json", b"{")
    change = release(desk.exports, **WHO)
    assert "an unknown person" in change.sentences[0]
    assert desk.state.hold is None


PROMOTED: dict[str, dict[str, Any]] = {
    "promoted": {"promotion": pb.OperatorAction(operator="ann")},
    "forced": {"decision": pb.ExportDecision(reason=pb.ExportDecision.FORCED)},
}


@pytest.mark.parametrize("version", [None, "10"])
@pytest.mark.parametrize("fields", PROMOTED.values(), ids=PROMOTED)
def test_releases_a_promoted_version(
    desk: Desk, fields: dict[str, Any], version: str | None
) -> None:
    desk.publish(10, **fields)
    change = release(desk.exports, version=version, **WHO)
    assert change.versions == (10,)
    assert change.sentences == (
        "a better candidate may replace version 10 by the recorded metrics again",
    )
    assert desk.state.released[10].action.operator == "ann"
    assert desk.logged() == [("release", 10, "ann")]


def test_a_hold_is_released_before_a_promoted_version(desk: Desk) -> None:
    desk.publish(10, **PROMOTED["promoted"])
    hold(desk.exports, **WHO)
    change = release(desk.exports, **WHO)
    assert change.sentences[1] == (
        "version 10 was promoted or forced and stays until a candidate beats it on the same data;"
        " release it by its number"
    )
    assert desk.state.hold is None
    assert not desk.state.released


def test_a_released_version_is_not_released_again(desk: Desk) -> None:
    desk.publish(10, **PROMOTED["promoted"])
    release(desk.exports, **WHO)
    with pytest.raises(OperationError, match=r"^base directory must be on hold"):
        release(desk.exports, **WHO)


@pytest.mark.parametrize("end", [NOW, NOW - 1, NOW + 4e9, float("nan"), float("inf")])
def test_refuses_an_end(desk: Desk, end: float) -> None:
    with pytest.raises(OperationError, match=r"^hold must end in the future, within ten years"):
        hold(desk.exports, until=end, **WHO)
    assert desk.state.hold is None


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no hold": ({}, "base directory must be on hold"),
    "not promoted": ({"version": 9}, "version must be a promoted or forced one"),
    "no version": ({"version": 6}, "version must be in the base directory"),
}


@pytest.mark.parametrize(("arguments", "text"), REFUSED.values(), ids=REFUSED)
def test_refuses_to_release(desk: Desk, arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(OperationError, match=f"^{text}"):
        release(desk.exports, **who(**arguments))
    assert desk.logged() == []


def test_dry_runs_write_nothing(desk: Desk) -> None:
    before = desk.files
    assert hold(desk.exports, dry_run=True, **WHO).kind == "hold"
    assert desk.files == before
    hold(desk.exports, **WHO)
    before = desk.files
    assert release(desk.exports, dry_run=True, **WHO).kind == "release"
    assert desk.files == before


@pytest.mark.parametrize("until", [None, NOW + 120.0], ids=["endless", "longer"])
def test_a_longer_hold_stays(disk: Desk, until: float | None) -> None:
    hold(disk.exports, until=until, **who(operator="bob", reason="holidays"))
    known = disk.state.hold
    with disk.exports.lock():
        found, sentences = extended(disk.exports, Order(**WHO), NOW + 60.0)
    assert found is None
    (sentence,) = sentences
    assert sentence.startswith("no run exports or retires anything until ")
    assert sentence.endswith(": the longer hold by bob (holidays) stays")
    rollback(disk.exports, hold_seconds=60.0, **WHO)
    assert disk.state.hold == known


def test_a_shorter_hold_is_replaced(disk: Desk) -> None:
    hold(disk.exports, until=NOW + 60.0, **who(operator="bob", reason="holidays"))
    change = rollback(disk.exports, hold_seconds=120.0, **WHO)
    assert change.sentences[-1] == (
        "this replaces the hold by bob (holidays), which does not end later"
    )
    assert disk.state.hold.until.seconds == NOW + 120


def test_no_hold_is_asked_for(disk: Desk) -> None:
    assert extended(disk.exports, Order(**WHO), None) == (None, ())


@pytest.mark.parametrize("is_held", [True, False])
def test_a_failure_puts_the_earlier_hold_back(desk: Desk, is_held: bool) -> None:
    if is_held:
        hold(desk.exports, until=NOW + 60.0, **who(operator="bob"))
    known = desk.state.hold
    with desk.exports.lock():
        new_hold, _ = extended(desk.exports, Order(**WHO), NOW + 120.0)
        context = held(desk.exports, new_hold)
        context.__enter__()
        assert desk.state.hold.until.seconds == NOW + 120
        error = OSError(28, "no space left")
        assert not context.__exit__(OSError, error, None)
    assert desk.state.hold == known
