"""Base directories with versions, on a disk and in an object store."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.executor.operating.desk import ClockedBucket, ClockedDisk, Desk
from tfx_best_exporter.executor.storage.location import Location


@pytest.fixture(params=["disk", "bucket"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Desk:
    """A base directory with the versions 7, 8 and 9."""
    if request.param == "disk":
        return make_desk(Location(ClockedDisk(), str(tmp_path / "base")), tmp_path)
    return make_desk(ClockedBucket(tmp_path / "bucket").location("base"), tmp_path)


@pytest.fixture
def disk(tmp_path: Path) -> Desk:
    """The same on a disk."""
    return make_desk(Location(ClockedDisk(), str(tmp_path / "base")), tmp_path)


@pytest.fixture
def bucket(tmp_path: Path) -> Desk:
    """The same in an object store."""
    return make_desk(ClockedBucket(tmp_path / "bucket").location("base"), tmp_path)


def make_desk(base: Location, tmp_path: Path) -> Desk:
    desk = Desk(base, tmp_path)
    for version in (7, 8, 9):
        desk.publish(version)
    return desk
