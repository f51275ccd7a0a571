"""Processes of their own: some answer requests after slow imports, some meet injected errors."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

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


needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


def run_injected(inject: str, program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs a Python program in which system calls fail; returns its output.

    Args:
        inject: Calls and error as strace takes them, for example "fsync:error=EIO".
        program: Source of the program.
        arguments: Arguments of the program, which it finds in sys.argv.
    """
    strace = ["strace", "-f", "-o", "/dev/null", "-e", f"inject={inject}"]
    python = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run([*strace, *python], check=False, capture_output=True, text=True)
