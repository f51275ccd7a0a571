import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_best_exporter.executor.reports import charts
from tfx_best_exporter.executor.reports.charts import Mark, Scale

NAN, INF = math.nan, math.inf
UNIT = Scale(low=0.0, high=1.0)


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        pytest.param([0.9, 0.95, 0.8], 0.8, 0.95, id="smallest and largest"),
        pytest.param([None, 0.9, NAN, INF, -INF, 0.8], 0.8, 0.9, id="only finite ones"),
        pytest.param([2.0], 1.9, 2.1, id="one value has room around it"),
        pytest.param([-2.0, -2.0], -2.1, -1.9, id="equal values"),
        pytest.param([0.0], -1.0, 1.0, id="zero"),
        pytest.param([1e16, 1e16 + 2], 0.95e16, 1.05e16, id="too close to draw apart"),
    ],
)
def test_scale_has_room_for_all_values(values: list[float | None], low: float, high: float):
    scale = charts.scale_of(values)
    assert scale is not None
    assert (scale.low, scale.high) == pytest.approx((low, high))


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([], id="nothing"),
        pytest.param([None, NAN, INF], id="nothing finite"),
        pytest.param([-1.7e308, 1.7e308], id="too far apart"),
        pytest.param([1.79e308], id="no room above"),
        pytest.param([0.0, 5e-324], id="too close"),
    ],
)
def test_no_scale(values: list[float | None]):
    assert charts.scale_of(values) is None


@pytest.mark.parametrize(
    ("value", "place"),
    [(0.0, 4.0), (0.5, 50.0), (1.0, 96.0), (-3.0, 4.0), (INF, 96.0)],
)
def test_place_of_a_value(value: float, place: float):
    assert UNIT.at(value) == place


@pytest.mark.parametrize(
    ("value", "lower", "upper", "mark"),
    [
        pytest.param(0.5, None, None, Mark(at=50), id="no interval"),
        pytest.param(0.5, 0.25, None, Mark(at=50), id="half an interval"),
        pytest.param(0.5, NAN, 0.75, Mark(at=50), id="a bound that is NaN"),
        pytest.param(
            0.5,
            0.25,
            0.75,
            Mark(at=50, low=27, high=73, has_low_cap=True, has_high_cap=True),
            id="interval",
        ),
        pytest.param(
            0.5, -INF, 0.75, Mark(at=50, low=0, high=73, has_high_cap=True), id="open interval"
        ),
        pytest.param(NAN, 0.25, 0.75, None, id="NaN"),
        pytest.param(INF, 0.25, 0.75, None, id="infinite"),
    ],
)
def test_mark(value: float, lower: float | None, upper: float | None, mark: Mark | None):
    assert UNIT.mark(value, lower, upper) == mark


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0.0, 1.0, ["0", "0.25", "0.5", "0.75", "1"]),
        (0.922, 0.958, ["0.93", "0.94", "0.95"]),
        (-3.0, 7.0, ["-2.5", "0", "2.5", "5"]),
        (1e6, 1e6 + 0.4, ["1000000", "1000000.1", "1000000.2", "1000000.3", "1000000.4"]),
        (0.0, 4e-9, ["0", "1e-09", "2e-09", "3e-09", "4e-09"]),
        # Neighbors would have the same label.
        (1e15, 1e15 + 2, []),
    ],
)
def test_ticks_are_round(low: float, high: float, labels: list[str]):
    assert [tick.label for tick in Scale(low=low, high=high).ticks()] == labels


@given(st.lists(st.floats() | st.none(), min_size=1))
def test_whatever_the_values_marks_are_on_the_chart(values: list[float | None]):
    scale = charts.scale_of(values)
    if scale is None:
        return
    ticks = scale.ticks()
    assert len(ticks) <= 6
    assert len({tick.label for tick in ticks}) == len(ticks)
    places = [tick.at for tick in ticks]
    for value in values:
        mark = None if value is None else scale.mark(value, value, value)
        if mark is not None:
            assert value is not None
            assert math.isfinite(value)
            places.append(mark.at)
    assert all(4 <= place <= 96 for place in places)
