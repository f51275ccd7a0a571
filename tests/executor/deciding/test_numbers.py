import math

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from tfx_best_exporter.executor.deciding import numbers

NAN = math.nan
HOUR, DAY = 3600, 86400


@pytest.mark.parametrize(
    ("first", "second", "texts"),
    [
        (0.9, 0.8, ("0.9", "0.8")),
        (0.9, 0.9, ("0.9", "0.9")),
        (0.95123412, 0.9512345, ("0.9512341", "0.9512345")),
        (9_999_999.0, 10_000_000.0, ("9999999", "1e+07")),
        (0.3, math.nextafter(0.3, 1), ("0.3", "0.30000000000000004")),
        (0.737837, 0.946436, ("0.7378", "0.9464")),
        (0.73783, 0.73779, ("0.73783", "0.73779")),
        (-0.0, 1.0, ("0", "1")),
        (NAN, 0.5, ("NaN", "0.5")),
        (NAN, NAN, ("NaN", "NaN")),
        (math.inf, -math.inf, ("inf", "-inf")),
    ],
)
def test_numbers_that_differ_are_shown_to(first: float, second: float, texts: tuple[str, str]):
    assert numbers.apart(first, second) == texts


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1 + 0.2, "0.3"),
        (0.737837, "0.7378"),
        (0.00001234567, "1.235e-05"),
        (1234.5678, "1235"),
        (9999.96, "10000"),
        (123_456.7, "123457"),
        (999_999.4, "999999"),
        (999_999.5, "1e+06"),
        (-1_234_567.0, "-1.235e+06"),
    ],
)
def test_one_number(value: float, text: str):
    assert numbers.shown(value) == text


@pytest.mark.parametrize(
    ("value", "best", "required", "texts"),
    [
        pytest.param(0.9021, 0.9, 0.002, ("0.9021", "0.9", "0.002"), id="four digits show it"),
        pytest.param(0.90204, 0.9, 0.002, ("0.90204", "0.9", "0.002"), id="just more"),
        pytest.param(
            0.901563, 0.899546, 0.00202, ("0.90156", "0.89955", "0.00202"), id="just less"
        ),
        pytest.param(0.902, 0.9, 0.002, ("0.902", "0.9", "0.002"), id="equal but for rounding"),
        pytest.param(
            0.21, 0.2, 0.0099998, ("0.21", "0.2", "0.0099998"), id="the digits are the required's"
        ),
        pytest.param(0.90204, 0.9, 0.0, ("0.902", "0.9", "0"), id="nothing is required"),
        pytest.param(1.0, 0.49999999, 0.5, ("1", "0.49999999", "0.5"), id="digits of the best"),
        pytest.param(math.inf, 0.9, 0.002, ("inf", "0.9", "0.002"), id="infinite"),
        pytest.param(0.9, NAN, 0.002, ("0.9", "NaN", "0.002"), id="NaN"),
    ],
)
def test_numbers_with_a_required_difference(
    value: float, best: float, required: float, texts: tuple[str, str, str]
):
    assert numbers.compared(value, best, required) == texts


@pytest.mark.parametrize(
    ("seconds", "limit", "texts"),
    [
        pytest.param(31 * DAY, 30 * DAY, ("31 days", "30 days"), id="days"),
        pytest.param(2.5 * DAY, 2 * DAY, ("2.5 days", "2 days"), id="two days"),
        pytest.param(30 * DAY + 9, 30 * DAY, ("30.0001 days", "30 days"), id="just more"),
        pytest.param(5000 * DAY, 30 * DAY, ("5,000 days", "30 days"), id="many days"),
        pytest.param(50 * HOUR, 36 * HOUR, ("50 hours", "36 hours"), id="hours"),
        pytest.param(3 * HOUR, 7199, ("10,800 seconds", "7,199 seconds"), id="seconds"),
        pytest.param(100.5, 100, ("100.5 seconds", "100 seconds"), id="part of a second"),
    ],
)
def test_durations(seconds: float, limit: float, texts: tuple[str, str]):
    assert numbers.durations(seconds, limit) == texts


@pytest.mark.parametrize(
    ("alpha", "text"),
    [
        (0.05, "95 %"),
        (0.001, "99.9 %"),
        (0.3, "70 %"),
        (0.0123456789, "98.765 %"),
        (1e-9, "99.9999999 %"),
        (6e-8, "99.999994 %"),
        (1e-30, "more than 99.9999999999 %"),
        (0.9999999, "0.00001 %"),
        (0.0, "100 %"),
        (NAN, "NaN %"),
    ],
)
def test_confidence(alpha: float, text: str):
    assert numbers.confidence(alpha) == text


@pytest.mark.parametrize(
    ("value", "beside", "text"),
    [
        pytest.param(0, [], "0", id="none"),
        pytest.param(999, [1000], "999", id="whole"),
        pytest.param(1_000_000.0, [], "1,000,000", id="in groups of three digits"),
        pytest.param(999_999, [1_000_000], "999,999", id="one less"),
        pytest.param(1e15 - 1, [1e15], "999,999,999,999,999", id="many"),
        pytest.param(1e15, [], "1e+15", id="more digits than a float has"),
        pytest.param(1e300, [], "1e+300", id="more than any data set has"),
        pytest.param(0.5, [], "0.5", id="a weight"),
        pytest.param(123.4567, [], "123.5", id="weights"),
        pytest.param(999.9999999, [1000], "999.9999999", id="weights, beside nearly the same"),
        pytest.param(1_234_567.5, [2e6], "1,234,568", id="many weights"),
        pytest.param(1_234_567.5, [1_234_567.5], "1,234,568", id="beside the same"),
        pytest.param(1_234_567.5, [1_234_568], "1234567.5", id="many, beside nearly the same"),
        pytest.param(1_234_567.5, [1_234_567.6], "1234567.5", id="both with weights"),
        pytest.param(1_234.5678, [], "1,235", id="as many as are shown"),
        pytest.param(123_456.7, [], "123,457", id="more than are shown"),
        pytest.param(999_999.75, [], "1,000,000", id="nearly a million"),
        pytest.param(999_999.75, [1_000_000], "999999.8", id="nearly a million, beside it"),
        pytest.param(NAN, [1000], "NaN", id="NaN"),
        pytest.param(1000, [NAN, math.inf], "1,000", id="beside NaN"),
        pytest.param(1_234_567.5, [NAN, math.inf], "1,234,568", id="weights beside NaN"),
        pytest.param(math.inf, [], "inf", id="infinite"),
        pytest.param(-math.inf, [], "-inf", id="less than infinite"),
    ],
)
def test_count(value: float, beside: list[float], text: str):
    assert numbers.count(value, *beside) == text


def test_times():
    assert numbers.time_of(1732240000.0) == "2024-11-22 01:46 UTC"
    assert numbers.seconds_of(Timestamp(seconds=5, nanos=250_000_000)) == 5.25
