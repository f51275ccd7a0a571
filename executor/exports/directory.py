"""ExportDirectory: the version directories that a model server polls, and what lies beside them.

    <base>/<version>/                                    an export; TensorFlow Serving loads it
    <base>/<version>/assets.extra/best_exporter/         its record and its evaluation
    <base>/.best_exporter/lock                           one writer at a time
    <base>/.best_exporter/staging/                       exports being written
    <base>/.best_exporter/trash/<version>-<token>/       exports being deleted, on a disk
    <base>/.best_exporter/retired/<version>.json         tombstones

How a version appears and disappears, all or nothing, is the matter of commit.py.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tfx_best_exporter.executor.exports import records, saved_model, versions
from tfx_best_exporter.executor.exports.commit import (
    VersionTakenError,
    commit_for,
    remove_leftover,
)
from tfx_best_exporter.executor.exports.records import RECORD_PATH, RecordError, Tombstones
from tfx_best_exporter.executor.exports.versions import MAX_VERSION, Export, Served
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import (
    Entry,
    Lease,
    LeaseLostError,
    StorageError,
)
from tfx_best_exporter.executor.storage.transfer import copy_files, link_files
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# Below the base directory. No number: model servers ignore it.
STATE_DIRECTORY = ".best_exporter"

LOCK_TIMEOUT_SECONDS = 3600.0

_logger = logging.getLogger(__name__)

# Other writers' versions that are stepped over in one publish.
_MAX_TAKEN = 100


class ExportDirectory:
    """The exports below one base directory.

    Only `lock`, `recover`, `publish` and `retire` write; the last three ask that the lock is held.
    """

    def __init__(self, base: Location):
        """Makes an ExportDirectory; touches nothing.

        Args:
            base: What the model server polls. It need not exist yet.
        """
        self.base = base
        self._state = base / STATE_DIRECTORY
        self._tombstones = Tombstones(self._state / "retired")
        self._commit = commit_for(base, self._state)
        self._lease: Lease | None = None

    @contextlib.contextmanager
    def lock(self, timeout_seconds: float = LOCK_TIMEOUT_SECONDS) -> Iterator[None]:
        """Keeps every other writer of this base directory out.

        Raises:
            ValueError: The base directory is a file.
            TimeoutError: Another writer did not finish in time.
            OSError: The base directory cannot be written.
        """
        with contextlib.ExitStack() as stack:
            with _explained(
                "push_destination.filesystem.base_directory must be a directory to read and write",
                self.base,
                "Give the permission, free space, or choose another directory.",
            ):
                # Before the lock creates anything there: a file is no base directory.
                self._children()
                self._lease = stack.enter_context(
                    self.base.storage.lock((self._state / "lock").path, timeout_seconds)
                )
            try:
                yield
            finally:
                self._lease = None

    def exports(self) -> tuple[Export, ...]:
        """Returns every version directory, by version; none if the base directory does not exist.

        Raises:
            ValueError: The base directory is a file.
            OSError: The base directory cannot be read.
        """
        return versions.exports_among(self._entries(), self.base)

    def served(self) -> Served:
        """Lists the base directory once, and finds the export that a model server serves.

        Raises:
            ValueError: The base directory is a file.
            RecordError: The newest complete export, or a newer one, has an unreadable record.
            OSError: The base directory cannot be read.
        """
        entries = self._entries()
        exports = versions.exports_among(entries, self.base)
        export, record, passed_over = self._newest_complete(exports)
        # A stray entry takes its number too: a model server reads "007" as 7.
        numbers = [versions.number_of(entry.name) for entry in entries]
        return Served(
            exports=exports,
            export=export,
            record=record,
            warnings=(*versions.strays_among(entries), *passed_over),
            largest_version=max([0, *numbers, *self._tombstones.versions()]),
        )

    def contents(self, export: Export) -> tuple[pb.ExportRecord | None, str]:
        """Lists a version directory once, and reads its record once.

        Returns:
            The record, None for a foreign export; and the problem that keeps a model server from
            loading the export, as far as sizes show it, or an empty text.

        Raises:
            RecordError: The record cannot be read.
        """
        sizes = export.location.sizes()
        if RECORD_PATH not in sizes:
            return None, saved_model.why_not_loadable(sizes)
        record = self.record(export)
        return record, saved_model.why_incomplete(sizes) or records.why_damaged(record, sizes)

    def has_record(self, export: Export) -> bool:
        """Returns whether an export has a record; False for a foreign one."""
        return records.has_record(export.location)

    def record(self, export: Export) -> pb.ExportRecord:
        """Returns what an export says about itself.

        The version it names is another one where somebody has copied an export to a larger number:
        the usual way to go back to an older model.

        Raises:
            RecordError: The record is damaged, too large or of a newer schema.
        """
        return records.record_of(export.location)

    def verify(self, export: Export) -> list[str]:
        """Returns a sentence for each file that is not as the export's record says; reads them all.

        Raises:
            RecordError: There is no record, or it cannot be read.
        """
        return records.differences(self.record(export), export.location)

    def tombstones(self) -> Iterator[pb.Tombstone]:
        """Yields what is left of retired exports, newest version first; reads as it goes.

        An export that still lies in the base directory is not retired, whatever a tombstone says.
        A tombstone that cannot be read is passed over and logged: nothing is decided by it.
        """
        present = {entry.name for entry in self._children()}
        for version in reversed(self._tombstones.versions()):
            if str(version) not in present:
                try:
                    yield self._tombstones.read(version)
                except RecordError as error:
                    _logger.warning("passed over: %s", error)

    def next_version(self, largest_version: int, now: float) -> int:
        """Returns unix seconds, or one more than the largest version if that is larger.

        Args:
            largest_version: As `served` found it.
            now: Seconds since the epoch.

        Raises:
            ValueError: The largest number that a model server can read is taken.
        """
        version = max(int(now), largest_version + 1)
        if version > MAX_VERSION:
            raise ValueError(
                f"version must be at most {MAX_VERSION} (got {version!r}, at {self.base})."
                " Remove the entry with the largest number from the base directory."
            )
        return version

    def recover(self) -> tuple[str, ...]:
        """Finishes or removes what a run that died has left; returns a sentence for each.

        No complete version that a model server sees changes.
        """
        found = self._commit.recover(self._check_lease)
        tombstones = self._tombstones.versions()
        present = {entry.name for entry in self._children()} if tombstones else set()
        for version in tombstones:
            if str(version) not in present:
                continue
            self._check_lease()
            if self._commit.is_visible(version):
                told = f"version {version} was being retired: it is looked at anew"
                found.append(remove_leftover(self._tombstones.location(version), told))
            else:
                told = f"removed what was left of version {version}, which is retired"
                found.append(remove_leftover(self.base / str(version), told))
        found.extend(remove_leftover(location) for location in self._tombstones.half_written())
        return tuple(found)

    @contextlib.contextmanager
    def work_directory(self) -> Iterator[Path]:
        """Gives a local directory, if it can be on the base directory's disk; gone afterwards."""
        parent = (self._state / "staging").local_path()
        if parent:
            parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="work-", dir=parent) as path:
            yield Path(path)

    def publish(
        self,
        version: int,
        files: Sequence[saved_model.ModelFile],
        make_record: Callable[[int, Sequence[pb.ManifestEntry]], pb.ExportRecord],
    ) -> Export:
        """Makes a complete export appear.

        Args:
            version: The least version it may have; larger if another writer takes that one.
            files: What the export consists of, with the digests they had when they were chosen.
            make_record: Returns the export's record, given its version and manifest.

        Raises:
            ValueError: A file changed since its digest was taken, or was not written as it was.
            LeaseLostError: Another writer took over; nothing was published.
            OSError: Something cannot be read or written; nothing is left in sight.
        """
        manifest = records.manifest_of(files)
        for candidate_version in range(version, version + _MAX_TAKEN):
            record = make_record(candidate_version, manifest)
            content = records.content_of(record, self.base)
            location = self.base / str(candidate_version)
            try:
                with _explained(
                    "export must be written whole",
                    location,
                    "Nothing was published: see that the model can be read and that the base"
                    " directory has room, then run again.",
                ):
                    self._commit.publish(
                        candidate_version, files, {RECORD_PATH: content}, self._check_lease
                    )
            except VersionTakenError:
                continue
            return Export(version=candidate_version, base=self.base)
        raise ValueError(
            f"version must be free (got {version} and {_MAX_TAKEN - 1} larger ones, at"
            f" {self.base}). See which other writer takes them."
        )

    def retire(self, export: Export, *, why: str, now: float) -> None:
        """Takes an export out of service, and deletes its files.

        Args:
            export: One with a record; never the best.
            why: For the tombstone.
            now: Seconds since the epoch.

        Raises:
            RecordError: Its record cannot be read; the export stays.
            OSError: It could not be taken out of service and stays, or it was, and some of its
                files are left for the next run.
        """
        record = self.record(export)
        if record.version != export.version:
            raise RecordError(
                f"record.version must be the version of its export (got {record.version!r}, at"
                f" {export.path}). It is a copy that somebody made: it stays."
            )
        self._check_lease()
        self._tombstones.write(record, why=why, now=now)
        try:
            self._commit.retire(export.version, self._check_lease)
        except LeaseLostError:
            # The version, and its tombstone with it, is the next writer's matter.
            raise
        except OSError:
            if self._commit.is_visible(export.version):
                self._tombstones.location(export.version).remove()
            raise

    def copy_to(
        self,
        export: Export,
        destination: Location,
        model_files: Sequence[saved_model.ModelFile],
    ) -> None:
        """Gives another directory the content of an export, as links to the model's files.

        What is served stays a copy of its own: only the model's files, immutable in the pipeline
        root, are linked, where they lie in the destination's storage and it can link; the storage
        copies the others.

        Args:
            export: One with a record, or a foreign one.
            destination: The directory; it may have content from a run that died.
            model_files: The files of the model that the export was made from.

        Raises:
            OSError: Something cannot be read or written.
        """
        sources = {(file.path, file.digest.size, file.digest.crc32c): file for file in model_files}
        links, copies = [], []
        if self.has_record(export):
            manifest = [*self.record(export).manifest, pb.ManifestEntry(path=RECORD_PATH)]
        else:
            manifest = records.manifest_of(saved_model.files_of(export.location))
        for entry in manifest:
            source = sources.get((entry.path, entry.size, entry.crc32c))
            if source and source.source.storage is destination.storage:
                links.append((source.source, destination / entry.path))
            else:
                copies.append((export.location / entry.path, destination / entry.path))
        with _explained(
            "pushed_model must be written whole",
            destination,
            "What is served is complete: see that there is room, then run again.",
        ):
            link_files(links)
            copy_files(copies)
            destination.storage.sync(destination.path)

    def _check_lease(self) -> None:
        if self._lease is None:
            raise RuntimeError(
                f"lock must be held to write (got no lock, of {self.base}). Call this within"
                " `with exports.lock():`."
            )
        self._lease.check()

    def _newest_complete(
        self, exports: Sequence[Export]
    ) -> tuple[Export | None, pb.ExportRecord | None, list[str]]:
        """Returns an export, its record, and a sentence for each newer one that is passed over."""
        passed_over = []
        for export in reversed(exports):
            record, problem = self.contents(export)
            if not problem:
                return export, record, passed_over
            passed_over.append(
                f"version {export.version} is not complete and is passed over: {problem}."
                " A model server may be trying to load it: repair or remove it"
            )
        return None, None, passed_over

    def _entries(self) -> Sequence[Entry]:
        """Returns what lies in the base directory, but for the exporter's own state."""
        return [entry for entry in self._children() if entry.name != STATE_DIRECTORY]

    def _children(self) -> Sequence[Entry]:
        try:
            return self.base.children()
        except NotADirectoryError as error:
            raise ValueError(
                "push_destination.filesystem.base_directory must be a directory"
                f" (got {str(self.base)!r}, which is a file). Choose another path, or move the file"
                " away."
            ) from error


@contextlib.contextmanager
def _explained(rule: str, location: Location, remedy: str) -> Iterator[None]:
    """Says of an error of the operating system what was asked for, and what to do."""
    try:
        yield
    except OSError as error:
        # Without a number it is a storage's own, and says so itself.
        if error.errno is None:
            raise
        raise StorageError(f"{rule} (got {error}, at {location}). {remedy}") from error
