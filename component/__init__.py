"""The BestExporter component, its artifact type, and its resolver strategy."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfx_best_exporter.component.artifacts import ExportDecision
    from tfx_best_exporter.component.component import BestExporter
    from tfx_best_exporter.component.strategies import BestExportedModelStrategy

__all__ = ["BestExportedModelStrategy", "BestExporter", "ExportDecision"]

_MODULES = {
    "BestExportedModelStrategy": "strategies",
    "BestExporter": "component",
    "ExportDecision": "artifacts",
}


def __getattr__(name: str) -> Any:
    """Returns a public name, importing its module on first use.

    A container imports only the artifact type. It does not import modules for pipeline authors.
    """
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
