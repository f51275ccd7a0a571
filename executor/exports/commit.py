"""Publishing and retiring a version: all or nothing, in each kind of storage.

There are two ways, and `commit_for` chooses by the storage's `has_atomic_rename`. A disk moves a
whole directory by one rename. An object store has no directories, only names of objects: there
saved_model.pb is copied last and deleted first, because a directory without it is no SavedModel.

In the diagrams each arrow names the call that makes the move. <version>/ lies in the base
directory, the other paths in .best_exporter/. `publish` and `retire` move a version down, and can
be killed in every state, also by SIGKILL. The right column names the repair: the next run begins
with ExportDirectory.recover, which calls the commit's own `recover`. A killed `recover` is repeated
by the run after that. The lease is checked right before a version appears, before it disappears,
and before each repair of a version.

On a disk, RenameCommit:

    state       files                                  killed here: the next run
    absent
      |  copy_files(model, staging/<token>)
    copying     staging/<token>/, partial              RenameCommit.recover removes it: absent
      |  sync(staging/<token>), once the record is written and all copies are verified
    staged      staging/<token>/, whole and durable    RenameCommit.recover removes it: absent
      |  rename(staging/<token>, <version>)            THE COMMIT
    visible     <version>/                             finds it served: nothing to repair
      |  write(retired/<version>.json)
    condemned   <version>/, tombstone                  ExportDirectory.recover removes the
      |                                                tombstone: visible
      |  rename(<version>, trash/<version>-<token>)    OUT OF SERVICE
    trashed     trash/<version>-<token>/, tombstone    RenameCommit.recover removes it: retired
      |  remove(trash/<version>-<token>)
    retired     tombstone

A process killed after the first rename leaves a complete version that is served. The next run takes
it as the best; the same candidate is ALREADY_BEST and is not exported twice. A machine that loses
power before the rename is synced comes up with the version staged or visible, never with a part.

In an object store, MarkerCommit. A *marker* is saved_model.pb, or saved_model.pbtxt:

    state       staging/<version>/   <version>/        killed here: the next run
    absent
      |  write(staging/<version>/claim.json, if_absent=True)
    claimed     claim                                  as copying
      |  copy_files(model, <version>), from staging/<version>/files if it had to be uploaded
    copying     claim, files         some              MarkerCommit.recover removes all but the
      |                                                claim, the staged marker first: burned
      |  copy_files(marker, staging/<version>), once the record is written
    staged      claim, files, marker all but marker    as copying
      |  copy_files(staged marker, <version>)          THE COMMIT
    committed   claim, files, marker all               MarkerCommit.recover removes
      |                                                staging/<version>/: visible
      |  remove(staging/<version>)
    visible                          all               finds it served: nothing to repair
      |  write(retired/<version>.json)
    condemned                        all; tombstone    ExportDirectory.recover removes the
      |                                                tombstone: visible
      |  remove(<version>/<marker>)                    OUT OF SERVICE
    deleting                         some; tombstone   ExportDirectory.recover removes the
      |                                                rest: retired
      |  remove(<version>)
    retired                          tombstone

    burned      claim                                  MarkerCommit.recover, or a publish, removes
                                                       the claim once a larger version is there

Nobody else takes a burned number, so a writer that lost its lease without noticing shares files
with nobody. Such a writer cannot commit either: `recover` has deleted the staged marker.

Each failure is retried in one place:

- The storage's client sends a failed request again, a bounded number of times.
- A commit retries nothing: `publish` takes back what it wrote, also a rename that could not be
  synced, and raises. If the copy of the marker fails, `publish` looks once whether the version is
  visible: the copy may have succeeded and only its response been lost.
- ExportDirectory.retire removes its tombstone again if the version is still visible.
- ExportDirectory.publish takes the next number after VersionTakenError, a bounded number of times.
- `export_if_better` in running/run.py takes the lock, recovers and decides again after
  LeaseLostError, a bounded number of times.
- Every other error ends the run. The next run recovers, and decides by what is visible then.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from tfx_best_exporter.executor.exports.saved_model import MARKERS, ModelFile, total_size
from tfx_best_exporter.executor.exports.versions import MAX_VERSION
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import Kind
from tfx_best_exporter.executor.storage.transfer import copy_files, in_parallel

# In staging/<version>/: who writes this version.
_CLAIM = "claim.json"

_logger = logging.getLogger(__name__)


class VersionTakenError(Exception):
    """Another writer has this version: take a larger one."""


class Commit(Protocol):
    """Publishes and retires versions, whichever call is the last one of its process.

    The promise: a visible version is complete and never changes, until it is retired. All methods
    require the base directory's lock.

    RenameCommit and MarkerCommit are the only two: a storage has an atomic rename or it has none,
    and a new storage says which in `has_atomic_rename`. The module's text says who may retry.
    """

    def publish(
        self,
        version: int,
        files: Sequence[ModelFile],
        contents: Mapping[str, bytes],
        check_lease: Callable[[], None],
    ) -> None:
        """Makes a version appear.

        Args:
            version: Larger than any before.
            files: What it consists of, with the digests they had when they were chosen.
            contents: Further small files by path.
            check_lease: Called right before the commit.

        Raises:
            ValueError: A file changed since its digest was taken, or was not written as it was.
            VersionTakenError: Another writer has this version.
            LeaseLostError: Another writer took over; nothing was committed.
            OSError: Something cannot be read or written; nothing is left in sight.
        """
        ...

    def retire(self, version: int, check_lease: Callable[[], None]) -> None:
        """Makes a version disappear, then deletes its files.

        Raises:
            LeaseLostError: Another writer took over; the version stays.
            OSError: It could not be taken out of service, or what is left of it not be deleted:
                `is_visible` reports which.
        """
        ...

    def is_visible(self, version: int) -> bool:
        """Returns whether a model server would load a version."""
        ...

    def recover(self, check_lease: Callable[[], None]) -> list[str]:
        """Removes what a writer that died has left; returns a sentence for each.

        Raises:
            LeaseLostError: Another writer took over; what is left is for that one to remove.
        """
        ...


def commit_for(base: Location, state: Location) -> Commit:
    """Returns the one of both commits that suits the storage of a base directory.

    Args:
        base: The base directory.
        state: A directory below it that model servers ignore.
    """
    if base.storage.has_atomic_rename:
        return RenameCommit(base, state)
    return MarkerCommit(base, state)


class RenameCommit:
    """On a disk: a directory is complete before it is renamed into sight."""

    def __init__(self, base: Location, state: Location):
        """Makes it; touches nothing."""
        self._base = base
        self._staging = state / "staging"
        self._trash = state / "trash"

    def publish(
        self,
        version: int,
        files: Sequence[ModelFile],
        contents: Mapping[str, bytes],
        check_lease: Callable[[], None],
    ) -> None:
        """Copies, verifies, syncs and renames."""
        staging = self._staging / secrets.token_hex(8)
        try:
            _copy(files, staging)
            for path, content in contents.items():
                (staging / path).write(content)
            _verify(files, staging)
            staging.storage.sync(staging.path)
            check_lease()
            destination = self._base / str(version)
            try:
                staging.storage.rename(staging.path, destination.path)
            except FileExistsError as error:
                raise VersionTakenError from error
            except OSError:
                # Renamed, perhaps, and only the name not made durable: nothing may stay in sight.
                with _tolerated():
                    if not staging.children():
                        staging.storage.rename(destination.path, staging.path)
                raise
        except BaseException:
            with _tolerated():
                staging.remove()
            raise

    def retire(self, version: int, check_lease: Callable[[], None]) -> None:
        """Renames out of sight and deletes."""
        trash = self._trash / f"{version}-{secrets.token_hex(8)}"
        check_lease()
        trash.storage.rename((self._base / str(version)).path, trash.path)
        trash.remove()

    def is_visible(self, version: int) -> bool:
        """Returns whether there is such a directory."""
        name = str(version)
        return any(entry.name == name for entry in self._base.children())

    def recover(self, check_lease: Callable[[], None]) -> list[str]:
        """Empties staging and trash."""
        found = []
        for directory in (self._staging, self._trash):
            for entry in directory.children():
                check_lease()
                found.append(remove_leftover(directory / entry.name))
        return found


class MarkerCommit:
    """In an object store: a directory is a SavedModel once its saved_model.pb is there.

    The marker waits in staging/<version>/ and is copied into place by the storage. Who recovers
    deletes it there first: a writer that lost its lease without knowing finds nothing to copy, and
    cannot commit what was cleaned up behind its back. The claim of its version stays there until a
    larger version is in sight: whatever such a writer still uploads or deletes, nobody else has
    files under that version.
    """

    def __init__(self, base: Location, state: Location):
        """Makes it; touches nothing."""
        self._base = base
        self._staging = state / "staging"

    def publish(
        self,
        version: int,
        files: Sequence[ModelFile],
        contents: Mapping[str, bytes],
        check_lease: Callable[[], None],
    ) -> None:
        """Claims the version, uploads, copies all but the marker, verifies, copies the marker.

        What is not in the store yet is uploaded out of sight: a model server that sees a version's
        first file wants the whole, and waits a few minutes only.
        """
        staging = self._staging / str(version)
        destination = self._base / str(version)
        claim = json.dumps({"token": secrets.token_hex(16)}).encode()
        try:
            (staging / _CLAIM).write(claim, if_absent=True)
        except FileExistsError as error:
            raise VersionTakenError from error
        if destination.sizes():
            staging.remove()
            raise VersionTakenError
        markers = [file for file in files if file.is_marker]
        try:
            _copy(
                self._staged([file for file in files if not file.is_marker], staging), destination
            )
            for path, content in contents.items():
                (destination / path).write(content)
            _copy(markers, staging)
            expected = {file.path: file.digest.size for file in files if not file.is_marker}
            expected.update((path, len(content)) for path, content in contents.items())
            _check_sizes(expected, destination)
            check_lease()
        except Exception:
            with _tolerated():
                self._remove(version)
            # Who lost the lease finds files missing that the next writer has cleaned up.
            check_lease()
            raise
        except BaseException:
            with _tolerated():
                self._remove(version)
            raise
        self._put_markers([file.path for file in markers], version, check_lease)
        with _tolerated():
            staging.remove()
            self._remove_claims_below(version)

    def _staged(self, files: Sequence[ModelFile], staging: Location) -> list[ModelFile]:
        """Returns the files as they lie in the store, uploaded to staging where they did not."""
        outside = [file for file in files if file.source.storage is not staging.storage]
        _copy(outside, staging / "files")
        return [
            file
            if file.source.storage is staging.storage
            else dataclasses.replace(file, source=staging / "files" / file.path)
            for file in files
        ]

    def _put_markers(
        self, names: Sequence[str], version: int, check_lease: Callable[[], None]
    ) -> None:
        """Commits. From here on a model server may load the version: what is in sight stays.

        An interrupt leaves it to recover to see whether it is.
        """
        staging, destination = self._staging / str(version), self._base / str(version)
        try:
            _copy([ModelFile.read(name, staging / name) for name in names], destination)
        except (OSError, ValueError) as error:
            # It may be there and only the reply be lost. What is not what was staged is no commit.
            if isinstance(error, OSError) and self._may_be_visible(version, error):
                return
            with _tolerated():
                self._remove(version)
            check_lease()
            raise

    def _may_be_visible(self, version: int, error: OSError) -> bool:
        try:
            return self.is_visible(version)
        except OSError:
            # Nobody knows: nothing is touched, and the next run looks.
            raise error from None

    def retire(self, version: int, check_lease: Callable[[], None]) -> None:
        """Deletes the marker, then the rest."""
        check_lease()
        for marker in MARKERS:
            (self._base / str(version) / marker).remove()
        (self._base / str(version)).remove()

    def is_visible(self, version: int) -> bool:
        """Returns whether there is a marker."""
        entries = (self._base / str(version)).children()
        return any(entry.name in MARKERS for entry in entries)

    def recover(self, check_lease: Callable[[], None]) -> list[str]:
        """Removes versions that were claimed and not committed; keeps the largest one's claim."""
        found = []
        for entry in self._staging.children():
            is_version = entry.kind is Kind.DIRECTORY and entry.name.isdecimal()
            check_lease()
            try:
                if is_version:
                    # From here on nobody can commit it: what is not in sight now never will be.
                    for marker in MARKERS:
                        (self._staging / entry.name / marker).remove()
                if not is_version or self.is_visible(int(entry.name)):
                    found.append(remove_leftover(self._staging / entry.name))
                elif self._remove_files(int(entry.name)):
                    found.append(f"removed version {entry.name}: a run had left it half written")
            except OSError as error:
                found.append(_not_removed(self._base / entry.name, error))
        # What no model server can read as a number is no version, however large it looks.
        versions = (int(entry.name) for entry in self._base.children() if entry.name.isdecimal())
        self._remove_claims_below(
            max((version for version in versions if version <= MAX_VERSION), default=0)
        )
        return found

    def _remove_claims_below(self, version: int) -> None:
        # Versions only grow: nobody will ask for these again.
        for entry in self._staging.children():
            if entry.name.isdecimal() and int(entry.name) < version:
                (self._staging / entry.name).remove()

    def _remove(self, version: int) -> None:
        self._remove_files(version)
        (self._staging / str(version)).remove()

    def _remove_files(self, version: int) -> bool:
        """Removes all of a version but its claim; returns whether there was anything."""
        staging, destination = self._staging / str(version), self._base / str(version)
        paths = {*staging.sizes()} - {_CLAIM}
        # First what a writer that still runs would need for its commit.
        for path in paths:
            (staging / path).remove()
        is_written = bool(destination.sizes())
        if is_written:
            for marker in MARKERS:
                (destination / marker).remove()
            destination.remove()
        return bool(paths) or is_written


def remove_leftover(location: Location, removed: str = "") -> str:
    """Removes what a run has left in a directory; returns a sentence, `removed` if it is gone."""
    try:
        location.remove()
    except OSError as error:
        return _not_removed(location, error)
    directory = location.path.split("/")[-2]
    return removed or f"removed {location.name} from {directory}: a run had left it"


def _not_removed(location: Location, error: OSError) -> str:
    return f"{location} could not be removed, the next run tries again: {error}"


@contextlib.contextmanager
def _tolerated() -> Iterator[None]:
    """Lets the error count that is being handled: what cannot be undone now, recover will."""
    try:
        yield
    except OSError as error:
        _logger.warning("cleaning up failed, the next run tries again: %s", error)


def _copy(files: Sequence[ModelFile], destination: Location) -> None:
    digests = copy_files(
        [(file.source, destination / file.path) for file in files],
        total_bytes=total_size(files),
    )
    for file, digest in zip(files, digests, strict=True):
        if digest != file.digest:
            raise ValueError(_changed(file, "copied", digest))


def _verify(files: Sequence[ModelFile], destination: Location) -> None:
    """Reads what was written: a disk may have kept less than it was given."""

    def verify(file: ModelFile) -> None:
        digest = (destination / file.path).digest()
        if digest != file.digest:
            raise ValueError(_changed(file, "written", digest))

    in_parallel(verify, files, destination.storage, total_bytes=total_size(files))


def _check_sizes(expected: Mapping[str, int], destination: Location) -> None:
    """Compares what the store lists; the digests it has told when the files were written."""
    actual = destination.sizes()
    if actual != dict(expected):
        different = sorted(
            path for path in {*expected, *actual} if expected.get(path) != actual.get(path)
        )
        raise ValueError(
            f"version must be written whole (got other sizes of {', '.join(different)}, at"
            f" {destination}). Nothing was published: run again, and see what else writes there."
        )


def _changed(file: ModelFile, how: str, digest: object) -> str:
    return (
        f"{file.path} must be {how} as it was read (got {digest}, expected {file.digest}, at"
        f" {file.source}). Nothing was published: run again, and see what else writes there."
    )
