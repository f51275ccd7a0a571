import os
from pathlib import Path
from typing import Any

import pytest

from tests.executor.plain import files_of, write_files
from tfx_best_exporter.executor.exports.assets_extra import check_assets_extra, with_assets_extra


@pytest.mark.parametrize(
    ("assets_extra", "expected"),
    [
        pytest.param(None, {}, id="None"),
        pytest.param({}, {}, id="none"),
        pytest.param({"warmup": "/a"}, {"warmup": "/a"}, id="file"),
        pytest.param({"a/b/c.txt": "d"}, {"a/b/c.txt": "d"}, id="below"),
        pytest.param({"best_exporter.txt": "d"}, {"best_exporter.txt": "d"}, id="like ours"),
        pytest.param({"a..b": "d"}, {"a..b": "d"}, id="dots in a name"),
    ],
)
def test_check_assets_extra(assets_extra: Any, expected: dict[str, str]):
    assert check_assets_extra(assets_extra) == expected


@pytest.mark.parametrize(
    "destination", ["", ".", "..", "../x", "a/../x", "a/..", "/x", "a/", "a//b", "./a", "a\\b"]
)
def test_destinations_outside_are_refused(destination: str):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        check_assets_extra({destination: "/a"})
    assert str(caught.value) == (
        f"assets_extra must have destinations below assets.extra/ (got {destination!r})."
        " Use a relative path that includes the file name and has no '..'."
    )


@pytest.mark.parametrize("destination", ["best_exporter", "best_exporter/record.json"])
def test_destinations_of_ours_are_refused(destination: str):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        check_assets_extra({destination: "/a"})
    assert str(caught.value) == (
        f"assets_extra must have destinations outside best_exporter/ (got {destination!r})."
        " The export's record is stored there. Choose another name."
    )


def test_an_empty_source_is_refused():
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        check_assets_extra({"a": ""})
    assert str(caught.value) == (
        "assets_extra['a'] must be the path of a file (got '')."
        " Use the full path of the source file."
    )


@pytest.mark.parametrize("value", [["a"], "a", {"a": 1}, {1: "a"}, {"a": None}], ids=repr)
def test_assets_extra_of_another_type_is_refused(value: Any):
    with pytest.raises(TypeError) as caught:
        check_assets_extra(value)
    assert str(caught.value) == (
        f"assets_extra must be a dictionary of destination path to source path (got {value!r})."
        " Use str for both paths."
    )


def test_with_assets_extra(tmp_path: Path):
    files = files_of(write_files(tmp_path / "model"))
    (tmp_path / "source").write_bytes(b"warmup")
    (tmp_path / "link").symlink_to("source")
    extras = {"a/b": str(tmp_path / "source"), "a/c": str(tmp_path / "link")}
    result = with_assets_extra(files, extras)
    assert result[: len(files)] == files
    assert [file.path for file in result[len(files) :]] == ["assets.extra/a/b", "assets.extra/a/c"]
    assert {Path(file.source.path).read_bytes() for file in result[len(files) :]} == {b"warmup"}


@pytest.mark.parametrize("name", ["nothing", "directory", "pipe", "link to a pipe"])
def test_a_source_that_is_no_file_is_refused(tmp_path: Path, name: str):
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link to a pipe").symlink_to("pipe")
    source = str(tmp_path / name)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        with_assets_extra([], {"a": source})
    assert str(caught.value) == (
        f"assets_extra['a'] must be the path of a file (got {source!r})."
        " Use the full path of a regular file, or of a link to one."
    )


@pytest.mark.parametrize(
    ("destinations", "collision"),
    [
        pytest.param(["a/file"], "a/file", id="the same"),
        pytest.param(["a"], "a", id="a directory of the model"),
        pytest.param(["a/file/b"], "a/file/b", id="below a file of the model"),
        pytest.param(["b", "b/c"], "b/c", id="below another"),
        pytest.param(["b/c", "b"], "b", id="above another"),
    ],
)
def test_destinations_that_collide_are_refused(
    tmp_path: Path, destinations: list[str], collision: str
):
    files = files_of(write_files(tmp_path / "model", {"assets.extra/a/file": b""}))
    (tmp_path / "source").write_bytes(b"")
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        with_assets_extra(
            files, {destination: str(tmp_path / "source") for destination in destinations}
        )
    assert str(caught.value) == (
        f"assets_extra must have destinations that no other file uses (got {collision!r})."
        " Choose another name."
    )
