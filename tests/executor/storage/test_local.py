"""Behavior of a local disk only: links, syncs, leftovers."""

from __future__ import annotations

import errno
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.children import needs_strace, run_injected
from tfx_best_exporter.executor.storage import local_files
from tfx_best_exporter.executor.storage.local import LocalStorage
from tfx_best_exporter.executor.storage.protocol import Entry, Kind


def test_links_are_named_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_bytes(b"12")
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").symlink_to(tmp_path / "elsewhere" / "file")
    (root / "folder").symlink_to(tmp_path / "elsewhere")
    (root / "nothing").symlink_to(tmp_path / "absent")
    storage = LocalStorage()
    assert storage.children(str(root)) == [
        Entry(name="file", kind=Kind.LINK),
        Entry(name="folder", kind=Kind.LINK),
        Entry(name="nothing", kind=Kind.LINK),
    ]
    assert storage.sizes(str(root)) == {"file": 2}
    storage.sync(str(root))
    storage.remove(str(root / "folder"))
    storage.remove(str(root / "nothing"))
    storage.remove(str(root))
    assert (tmp_path / "elsewhere" / "file").read_bytes() == b"12"


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError) as raised:
        LocalStorage().children(str(tmp_path / "file"))
    assert str(raised.value) == (
        f"cannot list {tmp_path / 'file'}: it is a file, not a directory. Use another path, or move"
        " the file away."
    )


def test_links_that_lead_nowhere_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_bytes(b"12")
    assert LocalStorage().sizes(str(tmp_path)) == {"file": 2}


def test_a_pipe_stops_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    storage = LocalStorage()
    assert storage.children(str(tmp_path)) == [Entry(name="pipe", kind=Kind.FILE)]
    assert storage.sizes(str(tmp_path)) == {}
    storage.sync(str(tmp_path))


@pytest.mark.parametrize("function", ["upload", "copy", "local_files.copy", "write", "claim"])
def test_what_fails_halfway_leaves_nothing(tmp_path: Path, function: str) -> None:
    (tmp_path / "source").write_bytes(bytes(9 << 20))
    source, destination = str(tmp_path / "source"), str(tmp_path / "to" / "file")
    storage = LocalStorage()
    calls = {
        "upload": lambda: storage.upload(Path(source), destination),
        "copy": lambda: storage.copy(source, destination),
        "local_files.copy": lambda: local_files.copy(Path(source), Path(destination)),
        "write": lambda: storage.write(destination, bytes(9 << 20)),
        "claim": lambda: storage.write(destination, bytes(9 << 20), if_absent=True),
    }
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5 << 20, hard))
    try:
        with pytest.raises(OSError, match="large") as raised:
            calls[function]()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        signal.signal(signal.SIGXFSZ, previous)
    assert raised.value.errno == errno.EFBIG
    assert os.listdir(tmp_path / "to") == []


def test_a_transfer_is_on_the_disk_after_sync_and_not_before(tmp_path: Path) -> None:
    """Reads the system calls of a separate process from a trace."""
    if subprocess.run(["which", "strace"], check=False, capture_output=True).returncode:
        pytest.skip("strace is not installed")
    program = f"""
from pathlib import Path
from tfx_best_exporter.executor.storage.local import LocalStorage
storage, root = LocalStorage(), {str(tmp_path)!r}
for number in range(3):
    Path(root, "source").write_bytes(b"x" * 100)
    storage.upload(Path(root, "source"), f"{{root}}/a/b/{{number}}")
Path(root, "now").touch()
storage.sync(f"{{root}}/a")
"""
    trace = tmp_path / "trace"
    subprocess.run(
        [
            "strace",
            "-f",
            "-y",
            "-e",
            "trace=fsync,openat",
            "-o",
            trace,
            sys.executable,
            "-c",
            program,
        ],
        check=True,
    )
    before, after = trace.read_text().split(f'"{tmp_path}/now"')
    assert "fsync(" not in before
    for path in ("a/b/0", "a/b/1", "a/b/2", "a/b", "a"):
        assert re.search(rf"fsync\(\d+<{re.escape(str(tmp_path))}/{path}>", after)


def test_a_tree_follows_links_but_not_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    (tmp_path / "elsewhere" / "deep" / "file").write_bytes(b"four")
    version = tmp_path / "version"
    version.mkdir()
    (version / "directory").symlink_to(tmp_path / "elsewhere")
    (version / "file").symlink_to(tmp_path / "elsewhere" / "deep" / "file")
    (version / "circle").symlink_to(version)
    (version / "itself").symlink_to("itself")
    (version / "dangling").symlink_to("nowhere")
    os.mkfifo(version / "fifo")
    tree = LocalStorage().tree(str(version))
    assert tree.sizes == {"directory/deep/file": 4, "file": 4}
    assert tree.files["file"].stamp == tree.files["directory/deep/file"].stamp
    (tmp_path / "link").symlink_to(version)
    assert LocalStorage().tree(str(tmp_path / "link")).sizes == tree.sizes


def test_a_tree_has_the_time_of_the_last_new_name(tmp_path: Path) -> None:
    assert LocalStorage().tree(str(tmp_path / "absent")).changed_at is None
    started = tmp_path.stat().st_ctime
    (tmp_path / "a").mkdir()
    changed_at = LocalStorage().tree(str(tmp_path)).changed_at
    assert changed_at is not None
    assert changed_at >= started


def test_the_time_under_a_lock_is_that_of_the_file_system(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    os.utime(path, (0, 0))
    now = LocalStorage().now(str(path), is_locked=True)
    assert path.stat().st_mtime == now > 0
    os.utime(path, (0, 0))
    assert LocalStorage().now(str(path), is_locked=False) > 0
    assert path.stat().st_mtime == 0


def test_a_file_that_has_just_changed_has_no_stamp(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"four")
    assert LocalStorage().tree(str(tmp_path)).files["file"].stamp == ""
    time.sleep(0.1)
    assert LocalStorage().tree(str(tmp_path)).files["file"].stamp


@needs_strace
@pytest.mark.parametrize("error", ["EPERM", "EOPNOTSUPP", "EXDEV", "EMLINK"])
def test_a_new_file_without_hard_links(tmp_path: Path, error: str) -> None:
    """Some file systems have no hard links, by which a file appears whole."""
    program = """
import sys
from tfx_best_exporter.executor.storage.local import LocalStorage
path = sys.argv[1]
LocalStorage().write(path, b"first", if_absent=True)
LocalStorage().write(path, b"first", if_absent=True)
try:
    LocalStorage().write(path, b"second", if_absent=True)
except FileExistsError:
    print("taken")
"""
    result = run_injected(f"link,linkat:error={error}", program, tmp_path / "new" / "file")
    assert result.stdout == "taken\n"
    assert (tmp_path / "new" / "file").read_bytes() == b"first"
    assert os.listdir(tmp_path / "new") == ["file"]
