from __future__ import annotations

import datetime
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from tests.cli.world import World, invoke
from tfx_best_exporter.cli.arguments import BASE, DURATION, TIME, VERSION
from tfx_best_exporter.cli.commands import best_exporter


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("1.5m", 90), ("24h", 86400), ("7d", 604800), (" 2w ", 1209600), ("0h", 0)],
)
def test_durations(text: str, seconds: float) -> None:
    assert DURATION.convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "24", "h", "-1h", "1 day", "1h30m", "nan h", "1e3s"])
def test_texts_that_are_no_durations(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a duration"):
        DURATION.convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-12-28", "2026-12-28T00:00:00+00:00"),
        ("2026-12-28T08:00", "2026-12-28T08:00:00+00:00"),
        ("2026-12-28 08:00:30", "2026-12-28T08:00:30+00:00"),
        ("2026-12-28T08:00+01:00", "2026-12-28T07:00:00+00:00"),
        ("2026-12-28T08:00:00Z", "2026-12-28T08:00:00+00:00"),
    ],
)
def test_times(text: str, expected: str) -> None:
    assert TIME.convert(text, None, None) == datetime.datetime.fromisoformat(expected).timestamp()


@pytest.mark.parametrize("text", ["", "tomorrow", "08:00", "2026-13-01", "1e9"])
def test_texts_that_are_no_times(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a time"):
        TIME.convert(text, None, None)


@pytest.mark.parametrize(("text", "number"), [("7", "7"), ("007", "7"), (1795392000, "1795392000")])
def test_versions(text: str | int, number: str) -> None:
    assert VERSION.convert(text, None, None) == number


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", str(2**63)])
def test_texts_that_are_no_versions(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a version"):
        VERSION.convert(text, None, None)


@pytest.mark.parametrize("text", ["", "nope://a", "s3://", "file://a"])
def test_texts_that_are_no_base_directories(text: str) -> None:
    with pytest.raises(click.BadParameter):
        BASE.convert(text, None, None)


def completed(words: list[str], incomplete: str) -> list[tuple[str, str]]:
    completion = ShellComplete(best_exporter, {}, "best-exporter", "_BEST_EXPORTER_COMPLETE")
    return [(each.type, each.value) for each in completion.get_completions(words, incomplete)]


def test_completion(world: World, tmp_path: Path) -> None:
    assert completed([], "roll") == [("plain", "rollback")]
    assert completed(["status"], "/ser") == [("dir", "/ser")]
    base = str(world.base)
    assert completed(["restore", base], "1795") == [
        ("plain", str(version)) for version in reversed(world.versions)
    ]
    assert completed(["restore", base], "18") == []
    assert completed(["restore", str(tmp_path / "nope")], "") == []


def test_a_base_that_is_no_base_is_a_usage_error() -> None:
    result = invoke("status", "nope://a")
    assert result.exit_code == 2
    assert "Try 'best-exporter status --help' for help." in result.stderr


def test_a_state_directory_outside(world: World, tmp_path: Path) -> None:
    # The state of the runs so far moves to the other directory.
    state = tmp_path / "state"
    (world.base / ".best_exporter").rename(state)
    (state / "base_directory").write_text(str(world.base))
    hold = ("hold", world.base, "--reason", "freeze", "-y")
    assert invoke("--state-directory", state, *hold).exit_code == 0
    assert (state / "hold.json").exists()
    assert not (world.base / ".best_exporter/hold.json").exists()
    assert "hold " not in invoke("status", world.base).stdout
    assert "hold " in invoke("--state-directory", state, "status", world.base).stdout
    result = invoke("--state-directory", state, "status", world.base, world.base)
    assert result.exit_code == 2
    assert "--state-directory belongs to one base directory" in result.stderr
    result = invoke("--state-directory", world.base / "state", "status", world.base)
    assert result.exit_code == 2
    assert "must be outside the base directory" in result.stderr
