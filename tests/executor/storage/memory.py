"""MemoryStorage: files in the memory of this process, an example for docs/adding-a-storage.md."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from tfx_best_exporter.executor.storage import errors, lease, objects
from tfx_best_exporter.executor.storage.digest import FileDigest, digest_of_bytes
from tfx_best_exporter.executor.storage.protocol import (
    Entry,
    FileStatus,
    LockOwner,
    StorageError,
    TooLargeError,
    Tree,
)


class MemoryStorage:
    """Files by path in a dictionary that all instances share."""

    has_atomic_rename = False
    # Memory has no latency to hide.
    connections = 1
    small_file_connections = 1

    # The guard is held for each access.
    _guard: ClassVar[threading.RLock] = threading.RLock()
    _files: ClassVar[dict[str, bytes]] = {}
    _changed_at: ClassVar[dict[str, float]] = {}

    def __init__(self, *, lease_settings: lease.LeaseSettings | None = None):
        self._lease_settings = lease_settings or lease.LeaseSettings()

    def uri(self, path: str) -> str:
        return f"memory://{path}"

    def local_path(self, path: str) -> Path | None:
        return None

    def exists(self, path: str) -> bool:
        with self._guard:
            return path in self._files or bool(self.sizes(path))

    def children(self, path: str) -> list[Entry]:
        prefix = objects.prefix_of(path)
        paths = self.sizes(path)
        return objects.entries(
            prefix,
            [f"{prefix}{name}" for name in paths if "/" not in name],
            [f"{prefix}{name.partition('/')[0]}/" for name in paths if "/" in name],
        )

    def sizes(self, path: str) -> dict[str, int]:
        prefix = objects.prefix_of(path)
        with self._guard:
            sizes = {
                name: len(content)
                for name, content in self._files.items()
                if name.startswith(prefix)
            }
        return objects.relative_sizes(prefix, sizes)

    def tree(self, path: str) -> Tree:
        prefix = objects.prefix_of(path)
        with self._guard:
            return Tree(
                files={
                    name[len(prefix) :]: FileStatus(
                        size=len(content),
                        changed_at=self._changed_at[name],
                        stamp=str(self._changed_at[name]),
                    )
                    for name, content in self._files.items()
                    if name.startswith(prefix) and objects.is_file(name)
                }
            )

    def now(self, lock_path: str, *, is_locked: bool) -> float:
        return time.time()

    def digest(self, path: str) -> FileDigest:
        return digest_of_bytes(self._content(path))

    def read(self, path: str, max_bytes: int) -> bytes:
        content = self._content(path)
        if len(content) > max_bytes:
            raise TooLargeError(errors.too_large(self.uri(path), max_bytes))
        return content

    def _content(self, path: str) -> bytes:
        try:
            return self._files[path]
        except KeyError:
            raise FileNotFoundError(errors.absent(self.uri(path))) from None

    def write(self, path: str, content: bytes, *, if_absent: bool = False) -> None:
        objects.split_object(path)
        with self._guard:
            if if_absent and path in self._files:
                errors.check_own_write(self, path, content)
            else:
                self._files[path] = content
                self._changed_at[path] = time.time()

    def download(self, path: str, local_path: Path) -> FileDigest:
        content = self._content(path)
        local_path.parent.mkdir(parents=True, exist_ok=True)
        local_path.write_bytes(content)
        return digest_of_bytes(content)

    def upload(self, local_path: Path, path: str) -> FileDigest:
        self.write(path, local_path.read_bytes())
        return self.digest(path)

    def copy(self, source_path: str, path: str, *, size: int | None = None) -> FileDigest:
        self.write(path, self._content(source_path))
        return self.digest(path)

    def link(self, source_path: str, path: str) -> None:
        self.copy(source_path, path)

    def sync(self, path: str) -> None:
        """Does nothing, because a write is as durable as the process."""

    def rename(self, source_path: str, path: str) -> None:
        raise StorageError(errors.no_rename(self.uri(source_path), self.uri(path)))

    def remove(self, path: str) -> None:
        objects.split_object(path)
        with self._guard:
            for name in [name for name in self._files if f"{name}/".startswith(f"{path}/")]:
                del self._files[name]

    def batch(self) -> contextlib.AbstractContextManager[MemoryStorage]:
        """Returns this storage, because a write is as durable as the process."""
        return contextlib.nullcontext(self)

    def remove_files(self, paths: Sequence[str]) -> None:
        for path in paths:
            objects.split_object(path)
            self._files.pop(path, None)

    def lock(
        self, path: str, timeout_seconds: float
    ) -> contextlib.AbstractContextManager[lease.ObjectLease]:
        return lease.hold(
            MemoryLeaseStore(self, path), self.uri(path), timeout_seconds, self._lease_settings
        )

    def lock_owner(self, path: str) -> LockOwner | None:
        return lease.owner_of(MemoryLeaseStore(self, path), self._lease_settings)


class MemoryLeaseStore:
    """A lock file that is written only if it has the expected content; no two claims are equal."""

    def __init__(self, storage: MemoryStorage, path: str):
        self._files, self._changed_at = storage._files, storage._changed_at
        self._guard, self._path = storage._guard, path

    def load(self) -> lease.LeaseObject | None:
        content = self._files.get(self._path)
        if content is None:
            return None
        return lease.LeaseObject(content=content, version=content.decode(), age_seconds=None)

    def create(self, content: bytes) -> str | None:
        return self._swap(None, content)

    def replace(self, version: str, content: bytes) -> str | None:
        return self._swap(version.encode(), content)

    def delete(self, version: str) -> None:
        with self._guard:
            if self._files.get(self._path) == version.encode():
                del self._files[self._path]

    def _swap(self, expected: bytes | None, content: bytes) -> str | None:
        with self._guard:
            if self._files.get(self._path) != expected:
                return None
            self._files[self._path] = content
            self._changed_at[self._path] = time.time()
            return content.decode()
