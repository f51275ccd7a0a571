from __future__ import annotations

from typing import Any

import pytest

from tests.executor.operating.desk import NOW, WHO, Desk, who
from tfx_best_exporter.executor.operating.holding import hold, release
from tfx_best_exporter.executor.operating.operation import OperationError
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
