"""The behavior suite of all storages in the table of conftest.py, on real files and servers."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import google_crc32c
import pytest

from tests.executor.storage.conftest import Place
from tests.fault_proxy import DropHeaders, LoseReply, Reply, Request, Reset, Truncate
from tests.waiting import until
from tfx_best_exporter.executor.storage import errors
from tfx_best_exporter.executor.storage.digest import FileDigest, digest_of_bytes
from tfx_best_exporter.executor.storage.lease import LeaseSettings
from tfx_best_exporter.executor.storage.protocol import (
    Entry,
    Kind,
    Lease,
    LeaseLostError,
    Storage,
    StorageError,
)

# Google's client leaves the response of a download that it retries to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <socket.socket")

REPOSITORY = Path(__file__).parents[3]
# Renewed often, but with a lease so long that it does not expire on a busy machine.
OFTEN_RENEWED = LeaseSettings(lease_seconds=120.0, renew_seconds=0.2)
ODD_NAMES = [
    "two words",
    "ümläut-日本語",
    "50%20off",
    "what?x=1&y=2",
    "hash#tag",
    "plus+plus",
    "'quoted\"",
    "back\\slash",
    "[br]{ac}*",
    "a:b;c,d=e@f$",
    "..hidden",
]


def digest_of(content: bytes) -> FileDigest:
    return FileDigest(size=len(content), crc32c=google_crc32c.value(content))


def names(entries: list[Entry]) -> list[str]:
    return [entry.name for entry in entries]


@pytest.fixture
def large_file(tmp_path: Path) -> Path:
    """A file of 20 MiB: three parts, and the last one is shorter."""
    path = tmp_path / "large"
    block = os.urandom(1 << 20)
    with path.open("wb") as file:
        for index in range(20):
            file.write(index.to_bytes(4, "big") + block[4:])
    return path


# --- files ----------------------------------------------------------------------------------------


def test_what_was_written_is_read(place: Place) -> None:
    storage, path = place.storage, place / "a/b/file.json"
    storage.write(path, b"one")
    assert storage.read(path, 3) == b"one"
    assert names(storage.children(place / "a/b")) == ["file.json"]
    assert storage.sizes(place.root) == {"a/b/file.json": 3}
    storage.write(path, b"second")
    assert storage.read(path, 100) == b"second"
    assert storage.sizes(place.root) == {"a/b/file.json": 6}


def test_a_tree_has_every_file_with_its_size_time_and_stamp(place: Place) -> None:
    storage = place.storage
    assert storage.tree(place / "absent").files == {}
    with storage.lock(place / "lock", 10.0):
        for name in ("a/one", "a/b/two"):
            storage.write(place / name, name.encode())
        tree = storage.tree(place / "a")
        now = storage.now(place / "lock", is_locked=True)
    assert tree.sizes == storage.sizes(place / "a") == {"one": 5, "b/two": 7}
    for status in tree.files.values():
        # Stores report times in whole seconds.
        assert abs(status.changed_at - now) < 120.0
    assert abs(storage.now(place / "lock", is_locked=False) - now) < 120.0


def test_a_stamp_changes_with_the_content(place: Place) -> None:
    storage, path = place.storage, place / "a/file"
    stamps = []
    for content in (b"one", b"two", b"four"):
        storage.write(path, content)
        time.sleep(0.1)
        stamps.append(storage.tree(place / "a").files["file"].stamp)
        assert storage.tree(place / "a").files["file"].stamp == stamps[-1]
    # A storage without stamps has an empty text, and its files are always read.
    assert len({*stamps}) == 3 or {*stamps} == {""}


def test_another_process_reads_what_was_written(place: Place) -> None:
    place.storage.write(place / "file", b"content")
    other = place.again()
    assert other.read(place / "file", 100) == b"content"
    place.storage.remove(place / "file")
    with pytest.raises(FileNotFoundError):
        other.read(place / "file", 100)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_name_is_taken_as_it_is(place: Place, tmp_path: Path, name: str) -> None:
    storage, path = place.storage, place / f"{name}/{name}"
    storage.write(path, b"content")
    assert storage.children(place.root) == [Entry(name=name, kind=Kind.DIRECTORY)]
    assert storage.children(place / name) == [Entry(name=name, kind=Kind.FILE)]
    assert storage.sizes(place.root) == {f"{name}/{name}": 7}
    assert storage.digest(path) == digest_of(b"content")
    assert storage.copy(path, place / f"copy/{name}") == digest_of(b"content")
    assert storage.download(place / f"copy/{name}", tmp_path / "there") == digest_of(b"content")
    assert storage.upload(tmp_path / "there", place / f"up/{name}") == digest_of(b"content")
    assert storage.read(place / f"up/{name}", 7) == b"content"
    storage.remove(place / name)
    assert names(storage.children(place.root)) == ["copy", "up"]


def test_an_empty_file_is_a_file(place: Place, tmp_path: Path) -> None:
    storage = place.storage
    (tmp_path / "empty").touch()
    assert storage.upload(tmp_path / "empty", place / "a") == digest_of(b"")
    assert storage.copy(place / "a", place / "b") == digest_of(b"")
    assert storage.download(place / "b", tmp_path / "down") == digest_of(b"")
    assert (tmp_path / "down").read_bytes() == b""
    storage.write(place / "c", b"")
    assert storage.read(place / "c", 0) == b""
    assert storage.digest(place / "c") == digest_of(b"")
    assert storage.sizes(place.root) == {"a": 0, "b": 0, "c": 0}


def test_a_digest_is_the_same_everywhere(place: Place) -> None:
    place.storage.write(place / "file", b"123456789")
    # The check value of CRC-32C.
    assert place.storage.digest(place / "file") == FileDigest(size=9, crc32c=0xE3069283)


def test_a_large_file_comes_back_as_it_went(place: Place, large_file: Path, tmp_path: Path) -> None:
    storage, content = place.storage, large_file.read_bytes()
    expected = digest_of(content)
    assert storage.upload(large_file, place / "large") == expected
    assert storage.digest(place / "large") == expected
    assert storage.copy(place / "large", place / "copy") == expected
    assert storage.digest(place / "copy") == expected
    local_path = tmp_path / "down" / "large"
    assert storage.download(place / "copy", local_path) == expected
    assert local_path.read_bytes() == content
    assert os.listdir(local_path.parent) == ["large"]


def test_transfers_replace_what_is_there(place: Place, tmp_path: Path) -> None:
    storage = place.storage
    for content in (b"first, and longer", b"second"):
        (tmp_path / "file").write_bytes(content)
        assert storage.upload(tmp_path / "file", place / "up") == digest_of(content)
        assert storage.copy(place / "up", place / "copy") == digest_of(content)
        assert storage.download(place / "copy", tmp_path / "down") == digest_of(content)
        assert (tmp_path / "down").read_bytes() == content
    assert storage.sizes(place.root) == {"up": 6, "copy": 6}


def test_a_link_is_a_second_place_of_the_same_content(place: Place) -> None:
    storage = place.storage
    storage.write(place / "first", b"content")
    storage.write(place / "taken", b"another, and longer")
    for name in ("a/b/second", "taken", "taken"):
        storage.link(place / "first", place / name)
        assert storage.digest(place / name) == digest_of(b"content")
    storage.sync(place.root)
    assert storage.sizes(place.root) == {"first": 7, "a/b/second": 7, "taken": 7}
    storage.remove(place / "first")
    assert storage.read(place / "taken", 7) == b"content"
    assert storage.read(place / "a/b/second", 7) == b"content"


def test_a_link_to_a_file_that_is_absent_replaces_nothing(place: Place) -> None:
    place.storage.write(place / "taken", b"content")
    with pytest.raises(FileNotFoundError):
        place.storage.link(place / "absent", place / "taken")
    assert place.storage.sizes(place.root) == {"taken": 7}


def test_a_local_path_is_one_that_the_system_opens(place: Place) -> None:
    place.storage.write(place / "a/file", b"content")
    path = place.storage.local_path(place / "a/file")
    assert (path is not None) is place.row.has_local_paths
    if path:
        assert path.read_bytes() == b"content"


def test_a_storage_has_a_connection_at_least(place: Place) -> None:
    assert 1 <= place.storage.small_file_connections <= place.storage.connections


@pytest.mark.parametrize("method", ["read", "digest", "download", "copy", "link"])
def test_an_absent_file_is_not_found(place: Place, tmp_path: Path, method: str) -> None:
    storage, path = place.storage, place / "absent"
    storage.write(place / "present", b"")
    calls: dict[str, Callable[[], object]] = {
        "read": lambda: storage.read(path, 100),
        "digest": lambda: storage.digest(path),
        "download": lambda: storage.download(path, tmp_path / "down"),
        "copy": lambda: storage.copy(path, place / "copy"),
        "link": lambda: storage.link(path, place / "copy"),
    }
    with pytest.raises(FileNotFoundError) as raised:
        calls[method]()
    if place.row.has_local_paths:
        assert raised.value.filename == path or str(raised.value.filename) == path
    else:
        assert str(raised.value) == (
            f"cannot read {storage.uri(path)}: the file does not exist. Check the URI, and that the"
            " program that writes the file has finished."
        )
    assert not (tmp_path / "down").exists()
    assert storage.sizes(place.root) == {"present": 0}


def test_a_file_that_is_too_large_is_not_read(place: Place) -> None:
    path = place / "file"
    place.storage.write(path, b"12345")
    assert place.storage.read(path, 5) == b"12345"
    message = (
        f"cannot read {place.storage.uri(path)}: the file has more than 4 bytes."
        " Check that it is the right file."
    )
    with pytest.raises(StorageError, match=re.escape(message)):
        place.storage.read(path, 4)


# --- directories ----------------------------------------------------------------------------------


def test_a_directory_is_what_lies_below_its_name(place: Place) -> None:
    storage = place.storage
    for path in ("7/a", "7/variables/b", "70/c", "7.json", "-/d"):
        storage.write(place / path, b"x")
    assert storage.children(place.root) == [
        Entry(name="-", kind=Kind.DIRECTORY),
        Entry(name="7", kind=Kind.DIRECTORY),
        Entry(name="7.json", kind=Kind.FILE),
        Entry(name="70", kind=Kind.DIRECTORY),
    ]
    assert storage.children(place / "7") == [
        Entry(name="a", kind=Kind.FILE),
        Entry(name="variables", kind=Kind.DIRECTORY),
    ]
    assert storage.sizes(place / "7") == {"a": 1, "variables/b": 1}
    storage.remove(place / "7")
    assert storage.sizes(place.root) == {"70/c": 1, "7.json": 1, "-/d": 1}


def test_an_absent_directory_is_empty(place: Place) -> None:
    place.storage.write(place / "present", b"")
    assert place.storage.children(place / "absent") == []
    assert place.storage.sizes(place / "absent") == {}
    place.storage.remove(place / "absent")
    place.storage.remove(place / "absent/deeper")
    assert names(place.storage.children(place.root)) == ["present"]


def test_a_file_exists_and_so_does_a_directory_with_one(place: Place) -> None:
    storage = place.storage
    storage.write(place / "7-0/a", b"")
    storage.write(place / "70", b"")
    assert not storage.exists(place / "7")
    storage.write(place / "7/variables/b", b"")
    for name in ("7", "7/variables", "7/variables/b", "70", "7-0"):
        assert storage.exists(place / name)
    for name in ("7/variables/b/c", "7/var", "absent", "absent/deeper"):
        assert not storage.exists(place / name)
    storage.remove(place / "7")
    storage.remove(place / "70")
    assert not storage.exists(place / "7")
    assert not storage.exists(place / "70")


def test_one_file_is_removed(place: Place) -> None:
    place.storage.write(place / "a/one", b"")
    place.storage.write(place / "a/two", b"")
    place.storage.remove(place / "a/one")
    assert names(place.storage.children(place / "a")) == ["two"]


def test_files_are_removed_by_name(place: Place) -> None:
    for name in ("a/one", "a/two", "b/three", "b/four"):
        place.storage.write(place / name, b"")
    place.storage.remove_files([])
    place.storage.remove_files([place / "a/one", place / "b/three", place / "absent/file"])
    assert place.storage.sizes(place.root) == {"a/two": 0, "b/four": 0}


def test_files_are_removed_without_a_listing(proxied: Place) -> None:
    assert proxied.direct
    assert proxied.proxy
    paths = [proxied / str(number) for number in range(10)]
    for path in paths:
        proxied.direct.write(path, b"")
    proxied.proxy.always(None)
    proxied.storage.remove_files(paths)
    methods = [request.method for request in proxied.proxy.requests]
    assert methods == (["POST"] if proxied.kind == "s3" else ["DELETE"] * 10)
    assert proxied.direct.children(proxied.root) == []


def test_a_whole_bucket_is_not_removed(place: Place) -> None:
    if place.row.bucket is None:
        pytest.skip("the local file system has no buckets")
    for remove in (place.storage.remove, lambda path: place.storage.remove_files([path])):
        with pytest.raises(ValueError, match=r"^path must be below a bucket \(got "):
            remove(place.row.bucket)


def test_a_thousand_directories_are_one_listing(proxied: Place) -> None:
    storage, proxy, direct = proxied.storage, proxied.proxy, proxied.direct
    assert proxy
    assert direct
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: direct.write(proxied / f"{i}/saved_model.pb", b"x"), range(1000)))
    direct.write(proxied / ".best_exporter/lock", b"x")
    proxy.always(None)
    children = storage.children(proxied.root)
    assert {entry.name for entry in children} == {".best_exporter", *map(str, range(1000))}
    assert {entry.kind for entry in children} == {Kind.DIRECTORY}
    # Stores list a thousand names per response.
    assert len(proxy.requests) <= 2
    direct.remove(proxied.root)
    assert storage.children(proxied.root) == []


def test_rename_moves_a_directory_or_says_that_it_cannot(place: Place) -> None:
    storage = place.storage
    storage.write(place / "from/a/b", b"x")
    if not storage.has_atomic_rename:
        with pytest.raises(StorageError) as refused:
            storage.rename(place / "from", place / "to")
        source, destination = storage.uri(place / "from"), storage.uri(place / "to")
        assert str(refused.value).startswith(f"cannot rename {source} to {destination}: ")
        assert storage.sizes(place.root) == {"from/a/b": 1}
        return
    storage.sync(place / "from")
    storage.rename(place / "from", place / "deep/to")
    assert storage.sizes(place.root) == {"deep/to/a/b": 1}
    storage.write(place / "from/c", b"x")
    with pytest.raises(FileExistsError) as raised:
        storage.rename(place / "from", place / "deep/to")
    assert str(raised.value) == (
        f"cannot rename {place / 'from'} to {place / 'deep/to'}: the destination exists."
        " Choose another name, or remove the destination first."
    )
    with pytest.raises(FileNotFoundError):
        storage.rename(place / "absent", place / "elsewhere")


def test_a_batch_writes_renames_and_removes(place: Place) -> None:
    storage = place.storage
    storage.write(place / "old/a", b"x")
    storage.write(place / "from/a", b"x")
    with storage.batch() as batch:
        batch.write(place / "new", b"12")
        batch.remove(place / "old")
        if storage.has_atomic_rename:
            batch.rename(place / "from", place / "to")
    expected = "to/a" if storage.has_atomic_rename else "from/a"
    assert storage.sizes(place.root) == {"new": 2, expected: 1}


# --- writes on a condition ------------------------------------------------------------------------


def test_if_absent_refuses_other_content_only(place: Place) -> None:
    storage, path = place.storage, place / "claim"
    storage.write(path, b"mine", if_absent=True)
    storage.write(path, b"mine", if_absent=True)
    for other in (b"theirs", b"mine, and more", b""):
        with pytest.raises(FileExistsError) as raised:
            storage.write(path, other, if_absent=True)
        assert str(raised.value) == (
            f"cannot create {storage.uri(path)}: the file exists with other content, from another"
            " writer. Use that file, or choose another name."
        )
    assert storage.read(path, 100) == b"mine"
    assert names(storage.children(place.root)) == ["claim"]


def test_one_of_many_writers_is_first(strict: Place) -> None:
    path, writers = strict / "claim", 8
    barrier = threading.Barrier(writers)

    def claim(number: int) -> bool:
        barrier.wait()
        try:
            strict.storage.write(path, b"%d" % number, if_absent=True)
        except FileExistsError:
            return False
        return True

    for _ in range(5):
        with concurrent.futures.ThreadPoolExecutor(writers) as pool:
            results = list(pool.map(claim, range(writers)))
        assert sum(results) == 1
        assert strict.storage.read(path, 100) == b"%d" % results.index(True)
        strict.storage.remove(path)


# --- locks ----------------------------------------------------------------------------------------


def test_a_lock_excludes_until_it_is_released(place: Place) -> None:
    path, other = place / "state/lock", place.again()
    with place.again(lease_settings=OFTEN_RENEWED).lock(path, 60) as lease:
        lease.check()
        with pytest.raises(TimeoutError) as raised, other.lock(path, 0.3):
            pass
        assert re.fullmatch(
            r"cannot lock "
            + re.escape(place.storage.uri(path))
            + r" within 0\.3 seconds: the lock is held by .*process.*\."
            + r" Let the other run finish, or end it\.",
            str(raised.value),
        )
        lease.check()
    with other.lock(path, 0) as lease:
        lease.check()
    if place.row.lock_is_lease:
        assert place.storage.children(place / "state") == []


def test_the_owner_of_a_lock_is_known_to_others(place: Place) -> None:
    path, other = place / "state/lock", place.again()
    assert other.lock_owner(path) is None
    with place.again(lease_settings=OFTEN_RENEWED).lock(path, 60) as lease:
        owner = other.lock_owner(path)
        lease.check()
    assert owner is not None
    assert re.match(rf"process {os.getpid()}\b", owner.name)
    assert not owner.is_dead
    assert other.lock_owner(path) is None


def test_an_owner_that_renews_no_more_is_dead(leased: Place) -> None:
    claim = {"token": "a", "holder": "process 7 on b", "lease_seconds": 1.0, "renewals": 0}
    leased.storage.write(leased / "lock", json.dumps(claim).encode())
    time.sleep(3.1)
    owner = leased.storage.lock_owner(leased / "lock")
    assert owner is not None
    assert owner.name == "process 7 on b"
    # Plug-ins of TFX and the example in memory report no age of a file.
    assert owner.is_dead == (leased.kind in ("gs", "s3"))


def test_a_lock_is_released_by_an_error(place: Place) -> None:
    with pytest.raises(KeyError), place.storage.lock(place / "lock", 10):
        raise KeyError
    with place.again().lock(place / "lock", 0):
        pass


def test_a_lock_outlasts_its_lease_when_it_is_renewed(leased: Place) -> None:
    settings = LeaseSettings(lease_seconds=2.0, renew_seconds=0.2)
    with leased.again(lease_settings=settings).lock(leased / "lock", 60) as lease:
        with (
            pytest.raises(TimeoutError),
            leased.again().lock(leased / "lock", 3.5),
        ):
            pass
        lease.check()


def is_lost(lease: Lease) -> bool:
    try:
        lease.check()
    except LeaseLostError:
        return True
    return False


@pytest.mark.parametrize("content", [b"", b"\x00" * (1 << 20)], ids=["empty", "large"])
def test_a_lock_object_of_another_program_expires(leased: Place, content: bytes) -> None:
    settings = LeaseSettings(lease_seconds=1.0, renew_seconds=0.2)
    leased.storage.write(leased / "lock", content)
    with leased.again(lease_settings=settings).lock(leased / "lock", 60) as lease:
        lease.check()


def test_a_lock_that_was_taken_is_noticed(place: Place) -> None:
    path = place / "lock"
    with place.again(lease_settings=OFTEN_RENEWED).lock(path, 60) as lease:
        if not place.row.lock_is_lease:
            place.storage.remove(path)
            message = (
                f"cannot hold the lock {path}: another program deleted or replaced the lock file."
                " Run again, and do not change lock files."
            )
        else:
            place.storage.write(path, b'{"token": "theirs"}')
            message = (
                f"cannot hold the lock {place.storage.uri(path)}: another writer has taken it over."
                " This process makes no further changes. Run again, and check the network if"
                " this happens repeatedly."
            )
            # The next renewal notices the other writer.
            until(lambda: is_lost(lease))
        with pytest.raises(LeaseLostError) as raised:
            lease.check()
        assert str(raised.value) == message
    if place.row.lock_is_lease:
        assert place.storage.read(path, 100) == b'{"token": "theirs"}'


def test_many_writers_come_one_after_the_other(strict: Place) -> None:
    inside: list[int] = []
    # On a busy machine, a short lease could expire while its holder waits for the processor.
    settings = LeaseSettings(lease_seconds=20.0, renew_seconds=4.0)

    def enter(number: int) -> None:
        with strict.again(lease_settings=settings).lock(strict / "lock", 60) as lease:
            inside.append(number)
            assert inside == [number]
            lease.check()
            inside.remove(number)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(enter, range(8)))


def hold_in_process(storage: Storage, path: str, lease_seconds: float) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.lock_holder", storage.uri(path), str(lease_seconds)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def test_the_lock_of_a_killed_process_is_taken_over(common: Place) -> None:
    path = common / "lock"
    with hold_in_process(common.storage, path, lease_seconds=2.0) as process:
        with pytest.raises(TimeoutError), common.storage.lock(path, 3.5):
            pass
        process.kill()
        process.wait()
        with common.storage.lock(path, 60 if common.row.lock_is_lease else 0) as lease:
            lease.check()


def test_a_process_that_slept_through_its_lease_knows(common: Place) -> None:
    if not common.row.lock_is_lease:
        pytest.skip("the system keeps the lock of a process that sleeps")
    path = common / "lock"
    with hold_in_process(common.storage, path, lease_seconds=1.5) as process:
        assert process.stdin
        assert process.stdout
        process.send_signal(signal.SIGSTOP)
        with common.again(lease_settings=OFTEN_RENEWED).lock(path, 60) as lease:
            process.send_signal(signal.SIGCONT)
            process.stdin.write("?\n")
            process.stdin.flush()
            assert process.stdout.readline() == "lost\n"
            process.stdin.close()
            process.wait()
            # The former holder did not touch the lock that another writer holds.
            lease.check()
            with pytest.raises(TimeoutError), common.again().lock(path, 0):
                pass


# --- faults ---------------------------------------------------------------------------------------


def operations(place: Place, tmp_path: Path) -> dict[str, tuple[Callable[[], object], object]]:
    """Returns calls, each with its expected result, for a place with one file `there`."""
    storage = place.storage
    (tmp_path / "local").write_bytes(b"content")

    def hold() -> bool:
        with storage.lock(place / "lock", 60) as lease:
            lease.check()
        return True

    return {
        "children": (lambda: names(storage.children(place.root)), ["there"]),
        "sizes": (lambda: storage.sizes(place.root), {"there": 7}),
        "digest": (lambda: storage.digest(place / "there"), digest_of(b"content")),
        "read": (lambda: storage.read(place / "there", 100), b"content"),
        "write": (lambda: storage.write(place / "new", b"content"), None),
        "claim": (lambda: storage.write(place / "new", b"content", if_absent=True), None),
        "download": (
            lambda: storage.download(place / "there", tmp_path / "down"),
            digest_of(b"content"),
        ),
        "upload": (
            lambda: storage.upload(tmp_path / "local", place / "new"),
            digest_of(b"content"),
        ),
        "copy": (lambda: storage.copy(place / "there", place / "new"), digest_of(b"content")),
        "link": (lambda: storage.link(place / "there", place / "new"), None),
        "exists": (lambda: storage.exists(place / "there"), True),
        "remove": (lambda: storage.remove(place / "there"), None),
        "lock": (hold, True),
    }


OPERATIONS = [
    "children",
    "sizes",
    "digest",
    "read",
    "write",
    "claim",
    "download",
    "upload",
    "copy",
    "link",
    "exists",
    "remove",
    "lock",
]
AFTERWARDS = {"write": ["new", "there"], "claim": ["new", "there"], "upload": ["new", "there"]}
AFTERWARDS |= {"copy": ["new", "there"], "link": ["new", "there"], "remove": []}


FAULTS = {"503": Reply(503), "429": Reply(429), "reset": Reset(), "lost-reply": LoseReply()}
# The two most different faults run with all operations: a 503 request has no effect, and a request
# with a lost response has its full effect.
PASSING = [(fault, name) for fault in ("503", "lost-reply") for name in OPERATIONS]
PASSING += [(fault, name) for fault in ("429", "reset") for name in ("read", "claim", "upload")]


@pytest.mark.parametrize(("fault_name", "name"), PASSING)
def test_a_fault_that_passes_is_not_noticed(
    proxied: Place, tmp_path: Path, fault_name: str, name: str
) -> None:
    assert proxied.proxy
    proxied.storage.write(proxied / "there", b"content")
    call, expected = operations(proxied, tmp_path)[name]
    fault = FAULTS[fault_name]
    # The first request of each kind fails, so that each request of the operation fails once.
    seen: set[Request] = set()

    def first(request: Request) -> Reply | Reset | LoseReply | None:
        if request in seen:
            return None
        seen.add(request)
        return fault

    proxied.proxy.plan(first)
    assert call() == expected
    assert proxied.proxy.faulted
    proxied.proxy.always(None)
    assert names(proxied.storage.children(proxied.root)) == AFTERWARDS.get(name, ["there"])
    if "new" in AFTERWARDS.get(name, []):
        assert proxied.storage.read(proxied / "new", 100) == b"content"


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_fault_that_stays_is_an_error_after_some_tries(
    proxied: Place, tmp_path: Path, name: str
) -> None:
    assert proxied.proxy
    proxied.storage.write(proxied / "there", b"content")
    place = dataclasses.replace(proxied, storage=proxied.impatient())
    call, _ = operations(place, tmp_path)[name]
    proxied.proxy.always(Reply(503))
    with pytest.raises(StorageError) as raised:
        call()
    assert re.fullmatch(
        r"cannot access "
        + re.escape(proxied.storage.uri(proxied.root))
        + r"[^ ]*: the storage does not answer, or keeps failing \(.*503.*\)\."
        + r" Check the endpoint, the network and the status of the store, then run again\.",
        str(raised.value),
    )
    assert 1 < len(proxied.proxy.faulted) < 60
    assert not (tmp_path / "down").exists()


def test_a_server_that_is_gone_is_an_error(proxied: Place) -> None:
    assert proxied.proxy
    proxied.proxy.always(Reset())
    with pytest.raises(StorageError, match=r"^cannot access .*: the storage does not answer"):
        proxied.impatient().read(proxied / "there", 100)
    assert len(proxied.proxy.faulted) > 1


@pytest.mark.parametrize("name", ["read", "download"])
def test_a_reply_that_breaks_off_is_asked_for_again(
    proxied: Place, tmp_path: Path, name: str
) -> None:
    assert proxied.proxy
    proxied.storage.write(proxied / "there", b"content")
    call, expected = operations(proxied, tmp_path)[name]
    proxied.proxy.times(1, Truncate(), method="GET")
    assert call() == expected
    assert len(proxied.proxy.faulted) == 1


def test_a_claim_is_ours_when_its_reply_was_lost(proxied: Place) -> None:
    assert proxied.proxy
    for method in ("PUT", "POST"):
        path = proxied / f"claim-{method}"
        proxied.proxy.times(1, LoseReply(), method=method)
        proxied.storage.write(path, b"mine", if_absent=True)
        with pytest.raises(FileExistsError):
            proxied.again().write(path, b"theirs", if_absent=True)


def test_a_renewal_whose_reply_was_lost_keeps_the_lock(proxied: Place) -> None:
    proxy = proxied.proxy
    assert proxy
    with proxied.again(lease_settings=OFTEN_RENEWED).lock(proxied / "lock", 60) as lease:
        method = "PUT" if proxied.kind == "s3" else "POST"
        proxy.times(2, LoseReply(), method=method)
        # The renewals continue, and each one replaces the holder's own last write.
        until(lambda: len([each for each in proxy.requests if each.method == method]) > 4)
        assert len(proxy.faulted) == 2
        lease.check()


def test_a_lock_that_cannot_be_renewed_is_lost(proxied: Place) -> None:
    assert proxied.proxy
    with proxied.storage.lock(proxied / "lock", 60) as lease:
        proxied.proxy.always(Reply(503))
        threading.Event().wait(1.2)
        with pytest.raises(LeaseLostError, match=r": it was not renewed in time\."):
            lease.check()
        proxied.proxy.always(None)


# --- mistakes in the setup ------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_bucket_that_is_not_there_is_an_error(proxied: Place, tmp_path: Path, name: str) -> None:
    place = Place(proxied.kind, proxied.again(), "no-such-bucket/model")
    call, _ = operations(place, tmp_path)[name]
    with pytest.raises(StorageError) as raised:
        call()
    assert not isinstance(raised.value, FileNotFoundError)
    assert re.fullmatch(
        r"cannot access "
        + re.escape(place.storage.uri(place.root))
        + r"[^ ]*: the bucket 'no-such-bucket' does not exist\. Create it, or correct the URI\.",
        str(raised.value),
    )


DENIED = {
    "s3": b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>",
    "gs": b'{"error": {"code": 403, "message": "no storage.objects.get access"}}',
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_permission_that_is_not_given_is_an_error(
    proxied: Place, tmp_path: Path, name: str
) -> None:
    assert proxied.proxy
    call, _ = operations(proxied, tmp_path)[name]
    proxied.proxy.always(Reply(403, DENIED[proxied.kind]))
    with pytest.raises(StorageError) as raised:
        call()
    remedy = {
        "s3": "Allow s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject and"
        " s3:DeleteObject on its objects.",
        "gs": "Grant the account the role Storage Object User on the bucket.",
    }
    assert str(raised.value).startswith(f"cannot access {proxied.storage.uri(proxied.root)}")
    assert ": the permission to list, read, write or delete objects is missing (" in str(
        raised.value
    )
    assert str(raised.value).endswith(remedy[proxied.kind])


@pytest.mark.parametrize("name", ["children", "read", "write", "lock"])
def test_credentials_that_are_not_there_are_an_error(
    proxied: Place, clean_environment: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    for variable in ("STORAGE_EMULATOR_HOST", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        clean_environment.delenv(variable, raising=False)
    place = Place(proxied.kind, proxied.again(), proxied.root)
    call, _ = operations(place, tmp_path)[name]
    with pytest.raises(StorageError) as raised:
        call()
    assert str(raised.value).startswith(f"cannot access {place.storage.uri(place.root)}")
    assert ": the credentials are missing or invalid (" in str(raised.value)


def test_a_store_that_ignores_conditions_has_no_lock(proxied: Place) -> None:
    if proxied.kind == "gs":
        pytest.skip("Google Cloud Storage is one implementation, which has preconditions")
    assert proxied.proxy
    proxied.proxy.always(DropHeaders(("If-None-Match", "If-Match")))
    with (
        pytest.raises(StorageError) as raised,
        proxied.again().lock(proxied / "lock", 10),
    ):
        pass
    assert str(raised.value) == (
        f"cannot lock {proxied.storage.uri(proxied / 'lock')}: the store ignores IfNoneMatch of a"
        " write, and cannot keep two writers apart. Use a newer release of the store, or another"
        " store."
    )
    assert proxied.storage.children(proxied.root) == []


def test_a_lease_is_renewed_in_time() -> None:
    with pytest.raises(ValueError, match="at most a third of lease_seconds") as raised:
        LeaseSettings(lease_seconds=10, renew_seconds=5)
    assert str(raised.value) == (
        "renew_seconds must be positive and at most a third of lease_seconds (got 5 of 10)."
        " Renew more often, or use a longer lease."
    )


def test_messages_name_what_to_do() -> None:
    assert errors.corrupted("s3://b/k", 1, 2) == (
        "cannot transfer s3://b/k: the content is 2 instead of 1."
        " Run again. If it fails again, check the network and the disk."
    )


@pytest.mark.parametrize("size", [None, 5], ids=["unknown size", "known size"])
def test_a_copy_has_the_digest_of_the_file(place: Place, size: int | None) -> None:
    place.storage.write(place / "file", b"words")
    expected = digest_of_bytes(b"words")
    assert place.storage.copy(place / "file", place / "copy", size=size) == expected
    assert place.storage.read(place / "copy", 9) == b"words"
    assert place.storage.digest(place / "copy") == expected


def test_a_copy_of_a_file_that_changed_has_another_digest(place: Place) -> None:
    place.storage.write(place / "file", b"other words")
    copied = place.storage.copy(place / "file", place / "copy", size=5)
    assert copied != digest_of_bytes(b"words")
    assert copied.crc32c == digest_of_bytes(b"other words").crc32c


def test_an_absent_file_of_a_known_size_is_not_copied(place: Place) -> None:
    with pytest.raises(FileNotFoundError):
        place.storage.copy(place / "absent", place / "copy", size=5)
    assert not place.storage.exists(place / "copy")
