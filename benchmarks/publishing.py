"""What publishing, deciding and retiring cost, beside TFX's Pusher and beside `cp -r` and sync.

Every figure is a ratio of two things measured one after the other in the same process, and the
median of several such pairs; the order within a pair alternates.
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
from typing import TYPE_CHECKING, Any, cast

from benchmarks.ratios import MIB, Ratio, ratio_of, write_model

if TYPE_CHECKING:
    from tfx_best_exporter.executor.storage.protocol import Storage


@dataclasses.dataclass(frozen=True, kw_only=True)
class Workload:
    """Files that are added to a small SavedModel.

    Attributes:
        name: As shown.
        count: Number of files.
        size: Bytes of each.
        max_of_pusher: Ratio to reach beside Pusher.
    """

    name: str
    count: int
    size: int
    max_of_pusher: float


WORKLOADS = (
    Workload(name="1 x 1 GiB", count=1, size=1024 * MIB, max_of_pusher=0.6),
    Workload(name="10 x 50 MiB", count=10, size=50 * MIB, max_of_pusher=0.6),
    Workload(name="2,000 x 10 KiB", count=2000, size=10 << 10, max_of_pusher=0.8),
)
MAX_OF_COPY = 1.25


def pairs_of(
    ours: Callable[[Path], None], peer: Callable[[Path], None], root: Path, count: int
) -> Iterator[tuple[float, float]]:
    """Yields the seconds of both, run after each other on fresh folders, `count` times.

    What one has written is on disk before the other starts: a peer that does not sync must not
    leave its writing to the next one.
    """
    for index in range(count + 1):
        seconds = {}
        order = [("ours", ours), ("peer", peer)]
        for name, function in order if index % 2 else order[::-1]:
            path = root / f"{name}-{index}"
            path.mkdir()
            os.sync()
            started = time.perf_counter()
            function(path)
            seconds[name] = time.perf_counter() - started
            os.sync()
            shutil.rmtree(path)
        # The first pair warms caches and imports.
        if index:
            yield seconds["ours"], seconds["peer"]


def publish_with_ours(model_path: Path) -> Callable[[Path], None]:
    """Returns a function that exports a model, with PushedModel's own copy."""
    from tfx_best_exporter.executor.exporter import ModelExporter

    def publish(path: Path) -> None:
        decision = ModelExporter(path / "serving").run(
            model_path, {"loss": 1.0}, pushed_model_path=path / "pushed_model"
        )
        assert decision.exported

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
        assert pushed_model.get_int_custom_property("pushed") == 1

    return publish


def copy_and_sync(model_path: Path) -> Callable[[Path], None]:
    """Returns a function that copies a model with `cp -r` and syncs the copy."""

    def publish(path: Path) -> None:
        script = 'cp -r "$0" "$1" && find "$1" -print0 | xargs -0 sync'
        subprocess.run(["sh", "-c", script, str(model_path), str(path / "copy")], check=True)

    return publish


def publishing(root: Path, pairs: int) -> Iterator[Ratio]:
    """Yields publishing beside Pusher and beside `cp -r` and sync, on the local disk."""
    for workload in WORKLOADS:
        artifact_path = root / "model"
        model_path = write_model(artifact_path / "Format-Serving", workload.count, workload.size)
        ours = publish_with_ours(model_path)
        yield ratio_of(
            f"publish {workload.name}, beside Pusher",
            list(pairs_of(ours, publish_with_pusher(artifact_path), root, pairs)),
            workload.max_of_pusher,
        )
        yield ratio_of(
            f"publish {workload.name}, beside cp -r and sync",
            list(pairs_of(ours, copy_and_sync(model_path), root, pairs)),
            MAX_OF_COPY,
        )
        shutil.rmtree(artifact_path)


_PEAK_MEMORY_SCRIPT = """
import resource, sys
from tfx_best_exporter.executor.exporter import ModelExporter
ModelExporter(sys.argv[2]).run(sys.argv[1], {"loss": 1.0}, pushed_model_path=sys.argv[3])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def memory(root: Path) -> Iterator[Ratio]:
    """Yields the peak memory of a process that publishes 2 GiB beside one that publishes 20 MiB."""
    peaks = []
    for size in (2048 * MIB, 20 * MIB):
        model_path = write_model(root / "model", 1, size)
        run = subprocess.run(
            [
                sys.executable,
                "-c",
                _PEAK_MEMORY_SCRIPT,
                str(model_path),
                str(root / "serving"),
                str(root / "pushed_model"),
            ],
            check=True,
            capture_output=True,
            text=True,
        )
        peaks.append(float(run.stdout.split()[-1]) / MIB)
        for name in ("model", "serving", "pushed_model"):
            shutil.rmtree(root / name)
    large, small = peaks
    yield ratio_of(
        "peak memory, publish 2 GiB beside 20 MiB",
        [(large, small)],
        (small + 100) / small,
        unit="MiB",
    )


def deciding(root: Path, pairs: int) -> Iterator[Ratio]:
    """Yields deciding against a base directory with 1,000 exports beside one with 10."""
    from tfx_best_exporter.executor.exporter import ModelExporter

    model_path = write_model(root / "model")
    exporters = []
    for count in (1000, 10):
        base = root / f"serving-{count}"
        exporter = ModelExporter(base, exports_to_keep=None)
        first = Path(str(exporter.export(model_path, {"loss": 1.0})))
        for version in range(1, count):
            # As the exporter writes them, at another version.
            shutil.copytree(first, base / str(version))
            record_path = base / str(version) / "assets.extra/best_exporter/record.json"
            record = json.loads(record_path.read_text())
            record_path.write_text(json.dumps({**record, "version": str(version)}))
        exporters.append(exporter)
    other_path = write_model(root / "other")

    def decide(exporter: ModelExporter) -> Callable[[Path], None]:
        return lambda _: exporter.run(other_path, {"loss": 2.0}) and None

    yield ratio_of(
        "decide, 1,000 exports beside 10",
        list(pairs_of(decide(exporters[0]), decide(exporters[1]), root, pairs)),
        2.0,
    )
    for name in ("model", "other", "serving-1000", "serving-10"):
        shutil.rmtree(root / name)


def retiring(root: Path, pairs: int) -> Iterator[Ratio]:
    """Yields retiring 200 exports beside `rm -r` of as many."""
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

    measured = []
    for index in range(pairs + 1):
        seconds = {}
        for name in ("ours", "peer") if index % 2 else ("peer", "ours"):
            path = root / name
            fill(path)
            os.sync()
            started = time.perf_counter()
            if name == "ours":
                decision = ModelExporter(path, exports_to_keep=1).retire()
                assert len(decision.retired) == 200
            else:
                doomed = [str(path / str(version)) for version in range(1, 201)]
                subprocess.run(["rm", "-r", *doomed], check=True)
            os.sync()
            seconds[name] = time.perf_counter() - started
            shutil.rmtree(path)
        if index:
            measured.append((seconds["ours"], seconds["peer"]))
    yield ratio_of("retire 200 exports, beside rm -r and sync", measured, None)
    for name in ("model", "template"):
        shutil.rmtree(root / name)


def object_store(root: Path, pairs: int) -> Iterator[Ratio]:
    """Yields publishing to an S3 server beside uploading one file after the other.

    And what a publish moves through this process when the model lies in the same store.
    """
    import boto3

    from tests.servers import s3_server
    from tfx_best_exporter.executor.exporter import ModelExporter
    from tfx_best_exporter.executor.storage import location_of
    from tfx_best_exporter.executor.storage.location import Location
    from tfx_best_exporter.executor.storage.transfer import copy_files

    with s3_server("bench") as url:
        os.environ.update(
            AWS_ENDPOINT_URL_S3=url,
            AWS_ACCESS_KEY_ID="benchmark",
            AWS_SECRET_ACCESS_KEY="benchmark",
            AWS_DEFAULT_REGION="us-east-1",
        )
        client = boto3.client("s3", endpoint_url=url)
        for workload in (
            Workload(name="10 x 5 MiB", count=10, size=5 * MIB, max_of_pusher=0),
            Workload(name="200 x 10 KiB", count=200, size=10 << 10, max_of_pusher=0),
        ):
            model_path = write_model(
                root / f"model-{workload.count}", workload.count, workload.size
            )

            def publish(path: Path, model_path: Path = model_path) -> None:
                assert ModelExporter(f"s3://bench/{model_path.name}/{path.name}").export(
                    model_path, {"loss": 1.0}
                )

            def upload(path: Path, model_path: Path = model_path) -> None:
                for file_path in sorted(model_path.rglob("*")):
                    if file_path.is_file():
                        key = f"serial/{path.name}/1/{file_path.relative_to(model_path)}"
                        client.upload_file(str(file_path), "bench", key)

            yield ratio_of(
                f"publish {workload.name} to S3, beside a serial upload",
                list(pairs_of(publish, upload, root, pairs)),
                None,
            )
            shutil.rmtree(model_path)

        size = 64 * MIB
        model_path = write_model(root / "model", 1, size)
        source = location_of("s3://bench/artifacts/model")
        local = location_of(str(model_path))
        copy_files([(local / path, source / path) for path in local.sizes()])
        counting = _Counting(source.storage)
        counted = Location(cast("Storage", counting), "bench/served")
        counted_source = Location(counted.storage, source.path)
        assert ModelExporter(counted).export(counted_source, {"loss": 1.0})
        moved = counting.bytes_moved
        yield Ratio(
            name="bytes through the client, publish 64 MiB within S3, beside its size",
            ours=moved / MIB,
            peer=size / MIB,
            ratio=moved / size,
            pairs=1,
            limit=0.01,
            unit="MiB",
        )
        shutil.rmtree(model_path)


class _Counting:
    """A storage that counts the bytes it takes from this machine and brings to it."""

    def __init__(self, storage: Any):
        self._storage = storage
        self.bytes_moved = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def read(self, path: str, max_bytes: int) -> bytes:
        content = self._storage.read(path, max_bytes)
        self.bytes_moved += len(content)
        return content

    def download(self, path: str, local_path: Path) -> Any:
        digest = self._storage.download(path, local_path)
        self.bytes_moved += digest.size
        return digest

    def upload(self, local_path: Path, path: str) -> Any:
        digest = self._storage.upload(local_path, path)
        self.bytes_moved += digest.size
        return digest
