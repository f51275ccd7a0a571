"""LocalStorage: files on a local disk."""

from __future__ import annotations

import concurrent.futures
import contextlib
import copy
import ctypes
import errno
import os
import secrets
import stat
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tfx_best_exporter.executor.redaction import shown
from tfx_best_exporter.executor.storage import local_batch, local_files, local_lock
from tfx_best_exporter.executor.storage.digest import FileDigest
from tfx_best_exporter.executor.storage.errors import check_own_write, too_large
from tfx_best_exporter.executor.storage.protocol import (
    Entry,
    FileStatus,
    Kind,
    LockOwner,
    TooLargeError,
    Tree,
)

# Number of files to sync at the same time: the file system commits them together.
_PARALLEL_SYNCS = 8
# Times of files advance in steps of up to 10 ms, by the tick of the kernel. A file that changed
# within this time may change again without another time.
_TICK_SECONDS = 0.05
# Errors for a file that does not exist, and for a link that leads to itself.
_NO_TARGET = (errno.ENOENT, errno.ELOOP)
# Above this number, syncing the whole file system takes less time than syncing each file.
_MANY_FILES = 200


class LocalStorage:
    """The local file system.

    A file is visible under its own name while it is being transferred. Callers therefore transfer
    into a staging directory, and `rename` then moves the directory into place.
    """

    has_atomic_rename = True
    # Disks have little latency to hide. Two threads checksum and write large files in parallel, but
    # with small files they only wait for Python's lock and for the directory's lock.
    connections = 2
    small_file_connections = 1
    # Set in the view of a batch only.
    _batch: local_batch.Batch | None = None

    def uri(self, path: str) -> str:
        """Returns the path."""
        return path

    def local_path(self, path: str) -> Path | None:
        """Returns the same path."""
        return Path(path)

    def exists(self, path: str) -> bool:
        """Returns True if a file or directory exists; follows links."""
        return os.path.exists(path)

    def children(self, path: str) -> list[Entry]:
        """Returns the entries of a directory by name; an empty list if it does not exist.

        Raises:
            NotADirectoryError: The path is a file.
        """
        try:
            with os.scandir(path) as entries:
                result = [
                    Entry(
                        entry.name,
                        Kind.DIRECTORY if entry.is_dir(follow_symlinks=False) else _kind(entry),
                    )
                    for entry in entries
                ]
        except FileNotFoundError:
            return []
        except NotADirectoryError:
            raise NotADirectoryError(
                f"cannot list {shown(path)}: it is a file, not a directory. Use another path, or"
                " move the file away."
            ) from None
        # The names differ, so the kinds are not compared.
        return sorted(result)

    def sizes(self, path: str) -> dict[str, int]:
        """Returns the size in bytes of every file below a directory, by relative path.

        A link to a file counts as the file; a link to a directory is not followed.
        """
        result = {}
        root = os.path.join(path, "")
        for directory, _, names in os.walk(path, onerror=_raise_unless_absent):
            for name in names:
                file_path = os.path.join(directory, name)
                try:
                    status = os.stat(file_path)
                except OSError as error:
                    # A link that leads nowhere, or to itself, stands for no file.
                    if error.errno not in (errno.ENOENT, errno.ELOOP):
                        raise
                    continue
                if stat.S_ISREG(status.st_mode):
                    result[file_path.removeprefix(root)] = status.st_size
        return result

    def tree(self, path: str) -> Tree:
        """Returns every file below a directory; follows links, but never in a circle."""
        files: dict[str, FileStatus] = {}
        changed_at: float | None = None
        seen: set[tuple[int, int]] = set()
        directories = [""]
        while directories:
            relative_path = directories.pop()
            directory_path = os.path.join(path, relative_path)
            try:
                status = os.stat(directory_path)
                if (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
                with os.scandir(directory_path) as entries:
                    found = [(f"{relative_path}{entry.name}", _target(entry)) for entry in entries]
            except OSError as error:
                if error.errno in _NO_TARGET:
                    continue
                raise
            changed_at = max(_changed_at(status), changed_at or 0.0)
            for name, target in found:
                if target is None:
                    continue
                if stat.S_ISDIR(target.st_mode):
                    directories.append(f"{name}/")
                elif stat.S_ISREG(target.st_mode):
                    files[name] = FileStatus(
                        size=target.st_size, changed_at=_changed_at(target), stamp=_stamp(target)
                    )
        return Tree(files=files, changed_at=changed_at)

    def now(self, lock_path: str, *, is_locked: bool) -> float:
        """Returns the time of the file system, which may be that of a file server."""
        if not is_locked:
            return time.time()
        os.utime(lock_path)
        return os.stat(lock_path).st_mtime

    def digest(self, path: str) -> FileDigest:
        """Returns size and CRC-32C of a file."""
        return local_files.digest(Path(path))

    def read(self, path: str, max_bytes: int) -> bytes:
        """Returns the content of a regular file; TooLargeError if it has more than max_bytes."""
        with local_files.open_regular(path) as file:
            content = file.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise TooLargeError(too_large(path, max_bytes))
        return content

    def write(self, path: str, content: bytes, *, if_absent: bool = False) -> None:
        """Writes a small file: a reader sees all of it or none."""
        if not if_absent and self._batch:
            self._batch.write(Path(path), content)
        elif not if_absent:
            local_files.write(Path(path), content)
        elif not self._create(Path(path), content):
            check_own_write(self, path, content)

    def _create(self, path: Path, content: bytes) -> bool:
        # Hard links, unlike renames, fail if the name is taken, and show the whole content at once.
        path.parent.mkdir(parents=True, exist_ok=True)
        partial_path = _partial_path(path)
        try:
            local_files.write(partial_path, content)
            try:
                os.link(partial_path, path)
            except FileExistsError:
                raise
            except OSError:
                # Some file systems have no hard links, and refuse them with many different errors.
                # A copy is exclusive too, but a reader may see a part of it.
                local_files.copy(partial_path, path)
        except FileExistsError:
            return False
        finally:
            partial_path.unlink(missing_ok=True)
        local_files.sync_directory(path.parent)
        return True

    def download(self, path: str, local_path: Path) -> FileDigest:
        """Copies a file; returns the digest of the bytes that were read."""
        return self._replace(Path(path), local_path)

    def upload(self, local_path: Path, path: str) -> FileDigest:
        """Copies a file; returns the digest of the bytes that were read."""
        return self._replace(local_path, Path(path))

    def copy(
        self,
        source_path: str,
        path: str,
        *,
        size: int | None = None,  # noqa: ARG002
    ) -> FileDigest:
        """Copies a file; returns the digest of the bytes that were read."""
        return self._replace(Path(source_path), Path(path))

    def _replace(self, source_path: Path, path: Path) -> FileDigest:
        try:
            return local_files.copy(source_path, path, is_synced=False)
        except FileExistsError:
            partial_path = _partial_path(path)
            result = local_files.copy(source_path, partial_path)
            partial_path.replace(path)
            return result

    def link(self, source_path: str, path: str) -> None:
        """Gives a file a second path by a hard link, or by a copy if the system refuses one."""
        source, destination = Path(source_path), Path(path)
        try:
            local_files.link_or_copy(source, destination)
        except FileExistsError:
            partial_path = _partial_path(destination)
            try:
                local_files.link_or_copy(source, partial_path)
                partial_path.replace(destination)
            finally:
                # POSIX: renaming a file onto another name of the same file does nothing. See
                # https://pubs.opengroup.org/onlinepubs/9799919799/functions/rename.html
                partial_path.unlink(missing_ok=True)

    def sync(self, path: str) -> None:
        """Makes all files durable that were transferred to below a directory."""
        directories, files = [], []
        for directory, _, names in os.walk(path, onerror=_raise):
            directories.append(Path(directory))
            files += [os.path.join(directory, name) for name in names]
        if len(files) > _MANY_FILES and _sync_file_system(path):
            return
        with concurrent.futures.ThreadPoolExecutor(_PARALLEL_SYNCS) as pool:
            for _ in pool.map(_sync_file, files):
                pass
        # Each directory is synced after its entries.
        for directory in reversed(directories):
            local_files.sync_directory(directory)

    def rename(self, source_path: str, path: str) -> None:
        """Moves a directory atomically.

        Raises:
            FileNotFoundError: The source does not exist.
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
                f"cannot rename {shown(source_path)} to {shown(path)}: the destination exists."
                " Choose another name, or remove the destination first."
            ) from None
        for parent in parents:
            self._sync_directory(parent)

    def remove(self, path: str) -> None:
        """Deletes a file, or a directory and all files below it; does not follow links."""
        if os.path.lexists(path):
            local_files.remove_tree(Path(path))
            self._sync_directory(Path(path).parent)

    @contextlib.contextmanager
    def batch(self) -> Iterator[LocalStorage]:
        """Yields a view of this storage that syncs each changed directory once, at the end."""
        view = copy.copy(self)
        view._batch = batch = local_batch.Batch()
        try:
            yield view
            batch.finish()
        except BaseException:
            batch.discard()
            raise

    def _sync_directory(self, path: Path) -> None:
        if self._batch:
            self._batch.add_directory(path)
        else:
            local_files.sync_directory(path)

    def remove_files(self, paths: Sequence[str]) -> None:
        """Deletes files; skips absent files."""
        for path in paths:
            self.remove(path)

    def lock(
        self, path: str, timeout_seconds: float
    ) -> contextlib.AbstractContextManager[local_lock.LocalLease]:
        """Holds an exclusive lock while the context lasts; the system frees it if a holder dies."""
        return local_lock.lock(Path(path), timeout_seconds)

    def lock_owner(self, path: str) -> LockOwner | None:
        """Returns the process that holds a lock; the system has freed the lock of a dead one."""
        return local_lock.owner_of(Path(path))


def _partial_path(path: Path) -> Path:
    """Returns a free name next to a file; leftovers of the form ".*.partial" may be deleted."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")


def _kind(entry: os.DirEntry[str]) -> Kind:
    """Returns the kind of an entry that is no directory."""
    return Kind.LINK if entry.is_symlink() else Kind.FILE


def _target(entry: os.DirEntry[str]) -> os.stat_result | None:
    """Returns the status of an entry, or of its target if it is a link; None if there is none."""
    try:
        return entry.stat()
    except OSError as error:
        if error.errno in _NO_TARGET:
            return None
        raise


def _changed_at(status: os.stat_result) -> float:
    # Copies with the original's times, as by `cp -p`, change only the second time.
    return max(status.st_mtime, status.st_ctime)


def _stamp(status: os.stat_result) -> str:
    if time.time() - _changed_at(status) < _TICK_SECONDS:
        return ""
    return f"{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}:{status.st_ino}"


def _raise(error: OSError) -> None:
    raise error


def _raise_unless_absent(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _sync_file_system(path: str) -> bool:
    """Syncs the whole file system of a path; returns whether the system supports that.

    The call also waits for the writes of other processes, so it pays off for many files only.
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
    # Only regular files are synced: opening a pipe would wait for its other end, and the target of
    # a link lies outside the directory.
    if stat.S_ISREG(os.lstat(path).st_mode):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
