"""Functions on single files of a local disk: digest, copy, write, link, remove.

Each function does all that it says or leaves nothing behind. A result is on disk when the function
returns, except for `copy(..., is_synced=False)`, which leaves that to `LocalStorage.sync`.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import IO

import google_crc32c

from tfx_best_exporter.executor.storage.digest import FileDigest

# Fits into a processor's cache: what the checksum has read, the write does not fetch again.
_CHUNK_BYTES = 256 << 10
# The disk starts to write when so much has come together, and not when the file is synced.
_WRITEBACK_BYTES = 8 << 20


def digest(path: Path) -> FileDigest:
    """Returns size and CRC-32C of a file.

    Raises:
        OSError: The file cannot be read.
    """
    with open(path, "rb", 0) as source:
        return _transfer(source, None)


def copy(source_path: Path, destination_path: Path, *, is_synced: bool = True) -> FileDigest:
    """Copies a file and returns size and CRC-32C of what was read.

    Permissions are those of a new file, not the source's: a model server must be able to read it.

    Args:
        source_path: An existing file.
        destination_path: A free name; its directory is created if absent.
        is_synced: Whether to sync the file before returning.

    Raises:
        FileExistsError: The destination exists.
        OSError: The source cannot be read, or the destination cannot be written.
    """
    with open(source_path, "rb", 0) as source, _create(destination_path) as destination:
        try:
            result = _transfer(source, destination)
            if is_synced:
                os.fsync(destination.fileno())
        except BaseException:
            destination_path.unlink(missing_ok=True)
            raise
    return result


def _create(path: Path) -> IO[bytes]:
    try:
        return open(path, "xb", 0)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return open(path, "xb", 0)


def _transfer(source: IO[bytes], destination: IO[bytes] | None) -> FileDigest:
    crc, size, started = 0, 0, 0
    while chunk := source.read(_CHUNK_BYTES):
        crc = google_crc32c.extend(crc, chunk)
        size += len(chunk)
        if destination:
            _write_all(destination, chunk)
            if size - started >= _WRITEBACK_BYTES:
                # Linux takes "not needed any more" as a reason to start writing at once.
                os.posix_fadvise(
                    destination.fileno(), started, size - started, os.POSIX_FADV_DONTNEED
                )
                started = size
    return FileDigest(size=size, crc32c=crc)


def _write_all(destination: IO[bytes], chunk: bytes) -> None:
    # An unbuffered write may take less than it was given, on a disk that is nearly full.
    remaining = memoryview(chunk)
    while remaining:
        remaining = remaining[destination.write(remaining) :]


def write(path: Path, content: bytes) -> None:
    """Writes a file so that a reader sees all of it or none of it, whatever happens.

    Raises:
        OSError: It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial_path = path.with_name(f".{path.name}.partial")
    try:
        with partial_path.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial_path.replace(path)
    except BaseException:
        partial_path.unlink(missing_ok=True)
        raise
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


def link_or_copy(source_path: Path, destination_path: Path) -> None:
    """Makes a file appear at a second path: by a hard link, or by a copy if the system refuses one.

    Args:
        source_path: An existing file, or a link to one.
        destination_path: A free name; its directory is created if absent.

    Raises:
        FileExistsError: The destination exists.
        OSError: The source cannot be read, or the destination cannot be written.
    """
    try:
        # A link to a link would keep pointing outside: link to the file itself.
        path = os.path.realpath(source_path) if os.path.islink(source_path) else source_path
        try:
            os.link(path, destination_path)
        except FileNotFoundError:
            destination_path.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, destination_path)
    except OSError:
        # File systems refuse links with many different errors. A fault that is not about links,
        # such as a full disk or a missing source, makes the copy fail too.
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
