"""The table of storages by URI scheme. Each is imported and made when a URI first asks for it."""

from __future__ import annotations

import dataclasses
import os
import pkgutil
import re
from collections.abc import Mapping

from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import Storage

_LOCAL = "file"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StorageRow:
    """One row of the table: the class that serves a scheme.

    Attributes:
        name: "module:Class". The class is made without arguments, and connects to nothing before
            its first use.
        package: Package that this one does not depend on and the class needs; "" for none.
        modules: Top-level modules of that package and of those that come with it.
        is_fork_safe: Whether a child process may go on using its parent's storage. A connection
            that two processes share is of no use to either.
    """

    name: str
    package: str = ""
    modules: tuple[str, ...] = ()
    is_fork_safe: bool = False


# A new storage is one class and one row; see docs/adding-a-storage.md.
STORAGES: Mapping[str, StorageRow] = {
    _LOCAL: StorageRow(
        name="tfx_best_exporter.executor.storage.local:LocalStorage", is_fork_safe=True
    ),
    "gs": StorageRow(name="tfx_best_exporter.executor.storage.gs:GsStorage"),
    "s3": StorageRow(
        name="tfx_best_exporter.executor.storage.s3:S3Storage",
        package="boto3",
        modules=("boto3", "botocore", "s3transfer"),
    ),
}


class Registry:
    """Finds the storage of a URI, and makes each storage once a process.

    Example:
        >>> registry = Registry(STORAGES)
        >>> registry.location_of("file:///serving/model/7").uri
        '/serving/model/7'
    """

    def __init__(self, rows: Mapping[str, StorageRow]):
        """Makes a registry; imports no storage.

        Args:
            rows: Storages by scheme, without "://". Other schemes go to TFX's filesystem registry.
        """
        self._rows = dict(rows)
        self._made: dict[str, Storage] = {}

    def storage_of(self, uri: str | os.PathLike[str]) -> tuple[Storage, str]:
        """Returns the storage that a URI belongs to, and the path there.

        A URI is taken as it is written: "%20" is three characters, and "?" and "#" are parts of a
        name, as in TFX. Only the scheme is looked at, and slashes at the end do not count.

        Args:
            uri: A local path, or a URI with the scheme of a row or of a TFX plug-in.

        Raises:
            ValueError: There is no such scheme, or no bucket.
            ModuleNotFoundError: The package that the storage needs is not installed.
        """
        text = os.fspath(uri)
        match = _SCHEME.fullmatch(text)
        if not match:
            return self._made_once(_LOCAL, text), _absolute(text)
        scheme, path = match[1].lower(), match[2].rstrip("/")
        if scheme == _LOCAL:
            if not match[2].startswith("/"):
                raise ValueError(
                    f"URI must name a path of this machine (got {text!r})."
                    " Write three slashes: file:///a/path."
                )
            return self._made_once(_LOCAL, text), _absolute(match[2])
        if not path or path.startswith("/"):
            raise ValueError(
                f"URI must name a bucket (got {text!r}). Write it like {scheme}://bucket/folder."
            )
        return self._made_once(scheme, text), path

    def location_of(self, uri: str | os.PathLike[str]) -> Location:
        """Returns the location that a URI names; see `storage_of`."""
        return Location(*self.storage_of(uri))

    def forget(self) -> None:
        """Forgets what a forked process must not share with its parent."""
        for scheme in [*self._made]:
            row = self._rows.get(scheme)
            if not (row and row.is_fork_safe):
                del self._made[scheme]

    def _made_once(self, scheme: str, uri: str) -> Storage:
        if scheme not in self._made:
            row = self._rows.get(scheme)
            made = _make(row, scheme, uri) if row else self._plugin(scheme, uri)
            # Of two threads that come here at the same time both get the storage of the first.
            return self._made.setdefault(scheme, made)
        return self._made[scheme]

    def _plugin(self, scheme: str, uri: str) -> Storage:
        if not _is_registered(scheme):
            raise ValueError(
                f"URI must have the scheme of a storage (got {uri!r}). Use a local path or one of"
                f" {', '.join(f'{name}://' for name in self._rows)}, or register a plug-in for"
                f" {scheme}:// with TFX's filesystem registry."
            )
        # Imports TensorFlow and TFX.
        from tfx_best_exporter.executor.storage.fileio import FileioStorage

        return FileioStorage(scheme)


def _make(row: StorageRow, scheme: str, uri: str) -> Storage:
    try:
        return pkgutil.resolve_name(row.name)()
    except ModuleNotFoundError as error:
        if error.name not in row.modules:
            raise
        raise ModuleNotFoundError(
            f"{scheme}:// needs {row.package} (got none installed, at {uri})."
            f" Run: pip install {row.package}.",
            name=error.name,
        ) from error


def _absolute(path: str) -> str:
    if not path:
        raise ValueError("URI must not be empty (got ''). Name a folder.")
    return os.path.abspath(path)


def _is_registered(scheme: str) -> bool:
    # These import TensorFlow.
    import tensorflow as tf
    from tfx.dsl.io import filesystem_registry
    from tfx.dsl.io.plugins.tensorflow_gfile import TensorflowFilesystem

    registry = filesystem_registry.DEFAULT_FILESYSTEM_REGISTRY
    plugin = registry.get_filesystem_for_scheme(f"{scheme}://")
    # TFX hands every scheme that nobody registered to TensorFlow, which may not know it either.
    return plugin is not TensorflowFilesystem or scheme in tf.io.gfile.get_registered_schemes()


_default = Registry(STORAGES)
storage_of = _default.storage_of
location_of = _default.location_of

os.register_at_fork(after_in_child=_default.forget)
