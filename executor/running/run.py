"""Runs the steps lock, recover, observe, decide, act and report.

They are repeated if the lock is lost, or if another model is served before the export is published.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from tfx_best_exporter.executor.deciding import default_rule, foresight
from tfx_best_exporter.executor.deciding.models import Decision, Observation
from tfx_best_exporter.executor.exports import pushed_model, resave, saved_model
from tfx_best_exporter.executor.exports.assets_extra import with_assets_extra
from tfx_best_exporter.executor.exports.operators import Instructions
from tfx_best_exporter.executor.exports.version_files import logged
from tfx_best_exporter.executor.exports.versions import Export, Served, ServedChangedError
from tfx_best_exporter.executor.redaction import redacted, redacted_message
from tfx_best_exporter.executor.reports import message, wording
from tfx_best_exporter.executor.running import (
    act,
    challenging,
    choosing,
    log_line,
    observe,
    serving,
)
from tfx_best_exporter.executor.running.challenging import Entrants, Measuring
from tfx_best_exporter.executor.running.measuring import Measurements
from tfx_best_exporter.executor.running.observe import CandidateModel, ForeignBest, Reevaluate
from tfx_best_exporter.executor.running.outcome import Outcome
from tfx_best_exporter.executor.running.places import check_outside
from tfx_best_exporter.executor.running.retiring import purged
from tfx_best_exporter.executor.running.settings import Settings
from tfx_best_exporter.executor.running.start import MAX_REFUSALS, Start, start_of
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
        data_identity: Returns the identity of the examples, for the ledger of challengers; None if
            only their URI in the candidate's evaluation is known.
        provenance: Pipeline and run.
        warnings: Warnings to report with the decision.
    """

    foreign_best: ForeignBest | None = None
    reevaluate: Reevaluate | None = None
    pushed_model: Location | None = None
    pushed_model_uri: str = ""
    artifacts: Mapping[str, Location] = dataclasses.field(default_factory=dict)
    data_identity: Callable[[], str] | None = None
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
    request = _measured(settings, model, request)
    attempts = 0
    while True:
        attempts += 1
        try:
            with collected() as problems, settings.exports.lock():
                result = _logged_run(settings, model, request)
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


def _measured(settings: Settings, source: CandidateModel, request: Request) -> Request:
    """Makes the evaluations that the run will need, without the lock.

    Evaluations take minutes to hours, and other writers need not wait for them. The run looks at
    what is served again when it holds the lock, and evaluates again only what has changed.

    Returns:
        The request, which has the evaluations.
    """
    if request.reevaluate is None:
        return request
    identity = request.data_identity
    request = dataclasses.replace(
        request,
        reevaluate=Measurements(request.reevaluate),
        data_identity=functools.cache(identity) if identity else None,
    )
    exports = settings.exports
    try:
        served = exports.served()
        instructions = exports.operators.instructions(settings.clock())
        settings, _ = settings.with_default_rule(source.candidate.eval_result, served.record)
        if settings.policy.challenging is not None:
            exports.challengers.look()
        _, entrants, _ = _observed(settings, source, request, served, instructions)
        if entrants is not None and request.data_identity is not None:
            # All examples may be read for it.
            request.data_identity()
    except Exception as error:
        # The run meets the problem again when it holds the lock, and reports it, unless it has
        # ended by then.
        problem = redacted(f"{type(error).__name__}: {error}")
        _logger.info("evaluation before the lock of %s: %s", exports.base, problem)
    return request


def decide_only(
    settings: Settings, model: CandidateModel, foreign_best: ForeignBest | None
) -> pb.ExportDecision:
    """Returns the decision that `run` would make now with the recorded evaluation of the best.

    Raises:
        See ModelExporter.run.
    """
    serving.check_candidate(settings, model)
    served = settings.exports.served()
    settings, found = settings.with_default_rule(model.candidate.eval_result, served.record)
    needs = settings.policy.needs(model.candidate)
    observation = observe.observe(
        settings.exports,
        served,
        model.candidate,
        needs,
        comparability=settings.policy.comparability,
        instructions=settings.exports.operators.instructions(settings.clock()),
        foreign_best=foreign_best,
    )
    observation = serving.with_serving(observation, settings, model.problems)
    now = settings.clock()
    with tempfile.TemporaryDirectory(prefix="best_exporter-") as work_path:
        decision = choosing.choose(
            settings, model, observation, needs, now, Path(work_path)
        ).decision
    origin = message.Origin(
        base_directory=settings.exports.base.uri,
        candidate_uri=model.uri,
        compare_policy=settings.compare_policy,
        policy=settings.policy,
        default_rule=settings.default_rule,
        provenance=pb.Provenance(exporter_version=VERSION),
        decided_at=now,
        warnings=(*found, *foresight.direction_warnings(settings.compare_policy)),
    )
    is_same = decision.reason == pb.ExportDecision.ALREADY_BEST
    export = _pushed_export(observation, settings.exports.base) if is_same else None
    return message.export_decision(
        origin, observation, decision, version=export.version if export else None
    )


def _logged_run(settings: Settings, source: CandidateModel, request: Request) -> pb.ExportDecision:
    """Runs with the lock, and adds a line to the decision log, for a failure too."""
    log, now = settings.exports.decision_log, settings.clock()
    try:
        start = start_of(settings.exports, now)
        result = _run_locked(settings, source, request, start)
    except (LeaseLostError, ServedChangedError):
        # The run starts again.
        raise
    except Exception as error:
        failure = redacted(f"{type(error).__name__}: {error}")
        line = log_line.failure_line(failure, source.candidate, request.provenance, now)
        with logged("add the failure to the decision log of", settings.exports.base):
            settings.exports.check_lease()
            log.append(line)
        raise
    try:
        known = start.log or log.read(newest=MAX_REFUSALS)
        result.refusals.extend(log_line.refusals(known.decisions))
        # Without the lock, these lines would replace those of the next holder.
        settings.exports.check_lease()
        log.append(log_line.line_of(redacted_message(result)), after=known)
    except OSError as error:
        # The decision has been carried out, so the run is not failed for its history.
        result.warnings.append(f"the decision log was not written: {error}")
    return result


def _run_locked(
    settings: Settings, source: CandidateModel, request: Request, start: Start
) -> pb.ExportDecision:
    exports, now, instructions = settings.exports, start.now, start.instructions
    warnings = start.recovered
    served = exports.served()
    settings, found = settings.with_default_rule(source.candidate.eval_result, served.record)
    directions = foresight.direction_warnings(settings.compare_policy)
    warnings = (*warnings, *found, *directions)
    needs = settings.policy.needs(source.candidate)
    observation, entrants, measuring = _observed(settings, source, request, served, instructions)
    observation = serving.with_serving(observation, settings, source.problems)
    if measuring is not None:
        # An evaluation of other models may have taken hours, and the decision is made after it.
        now = settings.clock()
    row = None
    if entrants is not None:
        measured = challenging.measured(
            observation,
            settings,
            saved_model.total_size(source.files),
            entrants,
            measuring,
            request.data_identity,
            run_id=request.provenance.run_id,
            now=now,
        )
        observation, row = dataclasses.replace(observation, contest=measured.contest), measured.row
        warnings = (*warnings, *entrants.warnings, *measured.warnings)
    origin = message.Origin(
        base_directory=exports.base.uri,
        candidate_uri=source.uri,
        compare_policy=settings.compare_policy,
        policy=settings.policy,
        default_rule=settings.default_rule,
        provenance=request.provenance,
        decided_at=now,
        warnings=request.warnings,
    )
    export, record, recipe = None, None, pb.Recipe()
    with exports.work_directory() as work_path:
        chosen = choosing.choose(settings, source, observation, needs, now, work_path, entrants)
        decision, observation, model = chosen.decision, chosen.observation, chosen.model
        if decision.makes_files:
            recipe = chosen.recipe(settings)
            if chosen.is_resaved:
                files, found = resave.with_own_signatures(
                    model.model, model.files, work_path / "resaved"
                )
                model = dataclasses.replace(model, files=files)
                warnings = (*warnings, *found)
        if decision.awaited is not None:
            act.stage(
                settings,
                model,
                chosen.message_for(origin, None, warnings),
                best=observation.best,
                recipe=recipe,
                work_path=work_path,
            )
        elif decision.is_export:
            export, record = act.publish(
                settings,
                model,
                lambda version: chosen.message_for(origin, version, warnings),
                version=exports.next_version(now),
                recipe=recipe,
                pushed_model_uri=request.pushed_model_uri,
                work_path=work_path,
                promotion=_promotion_of(decision, observation),
            )
    best, pins = observation.best, instructions.names.pins
    if decision.reason == pb.ExportDecision.ALREADY_BEST:
        export = _pushed_export(observation, exports.base)
    if export is not None and request.pushed_model is not None:
        files = chosen.source_files(settings)
        pushed_model.copy_export(export.location, request.pushed_model, files)
    if entrants is not None:
        warnings = (
            *warnings,
            *challenging.settle(
                settings,
                source.files,
                observation,
                decision,
                entrants,
                row,
                lambda: message.export_decision(origin, observation, decision, warnings=warnings),
            ),
        )
    elif settings.policy.challenging is None and observation.hold is None:
        warnings = (*warnings, *challenging.drop_all(exports))
    if observation.being_written or observation.hold is not None:
        # The version may become the best, and a person may need the others to repair it. A hold
        # stops retirements too.
        outcome = Outcome()
    elif decision.is_export and export is not None:
        outcome = act.retire(
            settings, best_version=export.version, best_record=record, now=now, pins=pins
        )
    else:
        outcome = act.retire(
            settings,
            best_version=best.version if best else None,
            best_record=best.record if best else None,
            now=now,
            pins=pins,
        )
    if observation.hold is None:
        if decision.awaited is not None or instructions.names.awaiting:
            warnings = (*warnings, *exports.awaiting.expire(now))
        warnings = (*warnings, *purged(exports, instructions, now))
    return message.export_decision(
        origin,
        observation,
        decision,
        version=export.version if export else None,
        kept=outcome.kept,
        retired=outcome.retired,
        warnings=[*warnings, *outcome.warnings],
    )


def _observed(
    settings: Settings,
    source: CandidateModel,
    request: Request,
    served: Served,
    instructions: Instructions,
) -> tuple[Observation, Entrants | None, Measuring | None]:
    """Reads everything that a decision uses, and evaluates best and challengers if it needs that.

    Returns:
        The observation; the challengers, None if the run decides without any; and the evaluation,
        None without examples.
    """
    exports, candidate = settings.exports, source.candidate
    needs = settings.policy.needs(candidate)
    entrants = challenging.entrants_of(exports, settings.policy, candidate, served, instructions)
    measuring = None
    # Without any metric to compare, no rule fits, and the decision is an error.
    if request.reevaluate is not None and needs.metrics != ():
        # A second model doubles the work; only the interval of the difference needs it.
        beside = source.model if needs.intervals else None
        challengers = entrants.locations(exports) if entrants else {}
        measuring = Measuring(request.reevaluate, beside, challengers)
    observation = observe.observe(
        exports,
        served,
        candidate,
        needs,
        comparability=settings.policy.comparability,
        instructions=instructions,
        foreign_best=request.foreign_best,
        reevaluate=measuring,
        measures_challengers=entrants is not None and bool(entrants.models),
    )
    return observation, entrants, measuring


def _promotion_of(decision: Decision, observation: Observation) -> pb.OperatorAction | None:
    """Returns the promotion that an export of the same model inherits; None if there is none."""
    best = observation.best
    is_same_model = decision.reason == pb.ExportDecision.REEXPORTED
    return best.promotion if best is not None and is_same_model else None


def _pushed_export(observation: Observation, base: Location) -> Export | None:
    """Returns the export of a candidate that is already the best; None if a version is above it.

    A broken version above the best is what a model server that starts now tries to load, so the
    candidate does not count as pushed, and no deployer is told to serve it elsewhere.
    """
    best = observation.best
    if best is None or any(version > best.version for version in observation.versions):
        return None
    return Export(version=best.version, base=base, name=best.name)


def _log(result: pb.ExportDecision) -> None:
    if result.HasField("default_rule"):
        _logger.info(
            "no compare_policy is set: %s is better, because %s",
            wording.line(default_rule.text_of(result.default_rule.rule)),
            wording.line(result.default_rule.why),
        )
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
