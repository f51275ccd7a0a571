"""SHA-256 of the files of an export, computed while the files are copied.

A CRC-32C finds damage, but anybody can make another content with the same CRC-32C. Hashing 1 GiB
takes longer than copying it, so it happens in other threads, and nothing waits for it before the
record is written.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence

from tfx_best_exporter.executor.exports.saved_model import ModelFile
from tfx_best_exporter.executor.exports.version_files import changed
from tfx_best_exporter.executor.storage import local_files

_THREADS = 2


@contextlib.contextmanager
def hashing(
    files: Sequence[ModelFile],
) -> Iterator[Callable[[], Mapping[str, str]]]:
    """Starts to hash files, and yields a function that waits for their SHA-256 by path.

    Files without a local path are left out: a store copies them, and their bytes never reach this
    process. The function raises ValueError if a file differs from its digest.

    Args:
        files: Files that are being copied.
    """
    is_stopped = False

    def hash_file(file: ModelFile) -> str:
        path = file.source.local_path()
        if is_stopped or path is None:
            return ""
        digest, result = local_files.sha256(path)
        if digest != file.digest:
            raise ValueError(changed(file, "hashed", digest))
        return result

    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        futures = {file.path: pool.submit(hash_file, file) for file in files}

        @functools.cache
        def hashes() -> Mapping[str, str]:
            return {path: future.result() for path, future in futures.items()}

        try:
            yield hashes
        finally:
            is_stopped = True
