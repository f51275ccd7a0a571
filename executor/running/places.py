"""Keeps the base directory out of the artifacts of a run."""

from __future__ import annotations

from collections.abc import Mapping

from tfx_best_exporter.executor.arguments.errors import FieldValueError
from tfx_best_exporter.executor.storage.location import Location


def check_outside(base: Location, places: Mapping[str, Location]) -> None:
    """Checks that a base directory is not in one of the run's directories.

    A version below the candidate would change the candidate, and TFX deletes or caches the
    directories of artifacts without knowing of versions in them. A candidate below the base
    directory is allowed: it may be an export.

    Args:
        base: The base directory.
        places: Directory of the candidate and of each artifact, by a name for the error.

    Raises:
        FieldValueError: The base directory is one of these directories, or is below one.
    """
    for name, place in places.items():
        if base.is_within(place):
            raise FieldValueError(
                "push_destination.filesystem.base_directory",
                f"must be outside the artifacts of the run (got {str(base)!r}, in {name} at"
                f" {str(place)!r}). Use a directory that only this exporter writes to.",
            )
