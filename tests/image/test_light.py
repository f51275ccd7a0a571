"""Runs steps with the requirements of the light image only."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import tomli
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.children import REPOSITORY
from tests.containers import pods
from tests.image.contents import needed
from tests.image.inputs import INPUTS_SPEC, METRIC, executor_input
from tests.tfx_runs import write_evaluation
from tfx_best_exporter.executor import container

PYPROJECT = tomli.loads((REPOSITORY / "pyproject.toml").read_text())
LIGHT: list[str] = PYPROJECT["tool"]["tfx-best-exporter"]["light-image"]
OURS = "tfx-best-exporter"


Run = Callable[..., subprocess.CompletedProcess[str]]


def link(names: Iterable[str], directory: Path, *, has_code: bool = True) -> None:
    """Links the files of installed distributions into a directory, as pip would install them."""
    for name in names:
        for file in importlib.metadata.files(name) or ():
            # Scripts and editable installs are elsewhere.
            if ".." in file.parts or (not has_code and not file.parts[0].endswith(".dist-info")):
                continue
            path = directory / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(file.locate())


def run_in(site: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a module with the packages below `site`, and the checkout of this one."""
    paths = (site, REPOSITORY / ".venv" / "links", REPOSITORY)
    return subprocess.run(
        # -S hides the packages of this environment.
        [sys.executable, "-S", "-W", "ignore", "-m", module, *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Returns a function that runs a module with the packages of the light image."""
    site = tmp_path_factory.mktemp("site")
    link(needed(LIGHT), site)
    link(["tfx", OURS], site, has_code=False)
    return functools.partial(run_in, site)


def test_the_light_core_needs_no_other_package(run: Run):
    ended = run("tests.image.light")
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("name", LIGHT)
def test_each_requirement_is_needed(tmp_path: Path, name: str):
    link(needed([each for each in LIGHT if each != name]).keys() - {name}, tmp_path)
    ended = run_in(tmp_path, "tests.image.light")
    assert ended.returncode == 1
    # `google` is a namespace of several packages.
    assert re.search("(ModuleNotFound|Import)Error: ", ended.stderr), ended.stderr


def test_requirements_are_those_of_the_package():
    project = PYPROJECT["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["s3"]]
    known = {canonicalize_name(Requirement(line).name) for line in lines}
    assert set(LIGHT) <= known
    # The version of TFX is read from its metadata, which the image has without the code.
    assert "tfx" not in needed(LIGHT)


@pytest.fixture
def root(tmp_path: Path, write_model: Callable[..., Path]) -> Path:
    for name, scale in (("model_a", 1.0), ("model_b", 2.0)):
        write_model(tmp_path / name / "Format-Serving", scale)
    write_evaluation(tmp_path / "paired", {METRIC: 0.5})
    return tmp_path


def step(
    run: Run,
    root: Path,
    name: str,
    model: str,
    change: Callable[[dict[str, Any]], None] = lambda _: None,
    words: Iterable[str] = (),
) -> subprocess.CompletedProcess[str]:
    content = executor_input(root, name, model, "paired")
    change(content["inputs"])
    return run(
        container.__name__,
        "--executor_class_path",
        container.OUR_EXECUTORS[0],
        "--json_serialized_invocation_args",
        json.dumps(content),
        "--json_serialized_inputs_spec_args",
        json.dumps(INPUTS_SPEC),
        *words,
    )


def metadata_of(root: Path, name: str) -> dict[str, Any]:
    content = json.loads((root / name / "executor_output.json").read_text())
    return content["artifacts"]["decision"]["artifacts"][0]["metadata"]


def test_steps_export_and_refuse(run: Run, root: Path):
    for name, model, reason in (
        ("first", "model_a", "FIRST_EXPORT"),
        ("second", "model_b", "NOT_BETTER"),
    ):
        ended = step(run, root, name, model)
        assert ended.returncode == 0, ended.stderr
        assert metadata_of(root, name)["reason"] == reason
        assert metadata_of(root, name)["tfx_version"] == importlib.metadata.version("tfx")


def add_examples(inputs: dict[str, Any]) -> None:
    inputs["artifacts"]["examples"] = {"artifacts": [{"uri": "/data/examples"}]}


def set_parameter(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda inputs: inputs["parameterValues"].update({name: value})


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (add_examples, "examples"),
        (set_parameter("as_text", 1), "as_text"),
        (set_parameter("module_file", "/models/compare.py"), "module_file"),
        (set_parameter("serving_signatures_fn", "team.signatures"), "serving_signatures_fn"),
    ],
    ids=["examples", "as_text", "module_file", "serving_signatures_fn"],
)
def test_a_step_for_the_full_image_says_so(
    run: Run, root: Path, change: Callable[[dict[str, Any]], None], found: str
):
    ended = step(run, root, "first", "model_a", change)
    assert ended.returncode == 1
    assert (
        f"RuntimeError: a step with {found} must run in the full image (got an image without"
        " TensorFlow). Compile the pipeline without the light image, or leave out"
        f" {found}." in ended.stderr
    )
    assert not (root / "serving").exists()


ELSEWHERE = ["--runner=DataflowRunner"]


@pytest.mark.skipif(not pods.has_folders(), reason="only root can make the folder /s3")
def test_the_runner_of_the_pipeline_does_not_matter(run: Run, root: Path):
    """TFX's compiler passes the arguments of Beam to all components, also without `examples`."""
    bucket_uri = f"s3://light-{uuid.uuid4().hex}"

    def use_bucket(inputs: dict[str, Any]) -> None:
        for each in inputs["artifacts"].values():
            [artifact] = each["artifacts"]
            artifact["uri"] = artifact["uri"].replace(str(root), bucket_uri)

    with pods.folder(bucket_uri) as path:
        shutil.copytree(root, path, dirs_exist_ok=True)
        ended = step(run, root, "first", "model_a", use_bucket, ELSEWHERE)
    assert ended.returncode == 0, ended.stderr
    assert metadata_of(root, "first")["reason"] == "FIRST_EXPORT"


def test_examples_with_a_runner_elsewhere_say_so_too(run: Run, root: Path):
    ended = step(run, root, "first", "model_a", add_examples, ELSEWHERE)
    assert ended.returncode == 1
    assert "RuntimeError: a step with examples must run in the full image" in ended.stderr


def test_a_storage_for_the_full_image_says_so(run: Run, root: Path):
    destination = json.dumps({"filesystem": {"base_directory": "hdfs://serving/penguin"}})
    ended = step(run, root, "first", "model_a", set_parameter("push_destination", destination))
    assert ended.returncode == 1
    assert "RuntimeError: this step must run in the full image (got ModuleNotFoundError" in (
        ended.stderr
    )
