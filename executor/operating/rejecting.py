"""Reject and unreject: models that no run exports."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.operators import OperatorState
from tfx_best_exporter.executor.exports.records import RecordError
from tfx_best_exporter.executor.exports.versions import Inspection, Status
from tfx_best_exporter.executor.operating.operation import (
    Change,
    OperationError,
    Order,
    digest_of,
    export_of,
    log,
    opened,
    record_of,
    served_of,
    version_of,
)
from tfx_best_exporter.proto import best_exporter_pb2 as pb

REJECT = "reject"
UNREJECT = "unreject"

_ALGORITHM = "sha256:"
_DIGITS = 64
# Fewer digits may be those of two models.
_FEWEST_DIGITS = 8
_HEX = re.compile(rf"[0-9a-f]{{{_FEWEST_DIGITS},{_DIGITS}}}")


def reject(
    exports: ExportDirectory,
    model: int | str,
    *,
    reason: str,
    operator: str,
    now: float,
    dry_run: bool = False,
) -> Change:
    """Rejects a model: no run exports it; a candidate that waits for approval is dropped.

    A version of the model that is served stays: a rollback takes it out of service.

    Args:
        exports: The base directory.
        model: A version, or a content digest such as "sha256:9f86d081...". The digest of a known
            model may be shortened to eight digits.
        reason: Reason, which `history` shows.
        operator: Name of the person.
        now: Seconds since the epoch.
        dry_run: True to change nothing.

    Raises:
        OperationError: The version or the digest is not known.
        LeaseLostError: Another writer took over the lock.
        OSError: The base directory cannot be read or written.
    """
    order = Order(operator=operator, reason=reason, now=now)
    with opened(exports, dry_run=dry_run):
        state = exports.operators.read()
        rejection = _rejection_of(exports, state, model)
        digest = rejection.digest
        sentences = [f"no run exports the model {digest}"]
        served = served_of(exports)
        if served is not None and digest_of(record_of(exports, served), served.export) == digest:
            sentences.append(
                f"{served.export.label} has this model and is still served; roll back to withdraw"
                " it"
            )
        if digest in state.awaiting:
            sentences.append("it does not wait for approval any longer")
        change = Change(
            kind=REJECT,
            sentences=tuple(sentences),
            versions=(rejection.version,) if rejection.HasField("version") else (),
        )
        if not dry_run:
            exports.check_lease()
            rejection.action.CopyFrom(order.action)
            exports.operators.write_rejection(rejection)
            if digest in state.awaiting:
                exports.awaiting.remove(digest)
            _log(exports, change, order, rejection)
    return change


def unreject(
    exports: ExportDirectory,
    model: int | str,
    *,
    reason: str,
    operator: str,
    now: float,
    dry_run: bool = False,
) -> Change:
    """Allows a rejected model again.

    Args:
        exports: The base directory.
        model: A version or a content digest; see `reject`.
        reason: Reason, which `history` shows.
        operator: Name of the person.
        now: Seconds since the epoch.
        dry_run: True to change nothing.

    Raises:
        OperationError: The model is not rejected.
        LeaseLostError: Another writer took over the lock.
        OSError: The base directory cannot be read or written.
    """
    order = Order(operator=operator, reason=reason, now=now)
    with opened(exports, dry_run=dry_run):
        state = exports.operators.read()
        rejection = _rejection_of(exports, state, model)
        digest = rejection.digest
        if digest not in state.rejected:
            known = ", ".join(sorted(state.rejected)) or "none"
            raise OperationError(f"model must be rejected (got {digest}). Rejected are: {known}.")
        change = Change(
            kind=UNREJECT,
            sentences=(f"runs may export the model {digest} again",),
            versions=(rejection.version,) if rejection.HasField("version") else (),
        )
        if not dry_run:
            exports.check_lease()
            exports.operators.remove_rejection(digest)
            _log(exports, change, order, rejection)
    return change


def digest_among(text: str, known: Mapping[str, object] | frozenset[str]) -> str:
    """Returns the digest that a text names, whole or by its first digits.

    Args:
        text: "sha256:" and 64 hexadecimal digits, or the first eight or more of a known digest;
            the prefix "sha256:" may be left out.
        known: The digests that may be shortened.

    Raises:
        OperationError: The text is no digest, or is the beginning of none or of several.
    """
    digits = text.strip().removeprefix(_ALGORITHM)
    if not _HEX.fullmatch(digits):
        raise OperationError(
            f"model must be a version or a digest (got {text!r}). Copy one from `best-exporter"
            " history`."
        )
    if len(digits) == _DIGITS:
        return f"{_ALGORITHM}{digits}"
    found = sorted(digest for digest in known if digest.startswith(f"{_ALGORITHM}{digits}"))
    if len(found) != 1:
        raise OperationError(
            f"model must be the beginning of one digest (got {text!r}, of {len(found)}). Type more"
            " digits."
        )
    return found[0]


def _rejection_of(exports: ExportDirectory, state: OperatorState, model: int | str) -> pb.Rejection:
    """Returns the rejection that names a model, without an action."""
    text = str(model).strip()
    if isinstance(model, str) and (
        text.startswith(_ALGORITHM) or len(text) == _DIGITS or not text.isdecimal()
    ):
        known = _known_digests(exports, state)
        digest = digest_among(text, known)
        return pb.Rejection(digest=digest, model_uri=known.get(digest, ""))
    version = version_of(model)
    if version in state.withdrawn:
        withdrawal = state.withdrawn[version]
        model_of = withdrawal.record.model
        digest, uri = withdrawal.digest or model_of.digest, model_of.uri
    else:
        digest, uri = _model_of(exports, version)
    if not digest:
        raise OperationError(
            f"version must have a model that can be read (got {version}). Name the digest of the"
            " model."
        )
    return pb.Rejection(digest=digest, version=version, model_uri=uri)


def _model_of(exports: ExportDirectory, version: int) -> tuple[str, str]:
    """Returns digest and URI of the model of a version, which may be retired."""
    for tombstone in exports.tombstones():
        if tombstone.record.version == version:
            return tombstone.record.model.digest, tombstone.record.model.uri
    export = export_of(exports.exports(), version)
    record = record_of(exports, Inspection(export=export, status=Status.UNKNOWN))
    return digest_of(record, export), record.model.uri if record else ""


def _known_digests(exports: ExportDirectory, state: OperatorState) -> dict[str, str]:
    """Returns the URIs of all models that the base directory knows, by their digests."""
    found = {digest: rejection.model_uri for digest, rejection in state.rejected.items()}
    found.update(dict.fromkeys(state.awaiting, ""))
    for decision in exports.decision_log.read().decisions:
        if decision.candidate_digest:
            found[decision.candidate_digest] = decision.candidate_uri
    for export in exports.exports():
        try:
            record = exports.record(export) if exports.has_record(export) else None
        except (OSError, RecordError):
            continue
        if record is not None:
            found[record.model.digest] = record.model.uri
    return found


def _log(exports: ExportDirectory, change: Change, order: Order, rejection: pb.Rejection) -> None:
    log(
        exports,
        change,
        order,
        version=rejection.version if rejection.HasField("version") else None,
        candidate_digest=rejection.digest,
        candidate_uri=rejection.model_uri,
    )
