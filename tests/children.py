"""Processes that have imported what takes long, and answer requests."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


@contextlib.contextmanager
def child(module: str, directory: Path) -> Iterator[subprocess.Popen[str]]:
    """Runs `python -m <module>` from the repository's root; gives its pipes.

    Args:
        module: Reads requests from stdin and writes answers to stdout.
        directory: Where its `server_log` goes; made if it is absent.
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
