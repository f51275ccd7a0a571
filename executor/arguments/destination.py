"""The base directory that `push_destination` names, read from where a pipeline stores it."""

from __future__ import annotations

import json
from typing import Any

# As proto3 JSON writes the field, and as its .proto file names it.
_BASE_DIRECTORY_NAMES = ("baseDirectory", "base_directory")


def base_directory_of(push_destination: str) -> str:
    """Returns the base directory.

    Args:
        push_destination: A PushDestination of tfx.proto.pusher_pb2 as JSON, which is what the
            component stores; or the base directory itself, as the value of a RuntimeParameter or a
            placeholder may be.

    Raises:
        ValueError: It is neither.
    """
    if not push_destination.lstrip().startswith("{"):
        base_directory, problem = push_destination.strip(), ""
    else:
        base_directory, problem = "", ""
        try:
            base_directory = _in_message(json.loads(push_destination))
        except (json.JSONDecodeError, RecursionError) as error:
            problem = f": Failed to load JSON: {error}."
        except ValueError as error:
            problem = f": {error}"
    if problem or not base_directory:
        raise ValueError(
            "push_destination must be the path of the base directory, or a PushDestination as JSON"
            f" (got {push_destination!r}{problem})."
            " Give the directory that the model server polls."
        )
    return base_directory


def _in_message(message: dict[str, Any]) -> str:
    """Returns the base directory of a PushDestination, or "" without one.

    Fields of other names are ignored: a newer TFX may have written them.

    Raises:
        ValueError: A field has another type.
    """
    filesystem = message.get("filesystem")
    if filesystem is None:
        return ""
    if not isinstance(filesystem, dict):
        raise ValueError("filesystem is not an object")
    values = [value for name, value in filesystem.items() if name in _BASE_DIRECTORY_NAMES]
    # json_format takes the last one too.
    base_directory = values[-1] if values else None
    if base_directory is None:
        return ""
    if not isinstance(base_directory, str):
        raise ValueError("filesystem.base_directory is not a string")
    return base_directory
