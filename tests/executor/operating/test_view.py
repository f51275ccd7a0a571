from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.world import World
from tfx_best_exporter.executor.exporter import ModelExporter
from tfx_best_exporter.executor.operating.operation import OperationError


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(root=tmp_path)
    world.run("a", {"auc": 0.9})
    world.run("b", {"auc": 0.93})
    world.run("c", {"auc": 0.91})
    return world


@pytest.fixture
def exporter(world: World) -> ModelExporter:
    return ModelExporter(world.base, clock=lambda: world.now)


def test_the_questions_of_an_exporter(world: World, exporter: ModelExporter) -> None:
    served = exporter.status().served
    assert served is not None
    assert served.version == world.versions[1]
    assert [item.state for item in exporter.history().items] == ["refused", "SERVED", "kept"]
    assert len(exporter.history(newest=1).items) == 1
    assert exporter.show("run-3").explanation == "auc 0.91 is not larger than the best's 0.93"
    difference = exporter.diff(str(world.versions[0]), world.versions[1])
    assert difference.metrics[0].change == pytest.approx(0.03)
    assert exporter.verify(str(world.versions[0])) == []


def test_versions_are_those_in_the_base_directory(world: World, exporter: ModelExporter) -> None:
    exporter.rollback(reason="bad")
    exporter.restore(world.versions[1], reason="good")
    world.run("d", {"auc": 0.99})
    exporter.rollback(reason="bad")
    assert [(item.version, item.state) for item in exporter.versions()] == [
        (world.versions[1], "SERVED"),
        (world.versions[0], "kept"),
    ]


def test_a_hold_ends_by_the_clock_of_the_exporter(world: World, exporter: ModelExporter) -> None:
    exporter.hold(until=world.now + 10, reason="freeze")
    assert exporter.status().hold is not None
    world.now += 11
    assert exporter.status().hold is None


def test_a_mistyped_base_directory_is_an_error(tmp_path: Path) -> None:
    exporter = ModelExporter(tmp_path / "nope")
    for ask in (exporter.status, exporter.versions, exporter.history, exporter.show):
        with pytest.raises(OperationError):
            ask()
    assert not (tmp_path / "nope").exists()
