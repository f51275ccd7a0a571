"""Files on a local disk: digests, copies that are synced, links, locks.

Every function leaves either what it says or nothing; what it wrote is on disk when it returns.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import google_crc32c

from tfx_best_exporter.executor.storage.digest import FileDigest

_CHUNK_BYTES = 4 << 20
_LOCK_POLL_SECONDS = 0.05

_logger = logging.getLogger(__name__)


def digest(path: Path) -> FileDigest:
    """Returns size and CRC-32C of a file.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as source:
        return _transfer(source, None)


def copy(source_path: Path, destination_path: Path) -> FileDigest:
    """Copies a file, syncs it to disk, and returns size and CRC-32C of what was read.

    Permissions are those of a new file, not the source's: a model server must be able to read it.

    Raises:
        FileExistsError: The destination exists.
        OSError: The source cannot be read, or the destination cannot be written.
    """
    destination_path.parent.mkdir(parents=True, exist_ok=True)
    with source_path.open("rb") as source, destination_path.open("xb") as destination:
        result = _transfer(source, destination)
        destination.flush()
        os.fsync(destination.fileno())
    return result


def _transfer(source: IO[bytes], destination: IO[bytes] | None) -> FileDigest:
    crc, size = 0, 0
    while chunk := source.read(_CHUNK_BYTES):
        crc = google_crc32c.extend(crc, chunk)
        size += len(chunk)
        if destination:
            destination.write(chunk)
    return FileDigest(size=size, crc32c=crc)


def write(path: Path, content: bytes) -> None:
    """Writes a file so that a reader sees all of it or none of it, whatever happens.

    Raises:
        OSError: It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial_path = path.with_name(f".{path.name}.partial")
    with partial_path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial_path.replace(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Makes the names in a directory durable.

    Raises:
        OSError: The directory cannot be opened or synced.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directories(path: Path) -> None:
    """Makes the names in a directory and in all below it durable."""
    for directory, _, _ in os.walk(path):
        sync_directory(Path(directory))


def link_or_copy(source_path: Path, destination_path: Path) -> None:
    """Makes a file appear at a second path, without copying where the file system can link.

    Raises:
        OSError: The source cannot be read, or the destination cannot be written.
    """
    destination_path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # A link to a link would keep pointing outside: link to the file itself.
        os.link(source_path.resolve(), destination_path)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EACCES, errno.ENOTSUP):
            raise
        copy(source_path, destination_path)


def remove_tree(path: Path) -> None:
    """Deletes a directory or a file and all below it; a link is deleted, not followed.

    Raises:
        OSError: Something could not be deleted; what is left stays where it is.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def lock(path: Path, timeout_seconds: float) -> Iterator[None]:
    """Holds an exclusive lock; the system frees it when the process ends, however it ends.

    Args:
        path: Lock file; created if absent, never deleted.
        timeout_seconds: How long to wait for another holder.

    Raises:
        TimeoutError: Another process held the lock all the time.
        OSError: The lock file cannot be opened.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        deadline = time.monotonic() + timeout_seconds
        is_first_try = True
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise TimeoutError(
                        f"lock must be free within {timeout_seconds:g} seconds (held by another"
                        f" process, at {path}). Let the other run finish, or end it."
                    ) from None
                if is_first_try:
                    _logger.info("waiting for another writer that holds %s", path)
                    is_first_try = False
                time.sleep(_LOCK_POLL_SECONDS)
        # Closing the file frees the lock.
        yield
