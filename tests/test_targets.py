"""Checks that each test runs in a target of the Makefile that .ci/run calls."""

from pathlib import Path

import pytest
import tomli

from tests.targets import COLLECTED, Target, called_by, targets_of

REPOSITORY = Path(__file__).parents[1]
OPTIONS = tomli.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["pytest"]["addopts"]
TARGETS = targets_of(
    (REPOSITORY / "Makefile").read_text(), expression=OPTIONS[OPTIONS.index("-m") + 1]
)
CALLED = called_by((REPOSITORY / ".ci/run").read_text())

MAKEFILE = """
.PHONY: test
test: $(SETUP)  ## Run the tests.
\t@$(BIN)/python -m pytest --numprocesses=2 $(PYTEST_ARGS)

test-slow: $(SETUP)
\t@echo 'slow'
\t@$(BIN)/python -m pytest -m "slow and not huge" tests/a/ tests/b/test_c.py $(PYTEST_ARGS)

test-image: $(SETUP)
\t@$(BIN)/python -m tests.image.proof
"""


def test_targets_and_their_options():
    assert targets_of(MAKEFILE, "not slow") == [
        Target(name="test", expression="not slow"),
        Target(
            name="test-slow",
            expression="slow and not huge",
            paths=("tests/a", "tests/b/test_c.py"),
        ),
    ]


@pytest.mark.parametrize(
    ("nodeid", "markers", "expected"),
    [
        ("tests/a/test_d.py::test[x]", {"slow"}, True),
        ("tests/a/test_d.py::test[x]", {"slow", "huge"}, False),
        ("tests/a/test_d.py::test[x]", set[str](), False),
        ("tests/b/test_c.py::test", {"slow", "other"}, True),
        ("tests/b/test_d.py::test", {"slow"}, False),
        ("tests/ab/test_d.py::test", {"slow"}, False),
    ],
)
def test_selects(nodeid: str, markers: set[str], expected: bool):
    assert targets_of(MAKEFILE, "not slow")[1].selects(nodeid, markers) is expected


def test_targets_that_a_script_calls():
    script = (
        "make --no-print-directory setup\n"
        'make --no-print-directory test-wheel \\\n  PYTEST_ARGS="-q tests/a"\n'
        "timeout --kill-after=60 1200 make --no-print-directory test-slow || status=$?\n"
        "make --no-print-directory test || status=$?\n"
    )
    assert called_by(script) == {"test", "test-slow"}


def test_every_collected_test_runs_in_a_target_that_ci_calls(request: pytest.FixtureRequest):
    """`make test` collects all tests, also those that it does not run."""
    targets = [target for target in TARGETS if target.name in CALLED]
    assert targets
    lost = [
        nodeid
        for nodeid, markers in request.config.stash[COLLECTED].items()
        if not any(target.selects(nodeid, markers) for target in targets)
    ]
    assert lost == []
