import dataclasses
from typing import Any

import pytest

from tests.executor.deciding.contested import BEST, CANDIDATE, OLDER, decided
from tfx_best_exporter.executor.deciding.eval_result import EvalResult
from tfx_best_exporter.executor.deciding.models import (
    Best,
    Candidate,
    Challenger,
    Contest,
    Decision,
    Observation,
)
from tfx_best_exporter.executor.deciding.policy import Policy, policy_from_proto
from tfx_best_exporter.executor.policies import compare_policy, larger, smaller
from tfx_best_exporter.executor.reports.evidence import evidence_of
from tfx_best_exporter.proto import best_exporter_pb2 as pb

ROWS = {OLDER: 0.008}, {OLDER: 0.008, CANDIDATE: 0.004}


def message_row(data: str, best: str, second: int, **values: float | None) -> pb.LedgerRow:
    """Returns a row; each model but the best has a standard error of its value / 100."""
    row = pb.LedgerRow(data=data, best_digest=best, run_id=f"run of {data}")
    row.measured_at.FromSeconds(second)
    for name, value in values.items():
        digest = {"b": BEST, "c": CANDIDATE, "o": OLDER}[name]
        assert value is not None
        row.models.add(
            digest=digest, value=value, standard_error=None if digest == best else value / 100
        )
    return row


LEDGER = (
    message_row("monday", BEST, 1, b=0.9, o=0.91),
    message_row("tuesday", OLDER, 2, b=0.8, o=0.82),
    message_row("wednesday", CANDIDATE, 3, b=0.7, o=0.73, c=0.74),
    message_row("friday", BEST, 5, b=0.6, o=0.64, c=0.61),
)


def evidence(
    decision: Decision, policy: Policy, ledger: tuple[pb.LedgerRow, ...] = LEDGER, **kwargs: Any
) -> pb.ChallengerEvidence | None:
    nothing = EvalResult({})
    older = Candidate(digest=OLDER, eval_result=nothing, uri="/models/1")
    return evidence_of(
        Observation(
            candidate=Candidate(digest=CANDIDATE, eval_result=nothing),
            best=Best(version=7, digest=BEST, eval_result=nothing),
            contest=Contest(
                rows=(),
                ledger=ledger,
                challengers={
                    OLDER: Challenger(
                        candidate=older, size_bytes=1, trained_at=100.0, run_id="run-1"
                    )
                },
            ),
        ),
        decision,
        policy,
        candidate=pb.SourceModel(uri="/models/2", digest=CANDIDATE),
        run_id="run-2",
        decided_at=200.0,
        **kwargs,
    )


def policy_of(rule: pb.MetricRule) -> Policy:
    return policy_from_proto(compare_policy(rule), lambda _: max)


POLICY = policy_of(larger("auc", alpha=0.05, challengers=2))


def test_standings_are_those_of_the_decision():
    decision = decided(*ROWS)
    found = evidence(decision, POLICY)
    assert found is not None
    assert decision.judged is not None
    assert (found.metric, found.direction, found.alpha) == ("auc", pb.HIGHER_IS_BETTER, 0.05)
    assert (found.guarantee, found.is_pooled) == (False, True)
    assert found.consistency == decision.judged.found.consistency
    older, candidate = found.standings
    standing = decision.judged.found.standings[OLDER]
    assert older.gain == standing.gain
    assert older.gain_error == standing.error
    assert older.chance_no_better == standing.chance_no_better
    assert older.difference == standing.difference
    assert older.difference_error == standing.difference_error
    assert older.run_count == 2
    assert not older.HasField("log_e_value")
    assert (older.value, candidate.value) == (0.64, 0.61)
    assert (older.next, candidate.next) == (pb.ModelStanding.EXPORTED, pb.ModelStanding.KEPT)
    assert candidate.why == decision.judged.why[CANDIDATE]


def test_each_model_has_its_own_source():
    found = evidence(decided(*ROWS), POLICY)
    assert found is not None
    older, candidate = found.standings
    assert (older.model.uri, older.run_id, older.trained_at.ToSeconds()) == (
        "/models/1",
        "run-1",
        100,
    )
    assert (candidate.model.uri, candidate.run_id, candidate.trained_at.ToSeconds()) == (
        "/models/2",
        "run-2",
        200,
    )
    assert (older.is_candidate, candidate.is_candidate) == (False, True)


def test_differences_have_the_errors_that_a_row_knows():
    found = evidence(decided(*ROWS), POLICY)
    assert found is not None
    older, candidate = found.standings
    assert [each.difference for each in older.runs] == pytest.approx([0.01, 0.02, 0.03, 0.04])
    errors = [
        each.standard_error if each.HasField("standard_error") else None for each in older.runs
    ]
    # On Wednesday, both were compared with the candidate.
    assert errors == pytest.approx([0.0091, 0.008, None, 0.0064])
    assert [each.run_id for each in candidate.runs] == ["run of wednesday", "run of friday"]
    assert [each.measured_at.ToSeconds() for each in candidate.runs] == [3, 5]


def test_the_same_data_are_one_difference():
    again = message_row("monday", BEST, 9, b=0.9, o=0.93, c=0.9)
    found = evidence(decided(*ROWS), POLICY, ledger=(*LEDGER, again))
    assert found is not None
    runs = found.standings[0].runs
    assert [each.data for each in runs] == ["tuesday", "wednesday", "friday", "monday"]
    assert runs[-1].difference == pytest.approx(0.03)


def test_smaller_values_are_positive_differences():
    policy = policy_of(smaller("auc", alpha=0.05, challengers=2, guarantee=True))
    proto = compare_policy(smaller("auc", alpha=0.05, challengers=2, guarantee=True))
    found = evidence(decided(*ROWS, policy=proto, sign=-1.0), policy)
    assert found is not None
    assert found.guarantee
    assert found.standings[0].HasField("log_e_value")
    assert found.standings[0].runs[0].difference == pytest.approx(-0.01)


def test_decision_without_challengers_has_no_evidence():
    decision = dataclasses.replace(decided(*ROWS), judged=None)
    assert evidence(decision, POLICY) is None
