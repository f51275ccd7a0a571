"""ModelExporter: lock, recover, read the best, decide, publish, retire. Usable without TFX."""

from __future__ import annotations

import dataclasses
import logging
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from tfx_best_exporter.executor.arguments import messages, user_functions
from tfx_best_exporter.executor.deciding import decide, rules
from tfx_best_exporter.executor.deciding.eval_result import EvalResult
from tfx_best_exporter.executor.evaluations import best as basis
from tfx_best_exporter.executor.evaluations import tfma
from tfx_best_exporter.executor.exports import retention, saved_model
from tfx_best_exporter.executor.exports.directory import (
    EVALUATION_DIRECTORY,
    SCHEMA_VERSION,
    Contents,
    Export,
    ExportDirectory,
    Listing,
    RecordError,
    Served,
)
from tfx_best_exporter.executor.reports import message as decisions
from tfx_best_exporter.executor.reports import wording
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import LeaseLostError
from tfx_best_exporter.executor.version import VERSION
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# Decisions that are made again because the lock was lost; then the run fails.
_MAX_ATTEMPTS = 5

# Fields of a decision that grow with slices: they are in decision.json.
_NOT_RECORDED = ("slices", "guardrails")

_logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ForeignBest:
    """What is known from elsewhere of a best that has no record.

    Attributes:
        version: The export it is known of.
        eval_result: Its evaluation, or None.
        model_uri: Of the Model that was pushed; empty if that is not known.
    """

    version: int
    eval_result: EvalResult | None
    model_uri: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """The candidate's value for the decision, and its files for the export."""

    model: Location
    files: Sequence[saved_model.ModelFile]
    value: decide.Candidate


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Best:
    """What is served, and its value for the decision; None where nothing is."""

    listing: Listing
    served: Served
    value: decide.Best | None
    warnings: tuple[str, ...]


class Reevaluate(Protocol):
    """Evaluates an export on the candidate's examples."""

    def __call__(self, export: Location, candidate: Location | None) -> basis.Reevaluated:
        """Returns the evaluation of the export.

        Args:
            export: Its version directory.
            candidate: Directory of the candidate's SavedModel, where both are to be evaluated
                together if the EvalConfig allows that: their differences then have intervals of
                their own.
        """
        ...


class ModelExporter:
    """Exports a model when it is better than the one being served, and retires stale exports.

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
        exports_to_keep: int | None = retention.DEFAULT_EXPORTS_TO_KEEP,
        retention_policy: pb.RetentionPolicy | Mapping[str, Any] | None = None,
        name: str = "best_exporter",
        clock: Callable[[], float] = time.time,
        load_function: Callable[[str, str], Callable[..., Any]] = user_functions.load,
    ):
        """Checks the arguments; touches nothing.

        Args:
            base_directory: What the model server polls: a path, a URI, or a location in a storage.
            compare_fn: `fn(best_eval_result, current_eval_result) -> bool`, called by keyword, or
                its dotted name. Default: a smaller "loss" is better.
            compare_policy: The declarative way to say the same, a message or a dict; not both.
            serving_signatures_fn: Loaded model -> {signature name: tf.function}. Default: the
                model's own signatures.
            assets_extra: Destination below assets.extra/ -> source path.
            as_text: Write saved_model.pbtxt instead of saved_model.pb.
            exports_to_keep: Number of exports to keep; None keeps all.
            retention_policy: More than a number, a message or a dict; replaces exports_to_keep.
            name: Goes into the record.
            clock: Returns seconds since the epoch.
            load_function: Returns the function for a name, given also the field that names it.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is invalid.
        """
        if not isinstance(base_directory, (str, Path, Location)) or not str(base_directory):
            raise TypeError(
                f"base_directory must be a path or a URI (got {base_directory!r})."
                " Give the directory that the model server polls."
            )
        if not isinstance(name, str) or not name:
            raise ValueError(
                f"name must be a non-empty string (got {name!r}). Name the exporter in its records."
            )
        if not isinstance(as_text, bool):
            raise TypeError(
                f"as_text must be True or False (got {as_text!r}). True writes saved_model.pbtxt."
            )
        if serving_signatures_fn is not None and not callable(serving_signatures_fn):
            raise TypeError(
                f"serving_signatures_fn must be a function (got {serving_signatures_fn!r})."
                " It is given the loaded model and returns signature name -> tf.function."
            )
        self._exports = ExportDirectory(_location(base_directory))
        self._compare_policy, self._policy = _policy(compare_fn, compare_policy, load_function)
        self._serving_signatures_fn = serving_signatures_fn
        self._assets_extra = saved_model.check_assets_extra(assets_extra)
        self._as_text = as_text
        self._retention_policy = retention.policy_of(
            exports_to_keep,
            messages.message_of(retention_policy, pb.RetentionPolicy, "retention_policy"),
        )
        self._name = name
        self._clock = clock

    @property
    def name(self) -> str:
        """What the records call this exporter."""
        return self._name

    def export(
        self, model_path: str | Path | Location, eval_result: EvalResult | Mapping[str, float]
    ) -> str | None:
        """Exports a model if it is better than the best.

        Args:
            model_path: Directory of a SavedModel.
            eval_result: Its evaluation.

        Returns:
            The path of the export that holds the model, or None if the export was skipped.

        Raises:
            See `run`.
        """
        decision = self.run(model_path, eval_result)
        return str(self._exports.base / str(decision.version)) if decision.version else None

    def decide(
        self,
        model_path: str | Path | Location,
        eval_result: EvalResult | Mapping[str, float],
        *,
        blessings: Sequence[decide.Blessing] = (),
        foreign_best: ForeignBest | None = None,
    ) -> decide.Decision:
        """Returns what `run` would decide now by the recorded evaluation of the best.

        Writes nothing, evaluates nothing again, and does not look at assets_extra.

        Raises:
            See `run`.
        """
        candidate = _candidate(model_path, eval_result, blessings)
        best = self._read_best(candidate, foreign_best, None)
        with tempfile.TemporaryDirectory(prefix="best_exporter-") as work_path:
            _, decision = self._decide(candidate, best.value, self._clock(), Path(work_path))
        return decision

    def retire(self) -> pb.ExportDecision:
        """Retires the exports that the policy does not keep.

        Returns:
            A decision of which only `kept`, `retired` and `warnings` are set.

        Raises:
            See `run`.
        """
        result = pb.ExportDecision(schema_version=SCHEMA_VERSION)
        with self._exports.lock():
            result.warnings.extend(self._exports.recover())
            self._retire(result, self._clock())
        return result

    def run(
        self,
        model_path: str | Path | Location,
        eval_result: EvalResult | Mapping[str, float],
        *,
        model_uri: str = "",
        blessings: Sequence[decide.Blessing] = (),
        foreign_best: ForeignBest | None = None,
        reevaluate: Reevaluate | None = None,
        pushed_model_path: str | Path | Location | None = None,
        provenance: pb.Provenance | None = None,
        warnings: Sequence[str] = (),
    ) -> pb.ExportDecision:
        """Decides, publishes and retires, as one writer at a time.

        A run that died at any moment is made good by the next one.

        Args:
            model_path: Directory of the candidate's SavedModel.
            eval_result: Its evaluation.
            model_uri: Artifact it belongs to; default: model_path.
            blessings: Those that were given; each must be blessed.
            foreign_best: What is known of a best without a record.
            reevaluate: Evaluates an export on the candidate's examples; together with the
                candidate where a rule asks for significance. Called only where the decision needs
                it, with the lock held, which is renewed meanwhile.
            pushed_model_path: PushedModel artifact, which is given the exported SavedModel too.
            provenance: Pipeline and run.
            warnings: To be told with the decision.

        Returns:
            The decision, as it is written to decision.json.

        Raises:
            InvalidModelError: The candidate is no complete SavedModel.
            MissingMetricError: An evaluation lacks a metric of the policy.
            RecordError: The best's record cannot be read.
            ValueError: Something that was given is invalid.
            RuntimeError: A function of the author's raised.
            TypeError: A function of the author's returned something else than it should.
            TimeoutError: Another writer did not finish in time.
            LeaseLostError: The lock was lost again and again.
            OSError: Something could not be read or written; the best is as it was.
        """
        candidate = _candidate(model_path, eval_result, blessings)
        # Before the lock: a source that is missing stops the run with nothing written.
        saved_model.with_assets_extra(candidate.files, self._assets_extra)
        provenance = provenance or pb.Provenance()
        provenance.exporter_version = VERSION
        attempts = 0
        while True:
            attempts += 1
            try:
                with self._exports.lock():
                    result = self._run_locked(
                        candidate,
                        foreign_best,
                        reevaluate,
                        pushed_model_path,
                        pb.ExportDecision(
                            base_directory=str(self._exports.base),
                            candidate=pb.SourceModel(uri=model_uri or str(candidate.model)),
                            provenance=provenance,
                            warnings=warnings,
                        ),
                    )
            except LeaseLostError:
                # Somebody else may have exported meanwhile: look at what is served, decide again.
                if attempts == _MAX_ATTEMPTS:
                    raise
                _logger.warning("lost the lock of %s, deciding again", self._exports.base)
            else:
                _log(result)
                return result

    def verify(self, version: int) -> list[str]:
        """Returns a sentence for each file of an export that is not as its record says.

        Reads every file. Files that the record does not know are named too.

        Args:
            version: Of an export with a record.

        Raises:
            ValueError: There is no such version.
            RecordError: It has no record, or one that cannot be read.
        """
        for export in self._exports.list().exports:
            if export.version == version:
                return self._exports.verify(export)
        raise ValueError(
            f"version must be an export (got {version!r}, at {self._exports.base})."
            " See which there are."
        )

    def _run_locked(
        self,
        candidate: _Candidate,
        foreign_best: ForeignBest | None,
        reevaluate: Reevaluate | None,
        pushed_model_path: str | Path | Location | None,
        result: pb.ExportDecision,
    ) -> pb.ExportDecision:
        """Returns the decision, carried out, in the message that has what is known before."""
        now = self._clock()
        recovered = self._exports.recover()
        best = self._read_best(candidate, foreign_best, reevaluate)
        with self._exports.work_directory() as work_path:
            prepared, decision = self._decide(candidate, best.value, now, work_path)
            decisions.tell(
                result,
                decision,
                candidate=candidate.value,
                best=best.value,
                policy=self._policy,
                now=now,
            )
            result.compare_policy.CopyFrom(self._compare_policy)
            if best.value:
                latest = best.served.record or self._latest_record(best.listing, result)
                decisions.tell_best(result, best.served, best.value, best.listing, latest)
            result.warnings.extend(
                [
                    *best.warnings,
                    *candidate.value.eval_result.warnings,
                    *decision.warnings,
                    *recovered,
                ]
            )
            export = None
            if decision.is_export:
                export = self._publish(
                    prepared, best.listing, result, str(pushed_model_path or ""), now, work_path
                )
                result.version, result.exported = export.version, True
        if decision.reason == pb.ExportDecision.ALREADY_BEST and best.served.export:
            export = best.served.export
            result.version = export.version
        if export and pushed_model_path:
            self._exports.copy_to(export, _location(pushed_model_path), candidate.files)
        # An export is one more to look at.
        self._retire(result, now, None if decision.is_export else best)
        return result

    def _decide(
        self, candidate: _Candidate, best: decide.Best | None, now: float, work_path: Path
    ) -> tuple[_Candidate, decide.Decision]:
        """Returns the candidate as it would be exported, and the decision about it."""
        if not self._serving_signatures_fn:
            decision = decide.decide(
                candidate=candidate.value, best=best, policy=self._policy, now=now
            )
            return candidate, decision
        # Which signatures the export will have is known when they are made, and making them takes
        # the whole model: only for one that is exported, as far as all the rest says.
        without = dataclasses.replace(candidate.value, signatures=None)
        decision = decide.decide(candidate=without, best=best, policy=self._policy, now=now)
        if not decision.is_export:
            return candidate, decision
        files = saved_model.with_signatures(
            candidate.model, candidate.files, self._serving_signatures_fn, work_path / "signatures"
        )
        value = dataclasses.replace(
            candidate.value, signatures=lambda: saved_model.signatures_of(_sources_of(files))
        )
        prepared = dataclasses.replace(candidate, files=files, value=value)
        return prepared, decide.check_signatures(decision, value, best, self._policy)

    def _read_best(
        self,
        candidate: _Candidate,
        foreign_best: ForeignBest | None,
        reevaluate: Reevaluate | None,
    ) -> _Best:
        """Returns the best, its evaluation and its digest, from its record where it has one."""
        listing = self._exports.list()
        served = self._exports.served(listing)
        export, record, warnings = served.export, served.record, served.warnings
        value, model_uri = None, ""
        if export and record:
            model_uri = record.model.uri
            evaluation_uri = str(export.location / EVALUATION_DIRECTORY)
            value = decide.Best(
                version=export.version,
                digest=record.model.digest,
                eval_result=EvalResult.from_proto(
                    record.evaluation,
                    slices=lambda: (
                        tfma.from_tfma(evaluation_uri).slices
                        if record.evaluation.source == pb.Evaluation.TFMA
                        else {}
                    ),
                ),
                signatures=lambda: saved_model.signatures_of(_markers_of(export)),
            )
        elif export:
            try:
                digest = saved_model.digest_of(saved_model.files_of(export.location))
            except saved_model.InvalidModelError as error:
                # Somebody else's export need not be one that we would write.
                digest, warnings = "", (*warnings, str(error))
            known = (
                foreign_best if foreign_best and foreign_best.version == export.version else None
            )
            model_uri = known.model_uri if known else ""
            value = decide.Best(
                version=export.version,
                digest=digest,
                eval_result=known.eval_result if known else None,
                is_foreign=True,
                signatures=lambda: saved_model.signatures_of(_markers_of(export)),
            )
        # Evaluating costs: only where the two are going to be compared.
        is_refused = decide.refusal_of(candidate.value.blessings) is not None
        if export and value and not is_refused and value.digest != candidate.value.digest:
            location, digest = export.location, value.digest
            # The second model doubles the work, and only their difference's noise needs it.
            beside = candidate.model if decide.looks_at_noise(self._policy) else None
            found = basis.best_evaluation(
                candidate=candidate.value.eval_result,
                recorded=value.eval_result,
                model_uri=model_uri,
                export_uri=export.path,
                needed=decide.metrics_of(self._policy, candidate.value.eval_result),
                has_content_of_best=lambda path: _has_digest(path, digest),
                reevaluate=(lambda: reevaluate(location, beside)) if reevaluate else None,
                comparability=self._policy.comparability,
            )
            value = dataclasses.replace(
                value,
                eval_result=found.eval_result,
                basis=found.basis,
                together=found.together,
            )
            warnings = (*warnings, *found.warnings)
        return _Best(
            listing=listing, served=served, value=value, warnings=(*listing.strays, *warnings)
        )

    def _latest_record(self, listing: Listing, result: pb.ExportDecision) -> pb.ExportRecord | None:
        """Returns the record of the newest export that has one; warns of what cannot be read."""
        for export in reversed(listing.exports):
            try:
                if self._exports.has_record(export):
                    return self._exports.record(export)
            except (OSError, RecordError) as error:
                # It is for the history alone: no reason not to export.
                result.warnings.append(
                    f"the history before version {export.version} is not known: {error}"
                )
                return None
        return None

    def _publish(
        self,
        candidate: _Candidate,
        listing: Listing,
        result: pb.ExportDecision,
        pushed_model_uri: str,
        now: float,
        work_path: Path,
    ) -> Export:
        def make_record(version: int, manifest: Sequence[pb.ManifestEntry]) -> pb.ExportRecord:
            # What the record says itself, its decision need not say again.
            decision = pb.ExportDecision()
            decision.CopyFrom(result)
            decision.version, decision.exported = version, True
            for field in ("candidate", "candidate_evaluation", "provenance", *_NOT_RECORDED):
                decision.ClearField(field)
            return pb.ExportRecord(
                schema_version=SCHEMA_VERSION,
                version=version,
                name=self._name,
                exported_at=result.decided_at,
                model=result.candidate,
                evaluation=result.candidate_evaluation,
                manifest=manifest,
                decision=decision,
                provenance=result.provenance,
                pushed_model_uri=pushed_model_uri,
            )

        files = candidate.files
        if self._as_text:
            files = saved_model.as_text(files, work_path / "text")
        files = [
            *saved_model.with_assets_extra(files, self._assets_extra),
            *_evaluation_files(candidate.value.eval_result),
        ]
        return self._exports.publish(self._exports.next_version(listing, now), files, make_record)

    def _retire(self, result: pb.ExportDecision, now: float, known: _Best | None = None) -> None:
        """Retires what the policy does not keep, and tells the decision.

        Args:
            result: The decision.
            now: Seconds since the epoch.
            known: What is served, where it was looked at and nothing has changed since.
        """
        listing = known.listing if known else self._exports.list()
        served = known.served if known else self._exports.served(listing)
        best = served.export
        # Without a policy everything is kept: whose it is does not matter.
        exports = [
            self._retained(export, served, result)
            for export in (listing.exports if self._retention_policy else ())
        ]
        plan = retention.plan(
            exports,
            best_version=best.version if best else None,
            policy=self._retention_policy,
            now=now,
        )
        by_version = {export.version: export for export in listing.exports}
        for item in plan.keep:
            result.kept.add(version=item.version, why=item.why)
        for item in plan.retire:
            problem = ""
            try:
                self._exports.retire(by_version[item.version], why=item.why, now=now)
            except (OSError, RecordError) as error:
                problem = str(error)
                result.warnings.append(
                    f"version {item.version} could not be deleted, the next run tries again:"
                    f" {error}"
                )
            result.retired.add(version=item.version, why=item.why, error=problem)

    def _retained(
        self, export: Export, served: Served, result: pb.ExportDecision
    ) -> retention.RetainedExport:
        """Returns an export as retention looks at it; one that cannot be read counts as foreign."""
        try:
            if export == served.export:
                contents = Contents(record=served.record, problem="")
            else:
                contents = self._exports.contents(export)
            # One whose record names another version is a copy that somebody made.
            if contents.record and contents.record.version == export.version:
                return retention.RetainedExport(
                    version=export.version,
                    is_foreign=False,
                    exported_at=contents.record.exported_at.ToNanoseconds() / 1e9,
                    is_complete=not contents.problem,
                )
        except (OSError, RecordError) as error:
            result.warnings.append(f"version {export.version} is kept: {error}")
        return retention.RetainedExport(version=export.version, is_foreign=True, exported_at=None)


def _policy(
    compare_fn: Callable[..., bool] | str | None,
    compare_policy: pb.ComparePolicy | Mapping[str, Any] | None,
    load_function: Callable[[str, str], Callable[..., Any]],
) -> tuple[pb.ComparePolicy, decide.Policy]:
    """Returns the policy that both arguments state together, as a message and as a value.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: Both were given, or one is invalid.
    """
    message = messages.message_of(compare_policy, pb.ComparePolicy, "compare_policy")
    if compare_fn is not None and message is not None:
        raise ValueError(
            "compare_fn must be left out where compare_policy is given (got both)."
            " Set compare_policy.compare_fn instead."
        )

    def load(reference: str) -> Callable[..., Any]:
        function = load_function(reference, "compare_fn")
        _check_compare_fn(function, reference)
        return function

    if message is None and compare_fn is None:
        message = decide.DEFAULT_COMPARE_POLICY
    if isinstance(compare_fn, str):
        message = pb.ComparePolicy(compare_fn=compare_fn)
    if message is not None:
        return message, decide.policy_from_proto(message, load)
    if not callable(compare_fn):
        raise TypeError(
            f"compare_fn must be a function or its dotted name (got {compare_fn!r})."
            " It takes best_eval_result and current_eval_result and returns a bool."
        )
    name = getattr(compare_fn, "__qualname__", type(compare_fn).__name__)
    _check_compare_fn(compare_fn, name)
    rule = rules.CompareFunction(function=compare_fn, name=name)
    return pb.ComparePolicy(compare_fn=name), decide.Policy(rule=rule)


def _check_compare_fn(function: Callable[..., Any], name: str) -> None:
    user_functions.check_parameter_names(
        user_functions.parameter_names(function, "compare_fn"),
        rules.COMPARE_FN_PARAMETERS,
        "compare_fn",
        name,
    )


def _location(path: str | Path | Location) -> Location:
    return path if isinstance(path, Location) else location_of(str(path))


def _candidate(
    model_path: str | Path | Location,
    eval_result: EvalResult | Mapping[str, float],
    blessings: Sequence[decide.Blessing],
) -> _Candidate:
    model = _location(model_path)
    if not isinstance(eval_result, EvalResult):
        eval_result = EvalResult.from_mapping(eval_result)
    files: Sequence[saved_model.ModelFile] = ()
    # A model that is not blessed is not touched: it need not even be there.
    if decide.refusal_of(blessings) is None:
        with tempfile.TemporaryDirectory(prefix="best_exporter-") as work_path:
            saved_model.check(model, Path(work_path))
        # A candidate that was an export once has a record already: it gets one of its own.
        files = [file for file in saved_model.files_of(model) if not file.is_reserved]
    return _Candidate(
        model=model,
        files=files,
        value=decide.Candidate(
            digest=saved_model.digest_of(files) if files else "",
            eval_result=eval_result,
            blessings=tuple(blessings),
            signatures=lambda: saved_model.signatures_of(_sources_of(files)),
        ),
    )


def _sources_of(files: Sequence[saved_model.ModelFile]) -> dict[str, Location]:
    return {file.path: file.source for file in files}


def _has_digest(path: str, digest: str) -> bool:
    """Returns whether the SavedModel at a path is there, and has a content digest."""
    try:
        files = saved_model.files_of(location_of(path))
    except (OSError, ValueError):
        return False
    return saved_model.digest_of(files) == digest


def _markers_of(export: Export) -> dict[str, Location]:
    sizes = export.location.sizes()
    return {name: export.location / name for name in saved_model.MARKERS if name in sizes}


def _evaluation_files(eval_result: EvalResult) -> list[saved_model.ModelFile]:
    """Returns the files of a TFMA evaluation, to be kept with the export byte for byte."""
    if eval_result.source != pb.Evaluation.TFMA:
        return []
    return [
        saved_model.ModelFile.read(f"{EVALUATION_DIRECTORY}/{file.name}", file)
        for file in tfma.tfma_files_of(location_of(eval_result.uri))
    ]


def _log(result: pb.ExportDecision) -> None:
    _logger.info(
        "%s: %s: %s (base directory %s, version %s)",
        "exported" if result.exported else "not exported",
        pb.ExportDecision.Reason.Name(result.reason),
        wording.line(result.explanation),
        wording.line(result.base_directory),
        result.version or "none",
    )
    for warning in result.warnings:
        _logger.warning("%s", wording.line(warning))
