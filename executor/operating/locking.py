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
from tfx_best_exporter.executor.storage import foreign
from tfx_best_exporter.executor.storage.location import Location

LOCK = "lock"

_MAX_LOCK_BYTES = 1 << 16
_HOLDER_LENGTH = 120


def break_lock(
    exports: ExportDirectory,
    *,
    reason: str,
    operator: str,
    now: float,
    dry_run: bool = False,
) -> Change:
    """Takes the lock of an object store away from its holder.

    A holder that still runs notices it before its next commit, and its run starts again. On a disk,
    the system frees the lock when its process ends, so there is nothing to break.

    Args:
        exports: The base directory.
        reason: Reason, for everybody who asks later.
        operator: Name of the person.
        now: Seconds since the epoch.
        dry_run: True to change nothing.

    Raises:
        OperationError: Nobody holds the lock, or a process on a disk does.
        OSError: The base directory cannot be read or written.
    """
    order = Order(operator=operator, reason=reason, now=now)
    check_exists(exports.base)
    lock = exports.state / LOCK
    if exports.base.local_path() is not None:
        _check_disk(exports, lock)
    holder = _holder_of(lock)
    if not holder:
        raise OperationError(
            f"lock must be held to break it (got none, at {exports.base}). Nothing has to be done."
        )
    change = Change(kind=LOCK, sentences=(f"the lock of {holder} is broken",))
    if not dry_run:
        lock.remove()
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


def _holder_of(lock: Location) -> str:
    """Returns the holder that a lock object names; empty if there is no lock object."""
    if not lock.exists():
        return ""
    try:
        with foreign.parsing():
            content = foreign.read_json_object(lock, _MAX_LOCK_BYTES)
            return foreign.shown(str(content["holder"]), _HOLDER_LENGTH) or "an unknown process"
    except foreign.ForeignContentError:
        return "an unknown process"
