"""Carries out a decision: publishes or stages the candidate, and retires exports."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from tfx_best_exporter.executor.deciding import numbers
from tfx_best_exporter.executor.deciding.eval_result import EvalResult
from tfx_best_exporter.executor.deciding.models import Best
from tfx_best_exporter.executor.deciding.rules import MetricRule
from tfx_best_exporter.executor.evaluations import tfma
from tfx_best_exporter.executor.exports import links, records, resave, retention, saved_model
from tfx_best_exporter.executor.exports.assets_extra import with_assets_extra
from tfx_best_exporter.executor.exports.awaiting import has_expired
from tfx_best_exporter.executor.exports.records import (
    EVALUATION_DIRECTORY,
    RecordError,
)
from tfx_best_exporter.executor.exports.versions import Export, linked_versions
from tfx_best_exporter.executor.keys import SCHEMA_VERSION
from tfx_best_exporter.executor.reports import message
from tfx_best_exporter.executor.running.observe import CandidateModel
from tfx_best_exporter.executor.running.outcome import Outcome
from tfx_best_exporter.executor.running.settings import Settings
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.protocol import Kind
from tfx_best_exporter.proto import best_exporter_pb2 as pb


def publish(
    settings: Settings,
    model: CandidateModel,
    decision_for: Callable[[int], pb.ExportDecision],
    *,
    version: int,
    recipe: pb.Recipe,
    pushed_model_uri: str,
    work_path: Path,
    promotion: pb.OperatorAction | None = None,
) -> tuple[Export, pb.ExportRecord]:
    """Publishes the candidate as a new version, and returns the export with its record.

    Args:
        settings: Settings of the run.
        model: The candidate with the files to export.
        decision_for: Returns the decision for the record of a version.
        version: Smallest allowed version. A larger one is used if another writer takes it.
        recipe: The way in which the files were made from the model.
        pushed_model_uri: URI of the PushedModel artifact; empty without one.
        work_path: Local directory for temporary files.
        promotion: Order of the operator who promoted the candidate; None without one.

    Raises:
        ValueError: A file changed since its digest was taken, or its copy differs.
        LeaseLostError: Another writer took over; nothing was published.
        OSError: A file cannot be read or written; no part of the version is visible.
    """

    def make_record(version: int, manifest: Sequence[pb.ManifestEntry]) -> pb.ExportRecord:
        record = record_of(settings, decision_for(version), recipe)
        record.version = version
        record.manifest.extend(manifest)
        record.pushed_model_uri = pushed_model_uri
        if promotion is not None:
            record.promotion.CopyFrom(promotion)
        return record

    return settings.exports.publish(version, _export_files(settings, model, work_path), make_record)


def stage(
    settings: Settings,
    model: CandidateModel,
    decision: pb.ExportDecision,
    *,
    best: Best | None,
    recipe: pb.Recipe,
    work_path: Path,
) -> None:
    """Stages the candidate for a person's approval, unless it is staged already.

    Args:
        settings: Settings of the run.
        model: The candidate with the files to export.
        decision: The decision to export it that waits for approval.
        best: The best that the candidate was compared with; None if nothing is served.
        recipe: The way in which the files were made from the model.
        work_path: Local directory for temporary files.

    Raises:
        See `publish`.
    """
    awaiting = settings.exports.awaiting
    staged = pb.AwaitingApproval(
        record=record_of(settings, decision, recipe), staged_at=decision.decided_at
    )
    if best is not None:
        staged.best_version = best.version
        staged.best_digest = best.digest
    earlier = awaiting.get(model.candidate.digest)
    is_waiting = earlier is not None and not has_expired(
        earlier, numbers.seconds_of(staged.staged_at)
    )
    if earlier is not None and is_waiting and _is_same_request(earlier, staged):
        return
    awaiting.stage(_export_files(settings, model, work_path), staged)


def _is_same_request(one: pb.AwaitingApproval, other: pb.AwaitingApproval) -> bool:
    """Returns True if two requests are for the same export in place of the same best."""
    return (
        one.HasField("best_version") == other.HasField("best_version")
        and one.best_version == other.best_version
        and one.best_digest == other.best_digest
        and one.record.recipe == other.record.recipe
    )


def record_of(
    settings: Settings, decision: pb.ExportDecision, recipe: pb.Recipe | None
) -> pb.ExportRecord:
    """Returns the record of an export without its version and its manifest.

    Args:
        settings: Settings of the run.
        decision: The decision about the model.
        recipe: The way in which the files were made from the model; None if they are the model's.
    """
    return pb.ExportRecord(
        schema_version=SCHEMA_VERSION,
        name=settings.name,
        exported_at=decision.decided_at,
        model=decision.candidate,
        evaluation=decision.candidate_evaluation,
        decision=message.recorded(decision),
        provenance=decision.provenance,
        recipe=recipe,
        servable_checked=recipe is not None,
    )


def _export_files(
    settings: Settings, model: CandidateModel, work_path: Path
) -> list[saved_model.ModelFile]:
    files = model.files
    if model.is_export:
        return [*files]
    if settings.as_text:
        files = resave.as_text(files, work_path / "text")
    return [
        *with_assets_extra(files, settings.assets_extra),
        *(
            evaluation_files(model.candidate.eval_result.source, model.candidate.eval_result.uri)
            if model.evaluation is None
            else model.evaluation
        ),
    ]


def evaluation_files(source: int, uri: str) -> list[saved_model.ModelFile]:
    """Returns the files of a TFMA evaluation, which the export keeps byte for byte."""
    if source != pb.Evaluation.TFMA:
        return []
    return [
        saved_model.ModelFile.read(f"{EVALUATION_DIRECTORY}/{file.name}", file)
        for file in tfma.tfma_files_of(location_of(uri))
    ]


def retire(
    settings: Settings,
    *,
    best_version: int | None,
    best_record: pb.ExportRecord | None,
    now: float,
    pins: Collection[int] = (),
) -> Outcome:
    """Retires the exports that the policy does not keep.

    Args:
        settings: Settings of the run.
        best_version: Version of the best; None without one.
        best_record: Record of the best; None if the best is foreign.
        now: Seconds since the epoch.
        pins: Versions that operators have pinned.
    """
    if settings.retention_policy is None:
        # All exports are kept, so none is read.
        return Outcome()
    planned = plan_retirement(
        settings, best_version=best_version, best_record=best_record, now=now, pins=pins
    )
    problems = {
        export.version: str(error)
        for export, error in settings.exports.retire_all(
            planned.doomed, now=now, known_records=planned.records
        ).items()
    }
    failed = [
        f"version {version} could not be deleted; the next run tries again: {problem}"
        for version, problem in sorted(problems.items())
    ]
    return planned.outcome(problems, failed)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Retirement:
    """The exports that a policy keeps and those that it does not.

    Attributes:
        plan: The plan.
        doomed: The exports to retire, each with the reason.
        records: Records of the exports to retire.
        sizes: Size of each export of this exporter in bytes, by version.
        warnings: Exports that cannot be read, and a cap that cannot be met.
    """

    plan: retention.Plan
    doomed: Mapping[Export, str]
    records: Mapping[Export, pb.ExportRecord]
    sizes: Mapping[int, int]
    warnings: tuple[str, ...]

    def outcome(
        self, problems: Mapping[int, str] | None = None, failed: Sequence[str] = ()
    ) -> Outcome:
        """Returns the outcome of carrying out this plan.

        Args:
            problems: Error of each export that was not retired completely, by version.
            failed: Warnings about these exports.
        """
        return Outcome(
            kept=tuple(
                pb.ExportDecision.Kept(version=item.version, why=item.why)
                for item in self.plan.keep
            ),
            retired=tuple(
                pb.ExportDecision.Retired(
                    version=export.version, why=why, error=(problems or {}).get(export.version, "")
                )
                for export, why in self.doomed.items()
            ),
            warnings=(*self.warnings, *failed),
        )


def plan_retirement(
    settings: Settings,
    *,
    best_version: int | None,
    best_record: pb.ExportRecord | None,
    now: float,
    pins: Collection[int] = (),
) -> Retirement:
    """Returns the exports that `retire` would retire now; writes nothing but stamps.

    Args:
        settings: Settings of the run.
        best_version: Version of the best; None without one.
        best_record: Record of the best; None if the best is foreign.
        now: Seconds since the epoch.
        pins: Versions that operators have pinned.
    """
    exports = settings.exports.exports()
    warnings: list[str] = []
    linked = linked_versions(exports, links.targets_in(settings.exports.base))
    numbers = collections.Counter(export.version for export in exports)
    retained = {
        export.version: _retained(
            settings,
            export,
            record=best_record if export.version == best_version else None,
            is_linked=export.version in linked,
            is_pinned=export.version in pins,
            is_unique=numbers[export.version] == 1,
            warnings=warnings,
        )
        for export in exports
    }
    plan, unchanged = _checked_plan(settings, exports, retained, best_version, now)
    doomed = {
        Export(version=item.version, base=settings.exports.base): item.why for item in plan.retire
    }
    return Retirement(
        plan=plan,
        doomed=doomed,
        records=unchanged,
        sizes={
            version: each.size_bytes for version, each in retained.items() if not each.is_foreign
        },
        warnings=(*warnings, *plan.warnings),
    )


def _checked_plan(
    settings: Settings,
    entries: Sequence[Export],
    retained: Mapping[int, retention.RetainedExport],
    best_version: int | None,
    now: float,
) -> tuple[retention.Plan, Mapping[Export, pb.ExportRecord]]:
    """Returns a plan that retires only exports that are as their records say, with the records.

    Tombstones, contents and links in versions are looked at last, because this may read files. If
    an export is kept for this reason, the policy may retire another one, which is then checked too.
    Each round checks or keeps an export that no earlier round has checked or kept, so there are at
    most twice as many rounds as exports.

    Args:
        settings: Settings of the run, with a retention policy.
        entries: All exports.
        retained: The same by version, before this check.
        best_version: Version of the best; None without one.
        now: Seconds since the epoch.
    """
    exports = dict(retained)
    checked: set[int] = set()
    unchanged: dict[Export, pb.ExportRecord] = {}
    while True:
        plan = retention.plan(
            [*exports.values()],
            best_version=best_version,
            policy=settings.retention_policy,
            now=now,
        )
        doomed = {item.version for item in plan.retire}
        kept = [entry for entry in entries if entry.version not in doomed]
        targets = links.targets_below(entry.location for entry in kept) if doomed else ()
        candidates = [Export(version=each, base=settings.exports.base) for each in sorted(doomed)]
        linked = linked_versions(candidates, targets)
        unchecked = doomed - checked - linked
        if not linked and not unchecked:
            return plan, unchanged
        for version in linked:
            exports[version] = dataclasses.replace(exports[version], is_linked=True)
        restored = settings.exports.restored_versions() if unchecked else ()
        for export in candidates:
            version = export.version
            if version not in unchecked:
                continue
            if version in restored:
                exports[version] = dataclasses.replace(exports[version], is_restored=True)
            elif not _check(settings, export, unchanged):
                exports[version] = dataclasses.replace(exports[version], is_as_recorded=False)
        checked |= unchecked


def _retained(
    settings: Settings,
    export: Export,
    *,
    record: pb.ExportRecord | None,
    is_linked: bool,
    is_pinned: bool,
    is_unique: bool,
    warnings: list[str],
) -> retention.RetainedExport:
    """Returns an export for retention; one that cannot be read counts as foreign.

    Args:
        settings: Settings of the run.
        export: The export.
        record: Record of the export if it is the best, whose files were checked.
        is_linked: True if a link in the base directory leads to the export.
        is_pinned: True if an operator has pinned the version.
        is_unique: False if a model server reads the same number from another name too.
        warnings: Gets a sentence if the export cannot be read.
    """
    foreign = retention.RetainedExport(
        version=export.version,
        is_foreign=True,
        exported_at=None,
        is_linked=is_linked,
        is_pinned=is_pinned,
    )
    if export.name or export.kind is not Kind.DIRECTORY or not is_unique:
        return foreign
    try:
        record, problem = (record, "") if record else settings.exports.contents(export)
    except (OSError, RecordError) as error:
        warnings.append(f"version {export.version} is kept because it cannot be read: {error}")
        return foreign
    # A record that names another version belongs to a copy that a person made.
    if record is None or record.version != export.version:
        return foreign
    return retention.RetainedExport(
        version=export.version,
        is_foreign=False,
        exported_at=numbers.seconds_of(record.exported_at),
        is_as_recorded=not problem,
        is_linked=is_linked,
        is_pinned=is_pinned,
        score=_score(record, settings.policy.rule.leading),
        size_bytes=records.size_of(record),
    )


def _check(settings: Settings, export: Export, unchanged: dict[Export, pb.ExportRecord]) -> bool:
    """Returns True if an export is as its record says, and adds its record to a mapping."""
    try:
        record = settings.exports.unchanged_record(export)
    except (OSError, RecordError):
        return False
    if record is None:
        return False
    unchanged[export] = record
    return True


def _score(record: pb.ExportRecord, rule: MetricRule | None) -> float | None:
    """Returns the recorded value of the compare rule's metric, negated if smaller is better.

    None if a compare function decides, or if the recorded evaluation lacks the metric, for example
    because the rule has changed since the export.
    """
    if rule is None:
        return None
    evaluation = EvalResult.from_proto(record.evaluation)
    # The EvalConfig may have had another name for the model when the export was evaluated.
    own_key = rule.key.for_candidate(rule.key.model_name)
    found = evaluation.find(rule.key) or evaluation.find(own_key)
    if found is None:
        return None
    return found.value if rule.direction == pb.HIGHER_IS_BETTER else -found.value
