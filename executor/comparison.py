"""Whether a candidate replaces the best, as a pure function of values."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from tfx_best_exporter.executor.eval_result import EvalResult, MetricKey, MissingMetricError
from tfx_best_exporter.proto import best_exporter_pb2 as pb

Reason = pb.ExportDecision.Reason

COMPARE_FN_PARAMETERS = ("best_eval_result", "current_eval_result")

# tf.estimator.BestExporter's default: a smaller "loss" is better.
DEFAULT_COMPARE_POLICY = pb.ComparePolicy(
    metric=pb.MetricRule(metric=pb.MetricKey(name="loss"), direction=pb.LOWER_IS_BETTER)
)

_EXPORTING = frozenset(
    (
        pb.ExportDecision.FIRST_EXPORT,
        pb.ExportDecision.BETTER,
        pb.ExportDecision.BEST_IS_NAN,
        pb.ExportDecision.BEST_UNKNOWN_EXPORTED,
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
    """

    digest: str
    eval_result: EvalResult
    blessings: tuple[Blessing, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The model that is served.

    Attributes:
        version: Its export.
        digest: Content digest of the SavedModel it was made from.
        eval_result: Its evaluation, or None if nothing is known of it.
        is_foreign: Whether it was written by other means: its evaluation, found elsewhere, need not
            have the metrics of the rule.
    """

    version: int
    digest: str
    eval_result: EvalResult | None
    is_foreign: bool = False
    basis: int = pb.ExportDecision.BASIS_UNSPECIFIED


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How one metric compared; the fields of pb.MetricComparison."""

    metric: str
    direction: int = pb.METRIC_DIRECTION_UNSPECIFIED
    candidate: float | None = None
    best: float | None = None
    improvement: float | None = None
    required: float | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Exported, or not, and why.

    Attributes:
        reason: pb.ExportDecision.Reason.
        explanation: One sentence, with the numbers.
        comparisons: The metrics that were compared.
        warnings: What somebody should look at.
    """

    reason: Reason
    explanation: str
    comparisons: tuple[Comparison, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def is_export(self) -> bool:
        """Whether the candidate is to be exported."""
        return self.reason in _EXPORTING


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a rule says of a pair of evaluations.

    Attributes:
        is_better: Whether the rule prefers the candidate; meaningless where a value is NaN.
        explanation: One clause, with the numbers.
        comparisons: The metrics that the rule looked at.
    """

    is_better: bool
    explanation: str
    comparisons: tuple[Comparison, ...]


class Rule(Protocol):
    """What "better" means."""

    def compare(self, *, best: EvalResult | None, candidate: EvalResult) -> Verdict:
        """Returns the verdict; without a best, only which metrics it would look at.

        Raises:
            MissingMetricError: An evaluation lacks a metric of the rule.
        """
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MetricRule:
    """Better by a metric, a direction and the smallest change that counts.

    Attributes:
        key: The metric.
        direction: pb.LOWER_IS_BETTER or pb.HIGHER_IS_BETTER.
        min_absolute_change: The improvement must be larger; in the metric's unit.
        min_relative_change: The improvement must be larger than this share of abs(best). Nothing
            is asked where the best is 0 or infinite.
    """

    key: MetricKey
    direction: pb.MetricDirection
    min_absolute_change: float = 0.0
    min_relative_change: float = 0.0

    @classmethod
    def from_proto(cls, proto: pb.MetricRule, field: str) -> MetricRule:
        """Returns the rule that a proto states.

        Args:
            proto: The rule.
            field: What to call it in an error.

        Raises:
            ValueError: The rule is incomplete or its thresholds are no sizes of a change.
        """
        if not proto.metric.name:
            raise ValueError(
                f"{field}.metric.name must be the name of a metric (got '')."
                " Name a metric of Evaluator's EvalConfig."
            )
        if proto.direction == pb.METRIC_DIRECTION_UNSPECIFIED:
            raise ValueError(
                f"{field}.direction must be HIGHER_IS_BETTER or LOWER_IS_BETTER (got"
                " METRIC_DIRECTION_UNSPECIFIED). Say which way"
                f" {proto.metric.name!r} improves."
            )
        for name in ("min_absolute_change", "min_relative_change"):
            value = getattr(proto, name)
            if not 0 <= value < math.inf:
                raise ValueError(
                    f"{field}.{name} must be a finite number, 0 or larger (got {value!r})."
                    " It is the size of an improvement, whichever the direction."
                )
        return cls(
            key=MetricKey.from_proto(proto.metric),
            direction=proto.direction,
            min_absolute_change=proto.min_absolute_change,
            min_relative_change=proto.min_relative_change,
        )

    def compare(self, *, best: EvalResult | None, candidate: EvalResult) -> Verdict:
        """Returns whether the candidate's value is better by more than the thresholds."""
        candidate_value = self._value(candidate)
        if best is None:
            return Verdict(
                is_better=True,
                explanation=f"{self.key} is {candidate_value:.6g}",
                comparisons=(
                    Comparison(
                        metric=str(self.key), direction=self.direction, candidate=candidate_value
                    ),
                ),
            )
        best_value = self._best_value(best)
        is_higher_better = self.direction == pb.HIGHER_IS_BETTER
        improvement = (
            candidate_value - best_value if is_higher_better else best_value - candidate_value
        )
        required = self.min_absolute_change
        if math.isfinite(best_value):
            required = max(required, self.min_relative_change * abs(best_value))
        # Two equal infinities: their difference is NaN, and NaN is not larger than anything.
        is_better = improvement > required
        comparative = "larger" if is_higher_better else "smaller"
        margin = f" by more than {required:.6g}" if required else ""
        return Verdict(
            is_better=is_better,
            explanation=(
                f"{self.key} {candidate_value:.6g} is {'' if is_better else 'not '}{comparative}"
                f" than the best's {best_value:.6g}{margin}"
            ),
            comparisons=(
                Comparison(
                    metric=str(self.key),
                    direction=self.direction,
                    candidate=candidate_value,
                    best=best_value,
                    improvement=improvement,
                    required=required,
                ),
            ),
        )

    def _best_value(self, best: EvalResult) -> float:
        found = best.find(self.key)
        if found is None:
            raise MissingMetricError(
                "compare_policy.metric.name must be a metric of the best's evaluation too"
                f" (got {str(self.key)!r}, at {best.uri or 'its record'})."
                f" Found: {', '.join(sorted(best)) or 'none'}. Compare by one of these until a"
                " model with the metric is exported."
            )
        return found.value

    def _value(self, eval_result: EvalResult) -> float:
        found = eval_result.find(self.key)
        if found is None:
            raise eval_result.missing(str(self.key), "compare_policy.metric.name")
        return found.value


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CompareFunction:
    """Better by a function of the author's.

    Attributes:
        function: `fn(best_eval_result, current_eval_result) -> bool`, called by keyword.
        name: As shown to people.
    """

    function: Callable[..., Any]
    name: str

    def compare(self, *, best: EvalResult | None, candidate: EvalResult) -> Verdict:
        """Returns what the function says.

        Without a best, the function is called with the candidate on both sides: so it is known
        which metrics it reads, and one that cannot work fails before anything is exported.

        Raises:
            MissingMetricError: The function asked for a metric that an evaluation lacks.
            RuntimeError: The function raised.
            TypeError: It returned something that is not a bool.
        """
        best_view = _RecordingEvalResult(candidate if best is None else best)
        candidate_view = _RecordingEvalResult(candidate)
        try:
            result = self.function(best_eval_result=best_view, current_eval_result=candidate_view)
        except MissingMetricError:
            # It says itself which metric, and which there are.
            raise
        except Exception as error:
            raise RuntimeError(
                f"compare_fn must return True or False (got {type(error).__name__} from"
                f" {self.name}: {error}). Mend the function; nothing was exported."
            ) from error
        if not _is_bool(result):
            raise TypeError(
                f"compare_fn must return True or False (got {result!r} from {self.name})."
                " Mend the function; nothing was exported."
            )
        names = sorted(set(best_view.names_read) | set(candidate_view.names_read))
        comparisons = tuple(
            Comparison(
                metric=name,
                candidate=candidate.get(name),
                best=None if best is None else best.get(name),
            )
            for name in names
        )
        values = ", ".join(
            f"{comparison.metric} {_text(comparison.candidate)}"
            + ("" if best is None else f" against the best's {_text(comparison.best)}")
            for comparison in comparisons
        )
        if best is None:
            return Verdict(
                is_better=True,
                explanation=values or f"{self.name} reads no metric",
                comparisons=comparisons,
            )
        return Verdict(
            is_better=bool(result),
            explanation=f"{self.name} returned {bool(result)}"
            + (f" for {values}" if values else ""),
            comparisons=comparisons,
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How a candidate is compared with the best.

    Attributes:
        rule: What "better" means.
        on_unknown_best: pb.ComparePolicy.OnUnknownBest.
    """

    rule: Rule
    on_unknown_best: pb.ComparePolicy.OnUnknownBest = pb.ComparePolicy.EXPORT


def policy_from_proto(
    proto: pb.ComparePolicy, load_function: Callable[[str], Callable[..., Any]]
) -> Policy:
    """Returns the policy that a proto states.

    Args:
        proto: The policy.
        load_function: Returns the compare function that a name refers to.

    Raises:
        ValueError: The policy has no rule, or its rule is not a valid one.
    """
    kind = proto.WhichOneof("rule")
    if kind == "metric":
        rule: Rule = MetricRule.from_proto(proto.metric, "compare_policy.metric")
    elif kind == "compare_fn":
        rule = CompareFunction(function=load_function(proto.compare_fn), name=proto.compare_fn)
    else:
        raise ValueError(
            "compare_policy must have a rule (got none). Set metric or compare_fn, or pass no"
            " compare_policy to ask for a smaller 'loss'."
        )
    return Policy(rule=rule, on_unknown_best=proto.on_unknown_best or pb.ComparePolicy.EXPORT)


def refusal_of(blessings: Sequence[Blessing]) -> Decision | None:
    """Returns the decision not to export, if a blessing that was given does not say yes."""
    for status, reason in (
        (BlessingStatus.NOT_BLESSED, pb.ExportDecision.NOT_BLESSED),
        (BlessingStatus.NOT_COMPUTED, pb.ExportDecision.BLESSING_NOT_COMPUTED),
    ):
        for blessing in blessings:
            if blessing.status is status:
                return Decision(
                    reason=reason,
                    explanation=f"{blessing.name} at {blessing.uri} is {status.value}",
                )
    return None


def decide(*, candidate: Candidate, best: Best | None, policy: Policy) -> Decision:
    """Returns whether the candidate replaces the best, and why.

    In order: blessings; is it the best itself; is there a best; is the best's evaluation known;
    the rule. A tie is not better; NaN never wins; a best that is NaN loses to any finite value.

    Args:
        candidate: The model that may be exported.
        best: The model that is served, or None.
        policy: What "better" means.

    Raises:
        MissingMetricError: An evaluation lacks a metric of the rule.
        RuntimeError: The compare function raised, or the best is unknown and the policy says FAIL.
        TypeError: The compare function returned no bool.
    """
    refusal = refusal_of(candidate.blessings)
    if refusal is not None:
        return refusal
    warnings: tuple[str, ...] = ()
    if best is not None and best.digest == candidate.digest:
        return Decision(
            reason=pb.ExportDecision.ALREADY_BEST,
            explanation=f"the candidate is version {best.version} itself",
        )
    known_best = best.eval_result if best else None
    try:
        verdict = policy.rule.compare(best=known_best, candidate=candidate.eval_result)
    except MissingMetricError as error:
        if best is None or not best.is_foreign or known_best is None:
            raise
        # Whoever pushed the best did not know of this rule. The candidate has to fit it.
        verdict = policy.rule.compare(best=None, candidate=candidate.eval_result)
        warnings, known_best = (str(error),), None
    values = [comparison.candidate for comparison in verdict.comparisons]
    best_values = [comparison.best for comparison in verdict.comparisons]
    if any(value is not None and math.isnan(value) for value in values):
        reason, explanation = (
            pb.ExportDecision.CANDIDATE_IS_NAN,
            f"NaN is never exported: {verdict.explanation}",
        )
    elif best is None:
        reason, explanation = (
            pb.ExportDecision.FIRST_EXPORT,
            f"nothing is served yet: {verdict.explanation}",
        )
    elif known_best is None:
        reason, explanation, warning = _unknown_best(best.version, policy.on_unknown_best)
        warnings = (*warnings, warning)
    elif best_values and all(value is not None and math.isnan(value) for value in best_values):
        # Against NaN every comparison is false: without this, the best would stay for ever.
        is_finite = all(value is not None and math.isfinite(value) for value in values)
        reason, explanation = (
            (pb.ExportDecision.BEST_IS_NAN, f"the best is NaN: {verdict.explanation}")
            if is_finite
            else (pb.ExportDecision.NOT_BETTER, f"neither is finite: {verdict.explanation}")
        )
    else:
        reason = pb.ExportDecision.BETTER if verdict.is_better else pb.ExportDecision.NOT_BETTER
        explanation = verdict.explanation
    return Decision(
        reason=reason,
        explanation=explanation,
        comparisons=verdict.comparisons,
        warnings=warnings,
    )


def _unknown_best(
    version: int, on_unknown_best: pb.ComparePolicy.OnUnknownBest
) -> tuple[Reason, str, str]:
    """Returns reason, explanation and warning for a best of which no evaluation is known."""
    problem = f"no evaluation of the best, version {version}, is known"
    if on_unknown_best == pb.ComparePolicy.FAIL:
        raise RuntimeError(
            f"compare_policy.on_unknown_best must be EXPORT or KEEP to go on (got FAIL): {problem}."
            " Choose one of these."
        )
    if on_unknown_best == pb.ComparePolicy.KEEP:
        return pb.ExportDecision.BEST_UNKNOWN_KEPT, f"{problem}: it is kept", problem
    return (
        pb.ExportDecision.BEST_UNKNOWN_EXPORTED,
        f"{problem}: the candidate is exported",
        f"{problem}: the candidate was exported without a comparison",
    )


def _is_bool(value: object) -> bool:
    """Returns whether a value is a bool or a numpy bool, without importing numpy."""
    kind = type(value)
    return isinstance(value, bool) or (
        kind.__module__ == "numpy" and kind.__name__ in ("bool", "bool_")
    )


def _text(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"


class _RecordingEvalResult(EvalResult):
    """An EvalResult that remembers which metrics were read."""

    __slots__ = ("names_read",)

    def __init__(self, eval_result: EvalResult):
        super().__init__(
            eval_result.metrics,
            uri=eval_result.uri,
            source=eval_result.source,
            example_count=eval_result.example_count,
            model_name=eval_result.model_name,
            slices=lambda: eval_result.slices,
        )
        self.names_read: list[str] = []

    def __getitem__(self, name: str) -> float:
        value = super().__getitem__(name)
        self.names_read.append(name)
        return value
