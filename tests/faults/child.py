"""Exports in processes that a test kills, stops and injects faults into.

    python -m tests.faults.child

reads one line of JSON for each request, and answers with one line of JSON. Slow work that all jobs
share is done once, before a fork: the clients of a store are made, which connect to nothing before
their first use. If the jobs need TensorFlow, a request imports it before the first fork; it starts
no thread before its first computation. The process of a job writes its result to a file; a killed
process leaves no result.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import itertools
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from tests.faults.storages import SteppedStorage, hooks_of
from tfx_best_exporter.executor.exporter import ModelExporter
from tfx_best_exporter.executor.exports import retention
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.retention_rules import KeepLatest
from tfx_best_exporter.executor.operating.retiring import retire
from tfx_best_exporter.executor.storage import storage_of
from tfx_best_exporter.executor.storage.lease import LeaseSettings
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import Storage

WHO: dict[str, Any] = {"reason": "a fault", "operator": "ann"}
KEEP_ONE = retention.Policy(rules=(KeepLatest(count=1),))

IMPORTED_ONCE = (
    "tfx_best_exporter.executor.storage.gs",
    "tfx_best_exporter.executor.storage.s3",
)


@functools.cache
def store_of(kind: Any, lease_seconds: float) -> Any:
    """Returns a store of a class, with its clients, which take as long to make as an export."""
    settings = LeaseSettings(lease_seconds=lease_seconds, renew_seconds=lease_seconds / 5)
    store = kind(lease_settings=settings)
    for name in ("_client", "_lease_client"):
        getattr(store, name, None)
    gc.freeze()
    return store


def storage_for(job: dict[str, Any], uri: str) -> tuple[Storage, Storage, str]:
    """Returns the registered storage of a URI, the storage for a job, and the path in both."""
    storage, path = storage_of(uri)
    if storage.local_path(path):
        return storage, storage, path
    return storage, store_of(type(storage), job["lease_seconds"]), path


class Places:
    """Locations of a job, with one stepped storage for each storage in use."""

    def __init__(self, job: dict[str, Any]):
        self._job = job
        self._storages: dict[Storage, SteppedStorage] = {}

    def __call__(self, uri: str) -> Location:
        storage, inner, path = storage_for(self._job, uri)
        if storage not in self._storages:
            self._storages[storage] = SteppedStorage(inner, **hooks_of(self._job["fault"]))
        return Location(self._storages[storage], path)

    def steps(self, uri: str) -> int:
        """Returns the number of steps that the storage of a URI has made."""
        return len(self._storages[storage_of(uri)[0]].steps)


class Calls:
    """Counts the calls that may change a disk, and kills this process right before one of them."""

    CHANGING = frozenset(("mkdir", "write", "rename", "replace", "link", "unlink", "rmdir"))

    def __init__(self, kill_at: int | None):
        self._kill_at = kill_at
        self._numbers = itertools.count()
        self.count = 0

    def watch(self) -> None:
        """Starts to count, in this thread and in the threads that it starts."""
        # Several threads copy files.
        threading.setprofile(self._watch)
        sys.setprofile(self._watch)

    def _watch(self, frame: Any, event: str, function: Any) -> None:
        if event == "c_call" and getattr(function, "__name__", "") in self.CHANGING:
            number = next(self._numbers)
            if number == self._kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            self.count = number + 1


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Returns the result of a job: the decisions or an error, and the number of steps."""
    places = Places(job)
    calls = Calls(job["kill_at_call"])
    if job["counts_calls"]:
        calls.watch()
    clock = job["clock"]
    exporter = ModelExporter(
        places(job["base"]),
        clock=time.time if clock is None else lambda: clock,
        **job["options"],
    )
    decisions = []
    error = ""
    try:
        if job["go"]:
            while not Path(job["go"]).exists():
                time.sleep(0.001)
        if not job["rounds"] and not job["operations"]:
            decisions.append(exporter.retire())
        for name, arguments in job["operations"]:
            # Every operation takes locations as its only other values.
            given = {
                key: places(value) if key == "model_path" else value
                for key, value in arguments.items()
            }
            if name == "retire":
                retire(
                    ExportDirectory(places(job["base"])),
                    KEEP_ONE,
                    withdrawn=True,
                    now=time.time() if clock is None else clock,
                    **WHO,
                )
            else:
                getattr(exporter, name)(**WHO, **given)
        for model, loss in job["rounds"]:
            pushed_model = places(job["pushed_model"]) if job["pushed_model"] else None
            decision = exporter.run(places(model), {"loss": loss}, pushed_model_path=pushed_model)
            decisions.append(decision.message)
    except Exception as raised:
        error = f"{type(raised).__name__}: {raised}"
        with contextlib.suppress(OSError):
            traceback.print_exc()
    return {
        "decisions": [
            json_format.MessageToDict(decision, preserving_proto_field_name=True)
            for decision in decisions
        ],
        "error": error,
        "steps": places.steps(job["base"]),
        "calls": calls.count,
    }


def start(job: dict[str, Any]) -> int:
    """Forks a process for a job, and returns the id of the process."""
    # The URLs of the servers never change during the life of this process.
    os.environ.update(job["environment"])
    storage_for(job, job["base"])
    process_id = os.fork()
    if process_id:
        return process_id
    try:
        log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        if job["umask"] is not None:
            os.umask(job["umask"])
        if job["is_stopped"]:
            os.kill(os.getpid(), signal.SIGSTOP)
        result = json.dumps(run(job))
        try:
            Path(job["result"]).write_text(result)
        except OSError:
            # The injected fault hit this write instead of the export, so it is repeated.
            Path(job["result"]).write_text(result)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def look(process_id: int) -> dict[str, Any] | None:
    """Returns the status of a process: {"signal": 9}, {"stopped": true} or {"code": 0}.

    Returns None if the process still runs.
    """
    ended_id, status = os.waitpid(process_id, os.WUNTRACED | os.WNOHANG)
    if not ended_id:
        return None
    if os.WIFSTOPPED(status):
        return {"stopped": True}
    if os.WIFSIGNALED(status):
        return {"signal": os.WTERMSIG(status)}
    return {"code": os.WEXITSTATUS(status)}


def load(name: str) -> None:
    """Imports a module before later forks."""
    importlib.import_module(name)
    gc.freeze()


# Each request has one of these names, and one argument.
ANSWERS: dict[str, Callable[[Any], Any]] = {"start": start, "look": look, "import": load}


def main() -> None:
    """Answers requests until the input ends."""
    for name in IMPORTED_ONCE:
        load(name)
    for line in sys.stdin:
        request = json.loads(line)
        [(kind, argument)] = request.items()
        print(json.dumps(ANSWERS[kind](argument)), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
