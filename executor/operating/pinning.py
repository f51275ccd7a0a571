"""Pin and unpin: versions that no retirement and no purge deletes."""

from __future__ import annotations

from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.operating.operation import (
    Change,
    OperationError,
    Order,
    export_of,
    log,
    opened,
    version_of,
)
from tfx_best_exporter.proto import best_exporter_pb2 as pb

PIN = "pin"
UNPIN = "unpin"


def pin(
    exports: ExportDirectory,
    version: int | str,
    *,
    reason: str,
    operator: str,
    now: float,
    dry_run: bool = False,
) -> Change:
    """Keeps the files of a version until somebody removes the pin.

    Args:
        exports: The base directory.
        version: A version in the base directory, or a withdrawn one.
        reason: Reason, which `history` shows.
        operator: Name of the person.
        now: Seconds since the epoch.
        dry_run: True to change nothing.

    Raises:
        OperationError: There is no such version, or its files were deleted.
        LeaseLostError: Another writer took over the lock.
        OSError: The base directory cannot be read or written.
    """
    order = Order(operator=operator, reason=reason, now=now)
    number = version_of(version)
    with opened(exports, dry_run=dry_run):
        withdrawn = exports.operators.read().withdrawn.get(number)
        if withdrawn is None or withdrawn.state == pb.Withdrawal.PURGED:
            export_of(exports.exports(), number)
        change = Change(
            kind=PIN,
            sentences=(f"version {number} is kept until somebody removes the pin",),
            versions=(number,),
        )
        if not dry_run:
            exports.check_lease()
            exports.operators.write_pin(pb.Pin(action=order.action, version=number))
            log(exports, change, order, version=number)
    return change


def unpin(
    exports: ExportDirectory,
    version: int | str,
    *,
    reason: str,
    operator: str,
    now: float,
    dry_run: bool = False,
) -> Change:
    """Removes the pin of a version.

    Args:
        exports: The base directory.
        version: A pinned version, which may be gone.
        reason: Reason, which `history` shows.
        operator: Name of the person.
        now: Seconds since the epoch.
        dry_run: True to change nothing.

    Raises:
        OperationError: The version is not pinned.
        LeaseLostError: Another writer took over the lock.
        OSError: The base directory cannot be read or written.
    """
    order = Order(operator=operator, reason=reason, now=now)
    number = version_of(version)
    with opened(exports, dry_run=dry_run):
        pins = exports.operators.names().pins
        if number not in pins:
            known = ", ".join(map(str, sorted(pins))) or "none"
            raise OperationError(f"version must be pinned (got {number}). Pinned are: {known}.")
        change = Change(
            kind=UNPIN,
            sentences=(f"version {number} is kept only as long as the retention policy keeps it",),
            versions=(number,),
        )
        if not dry_run:
            exports.check_lease()
            exports.operators.remove_pin(number)
            log(exports, change, order, version=number)
    return change
