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
import dataclasses
import json
import logging
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from google.protobuf import json_format
from google.protobuf import message as protobuf_message

from tfx_best_exporter.executor.exports import saved_model
from tfx_best_exporter.executor.exports.commit import (
    MAX_VERSION,
    VersionTakenError,
    commit_for,
    remove_leftover,
)
from tfx_best_exporter.executor.storage.digest import FileDigest
from tfx_best_exporter.executor.storage.location import (
    Location,
    copy_files,
    in_parallel,
    link_files,
)
from tfx_best_exporter.executor.storage.protocol import (
    Entry,
    Kind,
    Lease,
    LeaseLostError,
    StorageError,
    TooLargeError,
)
from tfx_best_exporter.proto import best_exporter_pb2 as pb

SCHEMA_VERSION = 1

# Below an export. TensorFlow Serving gives assets.extra to nobody and asks nothing of it.
RECORD_DIRECTORY = f"{saved_model.ASSETS_EXTRA}/{saved_model.RESERVED_ASSETS}"
RECORD_PATH = f"{RECORD_DIRECTORY}/record.json"
EVALUATION_DIRECTORY = f"{RECORD_DIRECTORY}/evaluation"

# Below the base directory. No number: model servers ignore it.
STATE_DIRECTORY = ".best_exporter"

LOCK_TIMEOUT_SECONDS = 3600.0

_logger = logging.getLogger(__name__)

_Message = TypeVar("_Message", bound=protobuf_message.Message)

_MAX_RECORD_BYTES = 64 << 20
_DIGITS = re.compile(r"[0-9]+")
_CANONICAL_VERSION = re.compile(r"0|[1-9][0-9]{0,18}")
_PARTIAL = re.compile(r"\.[0-9]+\.json(\.[0-9a-f]+)?\.partial")
# Other writers' versions that are stepped over in one publish.
_MAX_TAKEN = 100


class RecordError(ValueError):
    """A record or tombstone cannot be read: it is damaged, too large or of a newer schema."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """One version directory.

    Attributes:
        version: Its name as a number.
        base: Directory that it lies in.
    """

    version: int
    base: Location

    @property
    def location(self) -> Location:
        """Where it lies."""
        return self.base / str(self.version)

    @property
    def path(self) -> str:
        """Where it lies, as a person would write it."""
        return self.location.uri


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What lies in a version directory.

    Attributes:
        record: What the export says about itself; None for a foreign one.
        problem: Why a model server cannot load it, as far as sizes tell; empty if it can.
    """

    record: pb.ExportRecord | None
    problem: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """The export that is served, and what was found on the way to it.

    Attributes:
        export: The complete export with the largest version; None if there is none.
        record: Its record; None for a foreign export.
        warnings: A sentence for each newer version directory that is not complete.
    """

    export: Export | None
    record: pb.ExportRecord | None
    warnings: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What lies in a base directory.

    Attributes:
        exports: Every version directory, by version.
        strays: Sentences about entries that are neither an export nor ours; never deleted.
        largest_version: Largest number seen among exports, strays and tombstones; 0 if none.
    """

    exports: tuple[Export, ...]
    strays: tuple[str, ...]
    largest_version: int


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
        self._retired = self._state / "retired"
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
                if not self.base.storage.is_local:
                    self._children()
                try:
                    self._lease = stack.enter_context(
                        self.base.storage.lock((self._state / "lock").path, timeout_seconds)
                    )
                except NotADirectoryError:
                    # On a disk a lock cannot be below a file: then this says so.
                    self._children()
                    raise
            try:
                yield
            finally:
                self._lease = None

    def list(self) -> Listing:
        """Returns what lies in the base directory; empty if it does not exist.

        Raises:
            ValueError: The base directory is a file.
            OSError: It cannot be read.
        """
        exports, strays, numbers = [], [], [0]
        for entry in self._children():
            if entry.name == STATE_DIRECTORY:
                continue
            number = _number(entry.name)
            problem = _why_stray(entry, number)
            if problem:
                strays.append(f"{entry.name!r} is no version: {problem}")
            else:
                exports.append(Export(version=number, base=self.base))
            # A model server takes "007" for 7: whatever may be a number counts as seen.
            numbers.append(number)
        numbers.extend(self._tombstone_versions())
        return Listing(
            exports=tuple(sorted(exports, key=lambda export: export.version)),
            strays=tuple(strays),
            largest_version=max(numbers),
        )

    def served(self, listing: Listing) -> Served:
        """Returns the export that is served.

        That is the complete one with the largest version, as in TensorFlow Serving.

        Raises:
            RecordError: It has a record that cannot be read.
        """
        warnings = []
        for export in reversed(listing.exports):
            contents = self.contents(export)
            if not contents.problem:
                return Served(export=export, record=contents.record, warnings=tuple(warnings))
            warnings.append(
                f"version {export.version} is not complete and is passed over: {contents.problem}."
                " A model server may be trying to load it: repair or remove it"
            )
        return Served(export=None, record=None, warnings=tuple(warnings))

    def contents(self, export: Export) -> Contents:
        """Returns what lies in a version directory; lists it once and reads its record once.

        Raises:
            RecordError: The record cannot be read.
        """
        sizes = export.location.sizes()
        if RECORD_PATH not in sizes:
            return Contents(record=None, problem=saved_model.why_not_loadable(sizes))
        record = self.record(export)
        problem = saved_model.why_incomplete(sizes) or _why_damaged(record, sizes)
        return Contents(record=record, problem=problem)

    def has_record(self, export: Export) -> bool:
        """Returns whether an export has a record; False for a foreign one."""
        directory, _, name = RECORD_PATH.rpartition("/")
        try:
            return any(entry.name == name for entry in (export.location / directory).children())
        except NotADirectoryError:
            # Somebody else's assets.extra is none of our business.
            return False

    def record(self, export: Export) -> pb.ExportRecord:
        """Returns what an export says about itself.

        The version it names is another one where somebody has copied an export to a larger number:
        the usual way to go back to an older model.

        Raises:
            RecordError: The record is damaged, too large or of a newer schema.
        """
        return _read_message(export.location / RECORD_PATH, pb.ExportRecord())

    def verify(self, export: Export) -> list[str]:
        """Returns a sentence for each file that is not as the export's record says; reads them all.

        Raises:
            RecordError: There is no record, or it cannot be read.
        """
        entries = {entry.path: entry for entry in self.record(export).manifest}
        sizes = export.location.sizes()
        problems = [
            f"{path} is not in the record" for path in sorted({*sizes} - {*entries, RECORD_PATH})
        ]

        def problem_of(entry: pb.ManifestEntry) -> str:
            expected = FileDigest(size=entry.size, crc32c=entry.crc32c)
            if entry.path not in sizes:
                return f"{entry.path} is missing"
            actual = (export.location / entry.path).digest()
            return "" if actual == expected else f"{entry.path} is {actual}, not {expected}"

        found = in_parallel(
            problem_of,
            [*entries.values()],
            export.location.storage,
            total_bytes=sum(sizes.values()),
        )
        problems.extend(filter(None, found))
        return problems

    def tombstones(self) -> Iterator[pb.Tombstone]:
        """Yields what is left of retired exports, newest version first; reads as it goes.

        An export that still lies in the base directory is not retired, whatever a tombstone says.
        A tombstone that cannot be read is passed over and logged: nothing is decided by it.
        """
        present = {entry.name for entry in self._children()}
        for version in sorted(self._tombstone_versions(), reverse=True):
            if str(version) not in present:
                try:
                    yield _read_message(self._tombstone(version), pb.Tombstone())
                except RecordError as error:
                    _logger.warning("passed over: %s", error)

    def fingerprint(self) -> str:
        """Returns a short text that changes whenever the best does; "none" where there is none.

        Raises:
            RecordError: The best has a record that cannot be read.
        """
        served = self.served(self.list())
        if served.export is None:
            return "none"
        digest = served.record.model.digest if served.record else "foreign"
        return f"{served.export.version}:{digest}"

    def next_version(self, listing: Listing, now: float) -> int:
        """Returns unix seconds, or one more than any version seen before if that is larger.

        Raises:
            ValueError: The largest number that a model server can read is taken.
        """
        version = max(int(now), listing.largest_version + 1)
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
        tombstones = self._tombstone_versions()
        present = {entry.name for entry in self._children()} if tombstones else set()
        for version in tombstones:
            if str(version) not in present:
                continue
            self._check_lease()
            if self._commit.is_in_sight(version):
                told = f"version {version} was being retired: it is looked at anew"
                found.append(remove_leftover(self._tombstone(version), told))
            else:
                told = f"removed what was left of version {version}, which is retired"
                found.append(remove_leftover(self.base / str(version), told))
        for entry in self._retired.children():
            # A disk's storage writes under such a name before it renames.
            if _PARTIAL.fullmatch(entry.name):
                found.append(remove_leftover(self._retired / entry.name))
        return tuple(found)

    @contextlib.contextmanager
    def work_directory(self) -> Iterator[Path]:
        """Gives a local directory, if it can be on the base directory's disk; gone afterwards."""
        parent = None
        if self.base.storage.is_local:
            parent = Path((self._state / "staging").path)
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
        manifest = _manifest_of(files)
        for candidate_version in range(version, version + _MAX_TAKEN):
            content = _to_json(make_record(candidate_version, manifest))
            if len(content) > _MAX_RECORD_BYTES:
                # Nobody could read it back.
                raise ValueError(
                    f"record must have at most {_MAX_RECORD_BYTES} bytes (got {len(content)}, for"
                    f" {self.base}). Export a model of fewer files, or an evaluation of fewer"
                    " metrics."
                )
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
        record.ClearField("manifest")
        tombstone = pb.Tombstone(schema_version=SCHEMA_VERSION, record=record, why=why)
        tombstone.retired_at.FromNanoseconds(int(now * 1e9))
        self._check_lease()
        self._tombstone(export.version).write(_to_json(tombstone))
        try:
            self._commit.retire(export.version, self._check_lease)
        except LeaseLostError:
            # The version, and its tombstone with it, is the next writer's matter.
            raise
        except OSError:
            if self._commit.is_in_sight(export.version):
                self._tombstone(export.version).remove()
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
            manifest = _manifest_of(saved_model.files_of(export.location))
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
        assert self._lease is not None, "the lock must be held"
        self._lease.check()

    def _tombstone(self, version: int) -> Location:
        return self._retired / f"{version}.json"

    def _tombstone_versions(self) -> Sequence[int]:
        return [
            int(stem)
            for entry in self._retired.children()
            for stem, _, suffix in [entry.name.partition(".")]
            if suffix == "json" and _CANONICAL_VERSION.fullmatch(stem)
        ]

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


def _why_damaged(record: pb.ExportRecord, sizes: Mapping[str, int]) -> str:
    """Returns which file is not as the record says, or an empty text. Looks at sizes only."""
    for entry in record.manifest:
        # What lies in assets.extra/ is not needed to load the model, and people put things there.
        is_loaded = not entry.path.startswith(f"{saved_model.ASSETS_EXTRA}/")
        if is_loaded and sizes.get(entry.path) != entry.size:
            return f"{entry.path} is missing or does not have its {entry.size} bytes"
    return ""


def _why_stray(entry: Entry, number: int) -> str:
    """Returns why an entry of the base directory is no export, or an empty text."""
    if entry.name != str(number):
        return "its name is not a canonical decimal number"
    if entry.kind is Kind.LINK:
        return "it is a link"
    if entry.kind is Kind.FILE:
        return "it is a file"
    return ""


def _number(name: str) -> int:
    """Returns the number that a model server reads from a name, or 0."""
    number = int(name) if _DIGITS.fullmatch(name) else 0
    return number if number <= MAX_VERSION else 0


def _manifest_of(files: Sequence[saved_model.ModelFile]) -> list[pb.ManifestEntry]:
    return [
        pb.ManifestEntry(path=file.path, size=file.digest.size, crc32c=file.digest.crc32c)
        for file in sorted(files, key=lambda file: file.path)
    ]


def _to_json(message: protobuf_message.Message) -> bytes:
    return json_format.MessageToJson(message, preserving_proto_field_name=True).encode()


def _read_message(location: Location, message: _Message) -> _Message:
    """Parses a record or a tombstone into an empty message, and returns it.

    Raises:
        RecordError: It is damaged, too large or of a newer schema.
        OSError: The storage does not answer.
    """
    try:
        content = json.loads(location.read(_MAX_RECORD_BYTES))
        schema_version = content.get("schema_version") if isinstance(content, dict) else None
        if schema_version == SCHEMA_VERSION:
            return json_format.ParseDict(content, message, ignore_unknown_fields=True)
        problem = f"schema_version {schema_version!r}"
    except (FileNotFoundError, TooLargeError, ValueError, json_format.ParseError) as error:
        problem = str(error)
    raise RecordError(
        f"{location.name} must be a file of schema_version {SCHEMA_VERSION} (got {problem}, at"
        f" {location}). Restore it from a backup, or upgrade tfx-best-exporter if a newer one wrote"
        " it."
    )
