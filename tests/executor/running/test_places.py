"""The base directory is in no artifact of the run."""

from pathlib import Path

import pytest

from tests.executor.storage.memory import MemoryStorage
from tfx_best_exporter.executor.running.places import check_outside
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.location import Location


@pytest.mark.parametrize("base", ["model", "model/serving", "link/serving", "model/../model/a"])
def test_a_base_directory_in_an_artifact_is_refused(tmp_path: Path, base: str):
    (tmp_path / "model").mkdir()
    (tmp_path / "link").symlink_to("model")
    location = location_of(tmp_path / base)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole text follows.
        check_outside(location, {"the candidate": location_of(tmp_path / "model")})
    assert str(caught.value) == (
        "push_destination.filesystem.base_directory must be outside the artifacts of the run (got"
        f" '{location}', in the candidate at '{tmp_path / 'model'}'). Use a directory that only"
        " this exporter writes to."
    )


@pytest.mark.parametrize("base", ["models", "mod", "serving", "."])
def test_a_base_directory_elsewhere(tmp_path: Path, base: str):
    check_outside(location_of(tmp_path / base), {"the candidate": location_of(tmp_path / "model")})


def test_a_candidate_in_the_base_directory_is_allowed(tmp_path: Path):
    """A person may pass an export as a candidate."""
    check_outside(location_of(tmp_path), {"the candidate": location_of(tmp_path / "7")})


def test_the_same_path_in_another_storage_is_another_place():
    storage, other = MemoryStorage(), MemoryStorage()
    check_outside(Location(storage, "b/serving"), {"model": Location(other, "b")})
    with pytest.raises(ValueError, match="must be outside"):
        check_outside(Location(storage, "b/serving"), {"model": Location(storage, "b")})
