"""Fails unless the environment has exactly the packages that a step needs."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "tfx-best-exporter"
# The Dockerfile installs these. TFX installs user modules with pip, setuptools and wheel.
ASKED = (f"{PROJECT}[s3]", "pip", "setuptools", "wheel", "kfp-pipeline-spec")
BUILD_TOOLS = ("cc", "c++", "gcc", "g++", "clang", "ld", "make", "cmake", "bazel", "git", "uv")


def needed(asked: Iterable[str]) -> dict[str, str]:
    """Returns the versions of all required distributions by name.

    Raises:
        PackageNotFoundError: A required distribution is not installed.
    """
    todo = [(requirement.name, extra) for requirement, extra in _with_extras(asked)]
    seen = set(todo)
    while todo:
        name, extra = todo.pop()
        for requirement, of_extra in _with_extras(importlib.metadata.requires(name) or ()):
            marker = requirement.marker
            wanted = (canonicalize_name(requirement.name), of_extra)
            if wanted not in seen and (marker is None or marker.evaluate({"extra": extra})):
                seen.add(wanted)
                todo.append(wanted)
    return {canonicalize_name(name): importlib.metadata.version(name) for name, _ in seen}


def _with_extras(lines: Iterable[str]) -> Iterator[tuple[Requirement, str]]:
    for requirement in map(Requirement, lines):
        for extra in ("", *requirement.extras):
            yield requirement, extra


def locked() -> dict[str, str]:
    """Returns the versions of requirements.lock for this Python by name."""
    requirements = map(Requirement, (ROOT / "requirements.lock").read_text().splitlines())
    return {
        canonicalize_name(requirement.name): pin.version
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate()
        for pin in requirement.specifier
    }


def problems() -> list[str]:
    """Returns the problems of the environment, one sentence for each."""
    found = []
    if os.getuid() == 0 or not os.access(Path.home(), os.W_OK):
        found.append("The user must not be root, and must have a writable home directory.")
    installed = {
        canonicalize_name(each.name): each.version for each in importlib.metadata.distributions()
    }
    pins, wanted = locked(), needed(ASKED)
    for name in sorted(installed.keys() - wanted.keys()):
        found.append(f"{name} is installed, but no package needs it.")
    for name, version in sorted(installed.items()):
        if name != PROJECT and pins.get(name) != version:
            found.append(f"{name} {version} is installed, but the lock has {pins.get(name)}.")
    if installed.keys() & {"pytest", "ruff", "moto"}:
        found.append("Development tools are installed.")
    found += [f"{tool} is installed." for tool in BUILD_TOOLS if shutil.which(tool)]
    check = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True)
    if check.returncode:
        found.append(f"pip check reports: {check.stdout}")
    return found


def main() -> None:
    """Exits with code 1 and a list of the problems if there are any."""
    if found := problems():
        sys.exit("\n".join(found))
    versions = {name: importlib.metadata.version(name) for name in ("tfx", "ml-metadata")}
    sys.stdout.write(
        f"Python {platform.python_version()}, {'-'.join(platform.libc_ver())},"
        f" {len(list(importlib.metadata.distributions()))} distributions in the lock's versions"
        f" (tfx {versions['tfx']}, ml-metadata {versions['ml-metadata']}), all of them needed;"
        " pip check passes; no compiler\n"
    )


if __name__ == "__main__":
    main()
