"""Measures publishing, deciding and retiring, compared with TFX's Pusher and with `cp -r` and sync.

Pusher writes two copies into the system's cache. It neither syncs nor verifies them, so its time
depends on whether its writes reach the disk. Pusher followed by sync does the same work as an
export.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.measuring import MIB, expect, pairs_of, pairs_with_each, timed, write_model
from benchmarks.rows import Row, difference_of, ratio_of


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Files that are added to a small SavedModel.

    Attributes:
        name: Name in the results.
        count: Number of files.
        size: Size of each file in bytes.
        max_of_pusher_and_sync: Limit of the ratio to Pusher followed by sync.
    """

    name: str
    count: int
    size: int
    max_of_pusher_and_sync: float


WORKLOADS = (
    Workload(name="1 x 1 GiB", count=1, size=1024 * MIB, max_of_pusher_and_sync=0.6),
    Workload(name="10 x 50 MiB", count=10, size=50 * MIB, max_of_pusher_and_sync=0.6),
    Workload(name="2,000 x 10 KiB", count=2000, size=10 << 10, max_of_pusher_and_sync=0.8),
)
MAX_OF_PUSHER = 1.0
MAX_OF_COPY = 1.25
MAX_OF_RM = 3.0
# Limit in MiB. Memory must not grow with the model.
MAX_MEMORY_MORE = 100.0


def publish_with_ours(model_path: Path) -> Callable[[Path], None]:
    """Returns a function that exports a model to a base directory and to PushedModel."""
    from tfx_best_exporter.executor.exporter import ModelExporter

    def publish(path: Path) -> None:
        decision = ModelExporter(path / "serving").run(
            model_path, {"loss": 1.0}, pushed_model_path=path / "pushed_model"
        )
        expect(decision.exported, "the model must be exported", decision.explanation)

    return publish


def publish_with_pusher(model_artifact_path: Path) -> Callable[[Path], None]:
    """Returns a function that runs Pusher's executor on a Model artifact."""
    from tfx.components.pusher import executor
    from tfx.proto import pusher_pb2
    from tfx.types import standard_artifacts
    from tfx.types import standard_component_specs as tfx_keys
    from tfx.utils import proto_utils

    def publish(path: Path) -> None:
        model, pushed_model = standard_artifacts.Model(), standard_artifacts.PushedModel()
        model.uri = str(model_artifact_path)
        pushed_model.uri = str(path / "pushed_model")
        destination = pusher_pb2.PushDestination(
            filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=str(path / "serving"))
        )
        executor.Executor().Do(
            {tfx_keys.MODEL_KEY: [model]},
            {tfx_keys.PUSHED_MODEL_KEY: [pushed_model]},
            {tfx_keys.PUSH_DESTINATION_KEY: proto_utils.proto_to_json(destination)},
        )
        expect(
            pushed_model.get_int_custom_property("pushed") == 1, "Pusher must push", pushed_model
        )

    return publish


def publish_with_pusher_and_sync(model_artifact_path: Path) -> Callable[[Path], None]:
    """Returns a function that runs Pusher's executor and syncs both of its copies.

    Exports use the same sync: file by file, or the whole file system for many files.
    """
    from tfx_best_exporter.executor.storage import location_of

    push = publish_with_pusher(model_artifact_path)

    def publish(path: Path) -> None:
        push(path)
        for name in ("serving", "pushed_model"):
            copy = location_of(path / name)
            copy.storage.sync(copy.path)

    return publish


def copy_and_sync(model_path: Path) -> Callable[[Path], None]:
    """Returns a function that copies a model with `cp -r` and syncs the copy."""

    def publish(path: Path) -> None:
        script = 'cp -r "$0" "$1" && find "$1" -print0 | xargs -0 sync'
        subprocess.run(["sh", "-c", script, str(model_path), str(path / "copy")], check=True)

    return publish


def publishing(root: Path, pairs: int) -> Iterator[Row]:
    """Yields rows for publishing to the local disk, compared with Pusher and with `cp -r`."""
    for workload in WORKLOADS:
        artifact_path = root / "model"
        model_path = write_model(artifact_path / "Format-Serving", workload.count, workload.size)
        peers = {
            "Pusher": (publish_with_pusher(artifact_path), MAX_OF_PUSHER),
            "Pusher followed by sync": (
                publish_with_pusher_and_sync(artifact_path),
                workload.max_of_pusher_and_sync,
            ),
            "cp -r and sync": (copy_and_sync(model_path), MAX_OF_COPY),
        }
        measured = pairs_with_each(
            timed(publish_with_ours(model_path), root),
            {name: timed(publish, root) for name, (publish, _) in peers.items()},
            pairs,
        )
        for name, (_, limit) in peers.items():
            yield ratio_of(f"publish {workload.name}, compared with {name}", measured[name], limit)
        shutil.rmtree(artifact_path)


_PEAK_MEMORY_SCRIPT = """
import resource, sys
from tfx_best_exporter.executor.exporter import ModelExporter
ModelExporter(sys.argv[2]).run(sys.argv[1], {"loss": 1.0}, pushed_model_path=sys.argv[3])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def memory(root: Path, pairs: int) -> Iterator[Row]:
    """Yields a row for the memory of publishing 2 GiB, compared with 20 MiB."""

    def peak_of(name: str, size: int) -> Callable[[], float]:
        model_path = write_model(root / name, 1, size)

        def measure() -> float:
            destination = root / "measured"
            paths = [model_path, destination / "serving", destination / "pushed_model"]
            run = subprocess.run(
                [sys.executable, "-c", _PEAK_MEMORY_SCRIPT, *map(str, paths)],
                check=True,
                capture_output=True,
                text=True,
            )
            shutil.rmtree(destination)
            return float(run.stdout.split()[-1]) / MIB

        return measure

    small = {"small": peak_of("20-mib", 20 * MIB)}
    measured = pairs_with_each(peak_of("2-gib", 2048 * MIB), small, pairs)["small"]
    yield difference_of(
        "peak memory to publish 2 GiB, compared with 20 MiB", measured, MAX_MEMORY_MORE, unit="MiB"
    )
    for name in ("2-gib", "20-mib"):
        shutil.rmtree(root / name)


def deciding(root: Path, pairs: int) -> Iterator[Row]:
    """Yields a row for deciding with 1,000 exports in the base directory, compared with 10."""
    from tfx_best_exporter.executor.exporter import ModelExporter

    model_path = write_model(root / "model")
    exporters = []
    for count in (1000, 10):
        base = root / f"serving-{count}"
        exporter = ModelExporter(base, exports_to_keep=None)
        first = Path(str(exporter.export(model_path, {"loss": 1.0})))
        for version in range(1, count):
            # A copy with another version is the same as an export of the exporter.
            shutil.copytree(first, base / str(version))
            record_path = base / str(version) / "assets.extra/best_exporter/record.json"
            record = json.loads(record_path.read_text())
            record_path.write_text(json.dumps({**record, "version": str(version)}))
        exporters.append(exporter)
    other_path = write_model(root / "other")

    def decide(exporter: ModelExporter) -> Callable[[Path], None]:
        return lambda _: exporter.run(other_path, {"loss": 2.0}) and None

    yield ratio_of(
        "decide with 1,000 exports, compared with 10",
        pairs_of(decide(exporters[0]), decide(exporters[1]), root, pairs),
        2.0,
    )
    for name in ("model", "other", "serving-1000", "serving-10"):
        shutil.rmtree(root / name)


def retiring(root: Path, pairs: int) -> Iterator[Row]:
    """Yields a row for retiring 200 exports, compared with `rm -r` of 200 exports."""
    from tfx_best_exporter.executor.exporter import ModelExporter

    model_path = write_model(root / "model")
    template = root / "template"
    ModelExporter(template).export(model_path, {"loss": 1.0})
    first = next(path for path in template.iterdir() if path.name.isdecimal())

    def fill(path: Path) -> None:
        for version in range(1, 202):
            shutil.copytree(first, path / str(version))
            record_path = path / str(version) / "assets.extra/best_exporter/record.json"
            record = json.loads(record_path.read_text())
            record_path.write_text(json.dumps({**record, "version": str(version)}))

    def seconds_of(retire: Callable[[Path], None]) -> Callable[[], float]:
        def measure() -> float:
            path = root / "measured"
            fill(path)
            os.sync()
            started = time.perf_counter()
            retire(path)
            os.sync()
            seconds = time.perf_counter() - started
            shutil.rmtree(path)
            return seconds

        return measure

    def retire_with_ours(path: Path) -> None:
        decision = ModelExporter(path, exports_to_keep=1).retire()
        expect(len(decision.retired) == 200, "200 exports must be retired", len(decision.retired))

    def remove(path: Path) -> None:
        doomed = [str(path / str(version)) for version in range(1, 201)]
        subprocess.run(["rm", "-r", *doomed], check=True)

    measured = pairs_with_each(seconds_of(retire_with_ours), {"rm": seconds_of(remove)}, pairs)
    yield ratio_of("retire 200 exports, compared with rm -r and sync", measured["rm"], MAX_OF_RM)
    for name in ("model", "template"):
        shutil.rmtree(root / name)
