from __future__ import annotations

import json

import pytest

from tests.executor.operating.desk import WHO, Desk
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.operating.locking import break_lock
from tfx_best_exporter.executor.operating.operation import OperationError

LOCK = ".best_exporter/lock"


@pytest.fixture
def bucket(desk: Desk) -> Desk:
    if desk.exports.base.local_path() is not None:
        pytest.skip("a disk has no lock object")
    return desk


@pytest.mark.parametrize(
    ("content", "holder"),
    [
        (json.dumps({"holder": "process 7 on host"}).encode(), "process 7 on host"),
        (b"{", "an unknown process"),
        (b"{}", "an unknown process"),
    ],
)
def test_breaks_the_lock_of_a_store(bucket: Desk, content: bytes, holder: str) -> None:
    bucket.put(LOCK, content)
    planned = break_lock(bucket.exports, dry_run=True, **WHO)
    assert bucket.exports.base.sizes()[LOCK]
    change = break_lock(bucket.exports, **WHO)
    assert change == planned
    assert change.sentences == (f"the lock of {holder} is broken",)
    assert LOCK not in bucket.exports.base.sizes()
    assert bucket.logged() == [("lock", None, "ann")]


def test_refuses_without_a_lock(desk: Desk) -> None:
    with pytest.raises(OperationError, match=r"^lock must be held to break it"):
        break_lock(desk.exports, **WHO)


def test_refuses_the_lock_of_a_process_on_a_disk(disk: Desk) -> None:
    other = ExportDirectory(disk.exports.base)
    with (
        other.lock(),
        pytest.raises(OperationError, match=r"^lock must be that of an object store"),
    ):
        break_lock(disk.exports, **WHO)
