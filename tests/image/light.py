"""Imports everything that a step or a command in the light image may load.

It fails if a package is missing.
"""

from __future__ import annotations

import importlib
import pkgutil

import tfx_best_exporter.executor as package

# Packages that the light core loads late, when a step needs them.
LOADED_LATE = ("boto3", "google.cloud.storage", "jinja2", "rich.table", "scipy.special")
# Modules of the package that are for the full image.
FULL_IMAGE_MODULES = (
    "tfx_best_exporter.executor.beam_executor",
    "tfx_best_exporter.executor.evaluations.joint",
    "tfx_best_exporter.executor.executor",
    "tfx_best_exporter.executor.storage.fileio",
)


def main() -> None:
    """Imports all modules of the executor and the command line, and what they load late."""
    importlib.import_module("tfx_best_exporter.cli.__main__")
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if module.name not in FULL_IMAGE_MODULES:
            importlib.import_module(module.name)
    for name in LOADED_LATE:
        importlib.import_module(name)


if __name__ == "__main__":
    main()
