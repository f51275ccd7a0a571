from __future__ import annotations

import pytest

from tests.executor.operating.desk import NOW, WHO, Desk, who
from tfx_best_exporter.executor.exports.decision_log import LoggedDecision, LoggedMetric
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.records import RECORD_PATH
from tfx_best_exporter.executor.operating import pinning, rollback
from tfx_best_exporter.executor.operating.history import HistoryItem, history
from tfx_best_exporter.executor.operating.operation import OperationError
from tfx_best_exporter.executor.operating.status import Metric
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.proto import best_exporter_pb2 as pb


def states(desk: Desk, **arguments: object) -> list[tuple[str, int | None]]:
    return [(item.state, item.version) for item in items(desk, **arguments)]


def items(desk: Desk, **arguments: object) -> tuple[HistoryItem, ...]:
    return history(desk.exports, **arguments).items  # pyright: ignore[reportArgumentType]


def log(desk: Desk, *lines: LoggedDecision) -> None:
    with desk.exports.lock():
        for line in lines:
            desk.exports.decision_log.append(line)


def test_versions_that_are_older_than_the_log(desk: Desk) -> None:
    assert states(desk) == [("SERVED", 9), ("kept", 8), ("kept", 7)]
    assert {item.base for item in items(desk)} == {desk.exports.base.uri}


def test_what_a_record_says(disk: Desk) -> None:
    record = pb.ExportRecord(
        provenance=pb.Provenance(pipeline_name="penguin", run_id="run-7"),
        decision=pb.ExportDecision(reason=pb.ExportDecision.BETTER, explanation="better"),
        evaluation=pb.Evaluation(metrics=[pb.MetricValue(key=pb.MetricKey(name="auc"), value=0.9)]),
    )
    record.exported_at.FromSeconds(1000)
    disk.publish(10, **{field.name: value for field, value in record.ListFields()})
    assert items(disk)[0] == HistoryItem(
        base=disk.exports.base.uri,
        state="SERVED",
        version=10,
        at=1000.0,
        reason="BETTER",
        explanation="better",
        metrics=(Metric(name="auc", value=0.9),),
        pipeline_name="penguin",
        run_id="run-7",
        digest=disk.digest(10),
    )


def test_lines_of_the_log(desk: Desk) -> None:
    exported = LoggedDecision(
        at=10.0,
        reason="BETTER",
        exported=True,
        version=9,
        explanation="auc 0.9 is larger",
        candidate_digest=desk.digest(9),
        metrics=(
            LoggedMetric(name="auc", candidate=0.9, best=0.8),
            LoggedMetric(name="loss", candidate=None, best=0.8),
        ),
        pipeline_name="penguin",
        run_id="run-7",
    )
    log(
        desk,
        exported,
        LoggedDecision(at=20.0, reason="NOT_BETTER", best_version=9, explanation="worse"),
        LoggedDecision(at=30.0, reason="ALREADY_BEST", version=9),
        LoggedDecision(at=40.0, reason="FAILED", explanation="OSError: no space"),
        LoggedDecision(kind="pin", at=50.0, version=7, operator="ann", explanation="audit"),
    )
    assert states(desk, include_all=True) == [
        ("command", 7),
        ("failed", None),
        ("same", 9),
        ("refused", None),
        ("SERVED", 9),
        ("kept", 8),
        ("kept", 7),
    ]
    assert states(desk)[:3] == [("failed", None), ("refused", None), ("SERVED", 9)]
    assert states(desk, newest=1) == [("failed", None)]
    by_state = {item.state: item for item in items(desk, include_all=True)}
    assert by_state["SERVED"] == HistoryItem(
        base=desk.exports.base.uri,
        state="SERVED",
        version=9,
        at=10.0,
        reason="BETTER",
        explanation="auc 0.9 is larger",
        metrics=(Metric(name="auc", value=0.9),),
        pipeline_name="penguin",
        run_id="run-7",
        digest=desk.digest(9),
    )
    assert by_state["command"].reason == "pin"
    assert by_state["command"].operator == "ann"
    assert by_state["failed"].reason == "FAILED"


def test_a_version_in_the_log_is_not_read_from_its_record_too(disk: Desk) -> None:
    log(
        disk,
        LoggedDecision(at=1.0, reason="BETTER", exported=True, version=9),
        LoggedDecision(at=2.0, kind="promote", exported=True, version=8, operator="ann"),
    )
    assert states(disk) == [("kept", 8), ("SERVED", 9), ("kept", 7)]
    assert items(disk)[0].operator == "ann"


def test_versions_that_are_gone(disk: Desk) -> None:
    rollback.rollback(disk.exports, **who(to=8))
    with disk.exports.lock():
        disk.exports.retire_all({disk.exports.exports()[0]: "old"}, now=NOW)
    assert states(disk) == [("withdrawn", 9), ("SERVED", 8), ("retired", 7)]
    log(disk, LoggedDecision(at=1.0, exported=True, version=5))
    assert ("removed", 5) in states(disk)


def test_pins_and_foreign_versions(disk: Desk) -> None:
    disk.push("10", "theirs")
    pinning.pin(disk.exports, 8, **WHO)
    found = {item.version: item for item in items(disk)}
    assert found[10].state == "SERVED"
    assert found[10].reason == ""
    assert found[10].at is not None
    assert [found[version].is_pinned for version in (7, 8)] == [False, True]


def test_damage_is_a_warning(disk: Desk) -> None:
    disk.put(f"8/{RECORD_PATH}", b"{")
    log(disk, LoggedDecision(at=1.0, reason="NOT_BETTER"))
    path = disk.exports.state / "decisions.jsonl"
    path.write(b"garbage\n{}\n" + path.read(10_000))
    found = history(disk.exports)
    assert [item.state for item in found.items] == ["refused", "SERVED", "kept", "kept"]
    assert found.warnings[0] == "2 lines of decisions.jsonl cannot be read and are left out"
    assert found.warnings[1].startswith(f"cannot read {disk.exports.base}/8/{RECORD_PATH}: ")
    path.remove()
    (path / "a").write(b"")
    assert history(disk.exports).warnings[0].startswith(f"cannot read {path}: ")


def test_a_damaged_tombstone_still_says_that_the_version_is_retired(disk: Desk) -> None:
    disk.put(".best_exporter/retired/5.json", b"{")
    assert states(disk)[-1] == ("retired", 5)


def test_reading_changes_nothing(desk: Desk) -> None:
    before = desk.files
    items(desk, include_all=True)
    assert desk.files == before


def test_a_directory_that_does_not_exist() -> None:
    with pytest.raises(OperationError):
        history(ExportDirectory(location_of("/nope")))


def test_the_log_is_read_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    log(desk, LoggedDecision(at=1.0, reason="NOT_BETTER"))
    reads: list[str] = []
    storage = desk.exports.base.storage
    read = storage.read

    def counted(path: str, max_bytes: int) -> bytes:
        reads.append(path.rpartition("/")[2])
        return read(path, max_bytes)

    monkeypatch.setattr(storage, "read", counted)
    items(desk)
    assert reads.count("decisions.jsonl") == 1


def test_a_limit_parses_only_the_lines_that_it_needs(desk: Desk) -> None:
    log(
        desk,
        LoggedDecision(at=1.0, reason="BETTER", exported=True, version=8),
        *(LoggedDecision(at=2.0 + number, reason="NOT_BETTER") for number in range(30)),
        *(LoggedDecision(at=90.0, kind="pin", version=7, operator="ann") for _ in range(30)),
    )
    complete = items(desk)
    # The first lines that are read are all commands, so the others are read too.
    assert items(desk, newest=4) == complete[:4]
    assert items(desk, newest=40) == complete[:40]
    everything = items(desk, include_all=True)
    for newest in (1, 30, 31, 62, 100):
        assert items(desk, include_all=True, newest=newest) == everything[:newest]


def test_a_version_is_served_as_its_files_say(disk: Desk) -> None:
    # Its stamps are known, so its record is not parsed.
    assert states(disk)[0] == ("SERVED", 9)
    disk.put("9/saved_model.pb", b"")
    disk.wait()
    assert states(disk)[:2] == [("kept", 9), ("SERVED", 8)]
