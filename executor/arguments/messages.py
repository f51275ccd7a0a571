"""Messages that a person gave as such or as a dictionary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf import message as protobuf_message

from tfx_best_exporter.executor.arguments.checks import described

_Message = TypeVar("_Message", bound=protobuf_message.Message)


def message_of(
    value: _Message | Mapping[str, Any] | None, kind: type[_Message], field: str
) -> _Message | None:
    """Returns a message that was given as such or as a dictionary of its fields, or None.

    Args:
        value: What was given.
        kind: Of the message.
        field: What to call it in an error.

    Raises:
        TypeError: It is neither.
        ValueError: The dictionary is no such message.
    """
    if value is None or isinstance(value, kind):
        return value
    if not isinstance(value, Mapping):
        raise TypeError(
            f"{field} must be a {kind.__name__} or a dict (got {described(value)})."
            f" Build one with {kind.__module__}.{kind.__name__}."
        )
    try:
        # Not TFX's dict_to_proto: it leaves out a field that is misspelled.
        return json_format.ParseDict(dict(value), kind())
    # The latter of an int that no float can hold.
    except (json_format.ParseError, OverflowError) as error:
        raise ValueError(
            f"{field} must be a valid {kind.__name__} (got {value!r}: {error})."
            " See the fields in its .proto file."
        ) from error
