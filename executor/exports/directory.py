"""ExportDirectory: the version directories that a model server polls, and the exporter's state.

    <base>/<version>/                                    an export; TensorFlow Serving loads it
    <base>/<version>/assets.extra/best_exporter/         its record and its evaluation
    <base>/.best_exporter/lock                           one writer at a time
    <base>/.best_exporter/staging/                       exports being written
    <base>/.best_exporter/trash/<version>-<token>/       exports being deleted, on a disk
    <base>/.best_exporter/retired/<version>.json         tombstones
    <base>/.best_exporter/stamps/<version>.json          stamps of files whose content was checked
    <base>/.best_exporter/largest_version                the largest version ever given
    <base>/.best_exporter/decisions.jsonl                one line for every run and operation
    <base>/.best_exporter/challengers/                   refused models that are measured again

commit.py describes how a version appears and disappears. operators.py lists other files.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

from tfx_best_exporter.executor.exports import (
    inspection,
    records,
    recovery,
    retiring,
    rollback_log,
    saved_model,
    state_directory,
    versions,
)
from tfx_best_exporter.executor.exports.awaiting import Awaiting
from tfx_best_exporter.executor.exports.challengers import Challengers
from tfx_best_exporter.executor.exports.commit import commit_for
from tfx_best_exporter.executor.exports.decision_log import DecisionLog
from tfx_best_exporter.executor.exports.hashing import hashing
from tfx_best_exporter.executor.exports.largest_version import LargestVersion
from tfx_best_exporter.executor.exports.links import check_no_links
from tfx_best_exporter.executor.exports.operators import Operators
from tfx_best_exporter.executor.exports.records import RECORD_PATH, RecordError, Tombstones
from tfx_best_exporter.executor.exports.stamps import Stamps
from tfx_best_exporter.executor.exports.state_directory import STATE_DIRECTORY
from tfx_best_exporter.executor.exports.version_files import VersionTakenError, explained, logged
from tfx_best_exporter.executor.exports.versions import (
    MAX_VERSION,
    Export,
    Inspection,
    Listing,
    Served,
    ServedChangedError,
    Status,
)
from tfx_best_exporter.executor.exports.withdrawals import Withdrawals
from tfx_best_exporter.executor.storage.local_modes import warn_if_unreadable
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import Entry, Lease
from tfx_best_exporter.executor.storage.transfer import at_once, soon
from tfx_best_exporter.proto import best_exporter_pb2 as pb

LOCK_TIMEOUT_SECONDS = 3600.0

_logger = logging.getLogger(__name__)

# Maximum number of versions of other writers that one publish skips.
_MAX_TAKEN = 100


class ExportDirectory:
    """The exports in one base directory.

    Only `lock`, `recover`, `publish` and `retire_all` write to it, and all of them except `lock`
    require the lock.
    """

    def __init__(self, base: Location, state: Location | None = None):
        """Makes an ExportDirectory; writes nothing.

        Args:
            base: Directory that the model server polls; it need not exist yet.
            state: Directory of the exporter's own files; None for .best_exporter in the base.
        """
        self.base = base
        self.state = state_directory.state_directory_of(base, state)
        self._tombstones = Tombstones(self.state / "retired")
        self._stamps = Stamps(self.state / "stamps")
        self._largest_version = LargestVersion(self.state / "largest_version")
        self._commit = commit_for(base, self.state)
        self.operators = Operators(self.state)
        self.withdrawals = Withdrawals(base, self.state, self.check_lease)
        self.awaiting = Awaiting(self.state, self.check_lease)
        self.challengers = Challengers(self.state, self.check_lease)
        self.decision_log = DecisionLog(self.state / "decisions.jsonl")
        self._lease: Lease | None = None
        # The result of `recover`, for `served` and for `next_version` after it.
        self._fresh: Listing | None = None
        # The result of `served` with the lock, on which a publish relies.
        self._seen: Served | None = None
        self._largest_seen: int | None = None
        self._is_new = False
        self._soon: Callable[[Callable[[], object]], None] = lambda call: cast(None, call())

    @contextlib.contextmanager
    def lock(self, timeout_seconds: float = LOCK_TIMEOUT_SECONDS) -> Iterator[None]:
        """Holds the lock that excludes all other writers of this base directory.

        Raises:
            ValueError: The base directory is a file.
            TimeoutError: Another writer did not finish in time.
            StorageError: The state directory, or an entry of it, is a link.
            OSError: The base directory cannot be written.
        """
        check_no_links(self.state)
        state_directory.check_same_file_system(self.base, self.state)
        path = self.base.local_path()
        self._is_new = path is not None and not path.exists()
        with contextlib.ExitStack() as stack:
            after_release = stack.enter_context(soon(self.base.storage))
            with explained(
                "lock the base directory",
                self.base,
                "Grant the permission to write to it, free some space, or set another"
                " push_destination.filesystem.base_directory.",
            ):
                try:
                    self._lease = stack.enter_context(
                        self.base.storage.lock((self.state / "lock").path, timeout_seconds)
                    )
                except NotADirectoryError:
                    # A lock cannot be created below a file. The listing explains the error.
                    self._children()
                    raise
            state_directory.claim(self.base, self.state)
            self._soon = stack.enter_context(soon(self.base.storage))
            # In a store, the lock is released while the files are removed.
            stack.callback(lambda: after_release(self._commit.clean_up))
            try:
                yield
            finally:
                self._lease = self._fresh = self._seen = self._largest_seen = None

    def exports(self) -> tuple[Export, ...]:
        """Returns every version, in order of the numbers; may be empty.

        Raises:
            ValueError: The base directory is a file.
            OSError: The base directory cannot be read.
        """
        return self.listing().exports

    def served(self, inspect: Callable[[Export], Inspection] | None = None) -> Served:
        """Finds the version that a model server serves.

        With the lock, stamps are noted of files that were read.

        Args:
            inspect: Returns the status of a version; default: `inspect`.

        Raises:
            ValueError: The base directory is a file.
            RecordError: The best has a record that cannot be parsed, or a newer version has.
            OSError: The base directory cannot be read.
        """
        check_no_links(self.state)
        fresh, self._fresh = self._fresh, None
        found = inspection.served_of(fresh or self.listing(), inspect or self.inspect)
        if self._lease is not None:
            self._seen = found
        return found

    def inspect(self, export: Export) -> Inspection:
        """Returns the status of a version; with the lock, notes stamps of files that were read.

        Raises:
            RecordError: The version has a record that cannot be parsed.
            StorageError: The storage does not answer.
        """
        known: dict[int, Mapping[str, str]] = {}

        def stamps_of(version: int) -> Mapping[str, str]:
            known[version] = self._stamps.read(version)
            return known[version]

        found = inspection.inspect(export, stamps_of, self._storage_time)
        is_new = found.status is Status.OURS and known.get(export.version) != found.stamps
        if is_new and self._lease is not None:
            self._note_stamps(export, found.stamps)
        return found

    def contents(self, export: Export) -> tuple[pb.ExportRecord | None, str]:
        """Lists a version directory once, or twice without a record; reads its record once.

        Returns:
            The record without the decision, or None for a foreign export; and a difference from
            the record in the sizes of the files that a model server reads, or an empty text.

        Raises:
            RecordError: The record cannot be read.
        """
        sizes = export.location.sizes()
        # A record that is no file is not listed. Reading it raises the error that says so.
        if RECORD_PATH not in sizes and not self.has_record(export):
            return None, ""
        record = records.record_of(export.location, without=["decision"])
        return record, inspection.why_different(record, sizes)

    def unchanged_record(self, export: Export) -> pb.ExportRecord | None:
        """Returns the record of an export without its manifest; None if the export was changed.

        Raises:
            RecordError: The record cannot be read.
            StorageError: The storage does not answer.
        """
        found = inspection.inspect(export, self._stamps.read, self._storage_time)
        if found.status is not Status.OURS or found.record is None:
            return None
        # The manifest of a large model takes much memory.
        found.record.ClearField("manifest")
        return found.record

    def has_record(self, export: Export) -> bool:
        """Returns True if an export has a record; False for a foreign one."""
        return records.has_record(export.location)

    def record(self, export: Export) -> pb.ExportRecord:
        """Returns the record of an export.

        The version in the record differs from the directory if a person has copied an export to a
        larger number, which is the usual way to go back to an older model.

        Raises:
            RecordError: The record is damaged, too large or of a newer schema.
        """
        return records.record_of(export.location)

    def verify(self, export: Export) -> list[str]:
        """Returns a sentence for each file that differs from the record; reads every file.

        Raises:
            RecordError: The export has no record, or the record cannot be read.
        """
        return records.differences(self.record(export), export.location)

    def tombstones(self, warnings: list[str] | None = None) -> Iterator[pb.Tombstone]:
        """Yields the tombstones of retired exports, newest version first; reads one at a time.

        The tombstone of a version in the base directory, and one that cannot be read, is skipped.
        All others are skipped once the storage does not answer.

        Args:
            warnings: List that gets a sentence for each tombstone that cannot be read; None to only
                log it.
        """
        check_no_links(self.state)
        present = {*self.listing().versions}
        for version in reversed(self._tombstones.versions()):
            if version in present:
                continue
            try:
                tombstone = self._tombstones.read(version)
            except (OSError, RecordError) as error:
                warning = f"the tombstone of version {version} is not used: {error}"
                _logger.warning("%s", warning)
                if warnings is not None:
                    warnings.append(warning)
                if isinstance(error, OSError):
                    return
            else:
                yield tombstone

    def next_version(self, now: float) -> int:
        """Returns the time in seconds, or one more than the largest version ever given.

        Args:
            now: Seconds since the epoch.

        Raises:
            ValueError: The largest number that a model server can read is already in use.
        """
        largest = self._largest_seen
        if largest is None:
            listing, names, largest_given = at_once(
                self.base.storage,
                self.listing,
                self._tombstones.versions,
                self._largest_version.read,
            )
            largest = max([listing.largest_version, largest_given, *names])
        version = max(1, int(now), largest + 1)
        if version > MAX_VERSION:
            raise ValueError(
                f"version must be at most {MAX_VERSION} (got {version!r}, at {self.base})."
                " Remove the entry with the largest number from the base directory, and"
                f" {STATE_DIRECTORY}/largest_version."
            )
        return version

    def recover(self) -> tuple[str, ...]:
        """Finishes or removes the leftovers of a run that died; returns a sentence for each one.

        Complete versions that a model server sees never change.
        """
        found = recovery.recover(
            self.base,
            self._commit,
            self._tombstones,
            self._largest_version,
            self.withdrawals,
            self.challengers,
            note=lambda found: rollback_log.note(self.decision_log, found, self.served),
            children=self._children,
            check_lease=self.check_lease,
        )
        listing = self._listing_of(found.entries)
        self._largest_seen = max(listing.largest_version, found.largest_given)
        self._fresh = None if found.sentences else listing
        return found.sentences

    @contextlib.contextmanager
    def work_directory(self) -> Iterator[Path]:
        """Yields a temporary local directory, on the disk of a local base directory."""
        parent = (self.state / "staging").local_path()
        if parent:
            parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="work-", dir=parent) as path:
            yield Path(path)

    def publish(
        self,
        version: int,
        files: Sequence[saved_model.ModelFile],
        make_record: Callable[[int, Sequence[pb.ManifestEntry]], pb.ExportRecord],
    ) -> tuple[Export, pb.ExportRecord]:
        """Makes a complete export visible, and returns it with its record.

        Args:
            version: Smallest version for the export; a larger one is used if another writer has
                taken it.
            files: Files of the export, with the digests at the time of the decision.
            make_record: Returns the record of the export for a version and a manifest.

        Raises:
            ValueError: A file changed since its digest was computed, or the storage wrote other
                content.
            LeaseLostError: Another writer took over the lock; nothing was published.
            ServedChangedError: Another program changed the best, or wrote a newer version, since
                `served` was called; nothing was published.
            OSError: A file cannot be read or written. The export is not visible, unless an object
                store has stopped answering during the commit.
        """
        base_path = self.base.local_path()
        if base_path is not None:
            warn_if_unreadable(base_path, is_new=self._is_new)
        self._fresh = self._largest_seen = None
        published: dict[int, pb.ExportRecord] = {}
        with hashing(files) as hashes:
            for candidate_version in range(version, version + _MAX_TAKEN):

                def make_content(version: int = candidate_version) -> bytes:
                    record = make_record(version, records.manifest_of(files, hashes()))
                    published[version] = record
                    return records.content_of(record, self.base)

                location = self.base / str(candidate_version)
                self.check_lease()
                try:
                    with explained(
                        "write the export",
                        location,
                        "Nothing was published. Check that the model can be read and that the base"
                        " directory has free space, then run again.",
                    ):
                        self._commit.publish(
                            candidate_version,
                            files,
                            {RECORD_PATH: make_content},
                            self.check_lease,
                            check_served=functools.partial(self._check_served, candidate_version),
                            note_number=functools.partial(
                                self._largest_version.write, candidate_version
                            ),
                        )
                except VersionTakenError:
                    continue
                export = Export(version=candidate_version, base=self.base)
                # The copies were compared with the digests in the record a moment ago.
                self._soon(functools.partial(self._note_new_stamps, export))
                return export, published[candidate_version]
        raise ValueError(
            f"cannot publish to {self.base}: other writers have taken version {version} and the"
            f" next {_MAX_TAKEN - 1}. Check which other program writes there, then run again."
        )

    def restored_versions(self) -> frozenset[int]:
        """Returns the versions that were retired and that a person has restored."""
        check_no_links(self.state)
        present = {*self.listing().versions}
        return frozenset(
            version
            for version in self._tombstones.versions()
            if version in present and self._tombstones.is_finished(version)
        )

    def retire_all(
        self,
        reasons: Mapping[Export, str],
        *,
        now: float,
        known_records: Mapping[Export, pb.ExportRecord] | None = None,
    ) -> dict[Export, OSError | RecordError]:
        """Takes exports out of service and deletes their files.

        Args:
            reasons: Exports with a record, and the reason for each; never the best.
            now: Seconds since the epoch.
            known_records: Records that `unchanged_record` returned; the others are read.

        Returns:
            The error of each export that was not retired, or not completely: a RecordError if its
            record cannot be read or names another version, and an OSError if it could not be taken
            out of service, or if some of its files are left for the next run to delete.
        """
        self._fresh = self._largest_seen = None
        own: dict[Export, pb.ExportRecord] = {}
        failures: dict[Export, OSError | RecordError] = {}
        for export in reasons:
            try:
                own[export] = retiring.own_record(export, (known_records or {}).get(export))
            except (OSError, RecordError) as error:
                failures[export] = error

        if not own:
            return {**failures}
        doomed = {export.version for export in own}
        self._stamps.keep_only({*self.listing().versions} - doomed)
        problems = retiring.retire(
            own,
            reasons,
            tombstones=self._tombstones,
            commit=self._commit,
            storage=self.base.storage,
            check_lease=self.check_lease,
            now=now,
        )
        return {**failures, **problems}

    def check_lease(self) -> None:
        """Raises LeaseLostError if another writer took over, and RuntimeError without the lock."""
        if self._lease is None:
            raise RuntimeError(
                f"cannot write to {self.base} without its lock. Call this method within"
                " `with exports.lock():`."
            )
        self._lease.check()

    def _check_served(self, version: int) -> None:
        """Checks that the decision to publish a version is about what is served now."""
        seen = self._seen
        problem = inspection.why_changed(seen, self.listing(), version) if seen else ""
        if problem:
            raise ServedChangedError(
                f"cannot publish to {self.base}: {problem} since the decision. Nothing was"
                " published. Run again."
            )

    def _note_new_stamps(self, export: Export) -> None:
        with logged("note the stamps of", export.location):
            self._note_stamps(export, inspection.stamps_of_files(export.location.tree()))

    def _note_stamps(self, export: Export, stamps: Mapping[str, str]) -> None:
        if not stamps:
            return
        with logged("note the stamps of", export.location):
            self._stamps.write(export.version, stamps)

    def _storage_time(self) -> float:
        return self.base.storage.now((self.state / "lock").path, is_locked=self._lease is not None)

    def listing(self) -> Listing:
        """Returns the entries of the base directory; see `exports`."""
        return self._listing_of(self._children())

    def _listing_of(self, entries: Sequence[Entry]) -> Listing:
        """Returns the versions among the entries, without the exporter's own state."""
        others = [entry for entry in entries if entry.name != STATE_DIRECTORY]
        return versions.listing_of(others, self.base)

    def _children(self) -> Sequence[Entry]:
        try:
            return self.base.children()
        except NotADirectoryError as error:
            raise ValueError(
                "push_destination.filesystem.base_directory must be a directory"
                f" (got {str(self.base)!r}, a file). Choose another path, or move the file away."
            ) from error
