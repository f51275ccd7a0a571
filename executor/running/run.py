"""Runs the steps lock, recover, observe, decide, act and report.

They are repeated if the lock is lost, or if another model is served before the export is published.
"""

from __future__ import annotations

import dataclasses
import logging
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from tfx_best_exporter.executor.deciding.decide import decide
from tfx_best_exporter.executor.deciding.models import Decision, Observation
from tfx_best_exporter.executor.deciding.policy import Needs
from tfx_best_exporter.executor.evaluations.best import Reevaluated
from tfx_best_exporter.executor.exports import pushed_model
from tfx_best_exporter.executor.exports.assets_extra import with_assets_extra
from tfx_best_exporter.executor.exports.versions import Export, ServedChangedError
from tfx_best_exporter.executor.keys import SCHEMA_VERSION
from tfx_best_exporter.executor.redaction import redacted_message
from tfx_best_exporter.executor.reports import message, wording
from tfx_best_exporter.executor.running import act, observe, serving
from tfx_best_exporter.executor.running.observe import CandidateModel, ForeignBest, Reevaluate
from tfx_best_exporter.executor.running.outcome import Outcome
from tfx_best_exporter.executor.running.places import check_outside
from tfx_best_exporter.executor.running.settings import Settings
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import LeaseLostError
from tfx_best_exporter.executor.storage.tolerated import collected
from tfx_best_exporter.executor.version import VERSION
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# A run fails after this number of attempts that each lost the lock.
_MAX_ATTEMPTS = 5

_logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Arguments of one run.

    Attributes:
        foreign_best: Lineage of a best without a record; None if it is not known.
        reevaluate: Evaluates an export on the candidate's examples; None without examples.
        pushed_model: Directory that gets a copy of the exported SavedModel; None for no copy.
        pushed_model_uri: URI of that directory in the record; empty without one.
        artifacts: Directories of further artifacts of the run, by name; the base directory must be
            in none of them.
        provenance: Pipeline and run.
        warnings: Warnings to report with the decision.
    """

    foreign_best: ForeignBest | None = None
    reevaluate: Reevaluate | None = None
    pushed_model: Location | None = None
    pushed_model_uri: str = ""
    artifacts: Mapping[str, Location] = dataclasses.field(default_factory=dict)
    provenance: pb.Provenance = dataclasses.field(default_factory=pb.Provenance)
    warnings: tuple[str, ...] = ()


def export_if_better(
    settings: Settings, model: CandidateModel, request: Request
) -> pb.ExportDecision:
    """Decides about a candidate and carries out the decision.

    Returns:
        The decision, as it is written to decision.json.

    Raises:
        See ModelExporter.run.
    """
    request.provenance.exporter_version = VERSION
    places = {"the candidate": model.model}
    if request.pushed_model is not None:
        places["pushed_model"] = request.pushed_model
    check_outside(settings.exports.base, {**places, **request.artifacts})
    serving.check_candidate(settings, model)
    # A missing source of assets_extra stops the run before anything is written.
    with_assets_extra(model.files, settings.assets_extra)
    attempts = 0
    while True:
        attempts += 1
        try:
            with collected() as problems, settings.exports.lock():
                result = _run_locked(settings, model, request)
        except (LeaseLostError, ServedChangedError) as error:
            # Another run or a person may have served another model in the meantime, so the best is
            # read again.
            if attempts == _MAX_ATTEMPTS:
                raise
            is_changed = isinstance(error, ServedChangedError)
            problem = str(error) if is_changed else f"lost the lock of {settings.exports.base}"
            _logger.warning("%s; the run starts again", problem.removesuffix(" Run again."))
        else:
            result.warnings.extend(problems.values())
            _log(redacted_message(result))
            return result


def retire_only(settings: Settings) -> pb.ExportDecision:
    """Retires exports without deciding about a candidate.

    Returns:
        A decision in which only `kept`, `retired` and `warnings` are set.

    Raises:
        See ModelExporter.run.
    """
    with collected() as problems, settings.exports.lock():
        recovered = settings.exports.recover()
        served = settings.exports.served()
        warnings = [*recovered, *served.warnings]
        if served.being_written:
            outcome = Outcome(warnings=(served.being_written,))
        else:
            outcome = act.retire(
                settings,
                best_version=served.export.version if served.export else None,
                best_record=served.record,
                now=settings.clock(),
            )
    result = pb.ExportDecision(
        schema_version=SCHEMA_VERSION,
        kept=outcome.kept,
        retired=outcome.retired,
        warnings=[*warnings, *outcome.warnings],
    )
    result.warnings.extend(problems.values())
    return result


def decide_only(
    settings: Settings, model: CandidateModel, foreign_best: ForeignBest | None
) -> Decision:
    """Returns the decision that `run` would make now with the recorded evaluation of the best.

    Raises:
        See ModelExporter.run.
    """
    serving.check_candidate(settings, model)
    needs = settings.policy.needs(model.candidate)
    observation = observe.observe(
        settings.exports,
        model.candidate,
        needs,
        comparability=settings.policy.comparability,
        foreign_best=foreign_best,
    )
    observation = serving.with_serving(observation, settings, model)
    with tempfile.TemporaryDirectory(prefix="best_exporter-") as work_path:
        _, decision = _decide(
            settings, model, observation, needs, settings.clock(), Path(work_path)
        )
    return decision


def _run_locked(settings: Settings, source: CandidateModel, request: Request) -> pb.ExportDecision:
    exports = settings.exports
    now = settings.clock()
    warnings = exports.recover()
    needs = settings.policy.needs(source.candidate)
    observation = observe.observe(
        exports,
        source.candidate,
        needs,
        comparability=settings.policy.comparability,
        foreign_best=request.foreign_best,
        reevaluate=_reevaluation_of(request, source, needs),
    )
    observation = serving.with_serving(observation, settings, source)
    origin = message.Origin(
        base_directory=exports.base.uri,
        candidate_uri=source.uri,
        compare_policy=settings.compare_policy,
        policy=settings.policy,
        provenance=request.provenance,
        decided_at=now,
        warnings=request.warnings,
    )
    export, record = None, None
    with exports.work_directory() as work_path:
        model, decision = _decide(settings, source, observation, needs, now, work_path)
        if decision.is_export:
            is_resaved = bool(observation.candidate.serving_problems)
            if is_resaved:
                model, found = act.saved_again(model, work_path)
                warnings = (*warnings, *found)
            export, record = act.publish(
                settings,
                model,
                lambda version: message.export_decision(
                    origin, observation, decision, version=version, warnings=warnings
                ),
                version=exports.next_version(now),
                recipe=serving.recipe_of(settings, is_resaved=is_resaved),
                pushed_model_uri=request.pushed_model_uri,
                work_path=work_path,
            )
    best = observation.best
    if decision.reason == pb.ExportDecision.ALREADY_BEST:
        export = _pushed_export(observation, exports.base)
    if export is not None and request.pushed_model is not None:
        pushed_model.copy_export(export.location, request.pushed_model, source.files)
    if observation.being_written:
        # The version may become the best, and a person may need the others to repair it.
        outcome = Outcome()
    elif decision.is_export and export is not None:
        outcome = act.retire(settings, best_version=export.version, best_record=record, now=now)
    else:
        outcome = act.retire(
            settings,
            best_version=best.version if best else None,
            best_record=best.record if best else None,
            now=now,
        )
    return message.export_decision(
        origin,
        observation,
        decision,
        version=export.version if export else None,
        kept=outcome.kept,
        retired=outcome.retired,
        warnings=[*warnings, *outcome.warnings],
    )


def _pushed_export(observation: Observation, base: Location) -> Export | None:
    """Returns the export of a candidate that is already the best; None if a version is above it.

    A broken version above the best is what a model server that starts now tries to load, so the
    candidate does not count as pushed, and no deployer is told to serve it elsewhere.
    """
    best = observation.best
    if best is None or any(version > best.version for version in observation.versions):
        return None
    return Export(version=best.version, base=base, name=best.name)


def _reevaluation_of(
    request: Request, source: CandidateModel, needs: Needs
) -> Callable[[Location], Reevaluated] | None:
    """Returns the function that evaluates an export again; None without examples."""
    reevaluate = request.reevaluate
    if reevaluate is None:
        return None
    # A second model doubles the work; only the interval of the difference needs it.
    beside = source.model if needs.intervals else None
    return lambda export: reevaluate(export, beside)


def _decide(
    settings: Settings,
    model: CandidateModel,
    observation: Observation,
    needs: Needs,
    now: float,
    work_path: Path,
) -> tuple[CandidateModel, Decision]:
    """Returns the candidate with the files to export, and the decision about it."""
    decision = decide(observation, settings.policy, now)
    if not needs.signatures or not decision.is_favored:
        return model, decision
    if settings.serving_signatures_fn is not None:
        # Saving other signatures reads the whole model, so only an export is worth it.
        if not decision.is_export:
            return model, decision
        model = act.with_new_signatures(model, settings.serving_signatures_fn, work_path)
    observation = observe.observe_signatures(observation, settings.exports, model)
    return model, decide(observation, settings.policy, now, compared=decision.compared)


def _log(result: pb.ExportDecision) -> None:
    _logger.info(
        "%s: %s: %s (base directory %s, version %s)",
        "exported" if result.exported else "not exported",
        pb.ExportDecision.Reason.Name(result.reason),
        wording.line(result.explanation),
        wording.line(result.base_directory),
        result.version if result.HasField("version") else "none",
    )
    for warning in result.warnings:
        _logger.warning("%s", wording.line(warning))
