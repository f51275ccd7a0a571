"""Challengers as status, history, show and the site see them, after real runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.executor.operating.desk import NOW
from tests.executor.running.challenged import DAY, START, World
from tfx_best_exporter.executor.deciding import numbers
from tfx_best_exporter.executor.operating.challengers import (
    KeptChallenger,
    Runs,
    challengers_of,
    runs_of,
)
from tfx_best_exporter.executor.operating.history import history
from tfx_best_exporter.executor.operating.showing import show
from tfx_best_exporter.executor.operating.site import write_site
from tfx_best_exporter.executor.operating.status import status
from tfx_best_exporter.proto import best_exporter_pb2 as pb

R = pb.ExportDecision


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Returns a base directory after two refused candidates: the example of docs/challengers.md."""
    world = World(tmp_path)
    world.run("base", {"base": 0.9})
    world.run("mond", {"base": 0.9, "mond": 0.906})
    world.run("tues", {"base": 0.88, "mond": 0.886, "tues": 0.884})
    return world


def export_of_monday(world: World) -> pb.ExportDecision:
    """Exports Monday's model on Wednesday."""
    return world.run("wedn", {"base": 0.91, "mond": 0.919, "tues": 0.912, "wedn": 0.908})


def kept(world: World) -> tuple[KeptChallenger, ...]:
    return status(world.exports, NOW).challengers


def test_challengers_have_the_evidence_of_the_ledger(world: World):
    monday, tuesday = kept(world)
    assert (monday.run_id, tuesday.run_id) == ("run-mond", "run-tues")
    assert (monday.run_count, tuesday.run_count) == (2, 1)
    assert (monday.value, tuesday.value) == (0.886, 0.884)
    decision = show(world.exports, "run-tues")
    standings = {each.run_id: each for each in decision.challenger_evidence.standings}
    for each in (monday, tuesday):
        standing = standings[each.run_id]
        assert each.gain == pytest.approx(standing.gain)
        assert each.gain_error == pytest.approx(standing.gain_error)
        assert each.chance_no_better == pytest.approx(standing.chance_no_better)
        assert each.log_e_value is None
    assert monday.trained_at == START + 2 * DAY
    assert (monday.alpha, monday.size_bytes) == (0.05, sum(_sizes(world, "mond")))
    assert monday.digest in {each.record.model.digest for each in world.state.all()}
    assert monday.explanation.startswith("auc 0.886: over 2 runs 0.0039 ± 0.0024 better")


def _sizes(world: World, name: str) -> list[int]:
    return [path.stat().st_size for path in world.model(name).rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "rule",
    [{"by": 0.001}, {"by_share": 0.001}, {"by": 0.001, "guarantee": True}, {"alpha": 0.01}],
    ids=str,
)
def test_the_evidence_is_that_of_the_policy(tmp_path: Path, rule: dict[str, Any]):
    world = World(tmp_path, rule=rule)
    world.run("base", {"base": 0.9})
    decision = world.run("mond", {"base": 0.9, "mond": 0.906})
    (standing,) = decision.challenger_evidence.standings
    (challenger,) = kept(world)
    assert challenger.chance_no_better == pytest.approx(standing.chance_no_better)
    assert (challenger.log_e_value is None) is not standing.HasField("log_e_value")
    assert (challenger.log_e_value or 0) == pytest.approx(standing.log_e_value)
    assert challenger.explanation
    assert challenger.explanation in decision.explanation


def test_a_challenger_without_evidence(world: World):
    assert all(each.gain is not None for each in challengers_of(world.exports, _best(world)))
    for best in ("", "sha256:other"):
        monday, tuesday = challengers_of(world.exports, best)
        for each in (monday, tuesday):
            assert (each.run_count, each.gain, each.value, each.alpha) == (0, None, None, None)
            assert each.explanation == ""


def _best(world: World) -> str:
    served = status(world.exports, NOW).served
    assert served
    return served.digest


def test_without_challengers_there_is_nothing(tmp_path: Path):
    world = World(tmp_path, rule={"challengers": 0})
    world.run("base", {"base": 0.9})
    assert kept(world) == ()


def test_a_refused_run_has_its_evidence_while_its_candidate_is_kept(world: World):
    decision = show(world.exports, "run-mond")
    assert decision.reason == R.KEPT_AS_CHALLENGER
    assert not decision.HasField("version")
    assert not decision.exported
    (standing,) = decision.challenger_evidence.standings
    assert standing.is_candidate
    export_of_monday(world)
    assert not show(world.exports, "run-mond").challenger_evidence.standings


def test_the_history_names_the_run_that_trained_an_exported_challenger(world: World):
    export_of_monday(world)
    newest, *older = history(world.exports).items
    assert (newest.reason, newest.run_id, newest.trained_by) == (
        "CHALLENGER_BETTER",
        "run-wedn",
        "run-mond",
    )
    assert {item.trained_by for item in older} == {""}


def test_the_history_has_the_values_of_the_exported_model(world: World):
    export_of_monday(world)
    newest = history(world.exports).items[0]
    assert [(each.name, each.value) for each in newest.metrics] == [("auc", 0.919)]
    assert newest.digest == _best(world)


def test_the_history_without_a_log(world: World):
    export_of_monday(world)
    (world.exports.state / "decisions.jsonl").remove()
    newest = history(world.exports).items[0]
    assert (newest.reason, newest.run_id, newest.trained_by) == (
        "CHALLENGER_BETTER",
        "run-wedn",
        "run-mond",
    )


def test_the_history_of_a_version_that_a_person_removed(world: World):
    decision = export_of_monday(world)
    (world.exports.base / str(decision.version)).remove()
    newest = history(world.exports).items[0]
    assert (newest.reason, newest.state, newest.trained_by) == ("CHALLENGER_BETTER", "removed", "")
    assert (newest.metrics, newest.digest) == ((), "")


def test_the_status_names_both_runs(world: World):
    assert _runs(world) == ("run-base", "")
    export_of_monday(world)
    assert _runs(world) == ("run-wedn", "run-mond")


def _runs(world: World) -> tuple[str, str]:
    served = status(world.exports, NOW).served
    assert served
    return served.run_id, served.trained_by


def test_runs_of_a_record():
    decision, provenance = pb.ExportDecision(), pb.Provenance(run_id="run-1")
    assert runs_of(decision, provenance) == Runs(exporting="run-1")
    decision.exported_challenger.digest = "sha256:1"
    assert runs_of(decision, provenance) == Runs(exporting="", earlier="run-1")


def test_the_site_shows_challengers(world: World, tmp_path: Path):
    site = tmp_path / "site"
    write_site([world.exports], site, NOW)
    (index,) = site.glob("*/index.html")
    text = index.read_text(encoding="utf-8")
    trained = numbers.time_of(START + 2 * DAY)
    assert f"run-mond, trained {trained}: auc 0.886: over 2 runs" in text
    pages = [page.read_text(encoding="utf-8") for page in index.parent.glob("run-*.html")]
    assert sum("differences to the best" in page for page in pages) == 2
    export_of_monday(world)
    write_site([world.exports], site, NOW)
    text = index.read_text(encoding="utf-8")
    assert "run-wedn (model of run-mond)" in text
