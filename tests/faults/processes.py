"""Starts exports in separate processes, with child.py on the other side."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import json
import os
import select
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tests.children import child

_FIRST_LOOK_SECONDS = 0.001
_LONGEST_LOOK_SECONDS = 0.03
_AT_ONCE = 3
# Jobs that may be killed have a short lease, because others wait until it expires.
SHORT_LEASE_SECONDS = 1.0
# Other jobs have a lease that does not expire on a busy machine. Waiters poll the lock every
# twentieth of it.
LONG_LEASE_SECONDS = 8.0
# A process that takes longer hangs, and is killed. On an idle machine, the longest takes seconds.
DEADLINE_SECONDS = 300.0

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """The work of one process.

    Attributes:
        base: URI of the base directory.
        rounds: Path or URI of a model, and its loss, for each export. Without rounds and
            operations, the process only retires exports.
        operations: Name of a method of ModelExporter, and its arguments besides reason and
            operator, for each operation of a person; they come before the rounds. "retire" is the
            command `best-exporter retire --keep 1 --withdrawn`.
        options: Keyword arguments of ModelExporter.
        pushed_model: URI of the PushedModel.
        fault: Signal that the process sends to itself: {"at": step, "when": "before" or "after",
            "signal": number}.
        environment: Environment variables to set.
        lease_seconds: Lease of the lock in an object store. None means SHORT_LEASE_SECONDS for a
            job with a fault or a stop, and LONG_LEASE_SECONDS otherwise.
        clock: Time of a clock that stands still.
        go: Path of a file; the process waits until the file exists.
        is_stopped: True if the process stops itself at the start.
        counts_calls: True if the process counts its calls that may change a disk.
        kill_at_call: Number of the call right before which the process kills itself.
        umask: Permissions that the process takes away from new files; None for those of the tests.
    """

    base: str
    rounds: Sequence[tuple[str, float]] = ()
    operations: Sequence[tuple[str, dict[str, Any]]] = ()
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    pushed_model: str | None = None
    fault: dict[str, Any] | None = None
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    lease_seconds: float | None = None
    clock: float | None = None
    go: str | None = None
    is_stopped: bool = False
    counts_calls: bool = False
    kill_at_call: int | None = None
    umask: int | None = None

    def with_fault(self, at: int, when: str, number: signal.Signals = signal.SIGKILL) -> Job:
        """Returns the job with a signal at a step."""
        return dataclasses.replace(self, fault={"at": at, "when": when, "signal": int(number)})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of a process.

    Attributes:
        signal: Signal that killed the process; 0 if none did.
        is_stopped: True if the process has stopped.
        decisions: Decisions of the exports.
        error: Type and text of the error that ended the exports, or an empty text.
        steps: Number of calls of the storage.
        calls: Number of system calls that may change a disk, if they were counted.
    """

    signal: int = 0
    is_stopped: bool = False
    decisions: Sequence[dict[str, Any]] = ()
    error: str = ""
    steps: int = 0
    calls: int = 0

    @property
    def decision(self) -> dict[str, Any]:
        """The decision of a job with a single export."""
        (decision,) = self.decisions
        return decision


@contextlib.contextmanager
def _end_of(process_id: int) -> Iterator[Callable[[float], bool]]:
    """Yields a function that waits for the end of a process, and returns whether it has ended."""
    descriptor = os.pidfd_open(process_id)
    try:
        yield lambda seconds: bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)


class Process:
    """One started job."""

    def __init__(self, parent: _Parent, process_id: int, result_path: Path):
        self._parent = parent
        self.process_id = process_id
        self._result_path = result_path

    def wait(self) -> Outcome:
        """Returns when the process has ended or stopped; kills a process that hangs."""
        # The wait is not in the parent, which answers other requests meanwhile. The end of the
        # process interrupts the wait, and a stop does not.
        pause_seconds = _FIRST_LOOK_SECONDS
        deadline = time.monotonic() + DEADLINE_SECONDS
        with _end_of(self.process_id) as has_ended:
            while (status := self._parent.ask({"look": self.process_id})) is None:
                if time.monotonic() > deadline:
                    self.send(signal.SIGKILL)
                    raise AssertionError(f"the process did not end in {DEADLINE_SECONDS:g} s")
                if has_ended(pause_seconds):
                    # Under strace, the parent learns of the end later than the tracer.
                    time.sleep(_FIRST_LOOK_SECONDS)
                pause_seconds = min(2 * pause_seconds, _LONGEST_LOOK_SECONDS)
        if "code" not in status:
            return Outcome(signal=status.get("signal", 0), is_stopped=status.get("stopped", False))
        assert status["code"] == 0, self._parent.log_path.read_text()
        return Outcome(**json.loads(self._result_path.read_text()))

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to the process."""
        os.kill(self.process_id, number)


class _Parent:
    """A process that forks the processes of jobs; safe to use from several threads."""

    def __init__(self, process: subprocess.Popen[str], log_path: Path):
        self._process = process
        self._guard = threading.Lock()
        self.log_path = log_path

    def ask(self, request: dict[str, Any]) -> Any:
        """Returns the answer to a request; waits until the process has started."""
        assert self._process.stdin
        assert self._process.stdout
        with self._guard:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        assert line, "the server of processes has ended"
        return json.loads(line)


class Server:
    """Starts processes; safe to use from several threads.

    Only the jobs that need TensorFlow are forks of a process that has imported it: the fork of a
    process with so much memory takes as long as many an export.
    """

    def __init__(self, stack: contextlib.ExitStack, directory: Path):
        self._stack = stack
        self._directory = directory
        self._guard = threading.Lock()
        self._parents: dict[str, _Parent] = {}
        # The process imports the exporter while the first tests are set up.
        self._parent_of("plain")

    def parent_for(self, options: Mapping[str, Any]) -> _Parent:
        """Returns the process that forks jobs with these options, after its imports.

        Args:
            options: Keyword arguments of ModelExporter.
        """
        return self._parent_of("tensorflow" if options.get("as_text") else "plain")

    def _parent_of(self, name: str) -> _Parent:
        with self._guard:
            if name not in self._parents:
                directory = self._directory / name
                process = self._stack.enter_context(child("tests.faults.child", directory))
                self._parents[name] = parent = _Parent(process, directory / "log")
                if name == "tensorflow":
                    parent.ask({"import": name})
            return self._parents[name]

    def start(self, job: Job) -> Process:
        """Starts a process for a job."""
        parent = self.parent_for(job.options)
        result_path = self._directory / uuid.uuid4().hex
        is_disturbed = job.fault is not None or job.is_stopped
        lease_seconds = SHORT_LEASE_SECONDS if is_disturbed else LONG_LEASE_SECONDS
        request = dataclasses.asdict(job)
        request |= {"result": str(result_path), "log": str(parent.log_path)}
        request["lease_seconds"] = job.lease_seconds or lease_seconds
        return Process(parent, parent.ask({"start": request}), result_path)

    def run(self, job: Job) -> Outcome:
        """Runs a job to its end."""
        return self.start(job).wait()


@contextlib.contextmanager
def server(directory: Path) -> Iterator[Server]:
    """Runs a server of processes."""
    with contextlib.ExitStack() as stack:
        yield Server(stack, directory)


def at_once(function: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
    """Returns the results of a function in order of the items; runs a few calls in parallel."""
    with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
        futures = [pool.submit(function, item) for item in items]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
