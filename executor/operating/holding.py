"""Hold and release: a base directory in which runs export and retire nothing for a while."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

from tfx_best_exporter.executor.deciding import numbers
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.operators import hold_at
from tfx_best_exporter.executor.exports.version_files import logged
from tfx_best_exporter.executor.exports.versions import Export, Inspection, Status
from tfx_best_exporter.executor.operating.operation import (
    Change,
    OperationError,
    Order,
    export_of,
    log,
    opened,
    record_of,
    served_of,
    version_of,
)
from tfx_best_exporter.proto import best_exporter_pb2 as pb

HOLD = "hold"
RELEASE = "release"

# A longer hold is a mistake in the unit. A hold without an end is possible.
_LONGEST_HOLD_SECONDS = 10 * 366 * 86400.0


def hold(
    exports: ExportDirectory,
    *,
    until: float | None = None,
    reason: str,
    operator: str,
    now: float,
    dry_run: bool = False,
) -> Change:
    """Holds all exports and retirements by runs; operators can still change the directory.

    A second hold replaces the first one.

    Args:
        exports: The base directory.
        until: End of the hold in seconds since the epoch; None for no end.
        reason: Reason, which `history` shows.
        operator: Name of the person.
        now: Seconds since the epoch.
        dry_run: True to change nothing.

    Raises:
        OperationError: The end has passed, or an argument is invalid.
        LeaseLostError: Another writer took over the lock.
        OSError: The base directory cannot be read or written.
    """
    order = Order(operator=operator, reason=reason, now=now)
    if until is not None:
        checked_seconds(until - now)
    with opened(exports, dry_run=dry_run):
        known = hold_at(exports.operators.hold(), now)
        replaced = [] if known is None else [f"this replaces the hold by {_author_of(known)}"]
        change = Change(kind=HOLD, sentences=(sentence_of(until), *replaced))
        if not dry_run:
            exports.check_lease()
            exports.operators.write_hold(hold_of(order, until))
            log(exports, change, order)
    return change


def release(
    exports: ExportDirectory,
    *,
    version: int | str | None = None,
    reason: str,
    operator: str,
    now: float,
    dry_run: bool = False,
) -> Change:
    """Ends the hold; or allows any better candidate to replace a promoted or forced version.

    Args:
        exports: The base directory.
        version: A promoted or forced version. None ends the hold; without a hold, it releases the
            served version.
        reason: Reason, which `history` shows.
        operator: Name of the person.
        now: Seconds since the epoch.
        dry_run: True to change nothing.

    Raises:
        OperationError: There is no hold, and the version was neither promoted nor forced.
        LeaseLostError: Another writer took over the lock.
        OSError: The base directory cannot be read or written.
    """
    order = Order(operator=operator, reason=reason, now=now)
    number = None if version is None else version_of(version)
    with opened(exports, dry_run=dry_run):
        known = exports.operators.hold() if number is None else None
        if number is not None:
            _check_forced(exports, export_of(exports.exports(), number))
        elif known is None:
            number = _served_and_forced(exports)
            if number is None:
                raise OperationError(
                    f"base directory must be on hold, or serve a promoted version (got neither, at"
                    f" {exports.base}). `best-exporter status` shows both."
                )
        change = _released(exports, known, number)
        if not dry_run:
            exports.check_lease()
            if number is None:
                exports.operators.remove_hold()
            else:
                exports.operators.write_release(pb.Release(action=order.action, version=number))
            log(exports, change, order, version=number)
    return change


def checked_seconds(seconds: float) -> float:
    """Returns the duration of a hold.

    Raises:
        OperationError: It is not positive, or longer than ten years.
    """
    if isinstance(seconds, bool) or not 0 < seconds <= _LONGEST_HOLD_SECONDS:
        text = f"{seconds:g}" if math.isfinite(seconds) else str(seconds)
        raise OperationError(
            f"hold must end in the future, within ten years (got {text} seconds from now). Leave"
            " out the end for a hold until somebody releases it."
        )
    return seconds


def hold_of(order: Order, until: float | None) -> pb.Hold:
    """Returns the message of a hold.

    Args:
        order: The operator, the time and the reason.
        until: End of the hold in seconds since the epoch; None for no end.
    """
    result = pb.Hold(action=order.action)
    if until is not None:
        result.until.FromNanoseconds(int(until * 1e9))
    return result


def extended(
    exports: ExportDirectory, order: Order, until: float | None
) -> tuple[pb.Hold | None, tuple[str, ...]]:
    """Returns the hold that another operation must write, and the sentences about it.

    A hold that ends later stays.

    Args:
        exports: The base directory.
        order: The operator, the time and the reason.
        until: End of the hold in seconds since the epoch; None for no hold.

    Raises:
        OSError: The storage does not answer.
    """
    if until is None:
        return None, ()
    known = hold_at(exports.operators.hold(), order.now)
    if known is None:
        return hold_of(order, until), (sentence_of(until),)
    known_until = numbers.seconds_of(known.until) if known.HasField("until") else None
    if known_until is None or known_until > until:
        return None, (f"{sentence_of(known_until)}: the longer hold by {_author_of(known)} stays",)
    return hold_of(order, until), (
        sentence_of(until),
        f"this replaces the hold by {_author_of(known)}, which does not end later",
    )


@contextlib.contextmanager
def held(exports: ExportDirectory, new_hold: pb.Hold | None) -> Iterator[None]:
    """Writes a hold, and puts the earlier state back if the operation fails.

    Args:
        exports: The base directory; the caller holds its lock.
        new_hold: The hold; None to write nothing.

    Raises:
        LeaseLostError: Another writer took over the lock.
        OSError: The hold cannot be written.
    """
    if new_hold is None:
        yield
        return
    known = exports.operators.hold()
    exports.check_lease()
    exports.operators.write_hold(new_hold)
    try:
        yield
    except BaseException:
        with logged("end the hold of a failed operation at", exports.base):
            exports.check_lease()
            if known is None:
                exports.operators.remove_hold()
            else:
                exports.operators.write_hold(known)
        raise


def sentence_of(until: float | None) -> str:
    """Returns the sentence about the effect of a hold."""
    end = "somebody releases it" if until is None else numbers.time_of(until)
    return f"no run exports or retires anything until {end}"


def _author_of(found: pb.Hold) -> str:
    name = found.action.operator or "an unknown person"
    return f"{name} ({found.action.reason})"


def _released(exports: ExportDirectory, known: pb.Hold | None, version: int | None) -> Change:
    if known is None or version is not None:
        sentence = f"a better candidate may replace version {version} by the recorded metrics again"
        return Change(
            kind=RELEASE, sentences=(sentence,), versions=() if version is None else (version,)
        )
    sentences = [f"the hold by {_author_of(known)} is over"]
    served = _served_and_forced(exports)
    if served is not None:
        sentences.append(
            f"version {served} was promoted or forced and stays until a candidate beats it on the"
            " same data; release it by its number"
        )
    return Change(kind=RELEASE, sentences=tuple(sentences))


def _served_and_forced(exports: ExportDirectory) -> int | None:
    """Returns the served version if it was promoted or forced, and was not released yet."""
    served = served_of(exports)
    if served is None or not _is_forced(record_of(exports, served)):
        return None
    version = served.export.version
    return None if version in exports.operators.names().released else version


def _check_forced(exports: ExportDirectory, export: Export) -> None:
    if not _is_forced(record_of(exports, Inspection(export=export, status=Status.UNKNOWN))):
        raise OperationError(
            f"version must be a promoted or forced one (got {export.version}). Candidates may"
            " replace every other version anyway."
        )


def _is_forced(record: pb.ExportRecord | None) -> bool:
    if record is None:
        return False
    return record.HasField("promotion") or record.decision.reason == pb.ExportDecision.FORCED
