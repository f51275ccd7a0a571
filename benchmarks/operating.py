"""Measures what an operator waits for, and what the decision log costs.

`status` and `history` are whole processes. The peer is a Python process that does nothing, so a
difference is the time that an operator waits for the command. The store is a server on this
machine, behind a proxy that adds 20 ms to each request.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.latency import latency_proxy
from benchmarks.measuring import MIB, expect, pairs_with_each
from benchmarks.object_store import LATENCY_SECONDS
from benchmarks.rows import Row, difference_of, ratio_of
from benchmarks.startup import cost_of

EXPORTS = 1000
STORED_EXPORTS = 100
BASES = 1000
DECISIONS = 200
# Limits in seconds of the commands.
MAX_STATUS = 0.7
MAX_STORED_STATUS = 1.0
MAX_HISTORY = 4.0
# Limits of a rollback, compared with publishing the model, and of a decision with a log.
MAX_OF_PUBLISH = 0.1
MAX_OF_NO_LOG = 1.05

_PROGRAM = (sys.executable, "-m", "tfx_best_exporter.cli")
_NOTHING = (sys.executable, "-c", "pass")
_BUCKET = "bench"
_MODEL_BYTES = 1024 * MIB
_SMALL_BYTES = 20 * MIB
_LOG_LINES = 1000

_DECIDE_SCRIPT = """
import sys
from tfx_best_exporter.executor.exporter import ModelExporter
from tfx_best_exporter.executor.exports.decision_log import DecisionLog, ReadLog
if sys.argv[3:]:
    DecisionLog.read = lambda *_, **__: ReadLog()
    DecisionLog.append = lambda *_, **__: None
decision = ModelExporter(sys.argv[1]).run(sys.argv[2], {"loss": 0.6})
sys.exit(decision.exported)
"""


def operating(root: Path, pairs: int) -> Iterator[Row]:
    """Yields rows for `status`, `history`, `rollback` and the decision log."""
    base = write_exports(root / "serving", EXPORTS)
    yield _difference(
        f"duration, status of {EXPORTS:,} exports, compared with an empty process",
        [*_PROGRAM, "status", str(base)],
        root,
        pairs,
        MAX_STATUS,
    )
    yield from _stored(root, pairs)
    bases = write_bases(root / "fleet")
    yield _difference(
        f"duration, history of {BASES:,} base directories x {DECISIONS} decisions, compared with an"
        " empty process",
        [*_PROGRAM, "history", *map(str, bases)],
        root,
        pairs,
        MAX_HISTORY,
    )
    yield _rollback(root, pairs)
    yield _log(root, pairs)


def write_exports(base: Path, count: int) -> Path:
    """Writes a base directory with some versions that a run has left, and returns its path."""
    from tests.executor import plain
    from tfx_best_exporter.executor.exporter import ModelExporter

    model = plain.write_files(base.with_name("model"))
    exported = ModelExporter(base).export(model, {"loss": 0.5})
    expect(exported is not None, "the model must be exported", exported)
    newest = Path(str(exported))
    for number in range(count - 1):
        shutil.copytree(newest, base / str(int(newest.name) - 1 - number))
    shutil.rmtree(model)
    return base


def write_bases(fleet: Path) -> Sequence[Path]:
    """Writes BASES base directories with an export and DECISIONS decisions each."""
    from tests.executor import plain
    from tfx_best_exporter.executor.exporter import ModelExporter

    model = plain.write_files(fleet / "model")
    worse = plain.write_files(fleet / "worse", {**plain.FILES, "assets/words.txt": b"worse"})
    first = fleet / "base"
    exporter = ModelExporter(first)
    exporter.run(model, {"loss": 0.5})
    exporter.run(worse, {"loss": 0.6})
    _repeat_last_line(first, DECISIONS)
    bases = [fleet / f"base-{number:04}" for number in range(BASES)]
    for base in bases:
        shutil.copytree(first, base)
    for base in bases:
        # A file that was written a moment ago has no stamp.
        _note_stamps(str(base))
    return bases


def _repeat_last_line(base: Path, count: int) -> None:
    """Makes the log of a base directory longer."""
    log = base / ".best_exporter/decisions.jsonl"
    *others, last = log.read_bytes().splitlines()
    log.write_bytes(b"\n".join([*others, *[last] * (count - len(others)), b""]))


def _note_stamps(base: str) -> None:
    """Notes the stamps of the served files, as a run does that has checked them."""
    from tfx_best_exporter.executor.exports.directory import ExportDirectory
    from tfx_best_exporter.executor.storage import location_of

    exports = ExportDirectory(location_of(base))
    with exports.lock():
        exports.served()


def _stored(root: Path, pairs: int) -> Iterator[Row]:
    from tests.servers import environment_of, s3_server
    from tfx_best_exporter.executor.storage import location_of
    from tfx_best_exporter.executor.storage.registry import STORAGES, Registry
    from tfx_best_exporter.executor.storage.transfer import copy_files

    source = location_of(write_exports(root / "stored", STORED_EXPORTS))
    with s3_server(_BUCKET) as url:
        os.environ.update(environment_of("s3", url))
        uri = f"s3://{_BUCKET}/serving"
        # Another section has used a client of its own server.
        destination = Registry(STORAGES).location_of(uri)
        paths = [path for path in source.sizes() if not path.endswith("/lock")]
        copy_files([(source / path, destination / path) for path in paths])
        _note_stamps(uri)
        with latency_proxy(url, LATENCY_SECONDS) as proxy:
            os.environ["AWS_ENDPOINT_URL"] = proxy.url
            yield _difference(
                f"duration, status of {STORED_EXPORTS} exports on S3, compared with an empty"
                " process",
                [*_PROGRAM, "status", uri],
                root,
                pairs,
                MAX_STORED_STATUS,
            )


def _rollback(root: Path, pairs: int) -> Row:
    """Returns the row about a rollback of a large model, compared with publishing it."""
    from tests.executor import plain
    from tfx_best_exporter.executor.exporter import ModelExporter

    small = plain.write_files(root / "small")
    large = plain.write_files(root / "large")
    with (large / "assets/words.txt").open("wb") as file:
        for _ in range(_MODEL_BYTES // (16 * MIB)):
            file.write(os.urandom(16 * MIB))
    measured = []
    for _ in range(pairs):
        base = root / "rollback"
        exporter = ModelExporter(base)
        exporter.export(small, {"loss": 0.5})
        os.sync()
        started = time.perf_counter()
        exporter.export(large, {"loss": 0.4})
        published = time.perf_counter()
        exporter.rollback(reason="a benchmark")
        measured.append((time.perf_counter() - published, published - started))
        served = exporter.status().served
        expect(served is not None and served.digest != "", "a version must be served", served)
        shutil.rmtree(base)
    shutil.rmtree(large)
    return ratio_of(
        "rollback of 1 GiB on a disk, compared with publishing it", measured, MAX_OF_PUBLISH
    )


def _log(root: Path, pairs: int) -> Row:
    """Returns the row about a process that decides with a full log, compared with no log."""
    from tests.executor import plain
    from tfx_best_exporter.executor.exporter import ModelExporter

    base = root / "log"
    asset = os.urandom(_SMALL_BYTES)
    worse = plain.write_files(root / "worse", {**plain.FILES, "assets/words.txt": asset})
    exporter = ModelExporter(base)
    exporter.run(plain.write_files(root / "model"), {"loss": 0.5})
    exporter.run(worse, {"loss": 0.6})
    _repeat_last_line(base, _LOG_LINES)

    def decide(*log: str) -> Callable[[], float]:
        command = [sys.executable, "-c", _DECIDE_SCRIPT, str(base), str(worse), *log]
        return lambda: cost_of(command, root).seconds

    measured = pairs_with_each(decide(), {"none": decide("no log")}, 2 * pairs)["none"]
    return ratio_of(
        f"process that decides on 20 MiB with a log of {_LOG_LINES:,} lines, compared with no log",
        measured,
        MAX_OF_NO_LOG,
    )


def _difference(name: str, command: Sequence[str], root: Path, pairs: int, limit: float) -> Row:
    def measure(words: Sequence[str]) -> Callable[[], float]:
        return lambda: cost_of(words, root).seconds

    measured = pairs_with_each(measure(command), {"nothing": measure(_NOTHING)}, pairs)["nothing"]
    return difference_of(name, measured, limit)
