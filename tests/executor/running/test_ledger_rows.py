import math
from typing import Any

import pytest

from tests.executor.running.challenged import KEY, evaluated
from tfx_best_exporter.executor.deciding.eval_result import EvalResult, MetricValue
from tfx_best_exporter.executor.deciding.ledger import Measured
from tfx_best_exporter.executor.deciding.rules import MetricRule
from tfx_best_exporter.executor.running import ledger_rows
from tfx_best_exporter.proto import best_exporter_pb2 as pb

RULE = MetricRule(key=KEY, direction=pb.HIGHER_IS_BETTER)
NAN = math.nan


def row_of(best: float = 0.9, count: float | None = 2000, **others: Any) -> pb.LedgerRow | None:
    return ledger_rows.row_of(
        RULE,
        best=("best", evaluated(best)),
        others=others,
        example_count=count,
        data="monday",
        run_id="run-1",
        now=5.0,
    )


def stored(data: str = "monday", best: str = "b", run_id: str = "1", **values: float):
    models = [
        pb.MeasuredModel(digest=name, value=value, standard_error=None if name == best else 0.1)
        for name, value in values.items()
    ]
    return pb.LedgerRow(data=data, best_digest=best, run_id=run_id, models=models)


def values_of(row: pb.LedgerRow) -> dict[str, float]:
    return {each.digest: each.value for each in row.models}


def test_row_has_the_values_and_the_errors_of_the_differences():
    row = row_of(x=evaluated(0.91, best=0.9, error=0.004))
    assert row is not None
    assert (row.data, row.example_count, row.best_digest) == ("monday", 2000, "best")
    assert row.measured_at.ToSeconds() == 5
    best, model = row.models
    assert (best.digest, best.value, best.HasField("standard_error")) == ("best", 0.9, False)
    assert (model.value, model.standard_error, model.degrees_of_freedom) == (0.91, 0.004, 19)


@pytest.mark.parametrize(
    "model",
    [
        None,
        evaluated(0.91),
        evaluated(NAN, best=0.9),
        evaluated(math.inf, best=0.9),
        evaluated(0.91, best=0.9, error=None),
        evaluated(0.91, best=0.9, error=NAN),
        EvalResult({}, differences={KEY: MetricValue(value=0.01, standard_error=0.1)}),
    ],
    ids=["alone", "no difference", "NaN", "infinite", "no error", "NaN error", "no metric"],
)
def test_model_that_cannot_be_compared_is_left_out(model: EvalResult | None):
    assert row_of(x=model) is None
    row = row_of(x=model, y=evaluated(0.92, best=0.9))
    assert row is not None
    assert values_of(row) == {"best": 0.9, "y": 0.92}


def test_best_without_a_value_has_no_row():
    assert row_of(best=NAN, x=evaluated(0.91, best=0.9)) is None


def test_examples_that_are_not_counted_have_the_same_weight():
    row = row_of(count=None, x=evaluated(0.91, best=0.9))
    assert row is not None
    assert row.example_count == 1


@pytest.mark.parametrize(
    ("direction", "sign"), [(pb.HIGHER_IS_BETTER, 1.0), (pb.LOWER_IS_BETTER, -1.0)]
)
def test_larger_values_of_a_row_are_better(direction: pb.MetricDirection, sign: float):
    row = ledger_rows.to_row(stored(b=0.9, x=0.91), direction)
    assert row.models == {
        "b": Measured(value=sign * 0.9),
        "x": Measured(value=sign * 0.91, standard_error=0.1),
    }


def test_row_of_too_many_models_is_cut():
    row = stored(b=0.9)
    row.models.extend(pb.MeasuredModel(digest=f"m{number}", value=0.9) for number in range(1000))
    assert len(ledger_rows.to_row(row, pb.HIGHER_IS_BETTER).models) == 20


def test_retried_run_has_the_values_of_its_first_attempt():
    ledger = pb.ChallengerLedger(rows=[stored(b=0.9, x=0.91, y=0.92)])
    again = ledger_rows.settled(ledger, stored(b=0.9, x=0.91 + 1e-9))
    assert values_of(again) == {"b": 0.9, "x": 0.91}


@pytest.mark.parametrize(
    "row",
    [
        stored(b=0.8, x=0.81, run_id="2"),
        stored(b=0.8, x=0.81, run_id=""),
        stored(b=0.8, x=0.81, data="tuesday"),
        stored(b=0.8, x=0.81, best="x"),
        stored(b=0.8, x=0.81, z=0.82),
    ],
    ids=["another run", "unknown run", "other data", "another best", "another model"],
)
def test_other_run_has_its_own_values(row: pb.LedgerRow):
    ledger = pb.ChallengerLedger(rows=[stored(b=0.9, x=0.91, y=0.92)])
    assert ledger_rows.settled(ledger, row) == row


def test_row_of_the_same_data_is_replaced_and_keeps_the_other_models():
    ledger = pb.ChallengerLedger(rows=[stored(b=0.9, x=0.91), stored("tuesday", b=0.8, x=0.81)])
    found = ledger_rows.with_row(ledger, stored(b=0.9, y=0.93, run_id="3"))
    assert [row.data for row in found.rows] == ["tuesday", "monday"]
    assert values_of(found.rows[-1]) == {"b": 0.9, "y": 0.93, "x": 0.91}
    assert len(ledger.rows[0].models) == 2


def test_row_of_another_best_is_added():
    ledger = pb.ChallengerLedger(rows=[stored(b=0.9, x=0.91)])
    found = ledger_rows.with_row(ledger, stored(best="x", x=0.91, y=0.9))
    assert [row.best_digest for row in found.rows] == ["b", "x"]
