"""The input values of a decision, and the decision."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import TypeAlias

from tfx_best_exporter.executor.deciding.challengers import Standings
from tfx_best_exporter.executor.deciding.eval_result import EvalResult
from tfx_best_exporter.executor.deciding.guardrail import GuardrailResult
from tfx_best_exporter.executor.deciding.ledger import Row
from tfx_best_exporter.executor.deciding.rules import Comparison, Verdict
from tfx_best_exporter.executor.deciding.signatures import Signature
from tfx_best_exporter.executor.deciding.thresholds import FailedThreshold
from tfx_best_exporter.proto import best_exporter_pb2 as pb

Reason: TypeAlias = pb.ExportDecision.Reason
Basis: TypeAlias = pb.ExportDecision.Basis

# Bases with an evaluation of the best in this run, together with the candidate or after it.
EVALUATED_NOW = frozenset((pb.ExportDecision.SAME_EVALUATION, pb.ExportDecision.EVALUATED_AGAIN))

_EXPORTING = frozenset(
    (
        pb.ExportDecision.FIRST_EXPORT,
        pb.ExportDecision.BETTER,
        pb.ExportDecision.BEST_IS_NAN,
        pb.ExportDecision.BEST_UNKNOWN_EXPORTED,
        pb.ExportDecision.FORCED,
        pb.ExportDecision.REEXPORTED,
        pb.ExportDecision.BEST_TOO_OLD,
        pb.ExportDecision.CHALLENGER_BETTER,
    )
)

_VETOES = (
    pb.ExportDecision.SIGNATURES_CHANGED,
    pb.ExportDecision.GUARDRAIL_FAILED,
    pb.ExportDecision.AWAITING_APPROVAL,
    pb.ExportDecision.EXPORTED_RECENTLY,
)


class BlessingStatus(enum.Enum):
    """The status of a model in a blessing artifact."""

    BLESSED = "blessed"
    NOT_BLESSED = "not blessed"
    NOT_COMPUTED = "not computed"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Blessing:
    """One blessing from the component's inputs.

    Attributes:
        name: Name of the channel, "model_blessing" or "infra_blessing".
        uri: URI of the artifact.
        status: Status of the model.
        why: Reason for a status other than BLESSED, one or two sentences; empty if not known.
        failed_thresholds: Thresholds of Evaluator that the model does not meet, if they are known.
    """

    name: str
    uri: str
    status: BlessingStatus
    why: str = ""
    failed_thresholds: tuple[FailedThreshold, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """The model that may be exported.

    Attributes:
        digest: Content digest of the SavedModel.
        eval_result: Evaluation of the model.
        blessings: Blessings from the component's inputs; may be empty.
        signatures: Serving signatures; None if they have not been read, and are not compared.
        recipe: The way in which an export would be made from it; None unless the best has the same
            content.
        serving_problems: Reasons why a model server cannot run it as it is. An export of it is then
            saved again.
        uri: URI of the Model artifact; empty if it is not known.
        size_bytes: Total size of the SavedModel's files; None if they have not been read.
    """

    digest: str
    eval_result: EvalResult
    uri: str = ""
    blessings: tuple[Blessing, ...] = ()
    signatures: Mapping[str, Signature] | None = None
    recipe: pb.Recipe | None = None
    serving_problems: tuple[str, ...] = ()
    size_bytes: int | None = None

    @property
    def is_blessed(self) -> bool:
        """True if all blessings are BLESSED, or there are none."""
        return all(blessing.status is BlessingStatus.BLESSED for blessing in self.blessings)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The model that is served, as candidates are compared with it.

    Attributes:
        version: Version of its export.
        digest: Content digest of the SavedModel that was exported.
        eval_result: Evaluation of the model, or None if it is not known.
        is_foreign: True if another tool wrote the export. Its evaluation then comes from elsewhere
            and may lack metrics of the rule.
        basis: pb.ExportDecision.Basis, the source of its evaluation.
        together: Evaluation of candidate and best together, with the differences between them;
            None if each was evaluated alone.
        signatures: Serving signatures; None if they are not compared.
        signatures_problem: Reason why its signatures cannot be read; empty if they can.
        path: Version directory, as a person would write it.
        name: Name of the version directory in the base directory.
        problem: Reason why a version has no known evaluation; empty if it has a record, or never
            had one.
        record: Record of the export; None for a foreign one.
        model_uri: URI of the Model that a foreign best was pushed from; empty if not known.
        is_unknown: True if it is not known which content is served: the version cannot be read, or
            two names have its number. No evaluation can be of a content that is not known.
        serving_problems: Reasons why a model server cannot run it.
        is_released: True if an operator allowed candidates to replace a forced or promoted model by
            the usual rules.
    """

    version: int
    digest: str
    eval_result: EvalResult | None
    is_foreign: bool = False
    basis: Basis = pb.ExportDecision.BASIS_UNSPECIFIED
    together: EvalResult | None = None
    signatures: Mapping[str, Signature] | None = None
    signatures_problem: str = ""
    path: str = ""
    name: str = ""
    problem: str = ""
    record: pb.ExportRecord | None = None
    model_uri: str = ""
    is_unknown: bool = False
    serving_problems: tuple[str, ...] = ()
    is_released: bool = False

    @property
    def promotion(self) -> pb.OperatorAction | None:
        """The promotion by an operator; None if a run exported it, or a person released it."""
        record = self.record
        if record is None or self.is_released or not record.HasField("promotion"):
            return None
        return record.promotion

    @property
    def replaced_by_force(self) -> str:
        """Content digest of the model that it replaced by force; empty if it was not forced."""
        record = self.record
        if record is None or self.is_released:
            return ""
        is_forced = record.decision.reason == pb.ExportDecision.FORCED
        return record.decision.best.model.digest if is_forced else ""

    @property
    def recipe(self) -> pb.Recipe | None:
        """The way in which the export was made; None if its record does not have it."""
        has_recipe = self.record is not None and self.record.HasField("recipe")
        return self.record.recipe if self.record is not None and has_recipe else None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Challenger:
    """A refused model of an earlier run that this run measured again.

    Attributes:
        candidate: The model as a candidate, with its evaluation on the examples of this run
            together with the best.
        size_bytes: Total size of its files.
        trained_at: Time of the run that trained it, in seconds since the epoch.
        run_id: The run that trained it; empty if it is not known.
    """

    candidate: Candidate
    size_bytes: int
    trained_at: float = 0.0
    run_id: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """The measurements of this run and earlier runs: the input of a decision with challengers.

    Attributes:
        rows: The ledger, oldest first. The last row has the values of this run.
        challengers: The challengers that this run measured, by content digest.
        candidate_bytes: Total size of the candidate's files.
        best_bytes: Total size of the best's files.
        can_keep_best: True if the best can become a challenger: its record is known.
        barred: Reasons why models of this run must be neither exported nor kept, by digest.
        ledger: The messages of the rows, with their times and runs, for reports.
    """

    rows: tuple[Row, ...]
    challengers: Mapping[str, Challenger] = dataclasses.field(default_factory=dict)
    candidate_bytes: int = 0
    best_bytes: int = 0
    can_keep_best: bool = False
    barred: Mapping[str, str] = dataclasses.field(default_factory=dict)
    ledger: tuple[pb.LedgerRow, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The fates of all models that a run measured.

    Attributes:
        found: Standings, compared with the best.
        decisions: Decision about each model as if it were the candidate, by content digest.
        promoted: Digest of the model to export or to stage; empty if there is none.
        kept: Digests of the models to measure again, the largest expected gain first.
        why: Reason for the fate of each model, one clause, by content digest.
    """

    found: Standings
    decisions: Mapping[str, Decision]
    promoted: str
    kept: tuple[str, ...]
    why: Mapping[str, str]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Everything that a run has read: all input of a decision except the policy and the time.

    A decision depends only on candidate, best, being_written, hold, rejection, contest and the time
    of latest_record. The other fields are for acting and reporting.

    Attributes:
        candidate: The model that may be exported.
        best: The model that is served, or None.
        being_written: Description of a newer version that is being copied; empty if there is none.
        versions: Version numbers of the existing version directories, in order.
        latest_record: Record of the newest export with a record, the best's if it has one. It
            holds the history of the base directory.
        warnings: Entries that were skipped or could not be read.
        hold: The hold of an operator that has not ended; None if there is none.
        rejection: The rejection of the candidate by an operator; None if it is not rejected.
        contest: Values of candidate and challengers in several runs; None without challengers, and
            if this run measured nothing.
    """

    candidate: Candidate
    best: Best | None
    being_written: str = ""
    hold: pb.Hold | None = None
    rejection: pb.Rejection | None = None
    contest: Contest | None = None
    versions: tuple[int, ...] = ()
    latest_record: pb.ExportRecord | None = None
    warnings: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The results of the rule and the guardrails of a policy.

    Attributes:
        verdict: Verdict of the rule.
        guardrails: Results of each guardrail, one for each guarded slice.
        known_best: Evaluation of the best in this comparison; None if nothing was compared.
        warnings: Metrics and slices that could not be compared.
    """

    verdict: Verdict
    guardrails: tuple[GuardrailResult, ...]
    known_best: EvalResult | None
    warnings: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The decision to export or not, with its reason.

    Attributes:
        reason: pb.ExportDecision.Reason.
        explanation: One or two sentences, with the numbers.
        compared: Results of the rule and the guardrails; None if an earlier gate decided.
        signature_changes: Changes that clients of the best would notice.
        warnings: Problems that a person should check.
        awaited: The decision to export that waits for approval; None unless the reason is
            AWAITING_APPROVAL.
        challenger: Content digest of the challenger to export or to stage instead of the candidate;
            empty if it is the candidate, or if there is none.
        judged: The fates of all models that the run measured; None without challengers.
    """

    reason: Reason
    explanation: str
    compared: Compared | None = None
    signature_changes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    awaited: Decision | None = None
    challenger: str = ""
    judged: Judged | None = None

    @property
    def is_export(self) -> bool:
        """True if the candidate or a challenger is to be exported."""
        return self.reason in _EXPORTING

    @property
    def makes_files(self) -> bool:
        """True if the files of an export are made, to publish or to stage them."""
        return self.is_export or self.awaited is not None

    @property
    def is_favored(self) -> bool:
        """True if all gates before the signatures were in favor of the candidate."""
        return self.is_export or self.reason in _VETOES

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """The metrics that were compared."""
        return self.compared.verdict.comparisons if self.compared else ()

    @property
    def guardrails(self) -> tuple[GuardrailResult, ...]:
        """Results of each guardrail, one for each guarded slice."""
        return self.compared.guardrails if self.compared else ()

    @property
    def was_compared(self) -> bool:
        """True if the rule compared the candidate with the best."""
        return self.compared is not None and self.compared.known_best is not None
