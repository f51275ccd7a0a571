"""Rollback: withdraws the served version and what is newer, and the way back.

All notes are written before the first version moves, and both go from the oldest version to the
newest one. The served version is the newest one, so it stays served until everything between it and
the target is out of the way. The last move makes the target the served version. No server ever
loads one of the versions between the two, which the operator does not want either. If the command
is killed before the last note is written, the version that was served is still served, and the
command is typed again. If it is killed later, the next writer finishes it.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence

from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.versions import (
    Export,
    Inspection,
    Status,
    linked_versions,
)
from tfx_best_exporter.executor.operating import holding
from tfx_best_exporter.executor.operating.operation import (
    LOADABLE,
    Change,
    OperationError,
    Order,
    check_exists,
    digest_of,
    export_of,
    inspected,
    listed,
    log,
    newest_first,
    opened,
    record_of,
    served_of,
    version_of,
)
from tfx_best_exporter.executor.storage.protocol import Kind
from tfx_best_exporter.proto import best_exporter_pb2 as pb

ROLLBACK = "rollback"
RESTORE = "restore"

# A server serves the first version from above with one of these statuses, as far as is known.
_SERVED = (*LOADABLE, Status.UNKNOWN)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Doomed:
    """A version that is withdrawn.

    Attributes:
        found: The version.
        withdrawal: Its digest and record; no digest if its model must not be rejected.
    """

    found: Inspection
    withdrawal: pb.Withdrawal


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What a rollback will do.

    Attributes:
        doomed: The versions to withdraw, in the order of the withdrawals.
        target: The version that is served afterwards.
        served: The version that is served now.
        sentences: One sentence for each effect.
    """

    doomed: tuple[_Doomed, ...]
    target: Export
    served: int
    sentences: tuple[str, ...]


def rollback(
    exports: ExportDirectory,
    *,
    to: int | str | None = None,
    reason: str,
    operator: str,
    now: float,
    hold_seconds: float | None = None,
    dry_run: bool = False,
) -> Change:
    """Withdraws the served version and everything newer, or everything newer than a version.

    Each withdrawn model is rejected, so that no run exports it again.

    Args:
        exports: The base directory.
        to: Version to serve; None for the newest one below the served version that can be loaded.
        reason: Reason, for everybody who asks later.
        operator: Name of the person.
        now: Seconds since the epoch.
        hold_seconds: Time in which no run exports anything; None for no hold.
        dry_run: True to change nothing.

    Raises:
        OperationError: No version that can be loaded would be left, or an argument is invalid.
        LeaseLostError: Another writer took over the lock.
        OSError: The base directory cannot be read or written.
    """
    order = Order(operator=operator, reason=reason, now=now)
    until = None if hold_seconds is None else now + holding.checked_seconds(hold_seconds)
    check_exists(exports.base)
    target = None if to is None else version_of(to)
    unfinished = _unfinished(exports)
    with opened(exports, dry_run=dry_run):
        if unfinished and target in (None, _served_version(exports)):
            # The operator types the command of an interrupted rollback again. Without a target, a
            # second rollback would withdraw one version more.
            change = _finished(exports, unfinished)
        else:
            if not dry_run:
                _check_repaired(exports)
            plan = _plan(exports, target)
            holds = () if until is None else (holding.sentence_of(until),)
            change = Change(
                kind=ROLLBACK,
                sentences=(*plan.sentences, *holds),
                versions=tuple(sorted(each.found.export.version for each in plan.doomed)),
            )
            if not dry_run:
                if until is not None:
                    exports.check_lease()
                    exports.operators.write_hold(holding.hold_of(order, until))
                _withdraw(exports, plan, order)
                log(exports, change, order, version=plan.target.version, best_version=plan.served)
    return change


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
        reason: Reason, for everybody who asks later.
        operator: Name of the person.
        now: Seconds since the epoch.
        dry_run: True to change nothing.

    Raises:
        OperationError: The version is not withdrawn, its files were deleted, or another entry has
            its number.
        LeaseLostError: Another writer took over the lock.
        OSError: The base directory cannot be read or written.
    """
    order = Order(operator=operator, reason=reason, now=now)
    number = version_of(version)
    with opened(exports, dry_run=dry_run):
        withdrawn = exports.operators.read().withdrawn
        present = exports.exports()
        if any(export.version == number for export in present):
            raise OperationError(
                f"version must be a withdrawn one (got {number}, which is in the base directory)."
                f" {_restorable(withdrawn)}"
            )
        if number not in withdrawn or withdrawn[number].state != pb.Withdrawal.WITHDRAWN:
            raise OperationError(
                f"version must be a withdrawn one whose files are kept (got {number})."
                f" {_restorable(withdrawn)}"
            )
        digest = withdrawn[number].digest
        largest = max((export.version for export in present), default=-1)
        effect = "is served" if number > largest else f"is kept below version {largest}"
        change = Change(
            kind=RESTORE,
            sentences=(
                f"version {number} is in service again and {effect}",
                *(["its model may be exported again"] if digest else []),
            ),
            versions=(number,),
        )
        if not dry_run:
            exports.withdrawals.restore(number)
            log(exports, change, order, version=number, candidate_digest=digest)
    return change


def _unfinished(exports: ExportDirectory) -> list[int]:
    """Returns the versions that an interrupted rollback was withdrawing."""
    withdrawn = exports.operators.read().withdrawn
    return [
        version
        for version, withdrawal in sorted(withdrawn.items())
        if withdrawal.state == pb.Withdrawal.WITHDRAWING
    ]


def _check_repaired(exports: ExportDirectory) -> None:
    """Checks that the repair has finished every operation that was interrupted."""
    unfinished = [
        withdrawal.version
        for withdrawal in exports.withdrawals.all()
        if withdrawal.state in (pb.Withdrawal.WITHDRAWING, pb.Withdrawal.RESTORING)
    ]
    if unfinished:
        raise OperationError(
            f"base directory must have no unfinished operation (got one on {listed(unfinished)})."
            " `best-exporter status` shows the problem; try again once the storage answers."
        )


def _served_version(exports: ExportDirectory) -> int | None:
    served = served_of(exports)
    return served.export.version if served else None


def _finished(exports: ExportDirectory, versions: Sequence[int]) -> Change:
    action = exports.operators.withdrawal(versions[-1]).action
    sentence = (
        f"the interrupted rollback of {listed(versions)} by {action.operator} is finished"
        f" ({action.reason}); nothing else was withdrawn"
    )
    return Change(kind=ROLLBACK, sentences=(sentence,), versions=tuple(versions))


def _plan(exports: ExportDirectory, to: int | None) -> _Plan:
    listing = exports.exports()
    walk = _walk(exports, listing)
    if to is None:
        newer, target = _down_from_served(walk)
    else:
        export_of(listing, to)
        newer, target = _down_to(walk, to)
    served = next((each for each in newer if each.status in _SERVED), target)
    doomed = [each for each in newer if each.status is not Status.UNFINISHED]
    if not doomed:
        raise OperationError(
            f"to must be older than the newest version (got {to}). `best-exporter history` lists"
            " the versions."
        )
    _check_links(listing, doomed)
    left = [
        f"{each.export.label} is being written and stays; a server loads it once it is complete"
        for each in newer
        if each.status is Status.UNFINISHED
    ]
    return _planned(exports, doomed, target, served.export.version, left)


def _walk(exports: ExportDirectory, listing: Sequence[Export]) -> Iterator[Inspection]:
    """Yields every version, newest first.

    Raises:
        OperationError: Two entries have one number. Nobody knows which one a server loads.
    """
    for group in newest_first(listing):
        yield inspected(exports, export_of(group, group[0].version))


def _down_from_served(walk: Iterator[Inspection]) -> tuple[list[Inspection], Inspection]:
    """Returns the served version with all newer ones, and the next one that can be loaded."""
    newer: list[Inspection] = []
    for found in walk:
        newer.append(found)
        if found.status in _SERVED:
            break
    else:
        raise OperationError(
            "a version must be served to roll it back (got none). `best-exporter status` shows the"
            " versions."
        )
    for found in walk:
        version = found.export.version
        if found.status is Status.UNKNOWN:
            raise OperationError(
                f"version {version} must be readable (got: {found.problem}). Name the version to"
                " serve with --to."
            )
        if found.status in LOADABLE:
            return newer, found
    raise OperationError(
        f"an older version must be loadable (got none below version {newer[-1].export.version})."
        " Promote another model, or hold the base directory."
    )


def _down_to(walk: Iterator[Inspection], to: int) -> tuple[list[Inspection], Inspection]:
    """Returns the versions above the one that shall be served, and that one."""
    newer: list[Inspection] = []
    for found in walk:
        if found.export.version != to:
            newer.append(found)
            continue
        if found.status in LOADABLE:
            return newer, found
        raise OperationError(
            f"to must be a version that a model server can load (got {to}: {found.problem})."
            " Choose another one; `best-exporter history` lists them."
        )
    raise AssertionError("the listing has the version")


def _planned(
    exports: ExportDirectory,
    doomed: Sequence[Inspection],
    target: Inspection,
    served: int,
    left: Sequence[str],
) -> _Plan:
    target_record = record_of(exports, target)
    target_digest = digest_of(target_record, target.export)
    items, sentences = [], []
    for found in doomed:
        record = record_of(exports, found)
        digest = digest_of(record, found.export)
        is_same = bool(digest) and digest == target_digest and _recipes_equal(record, target_record)
        withdrawal = pb.Withdrawal(digest="" if is_same else digest)
        if record is not None:
            withdrawal.record.CopyFrom(record)
            withdrawal.record.ClearField("manifest")
        items.append(_Doomed(found=found, withdrawal=withdrawal))
        sentences.append(f"{found.export.label} is withdrawn{_effect(withdrawal, is_same=is_same)}")
    # A link is removed before the directory that it leads to moves.
    items.sort(key=lambda item: _order_of(item.found.export))
    return _Plan(
        doomed=tuple(items),
        target=target.export,
        served=served,
        sentences=(*sentences, f"{target.export.label} is served", *left),
    )


def _effect(withdrawal: pb.Withdrawal, *, is_same: bool) -> str:
    if is_same:
        return ", and its model is not rejected, because it is the model that is served"
    if not withdrawal.digest:
        return ", and no model is rejected, because its content cannot be read"
    return ", and its model is rejected"


def _order_of(export: Export) -> tuple[bool, int]:
    is_link = export.kind is Kind.LINK
    return not is_link, -export.version if is_link else export.version


def _recipes_equal(one: pb.ExportRecord | None, other: pb.ExportRecord | None) -> bool:
    """Returns True if two exports of one model were made in the same way.

    An export that only differs by its recipe is rejected: the next run would make it again.
    """
    if one is None or other is None or not (one.HasField("recipe") and other.HasField("recipe")):
        return True
    return one.recipe == other.recipe


def _check_links(listing: Sequence[Export], doomed: Sequence[Inspection]) -> None:
    """Checks that no version that stays is a link into a version that moves."""
    moved = {found.export.version for found in doomed}
    staying = [
        export for export in listing if export.version not in moved or export.kind is not Kind.LINK
    ]
    paths = (export.location.local_path() for export in staying if export.kind is Kind.LINK)
    targets = frozenset(os.path.realpath(path) for path in paths if path is not None)
    for version in sorted(linked_versions(staying, targets) & moved):
        raise OperationError(
            f"version {version} must not be the target of a link that stays (got one in the base"
            " directory). Replace the link by a copy."
        )


def _withdraw(exports: ExportDirectory, plan: _Plan, order: Order) -> None:
    for item in plan.doomed:
        item.withdrawal.action.CopyFrom(order.action)
        exports.withdrawals.begin(item.found.export, item.withdrawal)
    for item in plan.doomed:
        exports.withdrawals.finish(item.found.export, item.withdrawal)


def _restorable(withdrawn: Mapping[int, pb.Withdrawal]) -> str:
    versions = [
        str(version)
        for version, withdrawal in sorted(withdrawn.items())
        if withdrawal.state == pb.Withdrawal.WITHDRAWN
    ]
    return f"These can be restored: {', '.join(versions) or 'none'}."
