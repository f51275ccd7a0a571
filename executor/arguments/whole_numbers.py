"""Checks of whole numbers that are stored in a message.

Errors have an empty path: the caller adds the argument's name with `errors.within`.
"""

from __future__ import annotations

import numbers
from datetime import timedelta

from tfx_best_exporter.executor.arguments.checks import described, integer_of, is_list, is_number
from tfx_best_exporter.executor.arguments.errors import FieldTypeError, FieldValueError, within

LARGEST_INT32 = 2**31 - 1
LARGEST_INT64 = 2**63 - 1
_LEAVE_IT_OUT = "Leave it out if you do not need this rule."


def checked_sub_key(value: object, least: int) -> int:
    """Returns the number of a class, or a rank.

    Args:
        value: Any integer, including integers of numpy, but no bool.
        least: Smallest valid number.

    Raises:
        FieldTypeError: The value is not an integer.
        FieldValueError: The value is too small or too large.
    """
    text = (
        f"must be a whole number from {least} to {LARGEST_INT32} (got {described(value)})."
        " Classes start at 0; k and top_k start at 1."
    )
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise FieldTypeError("", text)
    if not least <= int(value) <= LARGEST_INT32:
        raise FieldValueError("", text)
    return int(value)


def checked_seconds(value: object) -> int:
    """Returns whole seconds, which may be negative.

    Args:
        value: Any real number, including numbers of numpy, but no bool. A float is valid because
            timedelta.total_seconds() returns one.

    Raises:
        FieldTypeError: The value is not a number.
        FieldValueError: The value is not whole, or does not fit into an int64.
    """
    whole = integer_of(value)
    if whole is None or abs(whole) > LARGEST_INT64:
        raise FieldValueError(
            "",
            f"must be a whole number of seconds, less than 2**63 (got {value!r})."
            " Round it, or leave it out to allow any age.",
        )
    return whole


def checked_whole_number(value: object) -> int:
    """Returns a whole number, which may be negative.

    Args:
        value: Any real number, including numbers of numpy, but no bool.

    Raises:
        FieldTypeError: The value is not a number.
        FieldValueError: The value is not whole, or does not fit into an int32.
    """
    whole = integer_of(value) if is_number(value) else None
    if whole is not None and abs(whole) <= LARGEST_INT32:
        return whole
    kind = FieldValueError if is_number(value) else FieldTypeError
    raise kind(
        "",
        f"must be a whole number, at most {LARGEST_INT32} (got {described(value)})."
        " Leave it out for 0.",
    )


def checked_count_or_none(value: object, largest: int) -> int | None:
    """Returns a whole number from 1 to the largest, or None.

    Args:
        value: Any real number, including numbers of numpy, but no bool; or None.
        largest: Largest number that the message's field can store.

    Raises:
        FieldTypeError: The value is not a number.
        FieldValueError: The value is not whole, too small or too large.
    """
    if value is None:
        return None
    return _positive(value, value, f"a whole number from 1 to {largest}", largest, _LEAVE_IT_OUT)


def checked_duration_or_none(value: object) -> int | None:
    """Returns whole seconds, at least one, or None.

    Args:
        value: A timedelta, a number of seconds, or None.

    Raises:
        FieldTypeError: The value has another type.
        FieldValueError: The duration is not whole, too short or too long.
    """
    if value is None:
        return None
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    rule = f"a timedelta or a number of seconds, whole and from 1 to {LARGEST_INT64}"
    return _positive(seconds, value, rule, LARGEST_INT64, _LEAVE_IT_OUT)


def checked_version(value: object) -> int:
    """Returns the version of an export.

    Args:
        value: Any real number, including numbers of numpy, but no bool.

    Raises:
        FieldTypeError: The value is not a number.
        FieldValueError: The value is not whole, too small or too large.
    """
    rule = f"a whole number from 1 to {LARGEST_INT64}"
    remedy = "Pass the number that is the name of a version directory."
    return _positive(value, value, rule, LARGEST_INT64, remedy)


def checked_versions(values: object) -> list[int]:
    """Returns the versions in a list; errors have a path relative to the list.

    Raises:
        FieldTypeError: The value is not a list of numbers.
        FieldValueError: A number is not whole, too small or too large.
    """
    if not is_list(values):
        raise FieldTypeError(
            "",
            f"must be a list of versions (got {described(values)})."
            " Pass a list even for one version.",
        )
    found = []
    for index, value in enumerate(values):
        with within(f"[{index}]"):
            found.append(checked_version(value))
    return found


def _positive(number: object, value: object, rule: str, largest: int, remedy: str) -> int:
    """Returns a whole number from 1 to the largest.

    Args:
        number: The number to check.
        value: The argument as the author passed it, for errors.
        rule: Noun phrase for errors.
        largest: Largest valid number.
        remedy: Remedy for errors.
    """
    whole = integer_of(number) if is_number(number) else None
    if whole is not None and 1 <= whole <= largest:
        return whole
    kind = FieldValueError if is_number(number) else FieldTypeError
    raise kind("", f"must be {rule} (got {described(value)}). {remedy}")
