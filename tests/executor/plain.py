"""The smallest SavedModels that pass the checks of this package, and exports of them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.executor.exports import tables
from tfx_best_exporter.executor.exports import saved_model
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.records import SCHEMA_VERSION
from tfx_best_exporter.executor.exports.versions import Export
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.local import LocalStorage
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.proto import best_exporter_pb2 as pb
from tfx_best_exporter.proto import saved_model_pb2

_GRAPH = saved_model_pb2.MetaGraphDef(
    meta_info_def=saved_model_pb2.MetaGraphDef.MetaInfoDef(tags=["serve"]),
    saver_def=saved_model_pb2.SaverDef(restore_op_name="restore"),
    graph_def=saved_model_pb2.GraphDef(
        node=[
            saved_model_pb2.NodeDef(name="x", op="Placeholder"),
            saved_model_pb2.NodeDef(name="y", op="Identity", input=["x"]),
            saved_model_pb2.NodeDef(name="restore", op="NoOp"),
        ]
    ),
    signature_def={
        "serving_default": saved_model_pb2.SignatureDef(
            inputs={"x": saved_model_pb2.TensorInfo(name="x:0", dtype=saved_model_pb2.DT_FLOAT)},
            outputs={"y": saved_model_pb2.TensorInfo(name="y:0", dtype=saved_model_pb2.DT_FLOAT)},
            method_name="tensorflow/serving/predict",
        )
    },
)
_DATA = b"data"
_VARIABLE = saved_model_pb2.BundleEntryProto(dtype=saved_model_pb2.DT_UINT8, size=len(_DATA))
_VARIABLE.shape.dim.add(size=len(_DATA))
_HEADER = saved_model_pb2.BundleHeaderProto(num_shards=1)

FILES = {
    "saved_model.pb": saved_model_pb2.SavedModel(meta_graphs=[_GRAPH]).SerializeToString(),
    "fingerprint.pb": b"fingerprint",
    "variables/variables.index": tables.table(
        [tables.block([(b"", _HEADER.SerializeToString()), (b"v", _VARIABLE.SerializeToString())])]
    ),
    "variables/variables.data-00000-of-00001": _DATA,
    "assets/words.txt": b"words",
    "assets/empty.txt": b"",
}


def _unparsable(problem: str) -> str:
    return f"the file cannot be parsed ({problem})"


def _of_schema(schema_version: object) -> str:
    return f"its schema_version is {schema_version!r}, not 1"


# Content that cannot be read as a record or tombstone, and the problem in the reader's error.
UNREADABLE_RECORDS = {
    "empty": (b"", _unparsable("Expecting value: line 1 column 1 (char 0)")),
    "truncated": (
        b'{"schema_version": 1, "ver',
        _unparsable("Unterminated string starting at: line 1 column 23 (char 22)"),
    ),
    "only begun": (
        b"{",
        _unparsable("Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
    ),
    "binary": (
        b"\x80abc",
        _unparsable("'utf-8' codec can't decode byte 0x80 in position 0: invalid start byte"),
    ),
    "another document": (b"[]", "the file has no JSON object"),
    "no schema": (b"{}", _of_schema(None)),
    "newer schema": (b'{"schema_version": 2}', _of_schema(2)),
    "schema as text": (b'{"schema_version": "1"}', _of_schema("1")),
}


def write_files(path: Path, files: dict[str, bytes] | None = None) -> Path:
    for name, content in (FILES if files is None else files).items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


class LaterDisk(LocalStorage):
    """A disk on which everything was written an hour ago."""

    def now(self, lock_path: str, *, is_locked: bool) -> float:
        return super().now(lock_path, is_locked=is_locked) + 3600.0


def later(path: Path) -> Location:
    """Returns a location of a disk on which everything was written an hour ago."""
    return Location(LaterDisk(), str(path))


def read_files(path: Path) -> dict[str, bytes]:
    return {
        file.relative_to(path).as_posix(): file.read_bytes()
        for file in path.rglob("*")
        if file.is_file()
    }


def path_of(location: Location) -> Path:
    """Returns the local path of a location."""
    path = location.local_path()
    assert path
    return path


def files_of(path: Path) -> list[saved_model.ModelFile]:
    return saved_model.files_of(location_of(path))


def record_of(**kwargs: Any) -> Callable[..., pb.ExportRecord]:
    def make_record(version: int, manifest: Sequence[pb.ManifestEntry]) -> pb.ExportRecord:
        return pb.ExportRecord(
            schema_version=SCHEMA_VERSION, version=version, manifest=manifest, **kwargs
        )

    return make_record


def publish(exports: ExportDirectory, version: int, model_path: Path, **kwargs: Any) -> Export:
    """Publishes a model, and writes it first if it does not exist; kwargs go into the record."""
    if not model_path.exists():
        write_files(model_path)
    with exports.lock():
        return exports.publish(version, files_of(model_path), record_of(**kwargs))[0]


def retire(exports: ExportDirectory, export: Export, why: str = "", now: float = 0.0) -> None:
    with exports.lock():
        retire_locked(exports, export, why=why, now=now)


def retire_locked(
    exports: ExportDirectory, export: Export, why: str = "", now: float = 0.0
) -> None:
    """Retires one export, and raises its error; the caller holds the lock."""
    for error in exports.retire_all({export: why}, now=now).values():
        raise error


def recover(exports: ExportDirectory) -> tuple[str, ...]:
    with exports.lock():
        return exports.recover()
