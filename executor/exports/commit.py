"""Publishes and retires versions, all or nothing, in each kind of storage.

There are two kinds of commit, and `commit_for` chooses by the storage's `has_atomic_rename`. A disk
moves a whole directory by one rename. An object store has no directories, only names of objects. A
directory without saved_model.pb is no SavedModel, so in an object store saved_model.pb is copied
last and deleted first.

In the diagrams, each arrow names the call that changes the state. <version>/ is in the base
directory, the other paths are in .best_exporter/. `publish` and `retire` move a version down the
diagram, and can be killed in every state, also by SIGKILL. The right column names the repair: the
next run begins with ExportDirectory.recover, which calls the commit's own `recover`. If `recover`
is killed, the run after that repeats it. The lease is checked right before a version appears,
before it disappears, and before each repair of a version.

On a disk, RenameCommit:

    state       files                                  killed here: the next run
    absent
      |  copy_files(model, staging/<token>)
    copying     staging/<token>/, partial              RenameCommit.recover removes it: absent
      |  sync(staging/<token>), once the record is written and all copies are verified
    staged      staging/<token>/, whole and durable    RenameCommit.recover removes it: absent
      |  rename(staging/<token>, <version>)            THE COMMIT
    visible     <version>/                             has nothing to repair: it is served
      |  write(retired/<version>.json)
    condemned   <version>/, tombstone                  ExportDirectory.recover removes the
      |                                                tombstone: visible
      |  rename(<version>, trash/<version>-<token>)    OUT OF SERVICE
    trashed     trash/<version>-<token>/, tombstone    RenameCommit.recover removes it: retired
      |  remove(trash/<version>-<token>)
    retired     tombstone

Several versions are retired together. Each step is one batch for all of them, which syncs every
directory once, and the next step begins when the batch is durable. A kill within a batch leaves
some versions before the step and the others after it. The next run repairs each of them as above.

A process that is killed after the first rename leaves a complete version that is served. The next
run treats that version as the best: the same candidate is ALREADY_BEST and is not exported twice. A
machine that loses power before the rename is synced restarts with the version staged or visible,
never with a part of it.

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
    visible                          all               has nothing to repair: it is served
      |  write(retired/<version>.json)
    condemned                        all; tombstone    ExportDirectory.recover removes the
      |                                                tombstone: visible
      |  remove(<version>/<marker>)                    OUT OF SERVICE
    deleting                         some; tombstone   ExportDirectory.recover removes the
      |                                                rest: retired
      |  remove(<version>)
    retired                          tombstone

    burned      claim                                  MarkerCommit.recover, or a publish, removes
                                                       the claim once a larger version exists

No other writer takes a burned number, so a writer that lost its lease without noticing shares no
files with another writer. Such a writer cannot commit either, because `recover` has deleted the
staged marker.

Each failure is retried in one place:

- The storage's client sends a failed request again, a bounded number of times.
- A commit retries nothing: `publish` removes the files that it wrote, undoes a rename that could
  not be synced, and raises. If the copy of the marker fails, `publish` checks once whether the
  version is visible: the copy may have succeeded and only its response been lost.
- ExportDirectory.retire_all removes the tombstone of a version that is still visible.
- ExportDirectory.publish takes the next number after VersionTakenError, a bounded number of times.
- `export_if_better` in running/run.py takes the lock, recovers and decides again after
  LeaseLostError, a bounded number of times.
- Every other error ends the run. The next run recovers, and decides by the versions that are
  visible then.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from tfx_best_exporter.executor.exports import copying
from tfx_best_exporter.executor.exports.saved_model import MARKERS, ModelFile
from tfx_best_exporter.executor.exports.versions import number_of
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import Kind, Storage
from tfx_best_exporter.executor.storage.transfer import in_batch

# The claim is a file in staging/<version>/ that reserves the version for one writer.
_CLAIM = "claim.json"

_logger = logging.getLogger(__name__)


class VersionTakenError(Exception):
    """Another writer has taken this version; a larger one may be free."""


class Commit(Protocol):
    """Publishes and retires versions, safe against a kill at any point.

    A visible version is complete and never changes until it is retired. All methods require the
    base directory's lock.

    RenameCommit and MarkerCommit are the only implementations: a storage either has an atomic
    rename or not, and sets `has_atomic_rename` accordingly. The module's docstring lists the
    retries.
    """

    def publish(
        self,
        version: int,
        files: Sequence[ModelFile],
        contents: Mapping[str, bytes],
        check_lease: Callable[[], None],
    ) -> None:
        """Makes a version visible.

        Args:
            version: A number that is larger than every earlier version.
            files: Files of the version, with the digests at the time of the decision.
            contents: Further small files by path.
            check_lease: Called right before the commit.

        Raises:
            ValueError: A file changed since its digest was computed, or the storage wrote other
                content.
            VersionTakenError: Another writer has taken this version.
            LeaseLostError: Another writer took over the lock; nothing was committed.
            OSError: A file cannot be read or written. The version is not visible, unless an object
                store has stopped answering during the commit.
        """
        ...

    def retire(
        self, versions: Sequence[int], check_lease: Callable[[], None]
    ) -> dict[int, OSError]:
        """Takes versions out of service, then deletes their files.

        Returns:
            The error of each version that could not be taken out of service, or whose files could
            not be deleted; `is_visible` distinguishes the two cases. LeaseLostError if another
            writer took over the lock; the version stays.
        """
        ...

    def is_visible(self, version: int) -> bool:
        """Returns True if a model server would load a version."""
        ...

    def recover(self, check_lease: Callable[[], None]) -> list[str]:
        """Removes the leftovers of a writer that died; returns a sentence for each one.

        Raises:
            LeaseLostError: Another writer took over the lock, and will remove the leftovers.
        """
        ...


def commit_for(base: Location, state: Location) -> Commit:
    """Returns the commit for the storage of a base directory.

    Args:
        base: The base directory.
        state: Directory in the base directory that model servers ignore.
    """
    if base.storage.has_atomic_rename:
        return RenameCommit(base, state)
    return MarkerCommit(base, state)


class RenameCommit:
    """Commit on a disk: a directory is complete before one rename makes it visible."""

    def __init__(self, base: Location, state: Location):
        """Makes a RenameCommit; writes nothing."""
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
        """Copies the files to staging, verifies them, syncs the directory and renames it."""
        staging = self._staging / secrets.token_hex(8)
        try:
            copying.copy(files, staging)
            for path, content in contents.items():
                (staging / path).write(content)
            copying.verify(files, staging)
            staging.storage.sync(staging.path)
            check_lease()
            destination = self._base / str(version)
            try:
                staging.storage.rename(staging.path, destination.path)
            except FileExistsError as error:
                raise VersionTakenError from error
            except OSError:
                # The rename may have succeeded without its sync. A version whose name is not
                # durable must not stay visible.
                with _tolerated():
                    if not staging.children():
                        staging.storage.rename(destination.path, staging.path)
                raise
        except BaseException:
            with _tolerated():
                staging.remove()
            raise

    def retire(
        self, versions: Sequence[int], check_lease: Callable[[], None]
    ) -> dict[int, OSError]:
        """Renames the versions into the trash, and deletes them there once all renames are durable.

        Two syncs of the trash and one of the base directory serve all versions.
        """
        trash = {
            version: (self._trash / f"{version}-{secrets.token_hex(8)}").path
            for version in versions
        }

        def take_out(batch: Storage, version: int) -> None:
            check_lease()
            batch.rename((self._base / str(version)).path, trash[version])

        def delete(batch: Storage, version: int) -> None:
            batch.remove(trash[version])

        kept = in_batch(take_out, versions, self._base.storage)
        taken_out = [version for version in versions if version not in kept]
        return {**kept, **in_batch(delete, taken_out, self._base.storage)}

    def is_visible(self, version: int) -> bool:
        """Returns True if the version directory exists."""
        name = str(version)
        return any(entry.name == name for entry in self._base.children())

    def recover(self, check_lease: Callable[[], None]) -> list[str]:
        """Removes everything in staging and in the trash."""
        found = []
        for directory in (self._staging, self._trash):
            for entry in directory.children():
                check_lease()
                found.append(remove_leftover(directory / entry.name))
        return found


class MarkerCommit:
    """Commit in an object store: a directory becomes a SavedModel when its marker is copied.

    The marker waits in staging/<version>/, and the storage copies it into place. `recover` deletes
    the staged marker first, so that a writer that lost its lease without noticing cannot commit a
    version that was cleaned up. The claim of that version stays in staging/<version>/ until a
    larger version is visible. No other writer therefore has files under that version, and the old
    writer can do no harm with late uploads or deletions.
    """

    def __init__(self, base: Location, state: Location):
        """Makes a MarkerCommit; writes nothing."""
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

        Files that are not in the store yet are uploaded to staging first. A model server that sees
        the first file of a version expects the rest within a few minutes, and an upload may take
        longer.
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
            copying.copy(
                self._staged([file for file in files if not file.is_marker], staging), destination
            )
            for path, content in contents.items():
                (destination / path).write(content)
            copying.copy(markers, staging)
            expected = {file.path: file.digest.size for file in files if not file.is_marker}
            expected.update((path, len(content)) for path, content in contents.items())
            copying.check_sizes(expected, destination)
            check_lease()
        except Exception:
            with _tolerated():
                self._remove(version)
            # A lost lease is the likely cause if the next writer has removed these files, and
            # LeaseLostError makes the run start again.
            check_lease()
            raise
        except BaseException:
            with _tolerated():
                self._remove(version)
            raise
        self._put_markers(markers, version, check_lease)
        with _tolerated():
            staging.remove()
            self._remove_claims_below(version)

    def _staged(self, files: Sequence[ModelFile], staging: Location) -> list[ModelFile]:
        """Returns the files with sources in the store; uploads the others to staging."""
        outside = [file for file in files if file.source.storage is not staging.storage]
        copying.copy(outside, staging / "files")
        return [
            file
            if file.source.storage is staging.storage
            else dataclasses.replace(file, source=staging / "files" / file.path)
            for file in files
        ]

    def _put_markers(
        self, markers: Sequence[ModelFile], version: int, check_lease: Callable[[], None]
    ) -> None:
        """Commits the version. A model server may load a visible version, so it must stay.

        After an interrupt, `recover` finds out whether the version is visible.
        """
        staging, destination = self._staging / str(version), self._base / str(version)
        try:
            copying.copy(
                [dataclasses.replace(file, source=staging / file.path) for file in markers],
                destination,
            )
        except (OSError, ValueError) as error:
            # The copy may have succeeded and only its response been lost. A digest mismatch
            # (ValueError) is never a commit.
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
            # The storage does not answer, so it is not known whether the version is visible. The
            # next run finds out, and nothing is removed now.
            raise error from None

    def retire(
        self, versions: Sequence[int], check_lease: Callable[[], None]
    ) -> dict[int, OSError]:
        """Deletes the marker of each version, then its other files, one version at a time."""
        failures: dict[int, OSError] = {}
        for version in versions:
            try:
                self._retire(version, check_lease)
            except OSError as error:
                failures[version] = error
        return failures

    def _retire(self, version: int, check_lease: Callable[[], None]) -> None:
        check_lease()
        for marker in MARKERS:
            (self._base / str(version) / marker).remove()
        (self._base / str(version)).remove()

    def is_visible(self, version: int) -> bool:
        """Returns True if the version has a marker."""
        entries = (self._base / str(version)).children()
        return any(entry.name in MARKERS for entry in entries)

    def recover(self, check_lease: Callable[[], None]) -> list[str]:
        """Removes the files of versions that were claimed but not committed."""
        entries = self._staging.children()
        if not entries:
            return []
        found = []
        for entry in entries:
            is_version = entry.kind is Kind.DIRECTORY and entry.name.isdecimal()
            check_lease()
            try:
                if is_version:
                    # Without the staged marker, no writer can commit this version anymore. A
                    # version that is not visible now never becomes visible.
                    for marker in MARKERS:
                        (self._staging / entry.name / marker).remove()
                if not is_version or self.is_visible(int(entry.name)):
                    found.append(remove_leftover(self._staging / entry.name))
                elif self._remove_files(int(entry.name)):
                    found.append(
                        f"removed version {entry.name}, left half-written by an earlier run"
                    )
            except OSError as error:
                found.append(_not_removed(self._base / entry.name, error))
        numbers = (number_of(entry.name) for entry in self._base.children())
        self._remove_claims_below(max((n for n in numbers if n is not None), default=0))
        return found

    def _remove_claims_below(self, version: int) -> None:
        # Versions only increase, so no writer asks for these numbers again.
        for entry in self._staging.children():
            if entry.name.isdecimal() and int(entry.name) < version:
                (self._staging / entry.name).remove()

    def _remove(self, version: int) -> None:
        self._remove_files(version)
        (self._staging / str(version)).remove()

    def _remove_files(self, version: int) -> bool:
        """Removes all files of a version except its claim; returns whether it had any."""
        staging, destination = self._staging / str(version), self._base / str(version)
        paths = {*staging.sizes()} - {_CLAIM}
        # Staged files go first, so that a writer that still runs cannot commit.
        for path in paths:
            (staging / path).remove()
        is_written = bool(destination.sizes())
        if is_written:
            for marker in MARKERS:
                (destination / marker).remove()
            destination.remove()
        return bool(paths) or is_written


def remove_leftover(location: Location, removed: str = "") -> str:
    """Removes a leftover of an earlier run; returns a sentence about it.

    Args:
        location: A file or directory.
        removed: Sentence to return after the removal; by default, one that names the location.
    """
    try:
        location.remove()
    except OSError as error:
        return _not_removed(location, error)
    directory = location.path.split("/")[-2]
    return removed or f"removed {location.name} from {directory}, left by an earlier run"


def _not_removed(location: Location, error: OSError) -> str:
    return f"cannot remove {location}, the next run tries again: {error}"


@contextlib.contextmanager
def _tolerated() -> Iterator[None]:
    """Logs an OSError of a cleanup, so that it does not replace the error that is being handled.

    `recover` of the next run repeats the cleanup.
    """
    try:
        yield
    except OSError as error:
        _logger.warning("cannot clean up, the next run tries again: %s", error)
