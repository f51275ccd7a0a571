"""The largest version ever given in a base directory, so that no number is given twice.

    .best_exporter/largest_version    a decimal number

The clock may be set back, and a person may remove the newest version and its tombstone. A client
that has seen a version must never find another model under the same number.
"""

from __future__ import annotations

from tfx_best_exporter.executor.exports.versions import number_of
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import NotAFileError, TooLargeError

# A version has at most 19 digits.
_MAX_BYTES = 64


class LargestVersion:
    """The note of the largest version ever given."""

    def __init__(self, location: Location):
        """Makes a LargestVersion; reads and writes nothing.

        Args:
            location: File of the note; it need not exist yet.
        """
        self._location = location

    def read(self) -> int:
        """Returns the version; -1 if none was noted, or the note is damaged.

        Raises:
            OSError: The storage does not answer, or does not allow to read the note.
        """
        try:
            text = self._location.read(_MAX_BYTES).decode()
        except (FileNotFoundError, NotAFileError, TooLargeError, UnicodeError):
            return -1
        number = number_of(text)
        return -1 if number is None else number

    def write(self, version: int) -> None:
        """Notes a version, before it appears in the base directory.

        Raises:
            OSError: The note cannot be written.
        """
        self._location.write(f"{version}\n".encode())
