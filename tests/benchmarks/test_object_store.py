from __future__ import annotations

from pathlib import Path

from benchmarks import aws_cli, object_store
from benchmarks.object_store import Upload


def test_rows_of_a_workload():
    rounds = [
        {
            "ours": Upload(seconds=seconds, requests=30, in_sequence=9),
            "aws": Upload(seconds=2.0, requests=10, in_sequence=3),
            "floor": Upload(seconds=1.5, requests=20, in_sequence=5),
        }
        for seconds in (2.0, 2.2, 5.0)
    ]
    found = list(object_store._compared("2 x 5 MiB", "aws", rounds))
    assert [(row.found.median, row.limit, row.verdict) for row in found] == [
        (1.1, 1.2, "met"),
        (0.75, None, ""),
        (3.0, None, ""),
        (3.0, None, ""),
    ]
    assert [row.unit for row in found] == ["s", "s", "requests", "requests"]
    assert all("2 x 5 MiB" in row.name for row in found)


def test_environment_is_made_once(tmp_path: Path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "aws").touch()
    # The environment has no Python, so an installation would have failed.
    assert aws_cli.python_with_aws_cli(tmp_path) == tmp_path / "bin" / "python"
    assert [path.name for path in (tmp_path / "bin").iterdir()] == ["aws"]
