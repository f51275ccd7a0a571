"""docs/faults.md names at least one existing test for each row."""

from __future__ import annotations

import ast
import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
ROWS = [*range(1, 48)]


def functions_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_row_has_a_test_that_exists() -> None:
    text = (REPOSITORY / "docs" / "faults.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (\d+) \|(.*)\|$", text, re.MULTILINE))
    assert [int(number) for number in rows] == ROWS
    for number, row in rows.items():
        tests = re.findall(r"`([\w/]+\.py)::(\w+)`", row)
        assert tests, number
        for name, function in tests:
            path = REPOSITORY / (name if "/" in name else f"tests/faults/{name}")
            assert function in functions_of(path), (number, name, function)
