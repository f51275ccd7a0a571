"""Runs obey what operators say, log every decision, and stage what waits for approval."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from tests.executor import plain
from tests.executor.bucket import Bucket
from tfx_best_exporter.executor.deciding.eval_result import MissingMetricError
from tfx_best_exporter.executor.exporter import ModelExporter
from tfx_best_exporter.executor.exports.awaiting import EXPIRY_SECONDS
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.saved_model import digest_of
from tfx_best_exporter.executor.exports.versions import Export
from tfx_best_exporter.executor.policies import compare_policy, smaller
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.proto import best_exporter_pb2 as pb

R = pb.ExportDecision
DAY = 24 * 3600
ACTION = pb.OperatorAction(operator="ana@serving-1", reason="wrong labels")
APPROVAL = compare_policy(smaller("loss"), approval="REQUIRED")


@dataclasses.dataclass(kw_only=True)
class Desk:
    """A base directory with runs at a settable time."""

    base: Location
    directory: Path
    now: float = 1_000_000.0

    @property
    def exports(self) -> ExportDirectory:
        return ExportDirectory(self.base)

    def exporter(self, **kwargs: Any) -> ModelExporter:
        kwargs = {"exports_to_keep": 2, **kwargs}
        return ModelExporter(self.base, clock=lambda: self.now, **kwargs)

    def model(self, name: str) -> Path:
        path = self.directory / name
        if not path.exists():
            plain.write_files(path, {**plain.FILES, "assets/words.txt": name.encode()})
        return path

    def run(self, name: str, loss: float, **kwargs: Any) -> pb.ExportDecision:
        self.now += 1
        return self.exporter(**kwargs).run(self.model(name), {"loss": loss}).message

    def digest(self, name: str) -> str:
        return digest_of(plain.files_of(self.model(name)))

    def change(self, change: Callable[[ExportDirectory], object]) -> None:
        exports = self.exports
        with exports.lock():
            change(exports)

    def versions(self) -> list[int]:
        return [export.version for export in self.exports.exports()]


@pytest.fixture(params=["disk", "store"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Desk:
    base = location_of(tmp_path / "base")
    if request.param == "store":
        base = Bucket(tmp_path).location("base")
    return Desk(base=base, directory=tmp_path)


def test_every_run_is_logged(desk: Desk):
    first = desk.run("a", 0.5)
    desk.run("b", 0.9)
    desk.run("a", 0.5)
    with pytest.raises(MissingMetricError):
        desk.run("c", 0.1, compare_policy=compare_policy(smaller("no_such_metric")))
    found = desk.exports.decision_log.read()
    assert found.damaged == 0
    assert [(each.reason, each.exported, each.version) for each in found.decisions] == [
        ("FIRST_EXPORT", True, first.version),
        ("NOT_BETTER", False, None),
        ("ALREADY_BEST", False, first.version),
        ("FAILED", False, None),
    ]
    refused, failed = found.decisions[1], found.decisions[3]
    assert refused.candidate_digest == desk.digest("b")
    assert refused.best_version == first.version
    assert [(each.candidate, each.best) for each in refused.metrics] == [(0.9, 0.5)]
    assert refused.evaluation["metrics"][0]["value"] == 0.9
    assert refused.explanation
    assert "no_such_metric" in failed.explanation
    assert failed.candidate_digest == desk.digest("c")


def test_a_decision_has_the_earlier_refusals(desk: Desk):
    desk.run("a", 0.5)
    refused = desk.run("b", 0.9)
    desk.run("a", 0.5)
    with pytest.raises(MissingMetricError):
        desk.run("c", 0.1, compare_policy=compare_policy(smaller("no_such_metric")))
    decision = desk.run("d", 0.1)
    assert [(each.reason, each.metric, each.value) for each in decision.refusals] == [
        ("NOT_BETTER", "loss", 0.9),
        ("FAILED", "", 0.0),
    ]
    assert decision.refusals[0].decided_at == refused.decided_at
    assert decision.refusals[0].explanation == refused.explanation
    record = desk.exports.record(Export(version=decision.version, base=desk.base))
    assert [*record.decision.refusals] == []


def test_a_log_that_cannot_be_written_is_a_warning(tmp_path: Path):
    desk = Desk(base=location_of(tmp_path / "base"), directory=tmp_path)
    (tmp_path / "base" / ".best_exporter" / "decisions.jsonl").mkdir(parents=True)
    decision = desk.run("a", 0.5)
    assert decision.exported
    assert any("decision log" in each for each in decision.warnings)


def test_a_hold_stops_exports_and_retirements_until_it_ends(desk: Desk):
    for index, name in enumerate("abc"):
        desk.run(name, 0.9 - 0.1 * index, exports_to_keep=None)
    hold = pb.Hold(action=ACTION)
    hold.until.FromSeconds(int(desk.now) + 100)
    desk.change(lambda exports: exports.operators.write_hold(hold))
    before = desk.versions()
    decision = desk.run("d", 0.1)
    assert decision.reason == R.ON_HOLD
    assert not decision.exported
    assert [*decision.retired] == [*decision.kept] == []
    retired = desk.exporter().retire()
    assert [*retired.retired] == []
    assert any("on hold" in each for each in retired.warnings)
    assert desk.versions() == before
    assert desk.exporter().decide(desk.model("d"), {"loss": 0.1}).reason == R.ON_HOLD
    desk.now += 100
    assert desk.run("d", 0.1).exported
    assert len(desk.versions()) == 2


def test_a_hold_stops_a_first_export(desk: Desk):
    desk.change(lambda exports: exports.operators.write_hold(pb.Hold(action=ACTION)))
    assert desk.run("a", 0.5).reason == R.ON_HOLD
    assert desk.versions() == []


def test_a_rejected_model_is_not_exported(desk: Desk):
    desk.run("a", 0.5)
    rejection = pb.Rejection(action=ACTION, digest=desk.digest("b"))
    desk.change(lambda exports: exports.operators.write_rejection(rejection))
    assert desk.run("b", 0.1).reason == R.REJECTED
    assert desk.run("c", 0.1).exported
    desk.change(lambda exports: exports.operators.remove_rejection(desk.digest("b")))
    assert desk.run("b", 0.01).exported


def test_the_best_is_rejected_but_served(desk: Desk):
    version = desk.run("a", 0.5).version
    rejection = pb.Rejection(action=ACTION, digest=desk.digest("a"))
    desk.change(lambda exports: exports.operators.write_rejection(rejection))
    decision = desk.run("a", 0.5)
    assert decision.reason == R.REJECTED
    assert not decision.HasField("version")
    assert desk.versions() == [version]


def test_a_pinned_version_is_not_retired(desk: Desk):
    first = desk.run("a", 0.9).version
    desk.change(lambda exports: exports.operators.write_pin(pb.Pin(action=ACTION, version=first)))
    *_, decision = [desk.run(name, 0.8 - 0.1 * index) for index, name in enumerate("bcd")]
    assert len(desk.versions()) == 3
    assert first in desk.versions()
    assert any(each.version == first and "pinned" in each.why for each in decision.kept)


def test_a_candidate_waits_for_approval(desk: Desk):
    first = desk.run("a", 0.5)
    decision = desk.run("b", 0.1, compare_policy=APPROVAL)
    assert decision.reason == R.AWAITING_APPROVAL
    assert not decision.HasField("version")
    assert desk.versions() == [first.version]
    (staged,) = desk.exports.awaiting.all()
    assert staged.record.model.digest == desk.digest("b")
    assert staged.best_version == first.version
    assert staged.best_digest == desk.digest("a")
    assert staged.record.decision.reason == R.BETTER
    files = desk.exports.awaiting.files_of(staged)
    assert {file.path for file in files} == {*plain.FILES}
    assert all(file.digest == file.source.digest() for file in files)
    # The same candidate in place of the same best is not staged again.
    desk.run("b", 0.1, compare_policy=APPROVAL)
    assert desk.exports.awaiting.all() == [staged]
    assert desk.run("c", 0.9, compare_policy=APPROVAL).reason == R.NOT_BETTER
    assert desk.run("b", 0.1).exported


def test_a_candidate_that_waits_is_staged_again_for_another_best(desk: Desk):
    desk.run("a", 0.5)
    desk.run("b", 0.1, compare_policy=APPROVAL)
    second = desk.run("c", 0.3)
    desk.run("b", 0.1, compare_policy=APPROVAL)
    (staged,) = desk.exports.awaiting.all()
    assert staged.best_version == second.version


def test_a_candidate_that_waited_too_long_is_staged_again(desk: Desk):
    desk.run("a", 0.5)
    desk.run("b", 0.1, compare_policy=APPROVAL)
    desk.now += EXPIRY_SECONDS + 10
    decision = desk.run("b", 0.1, compare_policy=APPROVAL)
    assert decision.reason == R.AWAITING_APPROVAL
    (staged,) = desk.exports.awaiting.all()
    assert staged.staged_at == decision.decided_at


def test_an_export_of_the_promoted_model_inherits_the_promotion(desk: Desk):
    version = desk.run("a", 0.5).version
    location = desk.base / f"{version}/assets.extra/best_exporter/record.json"
    record = desk.exports.record(Export(version=version, base=desk.base))
    record.promotion.CopyFrom(ACTION)
    location.write(json_format.MessageToJson(record, preserving_proto_field_name=True).encode())
    (desk.directory / "extra").write_bytes(b"extra")
    extra = {"extra": str(desk.directory / "extra")}
    decision = desk.run("a", 0.5, assets_extra=extra)
    assert decision.reason == R.REEXPORTED
    record = desk.exports.record(Export(version=decision.version, base=desk.base))
    assert record.promotion == ACTION
    assert desk.run("b", 0.1).reason == R.NOT_COMPARABLE


def test_staged_candidates_are_bounded_and_expire(desk: Desk):
    desk.run("a", 0.9)
    *_, decision = [
        desk.run(name, 0.5 - 0.1 * index, compare_policy=APPROVAL)
        for index, name in enumerate("bcde")
    ]
    assert [each.record.model.digest for each in desk.exports.awaiting.all()] == [
        desk.digest(name) for name in "edc"
    ]
    assert any(desk.digest("b") in each for each in decision.warnings)
    desk.now += EXPIRY_SECONDS
    desk.run("f", 0.99)
    assert desk.exports.awaiting.all() == []
    assert desk.exports.operators.names().awaiting == frozenset()


def test_a_candidate_that_was_not_staged_completely_is_removed(desk: Desk):
    desk.run("a", 0.9)
    desk.run("b", 0.1, compare_policy=APPROVAL)
    digest = desk.digest("b")
    place = desk.exports.state / f"awaiting/{digest.removeprefix('sha256:')}"
    (place / "staged.json").remove()
    assert desk.exports.awaiting.get(digest) is None
    desk.run("c", 0.95)
    assert not place.exists()


def withdraw(desk: Desk, version: int) -> None:
    withdrawal = pb.Withdrawal(action=ACTION)
    withdrawal.action.at.FromSeconds(int(desk.now))
    record = desk.exports.record(Export(version=version, base=desk.base))
    record.ClearField("manifest")
    withdrawal.record.CopyFrom(record)
    withdrawal.digest = record.model.digest
    export = Export(version=version, base=desk.base)

    def change(exports: ExportDirectory) -> None:
        exports.withdrawals.begin(export, withdrawal)
        exports.withdrawals.finish(export, withdrawal)
        exports.withdrawals.settle(withdrawal)

    desk.change(change)


def test_a_withdrawn_version_is_out_of_service_and_never_given_again(desk: Desk):
    first = desk.run("a", 0.5).version
    second = desk.run("b", 0.1).version
    withdraw(desk, second)
    assert desk.versions() == [first]
    assert (desk.exports.state / f"withdrawn/{second}/saved_model.pb").exists()
    assert desk.run("b", 0.1).reason == R.REJECTED
    (desk.exports.state / "largest_version").remove()
    desk.now = 0.0
    assert desk.run("c", 0.2).version > second


def test_files_of_a_withdrawn_version_are_deleted_after_30_days_unless_it_is_pinned(desk: Desk):
    desk.run("a", 0.5)
    second, third = desk.run("b", 0.4).version, desk.run("c", 0.3).version
    withdraw(desk, third)
    withdraw(desk, second)
    desk.change(lambda exports: exports.operators.write_pin(pb.Pin(action=ACTION, version=third)))
    desk.now += 29 * DAY
    desk.run("d", 0.9)
    assert (desk.exports.state / f"withdrawn/{second}").exists()
    desk.now += 2 * DAY
    decision = desk.run("d", 0.9)
    assert any(f"version {second}, withdrawn" in each for each in decision.warnings)
    assert not (desk.exports.state / f"withdrawn/{second}").exists()
    assert (desk.exports.state / f"withdrawn/{third}").exists()
    states = {each.version: each.state for each in desk.exports.operators.withdrawals()}
    assert states == {second: pb.Withdrawal.PURGED, third: pb.Withdrawal.WITHDRAWN}
    assert desk.run("b", 0.1).reason == R.REJECTED
