"""Chooses the model of a run: decides, reads more of the model that is favored, decides again."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from tfx_best_exporter.executor.deciding.decide import decide
from tfx_best_exporter.executor.deciding.eval_result import EvalResult
from tfx_best_exporter.executor.deciding.models import Candidate, Decision, Observation
from tfx_best_exporter.executor.deciding.policy import Needs
from tfx_best_exporter.executor.exports import resave
from tfx_best_exporter.executor.exports.saved_model import InvalidModelError, ModelFile
from tfx_best_exporter.executor.reports import message
from tfx_best_exporter.executor.running import challenging, observe, serving
from tfx_best_exporter.executor.running.challenging import Entrants
from tfx_best_exporter.executor.running.observe import CandidateModel
from tfx_best_exporter.executor.running.settings import Settings
from tfx_best_exporter.proto import best_exporter_pb2 as pb


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A decision, and the model that it exports or stages.

    Attributes:
        decision: The decision.
        observation: Everything that the decision depends on.
        source: The candidate, as it was trained.
        model: The candidate or a challenger, with the files to export.
        challenger: The challenger, as an earlier run has kept it; None for the candidate.
    """

    decision: Decision
    observation: Observation
    source: CandidateModel
    model: CandidateModel
    challenger: pb.Challenger | None = None

    @property
    def is_resaved(self) -> bool:
        """True if an export is saved again because a model server cannot run the model."""
        candidate = self.observation.candidate
        chosen = candidate if self.challenger is None else self.model.candidate
        return bool(chosen.serving_problems)

    def source_files(self, settings: Settings) -> Sequence[ModelFile]:
        """Returns the files of the model before it was saved again; they exist after the run."""
        if self.challenger is None:
            return self.source.files
        return settings.exports.challengers.files_of(self.challenger)

    def recipe(self, settings: Settings) -> pb.Recipe:
        """Returns the way in which the files of an export are made from the model."""
        if self.challenger is not None and self.model.is_export:
            return self.challenger.record.recipe
        return serving.recipe_of(settings, is_resaved=self.is_resaved)

    def message_for(
        self, origin: message.Origin, version: int | None, warnings: Sequence[str]
    ) -> pb.ExportDecision:
        """Returns the decision for the record of an export: it is about the exported model.

        Args:
            origin: The run.
            version: Version of the export; None for a model that is staged.
            warnings: Problems that were tolerated.
        """
        decision = self.decision.awaited or self.decision
        decision = dataclasses.replace(decision, judged=self.decision.judged)
        result = message.export_decision(
            origin, self.observation, decision, version=version, warnings=warnings
        )
        if self.challenger is None or decision.judged is None:
            return result
        # The evaluation of a record is the model's own. The comparisons are those by which it
        # was exported.
        record = self.challenger.record
        model = record.model
        candidate = dataclasses.replace(
            self.model.candidate,
            eval_result=EvalResult.from_proto(record.evaluation),
            size_bytes=model.size_bytes if model.HasField("size_bytes") else None,
        )
        about = message.export_decision(
            dataclasses.replace(
                origin, candidate_uri=record.model.uri, provenance=record.provenance
            ),
            dataclasses.replace(self.observation, candidate=candidate),
            dataclasses.replace(
                decision,
                compared=decision.judged.decisions[decision.challenger].compared,
                judged=None,
            ),
            version=version,
            warnings=warnings,
        )
        about.candidate.CopyFrom(record.model)
        about.challenger_evidence.CopyFrom(result.challenger_evidence)
        about.exported_challenger.CopyFrom(result.exported_challenger)
        return about


def choose(
    settings: Settings,
    source: CandidateModel,
    observation: Observation,
    needs: Needs,
    now: float,
    work_path: Path,
    entrants: Entrants | None = None,
) -> Chosen:
    """Returns the decision and the model that it is about.

    Signatures, and all files of a challenger, are read only if every other gate is in favor of the
    model. The decision is then made again.

    Args:
        settings: Settings of the run.
        source: The candidate.
        observation: Everything that the run has read, without signatures.
        needs: The values that the decision needs.
        now: Seconds since the epoch.
        work_path: Directory for new files.
        entrants: The challengers that the run has measured; None without challengers.

    Raises:
        See `decide` and `resave.with_signatures`.
    """
    models: dict[str, CandidateModel] = {}
    decision = decide(observation, settings.policy, now)
    while True:
        challenger = None
        if entrants is not None and decision.challenger:
            challenger = entrants.models[decision.challenger]
        is_seen = decision.challenger in models or not needs.signatures
        # Saving other signatures reads the whole model, so only an export is worth it.
        is_worth_it = decision.makes_files or settings.serving_signatures_fn is None
        if is_seen or not decision.is_favored or not is_worth_it:
            model = models.get(decision.challenger, source)
            if decision.makes_files and decision.challenger not in (*models, ""):
                raise RuntimeError(
                    f"challenger {decision.challenger} must be read before it is exported. Report"
                    " this error."
                )
            return Chosen(
                decision=decision,
                observation=observation,
                source=source,
                model=model,
                challenger=challenger,
            )
        if challenger is None:
            model = _signed(settings, source, work_path)
            observation = observe.observe_signatures(observation, settings.exports, model)
            models[""] = model
        else:
            observation = _with_challenger(settings, observation, challenger, work_path, models)
        # A compare function is called only once. With challengers, no function compares.
        compared = decision.compared if observation.contest is None else None
        decision = decide(observation, settings.policy, now, compared=compared)


def _signed(settings: Settings, model: CandidateModel, work_path: Path) -> CandidateModel:
    """Returns a model with the signatures that an export has."""
    if settings.serving_signatures_fn is None or model.is_export:
        return model
    files = resave.with_signatures(
        model.model, model.files, settings.serving_signatures_fn, work_path / "signatures"
    )
    return dataclasses.replace(model, files=files)


def _with_challenger(
    settings: Settings,
    observation: Observation,
    challenger: pb.Challenger,
    work_path: Path,
    models: dict[str, CandidateModel],
) -> Observation:
    """Returns an observation with the signatures of a challenger, or with its defect.

    Args:
        settings: Settings of the run.
        observation: Observation without them.
        challenger: The challenger.
        work_path: Directory for new files.
        models: Gets the challenger with the files of its export.
    """
    digest = challenger.record.model.digest
    candidate = _candidate_of(observation, digest)
    try:
        model = challenging.model_of(settings, challenger, candidate)
        if isinstance(model, str):
            return challenging.barred(observation, digest, model)
        model = _signed(settings, model, work_path / digest.rpartition(":")[2])
        seen = observe.observe_signatures(observation, settings.exports, model)
    except (InvalidModelError, RuntimeError) as error:
        # The run must not fail for a model that is not its own.
        return challenging.barred(observation, digest, str(error))
    models[digest] = model
    candidate = dataclasses.replace(model.candidate, signatures=seen.candidate.signatures)
    return challenging.with_candidate(dataclasses.replace(observation, best=seen.best), candidate)


def _candidate_of(observation: Observation, digest: str) -> Candidate:
    assert observation.contest is not None
    return observation.contest.challengers[digest].candidate
