"""The table of storages by URI scheme. A storage is imported when its scheme is first used."""

from __future__ import annotations

import dataclasses
import os
import pkgutil
import re
from collections.abc import Mapping

from tfx_best_exporter.executor.redaction import has_user, redacted, shown
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import Storage

_LOCAL = "file"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StorageRow:
    """One row of the table: the class that serves a scheme.

    Attributes:
        name: "module:Class". The class is created without arguments, and connects to nothing before
            its first use.
        package: Package that the class needs and that this package does not depend on; "" for none.
        modules: Top-level modules of that package and of its dependencies.
        is_fork_safe: True if a forked process can use its parent's storage. Two processes cannot
            share one network connection.
    """

    name: str
    package: str = ""
    modules: tuple[str, ...] = ()
    is_fork_safe: bool = False


# New storages are one class and one row each; see docs/adding-a-storage.md.
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
    """Finds the storage of a URI, and creates each storage once per process.

    Example:
        >>> registry = Registry(STORAGES)
        >>> registry.location_of("file:///serving/model/7").uri
        '/serving/model/7'
    """

    def __init__(self, rows: Mapping[str, StorageRow]):
        """Makes a registry; imports no storage.

        Args:
            rows: Storages by scheme, without "://". TFX's filesystem registry serves all other
                schemes.
        """
        self._rows = dict(rows)
        self._made: dict[str, Storage] = {}
        self._mounts: dict[str, tuple[Storage, str]] = {}

    def storage_of(self, uri: str | os.PathLike[str]) -> tuple[Storage, str]:
        """Returns the storage of a URI, and the path in that storage.

        URIs are not decoded: "%20" is three characters, and "?" and "#" are parts of a name, as in
        TFX. Slashes at the end are ignored.

        Args:
            uri: A local path, or a URI with the scheme of a row or of a TFX plug-in.

        Raises:
            ValueError: The scheme is not known, or the URI names no bucket.
            ModuleNotFoundError: The package that the storage needs is not installed.
        """
        text = os.fspath(uri)
        if found := self._mounted(text):
            return found
        match = _SCHEME.fullmatch(text)
        if not match:
            return self._made_once(_LOCAL, text), _absolute(text)
        scheme, path = match[1].lower(), match[2].rstrip("/")
        if scheme == _LOCAL:
            if not match[2].startswith("/"):
                raise ValueError(
                    f"URI must name an absolute path on this machine (got {redacted(text)!r})."
                    " Use three slashes: file:///a/path."
                )
            return self._made_once(_LOCAL, text), _absolute(match[2])
        if not path or path.startswith("/"):
            raise ValueError(
                f"URI must name a bucket (got {redacted(text)!r}). Use the form {scheme}://bucket/folder."
            )
        if scheme in self._rows and has_user(text):
            raise ValueError(
                "URI must have no user or password (got"
                f" {f'{scheme}://***@' + path.rpartition('@')[2]!r}). Use the form"
                f" {scheme}://bucket/folder, and set the credentials in the environment."
            )
        return self._made_once(scheme, text), path

    def location_of(self, uri: str | os.PathLike[str] | Location) -> Location:
        """Returns the location of a URI; see `storage_of`. A location is returned unchanged."""
        return uri if isinstance(uri, Location) else Location(*self.storage_of(uri))

    def mount(self, uri: str, directory: str) -> None:
        """Makes a local directory serve a URI and everything below it.

        Args:
            uri: URI of a directory.
            directory: Absolute local path of the directory with the same files.
        """
        # The import is here because most processes mount nothing.
        from tfx_best_exporter.executor.storage.mounted import MountedStorage

        uri, directory = uri.rstrip("/"), directory.rstrip("/")
        self._mounts[uri] = (MountedStorage(uri, directory), directory)

    def tensorflow_path(self, uri: str) -> str:
        """Returns the path by which TensorFlow and TFX access a URI: the URI if it is not mounted.

        Args:
            uri: Any URI or path.
        """
        found = self._mounted(uri)
        return found[1] if found else uri

    def _mounted(self, uri: str) -> tuple[Storage, str] | None:
        for mounted, (storage, directory) in self._mounts.items():
            if uri.rstrip("/") == mounted or uri.startswith(f"{mounted}/"):
                return storage, directory + uri.removeprefix(mounted).rstrip("/")
        return None

    def forget(self) -> None:
        """Drops the storages that a forked process must not share with its parent."""
        for scheme in [*self._made]:
            row = self._rows.get(scheme)
            if not (row and row.is_fork_safe):
                del self._made[scheme]

    def _made_once(self, scheme: str, uri: str) -> Storage:
        if scheme not in self._made:
            row = self._rows.get(scheme)
            made = _make(row, scheme, uri) if row else self._plugin(scheme, uri)
            # Two threads that arrive at the same time both get the storage of the first one.
            return self._made.setdefault(scheme, made)
        return self._made[scheme]

    def _plugin(self, scheme: str, uri: str) -> Storage:
        if not is_known_to_tfx(scheme):
            raise ValueError(
                f"URI must have the scheme of a storage (got {redacted(uri)!r}). Use a local path"
                f" or one of {', '.join(f'{name}://' for name in self._rows)}, or register a"
                f" plug-in for {scheme}:// in TFX's filesystem registry."
            )
        # Importing this module imports TensorFlow and TFX, which takes seconds.
        from tfx_best_exporter.executor.storage.fileio import FileioStorage

        return FileioStorage(scheme)


def _make(row: StorageRow, scheme: str, uri: str) -> Storage:
    try:
        return pkgutil.resolve_name(row.name)()
    except ModuleNotFoundError as error:
        if error.name not in row.modules:
            raise
        raise ModuleNotFoundError(
            f"cannot access {shown(uri)}: {scheme}:// needs the package {row.package}, which is not"
            f" installed. Run: pip install {row.package}",
            name=error.name,
        ) from error


def _absolute(path: str) -> str:
    if not path:
        raise ValueError("URI must not be empty (got ''). Use the path or URI of a directory.")
    return os.path.abspath(path)


def is_known_to_tfx(scheme: str) -> bool:
    """Returns True if TFX or TensorFlow has a file system for a scheme; imports both."""
    # Both packages take seconds to import, and only other schemes need them.
    import tensorflow as tf
    from tfx.dsl.io import filesystem_registry
    from tfx.dsl.io.plugins.tensorflow_gfile import TensorflowFilesystem

    registry = filesystem_registry.DEFAULT_FILESYSTEM_REGISTRY
    plugin = registry.get_filesystem_for_scheme(f"{scheme}://")
    # TFX passes every unregistered scheme to TensorFlow, which may not know it either.
    return plugin is not TensorflowFilesystem or scheme in tf.io.gfile.get_registered_schemes()


_default = Registry(STORAGES)
storage_of = _default.storage_of
location_of = _default.location_of
mount = _default.mount
tensorflow_path = _default.tensorflow_path

os.register_at_fork(after_in_child=_default.forget)
