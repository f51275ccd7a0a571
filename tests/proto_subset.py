"""Compares our subset of another project's protos with the original, field by field."""

from collections.abc import Iterable, Iterator
from typing import Any


def messages_of(*files: Any) -> list[Any]:
    """Returns every message of some file descriptors, including nested messages."""

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


def name_of(kind: Any) -> str | None:
    """Returns a type's name without its package, except for protobuf's own types.

    Args:
        kind: Descriptor of a message or an enum, or None.
    """
    if kind is None or kind.file.package == "google.protobuf":
        return kind and kind.full_name
    return kind.full_name.removeprefix(f"{kind.file.package}.")


def shape_of(field: Any) -> tuple[Any, ...]:
    """Returns everything that the wire format and the JSON form of a field depend on."""
    return (
        field.number,
        field.type,
        name_of(field.message_type or field.enum_type),
        field.containing_oneof and field.containing_oneof.name,
        field.is_repeated,
        field.json_name,
    )


def the_message(name: str, files: Iterable[Any]) -> Any:
    """Returns the only message of a name.

    Args:
        name: Name without the package.
        files: File descriptors.
    """
    [message] = (each for each in messages_of(*files) if name_of(each) == name)
    return message
