"""Matching and comparison of the slices of two evaluations."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterable, Mapping

from tfx_best_exporter.executor.deciding.eval_result import EvalResult, MetricKey, SliceKey
from tfx_best_exporter.executor.deciding.metrics import improvement_of

# Features of a slice with their values as text; empty for the overall slice.
Features = tuple[tuple[str, str], ...]


def by_features(slice_keys: Iterable[SliceKey]) -> dict[Features, SliceKey]:
    """Returns slices by their features, ordered by these.

    Raises:
        ValueError: Two slices have the same features.
    """
    pairs = [(features_of(slice_key), slice_key) for slice_key in slice_keys]
    found = dict(sorted(pairs, key=lambda pair: pair[0]))
    if len(found) < len(pairs):
        twice = next(each for each, slice_key in pairs if found[each] != slice_key)
        raise ValueError(
            f"slices must differ in the texts of their features (got {text_of(twice)} twice)."
            " Use one type for all values of the feature."
        )
    return found


def features_of(slice_key: SliceKey) -> Features:
    """Returns the sorted features of a slice, with numbers as text and other bytes escaped."""
    return tuple(sorted([(column, _text_of_value(value)) for column, value in slice_key]))


def _text_of_value(value: str | int | float | bytes) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="backslashreplace")
    return str(value)


def matched(
    values: Mapping[SliceKey, float], slice_keys: Collection[SliceKey]
) -> Mapping[SliceKey, float]:
    """Returns values of another evaluation by the keys that the slices have in this one.

    Evaluations may have numbers as text, or columns in another order.

    Raises:
        ValueError: Two of the other evaluation's slices have the same features.
    """
    if values.keys() >= {*slice_keys}:
        return values
    by_text = by_features(values)
    found = ((slice_key, by_text.get(features_of(slice_key))) for slice_key in slice_keys)
    return {slice_key: values[other] for slice_key, other in found if other is not None}


def text_of(features: Features) -> str:
    """Returns a slice as text, for example "country=nl, device=phone"."""
    return ", ".join(f"{column}={value}" for column, value in features) or "the overall slice"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SliceChange:
    """The change of a metric on one slice; the fields of pb.SliceChange."""

    slice: Features
    metric: str
    candidate: float
    best: float
    improvement: float
    example_count: float | None
    improvement_lower_bound: float | None = None
    improvement_upper_bound: float | None = None


def slice_changes(
    key: MetricKey, direction: int, *, candidate: EvalResult, best: EvalResult
) -> list[SliceChange]:
    """Returns the changes of a metric on the slices of both evaluations, the worst first."""
    values = candidate.slice_values(key)
    # The best's slices are read from a file, which is skipped if there is nothing to compare.
    if not values:
        return []
    best_values = matched(best.slice_values(key), values)
    example_counts = candidate.slice_example_counts()
    changes = []
    for features, slice_key in by_features(values).items():
        value, best_value = values[slice_key], best_values.get(slice_key)
        if best_value is None:
            continue
        changes.append(
            SliceChange(
                slice=features,
                metric=str(key),
                candidate=value,
                best=best_value,
                improvement=improvement_of(value, best_value, direction),
                example_count=example_counts[slice_key],
            )
        )
    return sorted(changes, key=lambda change: (_rank(change), change.slice))


def _rank(change: SliceChange) -> float:
    """Returns the number that orders slices: the improvement, or a substitute for NaN."""
    if not math.isnan(change.improvement):
        return change.improvement
    if math.isnan(change.candidate) == math.isnan(change.best):
        # Two NaN values, or two equal infinities, are no change.
        return 0.0
    # A value that has become NaN is the worst change.
    return -math.inf if math.isnan(change.candidate) else math.inf
