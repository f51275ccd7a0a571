from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.world import DAY, START, VARIABLES, World, invoke, json_of
from tests.executor import plain
from tfx_best_exporter.executor.operating import rejecting


def test_status(world: World) -> None:
    result = invoke("status", world.base, now=world.now)
    assert result.exit_code == 0
    assert result.stdout == (
        f"{world.base}\n"
        "  served    version 1795392000 since 2026-11-23 00:00 UTC (2 days ago)\n"
        "  why       BETTER: auc 0.93 is larger than the best's 0.9\n"
        "  metrics   auc 0.93, loss 0.25\n"
        "  run       penguin, run-2\n"
        "  versions  2\n"
    )
    (item,) = json_of("status", world.base, now=world.now)
    assert item["served"]["version"] == "1795392000"
    assert item["served"]["since"] == "2026-11-23T00:00:00+00:00"
    assert (item["exit_code"], item["version_count"]) == (0, 2)


def test_status_of_problems(world: World) -> None:
    digest = world.exports.record(world.exports.exports()[-1]).model.digest
    rejecting.reject(world.exports, digest, reason="bad", operator="ann", now=START)
    (world.base / str(world.versions[1]) / VARIABLES).write_bytes(b"DATA")
    result = invoke("status", world.base)
    assert result.exit_code == 1
    assert "edited in place" in result.stdout
    assert "  problem   EDITED: " in result.stdout
    assert "  problem   REJECTED_BUT_SERVED: " in result.stdout


def test_status_of_several(world: World, tmp_path: Path) -> None:
    other = World(root=tmp_path / "other")
    other.run("x", {"auc": 0.5})
    assert invoke("hold", other.base, "--reason", "holidays", "--yes").exit_code == 0
    result = invoke("status", world.base, other.base, "/nope")
    assert result.exit_code == 2
    assert "Error: base directory must exist (got '/nope')" in result.stderr
    lines = [line.split() for line in result.stdout.splitlines()]
    assert [line[:2] for line in lines[1:]] == [
        [str(world.base), "1795392000"],
        [str(other.base), "1795305600"],
    ]
    assert lines[2][-2:] == ["until", "released"]
    assert [item["base"] for item in json_of("status", world.base, other.base)] == [
        str(world.base),
        str(other.base),
    ]


def test_status_of_a_directory_that_cannot_be_read() -> None:
    result = invoke("status", "/nope")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "Error: base directory must exist (got '/nope'). Check the spelling; only a run of the"
        " exporter creates a base directory.\n"
    )


def test_status_shows_who_holds_and_who_works(world: World) -> None:
    hold = ("hold", world.base, "--until", "24h", "--reason", "freeze", "--yes")
    assert invoke(*hold, now=world.now).exit_code == 0
    with world.exports.lock():
        result = invoke("status", world.base, now=world.now)
    assert result.exit_code == 0
    assert "  hold      until 2026-11-26 00:00 UTC by ana@desk: freeze\n" in result.stdout
    assert "  at work   process " in result.stdout
    (item,) = json_of("status", world.base, now=world.now)
    assert item["hold"]["until"] == "2026-11-26T00:00:00+00:00"


def test_history(world: World) -> None:
    assert invoke("history", world.base).stdout == (
        "   VERSION  STATE    DATE                  REASON        METRIC    BY\n"
        "         -  refused  2026-11-24 00:00 UTC  NOT_BETTER    auc 0.91  run-3\n"
        "1795392000  SERVED   2026-11-23 00:00 UTC  BETTER        auc 0.93  run-2\n"
        "1795305600  kept     2026-11-22 00:00 UTC  FIRST_EXPORT  auc 0.9   run-1\n"
    )
    items = json_of("history", world.base)
    assert [(item["version"], item["state"]) for item in items] == [
        (None, "refused"),
        ("1795392000", "SERVED"),
        ("1795305600", "kept"),
    ]
    assert items[0]["metrics"] == [{"name": "auc", "value": 0.91, "lower": None, "upper": None}]


def test_history_of_everything(world: World) -> None:
    world.run("b", {"auc": 0.93})
    assert invoke("pin", world.base, world.versions[0], "-y").exit_code == 0
    short = json_of("history", world.base)
    assert len(short) == 3
    everything = json_of("history", world.base, "--all")
    assert {item["state"] for item in everything} - {item["state"] for item in short} == {
        "same",
        "command",
    }
    assert "kept, pinned" in invoke("history", world.base).stdout
    command = next(item for item in everything if item["state"] == "command")
    assert (command["reason"], command["operator"]) == ("pin", "ana@desk")
    why = invoke("history", world.base, "--why", "-n", 1).stdout.splitlines()
    assert len(why) == 2
    assert why[1].endswith("auc 0.91 is not larger than the best's 0.93")


def test_history_is_limited_for_each_base(tmp_path: Path) -> None:
    worlds = [World(root=tmp_path / name) for name in "ab"]
    for world in worlds:
        world.run("first", {"auc": 0.9})
        for number in range(24):
            world.run(f"m{number}", {"auc": 0.5})
    bases = [world.base for world in worlds]
    assert len(json_of("history", *bases)) == 40
    assert len(json_of("history", *bases, "-n", 3)) == 6
    assert len(json_of("history", *bases, "--all")) == 50
    header = invoke("history", *bases, "-n", 1).stdout.splitlines()[0]
    assert header.startswith("BASE ")


def test_history_reports_damage_on_stderr(world: World) -> None:
    path = world.base / ".best_exporter/decisions.jsonl"
    path.write_bytes(b"garbage\n" + path.read_bytes())
    result = invoke("history", world.base)
    assert result.exit_code == 0
    assert result.stderr == (
        "Warning: 1 lines of decisions.jsonl cannot be read and are left out\n"
    )
    assert "Warning" not in result.stdout


@pytest.mark.parametrize("of", [None, "run-3"])
def test_show_a_refused_run(world: World, of: str | None) -> None:
    result = invoke("show", world.base, *([of] if of else []))
    assert result.exit_code == 0
    assert result.stdout.startswith(
        "not exported: NOT_BETTER\n  why        auc 0.91 is not larger than the best's 0.93\n"
    )
    assert "METRIC  CANDIDATE  BEST  IMPROVEMENT\nauc          0.91  0.93" in result.stdout


def test_show_a_version(world: World) -> None:
    result = invoke("show", world.base, world.versions[1])
    assert result.stdout.startswith("version 1795392000 was exported: BETTER\n")
    (item,) = json_of("show", world.base, world.versions[1])
    assert item["version"] == "1795392000"
    assert item["candidate_evaluation"]["metrics"][0]["value"] == 0.93


def test_show_writes_the_report(world: World) -> None:
    result = invoke("show", world.base, world.versions[1], "--open")
    path = Path(result.stdout.strip())
    assert path.name == "report.html"
    assert "better than the best" in path.read_text()


def test_show_what_is_not_there(world: World) -> None:
    result = invoke("show", world.base, "run-99")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: VERSION or RUN must be in the history (got 'run-99').")


def test_diff(world: World) -> None:
    result = invoke("diff", world.base, *world.versions)
    assert result.stdout == (
        "METRIC  1795305600  1795392000  CHANGE\n"
        "auc            0.9        0.93   +0.03\n"
        "loss           0.3        0.25   -0.05\n"
        "\n"
        "SIZE   1795305600  1795392000  CHANGE\n"
        "bytes         268         268       0\n"
        "files           6           6       0\n"
    )
    (item,) = json_of("diff", world.base, *world.versions)
    assert (item["first"], item["second"]) == tuple(map(str, world.versions))
    assert item["metrics"][0]["first"] == 0.9


def test_diff_needs_versions(world: World) -> None:
    result = invoke("diff", world.base, "x", world.versions[0])
    assert result.exit_code == 2
    assert "'x' is not a version. `best-exporter history BASE` lists the versions." in result.stderr


def test_verify(world: World) -> None:
    result = invoke("verify", world.base)
    assert result.exit_code == 0
    assert f"1795392000  ok      sha256  {VARIABLES}\n" in result.stdout
    assert "1795305600" not in result.stdout
    (world.base / str(world.versions[0]) / VARIABLES).write_bytes(b"DATA")
    assert invoke("verify", world.base).exit_code == 0
    for words in (("--all",), (world.versions[0],)):
        result = invoke("verify", world.base, *words)
        assert result.exit_code == 1
        assert result.stdout.count("differs") == 1
    items = json_of("verify", world.base, "--all")
    assert [item["path"] for item in items if item["problem"]] == [VARIABLES]
    assert {item["version"] for item in items} == {"1795305600", "1795392000"}


def test_verify_takes_a_version_or_all(world: World) -> None:
    result = invoke("verify", world.base, world.versions[0], "--all")
    assert result.exit_code == 2
    assert "VERSION must not be set with --all" in result.stderr


def test_reading_takes_no_lock_and_writes_nothing(world: World) -> None:
    before = plain.read_files(world.base)
    with world.exports.lock():
        for words in (
            ("status",),
            ("history", "--all"),
            ("show",),
            ("verify", "--all"),
            ("lock",),
        ):
            name, *more = words
            assert invoke(name, world.base, *more).exit_code == 0
    assert plain.read_files(world.base) == before


def test_a_name_that_could_forge_a_line(world: World) -> None:
    world.run("d", {"auc": 0.5, "x\n\x1b[31mforged": 0.5})
    world.run("d2", {"auc": 0.95, "x\n\x1b[31mforged": 0.5})
    result = invoke("status", world.base)
    assert "\x1b" not in result.stdout
    assert "x\\n\\x1b[31mforged 0.5" in result.stdout


def test_the_runs_are_a_day_apart(world: World) -> None:
    assert world.now == START + 3 * DAY
