"""Exports in processes that a test kills, stops and injects faults into.

    python -m tests.faults.child

reads a line of JSON for each request and answers with one. TensorFlow is imported once, before the
first fork: it starts no thread before it computes something. A job's process writes its result to
a file: one that was killed leaves none.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from tests.faults.storages import SteppedStorage, hooks_of
from tfx_best_exporter.executor.exporter import ModelExporter
from tfx_best_exporter.executor.storage import storage_of
from tfx_best_exporter.executor.storage.lease import LeaseSettings
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import Storage

IMPORTED_ONCE = (
    "tensorflow",
    "tfx_best_exporter.executor.storage.gs",
    "tfx_best_exporter.executor.storage.s3",
)


class Places:
    """Locations of a job: one stepped storage for each storage that is used."""

    def __init__(self, job: dict[str, Any]):
        self._job = job
        self._storages: dict[Storage, SteppedStorage] = {}

    def __call__(self, uri: str) -> Location:
        storage, path = storage_of(uri)
        if storage not in self._storages:
            inner = storage
            if not storage.is_local:
                lease_seconds = self._job["lease_seconds"]
                settings = LeaseSettings(
                    lease_seconds=lease_seconds, renew_seconds=lease_seconds / 5
                )
                store: Any = type(storage)
                inner = store(lease_settings=settings)
            self._storages[storage] = SteppedStorage(inner, **hooks_of(self._job["fault"]))
        return Location(self._storages[storage], path)

    def steps(self, uri: str) -> int:
        """Returns the number of steps that the storage of a URI has made."""
        return len(self._storages[storage_of(uri)[0]].steps)


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Returns what became of a job: decisions, or an error; and how many steps it made."""
    places = Places(job)
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
        if not job["rounds"]:
            decisions.append(exporter.retire())
        for model, loss in job["rounds"]:
            pushed_model = places(job["pushed_model"]) if job["pushed_model"] else None
            decisions.append(
                exporter.run(places(model), {"loss": loss}, pushed_model_path=pushed_model)
            )
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
    }


def start(job: dict[str, Any]) -> int:
    """Forks a process for a job; returns its id."""
    process_id = os.fork()
    if process_id:
        return process_id
    try:
        log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.environ.update(job["environment"])
        if job["is_stopped"]:
            os.kill(os.getpid(), signal.SIGSTOP)
        result = json.dumps(run(job))
        try:
            Path(job["result"]).write_text(result)
        except OSError:
            # A fault that was meant for the export.
            Path(job["result"]).write_text(result)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def wait(process_id: int) -> dict[str, Any]:
    """Returns what ended or stopped a process: {"signal": 9}, {"stopped": true}, {"code": 0}."""
    _, status = os.waitpid(process_id, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        return {"stopped": True}
    if os.WIFSIGNALED(status):
        return {"signal": os.WTERMSIG(status)}
    return {"code": os.WEXITSTATUS(status)}


def main() -> None:
    """Answers requests until there are no more."""
    for name in IMPORTED_ONCE:
        importlib.import_module(name)
    gc.freeze()
    print(json.dumps("ready"), flush=True)  # noqa: T201
    for line in sys.stdin:
        request = json.loads(line)
        answer = start(request["start"]) if "start" in request else wait(request["wait"])
        print(json.dumps(answer), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
