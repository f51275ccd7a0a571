"""Compares the entry point of containers with TFX's on the same ExecutorInput."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tfx.types import standard_component_specs

from tests.containers.processes import Containers, Ended
from tests.image.inputs import INPUTS_SPEC, METRIC, artifact, executor_input
from tfx_best_exporter.executor import container, keys

EXECUTOR, BEAM_EXECUTOR = container.OUR_EXECUTORS
# A step imports these packages only to save a model again, to evaluate again, or for a module file.
HEAVY_PACKAGES = {
    "apache_beam",
    "kfp",
    "numpy",
    "scipy",
    "tensorflow",
    "kubernetes",
    "ml_metadata",
    "tensorflow_model_analysis",
    "tfx",
}


@pytest.fixture
def root(tmp_path: Path, write_model: Callable[..., Path], evaluations: dict[str, Path]) -> Path:
    write_model(tmp_path / "model_a" / "Format-Serving", 1.0)
    write_model(tmp_path / "model_b" / "Format-Serving", 2.0)
    shutil.copytree(evaluations["paired"], tmp_path / "paired")
    return tmp_path


def words_of(content: dict[str, Any], executor: str = EXECUTOR) -> list[str]:
    return [
        "--executor_class_path",
        executor,
        "--json_serialized_invocation_args",
        json.dumps(content),
        "--json_serialized_inputs_spec_args",
        json.dumps(INPUTS_SPEC),
    ]


def arguments(root: Path, name: str, model: str, executor: str = EXECUTOR) -> list[str]:
    return words_of(executor_input(root, name, model, "paired"), executor)


def output_of(root: Path, name: str) -> dict[str, Any]:
    return json.loads((root / name / "executor_output.json").read_text())


def run(containers: Containers, module: str, words: list[str]) -> Ended:
    return containers.run(["python", "-m", module, *words], {})


@pytest.mark.slow
def test_it_does_what_the_entry_point_of_tfx_does(containers: Containers, root: Path):
    first = run(containers, container.__name__, arguments(root, "first", "model_a"))
    assert first.code == 0, first.log
    (version,) = (path.name for path in (root / "serving").iterdir() if path.name.isdecimal())
    pushed_model = output_of(root, "first")["artifacts"]["pushed_model"]["artifacts"][0]
    assert pushed_model["metadata"]["pushed_version"] == version
    outputs = []
    for executor in (EXECUTOR, BEAM_EXECUTOR):
        for module in (container.TFX_ENTRY_POINT, container.__name__):
            second = run(containers, module, arguments(root, "second", "model_b", executor))
            assert second.code == 0, second.log
            outputs.append(output_of(root, "second"))
            shutil.rmtree(root / "second")
    assert outputs == [outputs[0]] * 4
    metadata = outputs[1]["artifacts"]["decision"]["artifacts"][0]["metadata"]
    assert metadata["reason"] == "NOT_BETTER"


@pytest.mark.slow
def test_it_logs_as_tfx_does(containers: Containers, root: Path):
    first = run(containers, container.__name__, arguments(root, "first", "model_a"))
    assert re.search(r"^I\d{4} [\d:.]+ +\d+ \w+\.py:\d+\] exported: ", first.log, re.M), first.log


def with_examples(root: Path, content: dict[str, Any]) -> dict[str, Any]:
    """Returns an ExecutorInput with the URI of examples that do not exist."""
    artifacts = {
        **content["inputs"]["artifacts"],
        "examples": artifact("tfx.Examples", root / "examples", split_names='["eval"]'),
    }
    return {**content, "inputs": {**content["inputs"], "artifacts": artifacts}}


def not_better(root: Path) -> dict[str, Any]:
    return executor_input(root, "second", "model_b", "paired")


def not_better_than_the_baseline(root: Path) -> dict[str, Any]:
    """Returns an ExecutorInput whose evaluation has the best as its baseline."""
    path = root / "beside_best"
    shutil.copytree(root / "paired", path)
    eval_run = json.loads((path / "eval_config.json").read_text())
    eval_run["modelLocations"] = {
        "mine": str(root / "model_b" / "Format-Serving"),
        "theirs": str(root / "model_a" / "Format-Serving"),
    }
    (path / "eval_config.json").write_text(json.dumps(eval_run))
    content = with_examples(root, executor_input(root, "second", "model_b", path.name))
    rule = {"metric": {"name": METRIC}, "direction": "LOWER_IS_BETTER"}
    content["inputs"]["parameterValues"]["compare_policy"] = json.dumps({"metric": rule})
    return content


def already_best(root: Path) -> dict[str, Any]:
    return with_examples(root, executor_input(root, "second", "model_a", "paired"))


def not_blessed(root: Path) -> dict[str, Any]:
    content = with_examples(root, executor_input(root, "second", "model_b", "paired"))
    blessing = artifact("tfx.ModelBlessing", root / "blessing", blessed=0)
    content["inputs"]["artifacts"]["model_blessing"] = blessing
    return content


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make_input", "executor", "reason", "basis"),
    [
        pytest.param(
            not_better, EXECUTOR, "NOT_BETTER", "RECORDED_OTHER_DATA", id="without examples"
        ),
        pytest.param(
            not_better_than_the_baseline,
            EXECUTOR,
            "NOT_BETTER",
            "SAME_EVALUATION",
            id="the best is the baseline",
        ),
        pytest.param(already_best, BEAM_EXECUTOR, "ALREADY_BEST", None, id="already the best"),
        pytest.param(not_blessed, BEAM_EXECUTOR, "NOT_BLESSED", None, id="not blessed"),
    ],
)
def test_a_step_that_exports_nothing_imports_nothing_heavy(
    containers: Containers,
    root: Path,
    make_input: Callable[[Path], dict[str, Any]],
    executor: str,
    reason: str,
    basis: str | None,
):
    first = run(containers, container.__name__, arguments(root, "first", "model_a"))
    assert first.code == 0, first.log
    script = (
        "import atexit, runpy, sys; atexit.register(lambda: print(*sorted(sys.modules)));"
        f" runpy.run_module({container.__name__!r}, run_name='__main__')"
    )
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, *words_of(make_input(root), executor)],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    found = output_of(root, "second")["artifacts"]["decision"]["artifacts"][0]["metadata"]
    assert found["reason"] == reason
    decision = json.loads((root / "second" / "decision" / "decision.json").read_text())
    assert decision.get("basis") == basis
    imported = {name.partition(".")[0] for name in ended.stdout.splitlines()[-1].split()}
    assert "tfx_best_exporter" in imported
    assert imported & HEAVY_PACKAGES == set()


@pytest.mark.slow
def test_a_failure_is_one_of_the_process(containers: Containers, root: Path):
    shutil.rmtree(root / "paired")
    (root / "paired").mkdir()
    failed = run(containers, container.__name__, arguments(root, "first", "model_a"))
    assert failed.code == 1
    last_line = failed.log.rstrip().splitlines()[-1]
    assert last_line.startswith("ValueError: evaluation ")
    assert str(root / "paired") in last_line
    assert not (root / "first" / "executor_output.json").exists()


@pytest.mark.slow
def test_other_components_are_handed_over(containers: Containers):
    other = ["--executor_class_path", "no.such.Executor", "--json_serialized_invocation_args", "{}"]
    handed_over = run(containers, container.__name__, other)
    assert handed_over.code == 1
    assert "kubeflow_v2_run_executor.py" in handed_over.log
    assert "ModuleNotFoundError: No module named 'no'" in handed_over.log


# Names that keys.py repeats, because importing them from TFX would import TensorFlow.


@pytest.mark.parametrize(
    "name",
    [
        "MODEL_KEY",
        "EVALUATION_KEY",
        "MODEL_RUN_KEY",
        "MODEL_BLESSING_KEY",
        "INFRA_BLESSING_KEY",
        "PUSHED_MODEL_KEY",
        "PUSH_DESTINATION_KEY",
        "MODULE_FILE_KEY",
        "MODULE_PATH_KEY",
    ],
)
def test_names_are_those_of_tfx(name: str):
    assert getattr(keys, name) == getattr(standard_component_specs, name)
