"""Repairs a base directory after a run that died: the right column of the diagrams in commit.py."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from tfx_best_exporter.executor.deciding import numbers
from tfx_best_exporter.executor.exports import records
from tfx_best_exporter.executor.exports.challengers import Challengers
from tfx_best_exporter.executor.exports.commit import Commit
from tfx_best_exporter.executor.exports.largest_version import LargestVersion
from tfx_best_exporter.executor.exports.records import Tombstones
from tfx_best_exporter.executor.exports.version_files import (
    not_removed,
    remove_files,
    remove_leftover,
)
from tfx_best_exporter.executor.exports.withdrawals import Withdrawals
from tfx_best_exporter.executor.keys import SCHEMA_VERSION
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import Entry, LeaseLostError
from tfx_best_exporter.executor.storage.transfer import at_once
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# Withdrawals whose files were deleted. Older ones become tombstones, which no run reads.
MAX_PURGED = 20


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """The result of a repair.

    Attributes:
        sentences: A sentence for each leftover; empty if nothing has changed.
        entries: Entries of the base directory before the repair.
        largest_given: The largest version among the tombstones and in the note of the largest one.
    """

    sentences: tuple[str, ...]
    entries: Sequence[Entry]
    largest_given: int


def recover(
    base: Location,
    commit: Commit,
    tombstones: Tombstones,
    largest_version: LargestVersion,
    withdrawals: Withdrawals,
    challengers: Challengers,
    *,
    note: Callable[[Sequence[pb.Withdrawal]], None],
    children: Callable[[], Sequence[Entry]],
    check_lease: Callable[[], None],
) -> Recovery:
    """Finishes or removes the leftovers of a run that died.

    Args:
        base: The base directory.
        commit: Commit of the base directory.
        tombstones: The tombstones of the base directory.
        largest_version: Note of the largest version ever given.
        withdrawals: The withdrawn versions of the base directory.
        challengers: The challengers of the base directory.
        note: Adds withdrawals to the decision log that are not there yet.
        children: Lists the base directory.
        check_lease: Called before each change.

    Raises:
        LeaseLostError: Another writer took over the lock.
        OSError: A directory cannot be listed.
    """
    # The listings do not depend on each other, and a store answers each in about 20 ms.
    leftovers, entries, names, noted, withdrawn, kept = at_once(
        base.storage,
        commit.leftovers,
        children,
        tombstones.names,
        largest_version.read,
        withdrawals.all,
        challengers.digests,
    )
    found = [*commit.recover(check_lease, leftovers), *withdrawals.recover(withdrawn, note)]
    found.extend(challengers.recover(kept))
    present = {entry.name for entry in entries}
    purged = [each for each in withdrawn if each.state == pb.Withdrawal.PURGED]
    for withdrawal in purged[:-MAX_PURGED]:
        if str(withdrawal.version) not in present:
            found.extend(_bury(withdrawal, withdrawals, tombstones, check_lease))
    retired = records.tombstones_in(names)
    for version in retired:
        if str(version) not in present or tombstones.is_finished(version):
            continue
        check_lease()
        try:
            found.append(_end_retirement(version, base, commit, tombstones))
        except OSError as error:
            found.append(not_removed(base / str(version), error))
    found.extend(remove_leftover(location) for location in tombstones.half_written_in(names))
    given = [noted, *retired, *(withdrawal.version for withdrawal in withdrawn)]
    return Recovery(sentences=tuple(found), entries=entries, largest_given=max(given))


def _bury(
    withdrawal: pb.Withdrawal,
    withdrawals: Withdrawals,
    tombstones: Tombstones,
    check_lease: Callable[[], None],
) -> Sequence[str]:
    """Turns an old withdrawal into a tombstone; returns a sentence if that is not possible.

    Every run reads all withdrawals, and no run reads all tombstones.
    """
    action, record = withdrawal.action, withdrawal.record
    record.version = withdrawal.version
    record.schema_version = SCHEMA_VERSION
    tombstone = records.tombstone_of(
        record,
        why=f"withdrawn by {action.operator} ({action.reason})",
        now=numbers.seconds_of(action.at),
    )
    check_lease()
    try:
        tombstones.write(withdrawal.version, records.finished(tombstone))
        withdrawals.forget(withdrawal)
    except LeaseLostError:
        raise
    except OSError as error:
        return (not_removed(tombstones.location(withdrawal.version), error),)
    return ()


def _end_retirement(version: int, base: Location, commit: Commit, tombstones: Tombstones) -> str:
    """Ends an interrupted retirement of a version that is there; returns a sentence about it.

    The run that died may have taken the version out of service, and a person may have restored it
    since, at once or in part. Files that changed after the tombstone was written are therefore a
    person's: publishing had ended long before.

    Raises:
        OSError: A file cannot be read or removed.
    """
    location = base / str(version)
    retired_at = tombstones.written_at(version)
    tree = location.tree()
    restored = {path for path, file in tree.files.items() if file.changed_at > retired_at}
    if commit.is_visible(version):
        # A directory that a person has moved back has its time, and its files have theirs.
        if restored or (tree.changed_at or 0.0) > retired_at:
            tombstones.finish(version)
            return f"kept version {version}, which was retired and which a person has restored"
        told = f"an earlier run was interrupted before it had retired version {version}"
        return remove_leftover(tombstones.location(version), told)
    files = tombstones.read(version).files
    remove_files([location / path for path in files if path not in restored])
    tombstones.finish(version)
    if restored.intersection(files):
        return f"kept the files of version {version}, which a person is restoring"
    if not files:
        return (
            f"kept the files of version {version}, which a release that recorded no file names has"
            " retired. If no person is restoring the version, remove them."
        )
    return f"removed the remaining files of version {version}, which is retired"
