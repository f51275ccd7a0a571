"""Bucket: a storage without renames, on a disk, that behaves as an object store."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tfx_best_exporter.executor.storage import errors, lease
from tfx_best_exporter.executor.storage.digest import FileDigest
from tfx_best_exporter.executor.storage.local import LocalStorage
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import (
    Entry,
    Kind,
    LeaseLostError,
    LockOwner,
    StorageError,
)


class KilledError(BaseException):
    """Simulates the end of a process, after which it changes nothing in the bucket."""


class BucketLease:
    """A lease that is lost as soon as another writer takes the lock."""

    def __init__(self, bucket: "Bucket"):
        self._bucket = bucket

    def check(self) -> None:
        if self._bucket.lease is not self:
            raise LeaseLostError("another writer has the lock")


class _LockObject:
    """A lock object that is only read."""

    def __init__(self, path: Path):
        self._path = path

    def load(self) -> lease.LeaseObject | None:
        if not self._path.is_file():
            return None
        return lease.LeaseObject(content=self._path.read_bytes(), version="", age_seconds=None)

    def create(self, content: bytes) -> str | None:
        raise NotImplementedError

    def replace(self, version: str, content: bytes) -> str | None:
        raise NotImplementedError

    def delete(self, version: str) -> None:
        raise NotImplementedError


class Bucket(LocalStorage):
    """Objects as files: each one is written and deleted alone, and directories are implicit.

    Attributes:
        steps: Changes so far, as "verb path" with the path relative to `directory`.
        before: Called with each step before its effect, in the thread of the step.
        lease: Lease of the writer that holds the lock.
    """

    has_atomic_rename = False
    connections = 8
    small_file_connections = 8

    def __init__(self, directory: Path):
        self.directory = directory
        self.steps: list[str] = []
        self.before: Callable[[str], None] = lambda step: None
        self.lease: BucketLease | None = None
        self._changing = threading.RLock()

    def location(self, relative_path: str) -> Location:
        return Location(self, str(self.directory / relative_path))

    def uri(self, path: str) -> str:
        return f"bucket://{self._relative(path)}"

    def local_path(self, path: str) -> Path | None:
        return None

    def exists(self, path: str) -> bool:
        return Path(path).is_file() or bool(self.sizes(path))

    def children(self, path: str) -> list[Entry]:
        return [
            entry
            for entry in super().children(path)
            if entry.kind is Kind.FILE or self.sizes(f"{path}/{entry.name}")
        ]

    def write(self, path: str, content: bytes, *, if_absent: bool = False) -> None:
        with self._step("write", path):
            super().write(path, content, if_absent=if_absent)

    def upload(self, local_path: Path, path: str) -> FileDigest:
        with self._step("upload", path):
            return super().upload(local_path, path)

    def copy(self, source_path: str, path: str, *, size: int | None = None) -> FileDigest:
        with self._step("copy", path):
            return super().copy(source_path, path, size=size)

    def link(self, source_path: str, path: str) -> None:
        self.copy(source_path, path)

    def sync(self, path: str) -> None:
        """Does nothing, because each write is durable."""

    def rename(self, source_path: str, path: str) -> None:
        raise StorageError(errors.no_rename(self.uri(source_path), self.uri(path)))

    def remove(self, path: str) -> None:
        paths = [path] if Path(path).is_file() else [f"{path}/{name}" for name in self.sizes(path)]
        for each in sorted(paths):
            with self._step("remove", each):
                super().remove(each)

    def remove_files(self, paths: Sequence[str]) -> None:
        for path in paths:
            if Path(path).is_file():
                self.remove(path)

    @contextlib.contextmanager
    def batch(self) -> Iterator["Bucket"]:
        """Yields this bucket, because each write is durable."""
        yield self

    @contextlib.contextmanager
    def lock(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, path: str, timeout_seconds: float
    ) -> Iterator[BucketLease]:
        self.lease = lease = BucketLease(self)
        yield lease

    def lock_owner(self, path: str) -> LockOwner | None:
        return lease.owner_of(_LockObject(Path(path)))

    def _relative(self, path: str) -> str:
        return Path(path).relative_to(self.directory).as_posix()

    @contextlib.contextmanager
    def _step(self, verb: str, path: str) -> Iterator[None]:
        step = f"{verb} {self._relative(path)}"
        self.before(step)
        self.steps.append(step)
        # A store replaces an object at once; a disk needs two steps.
        with self._changing:
            yield
