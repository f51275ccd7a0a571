"""Whole numbers for messages. test_retention_policy.py covers counts and durations."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tfx_best_exporter.executor.arguments import whole_numbers
from tfx_best_exporter.executor.arguments.errors import FieldTypeError, FieldValueError


def not_a_sub_key(least: int, got: str) -> str:
    return (
        f"must be a whole number from {least} to 2147483647 (got {got})."
        " Classes start at 0; k and top_k start at 1."
    )


def not_seconds(got: str) -> str:
    return (
        f"must be a whole number of seconds, less than 2**63 (got {got})."
        " Round it, or leave it out to allow any age."
    )


@pytest.mark.parametrize(
    ("check", "value", "expected"),
    [
        pytest.param(lambda value: whole_numbers.checked_sub_key(value, 0), 0, 0, id="class 0"),
        pytest.param(
            lambda value: whole_numbers.checked_sub_key(value, 1),
            2**31 - 1,
            2**31 - 1,
            id="the largest rank",
        ),
        pytest.param(whole_numbers.checked_seconds, 60.0, 60, id="seconds as a float"),
        pytest.param(whole_numbers.checked_seconds, 2**63 - 1, 2**63 - 1, id="most seconds"),
        pytest.param(whole_numbers.checked_version, 2**63 - 1, 2**63 - 1, id="largest version"),
        pytest.param(
            lambda value: whole_numbers.checked_count_or_none(value, 7), 7, 7, id="largest count"
        ),
        pytest.param(
            lambda value: whole_numbers.checked_count_or_none(value, 7), None, None, id="no count"
        ),
        pytest.param(
            whole_numbers.checked_duration_or_none, timedelta(days=1), 86400, id="duration"
        ),
        pytest.param(whole_numbers.checked_duration_or_none, None, None, id="no duration"),
    ],
)
def test_a_valid_number(check: Callable[[Any], int | None], value: Any, expected: int | None):
    assert check(value) == expected


@pytest.mark.parametrize(
    ("value", "least", "kind", "got"),
    [
        pytest.param(0, 1, FieldValueError, "0", id="rank 0"),
        pytest.param(-1, 0, FieldValueError, "-1", id="class -1"),
        pytest.param(2**31, 0, FieldValueError, "2147483648", id="too large"),
        pytest.param(True, 0, FieldTypeError, "True", id="a bool"),
        pytest.param(1.0, 0, FieldTypeError, "1.0", id="a float"),
        pytest.param("1", 0, FieldTypeError, "'1'", id="text"),
    ],
)
def test_not_a_sub_key(value: Any, least: int, kind: type[Exception], got: str):
    with pytest.raises(kind) as caught:
        whole_numbers.checked_sub_key(value, least)
    assert str(caught.value) == not_a_sub_key(least, got)


@pytest.mark.parametrize(
    ("value", "got"), [(3.5, "3.5"), (float("inf"), "inf"), (2**63, "9223372036854775808")]
)
def test_not_seconds(value: Any, got: str):
    with pytest.raises(FieldValueError) as caught:
        whole_numbers.checked_seconds(value)
    assert str(caught.value) == not_seconds(got)


def test_a_text_is_not_seconds():
    with pytest.raises(FieldTypeError):
        whole_numbers.checked_seconds("3")
