from __future__ import annotations

import dataclasses
import json
import math

import pytest

from tfx_best_exporter.cli import output


@dataclasses.dataclass(frozen=True, kw_only=True)
class Item:
    version: int
    versions: tuple[int, ...]
    at: float
    count: int
    value: float
    is_good: bool
    name: str | None = None


def test_a_value_as_json() -> None:
    item = Item(version=2**62, versions=(7, 8), at=1.5, count=3, value=math.nan, is_good=True)
    assert output.plain(item) == {
        "version": str(2**62),
        "versions": ["7", "8"],
        "at": "1970-01-01T00:00:01.500000+00:00",
        "count": 3,
        "value": "NaN",
        "is_good": True,
        "name": None,
    }


@pytest.mark.parametrize(
    ("value", "text"), [(math.inf, "Infinity"), (-math.inf, "-Infinity"), (0.5, 0.5)]
)
def test_numbers_that_json_does_not_have(value: float, text: str | float) -> None:
    assert output.plain({"value": value}) == {"value": text}


def test_forms(capsys: pytest.CaptureFixture[str]) -> None:
    items = [{"a": "é"}, {"a": 2}]
    output.emit("jsonl", "status", items)
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == items
    output.emit("json", "status", items)
    text = capsys.readouterr().out
    assert "é" in text
    assert json.loads(text) == {"schema_version": 1, "kind": "status", "items": items}


def test_a_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    output.table(("NAME", "COUNT>"), [("[red]a[/red]", "1"), ("b\x1b", "100"), ("c" * 300, "")])
    lines = capsys.readouterr().out.splitlines()
    # Markup is text, control characters are escaped, and a pipe gets whole lines.
    assert lines[0].split() == ["NAME", "COUNT"]
    assert lines[1].split() == ["[red]a[/red]", "1"]
    assert lines[2].split() == ["b\\x1b", "100"]
    assert lines[3] == "c" * 300
    assert lines[1].index("1") == lines[2].index("0") + 1


def test_a_narrow_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    output.table(("VERSION>", "WHY"), [("1795392000", "word " * 20)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 3
    assert max(map(len, lines)) <= 40
    assert lines[1].startswith("1795392000  word")


def test_facts(capsys: pytest.CaptureFixture[str]) -> None:
    output.facts([("a", "1"), ("long", "2\n3"), ("none", "")])
    assert capsys.readouterr().out == "  a     1\n  long  2\\n3\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1536, "1.5 KiB"),
        (5 << 40, "5 TiB"),
        (5 << 50, "5120 TiB"),
    ],
)
def test_sizes(value: int, text: str) -> None:
    assert output.size(value) == text


@pytest.mark.parametrize(("seconds", "text"), [(None, ""), (0.0, "1970-01-01 00:00 UTC")])
def test_dates(seconds: float | None, text: str) -> None:
    assert output.date(seconds) == text
