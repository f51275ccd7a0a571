"""Kept files: the checks before files of a withdrawn version are replaced or put back."""

from __future__ import annotations

from collections.abc import Iterable

from tfx_best_exporter.executor.exports import saved_model
from tfx_best_exporter.executor.storage.location import Location


def why_not_whole(version: Location) -> str:
    """Returns a reason why a model server cannot load a version directory, or an empty text.

    Raises:
        OSError: The storage does not answer.
    """
    try:
        return saved_model.why_not_loadable(version, version.sizes())
    except (saved_model.UnreadableFormatError, NotADirectoryError) as error:
        return str(error)


def why_not_all(kept: Location, files: Iterable[str]) -> str:
    """Returns a reason why kept files cannot be put back into service, or an empty text.

    Args:
        kept: Directory of the kept files.
        files: Paths that were noted when the version was withdrawn; may be empty.

    Raises:
        OSError: The storage does not answer.
    """
    missing = sorted({*files} - {*kept.sizes()})
    return f"{missing[0]} is missing" if missing else why_not_whole(kept)


def why_not_replaceable(kept: Location, incoming: Location) -> str:
    """Returns a reason why kept files must not give way to those of a version, or an empty text.

    Reads all files of both. Kept files that no server can load give way to a version that a server
    can load: an earlier replacement was interrupted.

    Args:
        kept: Directory of the kept files.
        incoming: Directory of the version with the same number in the base directory.

    Raises:
        OSError: A file cannot be read.
    """
    problem = why_not_whole(incoming)
    if problem:
        return problem
    if why_not_whole(kept) or _digest_of(incoming) == _digest_of(kept):
        return ""
    return "its content differs from the kept files"


def _digest_of(version: Location) -> str:
    return saved_model.digest_of(saved_model.files_of(version))
