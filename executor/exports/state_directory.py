"""The directory of the exporter's own files: in the base directory, or elsewhere in its storage."""

from __future__ import annotations

import os
from pathlib import Path

from tfx_best_exporter.executor.arguments.errors import FieldValueError
from tfx_best_exporter.executor.storage.location import Location

# Name of the state directory in the base directory. Model servers ignore names other than numbers.
STATE_DIRECTORY = ".best_exporter"

# File in a state directory elsewhere: the URI of its base directory.
_OWNER = "base_directory"
_LOCK = "lock"
_MAX_OWNER_BYTES = 64 << 10


def state_directory_of(base: Location, state: Location | None) -> Location:
    """Returns the state directory of a base directory.

    Args:
        base: The base directory.
        state: The state directory that an author chose, for a model server that copies the whole
            base directory; None for the one in the base directory.

    Raises:
        FieldValueError: The directory is in another storage, or in the base directory.
    """
    default = base / STATE_DIRECTORY
    if state is None or state == default:
        return default
    if state.storage is not base.storage:
        raise FieldValueError(
            "state_directory",
            f"must be in the same storage as the base directory (got {str(state)!r} for"
            f" {str(base)!r}). Files are renamed or copied between the two. Choose a directory"
            " there.",
        )
    if state.is_within(base) or base.is_within(state):
        raise FieldValueError(
            "state_directory",
            f"must be outside the base directory and not contain it (got {str(state)!r} for"
            f" {str(base)!r}). Choose another directory, or leave it out for {str(default)!r}.",
        )
    return state


def check_same_file_system(base: Location, state: Location) -> None:
    """Checks that a version can be renamed from the state directory into the base directory.

    Raises:
        FieldValueError: The two are on different file systems.
        OSError: One of them cannot be read.
    """
    base_path, state_path = base.local_path(), state.local_path()
    if base_path is None or state_path is None or state_path.parent == base_path:
        return
    if _device(base_path) != _device(state_path):
        raise FieldValueError(
            "state_directory",
            f"must be on the file system of the base directory (got {str(state)!r} for"
            f" {str(base)!r}). An export becomes visible by a rename. Choose a directory there.",
        )


def claim(base: Location, state: Location) -> None:
    """Makes a chosen directory the state directory of one base directory; requires its lock.

    Without this, a mistyped directory would lose its own files, and two base directories could
    share the state of their versions.

    Raises:
        FieldValueError: The directory has other content, or belongs to another base directory.
        OSError: One of them cannot be read or written.
    """
    default = base / STATE_DIRECTORY
    if state == default:
        return
    names = {entry.name for entry in state.children()}
    if _OWNER not in names:
        if names - {_LOCK}:
            raise FieldValueError(
                "state_directory",
                f"must be empty at first (got {str(state)!r}, with {', '.join(sorted(names)[:3])})."
                " Choose a directory that does not exist yet.",
            )
        if {entry.name for entry in default.children()} - {_LOCK}:
            raise FieldValueError(
                "state_directory",
                f"must have the files of {str(default)!r}, which an earlier run wrote (got"
                f" {str(state)!r}, which is empty). Move them there while no pipeline runs, and add"
                f" a file {_OWNER!r} with the content {base.uri}.",
            )
        (state / _OWNER).write(f"{base.uri}\n".encode())
    # A version is renamed into the base directory, which no other file creates.
    path = base.local_path()
    if path is not None:
        path.mkdir(parents=True, exist_ok=True)
    owner = (state / _OWNER).read(_MAX_OWNER_BYTES).decode(errors="replace").strip()
    if owner != base.uri:
        raise FieldValueError(
            "state_directory",
            f"must belong to {str(base)!r} (got {str(state)!r}, which belongs to {owner!r})."
            " Choose another directory for each base directory.",
        )


def _device(path: Path) -> int:
    """Returns the file system of a path that need not exist yet."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return os.stat(path).st_dev
