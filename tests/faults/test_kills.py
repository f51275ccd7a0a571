"""Exports that are killed at each step: rows 1, 3 and 4 of the fault matrix."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.faults.conftest import Model, World, kinds
from tests.faults.invariants import State, assert_safe, state_of
from tests.faults.processes import Job, Server, at_once
from tests.faults.reader import Reader
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.transfer import copy_files

MakeJob = Callable[[World, Model, str], Job]


@dataclasses.dataclass(frozen=True)
class Scenario:
    """The exports before a run, and the run.

    Attributes:
        before: Losses of the exports before the run.
        loss: Loss of the candidate; None to retire only.
        options: Keyword arguments of the exporter.
        is_pushed: True if the run writes a PushedModel.
        has_assets_extra: True if the exporter adds a file.
    """

    before: Sequence[float] = ()
    loss: float | None = 0.1
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    is_pushed: bool = False
    has_assets_extra: bool = False

    def job(self, world: World, model: Model, name: str) -> Job:
        """Returns the job of the run, in directories of this name."""
        options = dict(self.options)
        if self.has_assets_extra:
            options["assets_extra"] = {"more/note.txt": model("note") + "/saved_model.pb"}
        rounds = [] if self.loss is None else [(model("candidate"), self.loss)]
        return world.job(
            f"{name}/base",
            *rounds,
            options=options,
            pushed_model=world.uri(f"{name}/pushed") if self.is_pushed else None,
        )

    def prepare(self, world: World, model: Model, server: Server, name: str) -> None:
        """Makes the exports before the run."""
        # A run after a long import would find files that are old enough for a stamp.
        server.parent_for(self.options)
        if self.before:
            rounds = [(model(f"before-{loss}"), loss) for loss in self.before]
            outcome = server.run(
                world.job(f"{name}/base", *rounds, options={"exports_to_keep": None})
            )
            assert outcome.error == ""
            (world / name / "base/.best_exporter/lock").remove()


ALL = {
    "first": Scenario(),
    "replacing": Scenario(before=[0.3]),
    "retiring": Scenario(before=[0.5, 0.4, 0.3], options={"exports_to_keep": 2}),
    "retiring_only": Scenario(before=[0.5, 0.4, 0.3], loss=None, options={"exports_to_keep": 1}),
    "pushed_model": Scenario(before=[0.3], is_pushed=True),
    "as_text": Scenario(before=[0.3], options={"as_text": True}),
    "assets_extra": Scenario(before=[0.3], has_assets_extra=True),
}
# One scenario has all options, because each step in an object store costs a hundred times as much.
EVERYTHING = Scenario(
    before=[0.3],
    options={"as_text": True, "exports_to_keep": 1},
    is_pushed=True,
    has_assets_extra=True,
)
# This scenario has all changes to a disk that one run can make.
RETIRING = Scenario(
    before=[0.5, 0.4, 0.3],
    options={"exports_to_keep": 3},
    is_pushed=True,
    has_assets_extra=True,
)
# This time is later than those of all exports before.
CLOCK = 4e9
CASES = {f"local-{name}": ("local", scenario) for name, scenario in ALL.items()} | {
    f"{kind}-{name}": (kind, scenario)
    for kind in ("gs", "s3")
    for name, scenario in [("first", ALL["first"]), ("everything", EVERYTHING)]
}
# These take a second or two on an idle machine; `make test-faults` runs the others.
QUICK = {"local-first", "local-replacing", "local-retiring", "local-pushed_model", "gs-first"}


def copy_directory(source: Location, destination: Location) -> None:
    copy_files([(source / path, destination / path) for path in source.sizes()])


def final_state(world: World, scenario: Scenario, name: str) -> State:
    pushed_model = world / name / "pushed" if scenario.is_pushed else None
    return state_of(world / name / "base", pushed_model)


@pytest.mark.parametrize(
    ("kind", "scenario"),
    [
        pytest.param(*case, id=name, marks=() if name in QUICK else pytest.mark.faults)
        for name, case in CASES.items()
    ],
)
def test_killed_at_every_step(
    kind: str,
    scenario: Scenario,
    make_world: Callable[[str], World],
    model: Model,
    server: Server,
) -> None:
    world = make_world(kind)
    scenario.prepare(world, model, server, "before")

    copy_directory(world / "before", world / "undisturbed")
    undisturbed = server.run(scenario.job(world, model, "undisturbed"))
    assert undisturbed.error == ""
    expected = final_state(world, scenario, "undisturbed")
    assert expected.leftovers == []

    # The moment right after a step is also right before the next step.
    points = [(0, "before"), *[(number, "after") for number in range(undisturbed.steps)]]
    # The S3 server is five times as slow as the other one, so only every third point is tried.
    points = points[:: 3 if kind == "s3" else 1]

    def kill(point: tuple[int, str]) -> None:
        number, when = point
        name = f"{number}-{when}"
        copy_directory(world / "before", world / name)
        with Reader(world / name / "base") as reader:
            outcome = server.run(scenario.job(world, model, name).with_fault(number, when))
        assert outcome.signal == 9
        assert_safe(world / name / "base", reader)

    def run_again(point: tuple[int, str]) -> None:
        number, when = point
        name = f"{number}-{when}"
        with Reader(world / name / "base") as reader:
            outcome = server.run(scenario.job(world, model, name))
        assert outcome.error == ""
        assert_safe(world / name / "base", reader)
        assert final_state(world, scenario, name) == expected, name

    # All runs are killed before the first one is repeated, so that their leases have expired.
    at_once(kill, points)
    at_once(run_again, points)


@pytest.mark.parametrize("stride", [8, pytest.param(1, marks=pytest.mark.faults)])
def test_killed_before_every_call(disk: World, model: Model, server: Server, stride: int) -> None:
    """Kills before each call that may change the disk, also between steps."""
    RETIRING.prepare(disk, model, server, "before")
    before = [each.version for each in ExportDirectory(disk / "before/base").exports()]

    def job(name: str, number: int | None = None) -> Job:
        copy_directory(disk / "before", disk / name)
        job = RETIRING.job(disk, model, name)
        return dataclasses.replace(job, clock=CLOCK, counts_calls=True, kill_at_call=number)

    undisturbed = server.run(job("undisturbed"))
    assert undisturbed.error == ""
    assert undisturbed.calls > 50
    expected = final_state(disk, RETIRING, "undisturbed")

    def kill(number: int) -> tuple[int, ...]:
        name = str(number)
        disturbed = job(name, number)
        with Reader(disk / name / "base") as reader:
            kills.append(server.run(disturbed).signal == 9)
            assert_safe(disk / name / "base", reader)
            exports = ExportDirectory(disk / name / "base").exports()
            assert server.run(dataclasses.replace(disturbed, kill_at_call=None)).error == ""
        assert_safe(disk / name / "base", reader)
        assert final_state(disk, RETIRING, name) == expected, name
        # A number is taken before its version is visible, so the next run may take a larger one.
        version = ExportDirectory(disk / name / "base").exports()[-1].version
        assert version in (int(CLOCK), int(CLOCK) + 1)
        assert (disk / name / "pushed").sizes() == (disk / name / f"base/{version}").sizes()
        (disk / name).remove()
        return tuple(export.version for export in exports)

    kills: list[bool] = []
    numbers = range(0, undisturbed.calls, stride)
    in_sight = list(dict.fromkeys(at_once(kill, numbers)))
    # Threads that create a directory at the same time make one call more or less.
    assert sum(kills) > len(numbers) - 5
    # One version appears, and then another one disappears. No other state is ever visible.
    states = [(*before,), (*before, int(CLOCK)), (*before[1:], int(CLOCK))]
    assert in_sight == [state for state in states if stride == 1 or state in in_sight]
    assert in_sight[0] == states[0]


@pytest.mark.parametrize("world", kinds("local", "gs", "s3"), indirect=True)
def test_killed_after_the_commit(world: World, model: Model, server: Server) -> None:
    """The export is visible, but its run has not reported it."""
    base = world / "base"
    assert server.run(world.job("base", (model("before"), 0.3))).error == ""
    job = world.job("base", (model("candidate"), 0.1), pushed_model=world.uri("pushed"))
    steps = server.run(dataclasses.replace(job, base=world.uri("other"))).steps
    with Reader(base) as reader:
        # The last step of a run releases the lock.
        assert server.run(job.with_fault(steps - 1, "after")).signal == 9
        (old, version) = [each.version for each in ExportDirectory(base).exports()]
        again = server.run(job).decision
    assert_safe(base, reader)
    assert reader.versions == [old, version]
    assert (again["reason"], int(again["version"])) == ("ALREADY_BEST", version)
    assert len(state_of(base).exports) == 2
    assert (world / "pushed").sizes() == (base / str(version)).sizes()
