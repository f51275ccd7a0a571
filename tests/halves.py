"""Which tests run in which of two processes, where there are two."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

# About half of the time.
STORAGE_AND_FAULTS = (
    "tests/benchmarks/",
    "tests/executor/storage/",
    "tests/executor/exports/test_commit.py",
    "tests/executor/reports/",
    "tests/faults/",
)


class Halves(LoadScopeScheduling):
    """Gives each process its own half: what a session's fixtures make, in minutes, is made once."""

    def _split_scope(self, nodeid: str) -> str:
        return "storage and faults" if nodeid.startswith(STORAGE_AND_FAULTS) else "all others"
