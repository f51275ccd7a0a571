"""Confidence intervals for the changes of a metric on slices, to separate changes from noise."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Sequence

from tfx_best_exporter.executor.deciding import significance
from tfx_best_exporter.executor.deciding.eval_result import EvalResult, MetricKey, SliceKey
from tfx_best_exporter.executor.deciding.models import Observation
from tfx_best_exporter.executor.deciding.policy import Policy
from tfx_best_exporter.executor.deciding.significance import MissingIntervalError
from tfx_best_exporter.executor.deciding.slices import Features, SliceChange, features_of

# Chance that any interval of a decision misses its true improvement.
ALPHA = 0.05


def with_intervals(
    changes: Sequence[SliceChange], observation: Observation, policy: Policy, slice_count: int
) -> list[SliceChange]:
    """Returns changes with the confidence intervals of their improvements.

    All intervals together hold at 1 - ALPHA: each one has the share 1 / slice_count of the error
    (Bonferroni). The reported slices are those that changed most, so intervals for one slice at a
    time would call noise a change on every large evaluation.

    Args:
        changes: Changes of the rule's first metric. A change without an interval in one of the
            evaluations is returned as it is.
        observation: Candidate and best.
        policy: Definition of "better".
        slice_count: Number of slices that the changes were chosen from.
    """
    candidate, best = observation.candidate.eval_result, observation.best
    leading = policy.for_candidate(candidate.model_name).rule.leading
    if best is None or best.eval_result is None or leading is None:
        return [*changes]
    features = {change.slice for change in changes}
    sides = [
        {} if each is None else _on_slices(each, features)
        for each in (candidate, best.eval_result, best.together)
    ]
    return [_with_interval(change, leading.key, sides, slice_count) for change in changes]


def _on_slices(
    eval_result: EvalResult, features: Collection[Features]
) -> dict[Features, EvalResult]:
    """Returns the evaluation of some slices; a slice that it lacks is left out."""
    slices = eval_result.slices
    found: dict[Features, SliceKey] = {}
    for slice_key in slices:
        slice_features = features_of(slice_key)
        if slice_features in features:
            found[slice_features] = slice_key
    return {each: slices[slice_key] for each, slice_key in found.items()}


def _with_interval(
    change: SliceChange,
    key: MetricKey,
    sides: Sequence[dict[Features, EvalResult]],
    slice_count: int,
) -> SliceChange:
    candidate, best, together = (side.get(change.slice) for side in sides)
    if candidate is None or best is None or not math.isfinite(change.improvement):
        return change
    try:
        test = significance.significance_of(
            change.improvement,
            key=key,
            candidate=candidate,
            best=best,
            together=together,
            # Two-sided, so half of the error is on each side.
            alpha=ALPHA / (2 * slice_count),
        )
    except MissingIntervalError:
        return change
    return dataclasses.replace(
        change,
        improvement_lower_bound=test.lower_bound,
        improvement_upper_bound=2 * change.improvement - test.lower_bound,
    )
