"""The targets of the Makefile that run pytest, and the tests that each of them selects."""

from __future__ import annotations

import collections
import dataclasses
import re
import shlex
from collections.abc import Collection, Mapping

import pytest

# The markers of each collected test by its node ID, before pytest deselects tests by their markers.
COLLECTED = pytest.StashKey[Mapping[str, Collection[str]]]()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A target that runs pytest.

    Attributes:
        name: Name of the target.
        expression: Expression of markers that a test must match.
        paths: Directories and files of the tests; empty for all.
    """

    name: str
    expression: str
    paths: tuple[str, ...] = ()

    def selects(self, nodeid: str, markers: Collection[str]) -> bool:
        """Returns True if the target runs a test.

        Args:
            nodeid: Node ID of the test, for example "tests/faults/test_kills.py::test[local]".
            markers: Names of its markers.
        """
        path = nodeid.partition("::")[0]
        is_below = any(f"{path}/".startswith(f"{each}/") for each in self.paths)
        if self.paths and not is_below:
            return False
        # An expression of pytest is one of Python. A name is true if the test has this marker.
        names = collections.defaultdict(bool, dict.fromkeys(markers, True))
        return bool(eval(self.expression, {"__builtins__": {}}, names))


def targets_of(makefile: str, expression: str) -> list[Target]:
    """Returns the targets that run pytest.

    Args:
        makefile: Text of the Makefile.
        expression: Expression of the targets that have none of their own.
    """
    found = []
    for match in re.finditer(r"^(test[\w-]*):.*\n((?:\t.*\n?)+)", makefile, re.MULTILINE):
        for line in match[2].splitlines():
            if "-m pytest " not in line:
                continue
            words = shlex.split(line.partition("-m pytest ")[2].replace("$(PYTEST_ARGS)", ""))
            own = words.pop(words.index("-m") + 1) if "-m" in words else expression
            paths = tuple(word.rstrip("/") for word in words if not word.startswith("-"))
            found.append(Target(name=match[1], expression=own, paths=paths))
    return found


def called_by(script: str) -> set[str]:
    """Returns the names of the targets that a script calls for all of their tests."""
    calls = re.findall(r"\bmake --no-print-directory (test[\w-]*)(.*)", script.replace("\\\n", " "))
    return {name for name, rest in calls if "PYTEST_ARGS" not in rest}
