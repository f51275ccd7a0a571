"""The state directory: inside the base directory, or elsewhere in its storage."""

from pathlib import Path

import pytest

from tests.executor import plain
from tests.executor.bucket import Bucket
from tfx_best_exporter.executor.arguments.errors import FieldValueError
from tfx_best_exporter.executor.exporter import ModelExporter
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.state_directory import (
    check_same_file_system,
    state_directory_of,
)
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.location import Location


@pytest.fixture(params=["disk", "store"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    if request.param == "disk":
        return location_of(tmp_path)
    return Bucket(tmp_path).location("root")


def test_by_default_it_is_in_the_base_directory(root: Location):
    base = root / "base"
    assert state_directory_of(base, None) == base / ".best_exporter"
    assert state_directory_of(base, base / ".best_exporter") == base / ".best_exporter"
    assert state_directory_of(base, root / "state") == root / "state"


@pytest.mark.parametrize("path", ["base", "base/state", "base/.best_exporter/more", "."])
def test_another_one_is_outside_of_the_base_directory(tmp_path: Path, path: str):
    with pytest.raises(FieldValueError, match="must be outside the base directory"):
        state_directory_of(location_of(tmp_path / "base"), location_of(tmp_path / path))


def test_it_is_in_the_storage_of_the_base_directory(tmp_path: Path):
    with pytest.raises(FieldValueError, match="must be in the same storage"):
        state_directory_of(location_of(tmp_path / "base"), Bucket(tmp_path).location("state"))


def test_it_is_on_the_file_system_of_the_base_directory(tmp_path: Path, other_file_system: Path):
    base, shared = location_of(tmp_path / "base"), location_of(other_file_system / "no-such-state")
    with pytest.raises(FieldValueError, match="must be on the file system"):
        check_same_file_system(base, shared)
    with pytest.raises(FieldValueError), ExportDirectory(base, shared).lock():
        pass
    assert not (tmp_path / "base").exists()
    check_same_file_system(base, location_of(tmp_path / "state" / "not" / "yet"))


def test_runs_write_only_versions_to_the_base_directory(root: Location, tmp_path: Path):
    base, state = root / "base", root / "state"
    clock = iter(range(1000, 2000)).__next__
    exporter = ModelExporter(base, exports_to_keep=1, state_directory=state, clock=clock)
    versions = []
    for index in range(3):
        model = tmp_path / "models" / str(index)
        plain.write_files(model, {**plain.FILES, "assets/words.txt": str(index).encode()})
        versions.append(exporter.run(model, {"loss": 1.0 - index / 10}).version)
    assert [entry.name for entry in base.children()] == [str(versions[-1])]
    names = {entry.name for entry in state.children()}
    assert {"decisions.jsonl", "largest_version", "retired"} <= names
    assert len(ExportDirectory(base, state).decision_log.read().decisions) == 3
    assert exporter.verify(versions[-1]) == []
    # Without the state directory, the versions are still the versions.
    assert ExportDirectory(base).served().record is not None


def lock(base: Location, state: Location) -> None:
    with ExportDirectory(base, state).lock():
        pass


def test_it_belongs_to_one_base_directory(root: Location):
    lock(root / "base", root / "state")
    lock(root / "base", root / "state")
    with pytest.raises(FieldValueError, match="must belong to"):
        lock(root / "other", root / "state")


def test_it_is_empty_at_first(root: Location):
    (root / "data/staging/mine").write(b"mine")
    with pytest.raises(FieldValueError, match="must be empty at first"):
        lock(root / "base", root / "data")
    assert (root / "data/staging/mine").exists()


def test_the_state_of_earlier_runs_is_moved_first(root: Location):
    base, state = root / "base", root / "state"
    (base / ".best_exporter/hold.json").write(b"{}")
    with pytest.raises(FieldValueError, match="must have the files of"):
        lock(base, state)
    (base / ".best_exporter/hold.json").remove()
    (state / "hold.json").write(b"{}")
    (state / "base_directory").write(base.uri.encode())
    lock(base, state)
    assert ExportDirectory(base, state).operators.hold() is not None
