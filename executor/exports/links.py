"""Refuses links in the exporter's own directory, which could lead to files of others."""

from __future__ import annotations

import os
from collections.abc import Iterable

from tfx_best_exporter.executor.storage import errors, local_files
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import Entry, Kind, StorageError


def check_no_links(state: Location) -> None:
    """Checks that a state directory is no link, and that its own entries are none.

    Entries further below are not followed either: the exporter lists them with `entries_of`, or
    deletes them, and a deletion removes a link and not its target.

    Args:
        state: The directory .best_exporter; it need not exist.

    Raises:
        StorageError: There is a link.
        OSError: The directory cannot be listed.
    """
    path = state.local_path()
    # Object stores have no links.
    if path is None:
        return
    check_no_link(state)
    for name in local_files.links_in(path):
        raise StorageError(errors.is_link((state / name).uri))


def check_no_link(location: Location) -> None:
    """Checks that one path is no link.

    Raises:
        StorageError: The path is a link.
    """
    path = location.local_path()
    if path is not None and path.is_symlink():
        raise StorageError(errors.is_link(location.uri))


def entries_of(directory: Location) -> list[Entry]:
    """Returns the entries of a directory below .best_exporter, and checks that none is a link.

    Raises:
        StorageError: An entry is a link.
        OSError: The directory cannot be listed.
    """
    entries = directory.children()
    for entry in entries:
        if entry.kind is Kind.LINK:
            raise StorageError(errors.is_link((directory / entry.name).uri))
    return entries


def targets_in(directory: Location) -> frozenset[str]:
    """Returns the real paths to which the links in a directory lead; none in an object store.

    Raises:
        OSError: The directory cannot be listed.
    """
    path = directory.local_path()
    names = local_files.links_in(path) if path else []
    return frozenset(os.path.realpath(f"{path}/{name}") for name in names)


def targets_below(directories: Iterable[Location]) -> frozenset[str]:
    """Returns the real paths to which links at any depth of directories lead.

    Directories that cannot be listed are left out: a model server cannot read them either.
    """
    found: set[str] = set()
    for directory in directories:
        # os.walk follows the directory itself, and no link below it.
        for parent, names, files in os.walk(directory.local_path() or os.devnull):
            paths = (os.path.join(parent, name) for name in (*names, *files))
            found.update(os.path.realpath(path) for path in paths if os.path.islink(path))
    return frozenset(found)
