"""Rollback: withdraws the served version and all newer versions.

All notes are written before the first version moves, and both go from the oldest version to the
newest one. The served version is the newest one, so it stays served until everything between it and
the target is out of the way. The last move makes the target the served version. No server ever
loads a version between the two, because the operator does not want those either.

If a command is killed, the next writer withdraws every version with a note, and adds the line to
the decision log. The same command, if it is typed before that, also withdraws the versions without
a note, and holds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Sequence

from tfx_best_exporter.executor.exports.decision_log import ROLLBACK
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.versions import (
    Export,
    Inspection,
    Listing,
    Status,
)
from tfx_best_exporter.executor.operating import holding, linked
from tfx_best_exporter.executor.operating.operation import (
    LOADABLE,
    Change,
    OperationError,
    Order,
    check_exists,
    check_repaired,
    digest_of,
    export_of,
    inspected,
    listed,
    log,
    opened,
    record_of,
    served_of,
    version_of,
)
from tfx_best_exporter.executor.storage.protocol import Kind
from tfx_best_exporter.proto import best_exporter_pb2 as pb

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
    """The plan of a rollback.

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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Interrupted:
    """A rollback that was killed after it had written notes.

    Attributes:
        versions: The versions with notes, in order.
        served: The version that was served before.
        has_served: True if the served version has a note. Otherwise it is still served.
        sentence: Sentence for the person who types the command again.
    """

    versions: tuple[int, ...]
    served: int
    has_served: bool
    sentence: str


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
        to: Version to serve; None for the newest one below the served version that can be loaded
            and whose model is not rejected.
        reason: Reason, which `history` shows.
        operator: Name of the person.
        now: Seconds since the epoch.
        hold_seconds: Time in which no run exports anything; None for no hold. A longer hold stays.
        dry_run: True to change nothing.

    Raises:
        OperationError: No version that can be loaded and is not rejected would be left, or an
            argument is invalid.
        LeaseLostError: Another writer took over the lock.
        OSError: The base directory cannot be read or written.
    """
    order = Order(operator=operator, reason=reason, now=now)
    until = None if hold_seconds is None else now + holding.checked_seconds(hold_seconds)
    check_exists(exports.base)
    target = None if to is None else version_of(to)
    interrupted = _interrupted(exports)
    with opened(exports, dry_run=dry_run):
        if not dry_run:
            check_repaired(exports)
        versions = interrupted.versions if interrupted else ()
        if interrupted and _is_repeated(exports, interrupted, target):
            # The operator types the command of an interrupted rollback again. Without a target, a
            # second rollback would withdraw one version more.
            finished = (interrupted.sentence,)
            target, has_more = _left_above(exports, versions)
            plan = _plan(exports, target, gone=versions) if has_more else None
        else:
            versions, finished, plan = (), (), _plan(exports, target)
        new_hold, holds = holding.extended(exports, order, until)
        doomed = [each.found.export.version for each in plan.doomed] if plan else []
        change = Change(
            kind=ROLLBACK,
            sentences=(*finished, *(plan.sentences if plan else ()), *holds),
            versions=tuple(sorted({*versions, *doomed})),
        )
        if not dry_run:
            if new_hold is not None:
                exports.check_lease()
                exports.operators.write_hold(new_hold)
            if plan:
                _withdraw(exports, plan, order)
                target = plan.target.version
            before = interrupted.served if interrupted and finished else plan and plan.served
            log(exports, change, order, version=target, best_version=before)
            for item in plan.doomed if plan else ():
                # The next writer adds the line to the log as long as this is not noted.
                exports.withdrawals.settle(item.withdrawal)
    return change


def _interrupted(exports: ExportDirectory) -> _Interrupted | None:
    """Returns the rollback that the next writer finishes; None without one."""
    unfinished = [
        withdrawal
        for _, withdrawal in sorted(exports.operators.read().withdrawn.items())
        if withdrawal.state == pb.Withdrawal.WITHDRAWING
    ]
    if not unfinished:
        return None
    versions = tuple(withdrawal.version for withdrawal in unfinished)
    action = unfinished[-1].action
    served = served_of(exports)
    version = served.export.version if served else versions[-1]
    return _Interrupted(
        versions=versions,
        # The served version may have moved already.
        served=max(version, versions[-1]),
        has_served=version <= versions[-1],
        sentence=(
            f"the interrupted rollback of {listed(versions)} by {action.operator} is finished"
            f" ({action.reason})"
        ),
    )


def _is_repeated(exports: ExportDirectory, interrupted: _Interrupted, to: int | None) -> bool:
    """Returns True if an interrupted rollback has done what the same command asks for again."""
    if to is None:
        return interrupted.has_served
    return _left_above(exports, interrupted.versions)[0] == to


def _left_above(exports: ExportDirectory, gone: Collection[int]) -> tuple[int | None, bool]:
    """Returns the served version, and True if a version above it must still be withdrawn.

    Args:
        exports: The base directory.
        gone: Versions that the repair withdraws; a dry run repairs nothing.
    """
    has_more = False
    for found in _walk(exports, exports.listing().without(gone)):
        if found.status in _SERVED:
            return found.export.version, has_more
        has_more = has_more or found.status is not Status.UNFINISHED
    return None, False


def _plan(exports: ExportDirectory, to: int | None, gone: Collection[int] = ()) -> _Plan:
    entries = exports.listing().without(gone)
    walk, listing = _walk(exports, entries), entries.exports
    if to is None:
        newer, target = _down_from_served(exports, walk)
    else:
        export_of(listing, to)
        newer, target = _down_to(walk, to)
        if _is_rejected(exports, target):
            raise OperationError(
                f"to must be a version whose model is not rejected (got {to}). Choose another one,"
                " or allow its model first, with `best-exporter unreject`."
            )
    served = next((each for each in newer if each.status in _SERVED), target)
    doomed = [each for each in newer if each.status is not Status.UNFINISHED]
    if not doomed:
        raise OperationError(
            f"to must be older than the newest version (got {to}). `best-exporter history` lists"
            " the versions."
        )
    moved = {found.export.version for found in doomed}
    linked.check_links(listing, moved)
    for found in doomed:
        problem = exports.withdrawals.why_not_withdrawable(found.export)
        if problem:
            raise OperationError(problem)
    left = [
        f"{each.export.label} is being written and stays; a server loads it once it is complete"
        for each in newer
        if each.status is Status.UNFINISHED
    ]
    left += linked.sentences_of(exports, listing, moved)
    return _planned(exports, doomed, target, served.export.version, left)


def _walk(exports: ExportDirectory, listing: Listing) -> Iterator[Inspection]:
    """Yields every version, newest first.

    Raises:
        OperationError: Two entries have one number. Nobody knows which one a server loads.
    """
    for group in listing.newest_first():
        yield inspected(exports, export_of(group, group[0].version))


def _down_from_served(
    exports: ExportDirectory, walk: Iterator[Inspection]
) -> tuple[list[Inspection], Inspection]:
    """Returns all versions above the target, and the target.

    The target is the next version below the served one that can be loaded and is not rejected. The
    rejected ones between the two are withdrawn too.
    """
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
    served = newer[-1].export.version
    between: list[Inspection] = []
    for found in walk:
        version = found.export.version
        between.append(found)
        if found.status is Status.UNKNOWN:
            raise OperationError(
                f"version {version} must be readable (got: {found.problem}). Name the version to"
                " serve with --to."
            )
        if found.status not in LOADABLE:
            continue
        if not _is_rejected(exports, found):
            return newer, found
        newer += between
        between.clear()
    raise OperationError(
        "an older version must be loadable, with a model that is not rejected (got none below"
        f" version {served}). Promote another model, or hold the base directory."
    )


def _is_rejected(exports: ExportDirectory, found: Inspection) -> bool:
    """Returns True if the model of a version is rejected."""
    rejected = exports.operators.names().rejected
    if not rejected:
        return False
    return digest_of(record_of(exports, found), found.export) in rejected


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
    rejected = exports.operators.names().rejected
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
        sentences.append(
            f"{found.export.label} is withdrawn{_effect(withdrawal, rejected, is_same=is_same)}"
        )
    # A link is removed before the directory that it leads to moves.
    items.sort(key=lambda item: _order_of(item.found.export))
    return _Plan(
        doomed=tuple(items),
        target=target.export,
        served=served,
        sentences=(*sentences, f"{target.export.label} is served", *left),
    )


def _effect(withdrawal: pb.Withdrawal, rejected: Collection[str], *, is_same: bool) -> str:
    if is_same:
        return ", and its model is not rejected, because it is the model that is served"
    if not withdrawal.digest:
        return ", and no model is rejected, because its content cannot be read"
    if withdrawal.digest in rejected:
        return ", and its model stays rejected"
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


def _withdraw(exports: ExportDirectory, plan: _Plan, order: Order) -> None:
    for item in plan.doomed:
        item.withdrawal.action.CopyFrom(order.action)
        exports.withdrawals.begin(item.found.export, item.withdrawal)
    for item in plan.doomed:
        exports.withdrawals.finish(item.found.export, item.withdrawal)
