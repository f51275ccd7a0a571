"""Processes that answer requests after slow imports."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


@contextlib.contextmanager
def child(module: str, directory: Path) -> Iterator[subprocess.Popen[str]]:
    """Runs `python -m <module>` from the root of the repository, and yields the process.

    Args:
        module: Module that reads requests from stdin and writes answers to stdout.
        directory: Directory for its `server_log`, which is made if it is missing.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (
        (directory / "server_log").open("w") as log,
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", module],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()
