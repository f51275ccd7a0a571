"""Challengers in a run: the models to measure, the ledger, and the models to keep.

A run measures the challengers together with best and candidate, and adds a row to the ledger. After
it has carried out its decision, it keeps some models and drops the others. A run that fails writes
nothing. Without challengers in the policy, a run removes those that earlier runs have kept.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tfx_best_exporter.executor.deciding import numbers, timing
from tfx_best_exporter.executor.deciding.eval_result import EvalResult
from tfx_best_exporter.executor.deciding.models import (
    Best,
    Candidate,
    Challenger,
    Contest,
    Decision,
    Observation,
)
from tfx_best_exporter.executor.deciding.policy import Policy
from tfx_best_exporter.executor.evaluations import data_identity
from tfx_best_exporter.executor.evaluations.best import Reevaluated
from tfx_best_exporter.executor.exports import records, saved_model, servable
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.operators import Instructions
from tfx_best_exporter.executor.exports.records import EVALUATION_DIRECTORY, RECORD_PATH
from tfx_best_exporter.executor.exports.versions import Export, Served
from tfx_best_exporter.executor.running import act, ledger_rows, serving
from tfx_best_exporter.executor.running.observe import CandidateModel, Reevaluate
from tfx_best_exporter.executor.running.settings import Settings
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import LeaseLostError
from tfx_best_exporter.proto import best_exporter_pb2 as pb


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Entrants:
    """The challengers that a run measures.

    Attributes:
        models: The challengers by content digest.
        ledger: The ledger of earlier runs.
        warnings: Problems with the state of earlier runs.
    """

    models: Mapping[str, pb.Challenger]
    ledger: pb.ChallengerLedger
    warnings: tuple[str, ...] = ()

    def locations(self, exports: ExportDirectory) -> dict[str, Location]:
        """Returns the directory of each challenger's files, by content digest."""
        return {digest: exports.challengers.location_of(digest) for digest in self.models}


def entrants_of(
    exports: ExportDirectory,
    policy: Policy,
    candidate: Candidate,
    served: Served,
    instructions: Instructions,
) -> Entrants | None:
    """Returns the challengers to measure; None if this run decides without challengers.

    Args:
        exports: The base directory, repaired.
        policy: The policy of the run.
        candidate: The candidate.
        served: The best.
        instructions: The instructions of operators.

    Raises:
        OSError: The storage does not answer.
    """
    challenging, rule = policy.challenging, policy.rule.leading
    is_stopped = served.being_written or instructions.hold is not None
    if challenging is None or rule is None or served.best is None or is_stopped:
        return None
    best_digest = "" if served.record is None else served.record.model.digest
    others = {best_digest, candidate.digest, *instructions.names.rejected}
    if not candidate.is_blessed or candidate.digest in {best_digest, *instructions.names.rejected}:
        return None
    if policy.forces(candidate):
        return None
    # A run on older data exports nothing, and its values are no evidence about newer data.
    span = candidate.eval_result.data.span
    if served.record is not None and timing.is_on_older_data(span, served.record, policy):
        return None
    ledger, warning = exports.challengers.ledger(
        candidate.eval_result.data.eval_config_digest,
        pb.MetricRule(metric=rule.key.to_proto(), direction=rule.direction),
    )
    found = [exports.challengers.get(digest) for digest in exports.challengers.known]
    models = [each for each in found if each is not None and each.record.model.digest not in others]
    models.sort(key=lambda each: -each.kept_at.ToNanoseconds())
    return Entrants(
        models={each.record.model.digest: each for each in models[: challenging.count]},
        ledger=ledger,
        warnings=(warning,) if warning else (),
    )


class Measuring:
    """Evaluates the best and the challengers on the candidate's examples, and keeps the result.

    Attributes:
        found: The result; None if nothing was evaluated.
    """

    def __init__(
        self,
        reevaluate: Reevaluate,
        candidate: Location | None,
        challengers: Mapping[str, Location],
    ):
        """Makes a Measuring; evaluates nothing.

        Args:
            reevaluate: Evaluates an export.
            candidate: Directory of the candidate to evaluate with it; None for the export alone.
            challengers: Directories of the challengers, by content digest.
        """
        self._reevaluate = reevaluate
        self._candidate = candidate
        self._challengers = challengers
        self.found: Reevaluated | None = None

    def __call__(self, export: Location) -> Reevaluated:
        """Returns the evaluations of an export and of the challengers."""
        if self._challengers:
            self.found = self._reevaluate(export, self._candidate, self._challengers)
        else:
            self.found = self._reevaluate(export, self._candidate)
        return self.found


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The measurements of a run.

    Attributes:
        contest: The values of all runs; None if this run measured nothing that it can use.
        row: The row of this run; None without a contest.
        warnings: Reasons why nothing was measured.
    """

    contest: Contest | None = None
    row: pb.LedgerRow | None = None
    warnings: tuple[str, ...] = ()


def measured(
    observation: Observation,
    settings: Settings,
    candidate_bytes: int,
    entrants: Entrants,
    measuring: Measuring | None,
    identity: Callable[[], str] | None,
    *,
    run_id: str,
    now: float,
) -> Measured:
    """Returns the values of best, candidate and challengers in this run and in earlier ones.

    Args:
        observation: Candidate and best, evaluated on the same examples.
        settings: Settings of the run.
        candidate_bytes: Size of the candidate's files.
        entrants: The challengers.
        measuring: The evaluation of this run; None without `examples`.
        identity: Returns the identity of the examples; None if it is not known.
        run_id: The run; empty if it is not known.
        now: Seconds since the epoch.
    """
    best, candidate = observation.best, observation.candidate
    if best is None or best.eval_result is None or not best.digest:
        return Measured()
    found = None if measuring is None else measuring.found
    challengers: Mapping[str, EvalResult] = {}
    if best.basis == pb.ExportDecision.EVALUATED_AGAIN and found is not None:
        challengers = found.challengers
    elif best.basis != pb.ExportDecision.SAME_EVALUATION:
        problem = "" if measuring is not None else ": `examples` is not set"
        return _not_measured(f"this run decides by its own evaluation{problem}")
    data = _identity_of(candidate.eval_result, identity)
    if not data:
        return _not_measured("the identity of the examples is not known")
    policy = settings.policy
    rule = policy.for_candidate(candidate.eval_result.model_name).rule.leading
    if rule is None:
        return Measured()
    row = ledger_rows.row_of(
        rule,
        best=(best.digest, best.eval_result),
        others={candidate.digest: best.together, **challengers},
        example_count=best.eval_result.example_count,
        data=data,
        run_id=run_id,
        now=now,
    )
    if row is None:
        return _not_measured(f"no difference in {rule.key} has a standard error")
    row = ledger_rows.settled(entrants.ledger, row)
    messages = (*entrants.ledger.rows, row)
    return Measured(
        contest=Contest(
            rows=tuple(ledger_rows.to_row(each, rule.direction) for each in messages),
            ledger=messages,
            challengers={
                digest: Challenger(
                    candidate=Candidate(
                        digest=digest,
                        eval_result=evaluation,
                        uri=entrants.models[digest].record.model.uri,
                    ),
                    size_bytes=records.size_of(entrants.models[digest].record),
                    trained_at=numbers.seconds_of(entrants.models[digest].record.exported_at),
                    run_id=entrants.models[digest].record.provenance.run_id,
                )
                for digest, evaluation in challengers.items()
                if digest in entrants.models
            },
            candidate_bytes=candidate_bytes,
            best_bytes=_size_of_best(settings.exports, best),
            # A model that a server cannot run was saved by an early release.
            can_keep_best=best.record is not None and not best.serving_problems,
        ),
        row=row,
    )


def _not_measured(why: str) -> Measured:
    return Measured(warnings=(f"the challengers are not compared: {why}",))


def _identity_of(evaluation: EvalResult, identity: Callable[[], str] | None) -> str:
    """Returns the identity of the examples; empty if it is not known."""
    if identity is not None:
        return identity()
    data = evaluation.data
    if not data.examples_uri:
        return ""
    return data_identity.named_identity_of([data.examples_uri], data.splits)


def _size_of_best(exports: ExportDirectory, best: Best) -> int:
    """Returns the size of the best's files in bytes; those of another tool's version are listed."""
    if best.record is not None and best.record.manifest:
        return records.size_of(best.record)
    export = Export(version=best.version, base=exports.base, name=best.name)
    return sum(export.location.sizes().values())


def barred(observation: Observation, digest: str, problem: str) -> Observation:
    """Returns an observation in which a challenger must be neither exported nor kept."""
    contest = observation.contest
    if contest is None:
        return observation
    contest = dataclasses.replace(contest, barred={**contest.barred, digest: problem})
    return dataclasses.replace(observation, contest=contest)


def with_candidate(observation: Observation, candidate: Candidate) -> Observation:
    """Returns an observation in which more is known about a challenger."""
    contest = observation.contest
    if contest is None:
        return observation
    known = dataclasses.replace(contest.challengers[candidate.digest], candidate=candidate)
    contest = dataclasses.replace(
        contest, challengers={**contest.challengers, candidate.digest: known}
    )
    return dataclasses.replace(observation, contest=contest)


def model_of(
    settings: Settings, challenger: pb.Challenger, candidate: Candidate
) -> CandidateModel | str:
    """Returns a challenger with its files for an export, or the reason why it cannot be exported.

    Args:
        settings: Settings of the run.
        challenger: The challenger.
        candidate: The challenger's values for the decision.

    Raises:
        OSError: The storage does not answer.
    """
    state = settings.exports.challengers
    problem = state.problem_of(challenger)
    if problem:
        return f"its files were changed: {problem}"
    location, record = state.location_of(candidate.digest), challenger.record
    files = state.files_of(challenger)
    if record.HasField("recipe"):
        return CandidateModel(
            model=location,
            uri=record.model.uri,
            files=[file for file in files if file.path != RECORD_PATH],
            candidate=candidate,
            is_export=True,
        )
    try:
        with tempfile.TemporaryDirectory(prefix="best_exporter-") as work_path:
            contents = saved_model.check(location, Path(work_path))
        problems = servable.problems_of(contents.message, contents.sizes)
        if settings.serving_signatures_fn is None:
            texts = tuple(each.text for each in problems)
            candidate = dataclasses.replace(candidate, serving_problems=texts)
        model = CandidateModel(
            model=location,
            uri=record.model.uri,
            files=[file for file in files if not file.is_reserved],
            candidate=candidate,
            problems=problems,
            evaluation=[file for file in files if file.path.startswith(f"{EVALUATION_DIRECTORY}/")],
        )
        serving.check_candidate(settings, model)
    except saved_model.InvalidModelError as error:
        return str(error)
    return model


def settle(
    settings: Settings,
    files: Sequence[saved_model.ModelFile],
    observation: Observation,
    decision: Decision,
    entrants: Entrants,
    row: pb.LedgerRow | None,
    decided: Callable[[], pb.ExportDecision],
) -> list[str]:
    """Keeps and drops challengers, and writes the ledger; returns a sentence for each problem.

    Args:
        settings: Settings of the run.
        files: Files of the candidate, as it was trained.
        observation: Everything that the run has read.
        decision: The decision, which was carried out.
        entrants: The challengers before this run.
        row: The row of this run; None if nothing was measured.
        decided: Returns the decision as it is recorded with the candidate.

    Raises:
        LeaseLostError: Another writer took over the lock, and nothing was exported.
    """
    state, judged = settings.exports.challengers, decision.judged
    found: list[str] = []
    told = functools.partial(_told, found, is_exported=decision.is_export)
    kept = [*entrants.models]
    if judged is not None and settings.policy.challenging is not None:
        # If some were measured, the others cannot be evaluated. If none was, the next run tries.
        is_tried = any(digest in judged.why for digest in entrants.models)
        untried = [] if is_tried else [*entrants.models]
        kept = [*judged.kept, *untried][: settings.policy.challenging.count]
    elif not decision.is_export and observation.candidate.digest in state.known:
        # The run of an earlier candidate is retried, and measures nothing this time.
        kept.append(observation.candidate.digest)
    for digest in state.known:
        if digest not in kept:
            with told(f"the challenger {digest} could not be removed"):
                state.drop(digest)
    for digest in kept:
        with told(f"the model {digest} could not be kept as a challenger"):
            if digest == observation.candidate.digest:
                _keep_candidate(settings, files, observation.candidate, decided())
            elif observation.best is not None and digest == observation.best.digest:
                _keep_best(settings, observation, decided())
    if row is not None:
        with told("the evidence of this run was not written"):
            state.write_ledger(ledger_rows.with_row(entrants.ledger, row))
    return found


def drop_all(exports: ExportDirectory) -> list[str]:
    """Removes all challengers of a policy that had some; returns a sentence for each problem."""
    found: list[str] = []
    for digest in exports.challengers.known:
        with _told(found, f"the challenger {digest} could not be removed"):
            exports.challengers.drop(digest)
    return found


def _keep_candidate(
    settings: Settings,
    files: Sequence[saved_model.ModelFile],
    candidate: Candidate,
    decided: pb.ExportDecision,
) -> None:
    evaluation = candidate.eval_result
    kept = [*files, *act.evaluation_files(evaluation.source, evaluation.uri)]
    record = act.record_of(settings, decided, None)
    settings.exports.challengers.keep(kept, _challenger(record, decided))


def _keep_best(settings: Settings, observation: Observation, decided: pb.ExportDecision) -> None:
    """Keeps the files of a best that was replaced, as they were served."""
    best = observation.best
    if best is None:
        return
    export = Export(version=best.version, base=settings.exports.base, name=best.name)
    record = settings.exports.record(export)
    files = records.files_in(export.location, record)
    record.ClearField("version")
    # An export of an early release has no recipe, and is published as it was served too.
    record.recipe.SetInParent()
    # A model server may still load the version, so its files get no second name.
    settings.exports.challengers.keep(files, _challenger(record, decided), may_link=False)


def _challenger(record: pb.ExportRecord, decided: pb.ExportDecision) -> pb.Challenger:
    return pb.Challenger(record=record, kept_at=decided.decided_at)


@contextlib.contextmanager
def _told(found: list[str], attempt: str, *, is_exported: bool = True) -> Iterator[None]:
    """Adds a sentence about an error: the decision has been carried out, so the run goes on.

    Args:
        found: List that gets the sentence.
        attempt: Beginning of the sentence.
        is_exported: False if nothing was exported, so that a run that lost the lock starts again.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        if isinstance(error, LeaseLostError) and not is_exported:
            raise
        found.append(f"{attempt}: {error}")
