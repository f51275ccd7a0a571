"""Runs steps whose output directories have files of an earlier attempt, or TensorFlow's markers."""

from collections.abc import Callable

import pytest

from tests.containers import components
from tests.containers.conftest import BUCKET, Runs, as_other
from tests.containers.launcher import NEWEST_KUBEFLOW, Step
from tests.containers.processes import Containers
from tfx_best_exporter.executor.storage.location import Location

pytestmark = pytest.mark.slow

INPUTS = ("model", "evaluation", "model_blessing")


def run(
    runs: Runs, containers: Containers, step: Step, prepare: Callable[[Location], None]
) -> Location:
    """Runs a step after a function has changed its output directories, and returns their parent."""
    command, _, outputs = runs.command(step, runs.candidate(loss=0.5))
    prepare(outputs)
    ended = containers.run(command, runs.place.environment)
    assert ended.code == 0, ended.log
    return outputs


@pytest.mark.parametrize(
    ("kind", "executor"),
    [("local", None), ("gs", None), ("s3", None), ("local", components.Recorder)],
    ids=["local", "gs", "s3", "another component"],
)
def test_files_of_an_earlier_attempt(
    make_runs: Callable[..., Runs], containers: Containers, kind: str, executor: type | None
):
    runs = make_runs(kind, NEWEST_KUBEFLOW)
    step = runs.compile(INPUTS)
    if executor:
        step = as_other(step, executor)
    undisturbed = run(runs, containers, step, lambda _: None)
    (runs.place / "serving").remove()

    def write_leftovers(outputs: Location) -> None:
        for name in ("pushed_model/variables/old", "decision/old.html", "blessing/NOT_BLESSED"):
            (outputs / name).write(b"earlier")

    disturbed = run(runs, containers, step, write_leftovers)
    assert disturbed.sizes().keys() == undisturbed.sizes().keys()


@pytest.mark.parametrize("executor", [None, components.MarkerWriter], ids=["ours", "another"])
def test_no_marker_of_a_directory_is_left(
    make_runs: Callable[..., Runs], containers: Containers, executor: type | None
):
    runs = make_runs("gs", NEWEST_KUBEFLOW)
    step = runs.compile(INPUTS)
    if executor:
        step = as_other(step, executor)
    bucket = runs.place.storage._client.bucket(BUCKET)

    def write_markers(outputs: Location) -> None:
        prefix = outputs.path.partition("/")[2]
        for name in ("decision/", "pushed_model/", "pushed_model/variables/"):
            bucket.blob(f"{prefix}/{name}").upload_from_string(b"")

    outputs = run(runs, containers, step, write_markers)
    prefix = outputs.path.partition("/")[2]
    names = [blob.name.removeprefix(f"{prefix}/") for blob in bucket.list_blobs(prefix=prefix)]
    assert [name for name in names if name.endswith("/")] == []
    assert any(name.startswith("pushed_model/variables/") for name in names)
