"""One run, from the lock to the message: the order of the steps, and what each may read."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from tfx_best_exporter.executor.exporter import ModelExporter
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.policies import at_least, compare_policy, larger
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.local import LocalStorage
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.proto import best_exporter_pb2 as pb

R = pb.ExportDecision
POLICY = compare_policy(larger("auc"), guardrails=[at_least("recall", 0.5)])


class Other(tf.Module):
    """A model whose serving signature has another input than the models of `write_model`."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = tf.Variable(tf.constant(3.0))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="z")])
    def serve(self, z: Any) -> Any:
        return {"y": self.scale * z}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "serving"


@pytest.fixture
def exporter(base: Path) -> ModelExporter:
    return ModelExporter(base, compare_policy=POLICY, clock=lambda: 1000.0)


def other_model(path: Path) -> Path:
    module = Other()
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.serve})
    return path


@pytest.mark.parametrize(
    ("recall", "reason"),
    [
        pytest.param(0.1, R.SIGNATURES_CHANGED, id="signatures come before guardrails"),
        pytest.param(0.9, R.SIGNATURES_CHANGED, id="signatures alone"),
    ],
)
def test_signatures_that_would_break_clients(
    exporter: ModelExporter,
    tmp_path: Path,
    write_model: Callable[..., Path],
    recall: float,
    reason: int,
):
    exporter.run(write_model(tmp_path / "best"), {"auc": 0.5, "recall": 0.9})
    decision = exporter.run(other_model(tmp_path / "other"), {"auc": 0.9, "recall": recall})
    assert decision.reason == reason
    # The input `x` was removed, and the input `z` was added.
    assert len(decision.signature_changes) == 2
    assert [each.holds for each in decision.guardrails] == [recall > 0.5]


class ReadFiles(LocalStorage):
    """A disk that records the files that are read whole."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    def read(self, path: str, max_bytes: int) -> bytes:
        self.paths.append(path)
        return super().read(path, max_bytes)


def test_a_candidate_that_is_not_better_reads_no_signatures(
    base: Path, tmp_path: Path, write_model: Callable[..., Path]
):
    disk = ReadFiles()
    exporter = ModelExporter(Location(disk, str(base)), compare_policy=POLICY, clock=lambda: 1000.0)
    exporter.run(write_model(tmp_path / "best"), {"auc": 0.5, "recall": 0.9})
    graph_path = str(base / "1000" / "saved_model.pb")
    disk.paths.clear()
    worse = exporter.run(write_model(tmp_path / "worse", 3.0), {"auc": 0.4, "recall": 0.9})
    assert worse.reason == R.NOT_BETTER
    assert graph_path not in disk.paths
    better = exporter.run(write_model(tmp_path / "better", 4.0), {"auc": 0.6, "recall": 0.9})
    assert better.exported
    assert graph_path in disk.paths


def test_a_compare_function_is_called_once(
    base: Path, tmp_path: Path, write_model: Callable[..., Path]
):
    calls = []

    def compare(best_eval_result: Any, current_eval_result: Any) -> bool:
        calls.append((best_eval_result["loss"], current_eval_result["loss"]))
        return True

    exporter = ModelExporter(base, compare_fn=compare)
    exporter.run(write_model(tmp_path / "best"), {"loss": 0.5})
    calls.clear()
    assert exporter.run(write_model(tmp_path / "other", 3.0), {"loss": 0.7}).exported
    assert calls == [(0.5, 0.7)]


def test_a_run_does_not_change_the_best_s_record(
    exporter: ModelExporter, base: Path, tmp_path: Path, write_model: Callable[..., Path]
):
    exports = ExportDirectory(location_of(base))
    for number in range(3):
        metrics = {"auc": 0.5 + number / 10, "recall": 0.9}
        exporter.run(write_model(tmp_path / f"model-{number}", 1.0 + number), metrics)
    shutil.rmtree(base / "1000")
    served = exports.served()
    assert served.record is not None
    assert [each.retired for each in served.record.decision.history] == [False, False]
    decision = exporter.run(write_model(tmp_path / "worse", 9.0), {"auc": 0.1, "recall": 0.9})
    assert [each.retired for each in decision.history] == [True, False, False]
    # Each export is decided about with the record as it was read.
    again = exports.served().record
    assert again == served.record
