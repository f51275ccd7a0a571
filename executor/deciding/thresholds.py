"""The thresholds of Evaluator that a candidate does not meet, and the text about each."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from tfx_best_exporter.executor.deciding import numbers, slices
from tfx_best_exporter.executor.deciding.configured import Configured
from tfx_best_exporter.executor.deciding.eval_result import EXAMPLE_COUNT, MetricKey, SliceKey
from tfx_best_exporter.executor.deciding.known_metrics import known_direction
from tfx_best_exporter.proto import best_exporter_pb2 as pb


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """A threshold of a metric, as TFMA checks it.

    Attributes:
        lower_bound: Smallest allowed value, or change; None for no such bound.
        upper_bound: Largest allowed value, or change; None for no such bound.
        is_change: True if the bounds are for the difference between candidate and baseline.
        lower_share: Smallest allowed change as a share of the baseline's value, or None.
        upper_share: Largest allowed change as a share of the baseline's value, or None.
    """

    lower_bound: float | None = None
    upper_bound: float | None = None
    is_change: bool = False
    lower_share: float | None = None
    upper_share: float | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FailedThreshold:
    """A threshold that the candidate does not meet.

    Attributes:
        key: The metric; None if the slice is missing.
        slice_key: The slice; empty for the overall slice.
        value: Value of the metric, or its change; None if the evaluation does not have it.
        threshold: The threshold.
        other_slice_key: The slice that `slice_key` is compared with; None unless the threshold is
            for the difference between two slices.
    """

    key: MetricKey | None
    slice_key: SliceKey = ()
    value: float | None = None
    threshold: Threshold = Threshold()
    other_slice_key: SliceKey | None = None

    @property
    def explanation(self) -> str:
        """One clause with the numbers."""
        place = self._place()
        if self.key is None:
            return (
                f"the examples have no slice {_slice_text(self.slice_key)}, which has a threshold"
            )
        if self.value is None:
            return f"{self.key}{place} has a threshold, but is not in the evaluation"
        failed, bound_text, value_text = self._failed_bound(self.value)
        if self.threshold.is_change:
            change = f"the change of {self.key}{place} from the baseline is {value_text}"
            return f"{change}, {failed} {bound_text}"
        return f"{self.key} {value_text}{place} is {failed} {bound_text}"

    def _failed_bound(self, value: float) -> tuple[str, str, str]:
        """Returns words for the bound that a value does not meet, the bound, and the value."""
        threshold = self.threshold
        if threshold.lower_bound is not None and not value >= threshold.lower_bound:
            texts = numbers.apart(value, threshold.lower_bound)
            return f"{_word(value, 'below')} the lower bound of", texts[1], texts[0]
        if threshold.upper_bound is not None and not value <= threshold.upper_bound:
            texts = numbers.apart(value, threshold.upper_bound)
            return f"{_word(value, 'above')} the upper bound of", texts[1], texts[0]
        is_lower = threshold.lower_share is not None
        share = threshold.lower_share if is_lower else threshold.upper_share
        if share is None:
            return "not within", "its bounds", numbers.shown(value)
        word = f"{_word(value, 'below' if is_lower else 'above')} the"
        bound = f"{numbers.shown(100 * share)} % of the baseline's value"
        return f"{word} {'lower' if is_lower else 'upper'} bound of", bound, numbers.shown(value)

    def _place(self) -> str:
        if self.other_slice_key is not None:
            return f" on {_slice_text(self.slice_key)} less {_slice_text(self.other_slice_key)}"
        return f" on {_slice_text(self.slice_key)}" if self.slice_key else ""

    def to_proto(self) -> pb.FailedThreshold:
        """Returns the message for a decision."""
        features = dict(slices.features_of(self.slice_key))
        is_one_slice = bool(features) and self.other_slice_key is None
        return pb.FailedThreshold(
            metric="" if self.key is None else str(self.key),
            slice=pb.Slice(features=features) if is_one_slice else None,
            value=self.value,
            is_change=self.threshold.is_change,
            lower_bound=self.threshold.lower_bound,
            upper_bound=self.threshold.upper_bound,
            explanation=self.explanation,
        )


def text_of(failed: Sequence[FailedThreshold]) -> str:
    """Returns a clause about failed thresholds: the first one, and the number of the others."""
    if not failed:
        return ""
    others = len(failed) - 1
    if not others:
        return failed[0].explanation
    more = "1 more threshold is" if others == 1 else f"{others} more thresholds are"
    return f"{failed[0].explanation}, and {more} not met"


def missing_text(configured: Configured) -> str:
    """Returns the reason why Evaluator computed no blessing, and the line that changes this.

    Args:
        configured: Content of the EvalConfig as Evaluator used it.
    """
    metrics = [each for each in configured.metrics if each.name != EXAMPLE_COUNT]
    if configured.has_thresholds:
        metrics = [each for each in metrics if each.has_threshold]
        reason = (
            "Evaluator's EvalConfig has only change thresholds, which do not count without a"
            " baseline model"
        )
    else:
        reason = "Evaluator's EvalConfig has no threshold"
    known = [each for each in metrics if known_direction(each.name)]
    chosen = next(iter(known or metrics), None)
    if chosen is None:
        return f"{reason}. Add a metric with a threshold to it, or do not pass model_blessing"
    return (
        f"{reason}. Add {threshold_line(chosen.name)} to the tfma.MetricConfig of {chosen.name},"
        " with a bound of your own, or do not pass model_blessing"
    )


def threshold_line(name: str) -> str:
    """Returns the argument of tfma.MetricConfig that adds a threshold to a metric."""
    is_lower = known_direction(name) == pb.LOWER_IS_BETTER
    bound = "upper_bound" if is_lower else "lower_bound"
    return (
        "threshold=tfma.MetricThreshold(value_threshold=tfma.GenericValueThreshold("
        f"{bound}={{'value': 0.5}}))"
    )


def _word(value: float, word: str) -> str:
    """Returns a comparison in words. NaN is neither below nor above a bound."""
    return "not within" if math.isnan(value) else word


def _slice_text(slice_key: SliceKey) -> str:
    return slices.text_of(slices.features_of(slice_key)) if slice_key else "the overall slice"
