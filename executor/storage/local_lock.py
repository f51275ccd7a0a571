"""The lock of a local disk: `flock` on a file, which the system frees with its process."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tfx_best_exporter.executor.storage.protocol import LeaseLostError

_LOCK_POLL_SECONDS = 0.05

_logger = logging.getLogger(__name__)


class LocalLease:
    """A lock file that this process holds."""

    def __init__(self, path: Path, file: IO[bytes]):
        """Makes a lease of a lock file that is open and locked."""
        self._path = path
        self._file = file

    def check(self) -> None:
        """Makes sure that the lock is still held.

        Raises:
            LeaseLostError: The lock file was deleted or replaced, so that another process can hold
                a lock of the same name.
        """
        if not self.is_of_this_name():
            raise LeaseLostError(
                f"lock must be held until its owner frees it (got a lock file that was deleted or"
                f" replaced, at {self._path}). Leave lock files alone, and run again."
            )

    def is_of_this_name(self) -> bool:
        """Returns whether the file that is locked is the one that others would lock."""
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), os.stat(self._path))
        except FileNotFoundError:
            return False


@contextlib.contextmanager
def lock(path: Path, timeout_seconds: float) -> Iterator[LocalLease]:
    """Holds an exclusive lock; the system frees it when the process ends, however it ends.

    Args:
        path: Lock file; created if absent, never deleted.
        timeout_seconds: How long to wait for another holder.

    Raises:
        TimeoutError: Another process held the lock all the time.
        OSError: The lock file cannot be opened.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + timeout_seconds
    is_first_try = True
    while True:
        with path.open("a+b") as file:
            lease = LocalLease(path, file)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise TimeoutError(
                        f"lock must be free within {timeout_seconds:g} seconds (held by another"
                        f" process, at {path}). Let the other run finish, or end it."
                    ) from None
                if is_first_try:
                    _logger.info("waiting for another writer that holds %s", path)
                    is_first_try = False
            else:
                # Somebody may have deleted the file between opening and locking it.
                if lease.is_of_this_name():
                    # Closing the file frees the lock.
                    yield lease
                    return
        time.sleep(_LOCK_POLL_SECONDS)
