from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.world import World, invoke, json_of
from tests.executor import plain
from tfx_best_exporter.executor.exports.decision_log import LoggedDecision

WHY = ("--reason", "wrong labels")


def last(world: World) -> LoggedDecision:
    return world.exports.decision_log.read().decisions[-1]


def test_rollback_and_the_way_back(world: World) -> None:
    older, newer = world.versions
    result = invoke("rollback", world.base, *WHY, "--hold", "24h", "--yes", now=world.now)
    assert result.exit_code == 0
    assert result.stdout == (
        f"{world.base}\n"
        f"  version {newer} is withdrawn, and its model is rejected\n"
        f"  version {older} is served\n"
        "  no run exports or retires anything until 2026-11-26 00:00 UTC\n"
    )
    assert (last(world).kind, last(world).operator) == ("rollback", "ana@desk")
    assert json_of("status", world.base)[0]["served"]["version"] == str(older)
    assert invoke("release", world.base, "-y").exit_code == 0
    # The next run brings the same model again.
    assert not world.run("b", {"auc": 0.93}).exported
    assert invoke("restore", world.base, newer, "-y").exit_code == 0
    assert json_of("status", world.base)[0]["served"]["version"] == str(newer)


def test_rollback_to_a_version(world: World) -> None:
    world.run("d", {"auc": 0.99})
    result = invoke("rollback", world.base, "--to", world.versions[0], *WHY, "-y")
    assert result.exit_code == 0
    assert result.stdout.count("is withdrawn") == 2


@pytest.mark.parametrize("answer", ["n\n", "", "\n"], ids=["no", "nobody to ask", "empty"])
def test_nothing_happens_without_a_yes(world: World, answer: str) -> None:
    before = plain.read_files(world.base)
    result = invoke("rollback", world.base, *WHY, input=answer)
    assert result.exit_code == 1
    assert "version 1795392000 is withdrawn" in result.stderr
    assert (
        "Error: nothing was changed, because nobody confirmed. Add --yes to go on without a"
        " question, or --dry-run to see the effect.\n"
    ) in result.stderr
    assert result.stdout == ""
    assert plain.read_files(world.base) == before


def test_a_yes_at_the_question(world: World) -> None:
    result = invoke("rollback", world.base, *WHY, input="y\n")
    assert result.exit_code == 0
    assert "Continue? [y/N]: " in result.stderr
    assert result.stdout.startswith(f"{world.base}\n")
    assert not (world.base / str(world.versions[1])).exists()


ONE_EACH = {
    "rollback": ("rollback", *WHY),
    "hold": ("hold", *WHY),
    "reject": ("reject", "1795305600", *WHY),
    "pin": ("pin", "1795305600"),
}


@pytest.mark.parametrize("words", ONE_EACH.values(), ids=ONE_EACH)
def test_a_dry_run_shows_the_effect_and_changes_nothing(
    world: World, words: tuple[str, ...]
) -> None:
    name, *more = words
    before = plain.read_files(world.base)
    (item,) = json_of(name, world.base, *more, "--dry-run", now=world.now)
    assert item["dry_run"] is True
    assert invoke(name, world.base, *more, "--dry-run").stdout.startswith(
        f"Dry run, nothing was changed: {world.base}\n  "
    )
    assert plain.read_files(world.base) == before
    done = invoke(name, world.base, *more, "-y", "-o", "jsonl", now=world.now)
    assert done.exit_code == 0
    assert plain.read_files(world.base) != before
    # The effect is the one that the dry run has shown.
    assert done.stdout.replace('"dry_run": false', '"dry_run": true').strip() == (invoke_text(item))


def invoke_text(item: dict[str, object]) -> str:
    import json

    return json.dumps(item, ensure_ascii=False)


def test_hold_and_release_a_fleet(world: World, tmp_path: Path) -> None:
    other = World(root=tmp_path / "other")
    other.run("x", {"auc": 0.5})
    bases = [world.base, other.base]
    items = json_of("hold", *bases, "--until", "2026-12-28T08:00+01:00", *WHY, "-y", now=world.now)
    assert [item["base"] for item in items] == [str(base) for base in bases]
    assert world.run("d", {"auc": 0.99}).exported is False
    assert other.run("y", {"auc": 0.99}).exported is False
    assert last(world).reason == "ON_HOLD"
    assert invoke("release", *bases, "-y").exit_code == 0
    assert world.run("d", {"auc": 0.99}).exported is True


def test_nothing_is_changed_anywhere_if_one_cannot_be(world: World) -> None:
    result = invoke("hold", world.base, "/nope", *WHY, "-y")
    assert result.exit_code == 2
    assert world.exports.operators.hold() is None


def test_reject_and_unreject(world: World) -> None:
    assert invoke("reject", world.base, world.versions[0], *WHY, "-y").exit_code == 0
    (digest,) = world.exports.operators.names().rejected
    assert invoke("unreject", world.base, digest.removeprefix("sha256:")[:8], "-y").exit_code == 0
    assert world.exports.operators.names().rejected == frozenset()


def test_pin_and_unpin(world: World) -> None:
    assert invoke("pin", world.base, world.versions[0], *WHY, "-y").exit_code == 0
    assert world.exports.operators.pin(world.versions[0]).action.reason == "wrong labels"
    assert invoke("unpin", world.base, world.versions[0], "-y").exit_code == 0
    assert last(world).explanation.startswith("no reason given: ")


@pytest.mark.parametrize("name", ["rollback", "hold", "reject"])
def test_who_takes_a_model_away_says_why(world: World, name: str) -> None:
    more = ["1795305600"] if name == "reject" else []
    result = invoke(name, world.base, *more, "-y")
    assert result.exit_code == 2
    assert "Missing option '--reason'" in result.stderr


def test_an_operation_that_is_not_possible(world: World) -> None:
    invoke("rollback", world.base, *WHY, "-y")
    result = invoke("rollback", world.base, *WHY, "-y")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: an older version must be loadable")


def test_the_operator_may_be_named(world: World) -> None:
    invoke("pin", world.base, world.versions[0], "-y", "--operator", "bob")
    assert last(world).operator == "bob"
