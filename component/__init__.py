"""The BestExporter component, its artifact type, and its resolver strategy."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfx_best_exporter.component.artifacts import ExportDecision
    from tfx_best_exporter.component.component import BestExporter
    from tfx_best_exporter.component.strategies import BestExportedModelStrategy

    __version__: str

__all__ = ["BestExportedModelStrategy", "BestExporter", "ExportDecision", "__version__"]

# Module and name there of each public name.
_SOURCES = {
    "BestExportedModelStrategy": (f"{__name__}.strategies", "BestExportedModelStrategy"),
    "BestExporter": (f"{__name__}.component", "BestExporter"),
    "ExportDecision": (f"{__name__}.artifacts", "ExportDecision"),
    "__version__": ("tfx_best_exporter.executor.version", "VERSION"),
}


def __getattr__(name: str) -> Any:
    """Returns a public name, importing its module on first use.

    A container imports only the artifact type. It does not import modules for pipeline authors.
    """
    if name not in _SOURCES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module_name, name_there = _SOURCES[name]
    value = getattr(importlib.import_module(module_name), name_there)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
