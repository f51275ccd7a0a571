"""Runs the commands of docs/operating.md in base directories that real runs have made.

It is a process of its own, because it mounts the directories of the page. It reads a JSON list of
[name of a world, command lines] from stdin, and writes a JSON list of the outputs to stdout.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.cli.world import DAY, World, invoke
from tests.executor import plain
from tests.executor.running import challenged as challengers
from tfx_best_exporter.executor import storage
from tfx_best_exporter.executor.policies import compare_policy, larger
from tfx_best_exporter.executor.storage import location_of

PENGUIN, TAXI, MODELS = "/serving/penguin", "/serving/taxi", "/models"
WHY = ("--reason", "wrong labels", "--yes")
# From midnight to the call at night, and from one command to the next.
NIGHT, MINUTE = 3.2 * 3600, 60.0


def two_versions(world: World) -> None:
    world.run("a", {"auc": 0.9, "loss": 0.31})
    world.run("b", {"auc": 0.93, "loss": 0.28})


def refused(world: World) -> None:
    two_versions(world)
    world.run("c", {"auc": 0.91, "loss": 0.26})
    stricter = {"metric": {"name": "auc"}, "direction": "HIGHER_IS_BETTER"}
    (world.root / "models/stricter.json").write_text(
        json.dumps({"metric": {**stricter, "min_absolute_change": 0.05}})
    )


def rolled_back(world: World) -> None:
    two_versions(world)
    invoke("rollback", PENGUIN, *WHY, now=world.now + NIGHT)
    world.now += 86400.0


def many(world: World) -> None:
    for name, auc in zip("abcd", (0.9, 0.91, 0.93, 0.94), strict=True):
        world.run(name, {"auc": auc})
    invoke("pin", PENGUIN, world.versions[0], "--reason", "audit", "--yes", now=world.now)


def pushed(world: World) -> None:
    two_versions(world)
    plain.write_files(world.base / "1795500000")
    (world.root / "models/pushed.json").write_text('{"auc": 0.95}')


def hotfix(world: World) -> None:
    two_versions(world)
    world.model("hotfix")
    (world.root / "models/hotfix.json").write_text('{"auc": 0.88}')


def awaiting(world: World) -> None:
    two_versions(world)
    world.run("d", {"auc": 0.97}, policy=compare_policy(larger("auc"), approval="REQUIRED"))


def edited(world: World) -> None:
    two_versions(world)
    (world.base / str(world.versions[1]) / "assets/words.txt").write_bytes(b"WORDS")


def fleet(world: World) -> None:
    refused(world)
    taxi = World(root=world.root / "taxi", uri=TAXI)
    taxi.run("t", {"auc": 0.7})
    invoke("hold", TAXI, "--until", "2026-12-28", "--reason", "holidays", "--yes", now=world.now)


def challenged(world: World) -> None:
    # The runs of docs/challengers.md.
    runs = challengers.World(path=world.root, base=location_of(PENGUIN), now=world.now - DAY)
    front = "/pipelines/penguin/Trainer/model"
    runs.run("base", {"base": 0.9}, model_uri=f"{front}/1")
    runs.run("mond", {"base": 0.9, "mond": 0.906}, model_uri=f"{front}/2")
    tuesday = {"base": 0.88, "mond": 0.886, "tues": 0.884}
    runs.run("tues", tuesday, model_uri=f"{front}/3")
    world.now = runs.now


def challenger_exported(world: World) -> None:
    challenged(world)
    runs = challengers.World(path=world.root, base=location_of(PENGUIN), now=world.now)
    runs.run("wedn", {"base": 0.91, "mond": 0.919, "tues": 0.912, "wedn": 0.908})
    world.now = runs.now


WORLDS: Mapping[str, Callable[[World], None]] = {
    each.__name__: each
    for each in (
        two_versions,
        refused,
        rolled_back,
        many,
        pushed,
        hotfix,
        awaiting,
        edited,
        fleet,
        challenged,
        challenger_exported,
    )
}


def outputs(name: str, commands: list[str], root: Path) -> list[str]:
    """Returns the output of each command."""
    world = World(root=root, uri=PENGUIN)
    for uri, directory in (
        (PENGUIN, world.base),
        (TAXI, root / "taxi" / "serving"),
        (MODELS, root / "models"),
    ):
        directory.mkdir(parents=True, exist_ok=True)
        storage.mount(uri, str(directory))
    WORLDS[name](world)
    os.chdir(root)
    now, shown = world.now + NIGHT, []
    for command in commands:
        program, *words = shlex.split(command)
        assert program == "best-exporter", command
        shown.append(invoke(*words, now=now, env={"COLUMNS": "110"}).output)
        now += MINUTE
    return shown


def main() -> None:
    results = []
    for name, commands in json.load(sys.stdin):
        with tempfile.TemporaryDirectory() as root:
            results.append(outputs(name, commands, Path(root)))
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
