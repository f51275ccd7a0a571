"""Approve: publishes a candidate that a run staged, byte for byte."""

from __future__ import annotations

from collections.abc import Sequence

from tfx_best_exporter.executor.deciding import numbers
from tfx_best_exporter.executor.exports.awaiting import has_expired
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.versions import Inspection
from tfx_best_exporter.executor.operating.operation import (
    Change,
    OperationError,
    Order,
    digest_of,
    log_decision,
    observed,
    opened,
)
from tfx_best_exporter.executor.operating.rejecting import digest_among
from tfx_best_exporter.proto import best_exporter_pb2 as pb

APPROVE = "approve"


def approve(
    exports: ExportDirectory,
    digest: str,
    *,
    reason: str,
    operator: str,
    now: float,
    dry_run: bool = False,
) -> Change:
    """Publishes a staged candidate if the best is still the one that it was compared with.

    Args:
        exports: The base directory.
        digest: Content digest of the candidate, or at least its first eight digits.
        reason: Reason, which `history` shows.
        operator: Name of the person.
        now: Seconds since the epoch.
        dry_run: True to change nothing.

    Raises:
        OperationError: No such candidate is staged, it has expired, or another version is served.
        ValueError: A staged file was changed.
        LeaseLostError: Another writer took over the lock.
        OSError: A file cannot be read or written.
    """
    order = Order(operator=operator, reason=reason, now=now)
    with opened(exports, dry_run=dry_run):
        staged = _staged(exports, digest)
        candidate = staged.record.model.digest
        if candidate in exports.operators.names().rejected:
            raise OperationError(
                f"model must not be rejected (got {candidate}). Allow it first, with"
                " `best-exporter unreject`."
            )
        if has_expired(staged, now):
            end = numbers.time_of(numbers.seconds_of(staged.expires_at))
            raise OperationError(
                f"approval must come before {end} (got one at {numbers.time_of(now)}). Run"
                " the pipeline again to stage the model again."
            )
        served = observed(exports)
        if served.being_written:
            raise OperationError(
                f"base directory must not be changing (got: {served.being_written}). Try again when"
                " the copy is complete."
            )
        _check_best(staged, served.best)
        version = exports.next_version(now)
        if dry_run:
            return _change(candidate, version)
        version, decision = _publish(exports, staged, order, version)
        change = _change(candidate, version)
        log_decision(exports, change, order, decision)
        exports.awaiting.remove(candidate)
    return change


def _change(digest: str, version: int) -> Change:
    sentence = f"the model {digest} is exported as version {version} and is served"
    return Change(kind=APPROVE, sentences=(sentence,), versions=(version,))


def _staged(exports: ExportDirectory, text: str) -> pb.AwaitingApproval:
    known = {staged.record.model.digest: staged for staged in exports.awaiting.all()}
    digest = digest_among(text, known)
    if digest not in known:
        waiting = ", ".join(sorted(known)) or "none"
        raise OperationError(f"model must wait for approval (got {digest}). These wait: {waiting}.")
    return known[digest]


def _check_best(staged: pb.AwaitingApproval, best: Inspection | None) -> None:
    """Checks that the served version is the one that the candidate was compared with."""
    compared = f"version {staged.best_version}" if staged.HasField("best_version") else "none"
    served = best.export.label if best else "none"
    if staged.HasField("best_version") != (best is not None) or (
        best is not None and best.export.version != staged.best_version
    ):
        raise OperationError(
            f"served version must be the one that the model was compared with (got {served}, not"
            f" {compared}). Run the pipeline again to compare the model with {served}."
        )
    if best is not None and digest_of(best.record, best.export) != staged.best_digest:
        raise OperationError(
            f"served version must have the content that the model was compared with (got {served},"
            " which was changed). Run the pipeline again to compare the model with it."
        )


def _publish(
    exports: ExportDirectory, staged: pb.AwaitingApproval, order: Order, version: int
) -> tuple[int, pb.ExportDecision]:
    """Publishes the staged files; returns the version and the decision that was approved."""

    def make_record(version: int, manifest: Sequence[pb.ManifestEntry]) -> pb.ExportRecord:
        record = pb.ExportRecord()
        record.CopyFrom(staged.record)
        record.version = record.decision.version = version
        record.exported_at.CopyFrom(order.action.at)
        record.approval.CopyFrom(order.action)
        del record.manifest[:]
        record.manifest.extend(manifest)
        return record

    export, record = exports.publish(version, exports.awaiting.files_of(staged), make_record)
    decision = pb.ExportDecision()
    decision.CopyFrom(record.decision)
    decision.candidate.CopyFrom(record.model)
    decision.candidate_evaluation.CopyFrom(record.evaluation)
    decision.provenance.CopyFrom(record.provenance)
    return export.version, decision
