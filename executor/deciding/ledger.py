"""The ledger of challengers: the values of several models on the examples of each run."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The value of a model in one run.

    Attributes:
        value: Value of the metric, with the sign changed if lower is better: larger is better.
        standard_error: Standard error of the difference from the run's best; None if it is not
            known, and for the best itself.
        degrees_of_freedom: Degrees of freedom of the standard error; infinite if the error is
            exact.
    """

    value: float
    standard_error: float | None = None
    degrees_of_freedom: float = math.inf

    @property
    def has_error(self) -> bool:
        """True if the standard error and its degrees of freedom can be used."""
        error = self.standard_error
        return error is not None and 0 <= error < math.inf and self.degrees_of_freedom > 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The values of several models on the same examples.

    Attributes:
        data: Identity of the examples. Rows with the same identity are one measurement.
        example_count: Number of examples.
        best: Digest of the model that was the best of the run.
        models: Values by the digest of the model, including the best.
    """

    data: str
    example_count: float
    best: str
    models: Mapping[str, Measured]

    @property
    def is_usable(self) -> bool:
        """True if all values are finite and all differences from the best have a standard error."""
        return (
            0 < self.example_count < math.inf
            and self.best in self.models
            and all(math.isfinite(each.value) for each in self.models.values())
            and all(each.has_error for digest, each in self.models.items() if digest != self.best)
        )


def merged(rows: Iterable[Row]) -> list[Row]:
    """Returns one row for each data, at the place of the last row on these data.

    A run that is retried, or that evaluates on the examples of an earlier run, measures the same
    noise again. Its values replace the earlier ones and do not count twice.

    Args:
        rows: Rows in the order of the runs.
    """
    by_data: dict[str, Row] = {}
    for row in rows:
        earlier = by_data.pop(row.data, None)
        if earlier is not None:
            models = {**earlier.models}
            for digest, measured in row.models.items():
                models[digest] = _with_error_of(measured, models.get(digest))
            row = dataclasses.replace(row, models=models)
        by_data[row.data] = row
    return [*by_data.values()]


def _with_error_of(measured: Measured, earlier: Measured | None) -> Measured:
    """Returns a new value; a best that was a candidate before keeps the error of that time."""
    if measured.has_error or earlier is None or not earlier.has_error:
        return measured
    return dataclasses.replace(earlier, value=measured.value)
