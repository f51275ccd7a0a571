"""Runs the commands of containers through child.py."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.children import child


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ended:
    """Result of a container: its exit code, and its output on stdout and stderr."""

    code: int
    log: str


class Containers:
    """Runs commands in processes that have already imported everything."""

    def __init__(self, process: subprocess.Popen[str], directory: Path):
        self._process = process
        self._directory = directory
        assert self._answer() == "ready"

    def _answer(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, (self._directory / "server_log").read_text()
        return json.loads(line)

    def run(
        self, command: Sequence[str], environment: Mapping[str, str], unset: Sequence[str] = ()
    ) -> Ended:
        """Runs `python -m <module> <arguments>` until it ends or the deadline of child.py.

        Args:
            command: The command.
            environment: Variables to set.
            unset: Prefixes of inherited variables to unset.
        """
        python, option, module, *arguments = command
        assert (python, option) == ("python", "-m")
        log_path = self._directory / uuid.uuid4().hex
        request = {
            "module": module,
            "arguments": [module, *arguments],
            "environment": dict(environment),
            "unset": list(unset),
            "directory": str(self._directory),
            "log": str(log_path),
        }
        assert self._process.stdin
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return Ended(code=self._answer(), log=log_path.read_text())


@contextlib.contextmanager
def containers(directory: Path) -> Iterator[Containers]:
    """Runs the process that has imported everything."""
    with child("tests.containers.child", directory) as process:
        yield Containers(process, directory)


def start(
    command: Sequence[str], environment: Mapping[str, str], directory: Path
) -> subprocess.Popen[str]:
    """Starts a command in its own process outside the repository, as a container does."""
    # The command's `python` must be this interpreter.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        list(command),
        cwd=directory,
        env={**os.environ, "PATH": path, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
