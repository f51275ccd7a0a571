"""Runs the commands of containers, each in a fork of a process that has imported everything.

The imports take 15 seconds. A fork runs its command unchanged.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import signal
import sys
import time
import traceback
from typing import Any

IMPORTED_ONCE = (
    "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_entrypoint_utils",
    "tfx.components.evaluator.executor",
    "tfx_best_exporter.executor.executor",
    "tfx_best_exporter.executor.kubeflow.executor_input",
    "tfx_best_exporter.executor.storage.gs",
    "tfx_best_exporter.executor.storage.s3",
    "tensorflow_model_analysis",
    "best_exporter",
)


DEADLINE_SECONDS = 300.0
# The command `timeout` has the same exit code.
TOO_LATE = 124


def run(request: dict[str, Any], deadline_seconds: float = DEADLINE_SECONDS) -> int:
    """Returns the exit code of `python -m <module> <arguments>` in a fork.

    A fork that exceeds the deadline is killed together with its own processes, and has the exit
    code TOO_LATE.
    """
    process_id = os.fork()
    if process_id:
        return _code_of(process_id, request["log"], deadline_seconds)
    code = 1
    try:
        os.setsid()
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        for name in [*os.environ]:
            if name.startswith(tuple(request["unset"])):
                del os.environ[name]
        os.environ.update(request["environment"])
        os.chdir(request["directory"])
        sys.argv = request["arguments"]
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _code_of(process_id: int, log: str, deadline_seconds: float) -> int:
    deadline = time.monotonic() + deadline_seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(process_id, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    try:
        os.killpg(process_id, signal.SIGKILL)
    except ProcessLookupError:
        # The fork has not called setsid yet, or has just ended.
        os.kill(process_id, signal.SIGKILL)
    os.waitpid(process_id, 0)
    with open(log, "a") as file:
        file.write(f"\nkilled after {deadline_seconds:g} s\n")
    return TOO_LATE


def main() -> None:
    """Answers requests until standard input ends."""
    for name in IMPORTED_ONCE:
        importlib.import_module(name)
    gc.freeze()
    print(json.dumps("ready"), flush=True)  # noqa: T201
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
