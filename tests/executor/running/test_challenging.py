import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.executor.plain import later, path_of, read_files
from tests.executor.running.challenged import DATA, World
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.records import record_of
from tfx_best_exporter.executor.operating.backtest import backtest
from tfx_best_exporter.executor.policies import at_least, compare_policy, larger
from tfx_best_exporter.executor.reports.sections import commands
from tfx_best_exporter.proto import best_exporter_pb2 as pb

R = pb.ExportDecision
MONDAY = {"best": 0.9, "xxxx": 0.907}
TUESDAY = {"best": 0.88, "xxxx": 0.889, "yyyy": 0.884}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def second_run(world: World, **kwargs: Any) -> pb.ExportDecision:
    """A first export, and a run that keeps its candidate."""
    world.run("best", {"best": 0.9})
    return world.run("xxxx", MONDAY, **kwargs)


def third_run(world: World, **kwargs: Any) -> pb.ExportDecision:
    """The example of docs/decisions/0021: the third run exports the model of the second one."""
    second_run(world)
    return world.run("yyyy", TUESDAY, **kwargs)


def standing_of(decision: pb.ExportDecision, index: int = 0) -> pb.ModelStanding:
    return decision.challenger_evidence.standings[index]


def test_refused_candidate_is_kept(world: World):
    decision = second_run(world)
    assert (decision.reason, decision.exported) == (R.KEPT_AS_CHALLENGER, False)
    assert world.kept == ["xxxx"]
    standing = standing_of(decision)
    assert standing.is_candidate
    assert standing.next == pb.ModelStanding.KEPT
    assert standing.chance_no_better == pytest.approx(0.121, abs=0.001)
    assert standing.run_id == "run-xxxx"
    [challenger] = world.state.all()
    assert challenger.record.provenance.run_id == "run-xxxx"
    assert challenger.record.decision.reason == R.KEPT_AS_CHALLENGER
    assert not challenger.record.HasField("recipe")
    assert [row.run_id for row in world.ledger.rows] == ["run-xxxx"]


def test_run_exports_the_model_of_an_earlier_run(world: World, tmp_path: Path):
    decision = third_run(world, pushed_model_path=tmp_path / "pushed")
    assert (decision.reason, decision.exported) == (R.CHALLENGER_BETTER, True)
    assert world.served() == "xxxx"
    assert (tmp_path / "pushed" / DATA).read_text() == "xxxx"
    # The best is replaced, and the candidate has little chance to be better than the new one.
    assert world.kept == []
    # All models were measured together, and the challenger in both runs.
    assert world.calls == [("best", "xxxx"), ("best", "yyyy", "xxxx")]
    exported, candidate = decision.challenger_evidence.standings
    assert exported.model == decision.exported_challenger
    assert decision.exported_challenger.uri == str(world.model("xxxx"))
    assert (exported.run_id, exported.run_count) == ("run-xxxx", 2)
    assert [each.difference for each in exported.runs] == pytest.approx([0.007, 0.009])
    assert exported.chance_no_better == pytest.approx(0.0157, abs=0.0001)
    assert (exported.next, candidate.next) == (pb.ModelStanding.EXPORTED, pb.ModelStanding.DROPPED)
    assert decision.candidate.uri == str(world.model("yyyy"))


def test_record_of_an_exported_challenger_is_about_its_own_run(world: World):
    third_run(world)
    export = world.exports.served().export
    assert export is not None
    record = record_of(export.location)
    assert record.model.uri == str(world.model("xxxx"))
    assert record.provenance.run_id == "run-xxxx"
    assert [each.value for each in record.evaluation.metrics] == [0.907]
    assert record.decision.reason == R.CHALLENGER_BETTER
    # The comparison is the one that led to the export.
    [comparison] = record.decision.comparisons
    assert (comparison.candidate, comparison.best) == (0.889, 0.88)
    exported = record.decision.exported_challenger
    assert (exported.uri, exported.digest) == (record.model.uri, record.model.digest)
    # The same model is the best, as if its own run had exported it.
    again = world.run("xxxx", {"xxxx": 0.9})
    assert again.reason == R.ALREADY_BEST


@pytest.mark.parametrize("runs", [second_run, third_run])
def test_retried_run_changes_nothing(world: World, runs: Any):
    values = MONDAY if runs is second_run else TUESDAY
    candidate = "xxxx" if runs is second_run else "yyyy"
    runs(world)
    base = world.path / "base"
    state = base / ".best_exporter" / "challengers"
    before, versions = read_files(state), world.exports.listing().versions
    # The sums of a retried evaluation have other rounding errors.
    again = {name: value * (1 + 1e-9) for name, value in values.items()}
    decision = world.run(candidate, again)
    assert world.exports.listing().versions == versions
    assert not decision.exported
    if runs is second_run:
        assert read_files(state) == before
        assert decision.reason == R.KEPT_AS_CHALLENGER
    world.run(candidate, again)
    settled = read_files(state)
    world.run(candidate, again)
    assert read_files(state) == settled


def test_the_same_data_count_once(world: World):
    world.run("best", {"best": 0.9})
    world.run("xxxx", MONDAY, data="monday")
    decision = world.run("yyyy", {**MONDAY, "yyyy": 0.9}, data="monday")
    assert [each.model.uri for each in decision.challenger_evidence.standings] == [
        str(world.model(name)) for name in ("xxxx", "yyyy")
    ]
    assert len(standing_of(decision).runs) == 1
    assert standing_of(decision).run_count == 1
    assert len(world.ledger.rows) == 1


def test_examples_are_identified_once_and_before_the_lock(world: World):
    calls: list[str] = []

    def identify() -> str:
        with ExportDirectory(world.exports.base).lock(timeout_seconds=0.1):
            calls.append("monday")
        return calls[-1]

    world.identify = identify
    world.run("best", {"best": 0.9})
    assert calls == []
    world.run("xxxx", MONDAY)
    assert calls == ["monday"]
    assert [row.data for row in world.ledger.rows] == ["monday"]


@pytest.mark.parametrize("is_allowed", [False, True])
def test_old_data_are_no_evidence(world: World, is_allowed: bool):
    world.span = 5
    second_run(world)
    world.span = 4
    world.policy = {"allow_older_data": is_allowed}
    decision = world.run("yyyy", TUESDAY)
    if is_allowed:
        assert decision.reason == R.CHALLENGER_BETTER
        return
    assert (decision.reason, decision.exported) == (R.OLDER_DATA, False)
    assert not decision.HasField("challenger_evidence")
    # The challenger waits for newer data, and the run has not measured it.
    assert world.calls[-1] == ("best", "yyyy")
    assert (world.kept, len(world.ledger.rows)) == (["xxxx"], 1)
    world.span = 6
    assert world.run("zzzz", {"best": 0.9, "xxxx": 0.91, "zzzz": 0.9}).exported


def test_exported_challenger_is_as_new_as_the_data_of_its_export(world: World):
    world.span = 4
    second_run(world)
    world.span = 6
    assert world.run("yyyy", TUESDAY).reason == R.CHALLENGER_BETTER
    world.span = 5
    decision = world.run("zzzz", {"xxxx": 0.8, "zzzz": 0.9})
    assert decision.reason == R.OLDER_DATA
    assert "on span 5" in decision.explanation
    assert "newer span 6" in decision.explanation


def test_without_challengers_earlier_ones_are_removed(world: World):
    second_run(world)
    world.rule = {"challengers": 0}
    decision = world.run("yyyy", TUESDAY)
    assert decision.reason == R.NOT_SIGNIFICANT
    assert not decision.HasField("challenger_evidence")
    assert world.calls[-1] == ("best", "yyyy")
    assert world.kept == []


def test_without_challengers_nothing_is_written(world: World):
    world.rule = {"challengers": 0}
    second_run(world)
    assert not (world.path / "base" / ".best_exporter" / "challengers").exists()


def test_without_examples_the_run_decides_alone(world: World):
    second_run(world)
    decision = world.run("yyyy", TUESDAY, reevaluates=False)
    assert decision.reason == R.NOT_BETTER
    assert "the challengers are not compared" in " ".join(decision.warnings)
    # They wait for a run that measures them.
    assert world.kept == ["xxxx"]


def test_evaluation_without_standard_errors_of_differences(world: World):
    world.run("best", {"best": 0.9})
    with pytest.raises(ValueError, match="confidence intervals"):
        world.run("xxxx", MONDAY, error=None)
    assert world.kept == []
    assert not (world.path / "base" / ".best_exporter" / "challengers").exists()


def test_rejected_model_is_no_challenger(world: World):
    decision = second_run(world)
    world.exporter().reject(decision.candidate.digest, reason="leak", operator="ana")
    after = world.run("yyyy", TUESDAY)
    assert world.calls[-1] == ("best", "yyyy")
    assert after.reason == R.KEPT_AS_CHALLENGER
    assert world.kept == ["yyyy"]


def test_withdrawn_model_is_no_challenger(world: World):
    third_run(world)
    world.exporter().rollback(reason="worse", operator="ana")
    assert world.served() == "best"
    world.run("zzzz", {"best": 0.9, "zzzz": 0.9})
    assert "xxxx" not in world.kept
    assert world.calls[-1] == ("best", "zzzz")


def test_changed_challenger_is_not_exported(world: World):
    second_run(world)
    [challenger] = world.state.all()
    directory = world.state.location_of(challenger.record.model.digest).local_path()
    assert directory is not None
    # A new file, because a kept file may be a link to the model's own.
    (directory / DATA).unlink()
    (directory / DATA).write_bytes(b"evil")
    decision = world.run("yyyy", {**TUESDAY, "evil": 0.889})
    assert world.served() == "best"
    assert not decision.exported
    assert "its files were changed" in standing_of(decision).why
    assert standing_of(decision).next == pb.ModelStanding.DROPPED
    assert world.kept == ["yyyy"]


def test_models_files_are_kept_when_the_pipeline_removes_them(world: World):
    second_run(world)
    shutil.rmtree(world.model("xxxx"))
    decision = world.run("yyyy", TUESDAY)
    assert decision.reason == R.CHALLENGER_BETTER
    assert world.served() == "xxxx"


def test_guardrail_stops_a_challenger(world: World):
    world.policy = {"guardrails": [at_least("recall", 0.5)]}
    world.others = {name: {"recall": 0.9} for name in ("best", "xxxx", "yyyy")}
    second_run(world)
    world.others["xxxx"] = {"recall": 0.4}
    decision = world.run("yyyy", TUESDAY)
    assert world.served() == "best"
    assert standing_of(decision).next == pb.ModelStanding.DROPPED
    assert "guardrail" in standing_of(decision).why
    assert decision.reason == R.KEPT_AS_CHALLENGER
    assert world.kept == ["yyyy"]


def test_candidate_that_fails_a_guardrail_is_not_kept(world: World):
    world.policy = {"guardrails": [at_least("recall", 0.5)]}
    world.others = {"best": {"recall": 0.9}, "xxxx": {"recall": 0.4}}
    decision = second_run(world)
    assert decision.reason == R.NOT_SIGNIFICANT
    assert standing_of(decision).next == pb.ModelStanding.DROPPED
    assert world.kept == []


def test_challenger_waits_for_approval(world: World):
    second_run(world)
    world.policy = {"approval": "REQUIRED"}
    decision = world.run("yyyy", TUESDAY)
    assert (decision.reason, decision.exported) == (R.AWAITING_APPROVAL, False)
    assert world.served() == "best"
    assert standing_of(decision).next == pb.ModelStanding.STAGED
    assert standing_of(decision, 1).next != pb.ModelStanding.STAGED
    [staged] = world.exports.awaiting.all()
    # The command of the report approves the staged model, and not the candidate.
    [command] = [words for _, words in commands.section(decision) if "approve" in words]
    assert staged.record.model.digest in command
    assert staged.record.model.uri == str(world.model("xxxx"))
    assert staged.record.decision.reason == R.CHALLENGER_BETTER
    world.exporter().approve(staged.record.model.digest, reason="fine", operator="ana")
    assert world.served() == "xxxx"


def test_challenger_is_exported_only_after_the_time_between_exports(world: World):
    second_run(world)
    world.policy = {"min_seconds_between_exports": 10 * 86400}
    decision = world.run("yyyy", TUESDAY)
    assert not decision.exported
    assert standing_of(decision).next == pb.ModelStanding.KEPT
    assert "xxxx" in world.kept


@pytest.mark.parametrize(("limit", "kept"), [(None, ["xxxx"]), (1, [])])
def test_size_of_challengers_is_limited(world: World, limit: int | None, kept: list[str]):
    world.policy = {"max_challenger_bytes": limit}
    decision = second_run(world)
    assert world.kept == kept
    assert decision.reason == (R.KEPT_AS_CHALLENGER if kept else R.NOT_SIGNIFICANT)


def test_the_most_hopeful_are_kept(world: World):
    world.run("best", {"best": 0.9})
    values = {"best": 0.9, "aaaa": 0.902, "bbbb": 0.904, "cccc": 0.903}
    for name in ("aaaa", "bbbb", "cccc"):
        world.run(name, values, data=name)
    assert world.kept == ["bbbb", "cccc"]


def test_candidate_that_is_the_best_measures_nothing(world: World):
    second_run(world)
    calls = len(world.calls)
    decision = world.run("best", {"best": 0.9})
    assert decision.reason == R.ALREADY_BEST
    assert len(world.calls) == calls
    assert world.kept == ["xxxx"]


def test_failed_run_writes_nothing(world: World):
    second_run(world)
    state = world.path / "base" / ".best_exporter" / "challengers"
    before = read_files(state)

    def fail() -> None:
        raise ValueError("no workers")

    world.policy = {"comparability": "REQUIRE_SAME_DATA"}
    with pytest.raises(RuntimeError, match="no workers"):
        world.run("yyyy", TUESDAY, inspect=fail)
    assert read_files(state) == before


def test_damaged_ledger_is_a_warning(world: World):
    second_run(world)
    ledger = world.path / "base" / ".best_exporter" / "challengers" / "ledger.json"
    ledger.write_text("{")
    decision = world.run("yyyy", TUESDAY)
    assert any("the evidence of earlier runs is not used" in each for each in decision.warnings)
    assert decision.reason != R.CHALLENGER_BETTER
    assert [row.run_id for row in world.ledger.rows] == ["run-yyyy"]
    assert json.loads(ledger.read_text())["schema_version"] == 1


def test_foreign_best_has_challengers_too(world: World):
    world.path.joinpath("base").mkdir()
    shutil.copytree(world.model("best"), world.path / "base" / "7")
    world.base = later(world.path / "base")
    decision = world.run("xxxx", MONDAY)
    assert decision.reason == R.KEPT_AS_CHALLENGER
    assert world.kept == ["xxxx"]
    # It has no record, so it cannot be kept when it is replaced.
    world.rule = {"alpha": 0.3}
    decision = world.run("yyyy", {"best": 0.9, "xxxx": 0.903, "yyyy": 0.88})
    assert decision.reason == R.CHALLENGER_BETTER
    assert world.kept == []


def test_best_that_was_replaced_is_kept_and_exported_again(world: World):
    world.rule = {"alpha": 0.3}
    world.run("best", {"best": 0.9})
    decision = world.run("xxxx", {"best": 0.9, "xxxx": 0.9035})
    assert decision.reason == R.BETTER
    assert world.kept == ["best"]
    first, second = world.exports.exports()
    [challenger] = world.state.all()
    # Its files are copies, since a server may still load the version.
    place = path_of(world.state.location_of(challenger.record.model.digest))
    assert not (place / DATA).samefile(path_of(first.location) / DATA)
    decision = world.run("yyyy", {"xxxx": 0.9, "best": 0.92, "yyyy": 0.88})
    assert decision.reason == R.CHALLENGER_BETTER
    assert world.served() == "best"
    third = world.exports.exports()[-1]
    records = [record_of(export.location) for export in (first, third)]
    assert records[0].manifest == records[1].manifest
    assert records[0].model == records[1].model
    assert world.exports.verify(third) == []
    assert second.version < third.version


def test_challenger_that_cannot_be_evaluated_is_dropped(world: World):
    second_run(world)
    values = {"best": 0.9, "xxxx": 0.903, "yyyy": 0.9025}
    world.run("yyyy", values)
    assert world.kept == ["xxxx", "yyyy"]
    world.broken = {"xxxx"}
    world.run("zzzz", {**values, "zzzz": 0.8})
    assert world.kept == ["yyyy"]


def test_challengers_stay_if_nothing_could_be_evaluated(world: World):
    second_run(world)

    def fail() -> None:
        raise ValueError("no workers")

    decision = world.run("yyyy", TUESDAY, inspect=fail)
    assert decision.reason == R.NOT_BETTER
    assert any("no workers" in each for each in decision.warnings)
    assert world.kept == ["xxxx"]


def test_retried_run_that_measures_nothing_keeps_its_candidate(world: World):
    second_run(world)
    decision = world.run("xxxx", MONDAY, reevaluates=False)
    assert not decision.exported
    assert world.kept == ["xxxx"]


def test_exported_candidate_is_no_challenger_any_longer(world: World):
    second_run(world)
    decision = world.run("xxxx", {"best": 0.9, "xxxx": 0.95}, reevaluates=False)
    assert (decision.exported, world.served()) == (True, "xxxx")
    assert world.kept == []


def test_backtest_does_not_take_an_exported_challenger_for_the_candidate(world: World):
    second_run(world)
    assert world.run("yyyy", {**TUESDAY, "yyyy": 0.888}).reason == R.CHALLENGER_BETTER
    # The run compares its candidate with the challenger. By the policy of the backtest, the best is
    # the candidate of the run before.
    world.run("zzzz", {"xxxx": 0.9, "yyyy": 0.8, "zzzz": 0.9})
    rows = backtest(world.exports, compare_policy(larger("auc", by=0.0075)))
    assert [row.would_export for row in rows] == [True, False, True, True]
