from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.world import invoke, json_of
from tests.executor.running.challenged import World

# Enough for the longest row.
WIDE = {"COLUMNS": "300"}


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.run("base", {"base": 0.9})
    world.run("mond", {"base": 0.9, "mond": 0.906})
    return world


def table_of(text: str) -> list[list[str]]:
    """Returns the cells of the last table in an output."""
    lines = text.rpartition("\n\n")[2].splitlines()
    return [line.split("  ") for line in lines]


def cells_of(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in row if cell.strip()] for row in table_of(text)]


def test_status_lists_challengers(world: World) -> None:
    base = world.exports.base.uri
    digest = world.state.all()[0].record.model.digest
    (item,) = json_of("status", base, now=world.now)
    (challenger,) = item["challengers"]
    explanation = challenger["explanation"]
    assert explanation.startswith("auc 0.906: in 1 run 0.003 ± 0.003 better than the best;")
    rows = cells_of(invoke("status", base, now=world.now, env=WIDE).stdout)
    assert rows == [
        ["TRAINED IN", "DATE", "RUNS", "GAIN", "NO BETTER", "CHALLENGER", "WHY"],
        [
            "run-mond",
            "2026-09-23 14:13 UTC",
            "1",
            "0.003 ± 0.003",
            "16 %",
            digest[:19],
            explanation,
        ],
    ]
    assert challenger["digest"] == digest
    assert challenger["trained_at"] == "2026-09-23T14:13:20+00:00"
    assert challenger["gain"] == pytest.approx(0.003)


def test_the_digits_of_a_challenger_are_enough_to_reject_it(world: World) -> None:
    base = world.exports.base.uri
    digest = cells_of(invoke("status", base, now=world.now).stdout)[1][5]
    result = invoke("reject", base, digest, "--reason", "wrong labels", "--yes", now=world.now)
    assert result.exit_code == 0
    world.run("tues", {"base": 0.88, "tues": 0.88})
    assert "mond" not in world.kept


def test_show_has_the_evidence(world: World) -> None:
    base = world.exports.base.uri
    world.run("tues", {"base": 0.88, "mond": 0.91, "tues": 0.884})
    shown = invoke("show", base, now=world.now).stdout
    assert "CHALLENGER_BETTER" in shown
    assert "  run        penguin, run-tues\n" in shown
    assert "  model of   run-mond\n" in shown
    rows = cells_of(shown)
    assert rows[0] == ["TRAINED IN", "DATE", "RUNS", "GAIN", "NO BETTER", "NEXT", "WHY"]
    assert [(row[0], row[2], row[5]) for row in rows[1:]] == [
        ("run-mond", "2", "exported"),
        ("run-tues (candidate)", "1", "dropped"),
    ]
    (item,) = json_of("show", base)
    assert [each["run_id"] for each in item["challenger_evidence"]["standings"]] == [
        "run-mond",
        "run-tues",
    ]
    history = invoke("history", base, now=world.now).stdout.splitlines()
    assert history[1].endswith("run-tues (model of run-mond)")
    (newest, *_) = json_of("history", base)
    assert (newest["run_id"], newest["trained_by"]) == ("run-tues", "run-mond")


def test_with_a_guarantee_the_e_value_is_shown(tmp_path: Path) -> None:
    world = World(tmp_path, rule={"guarantee": True})
    world.run("base", {"base": 0.9})
    world.run("mond", {"base": 0.9, "mond": 0.906})
    rows = cells_of(invoke("status", world.exports.base.uri, now=world.now).stdout)
    assert rows[0][4] == "E-VALUE"
    shown = cells_of(invoke("show", world.exports.base.uri, now=world.now).stdout)
    assert shown[0][4] == "E-VALUE"
    assert shown[1][4] == rows[1][4]


def test_a_challenger_without_evidence(world: World) -> None:
    (world.exports.state / "challengers" / "ledger.json").remove()
    rows = cells_of(invoke("status", world.exports.base.uri, now=world.now).stdout)
    assert rows[1][2:5] == ["0", "-", "-"]
    assert rows[1][6] == "no run has measured it with the version that is served"
