"""Measures the command line: `status` of many exports, and `history` of many base directories.

Both are whole processes. The peer is a Python process that does nothing, so a difference is the
time that an operator waits for the command.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.measuring import expect, pairs_with_each
from benchmarks.rows import Row, difference_of
from benchmarks.startup import cost_of

EXPORTS = 1000
BASES = 1000
DECISIONS = 200
# Limits in seconds of the two commands.
MAX_STATUS = 0.7
MAX_HISTORY = 4.0

_PROGRAM = (sys.executable, "-m", "tfx_best_exporter.cli")
_NOTHING = (sys.executable, "-c", "pass")


def operating(root: Path, pairs: int) -> Iterator[Row]:
    """Yields rows for `status` and `history`."""
    base = write_exports(root / "serving")
    yield _difference(
        f"duration, status of {EXPORTS:,} exports, compared with an empty process",
        [*_PROGRAM, "status", str(base)],
        root,
        pairs,
        MAX_STATUS,
    )
    bases = write_bases(root / "fleet")
    yield _difference(
        f"duration, history of {BASES:,} base directories x {DECISIONS} decisions, compared with an"
        " empty process",
        [*_PROGRAM, "history", *map(str, bases)],
        root,
        pairs,
        MAX_HISTORY,
    )


def write_exports(base: Path) -> Path:
    """Writes a base directory with EXPORTS versions that a run has left, and returns its path."""
    from tests.executor import plain
    from tfx_best_exporter.executor.exporter import ModelExporter

    model = plain.write_files(base.with_name("model"))
    (exported,) = [ModelExporter(base).export(model, {"loss": 0.5})]
    expect(exported is not None, "the model must be exported", exported)
    newest = Path(str(exported))
    for number in range(EXPORTS - 1):
        shutil.copytree(newest, base / str(int(newest.name) - 1 - number))
    return base


def write_bases(fleet: Path) -> Sequence[Path]:
    """Writes BASES base directories with an export and DECISIONS decisions each."""
    from tests.executor import plain
    from tfx_best_exporter.executor.exporter import ModelExporter
    from tfx_best_exporter.executor.exports.directory import ExportDirectory
    from tfx_best_exporter.executor.storage import location_of

    model = plain.write_files(fleet / "model")
    worse = plain.write_files(fleet / "worse", {**plain.FILES, "assets/words.txt": b"worse"})
    first = fleet / "base"
    exporter = ModelExporter(first)
    exporter.run(model, {"loss": 0.5})
    exporter.run(worse, {"loss": 0.6})
    log = first / ".best_exporter/decisions.jsonl"
    exported, refused = log.read_bytes().splitlines()
    log.write_bytes(b"\n".join([exported, *[refused] * (DECISIONS - 1), b""]))
    bases = [fleet / f"base-{number:04}" for number in range(BASES)]
    for base in bases:
        shutil.copytree(first, base)
    for base in bases:
        # A run leaves the stamps of the files that it has checked. A file that was written a moment
        # ago has none.
        exports = ExportDirectory(location_of(str(base)))
        with exports.lock():
            exports.inspect(exports.exports()[-1])
    return bases


def _difference(name: str, command: Sequence[str], root: Path, pairs: int, limit: float) -> Row:
    def measure(words: Sequence[str]) -> Callable[[], float]:
        return lambda: cost_of(words, root).seconds

    measured = pairs_with_each(measure(command), {"nothing": measure(_NOTHING)}, pairs)["nothing"]
    return difference_of(name, measured, limit)
