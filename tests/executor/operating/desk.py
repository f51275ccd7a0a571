"""A base directory under test, and the person at the desk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.executor import plain
from tests.executor.bucket import Bucket
from tfx_best_exporter.executor.exports import saved_model
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.versions import Export
from tfx_best_exporter.executor.storage.local import LocalStorage
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.proto import best_exporter_pb2 as pb

NOW = 1_800_000_000.0
# Arguments that every operation has.
WHO: dict[str, Any] = {"reason": "bad at night", "operator": "ann", "now": NOW}


def who(**others: Any) -> dict[str, Any]:
    """Returns the arguments that every operation has, and others."""
    return WHO | others


class ClockedDisk(LocalStorage):
    """A disk whose clock a test can set ahead."""

    ahead_seconds = 0.0

    def now(self, lock_path: str, *, is_locked: bool) -> float:
        return super().now(lock_path, is_locked=is_locked) + self.ahead_seconds


class ClockedBucket(Bucket):
    """A bucket whose clock a test can set ahead."""

    ahead_seconds = 0.0

    def now(self, lock_path: str, *, is_locked: bool) -> float:
        # Its lock is no file whose time could be read.
        return super().now(lock_path, is_locked=False) + self.ahead_seconds


class Desk:
    """A base directory and its content."""

    def __init__(self, base: Location, tmp_path: Path):
        self.exports = ExportDirectory(base)
        self.tmp_path = tmp_path

    @property
    def versions(self) -> list[int]:
        """Versions in the base directory."""
        return [export.version for export in self.exports.exports()]

    @property
    def served(self) -> int | None:
        """Version that a model server serves."""
        export = self.exports.served().export
        return export.version if export else None

    @property
    def state(self) -> Any:
        """Everything that operators have said."""
        return self.exports.operators.read()

    @property
    def files(self) -> dict[str, int]:
        """Size of each file in the base directory by path, without those that a reader renews."""
        return {
            path: size
            for path, size in self.exports.base.sizes().items()
            if "/stamps/" not in path and not path.endswith("/lock")
        }

    def wait(self, seconds: float = 3600.0) -> None:
        """Sets the clock of the storage ahead, so that an unfinished copy counts as broken."""
        storage = self.exports.base.storage
        assert isinstance(storage, (ClockedDisk, ClockedBucket))
        storage.ahead_seconds += seconds

    def logged(self) -> list[tuple[str, int | None, str]]:
        """Returns kind, version and operator of each line in the decision log."""
        return [
            (each.kind, each.version, each.operator)
            for each in self.exports.decision_log.read().decisions
        ]

    def model(self, name: object) -> Path:
        """Returns the directory of a model, another one for each name."""
        path = self.tmp_path / "models" / str(name)
        if not path.exists():
            plain.write_files(path, {**plain.FILES, "assets/words.txt": str(name).encode()})
        return path

    def digest(self, name: object) -> str:
        """Returns the content digest of a model."""
        return saved_model.digest_of(plain.files_of(self.model(name)))

    def publish(self, version: int, model: object = None, **fields: Any) -> Export:
        """Publishes a version, by default of a model that has its number as a name."""
        name = version if model is None else model
        source = pb.SourceModel(uri=f"/models/{name}", digest=self.digest(name))
        return plain.publish(self.exports, version, self.model(name), **{"model": source, **fields})

    def clear(self) -> None:
        """Removes all versions."""
        for version in self.versions:
            (self.exports.base / str(version)).remove()

    def put(self, path: str, content: bytes = b"") -> None:
        """Writes a file as another program would."""
        (self.exports.base / path).write(content)

    def push(self, name: str, model: object) -> None:
        """Writes a version as Pusher does, without a record."""
        for path, content in plain.read_files(self.model(model)).items():
            self.put(f"{name}/{path}", content)
