"""Operations of a person that are killed, and at the same time as runs: row 44 of the fault matrix.

tests/executor/operating/test_kills.py kills every operation at every step, in one process.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import Model, World, kinds
from tests.faults.invariants import assert_safe
from tests.faults.processes import Server, at_once
from tests.faults.reader import Reader
from tests.faults.test_kills import copy_directory
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.proto import best_exporter_pb2 as pb

LOSSES = (0.5, 0.4, 0.3)


def prepare(world: World, model: Model, server: Server) -> list[int]:
    """Makes three exports in before/base, and returns their versions."""
    rounds = [(model(f"before-{loss}"), loss) for loss in LOSSES]
    outcome = server.run(world.job("before/base", *rounds, options={"exports_to_keep": None}))
    assert outcome.error == ""
    (world / "before/base/.best_exporter/lock").remove()
    return [export.version for export in ExportDirectory(world / "before/base").exports()]


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
        state.hold is not None,
    )


CASES: dict[str, Callable[[Model, list[int]], list[tuple[str, dict[str, Any]]]]] = {
    "rollback": lambda _, versions: [("rollback", {"to": versions[0]})],
    "restore": lambda _, versions: [
        ("rollback", {"to": versions[1]}),
        ("restore", {"version": versions[2]}),
    ],
    "promote": lambda model, _: [
        (
            "promote",
            {
                "model_path": model("hotfix"),
                "eval_result": {"loss": 0.9},
                "hold_seconds": 1e6,
            },
        )
    ],
    "words": lambda _, versions: [
        ("hold", {}),
        ("reject", {"model": versions[0]}),
        ("pin", {"version": versions[0]}),
    ],
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("world", kinds("local", long=["gs", "s3"]), indirect=True)
def test_killed_at_every_step(
    case: Callable[[Model, list[int]], list[tuple[str, dict[str, Any]]]],
    world: World,
    model: Model,
    server: Server,
) -> None:
    versions = prepare(world, model, server)
    operations = case(model, versions)

    def job(name: str) -> Any:
        return world.job(f"{name}/base", operations=operations, options={"exports_to_keep": None})

    copy_directory(world / "before", world / "undisturbed")
    undisturbed = server.run(job("undisturbed"))
    assert undisturbed.error == ""
    expected = state_of(world, "undisturbed")

    # Each step of a store costs a hundred times as much as one of a disk.
    step = {"local": 1, "gs": 2, "s3": 5}[world.kind]

    def kill(number: int) -> None:
        name = str(number)
        copy_directory(world / "before", world / name)
        with Reader(world / name / "base", is_rolled_back=True) as reader:
            outcome = server.run(job(name).with_fault(number, "after"))
        assert outcome.error == ""
        kills.append(outcome.signal == 9)
        assert_safe(world / name / "base", reader)

    def finish(number: int) -> None:
        name = str(number)
        with Reader(world / name / "base", is_rolled_back=True) as reader:
            # The next run finishes what the person has begun.
            rounds = [(model(f"before-{LOSSES[-1]}"), LOSSES[-1])]
            run = world.job(f"{name}/base", *rounds, options={"exports_to_keep": None})
            assert server.run(run).error == ""
            assert_safe(world / name / "base", reader)
            outcome = server.run(job(name))
        assert_safe(world / name / "base", reader)
        state = state_of(world, name)
        if state != expected:
            # A step that was done before the kill cannot be done again, and the error says so.
            assert "OperationError" in outcome.error, (name, outcome.error)
        withdrawn = ExportDirectory(world / name / "base").operators.read().withdrawn
        assert {each.state for each in withdrawn.values()} <= {pb.Withdrawal.WITHDRAWN}

    points = range(0, undisturbed.steps, step)
    kills: list[bool] = []
    at_once(kill, points)
    # A version that changed a moment ago has no stamps to write, so a run may have fewer steps.
    assert sum(kills) > len(points) - 4
    at_once(finish, points)


def test_at_the_same_time_as_runs(
    world: World, model: Model, server: Server, tmp_path: Path
) -> None:
    versions = prepare(world, model, server)
    copy_directory(world / "before", world / "together")
    go_path = tmp_path / "go"
    rounds = [(model(f"run-{number}"), 0.29 - number / 1000) for number in range(4)]
    options = {"exports_to_keep": 2}
    people = [
        [("rollback", {"to": versions[1]}), ("pin", {"version": versions[1]})],
        [("hold", {}), ("release", {})],
        [("reject", {"model": versions[0]}), ("unreject", {"model": versions[0]})],
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
    # No line is lost: three exports before, four runs, and each operation that was carried out.
    assert len(log.decisions) >= len(LOSSES) + len(rounds) + 4
    assert ExportDirectory(base).operators.hold() is None
