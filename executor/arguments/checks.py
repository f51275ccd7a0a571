"""Checks of numbers, text, flags and lists in arguments.

Errors have an empty path: the caller adds the argument's name with `errors.within`.
"""

from __future__ import annotations

import numbers
import unicodedata
from collections.abc import Iterable, Mapping
from typing import TypeGuard

from google.protobuf import message

from tfx_best_exporter.executor.arguments.errors import FieldTypeError, FieldValueError


def is_number(value: object) -> TypeGuard[numbers.Real]:
    """Returns True if a value is a real number. Numbers of numpy count; a bool does not."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def checked_number(value: object) -> float:
    """Returns a number as a float.

    Args:
        value: Any real number, including numbers of numpy, but no bool.

    Raises:
        FieldTypeError: The value is not a number.
        FieldValueError: The value is too large for a float.
    """
    if not is_number(value):
        raise FieldTypeError(
            "",
            f"must be a number (got {described(value)}). Convert it to a float, or leave it out.",
        )
    try:
        return float(value)
    except OverflowError as error:
        # The error does not show the value: Python cannot print an int of more than 4300 digits.
        raise FieldValueError(
            "",
            "must be a number that fits into a float (got a larger"
            f" {type(value).__name__}). Scale it, or leave it out.",
        ) from error


def checked_number_or_none(value: object) -> float | None:
    """Returns a number as a float, or None. Raises the errors of `checked_number`."""
    return None if value is None else checked_number(value)


def integer_of(value: object) -> int | None:
    """Returns a whole number as an int, or None for any other number.

    Integers keep their exact value: a float cannot represent every large integer.

    Args:
        value: Any real number, including numbers of numpy, but no bool.

    Raises:
        FieldTypeError: The value is not a number.
        FieldValueError: The value is too large for a float.
    """
    number = checked_number(value)
    if isinstance(value, numbers.Integral):
        return int(value)
    return int(number) if number.is_integer() else None


def checked_flag(value: object) -> bool:
    """Returns a bool.

    Raises:
        FieldTypeError: The value is not a bool.
    """
    if not isinstance(value, bool):
        raise FieldTypeError(
            "", f"must be True or False (got {described(value)}). Leave it out for the default."
        )
    return value


def checked_text(value: object, rule: str, remedy: str = "Pass a str.") -> str:
    """Returns a str that protobuf and JSON can store.

    Args:
        value: The text.
        rule: Noun phrase for the error, for example "the name of a metric".
        remedy: Remedy for the error about a wrong type.

    Raises:
        FieldTypeError: The value is not a str.
        FieldValueError: The text cannot be encoded as UTF-8.
    """
    if not isinstance(value, str):
        raise FieldTypeError("", f"must be {rule} (got {described(value)}). {remedy}")
    if not is_encodable(value):
        raise FieldValueError(
            "",
            f"must be text that UTF-8 can encode (got {value!r})."
            " Replace the characters that UTF-8 cannot encode.",
        )
    return value


def is_list(value: object) -> TypeGuard[Iterable[object]]:
    """Returns True if a value is a list of items, and not text, a mapping or a message."""
    is_one = isinstance(value, (str, bytes, Mapping, message.Message))
    return isinstance(value, Iterable) and not is_one


def is_encodable(text: str) -> bool:
    """Returns True if a text can be encoded as UTF-8, which protobuf and JSON require."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_visible(text: str) -> bool:
    """Returns True if a text has a visible character: a letter, number, symbol or punctuation."""
    return any(unicodedata.category(character)[0] in "LNPS" for character in text)


def is_name(text: str) -> bool:
    """Returns True if a text is usable as a name: visible, and without control characters."""
    return is_visible(text) and not any(
        unicodedata.category(character) == "Cc" for character in text
    )


def described(value: object) -> str:
    """Returns a short description of a value, for the "(got ...)" of an error.

    Messages are described by their type: their own text spans several lines, does not name the
    type, and is empty if no field is set.
    """
    return type(value).__name__ if isinstance(value, message.Message) else repr(value)
