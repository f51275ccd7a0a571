"""Storages: files by path on a local disk or in an object store, independent of models."""

from tfx_best_exporter.executor.storage.registry import (
    location_of,
    mount,
    storage_of,
    tensorflow_path,
)

__all__ = ["location_of", "mount", "storage_of", "tensorflow_path"]
