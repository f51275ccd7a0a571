"""Distributes the tests over the processes of `make test`."""

from __future__ import annotations

from typing import Any

from xdist.scheduler import LoadScopeScheduling

# Tests that share a slow session fixture stay in one process. The longest groups start first, so
# that all processes end at the same time.
GROUPS = {
    # The server that forks exports, and the servers of two object stores. `make test-faults` runs
    # these two groups at the same time.
    "kills": ("tests/faults/test_kills.py", "tests/faults/test_operations.py"),
    "faults": ("tests/faults/",),
    # Evaluations by Apache Beam and by Evaluator.
    "evaluations": ("tests/executor/evaluations/",),
    # A process that has imported what a container imports, and the runs of the demo's pipeline.
    "containers": (
        "tests/containers/",
        "tests/executor/test_container.py",
        "tests/e2e/test_compiled_pipeline.py",
        "tests/e2e/test_demo.py",
        "tests/e2e/test_local_pipeline.py",
    ),
    "signals": ("tests/executor/test_container_signals.py",),
    "storage": ("tests/executor/storage/",),
    "image": ("tests/image/",),
    "serving": ("tests/executor/running/test_serving_never_worse.py",),
    "commit": ("tests/executor/exports/test_commit.py",),
    "component": ("tests/component/",),
}


class Distribution(LoadScopeScheduling):
    """Gives each process the next group when it has finished one; all other files are groups too.

    Example:
        tests/faults/test_locks.py::test_many_writers is in the group "faults".
    """

    def _split_scope(self, nodeid: str) -> str:
        for group, places in GROUPS.items():
            if nodeid.startswith(places):
                return group
        return nodeid.partition("::")[0]

    def _assign_work_unit(self, node: Any) -> None:
        # xdist would start with the groups that have the most tests.
        longest = next((group for group in GROUPS if group in self.workqueue), None)
        if longest:
            self.workqueue.move_to_end(longest, last=False)
        super()._assign_work_unit(node)
