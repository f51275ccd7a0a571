import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tfx_best_exporter.executor.storage import local_lock
from tfx_best_exporter.executor.storage.protocol import StorageError

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
    with local_lock.lock(path, 60):
        pass


def test_a_lock_whose_file_was_replaced_is_another_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with local_lock.lock(path, 0) as first:
        path.unlink()
        with local_lock.lock(path, 0) as second:
            second.check()
            assert not first.is_of_this_name()


CHILD = """
import os, signal, sys
from pathlib import Path
from tfx_best_exporter.executor.storage import local_lock
with local_lock.lock(Path(sys.argv[1]), 10):
    child = os.fork()
    if not child:
        {child}
print(child, flush=True)
"""


def with_child(path: Path, child: str) -> int:
    """Forks a child while a lock is held, and returns its process ID after the release."""
    result = subprocess.run(
        [sys.executable, "-c", CHILD.format(child=child), str(path)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return int(result.stdout)


def test_a_child_that_is_left_behind_does_not_keep_the_lock(tmp_path: Path) -> None:
    # The child closes the pipe for which subprocess.run waits.
    child = with_child(tmp_path / "lock", "os.close(1); os.close(2); signal.pause()")
    try:
        with local_lock.lock(tmp_path / "lock", 0):
            pass
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_child_that_leaves_the_block_does_not_free_the_lock_of_its_parent(tmp_path: Path) -> None:
    program = f"""
import os, sys
from pathlib import Path
from tfx_best_exporter.executor.storage import local_lock
path = Path({str(tmp_path / "lock")!r})
with local_lock.lock(path, 10):
    child = os.fork()
    if not child:
        sys.exit(0)
    os.waitpid(child, 0)
    try:
        with local_lock.lock(path, 0):
            print("free")
    except TimeoutError:
        print("held")
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("held\n", "")


def test_a_lock_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with (
        pytest.raises(StorageError, match="it is a link"),
        local_lock.lock(tmp_path / "lock", 0),
    ):
        pytest.fail("locked")
    assert not (tmp_path / "elsewhere").exists()
