"""Several exporters on one base directory: rows 7, 8 and 9 of the fault matrix."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.conftest import Model, World, kinds
from tests.faults.invariants import assert_safe, state_of
from tests.faults.processes import Process, Server, at_once
from tests.faults.reader import Reader
from tfx_best_exporter.executor.exports.directory import ExportDirectory


def best_loss(world: World, name: str) -> float:
    state = state_of(world / name)
    assert state.best is not None
    return state.exports[state.best][1]


@pytest.mark.parametrize(
    ("kind", "processes", "rounds"),
    [
        ("local", 4, 10),
        ("gs", 4, 3),
        *(
            pytest.param(*case, marks=pytest.mark.faults)
            for case in [("local", 8, 50), ("gs", 8, 5), ("s3", 8, 3)]
        ),
    ],
)
def test_many_writers(
    kind: str,
    processes: int,
    rounds: int,
    make_world: Callable[[str], World],
    model: Model,
    server: Server,
    tmp_path: Path,
) -> None:
    world = make_world(kind)
    # Each export has a different model, because the same model is not exported twice.
    losses = random.Random(7).sample(range(1000), processes * rounds)
    models = [(model(str(loss)), loss / 1000) for loss in losses]
    go_path = tmp_path / "go"
    with Reader(world / "base") as reader:
        started = [
            server.start(
                world.job(
                    "base",
                    *models[number::processes],
                    options={"exports_to_keep": 3},
                    go=str(go_path),
                )
            )
            for number in range(processes)
        ]
        go_path.touch()
        outcomes = [process.wait() for process in started]
    assert [outcome.error for outcome in outcomes] == [""] * processes

    decisions = [decision for outcome in outcomes for decision in outcome.decisions]
    assert len(decisions) == processes * rounds
    exported = [int(decision["version"]) for decision in decisions if decision.get("exported")]
    assert len(set(exported)) == len(exported)
    assert_safe(world / "base", reader)
    assert best_loss(world, "base") == min(losses) / 1000
    assert state_of(world / "base").leftovers == []


@pytest.mark.parametrize("world", kinds("local", "gs", "s3"), indirect=True)
@pytest.mark.parametrize("loser_loss", [0.3, 0.1], ids=["worse", "better"])
def test_who_waited_for_the_lock_looks_at_the_best_again(
    world: World, model: Model, server: Server, loser_loss: float
) -> None:
    """Nothing is served when either writer starts."""
    first = server.start(
        world.job("base", (model("a"), 0.2), lease_seconds=30.0).with_fault(
            1, "before", signal.SIGSTOP
        )
    )
    assert first.wait().is_stopped
    second = server.start(world.job("base", (model("b"), loser_loss), lease_seconds=30.0))
    time.sleep(0.3)
    assert ExportDirectory(world / "base").exports() == ()
    first.send(signal.SIGCONT)

    winner, loser = first.wait().decision, second.wait().decision
    assert winner["reason"] == "FIRST_EXPORT"
    assert loser["best"]["version"] == winner["version"]
    assert loser["reason"] == ("BETTER" if loser_loss < 0.2 else "NOT_BETTER")
    assert best_loss(world, "base") == min(0.2, loser_loss)


@pytest.mark.parametrize("world", kinds("local", "gs", "s3"), indirect=True)
def test_the_lock_of_a_killed_process_is_taken_over(
    world: World, model: Model, server: Server
) -> None:
    """The process is killed from outside, while it is stopped and holds the lock."""
    holder = server.start(
        world.job("base", (model("a"), 0.2)).with_fault(3, "before", signal.SIGSTOP)
    )
    assert holder.wait().is_stopped
    holder.send(signal.SIGKILL)
    assert holder.wait().signal == signal.SIGKILL
    started_at = time.monotonic()
    assert server.run(world.job("base", (model("b"), 0.3))).decision["reason"] == "FIRST_EXPORT"
    # The wait ends with the lease, which lasts a second, and not with the timeout of the lock, an
    # hour.
    assert time.monotonic() - started_at < 60
    assert len(state_of(world / "base").exports) == 1


@pytest.mark.parametrize(
    ("kind", "clock"),
    [
        ("gs", None),
        pytest.param("gs", 1000.0, marks=pytest.mark.faults),
        pytest.param("s3", 1000.0, marks=pytest.mark.faults),
    ],
    ids=["gs-clock-goes", "gs-clock-stands", "s3-clock-stands"],
)
def test_a_writer_that_slept_through_its_lease_changes_nothing(
    kind: str,
    clock: float | None,
    make_world: Callable[[str], World],
    model: Model,
    server: Server,
) -> None:
    """A writer is stopped before each step, another one takes over, and then the first continues.

    With a clock that stands still, both writers would choose the same version.
    """
    store = make_world(kind)
    job = store.job("undisturbed", (model("slow"), 0.2), clock=clock)
    steps = server.run(job).steps

    def start(number: int) -> tuple[str, Process]:
        name = f"{number}"
        job = store.job(name, (model("slow"), 0.2), clock=clock)
        sleeper = server.start(job.with_fault(number, "before", signal.SIGSTOP))
        assert sleeper.wait().is_stopped
        return name, sleeper

    # With a clock that stands still, every third step runs on the S3 server, which is slow, and the
    # others run on the other server.
    numbers = [
        number for number in range(1, steps) if (number % 3 == 0) == (kind == "s3" or clock is None)
    ]
    sleepers = at_once(start, numbers)
    # The wait covers the lease and the whole seconds in which servers report times.
    time.sleep(2.1)

    def wake(started: tuple[str, Process]) -> None:
        name, sleeper = started
        with Reader(store / name) as reader:
            quick = server.run(store.job(name, (model("quick"), 0.1), clock=clock))
            assert quick.error == ""
            quick_version = int(quick.decision["version"])
            sleeper.send(signal.SIGCONT)
            slow = sleeper.wait()
            assert quick_version in [
                each.version for each in ExportDirectory(store / name).exports()
            ]
        assert slow.error == "", name
        assert_safe(store / name, reader)
        assert best_loss(store, name) == 0.1
        # The next run removes all leftovers.
        assert server.run(store.job(name, (model("next"), 0.05), clock=clock)).error == ""
        assert state_of(store / name).leftovers == []

    at_once(wake, sleepers)
