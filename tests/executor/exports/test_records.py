import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import google_crc32c
import pytest

from tests.executor.bucket import Bucket
from tests.executor.plain import (
    FILES,
    UNREADABLE_RECORDS,
    files_of,
    publish,
    read_files,
    record_of,
    write_files,
)
from tfx_best_exporter.executor.exports import records, saved_model
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.records import (
    RECORD_PATH,
    RecordError,
    Tombstones,
    tombstone_of,
)
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.digest import digest_of_bytes
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.proto import best_exporter_pb2 as pb

REMEDY = (
    " Restore the file from a backup, or upgrade tfx-best-exporter if a newer release wrote it."
)
MAX_BYTES = 64 << 20


@pytest.fixture
def model_path(tmp_path: Path) -> Path:
    return write_files(tmp_path / "model")


@pytest.fixture
def export(tmp_path: Path, model_path: Path) -> Location:
    """A version directory with a record."""
    return publish(ExportDirectory(location_of(tmp_path / "base")), 5, model_path).location


# Reading.


def test_a_record_is_read_as_it_was_written(tmp_path: Path, model_path: Path):
    metric = pb.MetricValue(key=pb.MetricKey(name="auc"), value=float("nan"))
    base = ExportDirectory(location_of(tmp_path / "base"))
    export = publish(base, 5, model_path, evaluation=pb.Evaluation(metrics=[metric]), name="a name")
    record = records.record_of(export.location)
    assert record.name == "a name"
    assert str(record.evaluation.metrics[0].value) == "nan"
    assert [(entry.path, entry.size) for entry in record.manifest] == sorted(
        (name, len(content)) for name, content in FILES.items()
    )


def test_a_tombstone_is_read_as_it_was_written(tmp_path: Path):
    tombstone = pb.Tombstone(
        schema_version=1, record=record_of(name="a name")(5, []), why="too old"
    )
    path = tmp_path / "5.json"
    path.write_bytes(records.to_json(tombstone))
    assert records.read(location_of(path), pb.Tombstone()) == tombstone


def test_a_record_with_fields_of_a_later_release_is_read(export: Location):
    path = Path((export / RECORD_PATH).path)
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "new_field": 1}))
    assert records.record_of(export).version == 5


@pytest.mark.parametrize(
    ("message", "name"), [(pb.ExportRecord(), "record.json"), (pb.Tombstone(), "5.json")]
)
@pytest.mark.parametrize(
    ("content", "problem"),
    [pytest.param(*each, id=name) for name, each in UNREADABLE_RECORDS.items()],
)
def test_a_file_that_cannot_be_read(
    tmp_path: Path, content: bytes, problem: str, message: pb.ExportRecord, name: str
):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(RecordError) as caught:
        records.read(location_of(path), message)
    assert str(caught.value) == f"cannot read {path}: {problem}.{REMEDY}"


def test_a_record_that_is_missing(tmp_path: Path):
    export_path = write_files(tmp_path / "5")
    with pytest.raises(RecordError) as caught:
        records.record_of(location_of(export_path))
    path = export_path / RECORD_PATH
    assert str(caught.value) == f"cannot read {path}: the file does not exist.{REMEDY}"


def test_a_record_with_values_of_another_type(export: Location):
    (export / RECORD_PATH).write(b'{"schema_version": 1, "version": "five"}')
    # Protobuf writes the text in parentheses.
    with pytest.raises(RecordError, match=r"\(Failed to parse version field: .*five"):
        records.record_of(export)


def record_with(**fields: object) -> bytes:
    return json.dumps({"schema_version": 1, **fields}).encode()


NESTED = b"[" * 20_000 + b"]" * 20_000
METRIC = {"key": {"name": "auc", "aggregation": 99}, "value": 0.5}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(b'{"schema_version": 1, "x": %b}' % NESTED, "recursion", id="nested"),
        pytest.param(record_with(x=float("nan")), "NaN is not a finite", id="not a number"),
        pytest.param(record_with(name="\ud800"), "surrogates", id="half a character"),
        pytest.param(record_with(version=2**63), "out of range", id="a version above int64"),
        pytest.param(record_with(evaluation=5), "evaluation", id="a number as message"),
        pytest.param(record_with(evaluation={"metrics": [METRIC]}), "99", id="an aggregation"),
        pytest.param(record_with(exported_at="yesterday"), "exported_at", id="a time"),
        pytest.param(
            record_with(manifest=[{"path": "a", "size": -1}]), "the size -1", id="a negative size"
        ),
    ],
)
@pytest.mark.parametrize("message", [pb.ExportRecord(), pb.Tombstone()], ids=["record", "tomb"])
def test_a_value_that_no_export_has(
    tmp_path: Path, content: bytes, problem: str, message: pb.ExportRecord
):
    path = tmp_path / "5.json"
    if isinstance(message, pb.Tombstone):
        content = b'{"schema_version": 1, "record": %b}' % content
    path.write_bytes(content)
    with pytest.raises(RecordError) as caught:
        records.read(location_of(path), message)
    text = str(caught.value)
    assert text.startswith(f"cannot read {path}: ")
    assert problem in text
    assert text.endswith(REMEDY)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["directory", "pipe"])
def test_a_record_that_is_no_file(export: Location, make: Callable[[Path], None]):
    path = Path((export / RECORD_PATH).path)
    path.unlink()
    make(path)
    with pytest.raises(RecordError) as caught:
        records.record_of(export)
    assert str(caught.value) == f"cannot read {path}: it is not a regular file.{REMEDY}"


PATHS_OUTSIDE = [
    "",
    ".",
    "..",
    "../saved_model.pb",
    "assets.extra/../../evil",
    "a/..",
    "/etc/passwd",
    "a//b",
    "a/",
    "./a",
    "..\\evil",
    "C:\\evil",
    "a\0b",
]


@pytest.mark.parametrize("path", PATHS_OUTSIDE)
def test_a_manifest_names_files_of_its_export_only(tmp_path: Path, export: Location, path: str):
    location = export / RECORD_PATH
    manifest = [{"path": "saved_model.pb"}, {"path": path}]
    location.write(record_with(version="5", manifest=manifest))
    with pytest.raises(RecordError) as caught:
        records.record_of(export)
    assert str(caught.value) == (
        f"cannot read {location}: its manifest has the path {path!r}, which is not inside the"
        f" export.{REMEDY}"
    )
    # Nothing is published that could not be read back.
    record = pb.ExportRecord(manifest=[pb.ManifestEntry(path=path)])
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        records.content_of(record, location_of(tmp_path))
    assert str(caught.value) == (
        f"cannot write the record of an export in {tmp_path}: its manifest has the path {path!r},"
        " which is not inside the export. Rename the file in the model."
    )


def test_a_record_that_is_too_large_is_not_read(export: Location):
    path = (export / RECORD_PATH).path
    os.truncate(path, MAX_BYTES + 1)
    with pytest.raises(RecordError) as caught:
        records.record_of(export)
    assert str(caught.value) == (
        f"cannot read {path}: the file has more than 67,108,864 bytes.{REMEDY}"
    )


# Writing.


def test_a_record_that_could_not_be_read_back_is_refused(tmp_path: Path):
    base = location_of(tmp_path / "base")
    small = len(records.to_json(pb.ExportRecord(name="a")))
    largest = pb.ExportRecord(name="a" * (MAX_BYTES - small + 1))
    assert len(records.content_of(largest, base)) == MAX_BYTES
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        records.content_of(pb.ExportRecord(name=f"{largest.name}a"), base)
    assert str(caught.value) == (
        f"cannot write the record of an export in {base.path}: it has 67,108,865 bytes, and at most"
        " 67,108,864 bytes are allowed. Export a model with fewer files, or an evaluation with"
        " fewer metrics."
    )


# Tombstones.


def test_a_tombstone_keeps_all_of_a_record_but_the_manifest(tmp_path: Path):
    tombstones = Tombstones(location_of(tmp_path / "retired"))
    record = record_of(name="a name")(5, [pb.ManifestEntry(path="saved_model.pb")])
    tombstones.write(record.version, tombstone_of(record, why="too old", now=1000.5))
    tombstone = tombstones.read(5)
    assert len(record.manifest) == 1
    record.ClearField("manifest")
    assert tombstone.record == record
    assert (tombstone.schema_version, tombstone.why) == (1, "too old")
    assert tombstone.retired_at.ToNanoseconds() == 1000_500_000_000
    with pytest.raises(RecordError, match=r"\Acannot read .*/6\.json: "):
        tombstones.read(6)


def test_a_tombstone_under_the_name_of_another_version(tmp_path: Path):
    tombstones = Tombstones(location_of(tmp_path))
    tombstones.write(5, tombstone_of(record_of()(5, []), why="too old", now=1000.5))
    (tmp_path / "5.json").rename(tmp_path / "6.json")
    with pytest.raises(RecordError) as caught:
        tombstones.read(6)
    assert str(caught.value) == (
        f"cannot use {tmp_path}/6.json: its content is that of version 5. Restore the file from a"
        " backup, or remove it."
    )
    # Restored.
    (tmp_path / "6.json").rename(tmp_path / "5.json")
    assert tombstones.read(5).why == "too old"


def test_tombstones_among_other_files(tmp_path: Path):
    tombstones = Tombstones(location_of(tmp_path / "retired"))
    assert (tombstones.versions(), tombstones.half_written_in(tombstones.names())) == ([], [])
    own = ["0.json", "10.json", "9.json", f"{2**63 - 1}.json"]
    half_written = [".5.json.partial", ".6.json.0123456789abcdef.partial"]
    others = [
        "007.json",
        "-1.json",
        "1.json.bak",
        "notes.txt",
        ".notes.partial",
        "1" * 40 + ".json",
    ]
    write_files(tmp_path / "retired", dict.fromkeys((*own, *half_written, *others), b"{}"))
    assert tombstones.versions() == [0, 9, 10, 2**63 - 1]
    assert [
        location.name for location in tombstones.half_written_in(tombstones.names())
    ] == half_written
    assert tombstones.location(9).path == str(tmp_path / "retired" / "9.json")


# The files of an export.


@pytest.mark.parametrize("name", ["assets.extra", "assets.extra/best_exporter"])
def test_a_foreign_file_in_place_of_the_records_directory(
    tmp_path: Path, export: Location, name: str
):
    assert records.has_record(export)
    assert not records.has_record(location_of(write_files(tmp_path / "6", {name: b"theirs"})))
    assert not records.has_record(location_of(tmp_path / "nowhere"))


def test_differences(export: Location, model_path: Path):
    record = records.record_of(export)
    path = Path(export.path)
    assert records.differences(record, export) == []
    write_files(path, {"assets/more.txt": b"", "assets/words.txt": b"Words", "empty.txt": b""})
    (path / "fingerprint.pb").unlink()
    os.truncate(path / "variables" / "variables.index", 2)
    expected = {file.path: file.digest for file in files_of(model_path)}
    actual = {file.path: file.digest for file in files_of(path)}
    words, index = "assets/words.txt", "variables/variables.index"
    before = read_files(path)
    assert records.differences(record, export) == [
        "assets/more.txt is not in the record",
        "empty.txt is not in the record",
        f"{words} has {actual[words]}, not {expected[words]}",
        "fingerprint.pb is missing",
        f"{index} has {actual[index]}, not {expected[index]}",
    ]
    assert read_files(path) == before


def collision(content: bytes, crc32c: int) -> bytes:
    """Returns a content of the same length and with a given CRC-32C; the last four bytes differ.

    A CRC is linear: each of the 32 bits changes the checksum by a constant, so the bits to change
    are the solution of 32 equations, by Gaussian elimination.
    """
    start = google_crc32c.value(content[:-4])
    zero = google_crc32c.extend(start, bytes(4))
    rows: dict[int, tuple[int, int]] = {}
    for bit in range(32):
        effect = google_crc32c.extend(start, (1 << bit).to_bytes(4, "little")) ^ zero
        bits = 1 << bit
        while effect and (top := effect.bit_length()) in rows:
            effect, bits = effect ^ rows[top][0], bits ^ rows[top][1]
        if effect:
            rows[effect.bit_length()] = (effect, bits)
    wanted, solution = crc32c ^ zero, 0
    while wanted:
        effect, bits = rows[wanted.bit_length()]
        wanted, solution = wanted ^ effect, solution ^ bits
    return content[:-4] + solution.to_bytes(4, "little")


def in_bucket(tmp_path: Path) -> Location:
    return Bucket(tmp_path).location("bucket")


def on_disk(tmp_path: Path) -> Location:
    return location_of(tmp_path / "disk")


@pytest.mark.parametrize("make_base", [on_disk, in_bucket])
def test_a_forged_file_with_the_same_checksum_is_named(
    tmp_path: Path, make_base: Callable[[Path], Location]
):
    content = b"the weights of the model"
    name = "variables/variables.data-00000-of-00001"
    model_path = write_files(tmp_path / "model", {**FILES, name: content})
    exports = ExportDirectory(make_base(tmp_path))
    export = publish(exports, 5, model_path)
    assert exports.verify(export) == []
    forged = collision(b"the weights of an attacker"[: len(content)], google_crc32c.value(content))
    assert forged != content
    (export.location / name).write(forged)
    assert (export.location / name).digest() == digest_of_bytes(content)
    actual, expected = hashlib.sha256(forged).hexdigest(), hashlib.sha256(content).hexdigest()
    assert exports.verify(export) == [f"{name} has the SHA-256 {actual}, not {expected}"]


def test_each_file_has_its_proof(tmp_path: Path, model_path: Path):
    exports = ExportDirectory(on_disk(tmp_path))
    export = publish(exports, 5, model_path)
    record = exports.record(export)
    assert {entry.path: entry.sha256 for entry in record.manifest} == {
        name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()
    }
    write_files(Path(export.path), {"assets/more.txt": b"", "assets/words.txt": b"Words"})
    (Path(export.path) / "fingerprint.pb").unlink()
    # Records of older releases, and copies within a store, have no SHA-256.
    record.manifest[0].sha256 = ""
    proofs = records.proofs(record, export.location)
    assert {proof.path: (proof.proof, bool(proof.problem)) for proof in proofs} == {
        "assets/more.txt": ("", True),
        "assets/empty.txt": ("crc32c", False),
        "assets/words.txt": ("sha256", True),
        "fingerprint.pb": ("", True),
        "saved_model.pb": ("sha256", False),
        "variables/variables.data-00000-of-00001": ("sha256", False),
        "variables/variables.index": ("sha256", False),
    }
    assert records.proofs(exports.record(export), export.location)[-1].proof == "sha256"


def test_a_copy_within_a_store_has_no_sha256(tmp_path: Path, model_path: Path):
    bucket = Bucket(tmp_path)
    exports = ExportDirectory(bucket.location("base"))
    files = saved_model.files_of(Location(bucket, str(model_path)))
    with exports.lock():
        export, _ = exports.publish(5, files, record_of())
    assert {entry.sha256 for entry in exports.record(export).manifest} == {""}
    assert {
        proof.proof for proof in records.proofs(records.record_of(export.location), export.location)
    } == {"crc32c"}
    assert exports.verify(export) == []
