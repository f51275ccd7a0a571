"""Checks the inputs of a step. tests/executor/test_executor.py runs whole steps."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.errors import about
from tests.executor.plain import write_files
from tfx_best_exporter.executor.arguments.artifacts import InputArtifact
from tfx_best_exporter.executor.running import step
from tfx_best_exporter.executor.running.exec_properties import ExecProperties
from tfx_best_exporter.executor.storage.digest import masked_crc32c
from tfx_best_exporter.proto import event_files_pb2

BASE_DIRECTORY = "push_destination.filesystem.base_directory"
ONE, OTHER = InputArtifact(uri="/1"), InputArtifact(uri="/2")


def inputs_with(**artifacts: tuple[InputArtifact, ...]) -> step.StepInputs:
    return step.StepInputs(
        artifacts=artifacts,
        exec_properties=ExecProperties(base_directory="/serving"),
        output_uris={"pushed_model": "/p", "decision": "/d"},
    )


def test_the_artifact_of_a_channel():
    inputs = inputs_with(model=(ONE,), model_blessing=())
    assert inputs.only("model") is ONE
    assert inputs.has("model")
    assert not inputs.has("model_blessing")
    assert not inputs.has("evaluation")


@pytest.mark.parametrize(
    ("artifacts", "count"), [((), 0), ((ONE, OTHER), 2)], ids=["none", "several"]
)
def test_a_channel_of_another_number(artifacts: tuple[InputArtifact, ...], count: int):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole text follows.
        inputs_with(model=artifacts).only("model")
    assert str(caught.value) == (
        f"model must have one artifact (got {count}). Pass a channel that resolves to one artifact."
    )


def test_examples_of_several_artifacts_have_one_name():
    assert step.uri_of([OTHER, ONE]) == "/1,/2"


def write_event_file(path: Path, loss: float) -> None:
    """Writes one scalar as a Trainer does: a TFRecord with an Event."""
    event = event_files_pb2.Event(step=1)
    event.summary.value.add(tag="loss", simple_value=loss)
    content = event.SerializeToString()
    path.parent.mkdir(parents=True)
    length = struct.pack("<Q", len(content))
    checksums = [struct.pack("<I", masked_crc32c(each)) for each in (length, content)]
    path.write_bytes(length + checksums[0] + content + checksums[1])


@pytest.fixture
def run(tmp_path: Path) -> Callable[[str], step.StepOutputs]:
    """Returns a function that runs a step with a base directory, given relative to tmp_path."""
    write_files(tmp_path / "model" / "Format-Serving")
    write_event_file(tmp_path / "model_run" / "eval" / "events.out.tfevents.1", 0.5)

    def run(base_directory: str) -> step.StepOutputs:
        return step.run_step(
            step.StepInputs(
                artifacts={
                    channel: (InputArtifact(uri=str(tmp_path / channel)),)
                    for channel in ("model", "model_run")
                },
                exec_properties=ExecProperties(
                    base_directory=str(tmp_path / base_directory), event_file_pattern="eval/*"
                ),
                output_uris={
                    channel: str(tmp_path / channel) for channel in ("pushed_model", "decision")
                },
            )
        )

    return run


@pytest.mark.parametrize("channel", ["model", "model_run", "pushed_model", "decision"])
def test_a_base_directory_in_an_artifact_of_the_run_is_refused(
    run: Callable[[str], step.StepOutputs], tmp_path: Path, channel: str
):
    got = repr(str(tmp_path / channel / "serving"))
    with pytest.raises(ValueError, match=about(BASE_DIRECTORY, got)):
        run(f"{channel}/serving")
    assert not (tmp_path / channel / "serving").exists()


def test_a_base_directory_of_its_own(run: Callable[[str], step.StepOutputs], tmp_path: Path):
    properties = run("serving").custom_properties["pushed_model"]
    assert properties["pushed"] == 1
    assert properties["candidate_metric_loss"] == 0.5
    decision = json.loads((tmp_path / "decision" / "decision.json").read_text())
    assert properties["pushed_destination"] == (f"{tmp_path / 'serving'}/{decision['version']}")
