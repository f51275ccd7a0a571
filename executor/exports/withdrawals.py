"""Withdrawals: versions that an operator takes out of service, and puts back.

    .best_exporter/withdrawn/<version>.json   Withdrawal: who, when, why, and how far it has come
    .best_exporter/withdrawn/<version>/       the files of the version

A withdrawal first rejects the model, unless somebody has done so before, and writes its own file,
so that whoever takes the lock next can finish it. In the diagram, each arrow names the call that
changes the state. `recover` repeats the arrows that are missing.

    in service    <version>/
      |  write(rejected/<digest>.json), write(withdrawn/<version>.json, WITHDRAWING)
    WITHDRAWING   <version>/
      |  a disk: rename(<version>, withdrawn/<version>)            OUT OF SERVICE
      |  a store: copy all files, then delete the marker, then the other files
      |  add the line of the rollback to the decision log
      |  write(withdrawn/<version>.json, WITHDRAWN)
    WITHDRAWN     withdrawn/<version>/
      |  restore: write(withdrawn/<version>.json, RESTORING)
    RESTORING     withdrawn/<version>/
      |  a disk: rename(withdrawn/<version>, <version>)            IN SERVICE
      |  a store: copy all files, the marker last
      |  remove(rejected/<digest>.json), remove(withdrawn/<version>.json)
    in service    <version>/

A purge writes the state PURGED before it deletes the files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from tfx_best_exporter.executor.exports.kept_files import why_not_all, why_not_replaceable
from tfx_best_exporter.executor.exports.links import targets_below
from tfx_best_exporter.executor.exports.operators import WITHDRAWN, Operators
from tfx_best_exporter.executor.exports.saved_model import MARKERS
from tfx_best_exporter.executor.exports.version_files import (
    not_removed,
    remove_files,
    remove_version_files,
)
from tfx_best_exporter.executor.exports.versions import Export, number_of
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import Kind, LeaseLostError, StorageError
from tfx_best_exporter.executor.storage.transfer import copy_files
from tfx_best_exporter.proto import best_exporter_pb2 as pb

_State = pb.Withdrawal.State


class Withdrawals:
    """The withdrawn versions of a base directory. All methods but `versions` require the lock."""

    def __init__(self, base: Location, state: Location, check_lease: Callable[[], None]):
        """Makes Withdrawals; reads and writes nothing.

        Args:
            base: The base directory.
            state: The state directory.
            check_lease: Called before each change; raises an error without the lock.
        """
        self._base = base
        self._directory = state / WITHDRAWN
        self._operators = Operators(state)
        self._check_lease = check_lease

    def why_not_withdrawable(self, export: Export) -> str:
        """Returns a reason why a version cannot be withdrawn, or an empty text.

        The files of an earlier withdrawal are deleted only for a whole copy of them.

        Raises:
            OSError: A file cannot be read.
        """
        kept = self._kept(export.version)
        problem = why_not_replaceable(kept, export.location) if _is_there(kept) else ""
        if not problem:
            return ""
        return (
            f"version {export.version} must be a whole copy of the files that an earlier withdrawal"
            f" keeps, because it replaces them (got: {problem}). Remove it from the base directory;"
            " then `best-exporter restore` puts the kept files back."
        )

    def why_not_restorable(self, withdrawal: pb.Withdrawal) -> str:
        """Returns a reason why the kept files cannot be put back, or an empty text.

        Args:
            withdrawal: A withdrawal in the state WITHDRAWN.

        Raises:
            OSError: The storage does not answer.
        """
        kept = self._kept(withdrawal.version)
        problem = why_not_all(kept, withdrawal.files)
        # Relative links lead to their targets only from the base directory.
        if not problem or targets_below([kept]):
            return ""
        return (
            f"kept files of version {withdrawal.version} must be whole (got: {problem}, at"
            f" {kept}). Repair them, or export the model again and delete"
            " them with `best-exporter retire --withdrawn`."
        )

    def begin(self, export: Export, withdrawal: pb.Withdrawal) -> None:
        """Rejects the model of a version, and notes that the version is to be withdrawn.

        A rejection by another action stays as it is. From now on, the next writer finishes the
        withdrawal if `settle` is not called. No earlier withdrawal of the version may be
        unfinished.

        Args:
            export: The version.
            withdrawal: Action, digest and record; the other fields are set here.

        Raises:
            ValueError: Other files of the version are kept; see `why_not_withdrawable`.
            LeaseLostError: Another writer took over the lock.
            OSError: A file cannot be written.
        """
        problem = self.why_not_withdrawable(export)
        if problem:
            raise ValueError(problem)
        withdrawal.version = export.version
        withdrawal.state = _State.WITHDRAWING
        if not self._base.storage.has_atomic_rename:
            withdrawal.files[:] = sorted(export.location.sizes())
        self._check_lease()
        kept = self._kept(export.version)
        if _is_there(kept):
            # A person has copied these files back, and now takes the copy out of service. Without a
            # marker, half of the files cannot be mistaken for a version.
            remove_files([kept / marker for marker in MARKERS])
            kept.remove()
        rejection = self._rejection(withdrawal.digest)
        # The rejection by another action says more, and outlives a restore.
        withdrawal.rejects_model = bool(withdrawal.digest) and (
            rejection is None or rejection.action == withdrawal.action
        )
        if withdrawal.rejects_model:
            self._operators.write_rejection(
                pb.Rejection(
                    action=withdrawal.action,
                    digest=withdrawal.digest,
                    version=export.version,
                    model_uri=withdrawal.record.model.uri,
                )
            )
        self._operators.write_withdrawal(withdrawal)

    def finish(self, export: Export, withdrawal: pb.Withdrawal) -> None:
        """Takes a version out of service for which `begin` was called, and keeps its files.

        A link in the base directory is removed, and its target stays.

        Raises:
            LeaseLostError: Another writer took over the lock.
            OSError: The version could not be taken out of service; the next writer tries again.
        """
        self._check_lease()
        kept = self._kept(export.version)
        if not self._base.storage.has_atomic_rename:
            self._move_files(export.location, kept, withdrawal.files)
        elif _is_there(export.location) and not _is_there(kept):
            if export.kind is Kind.LINK:
                export.location.remove()
            else:
                self._base.storage.rename(export.location.path, kept.path)

    def settle(self, withdrawal: pb.Withdrawal) -> None:
        """Notes that a version is out of service, after the decision log has recorded it.

        Raises:
            LeaseLostError: Another writer took over the lock.
            OSError: The note cannot be written; the next writer tries again.
        """
        self._check_lease()
        # A link was removed, or a person has removed the version since.
        is_kept = _is_there(self._kept(withdrawal.version))
        withdrawal.state = _State.WITHDRAWN if is_kept else _State.PURGED
        self._operators.write_withdrawal(withdrawal)

    def restore(self, version: int) -> None:
        """Puts a withdrawn version back into service, and allows its model again.

        Raises:
            ValueError: The version is not withdrawn, its files were deleted or are not whole, or
                it is there again.
            LeaseLostError: Another writer took over the lock.
            OSError: The version could not be put back; the next writer tries again.
        """
        withdrawal = self._operators.withdrawal(version)
        if withdrawal.state not in (_State.WITHDRAWN, _State.RESTORING):
            raise ValueError(
                f"version must be a withdrawn one whose files are kept (got {version}, at"
                f" {self._base}). `best-exporter history` lists them."
            )
        if withdrawal.state == _State.WITHDRAWN and _is_there(self._export(version).location):
            raise ValueError(
                f"version {version} must not be in the base directory (got one, at {self._base})."
                " Remove it, or keep it and let the withdrawn one be purged."
            )
        if withdrawal.state == _State.WITHDRAWN:
            problem = self.why_not_restorable(withdrawal)
            if problem:
                raise ValueError(problem)
        self._check_lease()
        withdrawal.state = _State.RESTORING
        self._operators.write_withdrawal(withdrawal)
        self._put_back(withdrawal)

    def allows_again(self, withdrawal: pb.Withdrawal) -> bool:
        """Returns True if a restore allows the model again: the withdrawal has rejected it.

        Raises:
            OSError: The storage does not answer.
        """
        rejection = self._rejection(withdrawal.digest) if withdrawal.rejects_model else None
        return rejection is not None and rejection.action == withdrawal.action

    def purge(self, version: int) -> None:
        """Deletes the files of a withdrawn version; its model stays rejected.

        Raises:
            LeaseLostError: Another writer took over the lock.
            OSError: Some files are left; the next writer deletes them.
        """
        withdrawal = self._operators.withdrawal(version)
        if withdrawal.state != _State.WITHDRAWN:
            return
        self._check_lease()
        withdrawal.state = _State.PURGED
        withdrawal.ClearField("files")
        self._operators.write_withdrawal(withdrawal)
        self._kept(version).remove()

    def all(self) -> list[pb.Withdrawal]:
        """Returns the withdrawals by version; costs one listing, and one read for each.

        Raises:
            StorageError: An entry is a link.
            OSError: The storage does not answer.
        """
        return self._operators.withdrawals()

    def recover(
        self,
        withdrawals: Sequence[pb.Withdrawal],
        note: Callable[[Sequence[pb.Withdrawal]], None],
    ) -> list[str]:
        """Finishes what an interrupted operator has begun; returns a sentence for each version.

        Args:
            withdrawals: Result of `all`.
            note: Adds withdrawals to the decision log that are not there yet.

        Raises:
            LeaseLostError: Another writer took over the lock.
        """
        found, finished = [], []
        for withdrawal in withdrawals:
            version = withdrawal.version
            try:
                if withdrawal.state == _State.WITHDRAWING:
                    self.finish(self._export(version), withdrawal)
                    finished.append(withdrawal)
                    found.append(f"finished the withdrawal of version {version}")
                elif withdrawal.state == _State.RESTORING:
                    self._put_back(withdrawal)
                    found.append(f"finished the restore of version {version}")
                elif withdrawal.state == _State.PURGED and self._kept(version).exists():
                    self._kept(version).remove()
                    found.append(f"deleted the remaining files of the withdrawn version {version}")
            except LeaseLostError:
                raise
            except OSError as error:
                found.append(not_removed(self._kept(version), error))
        if finished:
            found.extend(self._settle_all(finished, note))
        return found

    def _settle_all(
        self,
        finished: Sequence[pb.Withdrawal],
        note: Callable[[Sequence[pb.Withdrawal]], None],
    ) -> Iterator[str]:
        """Notes withdrawals in the log and in their files; yields a sentence for each failure."""
        self._check_lease()
        try:
            note(finished)
        except LeaseLostError:
            raise
        except OSError as error:
            # The versions are out of service, so nothing waits for a line of the history.
            yield f"the decision log was not written: {error}"
        for withdrawal in finished:
            try:
                self.settle(withdrawal)
            except LeaseLostError:
                raise
            except OSError as error:
                yield f"the withdrawal of version {withdrawal.version} was not noted: {error}"

    def forget(self, withdrawal: pb.Withdrawal) -> None:
        """Removes a withdrawal whose files were deleted; its model stays rejected.

        Raises:
            LeaseLostError: Another writer took over the lock.
            OSError: The file cannot be removed.
        """
        self._check_lease()
        self._operators.remove_withdrawal(withdrawal.version)

    def _rejection(self, digest: str) -> pb.Rejection | None:
        """Returns the rejection of a model; None if it is not rejected."""
        if not digest or digest not in self._operators.names().rejected:
            return None
        return self._operators.rejection(digest)

    def _put_back(self, withdrawal: pb.Withdrawal) -> None:
        version = withdrawal.version
        kept, place = self._kept(version), self._base / str(version)
        self._check_lease()
        if not self._base.storage.has_atomic_rename:
            self._copy_marker_last(kept, place, withdrawal.files)
        elif _is_there(kept):
            self._base.storage.rename(kept.path, place.path)
        if self.allows_again(withdrawal):
            self._operators.remove_rejection(withdrawal.digest)
        if not self._base.storage.has_atomic_rename:
            remove_files([kept / path for path in withdrawal.files])
        self._operators.remove_withdrawal(version)

    def _move_files(self, source: Location, destination: Location, files: Sequence[str]) -> None:
        """Moves files within a store: copies them, then deletes the marker, then the others."""
        sizes = source.sizes()
        present = [path for path in files if path in sizes]
        copy_files([(source / path, destination / path) for path in present])
        copies = destination.sizes()
        for path in present:
            if copies.get(path) != sizes[path]:
                raise StorageError(
                    f"cannot withdraw {source}: the copy of {path} has another size. The version"
                    " is still served. Try again."
                )
        self._check_lease()
        remove_version_files(source, present)

    def _copy_marker_last(
        self, source: Location, destination: Location, files: Sequence[str]
    ) -> None:
        sizes = source.sizes()
        present = [path for path in files if path in sizes]
        if not present:
            # All files were put back, and nothing but the note is left.
            return
        markers = [path for path in present if path in MARKERS]
        others = [path for path in present if path not in MARKERS]
        self._check_lease()
        copy_files([(source / path, destination / path) for path in others])
        copies = destination.sizes()
        # The other files are deleted after the marker was copied, so they are in the store twice or
        # in the version only. No marker is copied to a part of them.
        for path in files:
            expected = sizes.get(path)
            if path not in MARKERS and (path not in copies or expected not in (None, copies[path])):
                raise StorageError(
                    f"cannot restore {destination}: the copy of {path} is missing or has another"
                    " size. The version is not served yet. Try again."
                )
        self._check_lease()
        copy_files([(source / path, destination / path) for path in markers])

    def _export(self, version: int) -> Export:
        """Returns the version under the name that it has in the base directory."""
        entries = [entry for entry in self._base.children() if number_of(entry.name) == version]
        if len(entries) != 1 or entries[0].name == str(version):
            kind = entries[0].kind if len(entries) == 1 else Kind.DIRECTORY
            return Export(version=version, base=self._base, kind=kind)
        return Export(version=version, base=self._base, name=entries[0].name, kind=entries[0].kind)

    def _kept(self, version: int) -> Location:
        return self._directory / str(version)


def _is_there(location: Location) -> bool:
    """Returns True if a path exists, even if it is an empty directory or a link to nowhere."""
    parent = Location(location.storage, location.path.rpartition("/")[0])
    return any(entry.name == location.name for entry in parent.children())
