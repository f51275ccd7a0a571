"""Checks the deadline of a command that runs in a fork."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.children import REPOSITORY
from tests.containers.child import TOO_LATE

# pytest has threads, so it must not fork.
SCRIPT = """
import json, sys
from tests.containers import child
print(child.run(json.loads(sys.argv[1]), deadline_seconds=float(sys.argv[2])))
"""
SLEEP = "import subprocess; subprocess.run(['sh', '-c', 'echo $$ > id; exec sleep 60'])"


def is_alive(process_id: int) -> bool:
    """Returns True if a process runs; a zombie has ended."""
    try:
        stat = Path(f"/proc/{process_id}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


@pytest.mark.parametrize(
    ("statement", "deadline", "code", "end"),
    [
        pytest.param("pass", 60, 0, "per loop\n", id="in time"),
        pytest.param(SLEEP, 3, TOO_LATE, "\nkilled after 3 s\n", id="too late"),
    ],
)
def test_a_command_has_a_deadline(
    tmp_path: Path, statement: str, deadline: float, code: int, end: str
):
    log_path = tmp_path / "log"
    request = {
        "module": "timeit",
        "arguments": ["timeit", "--number=1", "--repeat=1", statement],
        "environment": {},
        "unset": [],
        "directory": str(tmp_path),
        "log": str(log_path),
    }
    started = time.monotonic()
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, json.dumps(request), str(deadline)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert time.monotonic() - started < 50
    assert (run.stdout, run.stderr) == (f"{code}\n", "")
    assert log_path.read_text().endswith(end)
    if code == TOO_LATE:
        assert not is_alive(int((tmp_path / "id").read_text()))
