import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import google_crc32c
import pytest

from tests.children import needs_strace, run_injected
from tfx_best_exporter.executor.storage import local_files
from tfx_best_exporter.executor.storage.digest import FileDigest
from tfx_best_exporter.executor.storage.protocol import NotAFileError


@pytest.mark.parametrize(
    "size",
    [0, 1, local_files._CHUNK_BYTES, local_files._CHUNK_BYTES + 1],
    ids=lambda size: f"{size} bytes",
)
def test_digest_and_copy(tmp_path: Path, size: int):
    content = os.urandom(size)
    (tmp_path / "source").write_bytes(content)
    expected = FileDigest(size=size, crc32c=google_crc32c.value(content))
    assert local_files.digest(tmp_path / "source") == expected
    assert local_files.copy(tmp_path / "source", tmp_path / "new" / "copy") == expected
    assert (tmp_path / "new" / "copy").read_bytes() == content


def test_digest_is_that_of_crc32c(tmp_path: Path):
    # The check value of CRC-32C/ISCSI: https://reveng.sourceforge.io/crc-catalogue/17plus.htm
    (tmp_path / "check").write_bytes(b"123456789")
    assert local_files.digest(tmp_path / "check").crc32c == 0xE3069283


def test_copy_has_permissions_of_its_own(tmp_path: Path):
    (tmp_path / "source").write_bytes(b"x")
    (tmp_path / "source").chmod(0o400)
    (tmp_path / "new").write_bytes(b"x")
    local_files.copy(tmp_path / "source", tmp_path / "copy")
    assert (tmp_path / "copy").stat().st_mode == (tmp_path / "new").stat().st_mode


def test_copy_never_replaces(tmp_path: Path):
    (tmp_path / "source").write_bytes(b"new")
    (tmp_path / "there").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        local_files.copy(tmp_path / "source", tmp_path / "there")
    assert (tmp_path / "there").read_bytes() == b"old"


def test_write_replaces_and_leaves_nothing_else(tmp_path: Path):
    local_files.write(tmp_path / "new" / "file", b"1")
    local_files.write(tmp_path / "new" / "file", b"22")
    assert {path.name: path.read_bytes() for path in (tmp_path / "new").iterdir()} == {
        "file": b"22"
    }


def test_link_or_copy_links(tmp_path: Path):
    (tmp_path / "source").write_bytes(b"x")
    local_files.link_or_copy(tmp_path / "source", tmp_path / "new" / "link")
    assert (tmp_path / "new" / "link").samefile(tmp_path / "source")


def test_link_or_copy_links_to_the_file_behind_a_link(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    local_files.link_or_copy(tmp_path / "link", tmp_path / "new" / "other")
    assert not (tmp_path / "new" / "other").is_symlink()
    assert (tmp_path / "new" / "other").samefile(tmp_path / "file")


def test_link_or_copy_copies_to_another_file_system(tmp_path: Path, other_file_system: Path):
    (tmp_path / "source").write_bytes(b"x")
    local_files.link_or_copy(tmp_path / "source", other_file_system / "copy")
    assert (other_file_system / "copy").read_bytes() == b"x"
    assert (other_file_system / "copy").stat().st_dev != (tmp_path / "source").stat().st_dev


@needs_strace
@pytest.mark.parametrize("error", ["ENOSYS", "EINVAL", "EOPNOTSUPP", "EMLINK", "EIO"])
def test_link_or_copy_copies_whatever_error_a_link_meets(tmp_path: Path, error: str):
    (tmp_path / "source").write_bytes(b"x")
    program = """
import sys
from pathlib import Path
from tfx_best_exporter.executor.storage import local_files
local_files.link_or_copy(*map(Path, sys.argv[1:]))
"""
    inject = f"inject=link,linkat:error={error}"
    paths = [tmp_path / "source", tmp_path / "new" / "copy"]
    log = subprocess.run(
        ["strace", "-f", "-e", inject, sys.executable, "-c", program, *paths],
        check=True,
        capture_output=True,
        text=True,
    ).stderr
    assert f"{error} (" in log
    assert "INJECTED" in log
    assert paths[1].read_bytes() == b"x"
    assert not paths[1].samefile(paths[0])


SYNC = """
import sys
from pathlib import Path
from tfx_best_exporter.executor.storage import local_files
from tfx_best_exporter.executor.storage.tolerated import collected
with collected() as problems:
    local_files.sync_directory(Path(sys.argv[1]))
print(*problems.values(), end="")
"""
WRITE = SYNC.replace("sync_directory(Path(sys.argv[1]))", 'write(Path(sys.argv[1], "f"), b"x")')


@needs_strace
@pytest.mark.parametrize(
    ("error", "problem"),
    [
        ("EINVAL", "Invalid argument"),
        ("EOPNOTSUPP", "Operation not supported"),
        ("EBADF", "Bad file descriptor"),
        ("EPERM", "Operation not permitted"),
        ("EACCES", "Permission denied"),
        ("ENOSYS", "Function not implemented"),
    ],
)
def test_a_directory_that_cannot_be_synced_is_tolerated(tmp_path: Path, error: str, problem: str):
    assert run_injected(f"fsync:error={error}", SYNC, tmp_path).stdout == (
        f"the file system of {tmp_path} cannot sync directories ({problem}). After a power"
        " failure, the changes of this run may be lost. Compare the base directory with this"
        " decision after a power failure."
    )


@needs_strace
@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_a_directory_whose_sync_fails_is_an_error(tmp_path: Path, error: str):
    assert "OSError" in run_injected(f"fsync:error={error}", SYNC, tmp_path).stderr


@needs_strace
@pytest.mark.parametrize("error", ["EIO", "EINVAL", "EPERM"])
def test_a_file_that_cannot_be_synced_is_an_error(tmp_path: Path, error: str):
    result = run_injected(f"fsync:error={error}", WRITE, tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert os.listdir(tmp_path) == []


def test_link_or_copy_raises_what_a_copy_would_not_mend(tmp_path: Path):
    with pytest.raises(FileNotFoundError) as caught:
        local_files.link_or_copy(tmp_path / "no such", tmp_path / "copy")
    assert caught.value.errno == errno.ENOENT


def test_links_in_a_directory(tmp_path: Path):
    (tmp_path / "file").touch()
    (tmp_path / "b").symlink_to("file")
    (tmp_path / "a").symlink_to("nothing")
    assert local_files.links_in(tmp_path) == ["a", "b"]
    assert local_files.links_in(tmp_path / "file") == []
    assert local_files.links_in(tmp_path / "nothing") == []


def test_remove_tree(tmp_path: Path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_bytes(b"x")
    (tmp_path / "tree" / "below").mkdir(parents=True)
    (tmp_path / "tree" / "below" / "file").write_bytes(b"x")
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "file").write_bytes(b"x")
    for name in ("tree", "link", "file", "nothing"):
        local_files.remove_tree(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept" / "file").exists()


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["directory", "pipe"])
def test_a_path_that_is_no_file_is_not_read(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "source"
    make(path)
    for read in (
        local_files.digest,
        local_files.open_regular,
        lambda source: local_files.copy(source, tmp_path / "copy"),
    ):
        with pytest.raises(NotAFileError) as caught:
            read(path)
        assert str(caught.value) == (
            f"cannot read {path}: it is a directory, a pipe or a device, not a regular file."
            " Use another path, or replace it with the file."
        )
    assert not (tmp_path / "copy").exists()
