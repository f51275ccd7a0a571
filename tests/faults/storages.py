"""A storage around another one that counts changing calls, and injects faults at a step."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tfx_best_exporter.executor.storage.digest import FileDigest
from tfx_best_exporter.executor.storage.protocol import (
    Entry,
    Lease,
    LockOwner,
    Storage,
    Tree,
)


@dataclasses.dataclass(frozen=True)
class Step:
    """One call that may change a file.

    Attributes:
        number: Number of the call among all such calls of the storage, from 0.
        name: Name of the method.
        path: Path that changes.
    """

    number: int
    name: str
    path: str


Hook = Callable[[Step], None]


def nothing(step: Step) -> None:
    """A hook without an effect."""


class SteppedStorage:
    """A storage that calls one hook before each step, and another one after it.

    A hook that raises an error makes the step fail, before or after its effect.
    """

    def __init__(self, storage: Storage, before: Hook = nothing, after: Hook = nothing):
        self._storage = storage
        self._before = before
        self._after = after
        self._guard = threading.Lock()
        self.steps: list[Step] = []
        self.has_atomic_rename = storage.has_atomic_rename
        self.connections = storage.connections
        self.small_file_connections = storage.small_file_connections

    @contextlib.contextmanager
    def _step(self, name: str, path: str) -> Iterator[None]:
        with self._guard:
            step = Step(len(self.steps), name, path)
            self.steps.append(step)
        self._before(step)
        yield
        self._after(step)

    def uri(self, path: str) -> str:
        return self._storage.uri(path)

    def local_path(self, path: str) -> Path | None:
        return self._storage.local_path(path)

    def exists(self, path: str) -> bool:
        return self._storage.exists(path)

    def children(self, path: str) -> list[Entry]:
        return self._storage.children(path)

    def sizes(self, path: str) -> dict[str, int]:
        return self._storage.sizes(path)

    def tree(self, path: str) -> Tree:
        return self._storage.tree(path)

    def now(self, lock_path: str, *, is_locked: bool) -> float:
        return self._storage.now(lock_path, is_locked=is_locked)

    def digest(self, path: str) -> FileDigest:
        return self._storage.digest(path)

    def read(self, path: str, max_bytes: int) -> bytes:
        return self._storage.read(path, max_bytes)

    def write(self, path: str, content: bytes, *, if_absent: bool = False) -> None:
        with self._step("write", path):
            self._storage.write(path, content, if_absent=if_absent)

    def download(self, path: str, local_path: Path) -> FileDigest:
        with self._step("download", str(local_path)):
            return self._storage.download(path, local_path)

    def upload(self, local_path: Path, path: str) -> FileDigest:
        with self._step("upload", path):
            return self._storage.upload(local_path, path)

    def copy(self, source_path: str, path: str, *, size: int | None = None) -> FileDigest:
        with self._step("copy", path):
            return self._storage.copy(source_path, path, size=size)

    def link(self, source_path: str, path: str) -> None:
        with self._step("link", path):
            self._storage.link(source_path, path)

    def sync(self, path: str) -> None:
        with self._step("sync", path):
            self._storage.sync(path)

    def rename(self, source_path: str, path: str) -> None:
        with self._step("rename", path):
            self._storage.rename(source_path, path)

    def remove(self, path: str) -> None:
        with self._step("remove", path):
            self._storage.remove(path)

    def remove_files(self, paths: Sequence[str]) -> None:
        with self._step("remove_files", " ".join(paths)):
            self._storage.remove_files(paths)

    @contextlib.contextmanager
    def batch(self) -> Iterator[SteppedStorage]:
        with contextlib.ExitStack() as stack:
            inner = stack.enter_context(self._storage.batch())
            view = copy.copy(self)
            view._storage = inner
            yield view
            # An object store has nothing to do at the end.
            if inner is not self._storage:
                with self._step("end of batch", ""):
                    stack.close()

    @contextlib.contextmanager
    def lock(self, path: str, timeout_seconds: float) -> Iterator[Lease]:
        with contextlib.ExitStack() as stack:
            with self._step("lock", path):
                lease = stack.enter_context(self._storage.lock(path, timeout_seconds))
            yield lease
            with self._step("unlock", path):
                stack.close()

    def lock_owner(self, path: str) -> LockOwner | None:
        return self._storage.lock_owner(path)

    def close(self) -> None:
        getattr(self._storage, "close", lambda: None)()


@dataclasses.dataclass(frozen=True)
class SignalAt:
    """A hook that sends a signal to its own process at one step."""

    number: int
    signal: signal.Signals = signal.SIGKILL

    def __call__(self, step: Step) -> None:
        if step.number == self.number:
            os.kill(os.getpid(), self.signal)


def hooks_of(fault: dict[str, Any] | None) -> dict[str, Hook]:
    """Returns the hooks for the fault of a job: {"at": 3, "when": "before", "signal": 9}."""
    if fault is None:
        return {}
    return {fault["when"]: SignalAt(fault["at"], signal.Signals(fault["signal"]))}
