from __future__ import annotations

import inspect
from typing import Any

from tests.executor.operating.desk import NOW, Desk
from tfx_best_exporter.executor.exporter import ModelExporter
from tfx_best_exporter.executor.operating import desk as desk_module
from tfx_best_exporter.executor.operating.person import this_operator


def exporter(desk: Desk) -> ModelExporter:
    return ModelExporter(desk.exports.base, clock=lambda: NOW, exports_to_keep=None)


def test_each_operation_is_a_method(desk: Desk) -> None:
    """Each step depends on the one before it."""
    mine = exporter(desk)
    order: dict[str, Any] = {"reason": "R", "operator": "ann"}
    assert mine.pin("7", **order).versions == (7,)
    assert mine.unpin(7, **order).versions == (7,)
    assert mine.hold(until=NOW + 60, **order).kind == "hold"
    assert mine.release(**order).kind == "release"
    assert mine.reject(8, **order).versions == (8,)
    assert mine.unreject("8", **order).versions == (8,)
    assert mine.rollback("8", hold_seconds=5.0, **order).versions == (9,)
    assert mine.restore("9", **order).versions == (9,)
    assert mine.promote(desk.model("hotfix"), {"loss": 0.9}, **order).versions == (int(NOW),)
    desk.push("2000000000", "pushed")
    assert mine.adopt(None, {"loss": 0.2}, **order).versions == (2_000_000_000,)
    assert mine.backtest({"metric": {"metric": {"name": "loss"}, "direction": 1}}) == ()
    assert [kind for kind, _, _ in desk.logged()] == [
        "pin",
        "unpin",
        "hold",
        "release",
        "reject",
        "unreject",
        "rollback",
        "restore",
        "promote",
        "adopt",
    ]
    assert {operator for _, _, operator in desk.logged()} == {"ann"}
    assert {each.at for each in desk.exports.decision_log.read().decisions} == {NOW}


def test_records_have_the_name_of_the_exporter(desk: Desk) -> None:
    desk.push("12", "pushed")
    exporter(desk).adopt("12", {"loss": 0.2}, reason="R", operator="ann")
    served = desk.exports.served()
    assert served.record is not None
    assert served.record.name == "best_exporter"


def test_the_operator_is_the_user_by_default(desk: Desk) -> None:
    exporter(desk).hold(reason="R")
    assert desk.state.hold.action.operator == this_operator()


def test_each_change_has_a_dry_run() -> None:
    methods = inspect.getmembers(desk_module.Desk, inspect.isfunction)
    changing = {
        name: inspect.signature(method)
        for name, method in methods
        if not name.startswith("_") and name != "backtest"
    }
    assert len(changing) >= 12
    for name, signature in changing.items():
        assert {"reason", "operator", "dry_run"} <= {*signature.parameters}, name
