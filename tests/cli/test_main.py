"""The program as a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import tomli

from tests import waiting
from tests.children import REPOSITORY
from tests.cli.world import World
from tfx_best_exporter.cli.__main__ import main

HEAVY = ("tensorflow", "tensorflow_model_analysis", "tfx", "apache_beam", "numpy")
# Packages that only some commands need.
RARE = ("scipy", "jinja2", "boto3", "google.cloud.storage")
PROGRAM = (sys.executable, "-m", "tfx_best_exporter.cli")


def run(*words: object, **arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *map(str, words)],
        capture_output=True,
        text=True,
        **arguments,  # pyright: ignore[reportCallIssue, reportArgumentType]
    )


def loaded(names: Sequence[str], *command_lines: Sequence[object]) -> dict[str, list[str]]:
    """Runs command lines one after the other in a new interpreter.

    Returns:
        The packages among `names` that are loaded after a command line, by its words; without the
        command lines after which there are none.
    """
    lines = [list(map(str, words)) for words in command_lines]
    code = (
        "import json, sys; from tfx_best_exporter.cli.commands import best_exporter\n"
        "found = {}\n"
        f"for words in {lines!r}:\n"
        "    best_exporter(words, standalone_mode=False)\n"
        f"    found[' '.join(words)] = [each for each in {list(names)!r} if each in sys.modules]\n"
        "print(json.dumps(found), file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stderr.splitlines()[-1])
    assert len(found) == len(lines)
    return {words: packages for words, packages in found.items() if packages}


def test_a_whole_process(world: World) -> None:
    ended = run("rollback", world.base, "--reason", "bad", "--yes")
    assert ended.returncode == 0, ended.stderr
    assert "is withdrawn" in ended.stdout
    assert run("status", world.base).returncode == 0
    assert run("status", world.base / "nope").returncode == 2


def test_nobody_to_ask(world: World) -> None:
    ended = run("rollback", world.base, "--reason", "bad", stdin=subprocess.DEVNULL)
    assert ended.returncode == 1
    assert "nobody confirmed" in ended.stderr
    assert (world.base / str(world.versions[1])).exists()


def test_no_command_loads_anything_heavy(world: World) -> None:
    found = loaded(
        HEAVY,
        ("status", world.base),
        ("history", world.base, "--all"),
        ("show", world.base),
        ("diff", world.base, *world.versions),
        ("verify", world.base, "--all"),
        ("report", world.base, "-o", world.root / "site"),
        ("retire", world.base, "--keep", 1, "--dry-run"),
        ("rollback", world.base, "--reason", "bad", "--yes"),
    )
    assert found == {}


def test_looking_loads_no_library_that_only_others_need(world: World) -> None:
    found = loaded(RARE, ("status", world.base), ("history", world.base, "-o", "json"))
    assert found == {}


def handles(process_id: int, number: signal.Signals) -> bool:
    """Returns True if a process has a handler for a signal."""
    status = Path(f"/proc/{process_id}/status").read_text()
    [mask] = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")]
    return bool(int(mask, 16) >> (number - 1) & 1)


def test_sigterm_gives_the_lock_back(world: World) -> None:
    with world.exports.lock():
        process = subprocess.Popen(
            [*PROGRAM, "pin", str(world.base), str(world.versions[0]), "--yes"],
            stderr=subprocess.PIPE,
            text=True,
        )
        waiting.until(lambda: handles(process.pid, signal.SIGTERM))
        # Most likely, the process waits for the lock now.
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "Traceback" not in stderr
    with world.exports.lock(timeout_seconds=5):
        pass


def test_a_pipe_that_is_closed_early(world: World) -> None:
    with subprocess.Popen(
        [*PROGRAM, "history", str(world.base)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


def test_completion_of_bash() -> None:
    ended = run(
        env={
            **os.environ,
            "_BEST_EXPORTER_COMPLETE": "bash_complete",
            "COMP_WORDS": "best-exporter rol",
            "COMP_CWORD": "1",
        }
    )
    assert ended.stdout == "plain,rollback\n"


def test_the_console_script() -> None:
    project = tomli.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"best-exporter": f"{main.__module__}:{main.__name__}"}
