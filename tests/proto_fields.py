"""Compares the messages of two .proto files that describe the same bytes."""

from collections.abc import Iterator
from typing import Any


def messages_of(descriptor: Any) -> Iterator[Any]:
    """Yields a message's descriptor, and those of the messages nested in it."""
    yield descriptor
    for nested in descriptor.nested_types:
        yield from messages_of(nested)


def shape_of(field: Any) -> tuple[Any, ...]:
    """Returns all that decides how a field is written and read, and the name of its type."""
    kind = field.message_type or field.enum_type
    name = kind and kind.full_name.rpartition(".")[2]
    oneof = field.containing_oneof and field.containing_oneof.name
    return field.number, field.type, name, oneof, field.is_repeated
