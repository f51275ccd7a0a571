import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import google_crc32c
import pytest

from tfx_best_exporter.executor.storage import local
from tfx_best_exporter.executor.storage.digest import FileDigest

HOLDER = """
import sys, time
from pathlib import Path
from tfx_best_exporter.executor.storage import local
with local.lock(Path(sys.argv[1]), 10):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize(
    "size", [0, 1, local._CHUNK_BYTES, local._CHUNK_BYTES + 1], ids=lambda size: f"{size} bytes"
)
def test_digest_and_copy(tmp_path: Path, size: int):
    content = os.urandom(size)
    (tmp_path / "source").write_bytes(content)
    expected = FileDigest(size=size, crc32c=google_crc32c.value(content))
    assert local.digest(tmp_path / "source") == expected
    assert local.copy(tmp_path / "source", tmp_path / "new" / "copy") == expected
    assert (tmp_path / "new" / "copy").read_bytes() == content


def test_digest_is_that_of_crc32c(tmp_path: Path):
    # The check value of CRC-32C/ISCSI: https://reveng.sourceforge.io/crc-catalogue/17plus.htm
    (tmp_path / "check").write_bytes(b"123456789")
    assert local.digest(tmp_path / "check").crc32c == 0xE3069283


def test_copy_has_permissions_of_its_own(tmp_path: Path):
    (tmp_path / "source").write_bytes(b"x")
    (tmp_path / "source").chmod(0o400)
    (tmp_path / "new").write_bytes(b"x")
    local.copy(tmp_path / "source", tmp_path / "copy")
    assert (tmp_path / "copy").stat().st_mode == (tmp_path / "new").stat().st_mode


def test_copy_never_replaces(tmp_path: Path):
    (tmp_path / "source").write_bytes(b"new")
    (tmp_path / "there").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        local.copy(tmp_path / "source", tmp_path / "there")
    assert (tmp_path / "there").read_bytes() == b"old"


def test_write_replaces_and_leaves_nothing_else(tmp_path: Path):
    local.write(tmp_path / "new" / "file", b"1")
    local.write(tmp_path / "new" / "file", b"22")
    assert {path.name: path.read_bytes() for path in (tmp_path / "new").iterdir()} == {
        "file": b"22"
    }


def test_link_or_copy_links(tmp_path: Path):
    (tmp_path / "source").write_bytes(b"x")
    local.link_or_copy(tmp_path / "source", tmp_path / "new" / "link")
    assert (tmp_path / "new" / "link").samefile(tmp_path / "source")


def test_link_or_copy_links_to_the_file_behind_a_link(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    local.link_or_copy(tmp_path / "link", tmp_path / "new" / "other")
    assert not (tmp_path / "new" / "other").is_symlink()
    assert (tmp_path / "new" / "other").samefile(tmp_path / "file")


def test_link_or_copy_copies_to_another_file_system(tmp_path: Path, other_file_system: Path):
    (tmp_path / "source").write_bytes(b"x")
    local.link_or_copy(tmp_path / "source", other_file_system / "copy")
    assert (other_file_system / "copy").read_bytes() == b"x"
    assert (other_file_system / "copy").stat().st_dev != (tmp_path / "source").stat().st_dev


def test_link_or_copy_raises_what_a_copy_would_not_mend(tmp_path: Path):
    with pytest.raises(FileNotFoundError) as caught:
        local.link_or_copy(tmp_path / "no such", tmp_path / "copy")
    assert caught.value.errno == errno.ENOENT


def test_remove_tree(tmp_path: Path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_bytes(b"x")
    (tmp_path / "tree" / "below").mkdir(parents=True)
    (tmp_path / "tree" / "below" / "file").write_bytes(b"x")
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "file").write_bytes(b"x")
    for name in ("tree", "link", "file", "nothing"):
        local.remove_tree(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept" / "file").exists()


def test_lock_waits_and_gives_up(tmp_path: Path):
    path = tmp_path / "state" / "lock"
    with (
        local.lock(path, 0),
        pytest.raises(TimeoutError) as caught,
        local.lock(path, 0.1),
    ):
        pytest.fail("two holders")
    assert str(caught.value) == (
        f"lock must be free within 0.1 seconds (held by another process, at {path})."
        " Let the other run finish, or end it."
    )
    with local.lock(path, 0):
        assert path.exists()


def test_lock_excludes_other_processes_and_is_freed_when_they_are_killed(tmp_path: Path):
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(TimeoutError), local.lock(path, 0.1):
                pytest.fail("two holders")
        finally:
            holder.send_signal(signal.SIGKILL)
        holder.wait()
    with local.lock(path, 5):
        pass
