"""The version of tfx-best-exporter, as its records name it."""

from importlib import metadata


def _installed_version() -> str:
    try:
        return metadata.version("tfx-best-exporter")
    except metadata.PackageNotFoundError:
        # Run from a source tree that was put on the path without being installed.
        return "unknown"


VERSION = _installed_version()
