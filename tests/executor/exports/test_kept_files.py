from __future__ import annotations

from pathlib import Path

import pytest

from tests.executor import plain
from tfx_best_exporter.executor.exports.kept_files import (
    why_not_all,
    why_not_replaceable,
    why_not_whole,
)
from tfx_best_exporter.executor.storage import location_of

WHOLE = plain.FILES
EDITED = {**plain.FILES, "assets/words.txt": b"edited"}
HALF_INDEX = {"variables/variables.index": plain.FILES["variables/variables.index"]}


@pytest.mark.parametrize(
    ("kept", "incoming", "text"),
    [
        pytest.param(WHOLE, WHOLE, "", id="the same"),
        pytest.param(HALF_INDEX, WHOLE, "", id="half of it is kept"),
        pytest.param(WHOLE, EDITED, "its content differs from the kept files", id="edited"),
        pytest.param(WHOLE, HALF_INDEX, "saved_model.pb", id="half a copy"),
        pytest.param(HALF_INDEX, HALF_INDEX, "saved_model.pb", id="two halves"),
    ],
)
def test_replaces_kept_files_only_by_whole_ones(
    kept: dict[str, bytes], incoming: dict[str, bytes], text: str, tmp_path: Path
) -> None:
    kept_path = plain.write_files(tmp_path / "kept", kept)
    incoming_path = plain.write_files(tmp_path / "incoming", incoming)
    found = why_not_replaceable(location_of(kept_path), location_of(incoming_path))
    assert bool(found) == bool(text)
    assert text in found


def test_a_version_that_does_not_exist_is_not_whole(tmp_path: Path) -> None:
    assert why_not_whole(location_of(tmp_path / "7"))


def test_all_noted_files_must_be_there(tmp_path: Path) -> None:
    kept = location_of(plain.write_files(tmp_path / "kept"))
    assert why_not_all(kept, []) == ""
    assert why_not_all(kept, plain.FILES) == ""
    assert why_not_all(kept, [*plain.FILES, "assets/more.txt"]) == "assets/more.txt is missing"
