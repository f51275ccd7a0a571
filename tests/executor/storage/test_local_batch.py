"""Batches of changes to a local disk."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tfx_best_exporter.executor.storage.local import LocalStorage

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


def names_in(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


def test_a_file_has_only_a_temporary_name_until_the_batch_ends(tmp_path: Path) -> None:
    with LocalStorage().batch() as batch:
        batch.write(str(tmp_path / "a"), b"1")
        batch.write(str(tmp_path / "b"), b"2")
        assert names_in(tmp_path) == [".a.partial", ".b.partial"]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"1", "b": b"2"}


def test_a_batch_that_fails_leaves_no_temporary_names(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")

    def interrupted() -> None:
        with LocalStorage().batch() as batch:
            batch.write(str(tmp_path / "a"), b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert names_in(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with LocalStorage().batch() as batch, pytest.raises(OSError, match="too long"):
        batch.write(str(tmp_path / ("a" * 250)), b"1")
    assert names_in(tmp_path) == []


CHANGES = """
import os, sys
from tfx_best_exporter.executor.storage.local import LocalStorage
root = sys.argv[1]
with LocalStorage().batch() as batch:
    for name in "abcd":
        batch.write(f"{root}/files/{name}", b"1")
        batch.rename(f"{root}/from/{name}", f"{root}/to/{name}")
    for name in "ab":
        batch.remove(f"{root}/to/{name}")
    os.access("end", os.F_OK)
"""


@needs_strace
def test_each_file_and_each_directory_is_synced_once_at_the_end(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in "abcd":
        (root / "from" / name).mkdir(parents=True)
    log_path = tmp_path / "log"
    trace = ["strace", "-f", "-y", "-e", "trace=fsync,access", "-o", str(log_path)]
    subprocess.run([*trace, sys.executable, "-c", CHANGES, str(root)], check=True)
    before, _, after = log_path.read_text().partition('access("end"')
    assert "fsync(" not in before
    synced = re.findall(rf"fsync\(\d+<{re.escape(str(root))}/(.*?)>", after)
    assert sorted(synced[:4]) == [f"files/.{name}.partial" for name in "abcd"]
    assert sorted(synced[4:]) == ["files", "from", "to"]


def test_a_directory_that_is_deleted_later_needs_no_sync(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    with LocalStorage().batch() as batch:
        batch.remove(str(tmp_path / "a" / "b"))
        batch.remove(str(tmp_path / "a"))
    assert names_in(tmp_path) == []
