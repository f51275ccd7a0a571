"""Runs an exporter in child processes, each killed at another step, and what comes after.

    python crashing.py <directory with base/, candidate/> -> a line of JSON for each step

A step is a call that may change a disk: the child dies right before it.
"""

import importlib
import itertools
import json
import os
import shutil
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from tests.executor.plain import read_files
from tfx_best_exporter.executor.exporter import ModelExporter
from tfx_best_exporter.executor.exports import ExportDirectory
from tfx_best_exporter.executor.storage import location_of

STEPS = frozenset(("mkdir", "write", "rename", "replace", "link", "unlink", "rmdir"))


def export(base_path: Path, candidate_path: Path, pushed_model_path: Path) -> None:
    exporter = ModelExporter(str(base_path), exports_to_keep=2, clock=lambda: 1000.0)
    exporter.run(candidate_path, {"loss": 0.5}, pushed_model_path=pushed_model_path)


def in_child(arguments: tuple[Path, ...], kill_at: int | None) -> bool:
    """Returns whether the child came to its end."""
    process_id = os.fork()
    if process_id == 0:
        steps = itertools.count()

        def watch(frame: Any, event: str, function: Any) -> None:
            is_step = event == "c_call" and getattr(function, "__name__", "") in STEPS
            if is_step and next(steps) == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

        # Files are copied by several threads.
        threading.setprofile(watch)
        sys.setprofile(watch)
        export(*arguments)
        os._exit(0)
    _, status = os.waitpid(process_id, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return False
    assert os.WIFEXITED(status)
    assert os.WEXITSTATUS(status) == 0
    return True


def seen(base_path: Path) -> dict[str, Any]:
    """Returns what a model server sees, and what the exporter knows."""
    exports = ExportDirectory(location_of(base_path))
    listing = exports.list()
    served = exports.served(listing)
    assert served.export is not None
    assert served.record is not None
    state_path = base_path / ".best_exporter"
    return {
        "versions": [each.version for each in listing.exports],
        "digests": [exports.record(each).model.digest for each in listing.exports],
        "incomplete": [*served.warnings, *listing.strays],
        "damaged": [problem for each in listing.exports for problem in exports.verify(each)],
        "best": served.export.version,
        "tombstones": [each.record.version for each in exports.tombstones()],
        "left": sorted(
            path.relative_to(state_path).as_posix()
            for path in state_path.rglob("*")
            if path.is_file()
        ),
    }


def main(directory: Path) -> None:
    # Once, before the forks; it starts no thread before it computes something.
    importlib.import_module("tensorflow")

    is_finished, step = False, 0
    while not is_finished:
        paths = directory / str(step) / "base", directory / "candidate", directory / str(step) / "p"
        shutil.copytree(directory / "base", paths[0])
        is_finished = in_child(paths, kill_at=step)
        after_kill = seen(paths[0])
        in_child(paths, kill_at=None)
        served = read_files(paths[0] / str(seen(paths[0])["best"]))
        line = {
            "step": step,
            "after_kill": after_kill,
            "after_next_run": seen(paths[0]),
            "is_pushed": read_files(paths[2]) == served,
        }
        print(json.dumps(line), flush=True)  # noqa: T201
        shutil.rmtree(directory / str(step))
        step += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]))
