"""Promote: exports a model because a person says so, such as a hotfix."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tfx_best_exporter.executor.arguments.errors import PathError
from tfx_best_exporter.executor.deciding import signatures
from tfx_best_exporter.executor.deciding.eval_result import EvalResult
from tfx_best_exporter.executor.deciding.models import Decision, Observation
from tfx_best_exporter.executor.deciding.policy import Needs, Policy, policy_from_proto
from tfx_best_exporter.executor.deciding.situation import compare
from tfx_best_exporter.executor.exports import resave
from tfx_best_exporter.executor.exports.assets_extra import with_assets_extra
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.operators import Instructions
from tfx_best_exporter.executor.operating import holding
from tfx_best_exporter.executor.operating.defaults import NAME, default_settings, no_function
from tfx_best_exporter.executor.operating.operation import (
    Change,
    OperationError,
    Order,
    check_exists,
    log_decision,
    observed,
    opened,
)
from tfx_best_exporter.executor.reports import message
from tfx_best_exporter.executor.running import act, observe, serving
from tfx_best_exporter.executor.running.observe import CandidateModel
from tfx_best_exporter.executor.running.places import check_outside
from tfx_best_exporter.executor.running.settings import Settings
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.version import VERSION
from tfx_best_exporter.proto import best_exporter_pb2 as pb

PROMOTE = "promote"


def promote(
    exports: ExportDirectory,
    model: Location,
    evaluation: EvalResult,
    *,
    reason: str,
    operator: str,
    now: float,
    hold_seconds: float | None = None,
    name: str = NAME,
    settings: Settings | None = None,
    allow_signature_change: bool = False,
    dry_run: bool = False,
) -> Change:
    """Exports a model regardless of the policy: a force for this model only.

    The model is checked, saved again if a model server could not run it, and published as by a run.
    It stays until a candidate beats it on the same data, or somebody releases it. A hold and
    blessings do not stop a person.

    Args:
        exports: The base directory.
        model: Directory of a SavedModel.
        evaluation: Evaluation of the model.
        reason: Reason, which `history` shows.
        operator: Name of the person.
        now: Seconds since the epoch.
        hold_seconds: Time in which no run exports anything; None for no hold. A longer hold stays.
        name: Name of the exporter in the record.
        settings: Settings with signatures, added files and policy; None for the model as it is.
        allow_signature_change: True to allow serving signatures that break clients of the best, as
            the field of this name in the policy does.
        dry_run: True to change nothing.

    Raises:
        OperationError: The model is rejected or already served, its serving signatures would break
            clients, or an argument is invalid.
        InvalidModelError: A model server cannot run the model.
        LeaseLostError: Another writer took over the lock; nothing was published.
        OSError: A file cannot be read or written.
    """
    order = Order(operator=operator, reason=reason, now=now)
    until = None if hold_seconds is None else now + holding.checked_seconds(hold_seconds)
    settings = settings or default_settings(exports, name=name, now=now)
    check_exists(exports.base)
    check_outside(exports.base, {"the model": model})
    source = observe.observe_candidate(model, model.uri, evaluation, ())
    serving.check_candidate(settings, source)
    with_assets_extra(source.files, settings.assets_extra)
    with opened(exports, dry_run=dry_run):
        observation = _observe(settings, source)
        _check_allowed(exports, observation, settings, source)
        new_hold, holds = holding.extended(exports, order, until)
        is_allowed = allow_signature_change or settings.policy.allow_signature_change
        if dry_run:
            # A dry run does not save the model with the signatures of a function.
            has_own = settings.serving_signatures_fn is None
            notes = _signatures(exports, observation, source, is_allowed) if has_own else ()
            return _change(observation, exports.next_version(now), (*notes, *holds))
        with exports.work_directory() as work_path:
            source, warnings = _servable(settings, source, work_path)
            notes = _signatures(exports, observation, source, is_allowed)
            decision = _publish(settings, source, observation, order, new_hold, work_path, warnings)
        change = _change(observation, decision.version, (*notes, *holds))
        log_decision(exports, change, order, decision)
    return change


def _observe(settings: Settings, source: CandidateModel) -> Observation:
    observation = observe.observe(
        settings.exports,
        observed(settings.exports),
        source.candidate,
        Needs(metrics=(), slices=False, signatures=False, intervals=False),
        comparability=pb.ComparePolicy.ANY,
        instructions=Instructions(),
    )
    return serving.with_serving(observation, settings, source.problems)


def _check_allowed(
    exports: ExportDirectory, observation: Observation, settings: Settings, source: CandidateModel
) -> None:
    digest, best = observation.candidate.digest, observation.best
    if digest in exports.operators.names().rejected:
        raise OperationError(
            f"model must not be rejected (got {digest}). Allow it first, with `best-exporter"
            " unreject`."
        )
    if best is None or best.digest != digest or best.serving_problems:
        return
    recipe = serving.recipe_of(settings, is_resaved=bool(source.problems))
    if best.recipe is None or best.recipe == recipe:
        raise OperationError(
            f"model must not be the one that is served (got version {best.version}, the same"
            " content). To keep it, hold the base directory."
        )


def _servable(
    settings: Settings, source: CandidateModel, work_path: Path
) -> tuple[CandidateModel, tuple[str, ...]]:
    """Returns the model with the files to export, and warnings."""
    if settings.serving_signatures_fn is not None:
        warnings = ()
        files = resave.with_signatures(
            source.model, source.files, settings.serving_signatures_fn, work_path / "signatures"
        )
    elif source.problems:
        files, warnings = resave.with_own_signatures(
            source.model, source.files, work_path / "resaved"
        )
    else:
        return source, ()
    return dataclasses.replace(source, files=files), warnings


def _signatures(
    exports: ExportDirectory, observation: Observation, model: CandidateModel, is_allowed: bool
) -> tuple[str, ...]:
    """Returns sentences about the serving signatures of the model and the served version.

    Raises:
        OperationError: They would break clients, and that is not allowed.
    """
    found = observe.observe_signatures(observation, exports, model)
    best, candidate = found.best, found.candidate
    if best is None:
        return ()
    if best.signatures is None or candidate.signatures is None:
        return (f"the best's serving signatures were not compared: {best.signatures_problem}",)
    changes = signatures.changes(best.signatures, candidate.signatures)
    breaking = [change.text for change in changes if change.is_breaking]
    if not breaking:
        return ()
    if not is_allowed:
        raise OperationError(
            f"serving signatures must not break clients of version {best.version} (got:"
            f" {'; '.join(breaking)}). Add --allow-signature-change if no client uses them."
        )
    return (f"the serving signatures break clients: {'; '.join(breaking)}",)


def _change(observation: Observation, version: int, notes: tuple[str, ...]) -> Change:
    best = observation.best
    above = f" and replaces version {best.version}" if best else ""
    sentences = [
        f"the model is exported as version {version}{above}",
        "it stays until a candidate beats it on the same data, or somebody releases it",
        *notes,
    ]
    if observation.being_written:
        sentences.append(
            f"{observation.being_written}; a server does not load that version, because its number"
            " is smaller"
        )
    return Change(kind=PROMOTE, sentences=tuple(sentences), versions=(version,))


def _publish(
    settings: Settings,
    model: CandidateModel,
    observation: Observation,
    order: Order,
    new_hold: pb.Hold | None,
    work_path: Path,
    warnings: tuple[str, ...],
) -> pb.ExportDecision:
    """Publishes the model as a run does, with the hold, and returns the decision in its record."""
    exports = settings.exports
    is_resaved = settings.serving_signatures_fn is None and bool(model.problems)
    policy_message, policy = _policy_of(settings, observation)
    compare_policy = pb.ComparePolicy()
    compare_policy.CopyFrom(policy_message)
    compare_policy.force = order.reason
    compare_policy.force_model = model.candidate.digest
    origin = message.Origin(
        base_directory=exports.base.uri,
        candidate_uri=model.uri,
        compare_policy=compare_policy,
        policy=policy,
        provenance=pb.Provenance(exporter_version=VERSION),
        decided_at=order.now,
    )
    decision = _decision(observation, policy, order)

    def decision_for(version: int) -> pb.ExportDecision:
        return message.export_decision(
            origin, observation, decision, version=version, warnings=warnings
        )

    # No run exports another model right after this one.
    with holding.held(exports, new_hold):
        export, _ = act.publish(
            settings,
            model,
            decision_for,
            version=exports.next_version(order.now),
            recipe=serving.recipe_of(settings, is_resaved=is_resaved),
            pushed_model_uri="",
            work_path=work_path,
            promotion=order.action,
        )
    return decision_for(export.version)


def _policy_of(settings: Settings, observation: Observation) -> tuple[pb.ComparePolicy, Policy]:
    """Returns the policy by which the served version was chosen, to compare for information."""
    best = observation.best
    recorded = best.record.decision.compare_policy if best and best.record else None
    if recorded is None or recorded.WhichOneof("rule") != "metric":
        return settings.compare_policy, settings.policy
    try:
        return recorded, policy_from_proto(recorded, no_function)
    except PathError:
        return settings.compare_policy, settings.policy


def _decision(observation: Observation, policy: Policy, order: Order) -> Decision:
    """Returns the decision to export, with the comparison if the evaluations allow it."""
    decision = Decision(
        reason=pb.ExportDecision.FORCED,
        explanation=f"promoted by {order.operator}: {order.reason}",
    )
    if policy.rule.leading is None:
        return decision
    policy = dataclasses.replace(
        policy.for_candidate(observation.candidate.eval_result.model_name), guardrails=()
    )
    try:
        compared = compare(observation, policy)
    except PathError as error:
        return dataclasses.replace(
            decision, warnings=(f"the model was not compared with the best: {error}",)
        )
    return dataclasses.replace(
        decision,
        explanation=f"{decision.explanation} ({compared.verdict.explanation})",
        compared=compared,
    )
