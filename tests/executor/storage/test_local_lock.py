import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tfx_best_exporter.executor.storage import local_lock

HOLDER = """
import sys, time
from pathlib import Path
from tfx_best_exporter.executor.storage import local_lock
with local_lock.lock(Path(sys.argv[1]), 10):
    print("held", flush=True)
    time.sleep(600)
"""


def test_lock_waits_and_gives_up(tmp_path: Path):
    path = tmp_path / "state" / "lock"
    with (
        local_lock.lock(path, 0),
        pytest.raises(TimeoutError) as caught,
        local_lock.lock(path, 0.1),
    ):
        pytest.fail("two holders")
    assert str(caught.value) == (
        f"cannot lock {path} within 0.1 seconds: the lock is held by another process."
        " Let the other run finish, or end it."
    )
    with local_lock.lock(path, 0):
        assert path.exists()


def test_lock_excludes_other_processes_and_is_freed_when_they_are_killed(tmp_path: Path):
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(TimeoutError), local_lock.lock(path, 0.1):
                pytest.fail("two holders")
        finally:
            holder.send_signal(signal.SIGKILL)
        holder.wait()
    with local_lock.lock(path, 5):
        pass


def test_a_lock_whose_file_was_replaced_is_another_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with local_lock.lock(path, 0) as first:
        path.unlink()
        with local_lock.lock(path, 0) as second:
            second.check()
            assert not first.is_of_this_name()
