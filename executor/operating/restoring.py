"""Restore: puts a withdrawn version back into service."""

from __future__ import annotations

from collections.abc import Mapping

from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.operating.operation import (
    Change,
    OperationError,
    Order,
    check_repaired,
    log,
    opened,
    version_of,
)
from tfx_best_exporter.proto import best_exporter_pb2 as pb

RESTORE = "restore"


def restore(
    exports: ExportDirectory,
    version: int | str,
    *,
    reason: str,
    operator: str,
    now: float,
    dry_run: bool = False,
) -> Change:
    """Puts a withdrawn version back into service, and allows its model again.

    Args:
        exports: The base directory.
        version: A withdrawn version whose files are kept.
        reason: Reason, which `history` shows.
        operator: Name of the person.
        now: Seconds since the epoch.
        dry_run: True to change nothing.

    Raises:
        OperationError: The version is not withdrawn, its files were deleted or are not whole,
            another entry has its number, or somebody has rejected its model.
        LeaseLostError: Another writer took over the lock.
        OSError: The base directory cannot be read or written.
    """
    order = Order(operator=operator, reason=reason, now=now)
    number = version_of(version)
    known = exports.operators.read().withdrawn.get(number)
    is_resumed = known is not None and known.state == pb.Withdrawal.RESTORING
    with opened(exports, dry_run=dry_run):
        if known is not None and is_resumed:
            if not dry_run:
                check_repaired(exports)
            withdrawal = known
            is_allowed = withdrawal.rejects_model
        else:
            withdrawal = _restorable(exports, number)
            is_allowed = exports.withdrawals.allows_again(withdrawal)
        others = [each.version for each in exports.exports() if each.version != number]
        largest = max(others, default=-1)
        effect = "is served" if number > largest else f"is kept below version {largest}"
        change = Change(
            kind=RESTORE,
            sentences=(
                *(["the interrupted restore is finished"] if is_resumed else []),
                f"version {number} is in service again and {effect}",
                *(["its model may be exported again"] if is_allowed else []),
            ),
            versions=(number,),
        )
        if not dry_run:
            if not is_resumed:
                exports.withdrawals.restore(number)
            log(exports, change, order, version=number, candidate_digest=withdrawal.digest)
    return change


def _restorable(exports: ExportDirectory, number: int) -> pb.Withdrawal:
    """Returns the withdrawal of a version that can be put back.

    Raises:
        OperationError: It cannot.
    """
    state = exports.operators.read()
    withdrawn = state.withdrawn
    if any(export.version == number for export in exports.exports()):
        raise OperationError(
            f"version must be a withdrawn one (got {number}, which is in the base directory)."
            f" {_choices(withdrawn)}"
        )
    if number not in withdrawn or withdrawn[number].state != pb.Withdrawal.WITHDRAWN:
        raise OperationError(
            f"version must be a withdrawn one whose files are kept (got {number})."
            f" {_choices(withdrawn)}"
        )
    withdrawal = withdrawn[number]
    problem = exports.withdrawals.why_not_restorable(withdrawal)
    if problem:
        raise OperationError(problem)
    model = withdrawal.digest or withdrawal.record.model.digest
    if model in state.rejected and not exports.withdrawals.allows_again(withdrawal):
        author = state.rejected[model].action
        raise OperationError(
            f"model must not be rejected by another action (got version {number}, rejected by"
            f" {author.operator or 'an unknown person'}: {author.reason}). Allow it first, with"
            " `best-exporter unreject`."
        )
    return withdrawal


def _choices(withdrawn: Mapping[int, pb.Withdrawal]) -> str:
    versions = [
        str(version)
        for version, withdrawal in sorted(withdrawn.items())
        if withdrawal.state == pb.Withdrawal.WITHDRAWN
    ]
    return f"These can be restored: {', '.join(versions) or 'none'}."
