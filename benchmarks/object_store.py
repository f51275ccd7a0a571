"""Measures publishing to S3, compared with `aws s3 cp --recursive`.

The store is a server on this machine, behind a proxy that adds 20 ms to each request, which is the
latency of an object store. Each contestant is a separate process. Its clock starts when all of its
modules are loaded: before that, ours exports the model to a disk, and the peer copies an empty
directory. The time therefore excludes starting Python and importing. It includes making the clients
and, for ours, the lock, the claim, the commit and cleaning up.

By docs/decisions/0017 one upload for each file is surrounded by requests that wait for each other:
lock, listing, claim, listing, commit and unlock. The floor is the time of these requests alone,
with one client and as many parallel uploads as ours, but without the model's digests and the
record. No implementation of decision 0017 with this client can be faster.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from benchmarks import aws_cli
from benchmarks.latency import LatencyProxy, in_sequence, latency_proxy
from benchmarks.measuring import MIB, expect, rounds_of, write_model
from benchmarks.rows import Row, ratio_of
from tfx_best_exporter.executor.storage import objects

if TYPE_CHECKING:
    from tfx_best_exporter.executor.storage.protocol import Storage

LATENCY_SECONDS = 0.02
MAX_OF_AWS_CLI = 1.2
# Limit of the share of a model that passes through this machine when the store copies it.
MAX_SHARE_MOVED = 0.01
_BUCKET = "bench"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """Cost of uploading a model.

    Attributes:
        seconds: Duration of the work, in a process that has loaded its modules.
        requests: Number of requests.
        in_sequence: Length of the longest chain of requests that do not overlap in time.
    """

    seconds: float
    requests: int
    in_sequence: int


_OURS_SCRIPT = """
import sys, time
import boto3
from tfx_best_exporter.executor import exporter
from tfx_best_exporter.executor.storage import s3
model_path, warm_path, uri = sys.argv[1:]
if not exporter.ModelExporter(warm_path).export(model_path, {"loss": 1.0}):
    sys.exit("the model must be exported to a disk")
model_exporter = exporter.ModelExporter(uri)
started = time.perf_counter()
exported = model_exporter.export(model_path, {"loss": 1.0})
print(time.perf_counter() - started)
sys.exit(not exported)
"""

_AWS_SCRIPT = """
import sys, time
from awscli import clidriver
model_path, warm_path, uri = sys.argv[1:]
command = ["s3", "cp", "--recursive", "--only-show-errors"]
# An empty directory causes no request.
clidriver.create_clidriver().main([*command, warm_path, uri])
driver = clidriver.create_clidriver()
started = time.perf_counter()
code = driver.main([*command, model_path, uri])
print(time.perf_counter() - started)
sys.exit(code)
"""

_FLOOR_SCRIPT = """
import concurrent.futures, pathlib, sys, time
import boto3, botocore.config
root, bucket, prefix, threads = pathlib.Path(sys.argv[1]), *sys.argv[2:4], int(sys.argv[4])
paths = [path for path in root.rglob("*") if path.is_file()]
config = botocore.config.Config(max_pool_connections=threads)
boto3.client("s3").close()

def upload(path):
    client.put_object(Bucket=bucket, Key=f"{prefix}/version{path}", Body=path.read_bytes())

started = time.perf_counter()
client = boto3.client("s3", config=config)
lock, claim, marker = (f"{prefix}/{name}" for name in ("lock", "claim", "marker"))
client.put_object(Bucket=bucket, Key=lock, Body=b"{}")
client.list_objects_v2(Bucket=bucket, Prefix=prefix)
client.put_object(Bucket=bucket, Key=claim, Body=b"{}")
with concurrent.futures.ThreadPoolExecutor(threads) as pool:
    list(pool.map(upload, paths))
client.list_objects_v2(Bucket=bucket, Prefix=prefix)
client.copy_object(Bucket=bucket, Key=marker, CopySource={"Bucket": bucket, "Key": claim})
client.delete_object(Bucket=bucket, Key=lock)
print(time.perf_counter() - started)
"""


def publishing(root: Path, pairs: int) -> Iterator[Row]:
    """Yields rows for publishing to an S3 server, compared with the AWS command line.

    The last row is the share of a model in the same store that passes through this process.
    """
    from tests.servers import environment_of, s3_server

    python_path = aws_cli.python_with_aws_cli(root.parent / "aws_cli")
    peer = f"aws s3 cp --recursive ({aws_cli.version_of(python_path)})"
    with s3_server(_BUCKET) as url:
        os.environ.update(environment_of("s3", url))
        with latency_proxy(url, LATENCY_SECONDS) as proxy:
            for name, count, size in (("10 x 5 MiB", 10, 5 * MIB), ("200 x 10 KiB", 200, 10 << 10)):
                model_path = write_model(root / "model", count, size)
                contestants = _contestants(model_path, root, python_path, proxy)
                yield from _compared(name, peer, [*rounds_of(contestants, pairs)])
                shutil.rmtree(model_path)
        yield _moved_within_store(root)


def _contestants(
    model_path: Path, root: Path, python_path: Path, proxy: LatencyProxy
) -> dict[str, Callable[[], Upload]]:
    from tests.servers import environment_of

    environment = {**os.environ, **environment_of("s3", proxy.url)}
    empty_path, warm_path = root / "empty", root / "warm"
    commands = {
        "ours": [sys.executable, "-c", _OURS_SCRIPT, str(model_path), str(warm_path)],
        "aws": [str(python_path), "-I", "-c", _AWS_SCRIPT, str(model_path), str(empty_path)],
        "floor": [sys.executable, "-c", _FLOOR_SCRIPT, str(model_path)],
    }
    arguments = {
        "ours": [f"s3://{_BUCKET}/ours"],
        "aws": [f"s3://{_BUCKET}/aws"],
        "floor": [_BUCKET, "floor", str(objects.CONNECTIONS)],
    }

    def measure(name: str) -> Callable[[], Upload]:
        def run() -> Upload:
            empty_path.mkdir()
            try:
                return _upload([*commands[name], *arguments[name]], environment, proxy)
            finally:
                for path in (empty_path, warm_path):
                    shutil.rmtree(path, ignore_errors=True)
                _empty_bucket()

        return run

    return {name: measure(name) for name in commands}


def _upload(command: Sequence[str], environment: Mapping[str, str], proxy: LatencyProxy) -> Upload:
    """Runs a script that prints its seconds, and returns its cost.

    Raises:
        RuntimeError: The script failed.
    """
    proxy.take_requests()
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    expect(run.returncode == 0, "the upload must succeed", run.stderr[-2000:])
    requests = proxy.take_requests()
    return Upload(
        seconds=float(run.stdout.split()[-1]),
        requests=len(requests),
        in_sequence=in_sequence(requests),
    )


def _empty_bucket() -> None:
    import boto3

    # The server keeps all objects in memory. The proxy's latency is avoided.
    boto3.resource("s3").Bucket(_BUCKET).objects.delete()


def _compared(name: str, peer: str, rounds: Sequence[Mapping[str, Upload]]) -> Iterator[Row]:
    """Yields the rows of one workload."""

    def pairs_of(contestant: str, field: str) -> list[tuple[float, float]]:
        return [(getattr(each[contestant], field), getattr(each["aws"], field)) for each in rounds]

    yield ratio_of(
        f"publish {name} to S3 with 20 ms latency, compared with {peer}",
        pairs_of("ours", "seconds"),
        MAX_OF_AWS_CLI,
    )
    yield ratio_of(
        f"floor of publishing {name} to S3: upload, {objects.CONNECTIONS} in parallel, and six"
        f" requests in sequence, compared with {peer}",
        pairs_of("floor", "seconds"),
        None,
    )
    for field, text in (("requests", "requests"), ("in_sequence", "requests in sequence")):
        yield ratio_of(
            f"{text} to publish {name} to S3, compared with {peer}",
            pairs_of("ours", field),
            None,
            unit="requests",
        )


def _moved_within_store(root: Path) -> Row:
    """Returns the share of a model in the same store that passes through this process."""
    from tfx_best_exporter.executor.exporter import ModelExporter
    from tfx_best_exporter.executor.storage import location_of
    from tfx_best_exporter.executor.storage.location import Location
    from tfx_best_exporter.executor.storage.transfer import copy_files

    size = 64 * MIB
    model_path = write_model(root / "model", 1, size)
    source = location_of(f"s3://{_BUCKET}/artifacts/model")
    local = location_of(str(model_path))
    copy_files([(local / path, source / path) for path in local.sizes()])
    counting = _Counting(source.storage)
    counted = Location(cast("Storage", counting), f"{_BUCKET}/served")
    counted_source = Location(counted.storage, source.path)
    exported = ModelExporter(counted).export(counted_source, {"loss": 1.0})
    expect(bool(exported), "the model must be exported", exported)
    shutil.rmtree(model_path)
    return ratio_of(
        "bytes through the client to publish 64 MiB within S3, compared with its size",
        [(counting.bytes_moved / MIB, size / MIB)],
        MAX_SHARE_MOVED,
        unit="MiB",
    )


class _Counting:
    """A storage that counts the bytes that it uploads and downloads."""

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
