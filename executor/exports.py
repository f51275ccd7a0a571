"""ExportDirectory: the version directories that a model server polls, and what lies beside them.

    <base>/<version>/                                    an export; TensorFlow Serving loads it
    <base>/<version>/assets.extra/best_exporter/         its record and its evaluation
    <base>/.best_exporter/lock                           one writer at a time
    <base>/.best_exporter/staging/<token>/               exports being written
    <base>/.best_exporter/trash/<version>-<token>/       exports being deleted
    <base>/.best_exporter/retired/<version>.json         tombstones

A version appears and disappears by one rename: no half of one is ever visible.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from google.protobuf import json_format
from google.protobuf import message as protobuf_message

from tfx_best_exporter.executor import saved_model
from tfx_best_exporter.executor.storage import local
from tfx_best_exporter.proto import best_exporter_pb2 as pb

SCHEMA_VERSION = 1

# Below an export. TensorFlow Serving gives assets.extra to nobody and asks nothing of it.
RECORD_DIRECTORY = f"{saved_model.ASSETS_EXTRA}/best_exporter"
RECORD_PATH = f"{RECORD_DIRECTORY}/record.json"
EVALUATION_DIRECTORY = f"{RECORD_DIRECTORY}/evaluation"

# Below the base directory. No number: model servers ignore it.
STATE_DIRECTORY = ".best_exporter"

LOCK_TIMEOUT_SECONDS = 3600.0

_Message = TypeVar("_Message", bound=protobuf_message.Message)

_MAX_RECORD_BYTES = 64 << 20
_MAX_VERSION = 2**63 - 1
_CANONICAL_VERSION = re.compile(r"0|[1-9][0-9]{0,18}")


class RecordError(ValueError):
    """A record or tombstone cannot be read: it is damaged, too large or of a newer schema."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """One version directory.

    Attributes:
        version: Its name as a number.
        path: Where it lies.
        has_record: False for a foreign export: one that was written by other means.
    """

    version: int
    path: Path
    has_record: bool


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
    """The exports below one base directory on a local disk.

    Only `lock`, `recover`, `publish` and `retire` write; all but `lock` ask that it is held.
    """

    def __init__(self, base_directory: str | Path):
        """Makes an ExportDirectory; touches nothing.

        Args:
            base_directory: What the model server polls. It need not exist yet.
        """
        self.path = Path(base_directory)
        self._state_path = self.path / STATE_DIRECTORY

    @contextlib.contextmanager
    def lock(self, timeout_seconds: float = LOCK_TIMEOUT_SECONDS) -> Iterator[None]:
        """Keeps every other writer of this base directory out.

        Raises:
            ValueError: The base directory is a file.
            TimeoutError: Another writer did not finish in time.
            OSError: The base directory cannot be written.
        """
        self._check_is_directory()
        with local.lock(self._state_path / "lock", timeout_seconds):
            yield

    def list(self) -> Listing:
        """Returns what lies in the base directory; empty if it does not exist.

        Raises:
            ValueError: The base directory is a file.
            OSError: It cannot be read.
        """
        self._check_is_directory()
        exports, strays, numbers = [], [], [0]
        for path in sorted(self.path.iterdir()) if self.path.exists() else ():
            if path.name == STATE_DIRECTORY:
                continue
            problem = _why_stray(path)
            if not problem:
                exports.append(
                    Export(
                        version=int(path.name),
                        path=path,
                        has_record=(path / RECORD_PATH).exists(),
                    )
                )
            else:
                strays.append(f"{path.name!r} is no version: {problem}")
            # A model server takes "007" for 7: whatever may be a number counts as seen.
            numbers.append(_number(path.name))
        numbers.extend(_number(path.stem) for path in self._tombstone_paths())
        return Listing(
            exports=tuple(sorted(exports, key=lambda export: export.version)),
            strays=tuple(strays),
            largest_version=max(numbers),
        )

    def best(
        self, listing: Listing
    ) -> tuple[Export | None, pb.ExportRecord | None, tuple[str, ...]]:
        """Returns the export that is served, its record, and what is wrong with newer ones.

        The best is the complete export with the largest version, as in TensorFlow Serving. The
        record is None for a foreign export; the sentences name incomplete exports.

        Raises:
            RecordError: The best has a record that cannot be read.
        """
        warnings = []
        for export in reversed(listing.exports):
            problem = saved_model.why_incomplete(export.path)
            record = self.record(export) if export.has_record and not problem else None
            if record:
                problem = _why_damaged(export, record)
            if not problem:
                return export, record, tuple(warnings)
            warnings.append(
                f"version {export.version} is not complete and is passed over: {problem}."
                " A model server may be trying to load it: repair or remove it"
            )
        return None, None, tuple(warnings)

    def record(self, export: Export) -> pb.ExportRecord:
        """Returns what an export says about itself.

        Raises:
            RecordError: The record is damaged, too large, of a newer schema or of another version.
        """
        path = export.path / RECORD_PATH
        record = _read_message(path, pb.ExportRecord())
        if record.version != export.version:
            raise RecordError(
                f"record.version must be the version of its export (got {record.version!r}, at"
                f" {path}). Restore the file, or remove the export."
            )
        return record

    def tombstones(self, limit: int) -> Iterator[pb.Tombstone]:
        """Yields what is left of retired exports, newest version first.

        An export that still lies in the base directory is not retired, whatever a tombstone says.

        Args:
            limit: Number of tombstones to read at most.

        Raises:
            RecordError: A tombstone cannot be read.
        """
        newest_first = sorted(
            self._tombstone_paths(), key=lambda path: _number(path.stem), reverse=True
        )
        for path in newest_first[:limit]:
            if not (self.path / path.stem).exists():
                yield _read_message(path, pb.Tombstone())

    def fingerprint(self) -> str:
        """Returns a short text that changes whenever the best does; "none" where there is none.

        Raises:
            RecordError: The best has a record that cannot be read.
        """
        best, record, _ = self.best(self.list())
        if best is None:
            return "none"
        return f"{best.version}:{record.model.digest if record else 'foreign'}"

    def next_version(self, listing: Listing, now: float) -> int:
        """Returns unix seconds, or one more than any version seen before if that is larger.

        Raises:
            ValueError: The largest number that a model server can read is taken.
        """
        version = max(int(now), listing.largest_version + 1)
        if version > _MAX_VERSION:
            raise ValueError(
                f"version must be at most {_MAX_VERSION} (got {version!r}, at {self.path})."
                " Remove the entry with the largest number from the base directory."
            )
        return version

    def recover(self) -> tuple[str, ...]:
        """Finishes or removes what a run that died has left; returns a sentence for each.

        Nothing that a model server sees changes: only files below .best_exporter/ do.
        """
        found = []
        for name in ("staging", "trash"):
            directory = self._state_path / name
            for path in sorted(directory.iterdir()) if directory.exists() else ():
                try:
                    local.remove_tree(path)
                    found.append(f"removed {path.name} from {name}: a run had left it")
                except OSError as error:
                    found.append(f"{path} could not be removed, the next run tries again: {error}")
        for path in self._tombstone_paths():
            if (self.path / path.stem).exists():
                path.unlink()
                found.append(f"version {path.stem} was being retired: it is looked at anew")
        return tuple(found)

    @contextlib.contextmanager
    def work_directory(self) -> Iterator[Path]:
        """Gives a directory that model servers ignore, on the same disk; gone afterwards."""
        path = self._new_path("staging", secrets.token_hex(8))
        path.mkdir()
        try:
            yield path
        finally:
            local.remove_tree(path)

    def publish(
        self,
        version: int,
        files: Sequence[saved_model.ModelFile],
        make_record: Callable[[Sequence[pb.ManifestEntry]], pb.ExportRecord],
    ) -> Export:
        """Makes a complete export appear under its version, by one rename.

        Args:
            version: Name of the version directory; must be new.
            files: What the export consists of, with the digests they had when they were chosen.
            make_record: Returns the export's record, given its manifest.

        Raises:
            ValueError: A file changed since its digest was taken, or was not written as it was.
            OSError: Something cannot be read or written; nothing is left in sight.
        """
        path = self.path / str(version)
        staging_path = self._new_path("staging", secrets.token_hex(8))
        try:
            for file in files:
                _check_same(file, local.copy(file.source_path, staging_path / file.path), "copied")
            record = make_record(_manifest_of(files))
            local.write(staging_path / RECORD_PATH, _to_json(record))
            for file in files:
                _check_same(file, local.digest(staging_path / file.path), "written")
            local.sync_directories(staging_path)
            # Fails if there is such a version: rename never replaces a directory with content.
            staging_path.rename(path)
        except BaseException:
            local.remove_tree(staging_path)
            raise
        local.sync_directory(self.path)
        return Export(version=version, path=path, has_record=True)

    def retire(self, export: Export, *, why: str, now: float) -> None:
        """Takes an export out of service by one rename, and deletes its files.

        Args:
            export: One with a record; never the best.
            why: For the tombstone.
            now: Seconds since the epoch.

        Raises:
            RecordError: Its record cannot be read; the export stays.
            OSError: It could not be taken out of service and stays, or it was, and its files are
                left in the trash for the next run.
        """
        record = self.record(export)
        record.ClearField("manifest")
        tombstone = pb.Tombstone(schema_version=SCHEMA_VERSION, record=record, why=why)
        tombstone.retired_at.FromNanoseconds(int(now * 1e9))
        tombstone_path = self._new_path("retired", f"{export.version}.json")
        trash_path = self._new_path("trash", f"{export.version}-{secrets.token_hex(8)}")
        local.write(tombstone_path, _to_json(tombstone))
        try:
            export.path.rename(trash_path)
        except OSError:
            tombstone_path.unlink()
            raise
        local.sync_directory(self.path)
        local.remove_tree(trash_path)

    def copy_to(
        self, export: Export, path: Path, model_files: Sequence[saved_model.ModelFile]
    ) -> None:
        """Gives another directory the content of an export, as links to the model's files.

        What is served stays a copy of its own: only the model's files, immutable in the pipeline
        root, are linked; what the export has beyond them is copied.

        Args:
            export: One with a record, or a foreign one.
            path: The directory; it may have content from a run that died.
            model_files: The files of the model that the export was made from.

        Raises:
            OSError: Something cannot be read or written.
        """
        sources = {(file.path, file.digest.size, file.digest.crc32c): file for file in model_files}
        if export.has_record:
            manifest = [*self.record(export).manifest, pb.ManifestEntry(path=RECORD_PATH)]
        else:
            manifest = _manifest_of(saved_model.files_of(export.path))
        for entry in manifest:
            destination_path = path / entry.path
            destination_path.unlink(missing_ok=True)
            source = sources.get((entry.path, entry.size, entry.crc32c))
            if source:
                local.link_or_copy(source.source_path, destination_path)
            else:
                local.copy(export.path / entry.path, destination_path)

    def _new_path(self, directory: str, name: str) -> Path:
        """Returns a path below .best_exporter/ whose parent exists."""
        path = self._state_path / directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _tombstone_paths(self) -> Sequence[Path]:
        directory = self._state_path / "retired"
        if not directory.exists():
            return ()
        return [
            path
            for path in directory.iterdir()
            if path.suffix == ".json" and _CANONICAL_VERSION.fullmatch(path.stem)
        ]

    def _check_is_directory(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(
                "push_destination.filesystem.base_directory must be a directory"
                f" (got {str(self.path)!r}, which is a file). Choose another path, or move the file"
                " away."
            )


def _why_damaged(export: Export, record: pb.ExportRecord) -> str:
    """Returns which file is not as the record says, or an empty text. Looks at sizes only."""
    for entry in record.manifest:
        path = export.path / entry.path
        if not path.is_file() or path.stat().st_size != entry.size:
            return f"{entry.path} is missing or does not have its {entry.size} bytes"
    return ""


def _why_stray(path: Path) -> str:
    """Returns why an entry of the base directory is no export, or an empty text."""
    if not _CANONICAL_VERSION.fullmatch(path.name) or int(path.name) > _MAX_VERSION:
        return "its name is not a canonical decimal number"
    if path.is_symlink():
        return "it is a link"
    if not path.is_dir():
        return "it is a file"
    return ""


def _number(name: str) -> int:
    """Returns the number that a model server reads from a name, or 0."""
    number = int(name) if re.fullmatch(r"[0-9]+", name) else 0
    return number if number <= _MAX_VERSION else 0


def _manifest_of(files: Sequence[saved_model.ModelFile]) -> list[pb.ManifestEntry]:
    return [
        pb.ManifestEntry(path=file.path, size=file.digest.size, crc32c=file.digest.crc32c)
        for file in sorted(files, key=lambda file: file.path)
    ]


def _check_same(file: saved_model.ModelFile, digest: object, how: str) -> None:
    if digest != file.digest:
        raise ValueError(
            f"{file.path} must be {how} as it was read (got {digest}, expected {file.digest}, at"
            f" {file.source_path}). Nothing was published: run again, and see what else writes"
            " there."
        )


def _to_json(message: protobuf_message.Message) -> bytes:
    return json_format.MessageToJson(message, preserving_proto_field_name=True).encode()


def _read_message(path: Path, message: _Message) -> _Message:
    """Parses a record or a tombstone into an empty message, and returns it."""
    try:
        if path.stat().st_size > _MAX_RECORD_BYTES:
            problem = f"{path.stat().st_size} bytes, more than {_MAX_RECORD_BYTES}"
        else:
            content = json.loads(path.read_bytes())
            schema_version = content.get("schema_version") if isinstance(content, dict) else None
            if schema_version == SCHEMA_VERSION:
                return json_format.ParseDict(content, message, ignore_unknown_fields=True)
            problem = f"schema_version {schema_version!r}"
    except (OSError, ValueError, json_format.ParseError) as error:
        problem = str(error)
    raise RecordError(
        f"{path.name} must be a file of schema_version {SCHEMA_VERSION} (got {problem}, at {path})."
        " Restore it from a backup, upgrade tfx-best-exporter if a newer one wrote it, or move its"
        " export out of the base directory."
    )
