"""Runs BestExporter's command from a compiled pipeline as Kubeflow and Vertex AI do."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tfx.orchestration import data_types

from pipelines import compiled
from tests.containers import processes
from tests.containers.conftest import Runs
from tests.containers.launcher import KUBEFLOW_2_0, NEWEST_KUBEFLOW, VERTEX, Flavor
from tests.containers.processes import Ended
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.transfer import local_directory

pytestmark = pytest.mark.slow

INPUTS = ("model", "evaluation", "model_blessing")

MODULE = """
def compare_fn(best_eval_result, current_eval_result):
    return current_eval_result["auc"] > best_eval_result["auc"]
"""


def scale_of(model: Location, work_path: Path) -> float:
    """Returns the factor of a SavedModel in any storage."""
    path = local_directory(model, work_path, [*model.sizes()])
    signature = tf.saved_model.load(str(path)).signatures["serving_default"]
    return float(signature(x=tf.constant([1.0]))["y"][0])


@pytest.mark.parametrize(
    ("kind", "flavor"),
    [("local", KUBEFLOW_2_0), ("gs", VERTEX), ("s3", NEWEST_KUBEFLOW)],
    ids=["local", "gs", "s3"],
)
def test_exports_refuses_and_retires(
    make_runs: Callable[..., Runs], tmp_path: Path, kind: str, flavor: Flavor
):
    runs = make_runs(kind, flavor)
    step = runs.compile(INPUTS, exports_to_keep=1)
    first = runs.run(step, runs.candidate(1.0, loss=0.5, auc=0.75))
    assert first.ended.code == 0, first.ended.log
    [version] = runs.versions()
    assert first.decision is not None
    explanation = first.decision.explanation
    common: dict[str, Any] = {
        "reason": "FIRST_EXPORT",
        "explanation": explanation,
        "pushed_version": version,
        "best_version": "",
        "number_retired": 0.0,
        "candidate_metric_loss": 0.5,
        "candidate_metric_auc": 0.75,
    }
    assert first.properties("pushed_model") == {
        **common,
        "pushed": 1.0,
        "pushed_destination": f"{runs.base_uri}/{version}",
    }
    assert first.properties("decision") == {**common, "exported": 1.0}
    assert first.decision is not None
    assert list(first.decision.warnings) == []
    assert f"exported: FIRST_EXPORT: {explanation} (base directory {runs.base_uri}" in (
        first.ended.log
    )

    worse = runs.run(step, runs.candidate(2.0, loss=0.625, auc=0.5))
    assert runs.versions() == [version]
    assert worse.decision is not None
    explanation = worse.decision.explanation
    common = {
        "reason": "NOT_BETTER",
        "explanation": explanation,
        "pushed_version": "",
        "best_version": version,
        "number_retired": 0.0,
        "candidate_metric_loss": 0.625,
        "candidate_metric_auc": 0.5,
        "best_metric_loss": 0.5,
        "best_metric_auc": 0.75,
    }
    assert worse.properties("pushed_model") == {
        **common,
        "pushed": 0.0,
        "pushed_destination": "",
    }
    assert worse.properties("decision") == {**common, "exported": 0.0}
    assert list(worse.pushed_model.sizes()) == []

    better = runs.run(step, runs.candidate(3.0, loss=0.25))
    [best] = runs.versions()
    assert int(best) > int(version)
    assert better.reason == "BETTER"
    assert better.decision is not None
    assert [entry.version for entry in better.decision.retired] == [int(version)]
    assert better.properties("pushed_model")["number_retired"] == 1.0
    assert better.properties("decision")["best_metric_auc"] == 0.75
    served = runs.place / f"serving/{best}"
    assert scale_of(served, tmp_path / "served") == 3.0
    assert scale_of(better.pushed_model, tmp_path / "pushed") == 3.0


@pytest.mark.parametrize(
    ("properties", "reason"),
    [({"blessed": 0.0}, "NOT_BLESSED"), ({}, "BLESSING_NOT_COMPUTED")],
    ids=["not blessed", "never computed"],
)
def test_without_a_blessing(runs: Runs, properties: dict[str, float], reason: str):
    inputs = {**runs.candidate(loss=0.5), "model_blessing": runs.blessing(**properties)}
    run = runs.run(runs.compile(inputs), inputs)
    assert run.reason == reason
    uri = inputs["model_blessing"].uri
    assert f"model_blessing at {uri} " in run.properties("decision")["explanation"]
    assert run.properties("pushed_model")["pushed"] == 0.0
    assert runs.versions() == []


def test_an_infra_blessing_with_a_warmed_up_model(runs: Runs, tmp_path: Path):
    inputs = {
        "infra_blessing": runs.infra_blessing(4.0, blessed=1.0, has_model=1.0),
        "evaluation": runs.evaluation(loss=0.5),
    }
    run = runs.run(runs.compile(inputs), inputs)
    assert run.reason == "FIRST_EXPORT"
    assert scale_of(run.pushed_model, tmp_path / "pushed") == 4.0


def test_a_model_run_as_the_evaluation(runs: Runs):
    inputs = {"model": runs.model(), "model_run": runs.model_run(loss=0.5)}
    run = runs.run(runs.compile(inputs), inputs)
    assert run.reason == "FIRST_EXPORT"
    assert run.properties("decision")["candidate_metric_loss"] == 0.5


def test_a_user_module_file(runs: Runs, tmp_path: Path):
    module_path = tmp_path / "module" / "comparing_module.py"
    module_path.parent.mkdir()
    module_path.write_text(MODULE)
    step = runs.compile(INPUTS, module_file=str(module_path))
    # The container can read only the wheel that the compiler wrote to the pipeline root.
    module_path.unlink()
    assert runs.run(step, runs.candidate(1.0, auc=0.75)).reason == "FIRST_EXPORT"
    assert runs.run(step, runs.candidate(2.0, auc=0.5)).reason == "NOT_BETTER"


def test_a_candidate_that_is_not_a_number(runs: Runs):
    # JSON has no NaN: such a property would make the container fail after its decision.
    step = runs.compile(INPUTS)
    run = runs.run(step, runs.candidate(loss=float("nan"), auc=float("inf"), recall=0.5))
    assert run.reason == "CANDIDATE_IS_NAN"
    properties = run.properties("decision")
    assert {name for name in properties if "metric" in name} == {"candidate_metric_recall"}


@pytest.mark.parametrize("value", ["path", "message"])
def test_a_base_directory_that_is_given_when_the_pipeline_is_started(runs: Runs, value: str):
    parameter = data_types.RuntimeParameter(name="base-directory", ptype=str)
    step = runs.compile(INPUTS, push_destination=parameter)
    given = (
        runs.base_uri
        if value == "path"
        else f'{{"filesystem": {{"base_directory": "{runs.base_uri}"}}}}'
    )
    run = runs.run(step, runs.candidate(loss=0.5), parameters={"base-directory": given})
    assert run.properties("decision")["exported"] == 1.0
    assert len(runs.versions()) == 1


def test_a_metric_that_is_named_when_the_pipeline_is_started(runs: Runs):
    parameter = data_types.RuntimeParameter(name="policy", ptype=str)
    step = runs.compile(INPUTS, compare_policy=parameter)
    policy = '{"metric": {"metric": {"name": "auc"}, "direction": "HIGHER_IS_BETTER"}}'
    run = runs.run(step, runs.candidate(loss=0.5, auc=0.75), parameters={"policy": policy})
    assert run.decision is not None
    assert [(each.metric, each.candidate) for each in run.decision.comparisons] == [("auc", 0.75)]
    failed = runs.run(step, runs.candidate(loss=0.5, auc=0.75), parameters={"policy": "auc"})
    assert failed.ended.code == 1
    assert re.search(r"^\S*ValueError: compare_policy .*\(got 'auc'", failed.ended.log, re.M)


def test_a_pipeline_of_schema_2_0(make_runs: Callable[..., Runs]):
    # KubeflowV2DagRunner compiles to this schema by default, and Vertex AI accepts it.
    runs = make_runs("local", VERTEX)
    step = runs.compile(INPUTS, use_pipeline_spec_2_1=False, as_text=True)
    assert runs.run(step, runs.candidate(loss=0.5)).reason == "FIRST_EXPORT"
    [version] = runs.versions()
    assert (runs.place / f"serving/{version}/saved_model.pbtxt").read(1 << 20)


def test_a_failure(runs: Runs):
    run = runs.run(runs.compile(INPUTS), runs.candidate(auc=0.75))
    assert run.ended.code == 1
    assert run.outputs is None
    assert re.search(r"^\S*FieldValueError: compare_policy must be set .*auc", run.ended.log, re.M)
    assert runs.versions() == []


def test_in_processes_of_their_own(runs: Runs, tmp_path: Path):
    """Two containers run at once; only one has the package with the compare function."""
    package = tmp_path / "installed" / "team_models"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "comparing.py").write_text(MODULE)
    step = runs.compile(INPUTS, compare_fn="team_models.comparing.compare_fn")
    assert list(step.container["command"]) == compiled.ENTRY_POINT
    started: list[tuple[subprocess.Popen[str], Path, Location]] = []
    for path in (str(package.parent), None):
        command, output_path, outputs = runs.command(step, runs.candidate(2.0, auc=0.75))
        environment = {**runs.place.environment, **({"PYTHONPATH": path} if path else {})}
        directory = output_path.parent
        directory.mkdir()
        started.append((processes.start(command, environment, directory), output_path, outputs))
    ended = [
        runs.read(Ended(log=process.communicate()[0], code=process.returncode), path, outputs)
        for process, path, outputs in started
    ]
    with_package, without_package = ended
    assert with_package.ended.code == 0, with_package.ended.log
    assert with_package.reason == "FIRST_EXPORT"
    assert with_package.properties("pushed_model")["candidate_metric_auc"] == 0.75
    assert without_package.ended.code == 1
    assert without_package.outputs is None
    assert re.search(
        r"^\S*ValueError: compare_policy\.compare_fn .*"
        r"\(got 'team_models\.comparing\.compare_fn': No module named 'team_models'\)",
        without_package.ended.log,
        re.M,
    )
