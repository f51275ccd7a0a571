"""View: the questions about a base directory as methods of ModelExporter."""

from __future__ import annotations

from tfx_best_exporter.executor.operating import difference, history, showing, status
from tfx_best_exporter.executor.operating.difference import Difference
from tfx_best_exporter.executor.operating.history import History, HistoryItem
from tfx_best_exporter.executor.operating.status import DirectoryStatus
from tfx_best_exporter.executor.running.settings import Settings
from tfx_best_exporter.proto import best_exporter_pb2 as pb


class View:
    """The questions of a person about the base directory of an exporter.

    No method takes the lock or writes anything. Every method raises OperationError, a ValueError,
    if the base directory does not exist, and OSError if it cannot be read.
    """

    _settings: Settings

    def status(self) -> DirectoryStatus:
        """Returns the served version, the hold, the owner of the lock, and the problems."""
        return status.status(self._settings.exports, self._settings.clock())

    def versions(self) -> tuple[HistoryItem, ...]:
        """Returns the versions in the base directory, newest first."""
        items = history.history(self._settings.exports).items
        present = [item for item in items if item.state in history.PRESENT]
        # A version that was exported and then promoted again has two items, the newest one first.
        by_version = {item.version or 0: item for item in reversed(present)}
        return tuple(by_version[version] for version in sorted(by_version, reverse=True))

    def history(self, *, include_all: bool = False, newest: int | None = None) -> History:
        """Returns versions and refused runs, newest first.

        Args:
            include_all: True for commands of operators, and for runs whose candidate was served
                already, too.
            newest: Maximum number of items; None for no limit.
        """
        return history.history(self._settings.exports, include_all=include_all, newest=newest)

    def show(self, of: int | str | None = None) -> pb.ExportDecision:
        """Returns one decision of the past.

        Args:
            of: A version, the id of a run, or None for the newest decision.

        Raises:
            OperationError: There is no such version or run.
            RecordError: The record of the version cannot be read.
        """
        return showing.show(self._settings.exports, of)

    def diff(self, first: int | str, second: int | str) -> Difference:
        """Returns the differences between two versions.

        Args:
            first: A version with a record, which may be retired or withdrawn.
            second: Another one.

        Raises:
            OperationError: There is no such version, or it has no record.
            RecordError: A record cannot be read.
        """
        return difference.diff(self._settings.exports, first, second)
