from __future__ import annotations

from pathlib import Path

import pytest

from tests.executor.operating.desk import Desk
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.records import RECORD_PATH, RecordError
from tfx_best_exporter.executor.operating.operation import OperationError
from tfx_best_exporter.executor.operating.verifying import FileCheck, verify
from tfx_best_exporter.executor.storage import location_of

VARIABLES = "variables/variables.data-00000-of-00001"


def problems(desk: Desk, *arguments: object, **named: object) -> dict[tuple[int, str], str]:
    found = verify(desk.exports, *arguments, **named)  # pyright: ignore[reportArgumentType]
    return {(each.version, each.path): each.problem for each in found if each.problem}


def test_every_file_of_the_served_version(desk: Desk) -> None:
    found = [*verify(desk.exports)]
    assert {each.version for each in found} == {9}
    assert VARIABLES in {each.path for each in found}
    assert {each.problem for each in found} == {""}
    assert {each.proof for each in found} <= {"sha256", "crc32c"}


@pytest.mark.parametrize("version", [7, "7", "007", " +7"])
def test_a_version_as_a_number_or_a_text(desk: Desk, version: int | str) -> None:
    assert {each.version for each in verify(desk.exports, version)} == {7}


def test_files_that_differ_are_missing_or_new(desk: Desk) -> None:
    desk.put(f"8/{VARIABLES}", b"DATA")
    (desk.exports.base / "8/assets/words.txt").remove()
    desk.put("8/new", b"")
    found = problems(desk, 8)
    assert {path for _, path in found} == {VARIABLES, "assets/words.txt", "new"}
    assert found[8, "assets/words.txt"] == "assets/words.txt is missing"
    # The other versions are as they were.
    assert problems(desk, every=True) == found


def test_all_versions_with_those_that_have_no_record(disk: Desk) -> None:
    disk.push("10", "theirs")
    disk.put(f"7/{RECORD_PATH}", b"{")
    found = [*verify(disk.exports, every=True)]
    assert {each.version for each in found} == {7, 8, 9, 10}
    assert [each.version for each in found if not each.path] == [7, 10]
    assert found[-1] == FileCheck(
        version=10,
        path="",
        problem="version 10 must have a record (got none: another tool or a person wrote it)."
        f" `best-exporter adopt {disk.exports.base} 10 --help` shows how to give it one.",
        proof="",
    )


def test_a_version_without_a_record(disk: Desk) -> None:
    disk.push("10", "theirs")
    with pytest.raises(OperationError, match="version 10 must have a record"):
        list(verify(disk.exports))
    disk.put(f"7/{RECORD_PATH}", b"{")
    with pytest.raises(RecordError):
        list(verify(disk.exports, 7))


def test_no_version(tmp_path: Path) -> None:
    exports = ExportDirectory(location_of(str(tmp_path)))
    with pytest.raises(OperationError, match="Name the version to verify"):
        list(verify(exports))
    with pytest.raises(OperationError, match="must be in the base directory"):
        list(verify(exports, 7))
    with pytest.raises(OperationError, match="base directory must exist"):
        list(verify(ExportDirectory(location_of("/nope"))))
