"""Nothing behind a link in .best_exporter is read, written or deleted."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.executor.plain import publish, read_files, recover, write_files
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.stamps import Stamps
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.protocol import StorageError


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A directory of somebody else, with names that the exporter would use."""
    names = ("lock", "7.json", "largest_version", "7-ab/saved_model.pb")
    return write_files(tmp_path / "theirs", dict.fromkeys(names, b"{}"))


@pytest.fixture
def exports(tmp_path: Path) -> ExportDirectory:
    """A base directory with version 7."""
    exports = ExportDirectory(location_of(tmp_path / "base"))
    publish(exports, 7, tmp_path / "model")
    return exports


def replace_by_link(path: Path, target: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(target)


def assert_refused(link: Path, call: Callable[[], Any]) -> None:
    with pytest.raises(StorageError) as caught:
        call()
    assert str(caught.value) == (
        f"cannot use {link}: it is a link, which could lead to files of others. Replace it with"
        " what it leads to, or remove it."
    )
    assert link.is_symlink()


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(recover, id="a run"),
        pytest.param(ExportDirectory.served, id="a decision without the lock"),
        pytest.param(lambda exports: [*exports.tombstones()], id="the driver"),
    ],
)
@pytest.mark.parametrize("target", [".", "7.json", "missing"])
@pytest.mark.parametrize(
    "name", ["", "lock", "staging", "trash", "retired", "stamps", "largest_version"]
)
def test_a_link_is_refused(
    tmp_path: Path,
    exports: ExportDirectory,
    theirs: Path,
    name: str,
    target: str,
    call: Callable[[ExportDirectory], Any],
):
    link = tmp_path / "base" / ".best_exporter" / name
    replace_by_link(link, theirs / target)
    before = read_files(theirs)
    assert_refused(link, lambda: call(exports))
    assert read_files(theirs) == before


@pytest.mark.parametrize("call", [recover, lambda exports: [*exports.tombstones()]])
def test_a_tombstone_that_is_a_link_is_refused(
    tmp_path: Path, exports: ExportDirectory, theirs: Path, call: Callable[[ExportDirectory], Any]
):
    link = tmp_path / "base" / ".best_exporter" / "retired" / "7.json"
    replace_by_link(link, theirs / "7.json")
    assert_refused(link, lambda: call(exports))


def test_stamps_behind_a_link_are_not_read(tmp_path: Path):
    stamps = Stamps(location_of(tmp_path / "stamps"))
    stamps.write(7, {"saved_model.pb": "stamp"})
    assert stamps.read(7) == {"saved_model.pb": "stamp"}
    (tmp_path / "stamps" / "7.json").rename(tmp_path / "7.json")
    (tmp_path / "stamps" / "7.json").symlink_to(tmp_path / "7.json")
    assert stamps.read(7) == {}


@pytest.mark.parametrize("name", ["staging/ab", "trash/7-ab"])
def test_a_link_among_the_leftovers_is_removed_and_its_target_is_not(
    tmp_path: Path, exports: ExportDirectory, theirs: Path, name: str
):
    link = tmp_path / "base" / ".best_exporter" / name
    replace_by_link(link, theirs)
    before = read_files(theirs)
    recover(exports)
    assert not link.is_symlink()
    assert read_files(theirs) == before
