"""Runs with challengers, killed before each of their steps; the process is simulated."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.executor.bucket import Bucket, KilledError
from tests.executor.plain import read_files
from tests.executor.running.challenged import DATA, World
from tests.faults.reader import is_loadable, version_of
from tests.faults.storages import Step, SteppedStorage
from tfx_best_exporter.executor.storage.local import LocalStorage
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import LeaseLostError

MONDAY = {"best": 0.9, "xxxx": 0.907}
TUESDAY = {"best": 0.88, "xxxx": 0.889, "yyyy": 0.884}
# The candidate, the values and the rule of each run.
RUNS: dict[str, tuple[str, dict[str, float], dict[str, Any]]] = {
    "keeps its candidate": ("xxxx", MONDAY, {}),
    "exports an earlier model": ("yyyy", TUESDAY, {}),
    "keeps the best that it replaces": ("xxxx", {"best": 0.9, "xxxx": 0.9035}, {"alpha": 0.3}),
}


# The model that is served after each run, and the challengers.
ENDS = {
    "keeps its candidate": ("best", ["xxxx"]),
    "exports an earlier model": ("xxxx", []),
    "keeps the best that it replaces": ("xxxx", ["best"]),
}


class Process:
    """Dies right before a step, and makes no step after that; looks at what is served before."""

    def __init__(self, base: Path, number: int):
        self._base = base
        self._number = number
        self._steps = 0
        self._is_dead = False
        self.served: set[str] = set()

    def __call__(self, _: Step | str) -> None:
        self.served.add(served_in(self._base))
        if self._is_dead or self._steps == self._number:
            self._is_dead = True
            raise KilledError
        self._steps += 1


def served_in(base: Path) -> str:
    """Returns the name of the model that a server serves."""
    versions = {
        number: path
        for path in base.iterdir()
        if (number := version_of(path.name)) is not None and is_loadable(path)
    }
    return (versions[max(versions)] / DATA).read_text()


def world_of(
    path: Path, directory: Path, is_disk: bool, rule: dict[str, Any], process: Process | None = None
) -> World:
    """Returns the runs on a base directory, as a process sees it; None for one that lives."""
    if is_disk:
        storage = LocalStorage()
        if process is not None:
            storage = SteppedStorage(storage, before=process)
        base = Location(storage, str(directory / "base"))
    else:
        bucket = Bucket(directory)
        if process is not None:
            bucket.before = process
        base = bucket.location("base")
    return World(path, base=base, rule=rule)


def state_of(world: World, base: Path) -> dict[str, Any]:
    state = base / ".best_exporter"
    return {
        "served": served_in(base),
        "versions": len(world.exports.listing().versions),
        "kept": world.kept,
        # A run that died after its export measures again, compared with another best.
        "data": {row.data for row in world.ledger.rows},
        "problems": [world.state.problem_of(each) for each in world.state.all()],
        "directories": sorted(path.name for path in (state / "challengers").glob("[!l]*")),
        "staging": [path for path in read_files(state / "staging") if "claim" not in path],
    }


@pytest.mark.slow
@pytest.mark.parametrize("is_disk", [True, False], ids=["disk", "bucket"])
@pytest.mark.parametrize("name", RUNS)
def test_killed_at_every_step(tmp_path: Path, name: str, is_disk: bool):
    candidate, values, rule = RUNS[name]
    before = world_of(tmp_path, tmp_path / "before", is_disk, {})
    before.run("best", {"best": 0.9})
    if candidate == "yyyy":
        before.run("xxxx", MONDAY)
    now = before.now

    def attempt(directory: str, process: Process | None = None) -> World:
        world = world_of(tmp_path, tmp_path / directory, is_disk, rule, process)
        world.now = now
        return world

    shutil.copytree(tmp_path / "before", tmp_path / "whole")
    whole = attempt("whole")
    whole.run(candidate, values)
    # A run that is tried again finds the model served.
    whole.run(candidate, values)
    end = state_of(whole, tmp_path / "whole/base")
    assert end["problems"] == [""] * len(end["kept"])
    assert (end["served"], end["kept"]) == ENDS[name]
    number = 0
    while True:
        directory = f"killed-{number}"
        shutil.copytree(tmp_path / "before", tmp_path / directory)
        base = tmp_path / directory / "base"
        process = Process(base, number)
        try:
            attempt(directory, process).run(candidate, values)
        except KilledError:
            pass
        else:
            break
        assert process.served <= {"best", end["served"]}
        again = attempt(directory)
        again.now += 3600
        again.run(candidate, values)
        again.run(candidate, values)
        found = state_of(again, base)
        if found["served"] == candidate and not found["data"]:
            # The run died after its export. The next one finds its candidate served, and measures
            # nothing: the evidence of one run is lost.
            found |= {key: end[key] for key in ("data", "kept", "directories", "problems")}
        assert found == end, number
        shutil.rmtree(tmp_path / directory)
        number += 1
    assert number >= 8


@pytest.mark.parametrize("name", RUNS)
def test_lost_lock_changes_no_challenger(tmp_path: Path, name: str):
    """Another writer takes over when the run has just taken the lock, and looks at the clock."""
    candidate, values, rule = RUNS[name]
    bucket = Bucket(tmp_path / "bucket")
    world = World(tmp_path, base=bucket.location("base"), rule=rule)
    world.run("best", {"best": 0.9})
    if candidate == "yyyy":
        world.run("xxxx", MONDAY)
    challengers = tmp_path / "bucket/base/.best_exporter/challengers"
    before = read_files(challengers)

    def lose() -> float:
        bucket.lease = None
        return world.now

    world.settings = {"clock": lose}
    with pytest.raises(LeaseLostError):
        world.run(candidate, values)
    assert read_files(challengers) == before
    assert world.served() == "best"
