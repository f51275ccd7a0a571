"""Output of a command: tables for people, JSON for programs.

A JSON document is {"schema_version": 1, "kind": <command>, "items": [...]}. In the form jsonl each
item is a line of its own. Versions are texts, as in decision.json, because many programs read large
numbers as floats. Times are texts in ISO 8601, and NaN and infinities are texts.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import json
import math
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from tfx_best_exporter.executor.reports import wording

SCHEMA_VERSION = 1

# Names of fields whose numbers are versions, or seconds since the epoch.
_VERSIONS = frozenset({"version", "versions", "first", "second", "best_version", "to"})
# Columns whose cells are wrapped if a terminal is too narrow.
_WIDE = frozenset({"BASE", "FILE", "PROBLEM", "PROBLEMS", "WHY", "BY", "HOLD"})
_TIMES = frozenset({"at", "since", "until", "trained_at"})


def plain(value: Any, name: str = "") -> Any:
    """Returns a value of a dataclass as JSON has it.

    Args:
        value: A dataclass, a mapping, a sequence, or a single value.
        name: Name of the field that has the value.
    """
    names = _names_of(type(value))
    if names is not None:
        return {each: plain(getattr(value, each), each) for each in names}
    if isinstance(value, Mapping):
        return {str(key): plain(each, str(key)) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each, name) for each in value]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return str(value) if name in _VERSIONS else value
    if isinstance(value, float):
        return _time(value) if name in _TIMES else _number(value)
    return str(value)


@functools.cache
def _names_of(kind: type) -> tuple[str, ...] | None:
    """Returns the names of a dataclass's fields; None for another type."""
    if not dataclasses.is_dataclass(kind):
        return None
    return tuple(field.name for field in dataclasses.fields(kind))


def _number(value: float) -> float | int | str:
    if not math.isfinite(value):
        return wording.number(value).replace("∞", "Infinity")
    return value


def _time(value: float) -> str:
    return datetime.datetime.fromtimestamp(value, datetime.timezone.utc).isoformat()


def emit(form: str, kind: str, items: Sequence[Mapping[str, Any]]) -> None:
    """Prints items in a form for programs.

    Args:
        form: "json" or "jsonl".
        kind: Name of the command.
        items: The items, as `plain` returns them.
    """
    if form == "jsonl":
        for item in items:
            click.echo(json.dumps(item, ensure_ascii=False))
        return
    document = {"schema_version": SCHEMA_VERSION, "kind": kind, "items": list(items)}
    click.echo(json.dumps(document, ensure_ascii=False, indent=2))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Prints rows below a header; a terminal wraps long cells, a pipe does not.

    Texts of files that other programs wrote are shown with control characters escaped.

    Args:
        columns: Names of the columns; those that end in ">" are aligned to the right.
        rows: Cells of each row.
    """
    names = [column.removesuffix(">") for column in columns]
    cells = [[wording.line(cell) for cell in row] for row in rows]
    widths = [
        max(map(len, (name, *(row[place] for row in cells)))) for place, name in enumerate(names)
    ]
    room = shutil.get_terminal_size().columns
    has_room = sum(widths) + 2 * (len(widths) - 1) <= room
    if has_room or not (sys.stdout.isatty() or "COLUMNS" in os.environ):
        for row in (names, *cells):
            aligned = (
                cell.rjust(width) if column.endswith(">") else cell.ljust(width)
                for column, cell, width in zip(columns, row, widths, strict=True)
            )
            click.echo("  ".join(aligned).rstrip())
        return
    _wrapped(columns, cells, room)


def _wrapped(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> None:
    # rich takes a tenth of a second to import, and only a narrow terminal needs it.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        is_number = column.endswith(">")
        grid.add_column(
            column.removesuffix(">"),
            justify="right" if is_number else "left",
            overflow="fold",
            no_wrap=is_number or column not in _WIDE,
        )
    for row in rows:
        grid.add_row(*map(Text, row))
    console = Console(width=width, highlight=False, soft_wrap=False)
    with console.capture() as capture:
        console.print(grid)
    # rich fills each line with spaces up to the width of the table.
    click.echo("\n".join(line.rstrip() for line in capture.get().splitlines()))


def facts(pairs: Iterable[tuple[str, str]], indent: str = "  ") -> None:
    """Prints names and values, one pair a line; pairs without a value are left out."""
    shown = [(name, value) for name, value in pairs if value]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        click.echo(f"{indent}{name:<{width}}  {wording.line(value)}")


def note(text: str) -> None:
    """Prints a sentence for the person on stderr, so that it does not mix with the output."""
    click.echo(wording.line(text), err=True)


def size(value: int) -> str:
    """Returns a number of bytes for a person, for example "1.5 GiB"."""
    amount, unit = float(value), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.4g} {unit}"


def date(seconds: float | None) -> str:
    """Returns a time for a cell, in UTC; empty if it is not known."""
    if seconds is None:
        return ""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return f"{moment:%Y-%m-%d %H:%M} UTC"
