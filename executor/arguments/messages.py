"""Checks of protobuf messages in arguments, passed as messages or as dictionaries.

Errors have an empty path: the caller adds the argument's name with `errors.within`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf import message as protobuf_message

from tfx_best_exporter.executor.arguments.checks import described, is_list
from tfx_best_exporter.executor.arguments.errors import FieldTypeError, FieldValueError

_Message = TypeVar("_Message", bound=protobuf_message.Message)


def message_of(value: _Message | Mapping[str, Any] | None, kind: type[_Message]) -> _Message | None:
    """Returns an argument as a message, or None.

    Args:
        value: A message, a dictionary of its fields, or None.
        kind: Type of the message.

    Raises:
        FieldTypeError: The value has another type.
        FieldValueError: The dictionary does not describe a message of this type.
    """
    if value is None or isinstance(value, kind):
        return value
    if not isinstance(value, Mapping):
        raise FieldTypeError(
            "",
            f"must be a {kind.__name__} or a dict (got {described(value)})."
            f" Build one with {kind.__module__}.{kind.__name__}.",
        )
    try:
        # ParseDict reports misspelled fields; TFX's dict_to_proto ignores them.
        return json_format.ParseDict(dict(value), kind())
    # ParseDict raises OverflowError for an int that does not fit into a float field.
    except (json_format.ParseError, OverflowError) as error:
        raise FieldValueError(
            "",
            f"must be a valid {kind.__name__} (got {value!r}: {error})."
            " See the fields in its .proto file.",
        ) from error


def checked_messages(values: object, kind: type[_Message], makers: str) -> list[_Message]:
    """Returns a list of messages.

    Args:
        values: The messages.
        kind: Type of each message.
        makers: Names of the constructors of such a message, for errors.

    Raises:
        FieldTypeError: The value is not a list, or an item has another type.
    """
    if not is_list(values):
        raise FieldTypeError(
            "",
            f"must be a list (got {described(values)})."
            f" Make each item with {makers}, and pass a list even for one item.",
        )
    result = []
    for index, value in enumerate(values):
        if not isinstance(value, kind):
            raise FieldTypeError(
                f"[{index}]",
                f"must be a {kind.__name__} (got {described(value)}). Make it with {makers}.",
            )
        result.append(value)
    return result


def checked_choice(name: str, enum: Any) -> str:
    """Returns the name of a value of an enum.

    Args:
        name: Any name except that of the unspecified value.
        enum: Generated class of the enum.

    Raises:
        FieldValueError: The enum has no such value.
    """
    values = enum.DESCRIPTOR.values_by_name
    names = [each for each in values if not each.endswith("UNSPECIFIED")]
    if name not in names:
        raise FieldValueError(
            "", f"must be one of {', '.join(names)} (got {name!r}). Pass one of these names."
        )
    return name
