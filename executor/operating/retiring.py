"""Retire: deletes exports by a policy that the operator types, and files of withdrawn versions."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from tfx_best_exporter.executor.exports import retention
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.operators import WITHDRAWN
from tfx_best_exporter.executor.operating.defaults import default_settings
from tfx_best_exporter.executor.operating.operation import (
    Change,
    OperationError,
    Order,
    listed,
    log,
    observed,
    opened,
)
from tfx_best_exporter.executor.running import act
from tfx_best_exporter.executor.running.settings import Settings
from tfx_best_exporter.proto import best_exporter_pb2 as pb

RETIRE = "retire"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RetireRow:
    """One version in the table of a retirement.

    Attributes:
        version: The version.
        is_kept: True if it stays.
        why: All reasons to keep it, or the rules that do not keep it.
        size_bytes: Size of its files in bytes; None if it has no record.
        is_withdrawn: True if it is out of service already, and only its files are deleted.
        error: Error that kept it from being deleted; the next run tries again.
    """

    version: int
    is_kept: bool
    why: str
    size_bytes: int | None = None
    is_withdrawn: bool = False
    error: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RetirePlan:
    """The table of a retirement.

    Attributes:
        rows: Every version, and every withdrawn version if these are retired too; by version.
        warnings: Versions that cannot be read, and a cap that cannot be met.
    """

    rows: tuple[RetireRow, ...]
    warnings: tuple[str, ...] = ()

    @property
    def retired(self) -> tuple[int, ...]:
        """The versions that do not stay."""
        return tuple(row.version for row in self.rows if not row.is_kept)

    @property
    def freed_bytes(self) -> int:
        """Total size of the versions that do not stay, in bytes."""
        return sum(row.size_bytes or 0 for row in self.rows if not row.is_kept)


def retire(
    exports: ExportDirectory,
    policy: retention.Policy | None,
    *,
    withdrawn: bool = False,
    reason: str,
    operator: str,
    now: float,
    settings: Settings | None = None,
    dry_run: bool = False,
) -> RetirePlan:
    """Deletes the exports that a policy does not keep, also while the base directory is on hold.

    The served version, pinned versions and versions of other tools always stay.

    Args:
        exports: The base directory.
        policy: The exports to keep; None keeps all.
        withdrawn: True to delete the files of withdrawn versions too, except pinned ones.
        reason: Reason, which `history` shows.
        operator: Name of the person.
        now: Seconds since the epoch.
        settings: Settings with the compare policy for `keep_best`; None for the default.
        dry_run: True to change nothing.

    Raises:
        OperationError: Somebody is copying a version into the base directory.
        LeaseLostError: Another writer took over the lock.
        OSError: The base directory cannot be read or written.
    """
    order = Order(operator=operator, reason=reason, now=now)
    settings = settings or default_settings(exports, now=now)
    settings = dataclasses.replace(settings, exports=exports, retention_policy=policy)
    with opened(exports, dry_run=dry_run):
        served = observed(exports)
        if served.being_written:
            raise OperationError(
                f"base directory must not be changing (got: {served.being_written}). Try again when"
                " the copy is complete."
            )
        names = exports.operators.names()
        planned = act.plan_retirement(
            settings,
            best_version=served.export.version if served.export else None,
            best_record=served.record,
            now=now,
            pins=names.pins,
        )
        errors: dict[int, str] = {}
        if not dry_run:
            failures = exports.retire_all(
                planned.doomed, now=now, known_records=planned.records
            ).items()
            errors = {export.version: str(error) for export, error in failures}
        rows = _rows(planned, errors)
        if withdrawn:
            rows += _withdrawn_rows(exports, names.pins, dry_run=dry_run)
        result = RetirePlan(
            rows=tuple(sorted(rows, key=lambda row: row.version)), warnings=planned.warnings
        )
        if not dry_run and result.retired:
            gone = [row.version for row in result.rows if not row.is_kept and not row.error]
            change = Change(kind=RETIRE, sentences=_sentences(gone), versions=tuple(gone))
            log(exports, change, order, retired=tuple(gone))
    return result


def _sentences(gone: list[int]) -> tuple[str, ...]:
    return (f"the files of {listed(gone)} are deleted",) if gone else ()


def _rows(planned: act.Retirement, errors: dict[int, str]) -> list[RetireRow]:
    return [
        RetireRow(
            version=item.version,
            is_kept=is_kept,
            why=item.why,
            size_bytes=planned.sizes.get(item.version),
            error=errors.get(item.version, ""),
        )
        for items, is_kept in ((planned.plan.keep, True), (planned.plan.retire, False))
        for item in items
    ]


def _withdrawn_rows(
    exports: ExportDirectory, pins: Collection[int], *, dry_run: bool
) -> list[RetireRow]:
    return [
        _withdrawn_row(exports, withdrawal, pins, dry_run=dry_run)
        for withdrawal in exports.withdrawals.all()
        if withdrawal.state == pb.Withdrawal.WITHDRAWN
    ]


def _withdrawn_row(
    exports: ExportDirectory,
    withdrawal: pb.Withdrawal,
    pins: Collection[int],
    *,
    dry_run: bool,
) -> RetireRow:
    version = withdrawal.version
    sizes = (exports.state / f"{WITHDRAWN}/{version}").sizes()
    is_pinned, error = version in pins, ""
    if not is_pinned and not dry_run:
        try:
            exports.withdrawals.purge(version)
        except OSError as problem:
            exports.check_lease()
            error = str(problem)
    by = f"withdrawn by {withdrawal.action.operator} ({withdrawal.action.reason})"
    return RetireRow(
        version=version,
        is_kept=is_pinned,
        why=f"pinned; {by}" if is_pinned else by,
        size_bytes=sum(sizes.values()),
        is_withdrawn=True,
        error=error,
    )
