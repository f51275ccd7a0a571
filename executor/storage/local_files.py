"""Functions on single files of a local disk: digest, copy, write, link, remove.

Each function either succeeds completely or leaves nothing behind. The result is durable when the
function returns, except after `copy(..., is_synced=False)`, which leaves that to
`LocalStorage.sync`.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from pathlib import Path
from typing import IO

import google_crc32c

from tfx_best_exporter.executor.redaction import shown
from tfx_best_exporter.executor.storage.digest import FileDigest
from tfx_best_exporter.executor.storage.errors import not_a_file
from tfx_best_exporter.executor.storage.protocol import NotAFileError
from tfx_best_exporter.executor.storage.tolerated import tolerate

# Errors by which a file system refuses a call that it does not support, as CIFS and some FUSE file
# systems do. Any other error, such as EIO, is a failure.
NOT_SUPPORTED = frozenset(
    {
        errno.EACCES,
        errno.EBADF,
        errno.EINVAL,
        errno.ENOSYS,
        errno.ENOTSUP,
        errno.EOPNOTSUPP,
        errno.EPERM,
    }
)

# Chunks of this size fit into a processor's cache, so the write reuses the bytes that the checksum
# has loaded.
_CHUNK_BYTES = 256 << 10
# Writeback to the disk starts whenever this many bytes are ready, instead of when the file is
# synced.
_WRITEBACK_BYTES = 8 << 20


def open_regular(path: str | os.PathLike[str], buffering: int = -1) -> IO[bytes]:
    """Opens a regular file to read it; never waits for another process.

    Args:
        path: The file, or a link to it.
        buffering: As for `open`; 0 for no buffer.

    Raises:
        NotAFileError: The path is a directory, a pipe or a device.
        OSError: The file cannot be opened.
    """
    return open(path, "rb", buffering, opener=_open_regular)


def _open_regular(path: str, flags: int) -> int:
    try:
        # Opening a pipe without this flag waits until some process opens the other end.
        descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        # A socket, or a device without its driver.
        if error.errno == errno.ENXIO:
            raise NotAFileError(not_a_file(path)) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotAFileError(not_a_file(path))
    return descriptor


def digest(path: Path) -> FileDigest:
    """Returns size and CRC-32C of a file.

    Raises:
        OSError: The file cannot be read.
    """
    with open_regular(path, 0) as source:
        return _transfer(source, None)


def sha256(path: Path) -> tuple[FileDigest, str]:
    """Returns size and CRC-32C of a file, and the SHA-256 of the same bytes in hexadecimal digits.

    Raises:
        OSError: The file cannot be read.
    """
    hasher, crc, size = hashlib.sha256(), 0, 0
    with open(path, "rb", 0) as source:
        # hashlib lets other threads run while it hashes a chunk.
        while chunk := source.read(_CHUNK_BYTES):
            hasher.update(chunk)
            crc = google_crc32c.extend(crc, chunk)
            size += len(chunk)
    return FileDigest(size=size, crc32c=crc), hasher.hexdigest()


def copy(source_path: Path, destination_path: Path, *, is_synced: bool = True) -> FileDigest:
    """Copies a file, and returns size and CRC-32C of the bytes that were read.

    The copy has the permissions of a new file, not of the source, so that a model server can read
    it.

    Args:
        source_path: An existing file.
        destination_path: A free name; its directory is created if it does not exist.
        is_synced: True to sync the file before returning.

    Raises:
        FileExistsError: The destination exists.
        OSError: The source cannot be read, or the destination cannot be written.
    """
    with open_regular(source_path, 0) as source, _create(destination_path) as destination:
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
                # Linux starts writing these bytes to the disk at once when they are declared as not
                # needed anymore.
                os.posix_fadvise(
                    destination.fileno(), started, size - started, os.POSIX_FADV_DONTNEED
                )
                started = size
    return FileDigest(size=size, crc32c=crc)


def _write_all(destination: IO[bytes], chunk: bytes) -> None:
    # Unbuffered writes may write only a part of the bytes, on a disk that is nearly full.
    remaining = memoryview(chunk)
    while remaining:
        remaining = remaining[destination.write(remaining) :]


def write(path: Path, content: bytes) -> None:
    """Writes a file so that a reader sees all of it or none, even if the process is killed.

    Raises:
        OSError: The file cannot be written.
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

    A file system that cannot sync directories is tolerated: the decision of the run warns.

    Raises:
        OSError: The directory cannot be opened or synced.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NOT_SUPPORTED:
            raise
        tolerate(
            "sync",
            f"the file system of {shown(str(path))} cannot sync directories ({error.strerror})."
            " After a power failure, the changes of this run may be lost. Compare the base"
            " directory with this decision after a power failure.",
        )
    finally:
        os.close(descriptor)


def links_in(path: Path) -> list[str]:
    """Returns the names of the links in a directory, sorted; none if it is no directory.

    Raises:
        OSError: The directory cannot be listed.
    """
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if entry.is_symlink())
    except (FileNotFoundError, NotADirectoryError):
        return []


def link_or_copy(source_path: Path, destination_path: Path) -> None:
    """Gives a file a second path: by a hard link, or by a copy if the system refuses the link.

    Args:
        source_path: An existing file, or a link to one.
        destination_path: A free name; its directory is created if it does not exist.

    Raises:
        FileExistsError: The destination exists.
        OSError: The source cannot be read, or the destination cannot be written.
    """
    try:
        # Symbolic links are resolved first: a hard link to one would keep its target elsewhere.
        path = os.path.realpath(source_path) if os.path.islink(source_path) else source_path
        try:
            os.link(path, destination_path)
        except FileNotFoundError:
            destination_path.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, destination_path)
    except OSError:
        # File systems refuse links with many different errors. Other causes, such as a full disk or
        # a missing source, make the copy fail too.
        copy(source_path, destination_path)


def remove_tree(path: Path) -> None:
    """Deletes a file, or a directory and all files below it; does not follow links.

    Raises:
        OSError: A file could not be deleted; the remaining files stay in place.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
