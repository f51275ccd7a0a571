"""Which storage a URI belongs to. Each is made once a process, and only when it is asked for."""

from __future__ import annotations

import functools
import os
import re

from tfx_best_exporter.executor.storage.local import LocalStorage
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import Storage

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_OWN_SCHEMES = ("file", "gs", "s3")


def storage_of(uri: str | os.PathLike[str]) -> tuple[Storage, str]:
    """Returns the storage that a URI belongs to, and the path there.

    A URI is taken as it is written: "%20" is three characters, and "?" and "#" are parts of a name,
    as in TFX. Only the scheme is looked at, and the slashes at its end do not count.

    Args:
        uri: A local path, or a URI with file://, gs://, s3:// or a scheme of a TFX plug-in.

    Raises:
        ValueError: There is no such scheme, or no bucket.
        ModuleNotFoundError: The package that it needs is not installed.
    """
    text = os.fspath(uri)
    match = _SCHEME.fullmatch(text)
    if not match:
        return _local(), _absolute(text)
    scheme, path = match[1].lower(), match[2].rstrip("/")
    if scheme == "file":
        if not match[2].startswith("/"):
            raise ValueError(
                f"URI must name a path of this machine (got {text!r})."
                " Write three slashes: file:///a/path."
            )
        return _local(), _absolute(match[2])
    if not path or path.startswith("/"):
        raise ValueError(
            f"URI must name a bucket (got {text!r}). Write it like {scheme}://bucket/folder."
        )
    if scheme == "gs":
        return _gs(), path
    if scheme == "s3":
        return _s3(text), path
    if not _is_registered(scheme):
        raise ValueError(
            f"URI must have the scheme of a storage (got {text!r}). Use a local path or one of"
            f" {', '.join(f'{name}://' for name in _OWN_SCHEMES)}, or register a plug-in for"
            f" {scheme}:// with TFX's filesystem registry."
        )
    return _fileio(scheme), path


def location_of(uri: str | os.PathLike[str]) -> Location:
    """Returns the location that a URI names; see `storage_of`."""
    return Location(*storage_of(uri))


def _absolute(path: str) -> str:
    if not path:
        raise ValueError("URI must not be empty (got ''). Name a folder.")
    return os.path.abspath(path)


@functools.cache
def _local() -> Storage:
    return LocalStorage()


@functools.cache
def _gs() -> Storage:
    # Takes a second to import.
    from tfx_best_exporter.executor.storage.gs import GsStorage

    return GsStorage()


def _s3(uri: str) -> Storage:
    try:
        return _installed_s3()
    except ModuleNotFoundError as error:
        if error.name not in ("boto3", "botocore", "s3transfer"):
            raise
        raise ModuleNotFoundError(
            f"s3:// needs boto3 (got none installed, at {uri}). Run: pip install boto3.",
            name=error.name,
        ) from error


@functools.cache
def _installed_s3() -> Storage:
    from tfx_best_exporter.executor.storage.s3 import S3Storage

    return S3Storage()


def _is_registered(scheme: str) -> bool:
    # These import TensorFlow.
    import tensorflow as tf
    from tfx.dsl.io import filesystem_registry
    from tfx.dsl.io.plugins.tensorflow_gfile import TensorflowFilesystem

    registry = filesystem_registry.DEFAULT_FILESYSTEM_REGISTRY
    plugin = registry.get_filesystem_for_scheme(f"{scheme}://")
    # TFX hands every scheme that nobody registered to TensorFlow, which may not know it either.
    return plugin is not TensorflowFilesystem or scheme in tf.io.gfile.get_registered_schemes()


@functools.cache
def _fileio(scheme: str) -> Storage:
    from tfx_best_exporter.executor.storage.fileio import FileioStorage

    return FileioStorage(scheme)


def _forget() -> None:
    # A connection that two processes share is no good to either.
    for maker in (_gs, _installed_s3, _fileio):
        maker.cache_clear()


os.register_at_fork(after_in_child=_forget)
