"""Batch: changes to a local disk that become durable together."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
from pathlib import Path

from tfx_best_exporter.executor.storage import local_files

# Number of files to sync at the same time: the file system commits them together.
_PARALLEL_SYNCS = 8


class Batch:
    """Files to replace, and directories to sync, at the end of a batch.

    A file is complete and durable before its name appears, as with `local_files.write`.
    """

    def __init__(self):
        """Makes an empty batch."""
        self._partial_paths: dict[Path, Path] = {}
        self._directories: set[Path] = set()

    def write(self, path: Path, content: bytes) -> None:
        """Writes a file under a temporary name; `finish` gives the file its own name.

        Raises:
            OSError: The file cannot be written.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        partial_path = path.with_name(f".{path.name}.partial")
        try:
            partial_path.write_bytes(content)
        except BaseException:
            partial_path.unlink(missing_ok=True)
            raise
        self._partial_paths[path] = partial_path

    def add_directory(self, path: Path) -> None:
        """Adds a directory whose names have changed."""
        self._directories.add(path)

    def finish(self) -> None:
        """Makes all changes durable, and visible.

        Raises:
            OSError: A file or a directory cannot be synced.
        """
        with concurrent.futures.ThreadPoolExecutor(_PARALLEL_SYNCS) as pool:
            for _ in pool.map(_sync_file, self._partial_paths.values()):
                pass
        for path, partial_path in self._partial_paths.items():
            partial_path.replace(path)
            self._directories.add(path.parent)
        for path in sorted(self._directories):
            # A directory that was deleted later in the batch has no names to sync.
            with contextlib.suppress(FileNotFoundError):
                local_files.sync_directory(path)

    def discard(self) -> None:
        """Deletes the files that have only a temporary name."""
        for partial_path in self._partial_paths.values():
            partial_path.unlink(missing_ok=True)


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
