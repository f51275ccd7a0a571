from __future__ import annotations

from pathlib import Path

import pytest

from tests.executor import plain
from tests.executor.operating.desk import Desk, who
from tfx_best_exporter.executor.evaluations import tfma
from tfx_best_exporter.executor.exporter import ModelExporter
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.operating import rollback
from tfx_best_exporter.executor.operating.difference import Row, diff
from tfx_best_exporter.executor.operating.operation import OperationError
from tfx_best_exporter.executor.policies import compare_policy, larger
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.proto import best_exporter_pb2 as pb
from tfx_best_exporter.proto import saved_model_pb2


def evaluation(count: float | None = None, **metrics: float) -> pb.Evaluation:
    return pb.Evaluation(
        metrics=[
            pb.MetricValue(key=pb.MetricKey(name=name), value=value)
            for name, value in metrics.items()
        ],
        example_count=count,
        data=pb.EvaluatedData(examples_uri=f"/examples/{count}", splits=["eval"]),
    )


def publish(desk: Desk, version: int, result: pb.Evaluation, minimum: float = 0.0) -> None:
    policy = compare_policy(larger("auc", by=minimum))
    desk.publish(
        version,
        evaluation=result,
        decision=pb.ExportDecision(
            compare_policy=policy, comparisons=[pb.MetricComparison(metric="auc")]
        ),
    )


def test_records_of_both_versions(desk: Desk) -> None:
    publish(desk, 10, evaluation(100.0, zeta=1.0, auc=0.5))
    publish(desk, 11, evaluation(300.0, auc=0.75, alpha=2.0), minimum=0.25)
    found = diff(desk.exports, "10", 11)
    assert (found.base, found.first, found.second) == (desk.exports.base.uri, 10, 11)
    # The compared metric comes first.
    assert found.metrics == (
        Row(name="auc", first=0.5, second=0.75, change=0.25),
        Row(name="alpha", first=None, second=2.0),
        Row(name="zeta", first=1.0, second=None),
    )
    assert found.policy == (
        Row(name="compare_policy.metric.min_absolute_change", first=None, second="0.25"),
    )
    assert found.data == (
        Row(name="examples_uri", first="/examples/100.0", second="/examples/300.0"),
        Row(name="example_count", first=100.0, second=300.0, change=200.0),
    )
    # The name in an asset is the only file that differs, and both names have two letters.
    assert [row.change for row in found.sizes] == [0.0, 0.0]
    assert (found.slices, found.signatures, found.notes) == ((), (), ())


def test_signatures_and_sizes(disk: Desk) -> None:
    message = saved_model_pb2.SavedModel.FromString(plain.FILES["saved_model.pb"])
    signature = message.meta_graphs[0].signature_def["serving_default"]
    signature.inputs["z"].CopyFrom(signature.inputs["x"])
    model = disk.model("other")
    (model / "saved_model.pb").write_bytes(message.SerializeToString())
    disk.publish(10, "other")
    found = diff(disk.exports, 9, 10)
    assert found.signatures == ("input 'z' of signature 'serving_default' was added",)
    assert found.sizes[0].change == (model / "saved_model.pb").stat().st_size - len(
        plain.FILES["saved_model.pb"]
    ) + len("other") - len("9")
    assert found.sizes[1] == Row(name="files", first=5.0, second=5.0, change=0.0)


def test_a_withdrawn_version_has_its_files(desk: Desk) -> None:
    publish(desk, 10, evaluation(auc=0.5))
    rollback.rollback(desk.exports, **who())
    found = diff(desk.exports, 9, 10)
    assert found.notes == ()
    assert len(found.sizes) == 2


def test_a_retired_version_has_its_record_only(disk: Desk) -> None:
    publish(disk, 10, evaluation(auc=0.5))
    publish(disk, 11, evaluation(auc=0.75))
    with disk.exports.lock():
        disk.exports.retire_all({disk.exports.exports()[-2]: "old"}, now=0.0)
    found = diff(disk.exports, 10, 11)
    assert found.metrics == (Row(name="auc", first=0.5, second=0.75, change=0.25),)
    assert found.notes == (
        "version 10 has no files: slices, signatures and sizes are not compared",
    )
    assert found.sizes == ()


def test_slices_of_two_evaluations(tmp_path: Path, evaluations: dict[str, Path]) -> None:
    exporter = ModelExporter(
        tmp_path / "base",
        compare_policy=compare_policy(larger("binary_accuracy"), force="test"),
    )
    results = [tfma.from_tfma(evaluations[name]) for name in ("paired", "paired")]
    for name, result in zip("ab", results, strict=True):
        files = {**plain.FILES, "assets/words.txt": name.encode()}
        exporter.run(plain.write_files(tmp_path / name, files), result)
    exports = ExportDirectory(location_of(str(tmp_path / "base")))
    one, other = exports.exports()
    found = diff(exports, one.version, other.version)
    assert [row.change for row in found.slices] == [0.0, 0.0]
    assert found.slices[0].name.startswith("binary_accuracy on ")
    assert found.slices[0].first == found.slices[0].second is not None


def test_damaged_parts_are_notes(disk: Desk) -> None:
    disk.put("9/saved_model.pb", b"x")
    found = diff(disk.exports, 8, 9)
    assert len(found.notes) == 1
    assert found.notes[0].startswith("the signatures cannot be compared: ")


def test_what_is_not_there(disk: Desk) -> None:
    with pytest.raises(OperationError):
        diff(disk.exports, 5, 9)
    with pytest.raises(OperationError):
        diff(disk.exports, 9, "x")
    with pytest.raises(OperationError):
        diff(ExportDirectory(location_of("/nope")), 1, 2)


def test_a_version_compared_with_itself(disk: Desk) -> None:
    found = diff(disk.exports, 9, 9)
    assert {row.change for row in (*found.metrics, *found.sizes)} == {0.0}
    assert (found.slices, found.policy, found.data, found.signatures) == ((),) * 4
