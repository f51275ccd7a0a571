"""ModelExporter: exports a model if it is better than the model being served, without TFX.

This module checks the arguments, and `running/run.py` carries out the run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfx_best_exporter.executor.arguments import user_functions
from tfx_best_exporter.executor.arguments.destination import check_base_directory
from tfx_best_exporter.executor.arguments.errors import within
from tfx_best_exporter.executor.arguments.unservable import DEFAULT_UNSERVABLE, checked_unservable
from tfx_best_exporter.executor.deciding.eval_result import EvalResult
from tfx_best_exporter.executor.deciding.models import Blessing
from tfx_best_exporter.executor.exports import retention
from tfx_best_exporter.executor.exports.assets_extra import check_assets_extra
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.operating.desk import Desk, evaluation_of
from tfx_best_exporter.executor.operating.operation import check_exists, export_of, version_of
from tfx_best_exporter.executor.operating.view import View
from tfx_best_exporter.executor.reports import message
from tfx_best_exporter.executor.reports.reported import ReportedDecision
from tfx_best_exporter.executor.running.observe import (
    ForeignBest,
    Reevaluate,
    observe_candidate,
)
from tfx_best_exporter.executor.running.retiring import retire_only
from tfx_best_exporter.executor.running.run import (
    Request,
    decide_only,
    export_if_better,
)
from tfx_best_exporter.executor.running.settings import (
    Settings,
    compare_policy_of,
    retention_policy_of,
)
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.version import VERSION
from tfx_best_exporter.proto import best_exporter_pb2 as pb

__version__ = VERSION


class ModelExporter(Desk, View):
    """Exports a model if it is better than the model being served, and retires old exports.

    Example:
        >>> exporter = ModelExporter("/serving/penguin", exports_to_keep=3)
        >>> exporter.export("/models/candidate", {"loss": 0.21})
        '/serving/penguin/1732240000'
        >>> exporter.export("/models/worse", {"loss": 0.35})  # returns None
    """

    def __init__(
        self,
        base_directory: str | Path | Location,
        *,
        compare_fn: Callable[..., bool] | str | None = None,
        compare_policy: pb.ComparePolicy | Mapping[str, Any] | None = None,
        serving_signatures_fn: Callable[[Any], Mapping[str, Any]] | None = None,
        assets_extra: Mapping[str, str] | None = None,
        as_text: bool = False,
        unservable: str = DEFAULT_UNSERVABLE,
        exports_to_keep: int | None = retention.DEFAULT_EXPORTS_TO_KEEP,
        retention_policy: pb.RetentionPolicy | Mapping[str, Any] | None = None,
        name: str = "best_exporter",
        state_directory: str | Path | Location | None = None,
        clock: Callable[[], float] = time.time,
        load_function: Callable[[str], Callable[..., Any]] = user_functions.load,
    ):
        """Checks the arguments, without reading or writing anything.

        Args:
            base_directory: Directory that the model server polls: a path, a URI, or a location in
                a storage.
            compare_fn: `fn(best_eval_result, current_eval_result) -> bool`, called by keyword, or
                its dotted name. Default: a smaller "loss" is better.
            compare_policy: The declarative alternative to compare_fn, a message or a dict. Set at
                most one of the two.
            serving_signatures_fn: Loaded model -> {signature name: tf.function}. Default: the
                model's own signatures.
            assets_extra: Destination below assets.extra/ -> source path.
            as_text: Write saved_model.pbtxt instead of saved_model.pb.
            unservable: Treatment of a candidate that a model server cannot run as it is: "resave"
                saves it again from its own signatures, "refuse" raises InvalidModelError.
            exports_to_keep: Number of exports to keep; None keeps all.
            retention_policy: More rules than a number, a message or a dict; see
                `policies.retention_policy`. Leave out exports_to_keep if you set it.
            name: Name of this exporter in its records.
            state_directory: Directory of the exporter's own files, in the storage of the base
                directory and outside of it. Default: .best_exporter in the base directory.
            clock: Returns seconds since the epoch.
            load_function: Returns the function for a name.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is invalid.
        """
        if not isinstance(base_directory, (str, Path, Location)) or not str(base_directory):
            raise TypeError(
                f"base_directory must be a path or a URI (got {base_directory!r})."
                " Pass the directory that the model server polls."
            )
        with within("base_directory"):
            check_base_directory(str(base_directory))
        if not isinstance(name, str) or not name:
            raise ValueError(
                f"name must be a non-empty string (got {name!r}). Records show it as the exporter."
            )
        if not isinstance(as_text, bool):
            raise TypeError(
                f"as_text must be True or False (got {as_text!r}). Use True to write"
                " saved_model.pbtxt."
            )
        if serving_signatures_fn is not None and not callable(serving_signatures_fn):
            raise TypeError(
                f"serving_signatures_fn must be a function (got {serving_signatures_fn!r})."
                " Pass a function of the loaded model that returns signature name -> tf.function."
            )
        compare_policy_message, policy = compare_policy_of(
            compare_fn, compare_policy, load_function
        )
        self._settings = Settings(
            exports=ExportDirectory(
                location_of(base_directory),
                location_of(state_directory) if state_directory else None,
            ),
            compare_policy=compare_policy_message,
            policy=policy,
            retention_policy=retention_policy_of(
                exports_to_keep, retention_policy, compare_policy_message
            ),
            serving_signatures_fn=serving_signatures_fn,
            serving_signatures_name=(
                user_functions.name_of(serving_signatures_fn) if serving_signatures_fn else ""
            ),
            assets_extra=check_assets_extra(assets_extra),
            as_text=as_text,
            unservable=checked_unservable(unservable),
            name=name,
            clock=clock,
        )

    @property
    def name(self) -> str:
        """Name of this exporter in its records."""
        return self._settings.name

    def export(
        self, model_path: str | Path | Location, eval_result: EvalResult | Mapping[str, float]
    ) -> str | None:
        """Exports a model if it is better than the best.

        Args:
            model_path: Directory of a SavedModel.
            eval_result: Evaluation of the model.

        Returns:
            The path of the export that contains the model, or None if no export does.

        Raises:
            See `run`.
        """
        return message.path_of_version(self.run(model_path, eval_result).message) or None

    def decide(
        self,
        model_path: str | Path | Location,
        eval_result: EvalResult | Mapping[str, float],
        *,
        blessings: Sequence[Blessing] = (),
        foreign_best: ForeignBest | None = None,
    ) -> ReportedDecision:
        """Returns the decision that `run` would make now with the recorded evaluation of the best.

        The decision has the same type as that of `run`. `exported` is True if `run` would export.

        The method writes nothing, evaluates nothing again, and does not check assets_extra.

        Args:
            model_path: Directory of the candidate's SavedModel.
            eval_result: Evaluation of the candidate.
            blessings: All blessings of the candidate; each must be blessed.
            foreign_best: Lineage of a best without a record; None if it is not known.

        Raises:
            See `run`.
        """
        model = location_of(model_path)
        decision = decide_only(
            self._settings,
            observe_candidate(model, model.uri, evaluation_of(eval_result), blessings),
            foreign_best,
        )
        return ReportedDecision(decision, is_carried_out=False)

    def retire(self, *, dry_run: bool = False) -> pb.ExportDecision:
        """Retires the exports that the policy does not keep.

        Args:
            dry_run: True to take no lock and to delete nothing.

        Returns:
            A decision in which only `kept`, `retired` and `warnings` are set.

        Raises:
            See `run`.
        """
        check_exists(self._settings.exports.base)
        return retire_only(self._settings, dry_run=dry_run)

    def run(
        self,
        model_path: str | Path | Location,
        eval_result: EvalResult | Mapping[str, float],
        *,
        model_uri: str = "",
        blessings: Sequence[Blessing] = (),
        foreign_best: ForeignBest | None = None,
        reevaluate: Reevaluate | None = None,
        data_identity: str = "",
        pushed_model_path: str | Path | Location | None = None,
        provenance: pb.Provenance | None = None,
        warnings: Sequence[str] = (),
    ) -> ReportedDecision:
        """Decides, publishes and retires, as one writer at a time.

        If a run is killed, the next run finishes or removes its work.

        Args:
            model_path: Directory of the candidate's SavedModel.
            eval_result: Evaluation of the candidate.
            model_uri: URI of the candidate's artifact; default: model_path.
            blessings: All blessings of the candidate; each must be blessed.
            foreign_best: Lineage of a best without a record; None if it is not known.
            reevaluate: Evaluates an export on the candidate's examples, together with the
                candidate if a rule requires significance, and with the challengers. It is called
                only if a decision needs it, before the lock is taken. If the served version or
                the challengers change during the call, it is called again with the lock.
            data_identity: Identity of the candidate's examples, equal for equal examples. Only for
                challengers. Default: the URI and the splits in the candidate's evaluation.
            pushed_model_path: Directory of the PushedModel artifact, which gets a copy of the
                exported SavedModel.
            provenance: Pipeline and run.
            warnings: Warnings to report with the decision.

        Returns:
            The decision. Its `message` is written to decision.json.

        Raises:
            InvalidModelError: The candidate is not a complete SavedModel, or a model server cannot
                run it.
            MissingMetricError: An evaluation lacks a metric of the policy.
            RecordError: The best's record cannot be read.
            ValueError: An argument is invalid.
            RuntimeError: A function of the author raised, or the best cannot be evaluated on the
                candidate's examples although the policy requires it.
            TypeError: A function of the author returned a value of the wrong type.
            TimeoutError: Another writer did not finish in time.
            LeaseLostError: The lock was lost in every attempt.
            OSError: A file could not be read or written; the best is unchanged.
        """
        model = location_of(model_path)
        decision = export_if_better(
            self._settings,
            observe_candidate(model, model_uri or model.uri, evaluation_of(eval_result), blessings),
            Request(
                foreign_best=foreign_best,
                reevaluate=reevaluate,
                data_identity=(lambda: data_identity) if data_identity else None,
                pushed_model=location_of(pushed_model_path) if pushed_model_path else None,
                pushed_model_uri=str(pushed_model_path or ""),
                provenance=provenance or pb.Provenance(),
                warnings=tuple(warnings),
            ),
        )
        return ReportedDecision(decision)

    def verify(self, version: int | str) -> list[str]:
        """Returns a sentence for each file of an export that differs from its record.

        Every file is read. Files that the record does not list are reported too.

        Args:
            version: Version of an export with a record, as a number or as a text.

        Raises:
            OperationError: The base directory has no such version.
            RecordError: The version has no record, or its record cannot be read.
        """
        exports = self._settings.exports
        check_exists(exports.base)
        return exports.verify(export_of(exports.exports(), version_of(version)))
