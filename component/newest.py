"""NewestPushedModels: the PushedModels of an ML Metadata store, newest first, page by page.

Many pipelines can share a store, and a store can have millions of artifacts. MLMD sorts the whole
history of a pipeline for each ordered list of its artifacts. Reading artifacts by id costs the same
whatever the size of the store, and ids increase with time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ml_metadata.metadata_store import ListOptions, MetadataStore, OrderByField
from ml_metadata.proto import metadata_store_pb2 as mlmd

PUSHED_MODEL = "PushedModel"

# Number of ids that are read together. A run of a pipeline makes about ten artifacts.
PAGE = 1000

# Seconds after which no further page is read.
SCAN_SECONDS = 5.0


class NewestPushedModels:
    """The PushedModels of all pipelines in a store.

    Attributes:
        is_out_of_time: True if the time was over before the whole store was read.
    """

    def __init__(self, store: MetadataStore, clock: Callable[[], float]):
        """Makes NewestPushedModels; the time starts now.

        Args:
            store: ML Metadata.
            clock: Returns seconds; only differences count.
        """
        self._store = store
        self._clock = clock
        self._deadline = clock() + SCAN_SECONDS
        self._pages: list[list[mlmd.Artifact]] = []
        newest = store.get_artifacts(ListOptions(limit=1, order_by=OrderByField.ID, is_asc=False))
        self._last_id = newest[0].id if newest else 0
        self.is_out_of_time = False

    def first_page(self) -> list[mlmd.Artifact]:
        """Returns the PushedModels among the newest artifacts of the store, newest first."""
        return next(self.pages(), [])

    def pages(self) -> Iterator[list[mlmd.Artifact]]:
        """Yields the PushedModels of each page, newest first, until the time is over.

        The first page is always read, and every page is read once.
        """
        yield from self._pages
        while self._last_id > 0:
            if self._pages and self._clock() >= self._deadline:
                self.is_out_of_time = True
                return
            page = self._read_page()
            self._pages.append(page)
            yield page

    def _read_page(self) -> list[mlmd.Artifact]:
        first_id = max(1, self._last_id - PAGE + 1)
        artifacts = self._store.get_artifacts_by_id([*range(first_id, self._last_id + 1)])
        self._last_id = first_id - 1
        found = [artifact for artifact in artifacts if artifact.type == PUSHED_MODEL]
        return sorted(found, key=lambda artifact: artifact.id, reverse=True)
