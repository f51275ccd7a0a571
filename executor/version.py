"""The version of tfx-best-exporter in its records."""

from importlib import metadata


def _installed_version() -> str:
    try:
        return metadata.version("tfx-best-exporter")
    except metadata.PackageNotFoundError:
        # The package is on the path but not installed, as in a source tree.
        return "unknown"


VERSION = _installed_version()
