import math

import pytest

from tfx_best_exporter.executor.deciding import numbers

NAN = math.nan


@pytest.mark.parametrize(
    ("first", "second", "texts"),
    [
        (0.9, 0.8, ("0.9", "0.8")),
        (0.9, 0.9, ("0.9", "0.9")),
        (0.95123412, 0.9512345, ("0.9512341", "0.9512345")),
        (9_999_999.0, 10_000_000.0, ("9999999", "1e+07")),
        (0.3, math.nextafter(0.3, 1), ("0.3", "0.30000000000000004")),
        (NAN, 0.5, ("nan", "0.5")),
        (NAN, NAN, ("nan", "nan")),
        (math.inf, -math.inf, ("inf", "-inf")),
    ],
)
def test_numbers_that_differ_are_shown_to(first: float, second: float, texts: tuple[str, str]):
    assert numbers.apart(first, second) == texts


@pytest.mark.parametrize(
    ("value", "beside", "text"),
    [
        pytest.param(0, [], "0", id="none"),
        pytest.param(999, [1000], "999", id="whole"),
        pytest.param(1_000_000.0, [], "1,000,000", id="in groups of three digits"),
        pytest.param(999_999, [1_000_000], "999,999", id="one less"),
        pytest.param(1e15 - 1, [1e15], "999,999,999,999,999", id="many"),
        pytest.param(1e15, [], "1e+15", id="more than has all its digits"),
        pytest.param(1e300, [], "1e+300", id="more than anybody has"),
        pytest.param(0.5, [], "0.5", id="a weight"),
        pytest.param(12345.678, [], "12345.7", id="weights"),
        pytest.param(999.9999999, [1000], "999.9999999", id="weights, beside nearly the same"),
        pytest.param(1_234_567.5, [2e6], "1,234,568", id="many weights"),
        pytest.param(1_234_567.5, [1_234_567.5], "1,234,568", id="beside the same"),
        pytest.param(1_234_567.5, [1_234_568], "1234567.5", id="many, beside nearly the same"),
        pytest.param(1_234_567.5, [1_234_567.6], "1234567.5", id="both with weights"),
        pytest.param(123_456.7, [], "123,457", id="as many as are shown"),
        pytest.param(999_999.75, [], "1,000,000", id="nearly a million"),
        pytest.param(999_999.75, [1_000_000], "999999.8", id="nearly a million, beside it"),
        pytest.param(NAN, [1000], "nan", id="NaN"),
        pytest.param(1000, [NAN, math.inf], "1,000", id="beside NaN"),
        pytest.param(1_234_567.5, [NAN, math.inf], "1,234,568", id="weights beside NaN"),
        pytest.param(math.inf, [], "inf", id="infinite"),
        pytest.param(-math.inf, [], "-inf", id="less than infinite"),
    ],
)
def test_count(value: float, beside: list[float], text: str):
    assert numbers.count(value, *beside) == text
