from __future__ import annotations

import json

import pytest

from tests.executor.operating.desk import WHO, Desk
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.operating.locking import break_lock
from tfx_best_exporter.executor.operating.operation import OperationError

LOCK = ".best_exporter/lock"
CLAIM = {"token": "7", "holder": "process 7 on host", "lease_seconds": 30.0, "renewals": 3}


@pytest.fixture
def bucket(desk: Desk) -> Desk:
    if desk.exports.base.local_path() is not None:
        pytest.skip("a disk has no lock object")
    return desk


@pytest.mark.parametrize(
    ("content", "holder", "seconds"),
    [
        (json.dumps(CLAIM).encode(), "process 7 on host", 30.0),
        (b"{", "an unknown process", 60.0),
        (b"{}", "an unknown process", 60.0),
        (b"x" * 100_000, "an unknown process", 60.0),
    ],
    ids=["claim", "damaged", "empty", "large"],
)
def test_breaks_the_lock_of_a_store(
    bucket: Desk, content: bytes, holder: str, seconds: float
) -> None:
    bucket.put(LOCK, content)
    planned = break_lock(bucket.exports, dry_run=True, **WHO)
    assert bucket.exports.base.sizes()[LOCK]
    change = break_lock(bucket.exports, **WHO)
    assert change == planned
    assert change.sentences == (f"the lock of {holder} is broken",)
    # The holder cannot renew it, and it expires when the last renewal of the holder does.
    claim = json.loads((bucket.exports.base / LOCK).read(1000))
    assert (claim["holder"], claim["lease_seconds"]) == ("best-exporter lock --break", seconds)
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
