import itertools
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx import types
from tfx.types import standard_artifacts

from tests.tfx_runs import PipelineRuns
from tfx_best_exporter.component import BestExportedModelStrategy, history
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.records import RECORD_PATH
from tfx_best_exporter.executor.storage import location_of


def resolve(
    runs: PipelineRuns, *siblings: types.Artifact, base_directory: Path | None = None
) -> list[types.Artifact]:
    strategy = BestExportedModelStrategy(base_directory=str(base_directory or runs.base_directory))
    result = strategy.resolve_artifacts(runs.store, {"model": list(siblings)})
    assert list(result) == ["model"]
    return result["model"]


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "tfx_best_exporter.component.strategies"
        and record.levelno == logging.WARNING
    ]


def test_the_first_run_resolves_to_nothing(runs: PipelineRuns, caplog: pytest.LogCaptureFixture):
    assert resolve(runs) == []
    assert resolve(runs, runs.train(1.0)) == []
    assert messages(caplog) == []


def test_the_model_behind_the_best(runs: PipelineRuns):
    first, worse = runs.candidate(1.0, loss=0.5), runs.candidate(2.0, loss=0.9)
    runs.export(first)
    runs.export(worse)
    [model] = resolve(runs, worse.model, runs.train(3.0))
    assert isinstance(model, standard_artifacts.Model)
    assert (model.id, model.uri) == (first.model.id, first.model.uri)
    better = runs.candidate(4.0, loss=0.1)
    runs.export(better)
    [model] = resolve(runs, worse.model)
    assert model.id == better.model.id


def test_the_channel_of_blessings_is_not_used(runs: PipelineRuns):
    candidate = runs.candidate(1.0, loss=0.5)
    runs.export(candidate)
    strategy = BestExportedModelStrategy(base_directory=str(runs.base_directory))
    found: list[list[types.Artifact]] = [[], [standard_artifacts.ModelBlessing()]]
    for blessings in found:
        resolved = strategy.resolve_artifacts(
            runs.store, {"model_blessing": blessings, "model": [runs.train(2.0)]}
        )
        assert [each.id for each in resolved["model"]] == [candidate.model.id]
        assert resolved["model_blessing"] == []


def test_a_best_that_pusher_pushed(runs: PipelineRuns):
    pushed = runs.candidate(1.0, loss=0.5)
    runs.push(pushed, 1732240000)
    [model] = resolve(runs, runs.train(2.0))
    assert model.id == pushed.model.id


def test_a_best_that_pusher_pushed_long_ago(runs: PipelineRuns, caplog: pytest.LogCaptureFixture):
    pushed = runs.candidate(1.0, loss=0.5)
    runs.push(pushed, 1732240000)
    kind = mlmd.ArtifactType(name=standard_artifacts.Examples.TYPE_NAME)
    type_id = runs.store.put_artifact_type(kind)
    runs.store.put_artifacts([mlmd.Artifact(type_id=type_id) for _ in range(2_500)])
    sibling = runs.train(2.0)
    [model] = resolve(runs, sibling)
    assert model.id == pushed.model.id
    best = ExportDirectory(location_of(runs.base_directory)).exports()[-1]
    with pytest.raises(LookupError) as caught:
        history.served_model(
            runs.store, best, None, sibling_id=sibling.id, clock=itertools.count(0.0, 3.0).__next__
        )
    assert str(caught.value) == (
        "the PushedModel of the served version 1732240000 was not found in ML Metadata within 5"
        " seconds"
    )


def test_another_base_directory(runs: PipelineRuns, tmp_path: Path):
    runs.export(runs.candidate(1.0, loss=0.5))
    assert resolve(runs, runs.train(2.0), base_directory=tmp_path / "other") == []


def test_another_pipeline(
    runs: PipelineRuns, tmp_path: Path, write_model: Any, caplog: pytest.LogCaptureFixture
):
    candidate = runs.candidate(1.0, loss=0.5)
    exported = runs.export(candidate)
    other = PipelineRuns(
        runs.connection_config,
        tmp_path,
        write_model,
        name="other",
        base_directory=runs.base_directory,
    )
    assert resolve(other, other.train(2.0)) == []
    [message] = messages(caplog)
    assert message == (
        f"no baseline: the Model of the served version {exported.decision.version} belongs to"
        f" another pipeline, at {candidate.model.uri}"
    )


def test_no_model_of_that_uri(runs: PipelineRuns, caplog: pytest.LogCaptureFixture):
    candidate = runs.candidate(1.0, loss=0.5)
    exported = runs.export(candidate)
    moved = runs.stored(candidate.model)
    moved.uri += "-moved"
    runs.store.put_artifacts([moved])
    assert resolve(runs, runs.train(2.0)) == []
    version = exported.decision.version
    assert messages(caplog) == [
        f"no baseline: ML Metadata has no Model for the served version {version}"
    ]


@pytest.mark.parametrize("what", ["files", "state"])
def test_a_model_that_is_gone(runs: PipelineRuns, what: str, caplog: pytest.LogCaptureFixture):
    candidate = runs.candidate(1.0, loss=0.5)
    exported = runs.export(candidate)
    if what == "files":
        shutil.rmtree(candidate.model.uri)
    else:
        stored = runs.stored(candidate.model)
        stored.state = mlmd.Artifact.DELETED
        runs.store.put_artifacts([stored])
    assert resolve(runs, runs.train(2.0)) == []
    version, uri = exported.decision.version, candidate.model.uri
    assert messages(caplog) == [
        f"no baseline: the Model of the served version {version} was deleted, at {uri}"
    ]


def test_a_record_that_cannot_be_read(runs: PipelineRuns, caplog: pytest.LogCaptureFixture):
    exported = runs.export(runs.candidate(1.0, loss=0.5))
    path = runs.base_directory / str(exported.decision.version) / RECORD_PATH
    path.write_text("{")
    assert resolve(runs, runs.train(2.0)) == []
    [message] = messages(caplog)
    assert message.startswith(f"no baseline: cannot read {path}: ")


@pytest.mark.parametrize(
    ("input_dict", "got"),
    [
        pytest.param({}, "none", id="no channel"),
        pytest.param(
            {"new": [standard_artifacts.Model()], "old": [standard_artifacts.Model()]},
            "new, old",
            id="two channels",
        ),
        pytest.param({"data": [standard_artifacts.Examples()]}, "data", id="another type"),
    ],
)
def test_other_channels(runs: PipelineRuns, input_dict: dict[str, Any], got: str):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        BestExportedModelStrategy(base_directory="/serving").resolve_artifacts(
            runs.store, input_dict
        )
    assert str(caught.value) == (
        f"Resolver must have exactly one channel of type Model (got {got}). Pass"
        " model=trainer.outputs['model']."
    )


@pytest.mark.parametrize("base_directory", ["", None, 7])
def test_a_base_directory_that_is_none(base_directory: Any):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        BestExportedModelStrategy(base_directory=base_directory)
    assert str(caught.value) == (
        f"base_directory must be a path or a URI (got {base_directory!r}). Pass the base directory"
        " of BestExporter's push_destination."
    )
