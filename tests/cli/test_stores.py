"""Whole processes on servers of S3 and Google Cloud Storage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import servers
from tests.executor import plain

pytestmark = pytest.mark.slow

BUCKET = "desk"
# Two exports, as runs would leave them.
RUNS = """
import sys
from tfx_best_exporter.executor.exporter import ModelExporter
for model, loss in zip(sys.argv[2:], (0.5, 0.4)):
    ModelExporter(sys.argv[1], clock=lambda: 1000.0).run(model, {"loss": loss})
"""
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(params=["s3", "gs"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    """Returns a function that runs a command line on a base directory with versions 1000, 1001."""
    make = servers.s3_server if request.param == "s3" else servers.gs_server
    base = f"{request.param}://{BUCKET}/penguin"
    with make(BUCKET) as url:
        environment = {**os.environ, **servers.environment_of(request.param, url)}

        def process(*words: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-W", "ignore", *words],
                env=environment,
                capture_output=True,
                text=True,
            )

        models = [
            plain.write_files(tmp_path / name, {**plain.FILES, "assets/words.txt": name.encode()})
            for name in "ab"
        ]
        written = process("-c", RUNS, base, *map(str, models))
        assert written.returncode == 0, written.stderr
        yield lambda name, *more: process("-m", "tfx_best_exporter.cli", name, base, *more)


def test_a_week_on_a_store(run: Run) -> None:
    status = run("status")
    assert (status.returncode, status.stderr) == (0, "")
    assert "version 1001 since" in status.stdout
    assert run("verify", "--all").returncode == 0
    assert run("rollback", "--reason", "bad", "--yes").returncode == 0
    assert "version 1000 since" in run("status").stdout
    items = json.loads(run("history", "-o", "json").stdout)["items"]
    assert [(item["version"], item["state"]) for item in items] == [
        ("1001", "withdrawn"),
        ("1000", "SERVED"),
    ]
    assert run("restore", "1001", "--yes").returncode == 0
    assert "version 1001 since" in run("status").stdout
    assert run("lock").stdout.rstrip().endswith("free")
