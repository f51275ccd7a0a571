"""Sends SIGTERM to processes that run their work through `termination.run`."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tfx_best_exporter.executor.running import termination

# The work below sleeps for 60 seconds.
AT_ONCE_SECONDS = 40.0

PROGRAM = """
import contextlib, logging, os, sys, threading, time
from tfx_best_exporter.executor.running import termination

def say(word):
    print(word, flush=True)

@contextlib.contextmanager
def lock():
    try:
        yield
    finally:
        # The timer that repeats the exception fires during this time.
        time.sleep(0.5)
        say("released")

def work():
{work}

termination.run(work)
say("returned")
"""

WAIT = """
    with lock():
        say("ready")
        time.sleep(60)
"""
CAUGHT_AS_EXCEPTION = """
    with lock():
        try:
            say("ready")
            time.sleep(60)
        except Exception:
            say("caught")
"""
SWALLOWED_TWICE = """
    with lock():
        for number in range(2):
            try:
                # The first signal must arrive in this block.
                if number == 0:
                    say("ready")
                time.sleep(60)
            except:
                say("swallowed")
        time.sleep(60)
"""
SWALLOWED_AT_THE_END = """
    with lock():
        try:
            say("ready")
            time.sleep(60)
        except:
            say("swallowed")
"""
ANOTHER_ERROR = """
    with lock():
        try:
            say("ready")
            time.sleep(60)
        except BaseException as error:
            raise RuntimeError("the reader stopped") from error
"""
ERROR_IN_CLEANUP = """
    with lock():
        try:
            say("ready")
            time.sleep(60)
        finally:
            try:
                raise OSError
            except OSError:
                # The timer fires here too.
                time.sleep(0.5)
                say("cleaned")
"""
THREAD = """
    threading.Thread(target=time.sleep, args=(60,)).start()
    with lock():
        say("ready")
        time.sleep(60)
"""


def start(work: str, directory: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM.replace("{work}", work)],
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("work", "words"),
    [
        pytest.param(WAIT, ["released"], id="waits"),
        pytest.param(CAUGHT_AS_EXCEPTION, ["released"], id="except Exception"),
        pytest.param(SWALLOWED_TWICE, ["swallowed", "swallowed", "released"], id="swallowed"),
        # After it was caught, nothing tells a `finally` from other code. The leases of this package
        # are released again if their release is interrupted.
        pytest.param(SWALLOWED_AT_THE_END, ["swallowed"], id="swallowed at the end"),
        pytest.param(ANOTHER_ERROR, ["released"], id="another error"),
        pytest.param(ERROR_IN_CLEANUP, ["cleaned", "released"], id="an error in the cleanup"),
        pytest.param(THREAD, ["released"], id="a thread goes on"),
    ],
)
@pytest.mark.parametrize("signals", [1, 2])
def test_sigterm(tmp_path: Path, work: str, words: list[str], signals: int):
    with start(work, tmp_path) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        started = time.monotonic()
        for _ in range(signals):
            process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
        output, errors = process.communicate(timeout=AT_ONCE_SECONDS)
    assert process.returncode == termination.EXIT_CODE == 143
    assert output.split() == words
    assert errors == "ended by SIGTERM, with exit code 143\n"
    assert time.monotonic() - started < AT_ONCE_SECONDS


@pytest.mark.parametrize(
    ("work", "code", "output"),
    [
        ("    pass", 0, "returned\n"),
        ("    sys.exit(0)", 0, ""),
        ("    sys.exit(3)", 3, ""),
        ("    raise ValueError", 1, ""),
        ("    raise KeyboardInterrupt", -signal.SIGINT, ""),
    ],
)
def test_without_a_signal(tmp_path: Path, work: str, code: int, output: str):
    with start(work, tmp_path) as process:
        assert process.communicate(timeout=AT_ONCE_SECONDS)[0] == output
    assert process.returncode == code


def test_a_context_that_was_entered_at_this_moment(tmp_path: Path):
    """The signal arrives when the context manager has the lock but its `with` has not begun."""
    work = """
    class Interrupted(contextlib._GeneratorContextManager):
        def __enter__(self):
            super().__enter__()
            say("ready")
            time.sleep(60)
    with Interrupted(lock.__wrapped__, (), {}):
        say("entered")
"""
    with start(work, tmp_path) as process:
        assert process.stdout
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=AT_ONCE_SECONDS)
    assert process.returncode == 143
    assert output == "released\n"


def test_a_forked_child(tmp_path: Path):
    """A child that user code forks ends by the signal, and its parent goes on."""
    work = """
    child = os.fork()
    if not child:
        time.sleep(60)
    time.sleep(0.5)
    os.kill(child, 15)
    say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    with start(work, tmp_path) as process:
        output, errors = process.communicate(timeout=AT_ONCE_SECONDS)
    assert (process.returncode, output, errors) == (0, "-15\nreturned\n", "")
