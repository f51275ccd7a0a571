"""Checks of slices in arguments, passed as dictionaries of features."""

from __future__ import annotations

from collections.abc import Mapping

from tfx_best_exporter.executor.arguments.checks import checked_text, described, is_list, is_number
from tfx_best_exporter.executor.arguments.errors import FieldTypeError, within
from tfx_best_exporter.proto import best_exporter_pb2 as pb

_EXAMPLE = "Pass one dictionary for each slice, for example [{'country': 'nl'}]."


def checked_slices(slices: object) -> list[pb.Slice]:
    """Returns the slices in a list of dictionaries; errors have a path relative to the list.

    Args:
        slices: A list of dictionaries from the name of a feature to its value, a str or a number.

    Raises:
        FieldTypeError: The value has another type.
        FieldValueError: A name or a value has no visible characters.
    """
    if not is_list(slices):
        raise FieldTypeError(
            "", f"must be a list of dictionaries (got {described(slices)}). {_EXAMPLE}"
        )
    found = []
    for index, each in enumerate(slices):
        with within(f"[{index}]"):
            found.append(_slice(each))
    return found


def _slice(features: object) -> pb.Slice:
    if not isinstance(features, Mapping):
        raise FieldTypeError(
            "", f"must be a dictionary of features (got {described(features)}). {_EXAMPLE}"
        )
    result = pb.Slice()
    for column, value in features.items():
        with within("keys()"):
            name = checked_text(column, "names of features", "Pass each name as a str.")
        with within(f"[{column!r}]"):
            text = str(value) if is_number(value) else value
            result.features[name] = checked_text(
                text, "the value of a feature", "Pass a str or a number."
            )
    return result
