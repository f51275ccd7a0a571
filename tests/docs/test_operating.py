"""Checks docs/operating.md: every command runs, and its output and the JSON fields are those."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import subprocess
import sys

import pytest

from tests.children import REPOSITORY
from tests.docs import examples
from tests.docs.operating_child import WORLDS
from tfx_best_exporter.cli.cleaning import LockItem
from tfx_best_exporter.cli.commands import best_exporter
from tfx_best_exporter.cli.reporting import BacktestItem
from tfx_best_exporter.executor.operating import status
from tfx_best_exporter.executor.operating.challengers import KeptChallenger
from tfx_best_exporter.executor.operating.difference import Difference, Row
from tfx_best_exporter.executor.operating.history import HistoryItem
from tfx_best_exporter.executor.operating.operation import Change
from tfx_best_exporter.executor.operating.retiring import RetireRow
from tfx_best_exporter.executor.operating.status import DirectoryStatus
from tfx_best_exporter.executor.operating.verifying import FileCheck
from tfx_best_exporter.executor.storage.protocol import LockOwner

PAGE = REPOSITORY / "docs" / "operating.md"
# Outputs name the time of another tool's files, which the system sets, and ages.
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC(?: \([0-9,]+ \w+ ago\))?")
_BLOCK = re.compile(r"^<!-- world: (\w+) -->\n```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^\$ (.*)\n", re.MULTILINE)

# Kinds of JSON objects by the heading of their table.
OBJECTS = {
    "`status`": DirectoryStatus,
    "`served`": status.ServedVersion,
    "`metrics`": status.Metric,
    "`hold`": status.Holding,
    "`lock` of a status": LockOwner,
    "`problems`": status.Problem,
    "`challengers`": KeptChallenger,
    "`history`": HistoryItem,
    "`diff`": Difference,
    "`metrics`, `slices`, `policy`, `data` and `sizes` of a difference": Row,
    "`verify`": FileCheck,
    "`retire`": RetireRow,
    "`backtest`": BacktestItem,
    "`lock`": LockItem,
    "All other commands that change something": Change,
}


def test_every_output_is_real() -> None:
    blocks = _BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert len(blocks) >= 12
    stories = [(name, _COMMAND.findall(text)) for name, text in blocks]
    assert {name for name, _ in blocks} == {*WORLDS}
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.docs.operating_child"],
        cwd=REPOSITORY,
        input=json.dumps(stories),
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    results = json.loads(ended.stdout)
    for (_, text), (_, commands), outputs in zip(blocks, stories, results, strict=True):
        generated = "\n".join(
            f"$ {command}\n{output}" for command, output in zip(commands, outputs, strict=True)
        )
        if _TIME.sub("<time>", text) != _TIME.sub("<time>", generated):
            examples.compare(PAGE, text, generated)


def test_every_command_is_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [name for name in best_exporter.commands if f"best-exporter {name} " not in text] == []


def attributes_of(kind: type) -> dict[str, str]:
    """Returns the descriptions of a dataclass's fields, from its docstring."""
    text = inspect.getdoc(kind) or ""
    section = text.partition("Attributes:\n")[2]
    found: dict[str, str] = {}
    for line in section.splitlines():
        match = re.fullmatch(r"    (\w+): (.*)", line)
        if match:
            found[match[1]] = match[2]
        elif found and line.startswith("        "):
            found[[*found][-1]] += f" {line.strip()}"
        else:
            break
    return found


def table_of(kind: type) -> str:
    """Returns the table of a kind of object in the page."""
    rows = "\n".join(f"| `{name}` | {text} |" for name, text in attributes_of(kind).items())
    # JSON has texts for times, and another word for nothing.
    rows = rows.replace("seconds since the epoch", "ISO 8601").replace("None", "null")
    return f"| field | meaning |\n|---|---|\n{rows}\n"


@pytest.mark.parametrize("heading", OBJECTS)
def test_the_fields_of_the_json_are_documented(heading: str) -> None:
    kind = OBJECTS[heading]
    assert [*attributes_of(kind)] == [field.name for field in dataclasses.fields(kind)]
    text = PAGE.read_text(encoding="utf-8")
    section = text.partition(f"\n### {heading}\n\n")[2]
    written = re.match(r"\|[^\n]*\n(?:\|[^\n]*\n)+", section)
    assert written, heading
    examples.compare(PAGE, written[0], table_of(kind))
