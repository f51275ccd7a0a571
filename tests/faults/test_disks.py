"""Faults on a disk (kills, full, broken, read-only): rows 1, 2, 5 and 6 of the fault matrix."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import Model, World
from tests.faults.invariants import assert_safe, state_of
from tests.faults.processes import Job, Server, at_once
from tests.faults.reader import Reader
from tests.faults.test_kills import Scenario, copy_directory, final_state
from tests.faults.tracing import needs_strace, run_with
from tfx_best_exporter.executor.exporter import ModelExporter
from tfx_best_exporter.executor.storage.local import LocalStorage
from tfx_best_exporter.executor.storage.location import Location

SCENARIO = Scenario(
    before=[0.5, 0.4, 0.3], options={"exports_to_keep": 2}, is_pushed=True, has_assets_extra=True
)
# Calls that wait, that read information, or that the interpreter makes for itself.
IGNORED = re.compile(
    "brk|clone3?|exit|exit_group|futex|get.*|m(advise|map|protect|remap|unmap)|rseq|rt_sig.*"
    "|sched_yield|set_robust_list|sysinfo|uname"
)


def stopped(job: Job) -> Job:
    return dataclasses.replace(job, is_stopped=True)


def moments(log: str) -> list[tuple[str, int]]:
    """Returns each system call in a log of strace with its number in its thread, from 1."""
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for match in re.finditer(r"^(\d+) +(\w+)\(", log, re.MULTILINE):
        counts[match[2]][match[1]] += 1
    return [
        (name, number)
        for name in sorted(counts)
        if name == "getdents64" or not IGNORED.fullmatch(name)
        for number in range(1, max(counts[name].values()) + 1)
    ]


@needs_strace
@pytest.mark.parametrize("count", [20, pytest.param(200, marks=pytest.mark.faults)])
def test_killed_at_many_moments(
    disk: World, model: Model, server: Server, tmp_path: Path, count: int
) -> None:
    SCENARIO.prepare(disk, model, server, "before")
    copy_directory(disk / "before", disk / "undisturbed")
    log_path = tmp_path / "log"
    run_with(
        server, stopped(SCENARIO.job(disk, model, "undisturbed")), "trace=all", log_path=log_path
    )
    expected = final_state(disk, SCENARIO, "undisturbed")
    found = moments(log_path.read_text())
    assert len(found) > count
    # The moments are spread over all system calls.
    stride = len(found) // count
    found = iter([moment for start in range(stride) for moment in found[start::stride]])

    def kill(moment: tuple[str, int]) -> bool:
        name, number = moment
        place = f"{name}-{number}"
        base = disk / place / "base"
        copy_directory(disk / "before", disk / place)
        job = SCENARIO.job(disk, model, place)
        with Reader(base) as reader:
            killed = run_with(
                server, stopped(job), f"trace={name}", f"inject={name}:signal=KILL:when={number}"
            )
            assert_safe(base, reader)
            again = server.run(job)
        assert again.error == "", place
        assert_safe(base, reader)
        assert final_state(disk, SCENARIO, place) == expected, place
        (disk / place).remove()
        return killed.signal == 9

    kills = 0
    # A thread may make fewer calls than in the first run, and is not killed then. Another moment
    # replaces that one.
    while moments_left := list(itertools.islice(found, count - kills)):
        kills += sum(at_once(kill, moments_left))
    assert kills == count


def large_model(model: Model, mebibytes: int) -> str:
    """Returns a model with a large file."""
    path = Path(model("large"))
    (path / "assets.extra" / "large").write_bytes(bytes(range(256)) * (mebibytes << 12))
    return str(path)


# strace counts the calls of each thread. The client of Google Cloud Storage sends up to 8 MiB with
# one or two calls, so only a larger file takes more calls than the main thread makes before the
# commit.
@needs_strace
@pytest.mark.parametrize(
    ("kind", "call", "numbers", "mebibytes"),
    [
        ("local", "write", range(2, 14, 3), 4),
        pytest.param("gs", "sendto", range(12, 15), 96, marks=pytest.mark.faults),
        pytest.param("s3", "sendto", [25, 30], 4, marks=pytest.mark.faults),
    ],
)
def test_killed_in_the_middle_of_a_file(
    kind: str,
    call: str,
    numbers: range,
    mebibytes: int,
    make_world: Callable[[str], World],
    model: Model,
    server: Server,
) -> None:
    world = make_world(kind)
    candidate = large_model(model, mebibytes)
    partial = 0
    for number in numbers:
        name = str(number)
        assert server.run(world.job(name, (model("before"), 0.3))).error == ""
        before = state_of(world / name)
        job = world.job(name, (candidate, 0.1))
        with Reader(world / name) as reader:
            killed = run_with(
                server, stopped(job), f"trace={call}", f"inject={call}:signal=KILL:when={number}"
            )
            assert killed.signal == 9
            assert_safe(world / name, reader)
            sizes = (world / name).sizes()
            left = [path for path in sizes if path.startswith(".best_exporter/staging/")]
            partial += bool(left)
            again = server.run(job).decision
            assert again["reason"] == "BETTER" if left else "ALREADY_BEST"
        assert_safe(world / name, reader)
        after = state_of(world / name)
        assert after.exports[:1] == before.exports
        assert len(after.exports) == 2
        assert after.leftovers == []
    assert partial > 0


# Errors by system call. The test injects each error into each call of a run, one at a time.
ERRORS = {
    "mkdir": ["EACCES", "EROFS"],
    "write": ["EIO", "ENOSPC"],
    "fsync": ["EIO"],
    "rename": ["EACCES", "EIO"],
    "flock": ["EIO"],
    "rmdir": ["EIO"],
}
# `make test-faults` runs the other errors.
QUICK = {"mkdir": "EACCES", "write": "ENOSPC", "rename": "EIO", "flock": "EIO", "rmdir": "EIO"}


@needs_strace
@pytest.mark.parametrize(
    ("call", "error"),
    [
        pytest.param(call, error, marks=() if QUICK.get(call) == error else pytest.mark.faults)
        for call, errors in ERRORS.items()
        for error in errors
    ],
)
def test_a_call_that_fails(
    disk: World, model: Model, server: Server, tmp_path: Path, call: str, error: str
) -> None:
    SCENARIO.prepare(disk, model, server, "before")
    copy_directory(disk / "before", disk / "undisturbed")
    log_path = tmp_path / "log"
    run_with(
        server, stopped(SCENARIO.job(disk, model, "undisturbed")), "trace=all", log_path=log_path
    )
    expected = final_state(disk, SCENARIO, "undisturbed")

    def fail(moment: tuple[str, int]) -> bool:
        number = moment[1]
        place = f"{call}-{number}"
        base = disk / place / "base"
        copy_directory(disk / "before", disk / place)
        job = SCENARIO.job(disk, model, place)
        with Reader(base) as reader:
            failed = run_with(
                server, stopped(job), f"trace={call}", f"inject={call}:error={error}:when={number}"
            )
            if call == "fsync" and failed.error:
                # If a disk cannot make a name durable, the exporter removes the name again.
                reader.forgive_largest()
            assert_safe(base, reader)
            state = state_of(base)
            # Files that could not be deleted stay in the trash, and are reported.
            assert not [name for name in state.leftovers if name.startswith("staging/")]
            if failed.error:
                assert re.match(r"\w*Error: ", failed.error)
                # Errors of fsync and flock have no path: these calls take a descriptor.
                assert "/" in failed.error or call in ("flock", "fsync")
            else:
                assert failed.decision["exported"]
            assert server.run(job).error == ""
        assert_safe(base, reader)
        assert final_state(disk, SCENARIO, place) == expected, place
        (disk / place).remove()
        return bool(failed.error)

    failed = at_once(fail, [each for each in moments(log_path.read_text()) if each[0] == call])
    assert any(failed) or call == "rmdir"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Returns the path of a separate file system of 2 MiB."""
    path = tmp_path / "small"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(path)]
    mounted = subprocess.run(command, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"mounting is not allowed: {mounted.stderr}")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def test_a_full_disk(small_disk: Path, model: Model) -> None:
    base = Location(LocalStorage(), str(small_disk / "base"))
    with Reader(base) as reader:
        exporter = ModelExporter(base)
        exporter.run(model("before"), {"loss": 0.3})
        before = state_of(base)
        with pytest.raises(OSError, match="No space left on device") as caught:
            exporter.run(large_model(model, 4), {"loss": 0.1})
        assert str(small_disk) in str(caught.value)
        assert state_of(base) == before
        assert before.leftovers == []
        assert exporter.run(model("after"), {"loss": 0.2}).exported
    assert_safe(base, reader)


def test_a_read_only_disk(small_disk: Path, model: Model) -> None:
    base = Location(LocalStorage(), str(small_disk / "base"))
    with Reader(base) as reader:
        exporter = ModelExporter(base)
        exporter.run(model("before"), {"loss": 0.3})
        before = state_of(base)
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        with pytest.raises(OSError, match=f"Read-only file system: '{small_disk}"):
            exporter.run(model("after"), {"loss": 0.1})
        assert state_of(base) == before
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
        assert exporter.run(model("after"), {"loss": 0.1}).exported
    assert_safe(base, reader)
