"""A process that holds a lock, and prints "held" or "lost" for each line that it reads."""

from __future__ import annotations

import sys

from tfx_best_exporter.executor.storage import storage_of
from tfx_best_exporter.executor.storage.lease import LeaseSettings
from tfx_best_exporter.executor.storage.protocol import LeaseLostError


def main(uri: str, lease_seconds: float) -> None:
    """Holds the lock at a URI until the end of its input."""
    storage, path = storage_of(uri)
    settings = LeaseSettings(lease_seconds=lease_seconds, renew_seconds=lease_seconds / 4)
    if uri.startswith("gs:"):
        from tfx_best_exporter.executor.storage.gs import GsStorage

        storage = GsStorage(lease_settings=settings)
    if uri.startswith("s3:"):
        from tfx_best_exporter.executor.storage.s3 import S3Storage

        storage = S3Storage(lease_settings=settings)
    with storage.lock(path, timeout_seconds=30) as lease:
        print("held", flush=True)  # noqa: T201
        for _ in sys.stdin:
            try:
                lease.check()
                print("held", flush=True)  # noqa: T201
            except LeaseLostError:
                print("lost", flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
