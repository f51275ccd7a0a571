"""Linked: links that lead to versions which are about to be withdrawn."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

from tfx_best_exporter.executor.exports import links
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.versions import Export, linked_versions, number_of
from tfx_best_exporter.executor.operating.operation import OperationError
from tfx_best_exporter.executor.storage.protocol import Kind


def check_links(listing: Sequence[Export], moved: Collection[int]) -> None:
    """Checks that no version that stays is a link into a version that moves, or has one inside.

    Args:
        listing: All versions.
        moved: The versions that leave the base directory.

    Raises:
        OperationError: A model server could not load a version that stays.
    """
    staying = [export for export in listing if export.version not in moved]
    moving = [export for export in listing if export.version in moved]
    targets = links.targets_below(export.location for export in staying) | frozenset(
        os.path.realpath(path)
        for export in staying
        if export.kind is Kind.LINK and (path := export.location.local_path()) is not None
    )
    for version in sorted(linked_versions(moving, targets)):
        raise OperationError(
            f"version {version} must not be the target of a link that stays (got one in the base"
            " directory). Replace the link by a copy."
        )


def sentences_of(
    exports: ExportDirectory, listing: Sequence[Export], moved: Collection[int]
) -> list[str]:
    """Returns a sentence for each link in the base directory that will lead nowhere.

    The links of versions are not among them; see `check_links`.

    Args:
        exports: The base directory.
        listing: All versions.
        moved: The versions that leave the base directory.

    Raises:
        OSError: The base directory cannot be listed.
    """
    moving = [export for export in listing if export.version in moved]
    found = []
    for entry in sorted(exports.base.children(), key=lambda entry: entry.name):
        path = (exports.base / entry.name).local_path()
        if path is None or entry.kind is not Kind.LINK or number_of(entry.name) is not None:
            continue
        for version in sorted(linked_versions(moving, [os.path.realpath(path)])):
            found.append(
                f"the link {entry.name!r} leads to version {version}, and leads nowhere afterwards"
            )
    return found
