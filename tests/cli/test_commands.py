from __future__ import annotations

import re
import shlex

import click
import pytest

from tests.cli.world import invoke
from tfx_best_exporter.cli.commands import best_exporter

NAMES = sorted(best_exporter.commands)


def test_the_commands() -> None:
    text = """
        status history show diff verify report backtest rollback restore promote approve adopt hold
        release reject unreject pin unpin retire lock
    """
    assert best_exporter.list_commands(click.Context(best_exporter)) == text.split()
    assert sorted(text.split()) == NAMES


def test_a_stranger_finds_rollback() -> None:
    text = invoke("--help").output
    assert re.search(r"^  rollback +Go back to an older version", text, re.MULTILINE)
    assert all(re.search(rf"^  {name} ", text, re.MULTILINE) for name in NAMES)
    assert "Bad model served?  best-exporter rollback " in text


@pytest.mark.parametrize("name", NAMES)
def test_the_help_has_one_example_that_parses(name: str) -> None:
    text = invoke(name, "--help").output
    examples = re.findall(r"^ +best-exporter (.+)$", text, re.MULTILINE)
    assert len(examples) == 1, text
    command, *words = shlex.split(examples[0])
    assert command == name
    best_exporter.commands[name].make_context(name, words)


@pytest.mark.parametrize("name", NAMES)
def test_each_command_has_a_form_for_programs(name: str) -> None:
    options = {option for each in best_exporter.commands[name].params for option in each.opts}
    assert "-o" in options
    is_reading = name in ("status", "history", "show", "diff", "verify", "backtest", "report")
    assert ("--dry-run" in options) == ("--yes" in options) == (not is_reading)
    assert ("--reason" in options) == (not is_reading)


def test_a_mistyped_command() -> None:
    result = invoke("rolback", "/serving")
    assert result.exit_code == 2
    assert "rollback" in result.stderr


def test_the_version() -> None:
    assert re.fullmatch(r"best-exporter \d+\.\d+\.\d+\n", invoke("--version").output)
