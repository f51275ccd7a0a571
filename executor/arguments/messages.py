"""Checks of protobuf messages in arguments, passed as messages or as dictionaries.

Errors have an empty path: the caller adds the argument's name with `errors.within`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf import message as protobuf_message

from tfx_best_exporter.executor.arguments.checks import described, is_list
from tfx_best_exporter.executor.arguments.errors import FieldTypeError, FieldValueError, within
from tfx_best_exporter.proto import best_exporter_pb2 as pb

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
    content = dict(value)
    # The texts of ParseDict name no path in the author's words, and no valid values.
    if kind.DESCRIPTOR.file == pb.DESCRIPTOR:
        content = _checked(content, kind.DESCRIPTOR)
    try:
        # ParseDict reports misspelled fields; TFX's dict_to_proto ignores them.
        return json_format.ParseDict(content, kind())
    # ParseDict raises OverflowError for an int that does not fit into a float field.
    except (json_format.ParseError, OverflowError) as error:
        raise FieldValueError(
            "",
            f"must be a valid {kind.__name__} (got {value!r}: {error})."
            " See the fields in its .proto file.",
        ) from error


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Returns the sentence that suggests the most similar of some names; empty if none is similar.

    Args:
        name: The name that was not found.
        names: The names that exist.
    """
    found = {each.lower(): each for each in names}
    similar = difflib.get_close_matches(name.lower(), found, n=1)
    return f" Did you mean {found[similar[0]]!r}?" if similar else ""


def _checked(content: Mapping[str, Any], descriptor: Any) -> dict[str, Any]:
    """Returns the fields of a message, with a metric's name replaced by its key.

    Args:
        content: Fields of the message, by name.
        descriptor: Descriptor of the message.

    Raises:
        FieldValueError: A name is not a field, or a value is not one of an enum.
    """
    fields = {**descriptor.fields_by_camelcase_name, **descriptor.fields_by_name}
    result = {}
    for name, value in content.items():
        if name not in fields:
            names = [each.name for each in descriptor.fields]
            raise FieldValueError(
                "",
                f"must have only fields of {descriptor.name} (got {name!r})."
                f"{did_you_mean(str(name), names)} Fields: {', '.join(names)}.",
            )
        field = fields[name]
        with within(field.name):
            if not field.is_repeated or not is_list(value):
                result[name] = _checked_value(value, field)
                continue
            result[name] = []
            for index, item in enumerate(value):
                with within(f"[{index}]"):
                    result[name].append(_checked_value(item, field))
    return result


def _checked_value(value: Any, field: Any) -> Any:
    """Returns one value of a field; see `_checked`."""
    if field.enum_type is not None:
        names = [each for each in field.enum_type.values_by_name if "UNSPECIFIED" not in each]
        if isinstance(value, str) and value not in field.enum_type.values_by_name:
            raise FieldValueError(
                "",
                f"must be one of {', '.join(names)} (got {value!r}).{did_you_mean(value, names)}"
                " Pass one of these names.",
            )
        return value
    kind = field.message_type
    if kind is None or kind.GetOptions().map_entry:
        return value
    if isinstance(value, str) and kind == pb.MetricKey.DESCRIPTOR:
        return {"name": value}
    return _checked(value, kind) if isinstance(value, Mapping) else value


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
