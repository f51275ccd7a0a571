"""The reader reports every violation, and no violation that did not happen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from tests.faults.conftest import Model, World
from tests.faults.reader import Reader
from tfx_best_exporter.executor.exporter import ModelExporter
from tfx_best_exporter.executor.exports.records import RECORD_PATH
from tfx_best_exporter.executor.exports.saved_model import MARKERS
from tfx_best_exporter.executor.storage.local import LocalStorage
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import Entry
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# This pattern matches TensorFlow's error for a file that is not a model.
NOT_LOADED = r"(?s)version \d+: .*Cannot parse file .*saved_model\.pb"


class ListedBefore(LocalStorage):
    """A disk that calls a function once, right after a directory was listed."""

    def __init__(self, path: str, then: Callable[[], Any]):
        super().__init__()
        self._path = path
        self._then: Callable[[], Any] | None = then

    def children(self, path: str) -> list[Entry]:
        result = super().children(path)
        if path == self._path and self._then:
            then, self._then = self._then, None
            then()
        return result


def remove(base: Location, version: int) -> None:
    """Takes a version out of service in one step, as the exporter would."""
    if base.local_path():
        Path(base.path, f"{version}").rename(Path(base.path).with_name(f"removed-{version}"))
        return
    export = base / f"{version}"
    for path in sorted(export.sizes(), key=lambda path: path not in MARKERS):
        (export / path).remove()


def test_a_version_that_gives_way_to_a_better_one_while_it_is_looked_at(
    disk: World, model: Model
) -> None:
    base = disk / "base"
    exporter = ModelExporter(base, exports_to_keep=1)
    before = exporter.run(model("before"), {"loss": 0.3}).message.version
    after: list[int] = []

    def replace() -> None:
        after.append(exporter.run(model("after"), {"loss": 0.1}).message.version)

    reader = Reader(base)
    reader.poll()
    slow = Reader(Location(ListedBefore(base.path, replace), base.path))
    slow.largest = reader.largest
    slow.poll()
    assert not Path(base.path, f"{before}").exists()
    assert slow.violations == []
    slow.poll()
    assert slow.violations == []
    assert slow.versions == after == [slow.largest]


def test_the_largest_version_that_goes_away(world: World, model: Model) -> None:
    base = world / "base"
    exporter = ModelExporter(base)
    versions = [exporter.run(model(f"{n}"), {"loss": 1.0 / n}).message.version for n in (1, 2)]
    with pytest.raises(AssertionError, match="disappeared") as caught, Reader(base):
        remove(base, versions[1])
    assert f"version {versions[1]} was the largest" in str(caught.value)


def test_a_version_that_changes(world: World, model: Model) -> None:
    version = ModelExporter(world / "base").run(model("only"), {"loss": 0.3}).version
    with pytest.raises(AssertionError, match="it has changed"), Reader(world / "base"):
        (world / "base" / f"{version}/assets.extra/name.txt").write(b"another length")


def test_a_version_that_lacks_a_file(world: World, model: Model) -> None:
    version = ModelExporter(world / "base").run(model("only"), {"loss": 0.3}).version
    (world / "base" / f"{version}/assets/words.txt").remove()
    with pytest.raises(AssertionError, match=r"words\.txt"), Reader(world / "base"):
        pass


def test_a_version_that_tensorflow_does_not_load(disk: World, model: Model) -> None:
    """The files of the version match its record."""
    version = ModelExporter(disk / "base").run(model("only"), {"loss": 0.3}).version
    export = disk / "base" / f"{version}"
    (export / "saved_model.pb").write(b"not a model")
    record = json_format.Parse((export / RECORD_PATH).read(1 << 20), pb.ExportRecord())
    for entry in record.manifest:
        if entry.path == "saved_model.pb":
            digest = (export / "saved_model.pb").digest()
            entry.size, entry.crc32c, entry.sha256 = digest.size, digest.crc32c, ""
    record_json = json_format.MessageToJson(record, preserving_proto_field_name=True)
    (export / RECORD_PATH).write(record_json.encode())
    with pytest.raises(AssertionError, match=NOT_LOADED), Reader(disk / "base"):
        pass


def test_a_foreign_version_that_tensorflow_does_not_load(disk: World) -> None:
    (disk / "base/7/saved_model.pb").write(b"not a model")
    with pytest.raises(AssertionError, match=NOT_LOADED), Reader(disk / "base", foreign=(7,)):
        pass


def test_a_largest_version_that_was_taken_back(world: World, model: Model) -> None:
    base = world / "base"
    exporter = ModelExporter(base)
    versions = [exporter.run(model(f"{n}"), {"loss": 1.0 / n}).message.version for n in (1, 2)]
    with Reader(base) as reader:
        remove(base, versions[1])
        reader.forgive_largest()
        assert reader.largest == versions[0]
    with pytest.raises(AssertionError, match="disappeared"), Reader(base) as reader:
        remove(base, versions[0])
