"""Exports on a storage that is not in the registry: the verbs of the protocol are enough."""

from pathlib import Path

from tests.executor.plain import FILES, files_of, publish, recover, retire
from tfx_best_exporter.executor.exports import pushed_model
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.storage.registry import STORAGES, Registry, StorageRow

REGISTRY = Registry(
    {**STORAGES, "memory": StorageRow(name="tests.executor.storage.memory:MemoryStorage")}
)


def test_exports_on_another_storage(tmp_path: Path):
    root = REGISTRY.location_of(f"memory://models/{tmp_path.name}")
    exports = ExportDirectory(root / "base")
    for version in (5, 6):
        publish(exports, version, tmp_path / "model")
    first, second = exports.exports()
    assert (first.version, second.version) == (5, 6)
    assert exports.served().export == second
    assert exports.verify(second) == []
    assert {name: (second.location / name).read(1000) for name in FILES} == FILES

    pushed_model.copy_export(second.location, root / "pushed_model", files_of(tmp_path / "model"))
    assert (root / "pushed_model").sizes() == second.location.sizes()

    retire(exports, first, why="too old", now=0)
    assert [export.version for export in exports.exports()] == [6]
    assert [tombstone.why for tombstone in exports.tombstones()] == ["too old"]
    assert not first.location.exists()
    assert recover(exports) == ()
