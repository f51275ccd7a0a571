"""The parts that all operations on a base directory have in common.

An operation takes the lock, repairs what an interrupted writer has left, checks its arguments,
changes something, and notes who did it and why in the decision log. A dry run takes no lock, writes
nothing, and returns the same value.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any

from tfx_best_exporter.executor.arguments.checks import is_visible
from tfx_best_exporter.executor.exports import inspection, saved_model
from tfx_best_exporter.executor.exports.decision_log import LoggedDecision
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.records import RecordError
from tfx_best_exporter.executor.exports.versions import (
    Export,
    Inspection,
    Served,
    Status,
    number_of,
)
from tfx_best_exporter.executor.redaction import redacted, redacted_message
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# Statuses of versions that a model server can load.
LOADABLE = (Status.OURS, Status.FOREIGN)


class OperationError(ValueError):
    """An operation is not possible, or has an invalid argument; nothing was changed."""

    def __init__(self, message: str):
        """Makes the error from a message, whose secrets are hidden."""
        super().__init__(redacted(message))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The effect of an operation.

    Attributes:
        kind: The command, for example "rollback".
        sentences: One sentence for each effect.
        versions: The versions that the operation concerns.
    """

    kind: str
    sentences: tuple[str, ...]
    versions: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The order of an operation: the person, the time and the reason.

    Attributes:
        operator: Name of the person.
        reason: Reason in the person's own words.
        now: Seconds since the epoch.
    """

    operator: str
    reason: str
    now: float

    def __post_init__(self) -> None:
        """Checks the texts.

        Raises:
            OperationError: A text is empty.
        """
        for name, value in (("reason", self.reason), ("operator", self.operator)):
            if not isinstance(value, str) or not is_visible(value):
                raise OperationError(
                    f"{name} must be a text (got {value!r}). The decision log shows it to everybody"
                    " who asks later."
                )

    @property
    def action(self) -> pb.OperatorAction:
        """The message that the files of operators store."""
        result = pb.OperatorAction(operator=self.operator, reason=self.reason)
        result.at.FromNanoseconds(int(self.now * 1e9))
        return result


@contextlib.contextmanager
def opened(exports: ExportDirectory, *, dry_run: bool = False) -> Iterator[None]:
    """Holds the lock of a base directory that was repaired; a dry run holds and repairs nothing.

    Args:
        exports: A base directory, which must exist.
        dry_run: True if nothing will be written.

    Raises:
        OperationError: There is no such directory.
        TimeoutError: Another writer did not finish in time.
        OSError: The base directory cannot be read or written.
    """
    check_exists(exports.base)
    if dry_run:
        yield
        return
    with exports.lock():
        exports.recover()
        yield


def check_exists(base: Location) -> None:
    """Checks that a base directory exists, so that a mistyped one is never created.

    Raises:
        OperationError: It does not exist. An object store has no empty directories.
        OSError: The storage does not answer.
    """
    path = base.local_path()
    if not (path.is_dir() if path is not None else base.children()):
        raise OperationError(
            f"base directory must exist (got {str(base)!r}). Check the spelling; only a run of the"
            " exporter creates a base directory."
        )


def check_repaired(exports: ExportDirectory) -> None:
    """Checks that the repair has finished every operation that was interrupted.

    Raises:
        OperationError: An operation is still unfinished.
        OSError: The base directory cannot be read.
    """
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


def log(exports: ExportDirectory, change: Change, order: Order, **fields: Any) -> None:
    """Notes an operation in the decision log.

    Args:
        exports: The base directory; the caller holds its lock.
        change: Effect of the operation.
        order: The operator, the time and the reason.
        fields: Further fields of the LoggedDecision.

    Raises:
        LeaseLostError: Another writer took over the lock.
        OSError: The log cannot be written.
    """
    exports.check_lease()
    exports.decision_log.append(
        LoggedDecision(
            kind=change.kind,
            at=order.now,
            explanation=_explanation(change, order),
            operator=order.operator,
            **fields,
        )
    )


def log_decision(
    exports: ExportDirectory, change: Change, order: Order, decision: pb.ExportDecision
) -> None:
    """Notes an export by an operator in the decision log, with the metrics of the model.

    Args:
        exports: The base directory; the caller holds its lock.
        change: Effect of the operation.
        order: The operator, the time and the reason.
        decision: The decision in the record of the export.

    Raises:
        LeaseLostError: Another writer took over the lock.
        OSError: The log cannot be written.
    """
    # The import takes a tenth of a second, and most commands export nothing.
    from tfx_best_exporter.executor.running import log_line

    exports.check_lease()
    exports.decision_log.append(
        dataclasses.replace(
            log_line.line_of(redacted_message(decision)),
            kind=change.kind,
            at=order.now,
            explanation=_explanation(change, order),
            operator=order.operator,
        )
    )


def _explanation(change: Change, order: Order) -> str:
    return f"{order.reason}: {'; '.join(change.sentences)}"


def version_of(value: int | str) -> int:
    """Returns a version that a person typed, as a number or as a text.

    Raises:
        OperationError: It is no version.
    """
    number = None if isinstance(value, bool) else number_of(str(value))
    if number is None:
        raise OperationError(
            f"version must be a number (got {value!r}). `best-exporter history` lists the versions."
        )
    return number


def export_of(exports: Sequence[Export], version: int) -> Export:
    """Returns the export with a version.

    Raises:
        OperationError: There is none, or a model server reads this number from two names.
    """
    found = [export for export in exports if export.version == version]
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(repr(export.location.name) for export in found)
        raise OperationError(
            f"version must be one directory (got {version}, from {names}). Remove the one that is"
            " not needed."
        )
    known = ", ".join(str(export.version) for export in exports[-10:]) or "none"
    raise OperationError(
        f"version must be in the base directory (got {version}; the latest are {known})."
        " `best-exporter history` lists all versions."
    )


def inspected(exports: ExportDirectory, export: Export) -> Inspection:
    """Returns the status of a version; a damaged record does not matter to a model server.

    A run raises an error for a damaged record, but an operator must be able to remove the version.
    """
    try:
        return exports.inspect(export)
    except RecordError as error:
        problem = str(error)
    not_loadable = saved_model.why_not_loadable(export.location, export.location.sizes())
    return Inspection(
        export=export,
        status=Status.BROKEN if not_loadable else Status.FOREIGN,
        problem=not_loadable or problem,
    )


def observed(exports: ExportDirectory) -> Served:
    """Returns the versions of a base directory as a run sees them, also with a damaged record.

    A later publish fails if another program changes the served version.
    """
    return exports.served(functools.partial(inspected, exports))


def served_of(exports: ExportDirectory) -> Inspection | None:
    """Returns the version that a model server serves; None if it can load none."""
    judged = functools.partial(inspected, exports)
    return inspection.served_of(exports.listing(), judged).best


def record_of(exports: ExportDirectory, found: Inspection) -> pb.ExportRecord | None:
    """Returns the record of a version, also if its files differ from it; None without one."""
    if found.record is not None:
        return found.record
    try:
        return exports.record(found.export) if exports.has_record(found.export) else None
    except (OSError, RecordError):
        return None


def digest_of(record: pb.ExportRecord | None, export: Export) -> str:
    """Returns the content digest by which runs know the model of a version; empty if unknown.

    A version whose files were edited keeps the digest of its record: the next run of the pipeline
    brings the recorded model, and not the edited one.
    """
    if record is not None:
        return record.model.digest
    try:
        return saved_model.digest_of(saved_model.files_of(export.location))
    except (OSError, saved_model.InvalidModelError):
        return ""


def listed(versions: Sequence[int]) -> str:
    """Returns versions for a sentence: "version 7" or "versions 7, 8 and 9"."""
    *others, last = map(str, versions)
    if not others:
        return f"version {last}"
    return f"versions {', '.join(others)} and {last}"
