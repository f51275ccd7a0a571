"""The program as a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

import tomli

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


def loaded(names: Sequence[str], *words: object) -> list[str]:
    """Returns the packages among `names` that a command line loads."""
    code = (
        "import sys; from tfx_best_exporter.cli.commands import best_exporter\n"
        f"best_exporter({list(map(str, words))!r}, standalone_mode=False)\n"
        f"print([name for name in {list(names)!r} if name in sys.modules], file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return ended.stderr.splitlines()[-1:]


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
    for words in (
        ("status", world.base),
        ("history", world.base, "--all"),
        ("show", world.base),
        ("diff", world.base, *world.versions),
        ("verify", world.base, "--all"),
        ("report", world.base, "-o", world.root / "site"),
        ("retire", world.base, "--keep", 1, "--dry-run"),
        ("rollback", world.base, "--reason", "bad", "--yes"),
    ):
        assert loaded(HEAVY, *words) == ["[]"], words


def test_looking_loads_no_library_that_only_others_need(world: World) -> None:
    for words in (("status", world.base), ("history", world.base, "-o", "json")):
        assert loaded(RARE, *words) == ["[]"], words


def test_sigterm_gives_the_lock_back(world: World) -> None:
    with world.exports.lock():
        process = subprocess.Popen(
            [*PROGRAM, "pin", str(world.base), str(world.versions[0]), "--yes"],
            stderr=subprocess.PIPE,
            text=True,
        )
        time.sleep(2.0)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=30)
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
