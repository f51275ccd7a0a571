"""An old best loses to a candidate that is not worse by more than a margin."""

from __future__ import annotations

import dataclasses
import math

from tfx_best_exporter.executor.deciding import numbers, significance
from tfx_best_exporter.executor.deciding.models import Best, Candidate, Compared
from tfx_best_exporter.executor.deciding.policy import Policy
from tfx_best_exporter.executor.deciding.rules import Comparison, MetricRule, Outcome
from tfx_best_exporter.executor.deciding.significance import MissingIntervalError, SignificanceTest
from tfx_best_exporter.proto import best_exporter_pb2 as pb

_WORSE_OR_EQUAL = (Outcome.NOT_BETTER, Outcome.TIE, Outcome.NOT_SIGNIFICANT)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OldBest:
    """A best that is older than the policy allows, and a candidate that is not better.

    Attributes:
        is_replaced: True if the candidate is not worse by more than the margin.
        explanation: One clause, with the numbers.
    """

    is_replaced: bool
    explanation: str


def old_best_of(
    candidate: Candidate, best: Best, compared: Compared, policy: Policy, now: float
) -> OldBest | None:
    """Returns the result for a best that is too old; None if its age does not matter.

    The age does not matter if it is not known or not above the limit, if the candidate is better,
    or if the models were not compared by a metric.

    Args:
        candidate: The candidate.
        best: The best.
        compared: Results of the rule.
        policy: The policy, returned by `Policy.for_candidate`.
        now: Seconds since the epoch.
    """
    limit, rule = policy.max_best_age_seconds, policy.rule.leading
    if not limit or rule is None or compared.known_best is None:
        return None
    if compared.verdict.outcome not in _WORSE_OR_EQUAL:
        return None
    if best.record is None or not best.record.HasField("exported_at"):
        return None
    age_seconds = now - numbers.seconds_of(best.record.exported_at)
    if age_seconds <= limit:
        return None
    age, most = numbers.durations(age_seconds, limit)
    is_old = (
        f"the best (version {best.version}) was exported {age} ago, more than the maximum of {most}"
    )
    comparison = compared.verdict.comparisons[0]
    value, best_value, improvement = comparison.candidate, comparison.best, comparison.improvement
    if value is None or best_value is None or improvement is None or math.isnan(improvement):
        return None
    test = None
    if rule.alpha is not None and math.isfinite(improvement):
        try:
            test = significance.significance_of(
                improvement,
                key=rule.key,
                candidate=candidate.eval_result,
                best=compared.known_best,
                together=best.together,
                alpha=rule.alpha,
                required=-policy.old_best_margin,
            )
        except MissingIntervalError:
            return OldBest(
                is_replaced=False,
                explanation=(
                    f"{is_old}, but without confidence intervals it is not known how much worse"
                    f" {rule.key} may be"
                ),
            )
        is_replaced = test.is_significant
    else:
        rounding = numbers.rounding_of(value, best_value)
        is_replaced = improvement >= -policy.old_best_margin - rounding
    clause = _clause(rule, comparison, policy.old_best_margin, test, is_replaced=is_replaced)
    link = "and" if is_replaced else "but"
    return OldBest(is_replaced=is_replaced, explanation=f"{is_old}, {link} {clause}")


def _clause(
    rule: MetricRule,
    comparison: Comparison,
    margin: float,
    test: SignificanceTest | None,
    *,
    is_replaced: bool,
) -> str:
    value, best_value = comparison.candidate or 0.0, comparison.best or 0.0
    pair = f"worse than the best's {numbers.shown(best_value, value)} by more than"
    verb = "is not" if is_replaced else "is" if test is None else "may be"
    clause = f"{rule.key} {numbers.shown(value, best_value)} {verb} {pair} {numbers.shown(margin)}"
    if test is None:
        return clause
    improvement = comparison.improvement or 0.0
    kind = "paired" if test.method == pb.SignificanceTest.PAIRED else "unpaired"
    return (
        f"{clause}: the {numbers.confidence(test.alpha)} lower bound of the improvement of"
        f" {numbers.shown(improvement, test.lower_bound, -margin)} is"
        f" {numbers.shown(test.lower_bound, improvement, -margin)} ({kind} test)"
    )
