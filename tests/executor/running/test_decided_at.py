"""The time of a decision: after the best was evaluated again."""

import types
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.executor.plain import write_files
from tfx_best_exporter.executor.deciding.eval_result import EvalResult
from tfx_best_exporter.executor.evaluations.best import Reevaluated
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.policies import compare_policy, larger
from tfx_best_exporter.executor.running.observe import CandidateModel, observe_candidate
from tfx_best_exporter.executor.running.run import Request, export_if_better
from tfx_best_exporter.executor.running.settings import Settings, compare_policy_of
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.proto import best_exporter_pb2 as pb

HOURS = 3 * 3600.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def candidate(path: Path, auc: float) -> CandidateModel:
    write_files(path)
    (path / "assets" / "words.txt").write_text(path.name)
    result = EvalResult.from_mapping({"auc": auc})
    return observe_candidate(location_of(path), str(path), result, [])


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(tmp_path: Path, clock: Clock) -> Settings:
    message, policy = compare_policy_of(None, compare_policy(larger("auc")), lambda _: bool)
    return Settings(
        exports=ExportDirectory(location_of(tmp_path / "serving")),
        compare_policy=message,
        policy=policy,
        retention_policy=None,
        serving_signatures_fn=None,
        serving_signatures_name="",
        assets_extra={},
        as_text=False,
        unservable="resave",
        name="BestExporter",
        clock=clock,
    )


def test_the_decision_is_made_after_the_best_was_evaluated(
    settings: Settings, clock: Clock, tmp_path: Path
):
    export_if_better(settings, candidate(tmp_path / "first", 0.8), Request())

    def reevaluate(
        export: Location,
        candidate: Location | None,
        challengers: Mapping[str, Location] = types.MappingProxyType({}),
    ) -> Reevaluated:
        del export, candidate, challengers
        clock.now += HOURS
        return Reevaluated(best=EvalResult.from_mapping({"auc": 0.7}))

    decision = export_if_better(
        settings, candidate(tmp_path / "second", 0.75), Request(reevaluate=reevaluate)
    )
    assert decision.reason == pb.ExportDecision.BETTER
    assert decision.basis == pb.ExportDecision.EVALUATED_AGAIN
    assert decision.decided_at.seconds == decision.version == 1000 + HOURS
    # This run knows when it evaluated the best. Nobody knows when the candidate was evaluated.
    assert decision.best.evaluation.evaluated_at == decision.decided_at
    assert not decision.candidate_evaluation.HasField("evaluated_at")
