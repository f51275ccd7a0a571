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
      |  sync(staging/<token>), once all copies are verified, then write(the record)
    staged      staging/<token>/, whole and durable    RenameCommit.recover removes it: absent
      |  rename(staging/<token>, <version>)            THE COMMIT, the first half of the call
    named       <version>/, its name in memory only    has nothing to repair: it is served. Power
      |                                                loss: staged or visible
      |  sync of both parent directories, the second half of the call
    visible     <version>/                             has nothing to repair: it is served
      |  write(retired/<version>.json)
    condemned   <version>/, tombstone                  ExportDirectory.recover removes the
      |                                                tombstone: visible
      |  rename(<version>, trash/<version>-<token>)    OUT OF SERVICE
    trashed     trash/<version>-<token>/, tombstone    RenameCommit.recover removes it: retired
      |  remove(trash/<version>-<token>)
    retired     tombstone

After the last state, the tombstone is written again with files_deleted. A version that appears next
to a finished tombstone was restored by a person, and is never removed. Next to an unfinished one,
only the files that the tombstone names and that have not changed since it was written are removed:
a file that changed later is a person's.

Several versions are retired together. Each step is one batch for all of them, which syncs every
directory once, and the next step begins when the batch is durable. A kill within a batch leaves
some versions before the step and the others after it. The next run repairs each of them as above.

A process that is killed after the first rename leaves a complete version that is served. The next
run treats that version as the best: the same candidate is ALREADY_BEST and is not exported twice. A
machine that loses power in the state `named` restarts with the version staged or visible, never
with a part of it, because all files were synced before the rename.

In an object store, MarkerCommit. A *marker* is saved_model.pb, or saved_model.pbtxt:

    state       staging/<version>/   <version>/        killed here: the next run
    absent
      |  write(staging/<version>/claim.json, if_absent=True), and check of the lease
    claimed     claim                                  as copying
      |  copy_files(model, staging/<version>/files), only if the upload is a large one
    uploading   claim, files                           as copying
      |  copy_files(model, <version>), with the record, and
      |  copy_files(marker, staging/<version>), at the same time
    copying     claim, files,        some              MarkerCommit.recover removes all but the
      |         perhaps marker                         claim, the staged marker first: burned
    staged      claim, files, marker all but marker    as copying
      |  copy_files(staged marker, <version>)          THE COMMIT
    committed   claim, files, marker all               MarkerCommit.recover removes
      |                                                staging/<version>/: visible
      |  remove_files(staging/<version>/...), while the lock is released
    visible                          all               has nothing to repair: it is served
      |  write(retired/<version>.json), with the names of all files
    condemned                        all; tombstone    ExportDirectory.recover removes the
      |                                                tombstone: visible
      |  remove_files(<version>/<marker>)              OUT OF SERVICE
    deleting                         some; tombstone   ExportDirectory.recover removes the files
      |                                                that the tombstone names: retired
      |  remove_files(<version>/...)
    retired                          tombstone

    burned      claim                                  MarkerCommit.recover, or the end of a later
                                                       publish, removes the claim once a larger
                                                       version exists

The files of a small upload are written directly to <version>/, in parallel. "files" in staging
exist for a large upload only. A file that is already in the store is copied by the store in both
cases.

No other writer takes a burned number, so a writer that lost its lease without noticing shares no
files with another writer. Such a writer cannot commit either, because `recover` has deleted the
staged marker. The lease is checked after the claim is written and before the first file is: a
writer that slept through its lease while it claimed could otherwise write to a version that another
writer has published, and whose claim that writer has already removed.

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

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from tfx_best_exporter.executor.exports.marker_commit import MarkerCommit
from tfx_best_exporter.executor.exports.rename_commit import RenameCommit
from tfx_best_exporter.executor.exports.saved_model import ModelFile
from tfx_best_exporter.executor.storage.location import Location


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
        contents: Mapping[str, Callable[[], bytes]],
        check_lease: Callable[[], None],
        check_served: Callable[[], None] = lambda: None,
        note_number: Callable[[], None] = lambda: None,
    ) -> None:
        """Makes a version visible.

        Args:
            version: A number that is larger than every earlier version.
            files: Files of the version, with the digests at the time of the decision.
            contents: Functions that return the content of further small files, by path. They are
                called as late as possible, because they may wait.
            check_lease: Called right before the commit.
            check_served: Called right before the commit too; raises if the decision does not hold
                anymore.
            note_number: Called before a file of the version is written.

        Raises:
            ValueError: A file changed since its digest was computed, or the storage wrote other
                content.
            VersionTakenError: Another writer has taken this version.
            LeaseLostError: Another writer took over the lock; nothing was committed.
            OSError: A file cannot be read or written. The version is not visible, unless an object
                store has stopped answering during the commit.
        """
        ...

    def files_to_delete(self, version: int) -> Sequence[str]:
        """Returns the files that `retire` deletes one by one, for the tombstone.

        Raises:
            OSError: The files cannot be listed.
        """
        ...

    def retire(
        self, versions: Mapping[int, Sequence[str]], check_lease: Callable[[], None]
    ) -> dict[int, OSError]:
        """Takes versions out of service, then deletes their files.

        Args:
            versions: Result of `files_to_delete` for each version.
            check_lease: Called before each version is taken out of service.

        Returns:
            The error of each version that could not be taken out of service, or whose files could
            not be deleted; `is_visible` distinguishes the two cases. LeaseLostError if another
            writer took over the lock; the version stays.
        """
        ...

    def is_visible(self, version: int) -> bool:
        """Returns True if a model server would load a version."""
        ...

    def clean_up(self) -> None:
        """Removes files that `publish` has left and that no writer needs.

        Safe without the lock, so it can run while the lock is released. Errors are logged, and the
        next run repeats the removal.
        """
        ...

    def leftovers(self) -> list[str]:
        """Returns the paths of what writers have left; only the holder of the lock may ask.

        `recover` takes them, so that a caller can list other directories at the same time.
        """
        ...

    def recover(
        self, check_lease: Callable[[], None], leftovers: Sequence[str] | None = None
    ) -> list[str]:
        """Removes the leftovers of a writer that died; returns a sentence for each one.

        Args:
            check_lease: Called before each removal.
            leftovers: Result of `leftovers`; None to ask again.

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
