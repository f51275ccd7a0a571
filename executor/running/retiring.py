"""Retires exports without a candidate, and deletes the files of old withdrawals."""

from __future__ import annotations

import contextlib

from tfx_best_exporter.executor.deciding import numbers, operator_gates
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.operators import Instructions
from tfx_best_exporter.executor.exports.version_files import not_removed
from tfx_best_exporter.executor.keys import SCHEMA_VERSION
from tfx_best_exporter.executor.running import act
from tfx_best_exporter.executor.running.outcome import Outcome
from tfx_best_exporter.executor.running.settings import Settings
from tfx_best_exporter.executor.storage.tolerated import collected
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# An operator can restore a withdrawn version for this long.
_WITHDRAWN_SECONDS = 30 * 24 * 3600


def retire_only(settings: Settings, *, dry_run: bool = False) -> pb.ExportDecision:
    """Retires exports without deciding about a candidate.

    Args:
        settings: Settings of the run.
        dry_run: True to take no lock and to write nothing.

    Returns:
        A decision in which only `kept`, `retired` and `warnings` are set.

    Raises:
        See ModelExporter.run.
    """
    exports = settings.exports
    with collected() as problems, contextlib.nullcontext() if dry_run else exports.lock():
        recovered = () if dry_run else exports.recover()
        served = exports.served()
        now = settings.clock()
        instructions = exports.operators.instructions(now)
        warnings = [*recovered, *served.warnings]
        best_version = served.export.version if served.export else None
        pins = instructions.names.pins
        if served.being_written:
            outcome = Outcome(warnings=(served.being_written,))
        elif instructions.hold is not None:
            outcome = Outcome(warnings=(operator_gates.on_hold_clause(instructions.hold),))
        elif dry_run and settings.retention_policy is not None:
            outcome = act.plan_retirement(
                settings,
                best_version=best_version,
                best_record=served.record,
                now=now,
                pins=pins,
            ).outcome()
        elif dry_run:
            outcome = Outcome()
        else:
            outcome = act.retire(
                settings,
                best_version=best_version,
                best_record=served.record,
                now=now,
                pins=pins,
            )
    result = pb.ExportDecision(
        schema_version=SCHEMA_VERSION,
        kept=outcome.kept,
        retired=outcome.retired,
        warnings=[*warnings, *outcome.warnings],
    )
    result.warnings.extend(problems.values())
    return result


def purged(exports: ExportDirectory, instructions: Instructions, now: float) -> list[str]:
    """Deletes the files of versions that were withdrawn long ago; returns a sentence for each."""
    names = instructions.names
    found = []
    # All withdrawals are read at once, so that a store answers them in the time of one.
    withdrawals = exports.withdrawals.all() if names.withdrawn - names.pins else []
    for withdrawal in withdrawals:
        version = withdrawal.version
        if version in names.pins:
            continue
        age_seconds = now - numbers.seconds_of(withdrawal.action.at)
        if withdrawal.state != pb.Withdrawal.WITHDRAWN or age_seconds < _WITHDRAWN_SECONDS:
            continue
        try:
            exports.withdrawals.purge(version)
            found.append(f"deleted the files of version {version}, withdrawn 30 days ago")
        except OSError as error:
            found.append(not_removed(exports.base / str(version), error))
    return found
