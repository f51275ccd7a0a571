from __future__ import annotations

import pytest

from tests.cli.world import DAY, World, invoke, json_of
from tfx_best_exporter.executor.storage.protocol import LockOwner


@pytest.fixture
def full(world: World) -> World:
    """Four versions, a day apart."""
    world.run("d", {"auc": 0.95})
    world.run("e", {"auc": 0.97})
    return world


def kept(world: World) -> list[int]:
    return [export.version for export in world.exports.exports()]


def test_retire_shows_every_version(full: World) -> None:
    result = invoke("retire", full.base, "--keep", 2, "--dry-run", now=full.now)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:-1]] == [
        ["1795305600", "to"],
        ["1795392000", "to"],
        ["1795564800", "kept"],
        ["1795651200", "kept"],
    ]
    assert lines[-1] == "558 bytes would be freed"
    assert len(kept(full)) == 4
    items = json_of("retire", full.base, "--keep", 2, "--dry-run", now=full.now)
    assert [(item["version"], item["is_kept"], item["size_bytes"]) for item in items] == [
        ("1795305600", False, 279),
        ("1795392000", False, 279),
        ("1795564800", True, 279),
        ("1795651200", True, 279),
    ]


def test_retire_asks_and_deletes(full: World) -> None:
    result = invoke("retire", full.base, "--keep", 2, input="n\n", now=full.now)
    assert (result.exit_code, len(kept(full))) == (1, 4)
    assert "558 bytes are freed" in result.stderr
    result = invoke("retire", full.base, "--keep", 2, input="y\n", now=full.now)
    assert (result.exit_code, kept(full)) == (0, full.versions[2:])
    assert result.stdout.endswith("558 bytes were freed\n")
    assert full.exports.decision_log.read().decisions[-1].operator == "ana@desk"


KEPT_BY = {
    "younger": (("--keep-younger-than", "3.5d"), 2),
    "every": (("--keep", 1, "--keep-every", "10d"), 2),
    "version": (("--keep", 1, "--keep-version", "1795392000"), 2),
    "bytes": (("--max-bytes", 600), 2),
    "any option keeps": (("--keep", 1, "--keep-younger-than", "20d"), 4),
}


@pytest.mark.parametrize(("words", "count"), KEPT_BY.values(), ids=KEPT_BY)
def test_what_is_kept(full: World, words: tuple[object, ...], count: int) -> None:
    now = full.now + DAY
    items = json_of("retire", full.base, *words, "--dry-run", now=now)
    assert sum(item["is_kept"] for item in items) == count


def test_a_pinned_version_stays(full: World) -> None:
    invoke("pin", full.base, full.versions[0], "-y")
    invoke("retire", full.base, "--keep", 1, "-y")
    assert kept(full) == [full.versions[0], full.versions[-1]]


def test_withdrawn_versions(full: World) -> None:
    invoke("rollback", full.base, "--reason", "bad", "-y")
    items = json_of("retire", full.base, "--withdrawn", "--dry-run")
    assert [item["version"] for item in items if not item["is_kept"]] == [str(full.versions[-1])]
    assert invoke("retire", full.base, "--withdrawn", "-y").exit_code == 0
    assert invoke("restore", full.base, full.versions[-1], "-y").exit_code == 2


def test_retire_needs_something_to_keep(full: World) -> None:
    result = invoke("retire", full.base, "-y")
    assert result.exit_code == 2
    assert "say what to keep: --keep N" in result.stderr


def test_a_free_lock(world: World) -> None:
    assert json_of("lock", world.base) == [
        {"base": str(world.base), "owner": None, "is_dead": False}
    ]
    assert invoke("lock", world.base).stdout.splitlines()[1].split()[1:] == ["-", "free"]
    result = invoke("lock", world.base, "--break", "-y")
    assert result.exit_code == 2
    assert "lock must be held to break it" in result.stderr


def test_a_held_lock(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with world.exports.lock():
        (item,) = json_of("lock", world.base)
        assert item["owner"].startswith("process ")
        assert invoke("lock", world.base).stdout.rstrip().endswith(" held")
        result = invoke("lock", world.base, "--break", "-y")
        assert "which a running process holds" in result.stderr
    dead = LockOwner(name="process 7 on b", is_dead=True)
    storage = type(world.exports.base.storage)
    monkeypatch.setattr(storage, "lock_owner", lambda self, path: dead)
    assert invoke("lock", world.base).stdout.rstrip().endswith("process 7 on b  dead")
