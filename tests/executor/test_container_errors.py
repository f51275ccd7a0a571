"""Checks the errors of the entry point of containers in an incomplete image."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tfx_best_exporter.executor import container

ENTRY_POINT = "tfx_best_exporter.executor.container"
FLAGS = ["--executor_class_path", "no.such.Executor", "--json_serialized_invocation_args", "{}"]


def run_without(module: str, path: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
    """Runs the entry point with a kfp whose import fails because a module is missing."""
    (path / "kfp").mkdir()
    (path / "kfp" / "__init__.py").write_text(
        f"raise ModuleNotFoundError({f'No module named {module!r}'!r}, name={module!r})\n"
    )
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", ENTRY_POINT, *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(path), *sys.path])},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_without_the_pipeline_spec_it_says_what_to_install(tmp_path: Path):
    run = run_without("kfp", tmp_path, FLAGS)
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == (
        "kfp-pipeline-spec must be installed in the image (got ModuleNotFoundError: No module"
        " named 'kfp'). Run pip install kfp-pipeline-spec when you build the image.\n"
    )


@pytest.mark.parametrize("executor", container.OUR_EXECUTORS)
def test_a_step_of_ours_does_not_need_it(tmp_path: Path, executor: str):
    run = run_without("kfp", tmp_path, ["--executor_class_path", executor, *FLAGS[2:]])
    assert run.returncode == 1
    assert "kfp" not in run.stderr
    assert run.stderr.endswith("KeyError: 'push_destination'\n")


def test_help_does_not_need_it(tmp_path: Path):
    run = run_without("kfp", tmp_path, ["--help"])
    assert "--json_serialized_invocation_args" in run.stdout
    assert run.stderr == ""


def test_what_kfp_itself_lacks_is_named_as_it_is(tmp_path: Path):
    run = run_without("kubernetes", tmp_path, FLAGS)
    assert run.returncode == 1
    assert run.stderr.endswith("ModuleNotFoundError: No module named 'kubernetes'\n")
    assert "kfp-pipeline-spec" not in run.stderr
