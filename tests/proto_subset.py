"""Compares our subset of somebody else's protos with theirs, field by field."""

from collections.abc import Iterable, Iterator
from typing import Any


def messages_of(*files: Any) -> list[Any]:
    """Returns every message of some file descriptors, nested ones too."""

    def nested(message: Any) -> Iterator[Any]:
        yield message
        for each in message.nested_types:
            yield from nested(each)

    return [
        message
        for file in files
        for top in file.message_types_by_name.values()
        for message in nested(top)
    ]


def shape_of(field: Any) -> tuple[Any, ...]:
    """Returns everything that the wire format of a field depends on, and its kind of message."""
    kind = field.message_type or field.enum_type
    oneof = field.containing_oneof and field.containing_oneof.name
    name = kind and kind.full_name.rpartition(".")[2]
    return field.number, field.type, name, oneof, field.is_repeated


def the_message(name: str, files: Iterable[Any]) -> Any:
    """Returns the only message of this full name."""
    [message] = (each for each in messages_of(*files) if each.full_name == name)
    return message
