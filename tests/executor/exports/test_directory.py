import contextlib
import dataclasses
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.executor.bucket import Bucket
from tests.executor.plain import (
    FILES,
    UNREADABLE_RECORDS,
    LaterDisk,
    files_of,
    later,
    publish,
    read_files,
    record_of,
    recover,
    retire,
    retire_locked,
    write_files,
)
from tests.waiting import until
from tfx_best_exporter.executor.exports import pushed_model, records, saved_model
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.records import RECORD_PATH, RecordError
from tfx_best_exporter.executor.exports.saved_model import ModelFile
from tfx_best_exporter.executor.exports.versions import Export, Listing, Served, Status
from tfx_best_exporter.executor.storage import local_files, location_of
from tfx_best_exporter.executor.storage.digest import FileDigest
from tfx_best_exporter.executor.storage.local import LocalStorage
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import Entry, LeaseLostError, StorageError, Tree
from tfx_best_exporter.proto import best_exporter_pb2 as pb

LARGEST = 2**63 - 1
REPAIR = "A model server that is restarted serves nothing. Repair or remove it."


def passed_over(version: int, problem: str) -> str:
    return f"version {version} is broken and does not count: {problem}. {REPAIR}"


@pytest.fixture
def base_path(tmp_path: Path) -> Path:
    return tmp_path / "base"


@pytest.fixture
def base(base_path: Path) -> ExportDirectory:
    return ExportDirectory(location_of(base_path))


@pytest.fixture
def model_path(tmp_path: Path) -> Path:
    return write_files(tmp_path / "model")


def versions_of(base: ExportDirectory) -> list[int]:
    return [export.version for export in base.exports()]


def state_of(base: ExportDirectory) -> dict[str, list[str]]:
    """Returns the names in each folder of .best_exporter/, without the stamps of versions."""
    return {
        path.name: sorted(entry.name for entry in path.iterdir())
        for path in sorted((Path(base.base.path) / ".best_exporter").iterdir())
        if path.is_dir() and path.name != "stamps"
    }


def make_undeletable(path: Path) -> Callable[[Path], Any]:
    """Makes the files of a directory undeletable, even for root; returns a function to undo it."""
    if os.geteuid() != 0:
        path.chmod(0o555)
        return lambda path: path.chmod(0o755)
    if not shutil.which("chattr"):
        pytest.skip("root can delete every file without chattr")
    if subprocess.run(["chattr", "+i", path], capture_output=True).returncode:
        pytest.skip("this file system has no immutable files")
    return lambda path: subprocess.run(["chattr", "-i", path], check=True)


# Listing.


def test_a_base_directory_need_not_exist(base: ExportDirectory, base_path: Path):
    served = base.served()
    assert served == Served(listing=Listing(base=base.base))
    assert (served.export, served.record, served.warnings) == (None, None, ())
    assert base.exports() == ()
    assert list(base.tombstones()) == []
    assert base.recover() == ()
    assert not base_path.exists()


def test_a_base_directory_that_is_a_file_is_refused(base: ExportDirectory, base_path: Path):
    base_path.write_bytes(b"")
    message = (
        "push_destination.filesystem.base_directory must be a directory"
        f" (got {str(base_path)!r}, a file). Choose another path, or move the file away."
    )
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        base.exports()
    assert str(caught.value) == message
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        base.served()
    assert str(caught.value) == message
    with pytest.raises(ValueError) as caught, base.lock():  # noqa: PT011
        pytest.fail("locked a file")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param("-1", "directory", id="negative"),
        pytest.param("1.5", "directory", id="fraction"),
        pytest.param("\u0663", "directory", id="digit of another script"),
        pytest.param("latest", "directory", id="word"),
        pytest.param("1" * 40, "directory", id="40 digits"),
        pytest.param(str(LARGEST + 1), "directory", id="one more than 63 bits"),
        pytest.param(".DS_Store", "file", id=".DS_Store"),
    ],
)
def test_strays_are_told_and_never_touched(
    base: ExportDirectory, base_path: Path, model_path: Path, name: str, kind: str
):
    publish(base, 3, model_path)
    path = base_path / name
    if kind == "directory":
        write_files(path)
    else:
        path.write_bytes(b"")
    served = base.served()
    assert served.listing.versions == (3,)
    (warning,) = served.warnings
    assert warning == f"{name!r} is not a version: a model server reads no number from its name"
    assert base.next_version(0) == 4
    recover(base)
    assert os.path.lexists(path)


@pytest.mark.parametrize(
    ("name", "kind", "version", "is_served"),
    [
        pytest.param("007", "directory", 7, True, id="leading zeros"),
        pytest.param("+5", "directory", 5, True, id="sign"),
        pytest.param(" 5", "directory", 5, True, id="blank"),
        pytest.param("12", "link", 12, True, id="link to an export"),
        pytest.param("12", "file", 12, False, id="numeric file"),
        pytest.param("12", "dangling link", 12, False, id="dangling link"),
    ],
)
def test_other_names_and_kinds_of_versions_are_never_touched(
    base: ExportDirectory,
    base_path: Path,
    model_path: Path,
    name: str,
    kind: str,
    version: int,
    is_served: bool,
):
    publish(base, 3, model_path)
    path = base_path / name
    if kind == "directory":
        write_files(path)
    elif kind == "file":
        path.write_bytes(b"")
    else:
        path.symlink_to("3" if kind == "link" else "nowhere")
    served = base.served()
    assert served.export is not None
    assert served.listing.versions == (3, version)
    assert served.export.version == (version if is_served else 3)
    assert len(served.warnings) == (0 if is_served else 1)
    assert base.next_version(0) == version + 1
    recover(base)
    assert os.path.lexists(path)


@pytest.mark.parametrize("version", [0, 1, LARGEST])
def test_canonical_numbers_are_versions(base: ExportDirectory, base_path: Path, version: int):
    write_files(base_path / str(version))
    (export,) = base.exports()
    assert export == Export(version=version, base=base.base)
    assert export.path == str(base_path / str(version))
    assert not base.has_record(export)


def test_exports_are_listed_as_numbers(base: ExportDirectory, model_path: Path):
    for version in (9, 10, 100, 1):
        publish(base, version, model_path)
    assert versions_of(base) == [1, 9, 10, 100]


class CountingDisk(LaterDisk):
    """A disk that records each listing."""

    def __init__(self):
        self.listings: list[str] = []

    def children(self, path: str) -> list[Entry]:
        self.listings.append(path)
        return super().children(path)

    def tree(self, path: str) -> Tree:
        self.listings.append(path)
        return super().tree(path)


def test_what_is_served_takes_one_look(base_path: Path, model_path: Path):
    disk = CountingDisk()
    base = ExportDirectory(Location(disk, str(base_path)))
    for version in (8, 9, 10):
        publish(base, version, model_path)
    (base_path / "10" / "saved_model.pb").unlink()
    disk.listings.clear()
    served = base.served()
    assert served.export == Export(version=9, base=base.base)
    assert served.listing.exports == base.exports()
    assert disk.listings == [
        str(base_path),
        str(base_path / "10"),
        str(base_path / "9"),
        str(base_path),
    ]


def test_recover_lists_for_the_first_reader_after_it(base_path: Path, model_path: Path):
    disk = CountingDisk()
    base = ExportDirectory(Location(disk, str(base_path)))
    publish(base, 8, model_path)
    with base.lock():
        base.recover()
        write_files(base_path / "9")
        disk.listings.clear()
        assert base.served().listing.versions == (8,)
        assert disk.listings == [str(base_path / "8")]
        # The changes of this writer, and all later ones, are listed again.
        assert base.served().listing.versions == (8, 9)
        base.recover()
        disk.listings.clear()
        assert base.next_version(0) == 10
        assert disk.listings == []
        base.publish(10, files_of(model_path), record_of())
        assert base.next_version(0) == 11
        assert base.served().listing.versions == (8, 9, 10)
        base.recover()
        retire_locked(base, base.exports()[0], why="", now=0)
        assert base.served().listing.versions == (9, 10)
        base.recover()
    write_files(base_path / "11")
    assert base.served().listing.versions == (9, 10, 11)


# The best.


def test_the_best_is_the_largest_complete_version(base: ExportDirectory, model_path: Path):
    for version in (9, 10):
        publish(base, version, model_path)
    served = base.served()
    assert served.export is not None
    assert served.record is not None
    assert (served.export.version, served.record.version, served.warnings) == (10, 10, ())
    assert base.has_record(served.export)


def test_a_foreign_version_may_be_the_best(
    base: ExportDirectory, base_path: Path, model_path: Path
):
    publish(base, 9, model_path)
    write_files(base_path / "10")
    served = base.served()
    assert served.export is not None
    assert (served.export.version, served.record, served.warnings) == (10, None, ())
    assert not base.has_record(served.export)
    assert base.served().fingerprint.startswith("10:foreign:")


@pytest.mark.parametrize(
    ("is_foreign", "damage"),
    [
        pytest.param(True, "saved_model.pb", id="foreign: pb"),
        pytest.param(True, "variables/variables.index", id="foreign: index"),
        pytest.param(False, "saved_model.pb", id="ours: pb"),
        pytest.param(False, "variables/variables.index", id="ours: index"),
    ],
)
@pytest.mark.parametrize("is_later", [False, True], ids=["at once", "an hour later"])
def test_a_newest_version_that_cannot_be_loaded(
    base_path: Path, model_path: Path, is_foreign: bool, damage: str, is_later: bool
):
    base = ExportDirectory(later(base_path) if is_later else location_of(base_path))
    publish(base, 9, model_path)
    if is_foreign:
        write_files(base_path / "10")
    else:
        publish(base, 10, model_path)
    (base_path / "10" / damage).unlink()
    served = base.served()
    assert served.export is not None
    assert served.record is not None
    assert served.export.version == served.record.version == 9
    problem = saved_model.why_incomplete(location_of(base_path / "10").sizes())
    assert damage in problem
    if is_later:
        assert served.being_written == ""
        (warning,) = served.warnings
        assert warning.startswith(f"version 10 is broken and does not count: {problem}; it last")
        assert warning.endswith(f" ago. {REPAIR}")
    else:
        assert served.warnings == ()
        assert served.being_written.startswith(f"version 10 is being written: {problem}; it last")
        assert served.fingerprint.endswith(", being written")
    assert base.next_version(0) == 11


def test_a_truncated_file_is_noticed(base_path: Path, model_path: Path):
    base = ExportDirectory(later(base_path))
    export = publish(base, 9, model_path)
    name = "variables/variables.data-00000-of-00001"
    (Path(export.path) / name).write_bytes(b"dat")
    served = base.served()
    assert served.export is None
    (warning,) = served.warnings
    assert warning.startswith(passed_over(9, f"{name} has 3 bytes, but needs 4").split(". ")[0])


def test_an_export_with_changed_files_has_no_known_evaluation(
    base: ExportDirectory, model_path: Path
):
    export = publish(base, 9, model_path)
    (Path(export.path) / "assets/words.txt").write_bytes(b"other")
    served = base.served()
    assert (served.export, served.record, served.warnings) == (export, None, ())
    assert served.best is not None
    problem = "it differs from its record: the content of assets/words.txt was changed"
    assert (served.best.status, served.best.problem) == (Status.FOREIGN, problem)


def test_fingerprint_changes_with_the_best(base: ExportDirectory, model_path: Path):
    seen = [base.served().fingerprint]
    for version, digest in ((1, "sha256:a"), (2, "sha256:a"), (3, "sha256:b")):
        model = pb.SourceModel(digest=digest)
        publish(base, version, model_path, model=model)
        seen.append(base.served().fingerprint)
    assert seen == ["none", "1:sha256:a", "2:sha256:a", "3:sha256:b"]


# Records.


@pytest.mark.parametrize(
    "content", [pytest.param(content, id=id) for id, (content, _) in UNREADABLE_RECORDS.items()]
)
def test_a_record_that_cannot_be_read_is_an_error(
    base: ExportDirectory, model_path: Path, content: bytes
):
    export = publish(base, 5, model_path)
    path = Path(export.path) / RECORD_PATH
    path.write_bytes(content)
    for read in (
        lambda: base.record(export),
        lambda: base.contents(export),
        lambda: base.inspect(export),
        base.served,
        lambda: base.verify(export),
        lambda: retire(base, export, why="", now=0),
    ):
        with pytest.raises(RecordError, match=rf"\Acannot read {path}: "):
            read()
    assert versions_of(base) == [5]
    assert list(base.tombstones()) == []


def test_a_copy_that_somebody_made_is_served_and_not_ours(
    base: ExportDirectory, base_path: Path, model_path: Path
):
    export = publish(base, 5, model_path)
    shutil.copytree(base_path / "5", base_path / "9")
    served = base.served()
    assert served.export
    assert served.record
    assert (served.export.version, served.record.version) == (9, 5)
    assert export.version == base.record(export).version
    with base.lock(), pytest.raises(RecordError) as caught:
        retire_locked(base, served.export, why="", now=0)
    assert str(caught.value) == (
        f"cannot retire {base_path / '9'}: its record is that of version 5, so it is a copy that"
        " this exporter did not make. Delete it by hand if you do not need it."
    )
    assert (base_path / "9").exists()


@pytest.mark.parametrize(
    ("name", "is_complete"),
    [
        ("saved_model.pb", False),
        ("variables/variables.index", False),
        ("assets/words.txt", False),
        ("assets.extra/warmup", True),
    ],
)
def test_what_an_export_needs_to_be_loaded(
    base: ExportDirectory, model_path: Path, name: str, is_complete: bool
):
    write_files(model_path)
    write_files(model_path, {"assets.extra/warmup": b"requests"})
    export = publish(base, 5, model_path)
    record = base.record(export)
    record.ClearField("decision")
    assert base.contents(export) == (record, "")
    (Path(export.path) / name).unlink()
    assert base.contents(export) == (record, "" if is_complete else f"{name} is missing")
    assert (base.served().record is not None) == is_complete
    assert base.verify(export) == [f"{name} is missing"]


@pytest.mark.parametrize("name", ["assets.extra", "assets.extra/best_exporter"])
def test_a_foreign_file_where_the_record_would_lie(
    base: ExportDirectory, base_path: Path, name: str
):
    write_files(base_path / "5", {**FILES, name: b"theirs"})
    served = base.served()
    assert served.export is not None
    assert served.record is None
    assert not base.has_record(served.export)


def test_verify(base: ExportDirectory, base_path: Path, model_path: Path):
    export = publish(base, 5, model_path)
    assert base.verify(export) == []
    (Path(export.path) / "empty.txt").write_bytes(b"")
    assert base.verify(export) == ["empty.txt is not in the record"]
    write_files(base_path / "6")
    with pytest.raises(RecordError):
        base.verify(Export(version=6, base=base.base))


# Versions.


@pytest.mark.parametrize(
    ("now", "present", "expected"),
    [
        pytest.param(1732240000.9, [], 1732240000, id="first"),
        pytest.param(1732240000.0, [1732239999], 1732240000, id="a second later"),
        pytest.param(1732240000.5, [1732240000], 1732240001, id="in the same second"),
        pytest.param(1000.0, [1732240000], 1732240001, id="clock backwards"),
        pytest.param(-5.0, [], 1, id="clock before the epoch"),
        pytest.param(1000.0, [LARGEST - 1], LARGEST, id="the last one"),
    ],
)
def test_next_version(
    base: ExportDirectory, base_path: Path, now: float, present: list[int], expected: int
):
    for version in present:
        write_files(base_path / str(version))
    assert base.next_version(now) == expected


def test_versions_end_somewhere(base: ExportDirectory, base_path: Path):
    write_files(base_path / str(LARGEST))
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        base.next_version(0)
    assert str(caught.value) == (
        f"version must be at most {LARGEST} (got {LARGEST + 1}, at {base_path})."
        " Remove the entry with the largest number from the base directory, and"
        " .best_exporter/largest_version."
    )


def test_versions_increase_whatever_the_clock_does(base: ExportDirectory, model_path: Path):
    versions = []
    for now in (1000.0, 1000.0, 999.0, 0.0, 1003.0, 1003.9, 5.0):
        version = base.next_version(now)
        versions.append(version)
        export = publish(base, version, model_path)
        # The number of a retired version is never used again.
        retire(base, export, why="", now=now)
    assert versions == [1000, 1001, 1002, 1003, 1004, 1005, 1006]
    assert base.next_version(0) == 1007


# Publishing.


def test_publish(base: ExportDirectory, base_path: Path, model_path: Path):
    export = publish(base, 5, model_path)
    assert (export.version, export.path) == (5, str(base_path / "5"))
    assert base.has_record(export)
    written = read_files(Path(export.path))
    assert written.pop(RECORD_PATH).startswith(b"{")
    assert written == FILES
    assert state_of(base) == {"staging": []}
    for name in FILES:
        assert not (Path(export.path) / name).samefile(model_path / name)
    assert base.served().warnings == ()


def test_publish_refuses_a_file_that_changed_since_it_was_chosen(
    base: ExportDirectory, model_path: Path
):
    files = files_of(model_path)
    (file,) = (each for each in files if each.path == "assets/words.txt")
    Path(file.source.path).write_bytes(b"other words")
    with base.lock(), pytest.raises(ValueError) as caught:  # noqa: PT011
        base.publish(5, files, record_of())
    now = file.source.digest()
    assert str(caught.value).startswith(f"cannot publish assets/words.txt: {now} ")
    assert str(file.source) in str(caught.value)
    assert versions_of(base) == []
    assert state_of(base) == {"staging": []}


def test_publish_never_replaces_a_version(base: ExportDirectory, base_path: Path, model_path: Path):
    for version in (5, 6):
        write_files(base_path / str(version), {"saved_model.pb": b"precious"})
    export = publish(base, 5, model_path)
    assert export == Export(version=7, base=base.base)
    assert base.record(export).version == 7
    assert read_files(base_path / "5") == {"saved_model.pb": b"precious"}
    assert read_files(base_path / "6") == {"saved_model.pb": b"precious"}
    assert state_of(base) == {"staging": []}


def test_publish_gives_up_where_another_writer_takes_every_version(
    base: ExportDirectory, base_path: Path, model_path: Path
):
    for version in range(5, 105):
        write_files(base_path / str(version), {"theirs": b""})
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        publish(base, 5, model_path)
    assert str(caught.value) == (
        f"cannot publish to {base_path}: other writers have taken version 5 and the next 99."
        " Check which other program writes there, then run again."
    )
    assert versions_of(base) == list(range(5, 105))
    assert state_of(base) == {"staging": []}
    assert publish(base, 6, model_path).version == 105


def test_publish_leaves_nothing_when_there_is_no_record(base: ExportDirectory, model_path: Path):
    def fail(version: int, manifest: Any) -> pb.ExportRecord:
        raise KeyboardInterrupt

    with base.lock(), pytest.raises(KeyboardInterrupt):
        base.publish(5, files_of(model_path), fail)
    assert versions_of(base) == []
    # The record is made after the copies, and they are removed.
    assert state_of(base) == {"staging": []}


def interrupted_retirement(bucket: Bucket, model_path: Path) -> ExportDirectory:
    """Returns a base directory in which version 5 is out of service, but not yet deleted."""
    base = ExportDirectory(bucket.location("base"))
    for version in (5, 6):
        publish(base, version, model_path)

    def refuse(step: str) -> None:
        if step.startswith("remove base/5/") and "saved_model.pb" not in step:
            raise StorageError("no answer")

    bucket.before = refuse
    with base.lock(), pytest.raises(StorageError):
        retire_locked(base, base.exports()[0], why="too old", now=0)
    bucket.before = lambda step: None
    return base


def test_only_files_that_the_tombstone_names_are_removed(tmp_path: Path, model_path: Path):
    base = interrupted_retirement(Bucket(tmp_path), model_path)
    export_path = tmp_path / "base" / "5"
    theirs = {"notes.txt": b"theirs", "variables/variables.data-00000-of-00002": b"theirs"}
    write_files(export_path, theirs)
    assert recover(base) == ("removed the remaining files of version 5, which is retired",)
    assert read_files(export_path) == theirs
    tombstone = json.loads((tmp_path / "base/.best_exporter/retired/5.json").read_bytes())
    assert tombstone["files_deleted"]
    assert "files" not in tombstone
    assert recover(base) == ()
    assert read_files(export_path) == theirs


def restore(path: Path, files: dict[str, bytes]) -> None:
    """Writes files as a person does, a minute later than everything else."""
    write_files(path, files)
    later = time.time() + 60
    for name in files:
        os.utime(path / name, (later, later))


@pytest.mark.parametrize("is_all_gone", [False, True], ids=["some files are left", "none is left"])
def test_files_that_a_person_restores_after_an_interrupted_retirement_are_kept(
    tmp_path: Path, model_path: Path, is_all_gone: bool
):
    base = interrupted_retirement(Bucket(tmp_path), model_path)
    export_path = tmp_path / "base" / "5"
    left = {*read_files(export_path)}
    if is_all_gone:
        shutil.rmtree(export_path)
    # A person copies the files back, and the run begins in the middle of it.
    restored = {path: content for path, content in FILES.items() if path.startswith("variables/")}
    restore(export_path, restored)
    assert recover(base) == ("kept the files of version 5, which a person is restoring",)
    assert read_files(export_path) == restored
    assert is_all_gone or left - {*restored}
    restore(export_path, FILES)
    assert recover(base) == ()
    assert read_files(export_path) == FILES
    assert base.restored_versions() == {5}


@pytest.mark.parametrize(
    ("is_disk", "is_moved"),
    [(True, False), (True, True), (False, False)],
    ids=["copied on a disk", "moved on a disk", "copied in a store"],
)
def test_a_version_that_a_person_restores_after_an_interrupted_retirement_is_kept(
    tmp_path: Path, model_path: Path, is_disk: bool, is_moved: bool
):
    location = location_of(tmp_path / "base") if is_disk else Bucket(tmp_path).location("base")
    base = ExportDirectory(location)
    for version in (5, 6):
        publish(base, version, model_path)
    kept = read_files(tmp_path / "base" / "5")
    write_files(tmp_path / "backup", kept)
    time.sleep(0.05)
    retire(base, base.exports()[0], why="too old", now=0)
    # The run died after it had removed the version, and before it had noted that.
    path = tmp_path / "base/.best_exporter/retired/5.json"
    tombstone = json.loads(path.read_bytes())
    del tombstone["files_deleted"]
    path.write_text(json.dumps({**tombstone, "files": sorted(kept)}))
    assert recover(base) == ()
    if is_moved:
        time.sleep(0.05)
        # Only the directory has a new time.
        (tmp_path / "backup").rename(tmp_path / "base" / "5")
    else:
        restore(tmp_path / "base" / "5", kept)
    assert recover(base) == ("kept version 5, which was retired and which a person has restored",)
    assert read_files(tmp_path / "base" / "5") == kept
    assert base.restored_versions() == {5}
    assert recover(base) == ()


@pytest.mark.parametrize(
    "files", [[], ["../6/saved_model.pb"]], ids=["of an earlier release", "leads out"]
)
def test_a_tombstone_that_names_no_file_of_its_export(
    tmp_path: Path, model_path: Path, files: list[str]
):
    base = interrupted_retirement(Bucket(tmp_path), model_path)
    path = tmp_path / "base/.best_exporter/retired/5.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "files": files}))
    before = {version: read_files(tmp_path / "base" / version) for version in ("5", "6")}
    kept = (
        "kept the files of version 5, which a release that recorded no file names has retired. If"
        " no person is restoring the version, remove them."
    )
    assert recover(base) == (() if files else (kept,))
    assert recover(base) == ()
    for version, content in before.items():
        assert read_files(tmp_path / "base" / version) == content


def test_nothing_is_written_without_the_lock(
    base: ExportDirectory, base_path: Path, model_path: Path
):
    export = publish(base, 4, model_path)
    write_files(base_path / ".best_exporter" / "staging" / "abc")
    before = read_files(base_path)
    for write in (
        lambda: base.publish(5, files_of(model_path), record_of()),
        lambda: retire_locked(base, export, why="", now=0),
        base.recover,
    ):
        with pytest.raises(RuntimeError) as caught:
            write()
        assert str(caught.value) == (
            f"cannot write to {base_path} without its lock. Call this method within"
            " `with exports.lock():`."
        )
    assert read_files(base_path) == before


@pytest.mark.parametrize("is_replaced", [False, True], ids=["deleted", "replaced"])
def test_publish_and_retire_ask_for_the_lock(
    base: ExportDirectory, base_path: Path, model_path: Path, is_replaced: bool
):
    export = publish(base, 4, model_path)
    lock_path = base_path / ".best_exporter" / "lock"
    with base.lock():
        lock_path.unlink()
        if is_replaced:
            lock_path.write_bytes(b"")
        for write in (
            lambda: base.publish(5, files_of(model_path), record_of()),
            lambda: retire_locked(base, export, why="", now=0),
        ):
            with pytest.raises(LeaseLostError) as caught:
                write()
            assert str(lock_path) in str(caught.value)
    assert versions_of(base) == [4]
    assert list(base.tombstones()) == []
    assert state_of(base) == {"staging": []}


def test_everything_is_on_disk_before_it_appears_and_so_is_its_name(
    base: ExportDirectory, base_path: Path, model_path: Path
):
    steps: list[str] = []

    def watch(frame: Any, event: str, function: Any) -> None:
        name = getattr(function, "__name__", "") if event == "c_call" else ""
        if name == "fsync":
            path = os.readlink(f"/proc/self/fd/{descriptor_in(frame.f_locals)}")
            steps.append(
                path.partition("/staging/")[2].partition("/")[2] if "/staging/" in path else path
            )
        elif name == "rename":
            steps.append("rename")

    files = files_of(model_path)
    with base.lock():
        # Several threads sync the files.
        threading.setprofile(watch)
        sys.setprofile(watch)
        try:
            base.publish(5, files, record_of())
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
    commit = steps.index("rename")
    state = str(base_path / ".best_exporter")
    # A file that has just been written may get its stamp in the next run.
    after = [step for step in steps[commit:] if "/stamps" not in step]
    assert sorted(after) == sorted(["rename", str(base_path), f"{state}/staging"])
    # The number is taken before a file of the version is written.
    taken = [f"{state}/.largest_version.partial", state]
    assert steps[:2] == taken
    before = steps[2:commit]
    record_directory = "assets.extra/best_exporter"
    # The record is replaced when the hashes are known. Its directory has been synced before.
    assert before[-2:] == [f"{record_directory}/.record.json.partial", record_directory]
    before = before[:-2]
    written = {*FILES, f"{record_directory}/.record.json.partial", RECORD_PATH}
    directories = {"", "assets", "variables", "assets.extra", record_directory}
    assert set(before) == written | directories
    # The last sync of each directory comes after the syncs of all files, so it has their names.
    last = {path: index for index, path in enumerate(before)}
    assert max(last[path] for path in written) < min(last[path] for path in directories)


def descriptor_in(variables: dict[str, Any]) -> int:
    """Returns the descriptor that a function syncs: its `descriptor`, or that of its open file."""
    descriptor = variables.get("descriptor")
    if descriptor is not None:
        return descriptor
    (file,) = (value for value in variables.values() if isinstance(value, io.IOBase))
    return file.fileno()


class Disk(LocalStorage):
    """A disk that fails, as a full disk would, for each path with a given end."""

    def __init__(self, end: str):
        self.end = end

    def copy(self, source_path: str, path: str, *, size: int | None = None) -> FileDigest:
        self._refuse(path)
        return super().copy(source_path, path, size=size)

    def remove(self, path: str) -> None:
        self._refuse(path)
        super().remove(path)

    def lock(self, path: str, timeout_seconds: float) -> Any:
        self._refuse(path)
        return super().lock(path, timeout_seconds)

    def _refuse(self, path: str) -> None:
        if path.endswith(self.end):
            raise OSError(28, "No space left on device", path)


def on(storage: LocalStorage, files: list[ModelFile]) -> list[ModelFile]:
    return [dataclasses.replace(each, source=Location(storage, each.source.path)) for each in files]


def test_an_error_of_the_disk_says_what_to_do(base_path: Path, model_path: Path, tmp_path: Path):
    disk = Disk(end="/lock")
    base = ExportDirectory(Location(disk, str(base_path)))
    with pytest.raises(StorageError) as caught, base.lock():
        pytest.fail("locked what cannot be written")
    assert str(caught.value) == (
        f"cannot lock the base directory {base_path}: [Errno 28] No space left on device:"
        f" '{base_path}/.best_exporter/lock'. Grant the permission to write to it, free some space,"
        " or set another push_destination.filesystem.base_directory."
    )
    files = on(disk, files_of(model_path))
    disk.end = "/words.txt"
    with base.lock(), pytest.raises(StorageError) as caught:
        base.publish(5, files, record_of())
    problem, _, remedy = str(caught.value).partition("words.txt'. ")
    assert problem.startswith(
        f"cannot write the export {base_path}/5: [Errno 28] No space left on device:"
        f" '{base_path}/.best_exporter/staging/"
    )
    assert remedy == (
        "Nothing was published. Check that the model can be read and that the base directory has"
        " free space, then run again."
    )
    assert read_files(base_path) == {
        ".best_exporter/lock": b"",
        ".best_exporter/largest_version": b"5\n",
    }
    disk.end = "nothing"
    with base.lock():
        export, _ = base.publish(5, files, record_of())
    disk.end = "/words.txt"
    pushed_model_path = tmp_path / "pushed_model"
    with pytest.raises(StorageError) as caught:
        pushed_model.copy_export(export.location, Location(disk, str(pushed_model_path)), [])
    assert str(caught.value) == (
        f"cannot write the artifact pushed_model to {pushed_model_path}: [Errno 28] No space left"
        f" on device: '{pushed_model_path}/assets/words.txt'. The served export is complete. Free"
        " some space, then run again."
    )


def test_an_error_that_says_so_itself_is_left_alone(base: ExportDirectory):
    with base.lock(), pytest.raises(TimeoutError) as caught, base.lock(timeout_seconds=0):
        pytest.fail("two writers")
    assert "the lock is held by another process" in str(caught.value)


def test_an_error_of_what_is_done_with_the_lock_is_left_alone(base: ExportDirectory):
    error = OSError(5, "Input/output error")
    with pytest.raises(OSError, match="Input/output") as caught, base.lock():
        raise error
    assert caught.value is error


PUBLISHER = """
import sys
from pathlib import Path
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.saved_model import ModelFile, files_of
from tfx_best_exporter.proto.best_exporter_pb2 import ExportRecord
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.digest import FileDigest
base, model, large = map(Path, sys.argv[1:])
exports = ExportDirectory(location_of(base))
digest = FileDigest(size=0, crc32c=0)
slow = ModelFile(path="variables/slow", source=location_of(large), digest=digest)
files = [*files_of(location_of(model)), slow]
with exports.lock():
    exports.publish(9, files, lambda version, manifest: ExportRecord())
"""


def test_killed_in_the_middle_of_a_file(
    base: ExportDirectory, base_path: Path, model_path: Path, tmp_path: Path
):
    publish(base, 8, model_path)
    # A file with a hole of this size takes no space, and seconds to copy.
    large_path = tmp_path / "large"
    large_path.touch()
    os.truncate(large_path, 64 << 30)
    arguments = [str(path) for path in (base_path, model_path, large_path)]
    staging_path = base_path / ".best_exporter" / "staging"
    with subprocess.Popen([sys.executable, "-c", PUBLISHER, *arguments]) as publisher:
        until(lambda: any(map(size_of, staging_path.glob("*/variables/slow"))))
        # The file stays half-written until the process is killed.
        publisher.send_signal(signal.SIGSTOP)
        assert versions_of(base) == [8]
        with pytest.raises(TimeoutError), base.lock(timeout_seconds=0):
            pytest.fail("two writers")
        publisher.send_signal(signal.SIGKILL)
        publisher.wait()
    assert versions_of(base) == [8]
    (left,) = state_of(base)["staging"]
    with base.lock(timeout_seconds=60):
        (found,) = base.recover()
        assert left in found
        base.publish(9, files_of(model_path), record_of())
    assert versions_of(base) == [8, 9]
    assert state_of(base) == {"staging": []}


def size_of(path: Path) -> int:
    return path.stat().st_size


# Retiring.


def test_retire(base: ExportDirectory, model_path: Path):
    export = publish(base, 5, model_path)
    publish(base, 6, model_path)
    retire(base, export, why="too old", now=1000.5)
    assert versions_of(base) == [6]
    assert state_of(base) == {"retired": ["5.json"], "staging": [], "trash": []}
    (tombstone,) = base.tombstones()
    assert (tombstone.schema_version, tombstone.why) == (1, "too old")
    assert tombstone.retired_at.ToNanoseconds() == 1000_500_000_000
    assert tombstone.record.version == 5
    assert not tombstone.record.manifest


def test_tombstones_are_read_newest_first(base: ExportDirectory, base_path: Path, model_path: Path):
    for version in (9, 10, 100):
        retire(base, publish(base, version, model_path), why="", now=0)
    (base_path / ".best_exporter" / "retired" / "notes.txt").write_text("not ours")
    (base_path / ".best_exporter" / "retired" / "007.json").write_text("not ours")
    assert [tombstone.record.version for tombstone in base.tombstones()] == [100, 10, 9]
    assert base.next_version(0) == 101


def test_a_tombstone_that_cannot_be_read_is_passed_over(
    base: ExportDirectory,
    base_path: Path,
    model_path: Path,
    caplog: pytest.LogCaptureFixture,
):
    retire(base, publish(base, 4, model_path), why="", now=0)
    retire(base, publish(base, 5, model_path), why="", now=0)
    path = base_path / ".best_exporter" / "retired" / "5.json"
    path.write_text("{")
    warnings: list[str] = []
    assert [tombstone.record.version for tombstone in base.tombstones(warnings)] == [4]
    with pytest.raises(RecordError, match=rf"\Acannot read {path}: ") as caught:
        records.read(location_of(path), pb.Tombstone())
    assert caplog.messages == warnings
    assert warnings == [f"the tombstone of version 5 is not used: {caught.value}"]
    # Restored, as the error says.
    path.write_bytes((path.parent / "4.json").read_bytes().replace(b'"4"', b'"5"'))
    assert [tombstone.record.version for tombstone in base.tombstones()] == [5, 4]


def test_a_tombstone_is_not_used_while_a_model_server_reads_its_number(
    base: ExportDirectory, base_path: Path, model_path: Path
):
    retire(base, publish(base, 7, model_path), why="", now=0)
    assert len([*base.tombstones()]) == 1
    (base_path / "007").mkdir()
    assert [*base.tombstones()] == []


def test_retire_that_cannot_take_it_out_of_service(
    base: ExportDirectory, base_path: Path, model_path: Path, other_file_system: Path
):
    export = publish(base, 5, model_path)
    trash = base_path / ".best_exporter" / "trash"
    with base.lock():
        # Renames to another file system fail, even for root.
        trash.symlink_to(other_file_system)
        with pytest.raises(OSError, match="cross-device"):
            retire_locked(base, export, why="", now=0)
    trash.unlink()
    assert base.served().export == export
    assert list(base.tombstones()) == []
    assert state_of(base)["retired"] == []


def test_retire_that_cannot_delete_is_tried_again(
    base: ExportDirectory, base_path: Path, model_path: Path
):
    export = publish(base, 5, model_path)
    undo = make_undeletable(Path(export.path) / "variables")
    path = Path(export.path)
    try:
        with pytest.raises(OSError, match=r"not permitted|denied"):
            retire(base, export, why="", now=0)
        # The export is out of service and has its tombstone; only files remain.
        (path,) = (base_path / ".best_exporter" / "trash").iterdir()
        assert versions_of(base) == []
        assert [tombstone.record.version for tombstone in base.tombstones()] == [5]
        (found,) = recover(base)
        assert found.startswith(f"cannot remove {path}, ")
    finally:
        undo(path / "variables")
    (found,) = recover(base)
    assert path.name in found
    assert state_of(base)["trash"] == []


def test_an_export_that_cannot_be_retired_does_not_keep_the_others(
    base: ExportDirectory, base_path: Path, model_path: Path
):
    exports = [publish(base, version, model_path) for version in (4, 5, 6, 7)]
    (Path(exports[0].path) / records.RECORD_PATH).write_text("{")
    undo = make_undeletable(Path(exports[1].path) / "variables")
    try:
        with base.lock():
            failures = base.retire_all(dict.fromkeys(exports[:3], "too old"), now=0)
        (path,) = (base_path / ".best_exporter" / "trash").iterdir()
    finally:
        undo(next((base_path / ".best_exporter" / "trash").iterdir()) / "variables")
    assert {export.version: type(error) for export, error in failures.items()} == {
        4: RecordError,
        5: PermissionError,
    }
    assert versions_of(base) == [4, 7]
    assert path.name.startswith("5-")
    assert [tombstone.record.version for tombstone in base.tombstones()] == [6, 5]
    assert state_of(base)["retired"] == ["5.json", "6.json"]


def test_without_durable_tombstones_no_export_is_retired(base_path: Path, model_path: Path):
    class FailingBatch(LocalStorage):
        @contextlib.contextmanager
        def batch(self) -> Iterator[LocalStorage]:
            with super().batch() as view:
                yield view
            if list((base_path / ".best_exporter" / "retired").iterdir()):
                raise OSError(5, "Input/output error")

    base = ExportDirectory(Location(FailingBatch(), str(base_path)))
    exports = [publish(base, version, model_path) for version in (4, 5, 6)]
    with base.lock():
        failures = base.retire_all(dict.fromkeys(exports[:2], "too old"), now=0)
    assert [(export.version, str(error)) for export, error in failures.items()] == [
        (4, "[Errno 5] Input/output error"),
        (5, "[Errno 5] Input/output error"),
    ]
    assert versions_of(base) == [4, 5, 6]
    assert state_of(base)["retired"] == []


def test_retire_that_was_interrupted_is_forgotten(
    base: ExportDirectory, base_path: Path, model_path: Path
):
    for version in (5, 6):
        publish(base, version, model_path)
    # The state after a kill between the tombstone and the rename.
    interrupted = pb.Tombstone(schema_version=1, record=record_of()(5, []))
    path = base_path / ".best_exporter" / "retired" / "5.json"
    local_files.write(path, records.to_json(interrupted))
    assert list(base.tombstones()) == []
    assert recover(base) == ("an earlier run was interrupted before it had retired version 5",)
    assert versions_of(base) == [5, 6]
    assert not path.exists()


def test_recover_sweeps_half_written_tombstones(base: ExportDirectory, base_path: Path):
    retired_path = base_path / ".best_exporter" / "retired"
    names = (".5.json.partial", ".6.json.0123456789abcdef.partial")
    write_files(retired_path, dict.fromkeys((*names, "notes.partial", ".notes"), b"{"))
    assert [name in found for name, found in zip(names, recover(base), strict=True)] == [True, True]
    assert sorted(read_files(retired_path)) == [".notes", "notes.partial"]
    assert recover(base) == ()


@pytest.mark.parametrize("is_whole", [True, False], ids=["whole", "in steps"])
@pytest.mark.parametrize("is_disk", [True, False], ids=["disk", "store"])
def test_a_version_that_a_person_restores_is_kept(
    tmp_path: Path, model_path: Path, is_disk: bool, is_whole: bool
):
    location = location_of(tmp_path / "base") if is_disk else Bucket(tmp_path).location("base")
    base = ExportDirectory(location)
    for version in (5, 6):
        publish(base, version, model_path)
    kept = read_files(tmp_path / "base" / "5")
    retire(base, base.exports()[0], why="too old", now=0)
    (tombstone,) = base.tombstones()
    assert tombstone.files_deleted
    if not is_whole:
        del kept["saved_model.pb"]
    write_files(tmp_path / "base" / "5", kept)
    assert recover(base) == ()
    assert read_files(tmp_path / "base" / "5") == kept
    assert base.restored_versions() == {5}
    assert (tmp_path / "base/.best_exporter/retired/5.json").exists()


def test_recover_tells_what_it_cannot_remove(base_path: Path, model_path: Path):
    disk = Disk(end="/5.json")
    base = ExportDirectory(Location(disk, str(base_path)))
    publish(base, 5, model_path)
    path = base_path / ".best_exporter" / "retired" / "5.json"
    write_files(path.parent, {"5.json": b'{"schema_version": 1, "record": {"version": "5"}}'})
    (found,) = recover(base)
    assert found.startswith(f"cannot remove {path}, ")
    assert found.endswith(f"[Errno 28] No space left on device: {str(path)!r}")
    assert versions_of(base) == [5]


def test_recover_finishes_a_retirement_without_a_rename(tmp_path: Path, model_path: Path):
    bucket = Bucket(tmp_path)
    base = ExportDirectory(bucket.location("base"))
    for version in (5, 6):
        publish(base, version, model_path)

    def refuse(step: str) -> None:
        if step == "remove base/5/variables/variables.index":
            raise StorageError("no answer")

    bucket.before = refuse
    with base.lock(), pytest.raises(StorageError, match=r"\Ano answer\Z"):
        retire_locked(base, base.exports()[0], why="too old", now=0)
    # The export is out of service, because the marker was deleted first. A run continues even if
    # it cannot delete the other files.
    assert [tombstone.record.version for tombstone in base.tombstones()] == []
    assert base.served().export == base.exports()[-1]
    (found,) = recover(base)
    assert found.startswith("cannot remove bucket://base/5, ")
    assert found.endswith(": no answer")
    bucket.before = lambda step: None
    assert recover(base) == ("removed the remaining files of version 5, which is retired",)
    assert versions_of(base) == [6]
    assert [tombstone.record.version for tombstone in base.tombstones()] == [5]


def test_retire_that_cannot_delete_the_marker_is_forgotten(tmp_path: Path, model_path: Path):
    bucket = Bucket(tmp_path)
    base = ExportDirectory(bucket.location("base"))
    export = publish(base, 5, model_path)

    def refuse(step: str) -> None:
        if step == "remove base/5/saved_model.pb":
            raise StorageError("no permission")

    bucket.before = refuse
    with pytest.raises(StorageError, match=r"\Ano permission\Z"):
        retire(base, export)
    assert base.served().export == export
    assert read_files(tmp_path / "base" / ".best_exporter") == {"largest_version": b"5\n"}


def test_recover_touches_nothing_in_sight(base: ExportDirectory, base_path: Path, model_path: Path):
    publish(base, 5, model_path)
    write_files(base_path / "6")
    (base_path / "notes.txt").write_text("not ours")
    state_path = base_path / ".best_exporter"
    write_files(state_path / "staging" / "abc")
    write_files(state_path / "trash" / "4-abc")
    (state_path / "trash" / "file").write_bytes(b"")
    retire(base, publish(base, 3, model_path), why="", now=0)
    before = read_files(base_path)
    found = recover(base)
    left = (("abc", "staging"), ("4-abc", "trash"), ("file", "trash"))
    for (name, directory), text in zip(left, found, strict=True):
        assert re.search(rf"\b{name}\b.*\b{directory}\b", text)
    after = read_files(base_path)
    gone = set(before) - set(after)
    assert all(name.startswith((".best_exporter/staging", ".best_exporter/trash")) for name in gone)
    assert {name: before[name] for name in after} == after
    assert state_of(base) == {"retired": ["3.json"], "staging": [], "trash": []}
    assert recover(base) == ()


def test_work_directory(base: ExportDirectory, base_path: Path):
    with base.work_directory() as path:
        assert path.parent == base_path / ".best_exporter" / "staging"
        write_files(path)
    assert state_of(base) == {"staging": []}
    with pytest.raises(KeyboardInterrupt), base.work_directory() as path:
        raise KeyboardInterrupt(write_files(path))
    assert state_of(base) == {"staging": []}


def test_work_directory_is_local(tmp_path: Path):
    base = ExportDirectory(Bucket(tmp_path).location("base"))
    with base.work_directory() as path:
        assert path.is_dir()
        assert not path.is_relative_to(tmp_path)
    assert not path.exists()
    assert not (tmp_path / "base").exists()


# The copy for the pipeline.


def test_copy_to_links_the_model_and_copies_the_rest(
    base: ExportDirectory, model_path: Path, tmp_path: Path
):
    extra_path = tmp_path / "warmup"
    extra_path.write_bytes(b"requests")
    model_files = files_of(model_path)
    files = [*model_files, ModelFile.read("assets.extra/warmup", location_of(extra_path))]
    with base.lock():
        export, _ = base.publish(5, files, record_of())
    copy_path = tmp_path / "pushed_model"
    pushed_model.copy_export(export.location, location_of(copy_path), model_files)
    assert read_files(copy_path) == read_files(Path(export.path))
    for name in FILES:
        assert (copy_path / name).samefile(model_path / name)
    served = {path.stat().st_ino for path in Path(export.path).rglob("*") if path.is_file()}
    copied = {path.stat().st_ino for path in copy_path.rglob("*") if path.is_file()}
    assert not served & copied
    # A second copy repairs the leftovers of a run that died.
    (copy_path / "saved_model.pb").unlink()
    (copy_path / "saved_model.pb").write_bytes(b"half")
    pushed_model.copy_export(export.location, location_of(copy_path), model_files)
    assert read_files(copy_path) == read_files(Path(export.path))


def test_copy_to_copies_what_the_export_changed(
    base: ExportDirectory, model_path: Path, tmp_path: Path
):
    export = publish(base, 5, model_path)
    other_path = write_files(tmp_path / "other", {**FILES, "saved_model.pb": b"other"})
    pushed_model.copy_export(
        export.location, location_of(tmp_path / "pushed_model"), files_of(other_path)
    )
    assert (tmp_path / "pushed_model" / "saved_model.pb").read_bytes() == FILES["saved_model.pb"]
    assert (tmp_path / "pushed_model" / "assets/words.txt").samefile(
        other_path / "assets/words.txt"
    )


def test_copy_to_of_a_foreign_export(
    base: ExportDirectory, base_path: Path, model_path: Path, tmp_path: Path
):
    write_files(base_path / "5")
    (export,) = base.exports()
    pushed_model.copy_export(
        export.location, location_of(tmp_path / "pushed_model"), files_of(model_path)
    )
    assert read_files(tmp_path / "pushed_model") == FILES


def test_copy_to_another_storage(tmp_path: Path, model_path: Path):
    bucket = Bucket(tmp_path)
    base = ExportDirectory(bucket.location("base"))
    export = publish(base, 5, model_path)
    in_bucket = on(bucket, files_of(write_files(tmp_path / "model_in_bucket")))
    for model_files, verbs in ((files_of(model_path), {"copy"}), (in_bucket, {"copy"})):
        bucket.steps.clear()
        pushed_model.copy_export(export.location, bucket.location("pushed_model"), model_files)
        assert {step.partition(" ")[0] for step in bucket.steps} == verbs
        assert read_files(tmp_path / "pushed_model") == read_files(tmp_path / "base" / "5")
    pushed_model.copy_export(export.location, location_of(tmp_path / "local"), in_bucket)
    assert read_files(tmp_path / "local") == read_files(tmp_path / "base" / "5")
