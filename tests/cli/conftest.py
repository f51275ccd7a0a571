"""A base directory after three runs."""

from pathlib import Path

import pytest

from tests.cli.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Versions of the models a and b, the second one served, and a refused model c."""
    world = World(root=tmp_path)
    world.run("a", {"auc": 0.9, "loss": 0.3})
    world.run("b", {"auc": 0.93, "loss": 0.25})
    world.run("c", {"auc": 0.91, "loss": 0.2})
    return world
