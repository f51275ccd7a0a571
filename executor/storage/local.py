"""Files on a local disk: digests, copies that are synced, links, locks; and the storage of these.

Every function leaves either what it says or nothing; what it wrote is on disk when it returns. What
`LocalStorage` transfers is on disk after `LocalStorage.sync`: once for all files is much cheaper.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import ctypes
import errno
import fcntl
import logging
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import google_crc32c

from tfx_best_exporter.executor.storage.digest import FileDigest
from tfx_best_exporter.executor.storage.errors import check_own_write, too_large
from tfx_best_exporter.executor.storage.protocol import Entry, Kind, LeaseLostError, TooLargeError

# Fits into a processor's cache: what the checksum has read, the write does not fetch again.
_CHUNK_BYTES = 256 << 10
# The disk starts to write when so much has come together, and not when the file is synced.
_WRITEBACK_BYTES = 8 << 20
# Files that are synced at a time: the file system commits them together.
_PARALLEL_SYNCS = 8
# From here on, syncing the whole file system takes less time than syncing each file.
_MANY_FILES = 200
_LOCK_POLL_SECONDS = 0.05

_logger = logging.getLogger(__name__)


def digest(path: Path) -> FileDigest:
    """Returns size and CRC-32C of a file.

    Raises:
        OSError: The file cannot be read.
    """
    with open(path, "rb", 0) as source:
        return _transfer(source, None)


def copy(source_path: Path, destination_path: Path) -> FileDigest:
    """Copies a file, syncs it to disk, and returns size and CRC-32C of what was read.

    Permissions are those of a new file, not the source's: a model server must be able to read it.

    Raises:
        FileExistsError: The destination exists.
        OSError: The source cannot be read, or the destination cannot be written.
    """
    return _copy(source_path, destination_path, is_synced=True)


def _copy(source_path: Path, destination_path: Path, *, is_synced: bool) -> FileDigest:
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


def sync_directories(path: Path) -> None:
    """Makes the names in a directory and in all below it durable."""
    for directory, _, _ in os.walk(path):
        sync_directory(Path(directory))


def link_or_copy(source_path: Path, destination_path: Path) -> None:
    """Makes a file appear at a second path, without copying where the file system can link.

    Raises:
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


class LocalStorage:
    """The local file system.

    A file that is being transferred grows under its own name: readers are kept away by transferring
    into a directory that `rename` then puts into its place.
    """

    has_atomic_rename = True
    is_local = True

    def uri(self, path: str) -> str:
        """Returns the path."""
        return path

    def children(self, path: str) -> list[Entry]:
        """Returns the names in a directory, sorted; none if it is not there.

        Raises:
            NotADirectoryError: It is a file.
        """
        try:
            with os.scandir(path) as entries:
                result = [Entry(name=entry.name, kind=_kind(entry)) for entry in entries]
        except FileNotFoundError:
            return []
        except NotADirectoryError:
            raise NotADirectoryError(
                f"path must be a directory (got a file, at {path}). Use another path, or move the"
                " file away."
            ) from None
        return sorted(result, key=lambda entry: entry.name)

    def sizes(self, path: str) -> dict[str, int]:
        """Returns the size of every file below a directory by relative path; none if absent.

        A link to a file counts as the file; a link to a directory is not followed.
        """
        result = {}
        root = os.path.join(path, "")
        for directory, _, names in os.walk(path, onerror=_raise_unless_absent):
            for name in names:
                file_path = os.path.join(directory, name)
                with contextlib.suppress(FileNotFoundError):
                    status = os.stat(file_path)
                    if stat.S_ISREG(status.st_mode):
                        result[file_path.removeprefix(root)] = status.st_size
        return result

    def digest(self, path: str) -> FileDigest:
        """Returns size and CRC-32C of a file."""
        return digest(Path(path))

    def read(self, path: str, max_bytes: int) -> bytes:
        """Returns a file's content; StorageError if it has more than max_bytes."""
        with open(path, "rb") as file:
            content = file.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise TooLargeError(too_large(path, max_bytes))
        return content

    def write(self, path: str, content: bytes, *, if_absent: bool = False) -> None:
        """Writes a small file: a reader sees all of it or none."""
        if not if_absent:
            write(Path(path), content)
        elif not self._create(Path(path), content):
            check_own_write(self, path, content)

    def _create(self, path: Path, content: bytes) -> bool:
        # A link, unlike a rename, refuses a name that is taken, and makes the whole content appear.
        path.parent.mkdir(parents=True, exist_ok=True)
        partial_path = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
        try:
            write(partial_path, content)
            os.link(partial_path, path)
        except FileExistsError:
            return False
        finally:
            partial_path.unlink(missing_ok=True)
        sync_directory(path.parent)
        return True

    def download(self, path: str, local_path: Path) -> FileDigest:
        """Copies a file; returns what was read."""
        return self._replace(Path(path), local_path)

    def upload(self, local_path: Path, path: str) -> FileDigest:
        """Copies a file; returns what was read."""
        return self._replace(local_path, Path(path))

    def copy(self, source_path: str, path: str) -> FileDigest:
        """Copies a file; returns what was read."""
        return self._replace(Path(source_path), Path(path))

    def _replace(self, source_path: Path, path: Path) -> FileDigest:
        try:
            return _copy(source_path, path, is_synced=False)
        except FileExistsError:
            partial_path = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
            result = _copy(source_path, partial_path, is_synced=True)
            partial_path.replace(path)
            return result

    def sync(self, path: str) -> None:
        """Makes durable what was transferred to below a directory."""
        directories, files = [], []
        for directory, _, names in os.walk(path, onerror=_raise):
            directories.append(Path(directory))
            files += [os.path.join(directory, name) for name in names]
        if len(files) > _MANY_FILES and _sync_file_system(path):
            return
        with concurrent.futures.ThreadPoolExecutor(_PARALLEL_SYNCS) as pool:
            for _ in pool.map(_sync_file, files):
                pass
        # A directory after what lies in it.
        for directory in reversed(directories):
            sync_directory(directory)

    def rename(self, source_path: str, path: str) -> None:
        """Moves a directory.

        Raises:
            FileNotFoundError: There is no such directory.
            FileExistsError: The destination has content, or is a file.
        """
        parents = {Path(source_path).parent, Path(path).parent}
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.rename(source_path, path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
            raise FileExistsError(
                f"destination must be free (got a name that is taken, at {path})."
                " Choose another name, or remove it first."
            ) from None
        for parent in parents:
            sync_directory(parent)

    def remove(self, path: str) -> None:
        """Deletes a file, or a directory and all below it; a link is deleted, not followed."""
        if os.path.lexists(path):
            remove_tree(Path(path))
            sync_directory(Path(path).parent)

    def lock(
        self, path: str, timeout_seconds: float
    ) -> contextlib.AbstractContextManager[LocalLease]:
        """Holds an exclusive lock while the context lasts; the system frees a dead owner's."""
        return lock(Path(path), timeout_seconds)


def _kind(entry: os.DirEntry[str]) -> Kind:
    if entry.is_symlink():
        return Kind.LINK
    return Kind.DIRECTORY if entry.is_dir(follow_symlinks=False) else Kind.FILE


def _raise(error: OSError) -> None:
    raise error


def _raise_unless_absent(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _sync_file_system(path: str) -> bool:
    """Syncs the whole file system that a path lies on; returns whether the system can do that.

    It waits for what others have written there too: worth it only for many files.
    """
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        return False
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if syncfs(descriptor):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), path)
    finally:
        os.close(descriptor)
    return True


def _sync_file(path: str) -> None:
    # Opening a pipe would wait for its other end, and a link's file is not ours.
    if stat.S_ISREG(os.lstat(path).st_mode):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
