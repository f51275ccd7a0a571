"""The lock of a local disk: `flock` on a file, which the system frees when the process ends."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tfx_best_exporter.executor.redaction import shown
from tfx_best_exporter.executor.storage import errors, local_files
from tfx_best_exporter.executor.storage.protocol import LeaseLostError, LockOwner, StorageError

_LOCK_POLL_SECONDS = 0.05

_logger = logging.getLogger(__name__)


class LocalLease:
    """A lock file that this process holds."""

    def __init__(self, path: Path, file: IO[bytes]):
        """Makes a lease from a lock file that is open and locked."""
        self._path = path
        self._file = file

    def check(self) -> None:
        """Checks that the lock is still held.

        Raises:
            LeaseLostError: The lock file was deleted or replaced, so that another process can hold
                a lock of the same name.
        """
        if not self.is_of_this_name():
            raise LeaseLostError(
                f"cannot hold the lock {shown(str(self._path))}: another program deleted or"
                " replaced the lock file. Run again, and do not change lock files."
            )

    def is_of_this_name(self) -> bool:
        """Returns True if other processes would lock the same file."""
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), os.stat(self._path))
        except FileNotFoundError:
            return False


@contextlib.contextmanager
def lock(path: Path, timeout_seconds: float) -> Iterator[LocalLease]:
    """Holds an exclusive lock; the system frees it when the process ends or is killed.

    Args:
        path: Lock file; created if it does not exist, never deleted.
        timeout_seconds: Maximum time to wait for another holder.

    Raises:
        TimeoutError: Another process held the lock until the timeout.
        StorageError: The lock file is a link.
        OSError: The lock file cannot be opened.
    """
    name = shown(str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    owner = os.getpid()
    deadline = time.monotonic() + timeout_seconds
    is_first_try = True
    while True:
        with _opened(path) as file:
            lease = LocalLease(path, file)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise TimeoutError(
                        f"cannot lock {name} within {timeout_seconds:g} seconds: the lock is held"
                        " by another process. Let the other run finish, or end it."
                    ) from None
                if is_first_try:
                    _logger.info("waiting for the lock %s, which another process holds", name)
                    is_first_try = False
            else:
                # Another program may have deleted the file between opening and locking it.
                if lease.is_of_this_name():
                    try:
                        yield lease
                    finally:
                        _unlock(file, owner, name)
                    return
        time.sleep(_LOCK_POLL_SECONDS)


def owner_of(path: Path) -> LockOwner | None:
    """Returns the process that holds a lock; None if the lock is free. Writes nothing.

    A shared lock is taken for a moment, so a writer that asks in this moment asks again.

    Args:
        path: Lock file; it need not exist.

    Raises:
        StorageError: The path is not a regular file.
        OSError: The lock file cannot be opened.
    """
    try:
        file = local_files.open_regular(path, 0)
    except FileNotFoundError:
        return None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return LockOwner(name=_process_of(file))
        fcntl.flock(file, fcntl.LOCK_UN)
    return None


def _process_of(file: IO[bytes]) -> str:
    """Returns the process that holds the lock of a file, as far as the kernel shows it."""
    inode = f":{os.fstat(file.fileno()).st_ino}"
    # Each line is "<number>: FLOCK ADVISORY WRITE <process> <major>:<minor>:<inode> <start> <end>".
    # A container does not see processes of others: https://man7.org/linux/man-pages/man5/proc_locks.5.html
    with contextlib.suppress(OSError):
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()
            if fields[1:2] == ["FLOCK"] and fields[5].endswith(inode) and int(fields[4]) > 0:
                return f"process {fields[4]}"
    return "another process"


def _opened(path: Path) -> IO[bytes]:
    try:
        return open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), "r+b", 0)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise StorageError(errors.is_link(str(path))) from None


def _unlock(file: IO[bytes], owner: int, name: str) -> None:
    """Frees the lock.

    Closing the file would not free it while a child of this process has the file open too, and a
    function of the user may leave such a child. A child that was forked while the lock was held
    must not free the lock of its parent.
    """
    if os.getpid() != owner:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_UN)
    except OSError as error:
        _logger.warning("cannot unlock %s, closing it instead: %s", name, error)
