"""Where bytes lie. Knows nothing of models."""

from tfx_best_exporter.executor.storage.registry import location_of, storage_of

__all__ = ["location_of", "storage_of"]
