"""Break the lock of a writer that cannot end itself."""

from __future__ import annotations

import contextlib

from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.operating.operation import (
    Change,
    OperationError,
    Order,
    check_exists,
    log,
)
from tfx_best_exporter.executor.storage import lease
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import TooLargeError

LOCK = "lock"

# Other writers see this name until the lock is free.
_HOLDER = "best-exporter lock --break"


def break_lock(
    exports: ExportDirectory,
    *,
    reason: str,
    operator: str,
    now: float,
    dry_run: bool = False,
) -> Change:
    """Takes the lock of an object store away from its holder.

    A holder that still runs cannot renew the lock any longer, and its run starts again. The lock is
    free once the last renewal of the holder has expired, so that two writers never work at the same
    time. That takes up to a minute, or no time if the holder is dead. On a disk, the system frees
    the lock when its process ends, so there is nothing to break.

    Args:
        exports: The base directory.
        reason: Reason, which `history` shows.
        operator: Name of the person.
        now: Seconds since the epoch.
        dry_run: True to change nothing.

    Raises:
        OperationError: Nobody holds the lock, or a process on a disk does.
        TimeoutError: Another writer took the lock, and did not finish in time.
        OSError: The base directory cannot be read or written.
    """
    order = Order(operator=operator, reason=reason, now=now)
    check_exists(exports.base)
    lock = exports.state / LOCK
    if exports.base.local_path() is not None:
        _check_disk(exports, lock)
    owner = exports.base.storage.lock_owner(lock.path)
    if owner is None:
        raise OperationError(
            f"lock must be held to break it (got none, at {exports.base}). Nothing has to be done."
        )
    name = "an unknown process" if owner.name in ("", "unknown") else owner.name
    change = Change(kind=LOCK, sentences=(f"the lock of {name} is broken",))
    if not dry_run:
        if not owner.is_dead:
            _take_away(lock)
        # The next writer takes over a lock that nobody renews.
        with exports.lock():
            exports.recover()
            log(exports, change, order)
    return change


def _check_disk(exports: ExportDirectory, lock: Location) -> None:
    with contextlib.suppress(TimeoutError):
        with exports.lock(timeout_seconds=0):
            pass
        raise OperationError(
            f"lock must be held to break it (got none, at {exports.base}). Nothing has to be done."
        )
    raise OperationError(
        f"lock must be that of an object store (got {str(lock)!r}, which a running process holds)."
        " End the process; the system then frees the lock."
    )


def _take_away(lock: Location) -> None:
    """Replaces a lock object, so that its holder cannot renew it."""
    try:
        content = lock.read(lease.MAX_LOCK_BYTES)
    except FileNotFoundError:
        # The holder has given it back.
        return
    except TooLargeError:
        # It is no claim of this exporter, and expires as one that cannot be read.
        content = b""
    lock.write(lease.broken(content, _HOLDER))
