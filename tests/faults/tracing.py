"""Faults in system calls, injected by strace, which is attached to a stopped process."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from signal import SIGCONT

import pytest

from tests.faults.processes import Job, Outcome, Server

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


def run_with(server: Server, job: Job, *expressions: str, log_path: Path | None = None) -> Outcome:
    """Runs a job under strace.

    Args:
        server: Server that starts the process.
        job: A job with `is_stopped`.
        expressions: Expressions such as "inject=write:signal=KILL:when=3". strace counts the calls
            of each thread separately.
        log_path: File for the output of strace.
    """
    assert job.is_stopped
    process = server.start(job)
    assert process.wait().is_stopped
    command = [
        "strace",
        "-f",
        "-q",
        "-p",
        str(process.process_id),
        "-o",
        str(log_path or "/dev/null"),
    ]
    for expression in expressions:
        command += ["-e", expression]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as strace:
        try:
            status_path = Path(f"/proc/{process.process_id}/status")
            while "TracerPid:\t0\n" in status_path.read_text():
                assert strace.poll() is None
                time.sleep(0.001)
            process.send(SIGCONT)
            return process.wait()
        finally:
            strace.terminate()
