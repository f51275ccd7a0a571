from __future__ import annotations

import json
from pathlib import Path

from tests.cli.world import World, invoke, json_of


def test_backtest(world: World) -> None:
    policy = world.root / "policy.json"
    rule = {"metric": {"name": "auc"}, "direction": "HIGHER_IS_BETTER", "min_absolute_change": 0.05}
    policy.write_text(json.dumps({"metric": rule}))
    items = json_of("backtest", world.base, "--policy", policy)
    assert [(each["run_id"], each["reason"], each["other_reason"]) for each in items] == [
        ("run-1", "FIRST_EXPORT", "FIRST_EXPORT"),
        ("run-2", "BETTER", "NOT_BETTER"),
        ("run-3", "NOT_BETTER", "NOT_BETTER"),
    ]
    assert [each["differs"] for each in items] == [False, True, False]
    assert items[1]["version"] == "1795392000"
    text = invoke("backtest", world.base, "--policy", policy).stdout
    assert text.endswith("1 of 3 decisions differ; 0 cannot be told\n")


def test_backtest_with_a_policy_of_the_history(world: World) -> None:
    (item,) = json_of("show", world.base, world.versions[1])
    policy = world.root / "policy.json"
    policy.write_text(json.dumps(item["compare_policy"]))
    items = json_of("backtest", world.base, "--policy", policy)
    assert [each["differs"] for each in items] == [False] * 3


def test_backtest_with_a_wrong_policy(world: World) -> None:
    policy = world.root / "policy.json"
    policy.write_text('{"metrik": 7}')
    result = invoke("backtest", world.base, "--policy", policy)
    assert result.exit_code == 2
    assert "compare_policy must be a ComparePolicy as JSON" in result.stderr


def test_report(world: World, tmp_path: Path) -> None:
    site = tmp_path / "site"
    result = invoke("report", world.base, "-o", site)
    assert (result.exit_code, result.stdout) == (0, f"{site}/index.html\n")
    assert str(world.base) in (site / "index.html").read_text()
