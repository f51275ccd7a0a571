"""Metrics that a caller passes as a plain mapping, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tfx_best_exporter.executor.arguments.checks import checked_number, is_encodable
from tfx_best_exporter.executor.arguments.errors import FieldTypeError, FieldValueError, within
from tfx_best_exporter.executor.deciding.metric_key import EXAMPLE_COUNT


def checked_metrics(metrics: object) -> dict[str, float]:
    """Returns metrics that were passed as a plain dictionary.

    Raises:
        See EvalResult.from_mapping; paths are relative to the dictionary.
    """
    if not isinstance(metrics, Mapping):
        raise FieldTypeError(
            "",
            f"must be a mapping of metric name to number (got {metrics!r})."
            " Pass the metrics of the model's evaluation.",
        )
    if not metrics:
        raise FieldValueError(
            "",
            f"must be a non-empty mapping (got {metrics!r})."
            " Pass the metrics of the model's evaluation.",
        )
    result = {}
    for name, value in metrics.items():
        if not isinstance(name, str):
            raise FieldTypeError(
                "",
                f"must be a mapping of metric name to number (got the name {name!r})."
                " Convert it to a str, or leave it out.",
            )
        if not is_encodable(name):
            raise FieldValueError(
                "",
                f"must have names that UTF-8 can encode (got {name!r})."
                " Rename the metric, or leave it out.",
            )
        with within(f"[{name!r}]"):
            result[name] = checked_number(value)
    count = result.get(EXAMPLE_COUNT, 0.0)
    if not 0 <= count < math.inf:
        raise FieldValueError(
            f"[{EXAMPLE_COUNT!r}]",
            "must be a number of examples, finite and 0 or larger"
            f" (got {count!r}). Leave it out if it is not known.",
        )
    return result
