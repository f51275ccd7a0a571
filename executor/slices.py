"""Slices of two evaluations beside each other."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from tfx_best_exporter.executor.eval_result import EvalResult, MetricKey, SliceKey
from tfx_best_exporter.executor.rules import improvement_of

# A slice as its features' values, numbers as text; the overall slice has none.
Features = tuple[tuple[str, str], ...]


def by_features(slices: Mapping[SliceKey, EvalResult]) -> dict[Features, EvalResult]:
    """Returns slices by their features, numbers as text, in order of the features."""
    found = {
        tuple(sorted((column, str(value)) for column, value in key)): result
        for key, result in slices.items()
    }
    return dict(sorted(found.items(), key=lambda item: item[0]))


def text_of(features: Features) -> str:
    """Returns a slice as people write it, for example "country=nl, device=phone"."""
    return ", ".join(f"{column}={value}" for column, value in features) or "the overall slice"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SliceChange:
    """How a metric changed on one slice; the fields of pb.SliceChange."""

    slice: Features
    metric: str
    candidate: float
    best: float
    improvement: float
    example_count: float | None


def slice_changes(
    key: MetricKey, direction: int, *, candidate: EvalResult, best: EvalResult
) -> list[SliceChange]:
    """Returns how a metric changed on each slice that both have, the worst first."""
    # The best's lie in a file: they are read only where there are some to compare with.
    if not candidate.slices:
        return []
    best_slices = by_features(best.slices)
    changes = []
    for features, result in by_features(candidate.slices).items():
        other = best_slices.get(features)
        value, best_value = result.find(key), None if other is None else other.find(key)
        if value is None or best_value is None:
            continue
        improvement = improvement_of(value.value, best_value.value, direction)
        if not math.isnan(improvement):
            changes.append(
                SliceChange(
                    slice=features,
                    metric=str(key),
                    candidate=value.value,
                    best=best_value.value,
                    improvement=improvement,
                    example_count=result.example_count,
                )
            )
    return sorted(changes, key=lambda change: (change.improvement, change.slice))
