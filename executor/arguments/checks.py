"""Checks of numbers and text that a person gave."""

from __future__ import annotations

import numbers
import unicodedata
from typing import TypeGuard

from google.protobuf import message


def is_number(value: object) -> TypeGuard[numbers.Real]:
    """Returns whether a value is a real number, of numpy too; no bool."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def checked_number(value: object, field: str) -> float:
    """Returns a number as a float.

    Args:
        value: Any real number, of numpy too; no bool.
        field: What to call it in an error.

    Raises:
        TypeError: It is no number.
        ValueError: No float is as large.
    """
    if not is_number(value):
        raise TypeError(
            f"{field} must be a number (got {described(value)})."
            " Convert it to a float, or leave it out."
        )
    try:
        return float(value)
    except OverflowError as error:
        # Python refuses to print an int of more than 4300 digits.
        raise ValueError(
            f"{field} must be a number that a float can hold (got a larger"
            f" {type(value).__name__}). Scale it, or leave it out."
        ) from error


def is_encodable(text: str) -> bool:
    """Returns whether UTF-8, which protobuf and JSON are written in, can encode a text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_visible(text: str) -> bool:
    """Returns whether a person sees anything of a text: a letter, number, symbol or punctuation."""
    return any(unicodedata.category(character)[0] in "LNPS" for character in text)


def is_name(text: str) -> bool:
    """Returns whether a text can name something: it is visible, without control characters."""
    return is_visible(text) and not any(
        unicodedata.category(character) == "Cc" for character in text
    )


def described(value: object) -> str:
    """Returns what was got, for an error.

    A message's own text does not name its type, has several lines, and is empty without a field.
    """
    return type(value).__name__ if isinstance(value, message.Message) else repr(value)
