import contextlib
import itertools
import logging
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.executor.bucket import Bucket, KilledError
from tests.executor.plain import (
    FILES,
    files_of,
    read_files,
    record_of,
    retire_locked,
    write_files,
)
from tfx_best_exporter.executor.exports.commit import Commit, commit_for
from tfx_best_exporter.executor.exports.directory import STATE_DIRECTORY, ExportDirectory
from tfx_best_exporter.executor.exports.marker_commit import MarkerCommit
from tfx_best_exporter.executor.exports.records import RECORD_PATH
from tfx_best_exporter.executor.exports.rename_commit import RenameCommit
from tfx_best_exporter.executor.exports.saved_model import ModelFile
from tfx_best_exporter.executor.exports.version_files import VersionTakenError
from tfx_best_exporter.executor.exports.versions import Export
from tfx_best_exporter.executor.storage.digest import FileDigest
from tfx_best_exporter.executor.storage.local import LocalStorage
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import LeaseLostError, Storage, StorageError

CONTENTS = {RECORD_PATH: lambda: b"{}"}
WHOLE = {**FILES, RECORD_PATH: b"{}"}
# Other content of the same sizes, which only a digest can distinguish.
OTHER_FILES = {name: content.upper() for name, content in FILES.items()}


def left(name: str, directory: str) -> str:
    return f"removed {name} from {directory}, left by an earlier run"


def half_written(version: int) -> str:
    return f"removed version {version}, left half-written by an earlier run"


def not_removed(place: object, problem: str) -> str:
    return f"cannot remove {place}, the next run tries again: {problem}"


def not_cleaned_up(problem: str) -> str:
    return f"cannot clean up, the next run tries again: {problem}"


class Disk(LocalStorage):
    """A disk that records its steps, and on which some steps fail or write other content.

    Attributes:
        steps: Names of the methods that were called.
        failures: Errors by method; an error is raised after the method has taken effect.
        spoiled: End of the path of a file that gets other content than was written.
    """

    def __init__(self, **failures: OSError):
        self.steps: list[str] = []
        self.failures = failures
        self.spoiled = ""

    def copy(self, source_path: str, path: str, *, size: int | None = None) -> FileDigest:
        with self._step("copy"):
            digest = super().copy(source_path, path, size=size)
            if self.spoiled and path.endswith(self.spoiled):
                Path(path).write_bytes(Path(path).read_bytes().swapcase())
            return digest

    def sync(self, path: str) -> None:
        with self._step("sync"):
            super().sync(path)

    def rename(self, source_path: str, path: str) -> None:
        with self._step("rename"):
            super().rename(source_path, path)

    def remove(self, path: str) -> None:
        with self._step("remove"):
            if "remove" not in self.failures:
                super().remove(path)

    @contextlib.contextmanager
    def batch(self) -> Iterator[LocalStorage]:
        with super().batch() as view:
            yield view
        with self._step("end of batch"):
            pass

    @contextlib.contextmanager
    def _step(self, name: str) -> Iterator[None]:
        yield
        self.steps.append(name)
        if name in self.failures:
            raise self.failures[name]


@pytest.fixture
def model_path(tmp_path: Path) -> Path:
    return write_files(tmp_path / "model")


@pytest.fixture
def base_path(tmp_path: Path) -> Path:
    return tmp_path / "base"


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    return Bucket(tmp_path)


class TidyCommit(MarkerCommit):
    """Cleans up after each publish, as the end of the lock does."""

    def publish(self, *args: Any, **kwargs: Any) -> None:
        super().publish(*args, **kwargs)
        self.clean_up()


@pytest.fixture
def marker_commit(bucket: Bucket) -> MarkerCommit:
    return TidyCommit(bucket.location("base"), bucket.location("base/.best_exporter"))


@pytest.fixture
def large_commit(bucket: Bucket) -> MarkerCommit:
    """A commit for which every upload is a large one."""
    return TidyCommit(
        bucket.location("base"), bucket.location("base/.best_exporter"), direct_bytes=0
    )


def rename_commit(disk: LocalStorage, base_path: Path) -> RenameCommit:
    base = Location(disk, str(base_path))
    return RenameCommit(base, base / ".best_exporter")


@pytest.fixture(params=["disk", "bucket"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return Bucket(tmp_path) if request.param == "bucket" else Disk()


@pytest.fixture
def commit(storage: Storage, base_path: Path) -> Commit:
    base = Location(storage, str(base_path))
    return commit_for(base, base / ".best_exporter")


def held() -> None:
    """A check of a lease that is held."""


def lost() -> None:
    raise LeaseLostError("another writer has the lock")


def on(storage: Storage, files: list[ModelFile]) -> list[ModelFile]:
    """Returns the files with sources in another storage on the same disk."""
    return [
        ModelFile(path=file.path, source=Location(storage, file.source.path), digest=file.digest)
        for file in files
    ]


def left_in(base_path: Path) -> list[str]:
    """Returns the paths of the files in .best_exporter/, without the stamps of versions."""
    return sorted(
        path for path in read_files(base_path / ".best_exporter") if not path.startswith("stamps/")
    )


def in_sight(base_path: Path) -> dict[str, dict[str, bytes]]:
    """Returns the files of every version that is a SavedModel for a model server."""
    return {
        path.name: read_files(path)
        for path in base_path.iterdir()
        if path.name.isdecimal() and (path / "saved_model.pb").exists()
    }


# Behavior in every storage.


def test_the_storage_decides(tmp_path: Path, bucket: Bucket):
    disk = Location(LocalStorage(), str(tmp_path / "base"))
    assert isinstance(commit_for(disk, disk / ".best_exporter"), RenameCommit)
    assert isinstance(commit_for(bucket.location("b"), bucket.location("b/s")), MarkerCommit)


def test_publish_and_retire(commit: Commit, base_path: Path, model_path: Path):
    assert not commit.is_visible(5)
    for version in (5, 6):
        commit.publish(version, files_of(model_path), CONTENTS, held)
    assert in_sight(base_path) == {"5": WHOLE, "6": WHOLE}
    assert commit.is_visible(5)
    commit.clean_up()
    assert commit.retire({5: commit.files_to_delete(5)}, held) == {}
    assert in_sight(base_path) == {"6": WHOLE}
    assert (commit.is_visible(5), commit.is_visible(6)) == (False, True)
    assert left_in(base_path) == []
    assert commit.recover(held) == []


@pytest.mark.parametrize("name", ["assets/words.txt", "saved_model.pb"])
def test_a_file_that_changed_is_refused(
    commit: Commit, base_path: Path, model_path: Path, name: str
):
    files = files_of(model_path)
    (file,) = (each for each in files if each.path == name)
    (model_path / name).write_bytes(b"other")
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        commit.publish(5, files, CONTENTS, held)
    assert str(caught.value) == (
        f"cannot publish {name}: {file.source.digest()} were copied, but {file.source} had"
        f" {file.digest}. Nothing was published. Run again, and check whether another program"
        " writes to it."
    )
    assert in_sight(base_path) == {}
    assert read_files(base_path) == {}


def test_a_version_that_is_taken_is_left_alone(commit: Commit, base_path: Path, model_path: Path):
    write_files(base_path / "5", {"theirs": b"precious"})
    with pytest.raises(VersionTakenError):
        commit.publish(5, files_of(model_path), CONTENTS, held)
    assert read_files(base_path) == {"5/theirs": b"precious"}


def test_without_the_lease_nothing_comes_into_sight(
    commit: Commit, base_path: Path, model_path: Path
):
    seen = []

    def lose() -> None:
        seen.append(in_sight(base_path))
        lost()

    with pytest.raises(LeaseLostError):
        commit.publish(5, files_of(model_path), CONTENTS, lose)
    assert seen
    assert not any(seen)
    assert read_files(base_path) == {}


def test_without_the_lease_nothing_is_retired(commit: Commit, base_path: Path, model_path: Path):
    commit.publish(5, files_of(model_path), CONTENTS, held)
    assert [
        type(error) for error in commit.retire({5: commit.files_to_delete(5)}, lost).values()
    ] == [LeaseLostError]
    assert in_sight(base_path) == {"5": WHOLE}


def test_each_of_several_versions_is_retired_or_fails(
    commit: Commit, base_path: Path, model_path: Path
):
    for version in (5, 6, 7):
        commit.publish(version, files_of(model_path), CONTENTS, held)
    checks = itertools.count()

    def lose_at_the_second() -> None:
        if next(checks) == 1:
            raise LeaseLostError("lost")

    files = {version: commit.files_to_delete(version) for version in (5, 6)}
    failures = commit.retire(files, lose_at_the_second)
    assert [type(error) for error in failures.values()] == [LeaseLostError]
    (kept,) = failures
    assert in_sight(base_path) == {str(kept): WHOLE, "7": WHOLE}
    commit.clean_up()
    assert left_in(base_path) == []


def test_without_the_lease_nothing_is_recovered(commit: Commit, base_path: Path):
    write_files(base_path / ".best_exporter" / "staging" / "4")
    with pytest.raises(LeaseLostError):
        commit.recover(lost)
    assert len(left_in(base_path)) == len(FILES)


def test_an_interrupt_leaves_nothing(commit: Commit, base_path: Path, model_path: Path):
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        commit.publish(5, files_of(model_path), CONTENTS, interrupt)
    assert read_files(base_path) == {}


# RenameCommit.


def test_a_disk_copies_verifies_syncs_and_renames(base_path: Path, model_path: Path):
    disk = Disk()
    files = on(disk, files_of(model_path))
    rename_commit(disk, base_path).publish(5, files, CONTENTS, lambda: disk.steps.append("check"))
    assert disk.steps == ["copy"] * len(FILES) + ["sync", "check", "rename"]


def test_a_disk_that_keeps_something_else_is_found_out(base_path: Path, model_path: Path):
    disk = Disk()
    disk.spoiled = "words.txt"
    files = on(disk, files_of(model_path))
    (file,) = (each for each in files if each.path == "assets/words.txt")
    (model_path / "words").write_bytes(b"WORDS")
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        rename_commit(disk, base_path).publish(5, files, CONTENTS, held)
    assert str(caught.value) == (
        f"cannot publish assets/words.txt: {disk.digest(str(model_path / 'words'))} were written,"
        f" but {file.source} had {file.digest}. Nothing was published. Run again, and check whether"
        " another program writes to it."
    )
    assert read_files(base_path) == {}


@pytest.mark.parametrize("step", ["copy", "sync", "rename"])
def test_a_disk_that_fails_leaves_nothing_in_sight(base_path: Path, model_path: Path, step: str):
    # Each step fails after its effect, as a rename does if the new name cannot be made durable.
    disk = Disk(**{step: OSError(5, "Input/output error")})
    commit = rename_commit(disk, base_path)
    with pytest.raises(OSError, match="Input/output error"):
        commit.publish(5, on(disk, files_of(model_path)), CONTENTS, held)
    assert not commit.is_visible(5)
    assert read_files(base_path) == {}


def test_a_version_of_another_writer_is_not_taken_back(base_path: Path, model_path: Path):
    """Without a working lock, another exporter may sweep staging and publish the same number."""
    disk = LocalStorage()

    def sweep_and_publish() -> None:
        for path in (base_path / ".best_exporter" / "staging").iterdir():
            shutil.rmtree(path)
        write_files(base_path / "5", {"saved_model.pb": b"theirs"})

    with pytest.raises(FileNotFoundError):
        rename_commit(disk, base_path).publish(5, files_of(model_path), CONTENTS, sweep_and_publish)
    assert in_sight(base_path) == {"5": {"saved_model.pb": b"theirs"}}


def test_a_rename_that_fails_leaves_nothing_in_sight(
    base_path: Path, model_path: Path, other_file_system: Path
):
    # Renames to another file system fail, even for root.
    (base_path / ".best_exporter").mkdir(parents=True)
    (base_path / ".best_exporter" / "staging").symlink_to(other_file_system)
    with pytest.raises(OSError, match="cross-device"):
        rename_commit(Disk(), base_path).publish(5, files_of(model_path), CONTENTS, held)
    assert in_sight(base_path) == {}
    assert read_files(other_file_system) == {}


def test_what_cannot_be_cleaned_up_does_not_hide_the_error(
    base_path: Path, model_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.WARNING, "tfx_best_exporter")
    disk = Disk(sync=OSError(28, "No space left"), remove=OSError(5, "Input/output error"))
    commit = rename_commit(disk, base_path)
    with pytest.raises(OSError, match="No space left"):
        commit.publish(5, on(disk, files_of(model_path)), CONTENTS, held)
    assert [record.message for record in caplog.records] == [
        not_cleaned_up("[Errno 5] Input/output error")
    ]
    (left_path,) = (base_path / ".best_exporter" / "staging").iterdir()
    problem = "[Errno 5] Input/output error"
    assert commit.recover(held) == [not_removed(left_path, problem)]
    del disk.failures["remove"]
    assert commit.recover(held) == [left(left_path.name, "staging")]
    assert read_files(base_path) == {}


def test_a_retired_version_is_out_of_sight_before_it_is_deleted(base_path: Path, model_path: Path):
    disk = Disk()
    commit = rename_commit(disk, base_path)
    commit.publish(5, files_of(model_path), CONTENTS, held)
    disk.steps.clear()
    assert commit.retire({5: ()}, lambda: disk.steps.append("check")) == {}
    assert disk.steps == ["check", "rename", "end of batch", "remove", "end of batch"]
    commit.publish(6, files_of(model_path), CONTENTS, held)
    disk.failures["remove"] = OSError(5, "Input/output error")
    assert commit.retire({6: ()}, held) == {6: disk.failures["remove"]}
    assert not commit.is_visible(6)
    (left_path,) = (base_path / ".best_exporter" / "trash").iterdir()
    assert read_files(left_path) == WHOLE
    del disk.failures["remove"]
    assert commit.recover(held) == [left(left_path.name, "trash")]


def test_all_renames_are_durable_before_the_first_deletion(base_path: Path, model_path: Path):
    disk = Disk()
    commit = rename_commit(disk, base_path)
    for version in (5, 6):
        commit.publish(version, files_of(model_path), CONTENTS, held)
    disk.steps.clear()
    assert commit.retire({5: (), 6: ()}, held) == {}
    assert disk.steps == ["rename", "rename", "end of batch", "remove", "remove", "end of batch"]


def test_versions_whose_renames_may_not_be_durable_keep_their_files(
    base_path: Path, model_path: Path
):
    disk = Disk()
    commit = rename_commit(disk, base_path)
    for version in (5, 6):
        commit.publish(version, files_of(model_path), CONTENTS, held)
    disk.failures["end of batch"] = error = OSError(5, "Input/output error")
    assert commit.retire({5: (), 6: ()}, held) == {5: error, 6: error}
    assert len(left_in(base_path)) == 2 * len(WHOLE)
    del disk.failures["end of batch"]
    assert len(commit.recover(held)) == 2


# MarkerCommit.


def test_the_marker_is_written_last(
    marker_commit: MarkerCommit, bucket: Bucket, base_path: Path, model_path: Path
):
    marker_commit.publish(
        5, files_of(model_path), CONTENTS, lambda: bucket.steps.append("check the lease")
    )
    staged = "base/.best_exporter/staging/5"
    names = sorted(name for name in FILES if name != "saved_model.pb")
    assert bucket.steps[:2] == [f"write {staged}/claim.json", "check the lease"]
    assert sorted(bucket.steps[2:-4]) == sorted(
        [
            *(f"upload base/5/{name}" for name in names),
            f"write base/5/{RECORD_PATH}",
            f"upload {staged}/saved_model.pb",
        ]
    )
    assert bucket.steps[-4:] == [
        "check the lease",
        "copy base/5/saved_model.pb",
        f"remove {staged}/claim.json",
        f"remove {staged}/saved_model.pb",
    ]


def test_the_marker_of_a_large_upload_is_written_last(
    large_commit: MarkerCommit, bucket: Bucket, base_path: Path, model_path: Path
):
    large_commit.publish(
        5, files_of(model_path), CONTENTS, lambda: bucket.steps.append("check the lease")
    )
    staged = "base/.best_exporter/staging/5"
    names = sorted(name for name in FILES if name != "saved_model.pb")
    count = len(names)
    assert bucket.steps[:2] == [f"write {staged}/claim.json", "check the lease"]
    uploads, rest = bucket.steps[2 : 2 + count], bucket.steps[2 + count : -4 - count]
    assert sorted(uploads) == [f"upload {staged}/files/{name}" for name in names]
    assert sorted(rest) == sorted(
        [
            *(f"copy base/5/{name}" for name in names),
            f"write base/5/{RECORD_PATH}",
            f"upload {staged}/saved_model.pb",
        ]
    )
    assert bucket.steps[-4 - count : -2 - count] == [
        "check the lease",
        "copy base/5/saved_model.pb",
    ]
    assert all(step.startswith(f"remove {staged}/") for step in bucket.steps[-2 - count :])
    assert in_sight(base_path) == {"5": WHOLE}
    assert left_in(base_path) == []


@pytest.mark.parametrize(("more_bytes", "is_staged"), [(0, False), (-1, True)])
def test_the_size_of_the_upload_decides(
    bucket: Bucket, model_path: Path, more_bytes: int, is_staged: bool
):
    files = files_of(model_path)
    outside = [file for file in on(bucket, files) if file.path.startswith("assets/")]
    inside = [file for file in files if not file.path.startswith("assets/")]
    uploaded = sum(file.digest.size for file in inside if not file.is_marker)
    base, state = bucket.location("base"), bucket.location("base/.best_exporter")
    commit = MarkerCommit(base, state, direct_bytes=uploaded + more_bytes)
    commit.publish(5, [*inside, *outside], CONTENTS, held)
    uploads = [step for step in bucket.steps if step.startswith("upload ") and "variab" in step]
    assert ["/staging/5/files/" in step for step in uploads] == [is_staged] * len(uploads)
    assert len(uploads) == 2


def test_what_is_in_the_store_is_copied_there(
    marker_commit: MarkerCommit, bucket: Bucket, base_path: Path, model_path: Path
):
    marker_commit.publish(5, on(bucket, files_of(model_path)), CONTENTS, held)
    staged = "base/.best_exporter/staging/5"
    assert not [step for step in bucket.steps if step.startswith(("upload ", f"copy {staged}/f"))]
    assert bucket.steps.index("copy base/5/saved_model.pb") > max(
        bucket.steps.index(f"copy base/5/{name}") for name in FILES if name != "saved_model.pb"
    )
    assert in_sight(base_path) == {"5": WHOLE}


@pytest.mark.parametrize("marker", ["saved_model.pb", "saved_model.pbtxt"])
def test_the_marker_is_deleted_first(
    marker_commit: MarkerCommit, bucket: Bucket, tmp_path: Path, marker: str
):
    files = {name: content for name, content in FILES.items() if name != "saved_model.pb"}
    model_path = write_files(tmp_path / "model", {**files, marker: b"graph"})
    marker_commit.publish(5, files_of(model_path), CONTENTS, held)
    assert marker_commit.is_visible(5)
    listed = {5: marker_commit.files_to_delete(5)}
    bucket.steps.clear()
    assert marker_commit.retire(listed, lambda: bucket.steps.append("check the lease")) == {}
    assert bucket.steps[:2] == ["check the lease", f"remove base/5/{marker}"]
    assert sorted(bucket.steps[2:]) == sorted(
        f"remove base/5/{name}" for name in (*files, RECORD_PATH)
    )


@pytest.mark.parametrize("fixture", ["marker_commit", "large_commit"])
def test_what_is_listed_must_be_what_was_written(
    fixture: str,
    request: pytest.FixtureRequest,
    bucket: Bucket,
    base_path: Path,
    model_path: Path,
):
    sizes = bucket.sizes

    def spoil(path: str) -> dict[str, int]:
        if path == str(base_path / "5") and (base_path / "5" / "fingerprint.pb").exists():
            (base_path / "5" / "assets" / "words.txt").write_bytes(b"more words")
            (base_path / "5" / "assets" / "strange").write_bytes(b"")
            (base_path / "5" / "fingerprint.pb").unlink()
        return sizes(path)

    bucket.sizes = spoil
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        request.getfixturevalue(fixture).publish(5, files_of(model_path), CONTENTS, held)
    assert str(caught.value) == (
        "cannot publish bucket://base/5: the store lists other sizes than were written for"
        " assets/strange, assets/words.txt, fingerprint.pb. Nothing was published. Run again, and"
        " check whether another program writes to it."
    )
    # A file that another program has written to the same number is not removed.
    assert read_files(base_path) == {"5/assets/strange": b""}


def test_a_claim_keeps_a_version(
    marker_commit: MarkerCommit, bucket: Bucket, base_path: Path, model_path: Path
):
    write_files(base_path / ".best_exporter" / "staging" / "5", {"claim.json": b"{}"})
    with pytest.raises(VersionTakenError):
        marker_commit.publish(5, files_of(model_path), CONTENTS, held)
    assert bucket.steps == ["write base/.best_exporter/staging/5/claim.json"]
    assert in_sight(base_path) == {}
    # The writer may still run, so its claim stays until a larger version exists.
    assert marker_commit.recover(held) == []
    assert left_in(base_path) == ["staging/5/claim.json"]
    marker_commit.publish(6, files_of(model_path), CONTENTS, held)
    assert left_in(base_path) == []
    assert in_sight(base_path) == {"6": WHOLE}


def test_a_claim_goes_when_a_larger_version_is_there(
    marker_commit: MarkerCommit, base_path: Path, model_path: Path
):
    marker_commit.publish(6, files_of(model_path), CONTENTS, held)
    # Model servers cannot read this number, so it is not a version.
    write_files(base_path / str(2**63), {"notes": b""})
    for version in ("5", "7"):
        staging_path = base_path / ".best_exporter" / "staging" / version
        write_files(staging_path, {"claim.json": b"{}"})
    assert marker_commit.recover(held) == []
    assert left_in(base_path) == ["staging/7/claim.json"]


def test_a_half_written_version_is_recovered(
    marker_commit: MarkerCommit, bucket: Bucket, base_path: Path
):
    staging_path = base_path / ".best_exporter" / "staging"
    write_files(staging_path / "5", {"claim.json": b"{}", "saved_model.pb": b"graph"})
    write_files(base_path / "5", {name: FILES[name] for name in FILES if name != "saved_model.pb"})
    write_files(staging_path / "notes", {"a": b""})
    assert marker_commit.recover(held) == [
        half_written(5),
        left("notes", "staging"),
    ]
    assert read_files(base_path) == {".best_exporter/staging/5/claim.json": b"{}"}
    # The staged marker, which the writer would need for its commit, is removed first.
    assert bucket.steps[0] == "remove base/.best_exporter/staging/5/saved_model.pb"
    assert marker_commit.recover(held) == []


def test_what_cannot_be_recovered_is_told(
    marker_commit: MarkerCommit, bucket: Bucket, base_path: Path
):
    write_files(base_path / "5", {"assets/words.txt": b"words"})
    write_files(base_path / ".best_exporter" / "staging" / "5", {"claim.json": b"{}"})

    def refuse(step: str) -> None:
        raise StorageError("no permission")

    bucket.before = refuse
    assert marker_commit.recover(held) == [not_removed("bucket://base/5", "no permission")]
    bucket.before = lambda step: None
    assert marker_commit.recover(held) == [half_written(5)]


def test_a_marker_that_stays_is_told(marker_commit: MarkerCommit, bucket: Bucket, base_path: Path):
    staging_path = base_path / ".best_exporter" / "staging" / "5"
    write_files(staging_path, {"claim.json": b"{}", "saved_model.pb": b"graph"})
    write_files(base_path / "5", {"assets/words.txt": b"words"})

    def refuse(step: str) -> None:
        raise StorageError("no permission")

    bucket.before = refuse
    assert marker_commit.recover(held) == [not_removed("bucket://base/5", "no permission")]
    assert len(read_files(base_path)) == 3


def test_an_export_counts_whose_leftovers_cannot_be_removed(
    marker_commit: MarkerCommit,
    bucket: Bucket,
    base_path: Path,
    model_path: Path,
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level(logging.WARNING, "tfx_best_exporter")

    def refuse(step: str) -> None:
        if step.startswith("remove "):
            raise StorageError("no permission")

    bucket.before = refuse
    marker_commit.publish(5, files_of(model_path), CONTENTS, held)
    assert in_sight(base_path) == {"5": WHOLE}
    assert caplog.messages == [not_cleaned_up("no permission")]
    bucket.before = lambda step: None
    assert marker_commit.recover(held) == [left("5", "staging")]


def test_a_version_in_sight_is_not_touched(
    marker_commit: MarkerCommit, base_path: Path, model_path: Path
):
    # The state after a kill right after the commit: only the staged files are left.
    marker_commit.publish(5, files_of(model_path), CONTENTS, held)
    staging_path = base_path / ".best_exporter" / "staging" / "5"
    write_files(staging_path, {"claim.json": b"{}", "saved_model.pb": b"graph"})
    assert marker_commit.recover(held) == [left("5", "staging")]
    assert in_sight(base_path) == {"5": WHOLE}
    assert left_in(base_path) == []


def test_a_zombie_whose_marker_was_cleaned_up_cannot_commit(
    marker_commit: MarkerCommit, bucket: Bucket, base_path: Path, model_path: Path
):
    other = MarkerCommit(bucket.location("base"), bucket.location("base/.best_exporter"))

    def recover(step: str) -> None:
        # At this step, the lease has been checked and the commit follows.
        if step.startswith("copy base/5/"):
            bucket.before = lambda step: None
            assert other.recover(held) == [half_written(5)]

    bucket.before = recover
    with pytest.raises(FileNotFoundError):
        marker_commit.publish(5, files_of(model_path), CONTENTS, held)
    assert read_files(base_path) == {}


def test_a_commit_whose_reply_is_lost_counts(
    marker_commit: MarkerCommit, bucket: Bucket, base_path: Path, model_path: Path
):
    def lose_reply(step: str) -> None:
        if step == "copy base/5/saved_model.pb":
            (base_path / "5" / "saved_model.pb").write_bytes(FILES["saved_model.pb"])
            raise StorageError("no answer")

    bucket.before = lose_reply
    marker_commit.publish(5, files_of(model_path), CONTENTS, held)
    assert in_sight(base_path) == {"5": WHOLE}
    assert left_in(base_path) == []


def test_an_interrupt_in_the_commit_takes_nothing_out_of_sight(
    marker_commit: MarkerCommit, bucket: Bucket, base_path: Path, model_path: Path
):
    def interrupt(step: str) -> None:
        if step == "copy base/5/saved_model.pb":
            (base_path / "5" / "saved_model.pb").write_bytes(FILES["saved_model.pb"])
            raise KeyboardInterrupt

    bucket.before = interrupt
    with pytest.raises(KeyboardInterrupt):
        marker_commit.publish(5, files_of(model_path), CONTENTS, held)
    assert in_sight(base_path) == {"5": WHOLE}
    bucket.before = lambda step: None
    assert marker_commit.recover(held) == [left("5", "staging")]
    assert in_sight(base_path) == {"5": WHOLE}


def test_a_commit_that_nobody_can_look_at_is_left_to_the_next_run(
    marker_commit: MarkerCommit,
    bucket: Bucket,
    base_path: Path,
    model_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    def go_away(step: str) -> None:
        if step == "copy base/5/saved_model.pb":
            (base_path / "5" / "saved_model.pb").write_bytes(FILES["saved_model.pb"])
            monkeypatch.setattr(marker_commit, "is_visible", refuse)
            raise StorageError("no answer")

    def refuse(version: int) -> bool:
        raise StorageError("still no answer")

    bucket.before = go_away
    with pytest.raises(StorageError) as caught:
        marker_commit.publish(5, files_of(model_path), CONTENTS, held)
    assert str(caught.value) == "no answer"
    assert in_sight(base_path) == {"5": WHOLE}


def test_what_went_wrong_is_told_though_cleaning_up_fails_too(
    marker_commit: MarkerCommit,
    bucket: Bucket,
    model_path: Path,
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level(logging.WARNING, "tfx_best_exporter")

    def refuse(step: str) -> None:
        if step.startswith("remove "):
            raise StorageError("no permission")
        if step == "upload base/5/assets/words.txt":
            raise StorageError("no quota")

    bucket.before = refuse
    with pytest.raises(StorageError) as caught:
        marker_commit.publish(5, files_of(model_path), CONTENTS, held)
    assert str(caught.value) == "no quota"
    assert not_cleaned_up("no permission") in (caplog.messages)


# Faults at every step.


def at_step(number: int, act: Callable[[], None], *, is_final: bool) -> Callable[[str], None]:
    """Returns a hook that acts before one step, and before all later steps if is_final."""
    numbers = itertools.count()
    guard = threading.Lock()

    def hook(step: str) -> None:
        if "/stamps" in step:
            return
        with guard:
            current = next(numbers)
        if current == number or (is_final and current > number):
            act()

    return hook


@pytest.fixture(params=[64 << 20, 0], ids=["direct", "staged"])
def direct_bytes(request: pytest.FixtureRequest) -> int:
    return request.param


def export_and_retire(bucket: Bucket, model_path: Path, direct_bytes: int) -> Export:
    """Publishes version 5 or a later one, and retires version 3."""
    base = bucket.location("base")
    exports = ExportDirectory(base)
    exports._commit = MarkerCommit(base, base / STATE_DIRECTORY, direct_bytes=direct_bytes)
    with exports.lock():
        exports.recover()
        published, _ = exports.publish(5, files_of(model_path), record_of(name=model_path.name))
        for export in exports.exports():
            if export.version == 3:
                # A writer that loses its lock here has published its version nevertheless.
                with contextlib.suppress(LeaseLostError):
                    retire_locked(exports, export, why="too old", now=0)
        return published


def three_versions(tmp_path: Path, model_path: Path) -> Bucket:
    bucket = Bucket(tmp_path)
    exports = ExportDirectory(bucket.location("base"))
    with exports.lock():
        for version in (3, 4):
            exports.publish(version, files_of(model_path), record_of())
    return bucket


def check_whole(bucket: Bucket) -> list[int]:
    """Returns the visible versions, after checking that each is complete."""
    exports = ExportDirectory(bucket.location("base"))
    versions = sorted(int(name) for name in in_sight(bucket.directory / "base"))
    for export in exports.exports():
        if export.version in versions:
            assert exports.verify(export) == []
    return versions


def steps_of(tmp_path: Path, model_path: Path, direct_bytes: int) -> int:
    bucket = three_versions(tmp_path / "undisturbed", model_path)
    bucket.steps.clear()
    export_and_retire(bucket, model_path, direct_bytes)
    # Stamps are noted or not, depending on the age of the files.
    return len([step for step in bucket.steps if "/stamps" not in step])


def test_killed_at_every_step(tmp_path: Path, model_path: Path, direct_bytes: int):
    def kill() -> None:
        raise KilledError

    total = steps_of(tmp_path, model_path, direct_bytes)
    assert total > 15
    seen = []
    for number in range(total):
        bucket = three_versions(tmp_path / str(number), model_path)
        bucket.before = at_step(number, kill, is_final=True)
        with pytest.raises(KilledError):
            export_and_retire(bucket, model_path, direct_bytes)
        bucket.before = lambda step: None
        versions = check_whole(bucket)
        if versions not in seen:
            seen.append(versions)
        published = export_and_retire(bucket, model_path, direct_bytes)
        is_committed = 5 in versions or 3 not in versions
        # The killed run has claimed its version, so the next run takes a larger one.
        assert check_whole(bucket) == sorted({4, published.version, *([5] if is_committed else [])})
        exports = ExportDirectory(bucket.location("base"))
        assert [export.version for export in exports.exports()] == check_whole(bucket)
        assert [tombstone.record.version for tombstone in exports.tombstones()] == [3]
        assert left_in(bucket.directory / "base") == ["largest_version", "retired/3.json"]
    assert seen == [[3, 4], [3, 4, 5], [4, 5]]


def test_failing_at_every_step(tmp_path: Path, model_path: Path, direct_bytes: int):
    def fail() -> None:
        raise StorageError("no answer")

    for number in range(steps_of(tmp_path, model_path, direct_bytes)):
        bucket = three_versions(tmp_path / str(number), model_path)
        bucket.before = at_step(number, fail, is_final=False)
        with contextlib.suppress(StorageError):
            export_and_retire(bucket, model_path, direct_bytes)
        bucket.before = lambda step: None
        check_whole(bucket)
        published = export_and_retire(bucket, model_path, direct_bytes)
        assert published.version in check_whole(bucket)
        assert 3 not in check_whole(bucket)
        assert left_in(bucket.directory / "base") == ["largest_version", "retired/3.json"]


def test_taken_over_at_every_step(tmp_path: Path, model_path: Path, direct_bytes: int):
    """A writer that lost its lease without noticing continues as if it still held the lease."""
    other_path = write_files(tmp_path / "other", OTHER_FILES)
    outcomes = set()
    for number in range(steps_of(tmp_path, model_path, direct_bytes)):
        bucket = three_versions(tmp_path / str(number), model_path)
        published: list[Export] = []

        def take_over(bucket: Bucket = bucket, published: list[Export] = published) -> None:
            published.append(export_and_retire(bucket, other_path, direct_bytes))

        bucket.before = at_step(number, take_over, is_final=False)
        own = None
        with contextlib.suppress(LeaseLostError):
            own = export_and_retire(bucket, model_path, direct_bytes)
        bucket.before = lambda step: None
        exports = ExportDirectory(bucket.location("base"))
        names = {export.version: exports.record(export).name for export in exports.exports()}
        # The version of the other writer is complete, and has no file of this writer.
        assert names[published[0].version] == "other"
        assert set(check_whole(bucket)) == set(names)
        contents = read_files(bucket.directory / "base" / str(published[0].version))
        assert {name: contents[name] for name in OTHER_FILES} == OTHER_FILES
        assert (own is not None) == (names.get(5) == "model")
        assert 3 not in names
        outcomes.add((own is not None, published[0].version))
        # The next run succeeds and leaves nothing behind.
        export_and_retire(bucket, model_path, direct_bytes)
        assert left_in(bucket.directory / "base") == ["largest_version", "retired/3.json"]
    assert outcomes == {(False, 5), (False, 6), (True, 6)}
