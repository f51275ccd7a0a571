"""The values that a decision is made of, and the decision."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import TypeAlias

from tfx_best_exporter.executor.deciding.eval_result import EvalResult
from tfx_best_exporter.executor.deciding.guardrails import GuardrailResult
from tfx_best_exporter.executor.deciding.rules import Comparison, Verdict
from tfx_best_exporter.executor.deciding.signatures import Signature
from tfx_best_exporter.proto import best_exporter_pb2 as pb

Reason: TypeAlias = pb.ExportDecision.Reason
Basis: TypeAlias = pb.ExportDecision.Basis

_EXPORTING = frozenset(
    (
        pb.ExportDecision.FIRST_EXPORT,
        pb.ExportDecision.BETTER,
        pb.ExportDecision.BEST_IS_NAN,
        pb.ExportDecision.BEST_UNKNOWN_EXPORTED,
        pb.ExportDecision.FORCED,
    )
)


class BlessingStatus(enum.Enum):
    """What a blessing artifact says of a model."""

    BLESSED = "blessed"
    NOT_BLESSED = "not blessed"
    NOT_COMPUTED = "not computed"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Blessing:
    """One blessing that the component was given.

    Attributes:
        name: Channel, "model_blessing" or "infra_blessing".
        uri: Of the artifact.
        status: What it says.
    """

    name: str
    uri: str
    status: BlessingStatus


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """The model that may be exported.

    Attributes:
        digest: Content digest of the SavedModel.
        eval_result: Its evaluation.
        blessings: The blessings that were given; may be empty.
        signatures: Its serving signatures; None where they are not known yet, and not compared.
    """

    digest: str
    eval_result: EvalResult
    blessings: tuple[Blessing, ...] = ()
    signatures: Mapping[str, Signature] | None = None

    @property
    def is_blessed(self) -> bool:
        """Whether each blessing that was given says yes."""
        return all(blessing.status is BlessingStatus.BLESSED for blessing in self.blessings)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The model that is served, as it is compared with.

    Attributes:
        version: Its export.
        digest: Content digest of the SavedModel it was made from.
        eval_result: Its evaluation, or None if nothing is known of it.
        is_foreign: Whether it was written by other means: its evaluation, found elsewhere, need not
            have the metrics of the rule.
        basis: pb.ExportDecision.Basis: where its evaluation came from.
        together: Evaluation of candidate and best together, whose differences are those to the
            best; None where each was evaluated alone.
        signatures: Its serving signatures; None where they are not compared.
        signatures_problem: Why its signatures cannot be read; empty if they can.
        path: Version directory, as a person would write it.
        record: The export's record; None for a foreign one.
        model_uri: Of the Model that a foreign best was pushed from; empty if that is not known.
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
    record: pb.ExportRecord | None = None
    model_uri: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What was found when a run looked: everything that is known but the policy and the time.

    A decision is made of candidate and best alone. What comes after them is acted on and reported.

    Attributes:
        candidate: The model that may be exported.
        best: The model that is served, or None.
        versions: Of the version directories there are, in order.
        largest_version: Largest number ever seen in the base directory; 0 if there is none.
        latest_record: Of the newest export that has one: the best's, where it has. It holds the
            history of the base directory.
        warnings: What was passed over, and what could not be read.
    """

    candidate: Candidate
    best: Best | None
    versions: tuple[int, ...] = ()
    largest_version: int = 0
    latest_record: pb.ExportRecord | None = None
    warnings: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What the rule and the guardrails of a policy found.

    Attributes:
        verdict: Of the rule.
        guardrails: What became of each guardrail on each of its slices.
        known_best: Evaluation of the best that was compared with; None where nothing was compared.
        warnings: What could not be looked at.
    """

    verdict: Verdict
    guardrails: tuple[GuardrailResult, ...]
    known_best: EvalResult | None
    warnings: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Exported, or not, and why.

    Attributes:
        reason: pb.ExportDecision.Reason.
        explanation: One sentence, with the numbers.
        compared: What the rule and the guardrails found; None where they were not asked.
        signature_changes: What clients of the best would notice.
        warnings: What somebody should look at.
    """

    reason: Reason
    explanation: str
    compared: Compared | None = None
    signature_changes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def is_export(self) -> bool:
        """Whether the candidate is to be exported."""
        return self.reason in _EXPORTING

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """The metrics that were compared."""
        return self.compared.verdict.comparisons if self.compared else ()

    @property
    def guardrails(self) -> tuple[GuardrailResult, ...]:
        """What became of each guardrail on each of its slices."""
        return self.compared.guardrails if self.compared else ()

    @property
    def was_compared(self) -> bool:
        """Whether the rule compared the candidate with the best."""
        return self.compared is not None and self.compared.known_best is not None
