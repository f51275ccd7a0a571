"""Stamps: proof, without reading a file, that its content is still the one that was checked.

    .best_exporter/stamps/<version>.json    stamp of each file that a model server reads

A stamp comes from a listing: size, times and inode on a disk, ETag or generation in a store. A file
whose stamp has changed is read, and its stamp is noted again. Losing a stamp therefore costs time,
and nothing else.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Mapping

from tfx_best_exporter.executor.exports.links import check_no_link
from tfx_best_exporter.executor.keys import SCHEMA_VERSION
from tfx_best_exporter.executor.storage import foreign
from tfx_best_exporter.executor.storage.location import Location

# A stamp has about 100 bytes, so this is enough for 600,000 files.
_MAX_BYTES = 64 << 20


class Stamps:
    """The stamps of the versions in a base directory."""

    def __init__(self, directory: Location):
        """Makes Stamps; reads and writes nothing.

        Args:
            directory: Directory of the stamps; it need not exist yet.
        """
        self._directory = directory

    def read(self, version: int) -> Mapping[str, str]:
        """Returns the stamps of a version by relative path; empty if none can be read."""
        try:
            check_no_link(self._location(version))
            content = foreign.read_json_object(self._location(version), _MAX_BYTES)
        except (OSError, foreign.ForeignContentError):
            return {}
        stamps = content.get("stamps")
        return stamps if isinstance(stamps, dict) else {}

    def write(self, version: int, stamps: Mapping[str, str]) -> None:
        """Writes the stamps of a version.

        Raises:
            OSError: The file cannot be written.
        """
        content = {"schema_version": SCHEMA_VERSION, "stamps": dict(stamps)}
        self._location(version).write(json.dumps(content, indent=1).encode())

    def keep_only(self, versions: Collection[int]) -> None:
        """Removes the stamps of all other versions, as far as they can be removed."""
        names = {f"{version}.json" for version in versions}
        with contextlib.suppress(OSError):
            for entry in self._directory.children():
                if entry.name not in names:
                    (self._directory / entry.name).remove()

    def _location(self, version: int) -> Location:
        return self._directory / f"{version}.json"
