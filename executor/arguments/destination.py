"""The base directory in the `push_destination` that a pipeline stores."""

from __future__ import annotations

import json
from typing import Any

from tfx_best_exporter.executor.arguments.errors import FieldValueError, within
from tfx_best_exporter.executor.redaction import redacted

# Field names in proto3 JSON and in the .proto file; proto3 JSON accepts both.
_BASE_DIRECTORY_NAMES = ("baseDirectory", "base_directory")


def base_directory_of(push_destination: str) -> str:
    """Returns the base directory.

    Args:
        push_destination: A PushDestination of tfx.proto.pusher_pb2 as JSON, as the component
            stores it. Or the base directory itself, which may be the value of a RuntimeParameter
            or a placeholder.

    Raises:
        ValueError: The text is empty, or is not a PushDestination with a base directory, or the
            base directory begins with "~".
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
            f" (got {redacted(repr(push_destination))}{problem})."
            " Pass the directory that the model server polls."
        )
    with within("push_destination.filesystem.base_directory"):
        check_base_directory(base_directory)
    return base_directory


def check_base_directory(base_directory: str) -> None:
    """Checks that a base directory does not begin with "~".

    Only a shell replaces "~" by a home directory. A program would create a directory of that name
    in its working directory, where no model server looks.

    Raises:
        FieldValueError: The base directory begins with "~".
    """
    if base_directory.startswith("~"):
        raise FieldValueError(
            "",
            f"must not begin with '~' (got {base_directory!r}). Pass the whole path, for example"
            f" os.path.expanduser({base_directory!r}).",
        )


def _in_message(message: dict[str, Any]) -> str:
    """Returns the base directory of a PushDestination, or "" if it has none.

    Unknown fields are ignored: a newer version of TFX may have written them.

    Raises:
        ValueError: A field has another type.
    """
    filesystem = message.get("filesystem")
    if filesystem is None:
        return ""
    if not isinstance(filesystem, dict):
        raise ValueError("filesystem is not an object")
    values = [value for name, value in filesystem.items() if name in _BASE_DIRECTORY_NAMES]
    # json_format uses the last value too if both names are present.
    base_directory = values[-1] if values else None
    if base_directory is None:
        return ""
    if not isinstance(base_directory, str):
        raise ValueError("filesystem.base_directory is not a string")
    return base_directory
