"""The base directory that `push_destination` names, read from where a pipeline stores it."""

from __future__ import annotations

from google.protobuf import json_format
from tfx.proto import pusher_pb2


def base_directory_of(push_destination: str) -> str:
    """Returns the base directory.

    Args:
        push_destination: A PushDestination as JSON, which is what the component stores; or the base
            directory itself, as the value of a RuntimeParameter or a placeholder may be.

    Raises:
        ValueError: It is neither.
    """
    if not push_destination.lstrip().startswith("{"):
        base_directory, problem = push_destination.strip(), ""
    else:
        message = pusher_pb2.PushDestination()
        try:
            json_format.Parse(push_destination, message, ignore_unknown_fields=True)
            problem = ""
        except json_format.ParseError as error:
            problem = f": {error}"
        base_directory = message.filesystem.base_directory
    if problem or not base_directory:
        raise ValueError(
            "push_destination must be the path of the base directory, or a PushDestination as JSON"
            f" (got {push_destination!r}{problem})."
            " Give the directory that the model server polls."
        )
    return base_directory
