import json
from pathlib import Path

import pytest

from tfx_best_exporter.executor.exports.stamps import Stamps
from tfx_best_exporter.executor.storage import location_of

STAMPS = {"saved_model.pb": "4:1:2:3", "variables/variables.index": "5:1:2:4"}


def test_stamps_are_read_as_written(tmp_path: Path):
    stamps = Stamps(location_of(tmp_path / "stamps"))
    assert stamps.read(7) == {}
    stamps.write(7, STAMPS)
    stamps.write(8, {})
    assert stamps.read(7) == STAMPS
    content = json.loads((tmp_path / "stamps" / "7.json").read_text())
    assert content == {"schema_version": 1, "stamps": STAMPS}
    stamps.keep_only([8, 9])
    assert stamps.read(7) == {}
    assert [path.name for path in (tmp_path / "stamps").iterdir()] == ["8.json"]


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"stamps": 5}', "{" * 100_000, "\ud800", '{"stamps": {"a": '],
    ids=["empty", "list", "number", "nested", "surrogate", "truncated"],
)
def test_damaged_stamps_count_as_lost(tmp_path: Path, content: str):
    (tmp_path / "7.json").write_text(content, errors="surrogatepass")
    assert Stamps(location_of(tmp_path)).read(7) == {}
