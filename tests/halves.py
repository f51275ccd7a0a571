"""Distributes the tests over two processes."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

# These tests take about half of the time.
STORAGE_AND_FAULTS = (
    "tests/benchmarks/",
    "tests/executor/storage/",
    "tests/executor/exports/test_commit.py",
    "tests/executor/reports/",
    "tests/faults/",
)


class Halves(LoadScopeScheduling):
    """Gives each process one half, so that slow session fixtures run only once."""

    def _split_scope(self, nodeid: str) -> str:
        return "storage and faults" if nodeid.startswith(STORAGE_AND_FAULTS) else "all others"
