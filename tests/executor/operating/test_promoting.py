from __future__ import annotations

from typing import Any

import pytest

from tests.executor import plain
from tests.executor.operating.desk import NOW, WHO, Desk, who
from tfx_best_exporter.executor import policies
from tfx_best_exporter.executor.deciding.eval_result import EvalResult
from tfx_best_exporter.executor.exporter import ModelExporter
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.saved_model import InvalidModelError
from tfx_best_exporter.executor.operating.holding import hold
from tfx_best_exporter.executor.operating.operation import Change, OperationError
from tfx_best_exporter.executor.operating.promoting import promote
from tfx_best_exporter.executor.operating.rejecting import reject
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.proto import best_exporter_pb2 as pb
from tfx_best_exporter.proto import saved_model_pb2

R = pb.ExportDecision
EVALUATION = EvalResult.from_mapping({"loss": 0.9})


def promoted(desk: Desk, name: object = "hotfix", **arguments: Any) -> Change:
    evaluation = arguments.pop("evaluation", EVALUATION)
    return promote(desk.exports, location_of(desk.model(name)), evaluation, **who(**arguments))


def exporter(desk: Desk, **options: Any) -> ModelExporter:
    return ModelExporter(desk.exports.base, clock=lambda: NOW, exports_to_keep=None, **options)


def test_exports_a_model_that_is_worse(desk: Desk) -> None:
    desk.clear()
    exporter(desk).run(desk.model("better"), {"loss": 0.1})
    change = promoted(desk)
    version = int(NOW) + 1
    assert (change.kind, change.versions) == ("promote", (version,))
    assert change.sentences[0] == (
        f"the model is exported as version {version} and replaces version {int(NOW)}"
    )
    assert desk.served == version
    served = desk.exports.served()
    assert served.export is not None
    assert desk.exports.verify(served.export) == []
    record = desk.exports.record(served.export)
    assert (record.promotion.operator, record.promotion.reason) == ("ann", "bad at night")
    assert (record.name, record.model.digest) == ("best-exporter", desk.digest("hotfix"))
    assert record.servable_checked
    decision = record.decision
    assert (decision.reason, decision.exported) == (R.FORCED, True)
    assert decision.explanation.startswith("promoted by ann: bad at night (")
    # The force is for this model only.
    assert decision.compare_policy.force_model == desk.digest("hotfix")
    assert [(each.candidate, each.best) for each in decision.comparisons] == [(0.9, 0.1)]


def test_notes_it_in_the_log(desk: Desk) -> None:
    promoted(desk)
    (logged,) = desk.exports.decision_log.read().decisions
    assert (logged.kind, logged.reason, logged.exported) == ("promote", "FORCED", True)
    assert (logged.version, logged.best_version) == (int(NOW), 9)
    assert (logged.operator, logged.candidate_digest) == ("ann", desk.digest("hotfix"))
    assert logged.evaluation["metrics"][0]["value"] == 0.9


def test_the_first_version(desk: Desk) -> None:
    desk.clear()
    change = promoted(desk)
    assert change.sentences[0] == f"the model is exported as version {int(NOW)}"
    assert desk.served == int(NOW)


def test_stays_until_it_is_beaten_on_the_same_data(desk: Desk) -> None:
    desk.clear()
    run = exporter(desk).run
    run(desk.model("A"), {"loss": 0.3})
    promoted(desk)
    # The model that it replaced does not win by its recorded numbers.
    again = run(desk.model("A"), {"loss": 0.3})
    assert (again.reason, again.exported) == (R.NOT_COMPARABLE, False)
    assert "was promoted (ann, " in again.explanation
    exporter(desk).release(reason="checked", operator="bob")
    again = run(desk.model("A"), {"loss": 0.3})
    assert (again.reason, again.exported) == (R.BETTER, True)


def test_a_hold_does_not_stop_a_person(desk: Desk) -> None:
    hold(desk.exports, **WHO)
    promoted(desk)
    assert desk.served == int(NOW)
    assert desk.state.hold is not None


def test_holds(desk: Desk) -> None:
    change = promoted(desk, hold_seconds=60.0)
    assert desk.state.hold.until.seconds == NOW + 60
    assert change.sentences[-1].startswith("no run exports or retires anything until ")


def test_a_failed_promotion_holds_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "no space left")

    monkeypatch.setattr(ExportDirectory, "publish", fail)
    with pytest.raises(OSError, match="no space left"):
        promoted(desk, hold_seconds=60.0)
    assert desk.state.hold is None


def test_a_longer_hold_stays(desk: Desk) -> None:
    hold(desk.exports, **who(operator="bob"))
    change = promoted(desk, hold_seconds=60.0)
    assert "the longer hold by bob" in change.sentences[-1]
    assert not desk.state.hold.HasField("until")


def test_a_metric_that_is_missing_does_not_stop_a_person(desk: Desk) -> None:
    change = promoted(desk, evaluation=EvalResult.from_mapping({"auc": 0.9}))
    (export,) = (each for each in desk.exports.exports() if each.version == change.versions[0])
    decision = desk.exports.record(export).decision
    assert not decision.comparisons
    assert any("was not compared with the best" in each for each in decision.warnings)


def test_with_the_settings_of_an_exporter(desk: Desk) -> None:
    note = plain.write_files(desk.tmp_path / "note", {"note.txt": b"note"}) / "note.txt"
    desk_exporter = exporter(
        desk,
        assets_extra={"note.txt": str(note)},
        compare_policy=policies.compare_policy(policies.larger("auc")),
        name="mine",
    )
    (version,) = desk_exporter.promote(
        desk.model("hotfix"), {"auc": 0.9}, reason="R", operator="ann"
    ).versions
    assert f"{version}/assets.extra/note.txt" in desk.files
    (export,) = (each for each in desk.exports.exports() if each.version == version)
    assert desk.exports.record(export).name == "mine"


def test_dry_run_returns_the_same_and_writes_nothing(desk: Desk) -> None:
    before = desk.files
    planned = promoted(desk, hold_seconds=60.0, dry_run=True)
    assert desk.files == before
    assert promoted(desk, hold_seconds=60.0) == planned


def test_refuses_a_rejected_model(desk: Desk) -> None:
    reject(desk.exports, desk.digest("hotfix"), **WHO)
    with pytest.raises(OperationError, match=r"^model must not be rejected"):
        promoted(desk)
    assert desk.served == 9


def test_refuses_the_served_model(desk: Desk) -> None:
    with pytest.raises(OperationError, match=r"^model must not be the one that is served"):
        promoted(desk, 9)


def test_refuses_what_no_server_can_run(desk: Desk) -> None:
    path = desk.model("broken")
    (path / "saved_model.pb").unlink()
    with pytest.raises(InvalidModelError):
        promoted(desk, "broken")
    assert desk.served == 9


def test_a_damaged_record_of_the_best_does_not_stop_a_hotfix(desk: Desk) -> None:
    desk.put("9/assets.extra/best_exporter/record.json", b"{")
    promoted(desk)
    assert desk.served == int(NOW)


@pytest.fixture
def other_signature(desk: Desk) -> str:
    """Name of a model whose serving signature has another input."""
    message = saved_model_pb2.SavedModel.FromString(plain.FILES["saved_model.pb"])
    inputs = message.meta_graphs[0].signature_def["serving_default"].inputs
    inputs["renamed"].CopyFrom(inputs.pop("x"))
    path = desk.model("other signature")
    (path / "saved_model.pb").write_bytes(message.SerializeToString())
    return "other signature"


@pytest.mark.parametrize("dry_run", [True, False])
def test_refuses_signatures_that_break_clients(
    desk: Desk, other_signature: str, dry_run: bool
) -> None:
    with pytest.raises(OperationError, match=r"^serving signatures must not break .*input 'x'"):
        promoted(desk, other_signature, dry_run=dry_run)
    assert desk.served == 9


@pytest.mark.parametrize("is_by_policy", [True, False])
def test_signatures_that_break_clients_may_be_allowed(
    desk: Desk, other_signature: str, is_by_policy: bool
) -> None:
    if is_by_policy:
        policy = policies.compare_policy(policies.smaller("loss"), allow_signature_change=True)
        mine = exporter(desk, compare_policy=policy)
        change = mine.promote(desk.model(other_signature), {"loss": 0.9}, reason="R")
    else:
        change = promoted(desk, other_signature, allow_signature_change=True)
    assert any(each.startswith("the serving signatures break") for each in change.sentences)
    assert desk.served == int(NOW)


def test_signatures_of_a_best_that_cannot_be_read_are_not_compared(desk: Desk) -> None:
    desk.put("9/saved_model.pb", b"no model")
    desk.wait()
    desk.push("009", "theirs")
    change = promoted(desk)
    assert any("were not compared" in each for each in change.sentences)


def test_says_that_a_copy_will_not_be_served(desk: Desk) -> None:
    desk.put("10/variables/variables.index")
    change = promoted(desk)
    assert change.sentences[-1].startswith("version 10 is being written")
    assert desk.exports.served().export == desk.exports.exports()[-1]
