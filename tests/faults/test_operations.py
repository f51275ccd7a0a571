"""Operations of a person that are killed, and at the same time as runs: row 44 of the fault matrix.

tests/executor/operating/test_kills.py kills every operation at every step, in one process.
"""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import Model, World
from tests.faults.invariants import assert_safe
from tests.faults.processes import Job, Server, at_once
from tests.faults.reader import Reader
from tests.faults.test_kills import copy_directory
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.proto import best_exporter_pb2 as pb

LOSSES = (0.5, 0.4, 0.3)
KEEP_ALL: dict[str, Any] = {"exports_to_keep": None}
APPROVAL: dict[str, Any] = {
    **KEEP_ALL,
    "compare_policy": {
        "metric": {"metric": {"name": "loss"}, "direction": "LOWER_IS_BETTER"},
        "approval": "REQUIRED",
    },
}

Operations = Sequence[tuple[str, dict[str, Any]]]


@dataclasses.dataclass(frozen=True)
class Before:
    """A base directory with three exports, named before/base.

    Attributes:
        world: The storage.
        model: Makes models.
        server: Starts processes.
        versions: The exports.
        pushed: Version that another tool may write.
    """

    world: World
    model: Model
    server: Server
    versions: Sequence[int]

    @property
    def pushed(self) -> int:
        return self.versions[-1] + 1

    @property
    def staged(self) -> str:
        """Content digest of the staged candidate."""
        [staged] = ExportDirectory(self.world / "before/base").awaiting.all()
        return staged.record.model.digest

    def run(self, *rounds: tuple[str, float], **job: Any) -> None:
        """Runs a process that must succeed, and removes its lock."""
        job = {"options": KEEP_ALL, **job}
        outcome = self.server.run(self.world.job("before/base", *rounds, **job))
        assert outcome.error == ""
        (self.world / "before/base/.best_exporter/lock").remove()


def prepare(world: World, model: Model, server: Server) -> Before:
    """Makes three exports in before/base."""
    result = Before(world, model, server, ())
    result.run(*((model(f"before-{loss}"), loss) for loss in LOSSES))
    exports = ExportDirectory(world / "before/base").exports()
    return dataclasses.replace(result, versions=[export.version for export in exports])


def roll_back(before: Before) -> None:
    before.run(operations=[("rollback", {"to": before.versions[1]})])


def speak(before: Before) -> None:
    version = before.versions[0]
    words = [("hold", {}), ("reject", {"model": version}), ("pin", {"version": version})]
    before.run(operations=words)


def stage(before: Before) -> None:
    before.run((before.model("staged"), 0.2), options=APPROVAL)


def push(before: Before) -> None:
    """Writes a version as Pusher does."""
    source = location_of(before.model("pushed"))
    copy_directory(source, before.world / f"before/base/{before.pushed}")


def leave_lock(before: Before) -> None:
    """Kills a run that holds the lock."""
    job = before.world.job("before/base", (before.model("killed"), 0.2), lease_seconds=2.0)
    assert before.server.run(job.with_fault(1, "after")).signal == 9


def nothing(before: Before) -> None:
    """Changes nothing."""


@dataclasses.dataclass(frozen=True)
class Case:
    """Operations of a process on a base directory with three exports, until it is killed.

    Attributes:
        operations: Returns the operations of a person.
        prepare: Changes the base directory before.
        is_staging: True if a run stages a candidate instead.
        steps: Interval between the steps that are tried, by kind of storage. Each step of a store
            costs a hundred times as much as one of a disk.
    """

    operations: Callable[[Before], Operations]
    prepare: Callable[[Before], None] = nothing
    is_staging: bool = False
    steps: Mapping[str, int] = dataclasses.field(
        default_factory=lambda: {"local": 1, "gs": 3, "s3": 9}
    )


OFTEN = {"local": 1, "gs": 2, "s3": 5}
CASES = {
    "rollback": Case(lambda at: [("rollback", {"to": at.versions[0]})], steps=OFTEN),
    "restore": Case(
        lambda at: [
            ("rollback", {"to": at.versions[1]}),
            ("restore", {"version": at.versions[2]}),
        ],
        steps=OFTEN,
    ),
    "promote": Case(
        lambda at: [
            (
                "promote",
                {
                    "model_path": at.model("hotfix"),
                    "eval_result": {"loss": 0.9},
                    "hold_seconds": 1e6,
                },
            )
        ],
        steps=OFTEN,
    ),
    "words": Case(
        lambda at: [
            ("hold", {}),
            ("reject", {"model": at.versions[0]}),
            ("pin", {"version": at.versions[0]}),
        ],
        steps=OFTEN,
    ),
    "words_back": Case(
        lambda at: [
            ("release", {}),
            ("unreject", {"model": at.versions[0]}),
            ("unpin", {"version": at.versions[0]}),
        ],
        prepare=speak,
    ),
    "adopt": Case(
        lambda at: [("adopt", {"version": at.pushed, "eval_result": {"loss": 0.2}})],
        prepare=push,
    ),
    "stage": Case(lambda _: [], is_staging=True),
    "approve": Case(lambda at: [("approve", {"digest": at.staged})], prepare=stage),
    "retire": Case(lambda _: [("retire", {})], prepare=roll_back),
    "break_lock": Case(
        lambda _: [("break_lock", {})], prepare=leave_lock, steps={"gs": 1, "s3": 2}
    ),
}


def state_of(world: World, name: str) -> Any:
    """Returns the served version and the files of operators, without times and new versions."""
    exports = ExportDirectory(world / name / "base")
    served = exports.served()
    assert served.record is not None
    state = exports.operators.read()
    return (
        served.record.model.digest,
        len(served.listing.versions),
        {version: each.state for version, each in state.withdrawn.items()},
        {*state.rejected},
        {*state.pins},
        {*state.awaiting},
        state.hold is not None,
    )


@pytest.mark.parametrize(
    ("kind", "case"),
    [
        pytest.param(
            kind,
            case,
            id=f"{kind}-{name}",
            marks=() if kind == "local" else pytest.mark.faults,
        )
        for name, case in CASES.items()
        for kind in case.steps
    ],
)
def test_killed_at_every_step(
    kind: str,
    case: Case,
    make_world: Callable[[str], World],
    model: Model,
    server: Server,
) -> None:
    world = make_world(kind)
    before = prepare(world, model, server)
    case.prepare(before)
    operations = case.operations(before)
    rounds = [(model("staged"), 0.2)] if case.is_staging else []
    foreign = (before.pushed,) if case.prepare is push else ()

    def job(name: str) -> Job:
        options = APPROVAL if case.is_staging else KEEP_ALL
        return world.job(f"{name}/base", *rounds, operations=operations, options=options)

    copy_directory(world / "before", world / "undisturbed")
    undisturbed = server.run(job("undisturbed"))
    assert undisturbed.error == ""
    expected = state_of(world, "undisturbed")

    def kill(number: int) -> None:
        name = str(number)
        copy_directory(world / "before", world / name)
        with Reader(world / name / "base", foreign, is_rolled_back=True) as reader:
            outcome = server.run(job(name).with_fault(number, "after"))
        assert outcome.error == ""
        kills.append(outcome.signal == 9)
        assert_safe(world / name / "base", reader)

    def finish(number: int) -> None:
        name = str(number)
        with Reader(world / name / "base", foreign, is_rolled_back=True) as reader:
            # The next run finishes what the person has begun.
            again = (model(f"before-{LOSSES[-1]}"), LOSSES[-1])
            run = world.job(f"{name}/base", again, options=KEEP_ALL)
            assert server.run(run).error == ""
            assert_safe(world / name / "base", reader)
            outcome = server.run(job(name))
        assert_safe(world / name / "base", reader)
        state = state_of(world, name)
        if state != expected:
            # A step that was done before the kill cannot be done again, and the error says so.
            assert "OperationError" in outcome.error, (name, outcome.error)
        withdrawn = ExportDirectory(world / name / "base").operators.read().withdrawn
        assert {each.state for each in withdrawn.values()} <= {
            pb.Withdrawal.WITHDRAWN,
            pb.Withdrawal.PURGED,
        }

    points = range(0, undisturbed.steps, case.steps[kind])
    kills: list[bool] = []
    at_once(kill, points)
    # A version that changed a moment ago has no stamps to write, so a run may have fewer steps.
    assert sum(kills) > len(points) - 4
    at_once(finish, points)


def test_at_the_same_time_as_runs(
    world: World, model: Model, server: Server, tmp_path: Path
) -> None:
    before = prepare(world, model, server)
    stage(before)
    versions = before.versions
    copy_directory(world / "before", world / "together")
    go_path = tmp_path / "go"
    rounds = [(model(f"run-{number}"), 0.29 - number / 1000) for number in range(4)]
    options = {"exports_to_keep": 2}
    people: list[Operations] = [
        [("rollback", {"to": versions[1]}), ("pin", {"version": versions[1]})],
        [("hold", {}), ("release", {})],
        [("reject", {"model": versions[0]}), ("unreject", {"model": versions[0]})],
        [("approve", {"digest": before.staged})],
        [("retire", {})],
    ]
    with Reader(world / "together/base", is_rolled_back=True) as reader:
        started = [
            server.start(
                world.job("together/base", *rounds[half::2], options=options, go=str(go_path))
            )
            for half in (0, 1)
        ] + [
            server.start(
                world.job("together/base", operations=each, options=options, go=str(go_path))
            )
            for each in people
        ]
        go_path.touch()
        outcomes = [process.wait() for process in started]
    assert [outcome.error for outcome in outcomes[:2]] == ["", ""]
    for outcome in outcomes[2:]:
        # A version that a run has retired in the meantime cannot be rolled back to, or pinned.
        assert outcome.error == "" or outcome.error.startswith("OperationError: ")
    base = world / "together/base"
    assert_safe(base, reader)
    log = ExportDirectory(base).decision_log.read()
    assert log.damaged == 0
    # No line is lost: four runs before, four runs, and each operation that was carried out.
    assert len(log.decisions) >= len(LOSSES) + 1 + len(rounds) + 4
    assert ExportDirectory(base).operators.hold() is None


def test_a_lock_is_broken_while_its_holder_sleeps(
    store: World, model: Model, server: Server
) -> None:
    """A writer is stopped, a person breaks its lock, another one exports, and the first goes on."""
    steps = server.run(store.job("undisturbed", (model("slow"), 0.2))).steps

    def test(number: int) -> None:
        name = f"{number}"
        job = store.job(name, (model("slow"), 0.2), lease_seconds=4.0)
        sleeper = server.start(job.with_fault(number, "before", signal.SIGSTOP))
        assert sleeper.wait().is_stopped
        with Reader(store / name) as reader:
            # A store has no empty directories.
            assert server.run(store.job(name, operations=[("break_lock", {})])).error == ""
            quick = server.run(store.job(name, (model("quick"), 0.1)))
            assert quick.error == ""
            sleeper.send(signal.SIGCONT)
            slow = sleeper.wait()
        assert (slow.error, slow.decision["reason"]) == ("", "NOT_BETTER")
        assert_safe(store / name, reader)
        log = ExportDirectory(store / name).decision_log.read()
        assert [line.kind for line in log.decisions] == ["lock", "run", "run"]

    # The second half of the steps comes after the commit.
    at_once(test, (2, steps // 3, steps // 2))
