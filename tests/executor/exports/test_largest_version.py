from pathlib import Path

import pytest

from tests.executor.plain import publish
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.largest_version import LargestVersion
from tfx_best_exporter.executor.storage import location_of

LARGEST = 2**63 - 1


@pytest.mark.parametrize("version", [0, 7, LARGEST])
def test_the_note_is_read_as_written(tmp_path: Path, version: int):
    note = LargestVersion(location_of(tmp_path / "state" / "largest_version"))
    assert note.read() == -1
    note.write(version)
    assert note.read() == version
    assert (tmp_path / "state" / "largest_version").read_text() == f"{version}\n"


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"-1", b"7 8", b"\xff", b"9" * 40, b"7" * 5000, str(LARGEST + 1).encode()],
)
def test_a_damaged_note_counts_as_lost(tmp_path: Path, content: bytes):
    (tmp_path / "note").write_bytes(content)
    assert LargestVersion(location_of(tmp_path / "note")).read() == -1


def test_a_note_that_is_a_directory_counts_as_lost(tmp_path: Path):
    (tmp_path / "note").mkdir()
    assert LargestVersion(location_of(tmp_path / "note")).read() == -1


def test_a_number_is_given_once(tmp_path: Path):
    base = ExportDirectory(location_of(tmp_path / "base"))
    note_path = tmp_path / "base" / ".best_exporter" / "largest_version"
    export = publish(base, 7, tmp_path / "model")
    assert note_path.read_text() == "7\n"
    export.location.remove()
    assert base.next_version(now=3) == 8
    # Without the note, the number is rebuilt from the versions that exist.
    publish(base, 8, tmp_path / "model")
    note_path.unlink()
    assert base.next_version(now=3) == 9
