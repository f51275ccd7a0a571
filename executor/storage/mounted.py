"""MountedStorage: files of a URI in a local directory, where another program put them."""

from __future__ import annotations

from tfx_best_exporter.executor.storage.local import LocalStorage


class MountedStorage(LocalStorage):
    """A local directory whose files have the URIs of another storage.

    Example:
        >>> MountedStorage("minio://a/7", "/minio/a/7").uri("/minio/a/7/saved_model.pb")
        'minio://a/7/saved_model.pb'
    """

    def __init__(self, uri: str, directory: str):
        """Makes a MountedStorage; reads and writes nothing.

        Args:
            uri: URI of the directory, without a slash at the end.
            directory: Absolute local path of the directory, without a slash at the end.
        """
        self._uri = uri
        self._directory = directory

    def uri(self, path: str) -> str:
        """Returns the URI that other programs know a path by."""
        return self._uri + path.removeprefix(self._directory)
