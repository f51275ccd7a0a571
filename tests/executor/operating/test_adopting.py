from __future__ import annotations

import os

import pytest

from tests.executor import plain
from tests.executor.operating.desk import NOW, WHO, Desk
from tfx_best_exporter.executor.deciding.eval_result import EvalResult
from tfx_best_exporter.executor.exports.records import EVALUATION_DIRECTORY, RECORD_PATH
from tfx_best_exporter.executor.exports.versions import Export, Inspection, Status
from tfx_best_exporter.executor.operating.adopting import adopt
from tfx_best_exporter.executor.operating.operation import OperationError
from tfx_best_exporter.proto import best_exporter_pb2 as pb

EVALUATION = EvalResult.from_mapping({"auc": 0.9, "example_count": 100})


def record_of(desk: Desk, version: int) -> pb.ExportRecord:
    (export,) = (each for each in desk.exports.exports() if each.version == version)
    return desk.exports.record(export)


@pytest.mark.parametrize("version", [None, 12, "12"])
def test_gives_a_record_to_a_pushed_version(desk: Desk, version: int | str | None) -> None:
    desk.push("12", "pushed")
    before = desk.files
    planned = adopt(desk.exports, version, EVALUATION, dry_run=True, **WHO)
    assert desk.files == before
    change = adopt(desk.exports, version, EVALUATION, **WHO)
    assert change == planned
    assert (change.kind, change.versions) == ("adopt", (12,))
    served = desk.exports.served().best
    assert served is not None
    assert (served.status, served.export.version) == (Status.OURS, 12)
    record = record_of(desk, 12)
    assert (record.version, record.model.digest) == (12, desk.digest("pushed"))
    assert (record.adoption.operator, record.adoption.reason) == ("ann", "bad at night")
    assert record.decision.explanation == "adopted by ann: bad at night"
    assert 0 < record.exported_at.seconds < NOW
    assert record.decision.decided_at.seconds == NOW
    assert not record.evaluation.HasField("evaluated_at")
    assert {each.key.name: each.value for each in record.evaluation.metrics}["auc"] == 0.9
    assert record.servable_checked
    assert desk.exports.verify(served.export) == []
    assert desk.logged() == [("adopt", 12, "ann")]


def test_keeps_the_evaluation(desk: Desk) -> None:
    desk.push("12", "pushed")
    path = desk.tmp_path / "evaluation"
    plain.write_files(path, {"metrics-0": b"metrics", "eval_config.json": b"{}", "plots": b""})
    evaluation = EvalResult(EVALUATION.metrics, uri=str(path), source=pb.Evaluation.TFMA)
    # The leftover of an interrupted adoption.
    desk.put(f"12/{EVALUATION_DIRECTORY}/metrics-left", b"x")
    adopt(desk.exports, None, evaluation, **WHO)
    (export,) = (each for each in desk.exports.exports() if each.version == 12)
    assert desk.exports.verify(export) == []
    kept = export.location / EVALUATION_DIRECTORY
    assert kept.sizes() == {"metrics-0": 7, "eval_config.json": 2}
    assert desk.exports.record(export).evaluation.uri == str(path)


def test_says_that_a_model_server_cannot_run_it(desk: Desk) -> None:
    from tfx_best_exporter.proto import saved_model_pb2

    model = saved_model_pb2.SavedModel.FromString(plain.FILES["saved_model.pb"])
    model.meta_graphs[0].signature_def.clear()
    desk.push("12", "pushed")
    desk.put("12/saved_model.pb", model.SerializeToString())
    change = adopt(desk.exports, None, EVALUATION, **WHO)
    assert "defines no serving signature" in change.sentences[1]
    assert not record_of(desk, 12).servable_checked


def test_refuses_a_version_with_a_record(desk: Desk) -> None:
    with pytest.raises(OperationError, match=r"^version must be one without a record \(got 9,"):
        adopt(desk.exports, None, EVALUATION, **WHO)


@pytest.mark.parametrize(
    ("path", "content"),
    [("8/assets/words.txt", b"edited"), (f"8/{RECORD_PATH}", b"{")],
    ids=["edited", "damaged"],
)
def test_replaces_a_record_that_does_not_fit(desk: Desk, path: str, content: bytes) -> None:
    desk.put(path, content)
    change = adopt(desk.exports, 8, EVALUATION, **WHO)
    assert change.sentences[1] == (
        "the earlier record of version 8, which did not fit its files, is replaced"
    )
    (export,) = (each for each in desk.exports.exports() if each.version == 8)
    assert desk.exports.inspect(export).status is Status.OURS
    assert desk.exports.record(export).adoption.operator == "ann"


def test_refuses_what_cannot_be_loaded(desk: Desk) -> None:
    desk.put("12/variables/variables.index", b"")
    with pytest.raises(OperationError, match=r"^version must be one that a model server can load"):
        adopt(desk.exports, 12, EVALUATION, **WHO)
    desk.put("13", b"a file")
    with pytest.raises(OperationError, match="it is a file"):
        adopt(desk.exports, 13, EVALUATION, **WHO)


def test_refuses_a_link(disk: Desk) -> None:
    os.symlink(disk.model("elsewhere"), plain.path_of(disk.exports.base) / "12")
    with pytest.raises(OperationError, match=r"^version must be a directory \(got 12, a link\)"):
        adopt(disk.exports, None, EVALUATION, **WHO)
    assert not (disk.model("elsewhere") / RECORD_PATH).exists()


def test_refuses_an_empty_base_directory(desk: Desk) -> None:
    desk.clear()
    with pytest.raises(OperationError, match=r"^a version must be served to adopt it"):
        adopt(desk.exports, None, EVALUATION, **WHO)


def test_a_version_that_changes_meanwhile_gets_no_record(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.push("12", "pushed")
    inspect = desk.exports.inspect

    def changed(export: Export) -> Inspection:
        if export.version == 12 and f"12/{RECORD_PATH}" in desk.files:
            desk.put("12/assets/words.txt", b"other")
        return inspect(export)

    monkeypatch.setattr(desk.exports, "inspect", changed)
    with pytest.raises(OperationError, match=r"^version must not change while it is adopted"):
        adopt(desk.exports, 12, EVALUATION, **WHO)
    assert f"12/{RECORD_PATH}" not in desk.files
