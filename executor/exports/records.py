"""Records: the JSON files in which an export, and the tombstone of a retired one, describes itself.

    <version>/assets.extra/best_exporter/record.json    ExportRecord, with the export's manifest
    <version>/assets.extra/best_exporter/evaluation/    the candidate's TFMA evaluation
    .best_exporter/retired/<version>.json               Tombstone, with the record of the export

Other programs can write all of these files. `read` is the only function that parses a record or a
tombstone, so that a check in `read` covers both. Nothing in a record or a tombstone names a file
outside its own export.
"""

from __future__ import annotations

import dataclasses
import json
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

from tfx_best_exporter.executor.deciding.eval_result import EvalResult
from tfx_best_exporter.executor.exports.links import entries_of
from tfx_best_exporter.executor.exports.saved_model import (
    ASSETS_EXTRA,
    RESERVED_ASSETS,
    ModelFile,
)
from tfx_best_exporter.executor.keys import SCHEMA_VERSION
from tfx_best_exporter.executor.redaction import shown
from tfx_best_exporter.executor.storage import errors, foreign, local_files
from tfx_best_exporter.executor.storage.digest import FileDigest
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import Storage, StorageError
from tfx_best_exporter.executor.storage.transfer import in_parallel
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# Paths below an export. TensorFlow Serving loads nothing from assets.extra.
RECORD_DIRECTORY = f"{ASSETS_EXTRA}/{RESERVED_ASSETS}"
RECORD_PATH = f"{RECORD_DIRECTORY}/record.json"
EVALUATION_DIRECTORY = f"{RECORD_DIRECTORY}/evaluation"

_MAX_BYTES = 64 << 20
_TOMBSTONE = re.compile(r"(0|[1-9][0-9]{0,18})\.json")
# LocalStorage writes a file under a name of this form before it renames the file.
_PARTIAL_TOMBSTONE = re.compile(r"\.[0-9]+\.json(\.[0-9a-f]+)?\.partial")

_Message = TypeVar("_Message", bound=Message)


class RecordError(ValueError):
    """A record or tombstone cannot be read: it is damaged, too large or of a newer schema.

    A path that is no regular file, or that this process may not read, is damaged too.
    """


class MissingRecordError(RecordError):
    """A record does not exist."""


class UnreadableRecordError(RecordError):
    """A record is no regular file, or this process may not read it."""


_KINDS: Mapping[type[foreign.ForeignContentError], type[RecordError]] = {
    foreign.MissingFileError: MissingRecordError,
    foreign.NotReadableError: UnreadableRecordError,
}


def read(location: Location, message: _Message, without: Sequence[str] = ()) -> _Message:
    """Parses a record, a tombstone or an operator's file into an empty message, and returns it.

    Args:
        location: The file.
        message: An empty message with the field schema_version.
        without: Fields to leave out. Most of the time goes into parsing the decision of a record.

    Raises:
        RecordError: The file is missing, damaged, too large, of a newer schema, or no regular file.
        OSError: The storage does not answer.
    """
    try:
        content = foreign.read_json_object(location, _MAX_BYTES)
        with foreign.parsing():
            _parse({k: v for k, v in content.items() if k not in without}, message)
    except foreign.ForeignContentError as error:
        raise _KINDS.get(type(error), RecordError)(
            f"cannot read {location}: {error}. Restore the file from a backup, or upgrade"
            " tfx-best-exporter if a newer release wrote it."
        ) from error
    return message


def _parse(content: Mapping[str, Any], message: Message) -> None:
    schema_version = content.get("schema_version")
    if schema_version != SCHEMA_VERSION:
        raise foreign.ForeignContentError(
            f"its schema_version is {foreign.shown(repr(schema_version), 50)}, not {SCHEMA_VERSION}"
        )
    json_format.ParseDict(dict(content), message, ignore_unknown_fields=True)
    if isinstance(message, pb.ExportRecord):
        _check(message)
    elif isinstance(message, (pb.Tombstone, pb.Withdrawal)):
        _check(message.record)
        _check_files(message.files)
    elif isinstance(message, (pb.AwaitingApproval, pb.Challenger)):
        _check(message.record)


def _check_files(paths: Iterable[str]) -> None:
    for path in paths:
        if not _is_inside(path):
            raise foreign.ForeignContentError(
                f"it lists the file {foreign.shown(repr(path), 200)}, which is not inside the"
                " export"
            )


def _check(record: pb.ExportRecord) -> None:
    """Checks the values that the messages allow but no export has.

    Raises:
        ForeignContentError: A value is not allowed.
    """
    for entry in record.manifest:
        if not _is_inside(entry.path):
            raise foreign.ForeignContentError(
                f"its manifest has the path {foreign.shown(repr(entry.path), 200)}, which is not"
                " inside the export"
            )
        if entry.size < 0:
            raise foreign.ForeignContentError(f"its manifest has the size {entry.size:,}")
    # An aggregation that no release knows raises an error.
    EvalResult.from_proto(record.evaluation)


def _is_inside(path: str) -> bool:
    """Returns True if a path names a file below the directory that it is relative to.

    A backslash separates folders on some systems, so it is not allowed either.
    """
    parts = path.split("/")
    return "\\" not in path and "\0" not in path and not {"", ".", ".."}.intersection(parts)


def to_json(message: Message) -> bytes:
    """Returns the content of a file that `read` parses into an equal message."""
    return json_format.MessageToJson(message, preserving_proto_field_name=True).encode()


def content_of(record: pb.ExportRecord, base: Location) -> bytes:
    """Returns the content of a new export's record.json.

    Args:
        record: Record of the new export.
        base: Base directory of the new export, for the error message.

    Raises:
        ValueError: `read` would refuse the content: it is too large, or a path is not allowed.
    """
    try:
        _check(record)
    except foreign.ForeignContentError as error:
        raise ValueError(
            f"cannot write the record of an export in {base}: {error}. Rename the file in the"
            " model."
        ) from error
    content = to_json(record)
    if len(content) > _MAX_BYTES:
        raise ValueError(
            f"cannot write the record of an export in {base}: it has {len(content):,} bytes, and at"
            f" most {_MAX_BYTES:,} bytes are allowed. Export a model with fewer files, or an"
            " evaluation with fewer metrics."
        )
    return content


def has_record(export: Location) -> bool:
    """Returns True if a version directory has a record; False for a foreign one."""
    directory, _, name = RECORD_PATH.rpartition("/")
    try:
        return any(entry.name == name for entry in (export / directory).children())
    except NotADirectoryError:
        # Foreign exports may have a file named assets.extra.
        return False


def record_of(export: Location, without: Sequence[str] = ()) -> pb.ExportRecord:
    """Returns the record of the export in a version directory.

    Args:
        export: The version directory.
        without: Fields to leave out.

    Raises:
        RecordError: The record is missing, damaged, too large or of a newer schema.
    """
    return read(export / RECORD_PATH, pb.ExportRecord(), without)


class Tombstones:
    """The tombstones of a base directory: one file for each retired export."""

    def __init__(self, directory: Location):
        """Makes Tombstones; reads and writes nothing.

        Args:
            directory: Directory of the tombstones; it need not exist yet.
        """
        self._directory = directory

    def on(self, storage: Storage) -> Tombstones:
        """Returns the same tombstones for use with another storage, such as that of a batch."""
        return Tombstones(Location(storage, self._directory.path))

    def location(self, version: int) -> Location:
        """Returns the location of a version's tombstone."""
        return self._directory / f"{version}.json"

    def names(self) -> list[str]:
        """Returns the names in the directory of the tombstones; costs one listing."""
        return [entry.name for entry in entries_of(self._directory)]

    def versions(self) -> list[int]:
        """Returns the versions with a tombstone, in order; costs one listing."""
        return tombstones_in(self.names())

    def half_written_in(self, names: Iterable[str]) -> list[Location]:
        """Returns the files that a killed writer left under temporary names, among `names`."""
        return [self._directory / name for name in names if _PARTIAL_TOMBSTONE.fullmatch(name)]

    def read(self, version: int) -> pb.Tombstone:
        """Returns the tombstone of a version.

        Raises:
            RecordError: The tombstone cannot be read, or is that of another version.
        """
        location = self.location(version)
        tombstone = read(location, pb.Tombstone())
        if tombstone.record.version != version:
            raise RecordError(
                f"cannot use {location}: its content is that of version"
                f" {tombstone.record.version}. Restore the file from a backup, or remove it."
            )
        return tombstone

    def written_at(self, version: int) -> float:
        """Returns the time at which a tombstone was written, by the storage's clock.

        Raises:
            OSError: The tombstone cannot be found.
        """
        status = self._directory.tree().files.get(f"{version}.json")
        if status is None:
            raise StorageError(errors.absent(self.location(version).uri))
        return status.changed_at

    def is_finished(self, version: int) -> bool:
        """Returns True if all files of a retired export were deleted, or its tombstone is damaged.

        A version that is in the base directory nevertheless was restored by a person.
        """
        try:
            return self.read(version).files_deleted
        except RecordError:
            return True

    def finish(self, version: int) -> None:
        """Notes that no file of a retired export is left.

        Raises:
            RecordError: The tombstone cannot be read.
            OSError: The tombstone cannot be written.
        """
        tombstone = self.read(version)
        tombstone.files_deleted = True
        tombstone.ClearField("files")
        self.location(version).write(to_json(tombstone))

    def write(self, version: int, tombstone: Mapping[str, Any]) -> None:
        """Writes the tombstone of an export: before its files are deleted, and again after that.

        Args:
            version: Version of the export.
            tombstone: Content by `tombstone_of`.
        """
        self.location(version).write(json.dumps(tombstone, indent=2).encode())


def tombstone_of(
    record: pb.ExportRecord, *, why: str, now: float, files: Sequence[str] = ()
) -> dict[str, Any]:
    """Returns the tombstone of an export whose files are not deleted yet, as JSON.

    Most of the time of a retirement goes into this, so it is done once for both writes.

    Args:
        record: Record of the export; the tombstone keeps all of it except the manifest.
        why: Reason for retiring the export.
        now: Seconds since the epoch.
        files: Files that a run may delete to finish the retirement, relative to the export.
    """
    tombstone = pb.Tombstone(schema_version=SCHEMA_VERSION, record=record, why=why, files=files)
    tombstone.record.ClearField("manifest")
    tombstone.retired_at.FromNanoseconds(int(now * 1e9))
    return json_format.MessageToDict(tombstone, preserving_proto_field_name=True)


def finished(tombstone: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a tombstone, as JSON, of an export of which no file is left."""
    return {**{k: v for k, v in tombstone.items() if k != "files"}, "files_deleted": True}


def tombstones_in(names: Iterable[str]) -> list[int]:
    """Returns the versions of the tombstones with these file names, in order."""
    return sorted(int(match[1]) for match in map(_TOMBSTONE.fullmatch, names) if match)


def manifest_of(
    files: Sequence[ModelFile], hashes: Mapping[str, str] | None = None
) -> list[pb.ManifestEntry]:
    """Returns the manifest of an export with these files, in order of their paths.

    Args:
        files: Files of the export.
        hashes: SHA-256 in hexadecimal digits by path, where it is known.
    """
    hashes = hashes or {}
    return [
        pb.ManifestEntry(
            path=file.path,
            size=file.digest.size,
            crc32c=file.digest.crc32c,
            sha256=hashes.get(file.path, ""),
        )
        for file in sorted(files, key=lambda file: file.path)
    ]


def files_in(directory: Location, record: pb.ExportRecord) -> list[ModelFile]:
    """Returns the files of a manifest below a directory, with their recorded digests.

    Args:
        directory: Directory of the files.
        record: Record with the manifest.
    """
    return [
        ModelFile(
            path=entry.path,
            source=directory / entry.path,
            digest=FileDigest(size=entry.size, crc32c=entry.crc32c),
        )
        for entry in record.manifest
    ]


def size_of(record: pb.ExportRecord) -> int:
    """Returns the total size of the files of a manifest, in bytes."""
    return sum(entry.size for entry in record.manifest)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FileProof:
    """Result of comparing one file of an export with its record.

    Attributes:
        path: Path relative to the export.
        problem: Sentence about the difference; empty if the file is as the record says.
        proof: Checksum that was compared, "sha256" or "crc32c"; empty if nothing was compared,
            because the file is missing or is not in the record. CRC-32C finds damage, but not a
            file that somebody has forged.
    """

    path: str
    problem: str
    proof: str


def differences(record: pb.ExportRecord, export: Location) -> list[str]:
    """Returns a sentence for each file that differs from the record; reads every file.

    Args:
        record: Record of the export.
        export: Version directory of the export.
    """
    return [proof.problem for proof in proofs(record, export) if proof.problem]


def proofs(record: pb.ExportRecord, export: Location) -> list[FileProof]:
    """Compares every file of an export with its record.

    Files with a SHA-256 in the record are read. A store reports the CRC-32C of the others.

    Args:
        record: Record of the export.
        export: Version directory of the export.

    Returns:
        The files that are not in the record, then all files of the record.
    """
    entries = {entry.path: entry for entry in record.manifest}
    sizes = export.sizes()
    unknown = [
        FileProof(path=path, problem=f"{shown(path)} is not in the record", proof="")
        for path in sorted({*sizes} - {*entries, RECORD_PATH})
    ]

    def prove(entry: pb.ManifestEntry) -> FileProof:
        if entry.path not in sizes:
            return FileProof(path=entry.path, problem=f"{shown(entry.path)} is missing", proof="")
        return _proof_of(entry, export / entry.path)

    found = in_parallel(prove, [*entries.values()], export.storage, total_bytes=sum(sizes.values()))
    return [*unknown, *found]


def _proof_of(entry: pb.ManifestEntry, location: Location) -> FileProof:
    expected = FileDigest(size=entry.size, crc32c=entry.crc32c)
    if not entry.sha256:
        actual, problem = location.digest(), ""
    else:
        actual, sha256 = _hashed(location)
        problem = (
            ""
            if sha256 == entry.sha256
            else f"{entry.path} has the SHA-256 {sha256}, not {entry.sha256}"
        )
    if actual != expected:
        problem = f"{shown(entry.path)} has {actual}, not {expected}"
    return FileProof(path=entry.path, problem=problem, proof="sha256" if entry.sha256 else "crc32c")


def _hashed(location: Location) -> tuple[FileDigest, str]:
    if path := location.local_path():
        return local_files.sha256(path)
    with tempfile.TemporaryDirectory(prefix="best_exporter-") as directory:
        path = Path(directory) / "file"
        location.storage.download(location.path, path)
        return local_files.sha256(path)
