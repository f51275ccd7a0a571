"""Rows of the ledger of challengers: made from evaluations, stored as messages, read as values."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tfx_best_exporter.executor.deciding.eval_result import EvalResult
from tfx_best_exporter.executor.deciding.ledger import Measured, Row
from tfx_best_exporter.executor.deciding.rules import MetricRule
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# A run measures at most ten models.
_MAX_MODELS = 20


def row_of(
    rule: MetricRule,
    *,
    best: tuple[str, EvalResult],
    others: Mapping[str, EvalResult | None],
    example_count: float | None,
    data: str,
    run_id: str,
    now: float,
) -> pb.LedgerRow | None:
    """Returns the row of a run; None if no model can be compared with the best.

    A model is left out if its value is not finite, or if its difference from the best has no
    standard error.

    Args:
        rule: The rule by whose metric models are measured.
        best: Digest and evaluation of the best.
        others: Evaluations of the other models by digest, each together with the best; None for a
            model that was evaluated alone.
        example_count: Number of examples; None if the evaluation does not count them. All rows of
            such an eval config then have the same weight.
        data: Identity of the examples.
        run_id: The run; empty if it is not known.
        now: Seconds since the epoch.
    """
    digest, evaluation = best
    value = evaluation.find(rule.key)
    if value is None or not math.isfinite(value.value):
        return None
    row = pb.LedgerRow(
        data=data,
        example_count=1.0 if example_count is None else example_count,
        best_digest=digest,
        models=[pb.MeasuredModel(digest=digest, value=value.value)],
        run_id=run_id,
    )
    row.measured_at.FromNanoseconds(int(now * 1e9))
    for digest, together in others.items():
        measured = None if together is None else _measured(rule, digest, together)
        if measured is not None:
            row.models.append(measured)
    return row if len(row.models) > 1 else None


def _measured(rule: MetricRule, digest: str, together: EvalResult) -> pb.MeasuredModel | None:
    value, difference = together.find(rule.key), together.difference(rule.key)
    if value is None or difference is None or not math.isfinite(value.value):
        return None
    error = difference.standard_error
    if error is None or not 0 <= error < math.inf:
        return None
    return pb.MeasuredModel(
        digest=digest,
        value=value.value,
        standard_error=error,
        degrees_of_freedom=difference.degrees_of_freedom,
    )


def to_row(message: pb.LedgerRow, direction: pb.MetricDirection) -> Row:
    """Returns a row as a value, in which larger values are better."""
    sign = 1.0 if direction == pb.HIGHER_IS_BETTER else -1.0
    return Row(
        data=message.data,
        example_count=message.example_count,
        best=message.best_digest,
        models={
            each.digest: Measured(
                value=sign * each.value,
                standard_error=each.standard_error if each.HasField("standard_error") else None,
                degrees_of_freedom=(
                    each.degrees_of_freedom if each.HasField("degrees_of_freedom") else math.inf
                ),
            )
            for each in message.models[:_MAX_MODELS]
        },
    )


def settled(ledger: pb.ChallengerLedger, row: pb.LedgerRow) -> pb.LedgerRow:
    """Returns the row of a run, with the values of its first attempt if the run is retried.

    Beam sums in another order each time, so values of a retried run differ by their rounding.

    Args:
        ledger: The ledger before the run.
        row: The row as the run measured it.
    """
    earlier = _same(ledger, row)
    if earlier is None or not row.run_id or earlier.run_id != row.run_id:
        return row
    known = {each.digest: each for each in earlier.models}
    if any(each.digest not in known for each in row.models):
        return row
    result = pb.LedgerRow()
    result.CopyFrom(earlier)
    del result.models[:]
    result.models.extend(known[each.digest] for each in row.models)
    return result


def with_row(ledger: pb.ChallengerLedger, row: pb.LedgerRow) -> pb.ChallengerLedger:
    """Returns a ledger with the row of a run.

    A row of the same data and the same best takes the place of the earlier one, and keeps the
    values of models that were not measured again.
    """
    result = pb.ChallengerLedger()
    result.CopyFrom(ledger)
    earlier = _same(result, row)
    if earlier is None:
        result.rows.append(row)
        return result
    merged = pb.LedgerRow()
    merged.CopyFrom(row)
    known = {each.digest for each in row.models}
    merged.models.extend(each for each in earlier.models if each.digest not in known)
    del merged.models[_MAX_MODELS:]
    result.rows.remove(earlier)
    result.rows.append(merged)
    return result


def _same(ledger: pb.ChallengerLedger, row: pb.LedgerRow) -> pb.LedgerRow | None:
    """Returns the row of a ledger with the same data and the same best, or None."""
    for each in ledger.rows:
        if each.data == row.data and each.best_digest == row.best_digest:
            return each
    return None
