"""Desk: the operations as methods of ModelExporter."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfx_best_exporter.executor.arguments import messages
from tfx_best_exporter.executor.arguments.errors import within
from tfx_best_exporter.executor.deciding.eval_result import EvalResult
from tfx_best_exporter.executor.operating import (
    adopting,
    approving,
    backtest,
    holding,
    locking,
    pinning,
    promoting,
    rejecting,
    restoring,
    rollback,
)
from tfx_best_exporter.executor.operating.backtest import BacktestRow
from tfx_best_exporter.executor.operating.operation import Change
from tfx_best_exporter.executor.operating.person import this_operator
from tfx_best_exporter.executor.running.settings import Settings
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.proto import best_exporter_pb2 as pb


class Desk:
    """The operations of a person on the base directory of an exporter.

    Each method holds the lock, waits for a run that holds it, and notes in the decision log who
    gave the order and why. With `dry_run`, it changes nothing and returns the same value. The
    default of `operator`, the name of the person, is the user and the host of this process.

    Every method raises OperationError, a ValueError, if the operation is not possible or the base
    directory does not exist; TimeoutError if another writer does not finish; LeaseLostError if
    another writer took over; and OSError if a file cannot be read or written.
    """

    _settings: Settings

    def rollback(
        self,
        to: int | str | None = None,
        *,
        reason: str,
        operator: str | None = None,
        hold_seconds: float | None = None,
        dry_run: bool = False,
    ) -> Change:
        """Withdraws the served version and everything newer, and rejects the withdrawn models.

        Args:
            to: Version to serve; default: the newest one below the served version that can be
                loaded.
            reason: Reason, which `history` shows.
            operator: Name of the person.
            hold_seconds: Time in which no run exports anything.
            dry_run: True to change nothing.
        """
        return rollback.rollback(
            self._settings.exports,
            to=to,
            hold_seconds=hold_seconds,
            dry_run=dry_run,
            **self._order(reason, operator),
        )

    def restore(
        self,
        version: int | str,
        *,
        reason: str,
        operator: str | None = None,
        dry_run: bool = False,
    ) -> Change:
        """Puts a withdrawn version back into service, and allows its model again."""
        order = self._order(reason, operator)
        return restoring.restore(self._settings.exports, version, dry_run=dry_run, **order)

    def hold(
        self,
        *,
        until: float | None = None,
        reason: str,
        operator: str | None = None,
        dry_run: bool = False,
    ) -> Change:
        """Holds all exports and retirements by runs.

        Args:
            until: End of the hold in seconds since the epoch; default: until somebody releases it.
            reason: Reason, which `history` shows.
            operator: Name of the person.
            dry_run: True to change nothing.
        """
        order = self._order(reason, operator)
        return holding.hold(self._settings.exports, until=until, dry_run=dry_run, **order)

    def release(
        self,
        version: int | str | None = None,
        *,
        reason: str,
        operator: str | None = None,
        dry_run: bool = False,
    ) -> Change:
        """Ends the hold, or lets candidates replace a promoted or forced version as usual."""
        order = self._order(reason, operator)
        return holding.release(self._settings.exports, version=version, dry_run=dry_run, **order)

    def reject(
        self,
        model: int | str,
        *,
        reason: str,
        operator: str | None = None,
        dry_run: bool = False,
    ) -> Change:
        """Rejects the model of a version or with a content digest: no run exports it."""
        order = self._order(reason, operator)
        return rejecting.reject(self._settings.exports, model, dry_run=dry_run, **order)

    def unreject(
        self,
        model: int | str,
        *,
        reason: str,
        operator: str | None = None,
        dry_run: bool = False,
    ) -> Change:
        """Allows a rejected model again."""
        order = self._order(reason, operator)
        return rejecting.unreject(self._settings.exports, model, dry_run=dry_run, **order)

    def pin(
        self,
        version: int | str,
        *,
        reason: str,
        operator: str | None = None,
        dry_run: bool = False,
    ) -> Change:
        """Keeps the files of a version until somebody removes the pin."""
        order = self._order(reason, operator)
        return pinning.pin(self._settings.exports, version, dry_run=dry_run, **order)

    def unpin(
        self,
        version: int | str,
        *,
        reason: str,
        operator: str | None = None,
        dry_run: bool = False,
    ) -> Change:
        """Removes the pin of a version."""
        order = self._order(reason, operator)
        return pinning.unpin(self._settings.exports, version, dry_run=dry_run, **order)

    def promote(
        self,
        model_path: str | Path | Location,
        eval_result: EvalResult | Mapping[str, float],
        *,
        reason: str,
        operator: str | None = None,
        hold_seconds: float | None = None,
        allow_signature_change: bool = False,
        dry_run: bool = False,
    ) -> Change:
        """Exports a model regardless of the policy, with the signatures and files of the exporter.

        Args:
            model_path: Directory of a SavedModel.
            eval_result: Evaluation of the model.
            reason: Reason, which `history` shows.
            operator: Name of the person.
            hold_seconds: Time in which no run exports anything.
            allow_signature_change: True to allow serving signatures that break clients.
            dry_run: True to change nothing.
        """
        return promoting.promote(
            self._settings.exports,
            location_of(model_path),
            evaluation_of(eval_result),
            hold_seconds=hold_seconds,
            settings=self._settings,
            allow_signature_change=allow_signature_change,
            dry_run=dry_run,
            **self._order(reason, operator),
        )

    def adopt(
        self,
        version: int | str | None,
        eval_result: EvalResult | Mapping[str, float],
        *,
        reason: str,
        operator: str | None = None,
        dry_run: bool = False,
    ) -> Change:
        """Gives a record to a version that another tool has written.

        Args:
            version: A version without a record; None for the served one.
            eval_result: Evaluation of the model in that version.
            reason: Reason, which `history` shows.
            operator: Name of the person.
            dry_run: True to change nothing.
        """
        return adopting.adopt(
            self._settings.exports,
            version,
            evaluation_of(eval_result),
            name=self._settings.name,
            dry_run=dry_run,
            **self._order(reason, operator),
        )

    def approve(
        self,
        digest: str,
        *,
        reason: str,
        operator: str | None = None,
        dry_run: bool = False,
    ) -> Change:
        """Publishes a staged candidate if the best is still the one that it was compared with."""
        order = self._order(reason, operator)
        return approving.approve(self._settings.exports, digest, dry_run=dry_run, **order)

    def break_lock(
        self, *, reason: str, operator: str | None = None, dry_run: bool = False
    ) -> Change:
        """Takes the lock of an object store away from its holder."""
        order = self._order(reason, operator)
        return locking.break_lock(self._settings.exports, dry_run=dry_run, **order)

    def backtest(
        self, compare_policy: pb.ComparePolicy | Mapping[str, Any]
    ) -> tuple[BacktestRow, ...]:
        """Returns the decision of another policy on each logged run, oldest first.

        Args:
            compare_policy: The other policy, a message or a dict.
        """
        with within("compare_policy"):
            policy = messages.message_of(compare_policy, pb.ComparePolicy)
        return backtest.backtest(self._settings.exports, policy or pb.ComparePolicy())

    def _order(self, reason: str, operator: str | None) -> dict[str, Any]:
        return {
            "reason": reason,
            "operator": this_operator() if operator is None else operator,
            "now": self._settings.clock(),
        }


def evaluation_of(eval_result: EvalResult | Mapping[str, float]) -> EvalResult:
    """Returns an evaluation that may be a plain mapping."""
    if isinstance(eval_result, EvalResult):
        return eval_result
    return EvalResult.from_mapping(eval_result)
