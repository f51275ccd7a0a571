from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from google.protobuf import json_format

from tests.executor.operating.desk import NOW, WHO, Desk
from tfx_best_exporter.executor import policies
from tfx_best_exporter.executor.deciding.eval_result import EvalResult
from tfx_best_exporter.executor.exports.decision_log import LoggedDecision, LoggedMetric
from tfx_best_exporter.executor.operating.backtest import CANNOT_TELL, BacktestRow, backtest
from tfx_best_exporter.executor.operating.operation import OperationError
from tfx_best_exporter.executor.operating.pinning import pin
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.proto import best_exporter_pb2 as pb

LOSS = policies.compare_policy(policies.smaller("loss"))
AUC = policies.compare_policy(policies.larger("auc"))


def run(
    name: str,
    *,
    loss: float = 0.5,
    auc: float | None = 0.5,
    exported: int | None = None,
    best: int | None = None,
    reason: str = "",
    best_loss: float | None = None,
    **fields: Any,
) -> LoggedDecision:
    """Returns a logged run, which compared the loss."""
    metrics = {"loss": loss} | ({} if auc is None else {"auc": auc})
    evaluation = json_format.MessageToDict(
        EvalResult.from_mapping(metrics).to_proto(), preserving_proto_field_name=True
    )
    known: dict[str, Any] = {
        "at": NOW,
        "reason": reason or ("NOT_BETTER" if exported is None else "BETTER"),
        "exported": exported is not None,
        "version": exported,
        "best_version": best,
        "candidate_digest": f"sha256:{name}",
        "metrics": (LoggedMetric(name="loss", candidate=loss, best=best_loss),),
        "evaluation": evaluation,
    }
    return LoggedDecision(**{**known, **fields})


def rows_of(desk: Desk, policy: pb.ComparePolicy, *runs: LoggedDecision) -> list[BacktestRow]:
    with desk.exports.lock():
        for decision in runs:
            desk.exports.decision_log.append(decision)
    return list(backtest(desk.exports, policy))


def answers(rows: list[BacktestRow]) -> list[tuple[str, bool | None]]:
    return [(row.reason, row.would_export) for row in rows]


# The loss gets smaller in the second and the third run, and the auc larger in the third and fourth.
RUNS = (
    run("a", loss=0.5, auc=0.5, exported=11, best=None, reason="FIRST_EXPORT"),
    run("b", loss=0.4, auc=0.4, exported=12, best=11, best_loss=0.5),
    run("c", loss=0.3, auc=0.6, exported=13, best=12, best_loss=0.4),
    run("d", loss=0.6, auc=0.7, best=13, best_loss=0.3),
)


def test_the_same_policy_decides_the_same(disk: Desk) -> None:
    rows = rows_of(disk, LOSS, *RUNS)
    assert answers(rows) == [
        ("FIRST_EXPORT", True),
        ("BETTER", True),
        ("BETTER", True),
        ("NOT_BETTER", False),
    ]
    assert not any(row.differs for row in rows)


def test_another_policy_has_its_own_best(disk: Desk) -> None:
    rows = rows_of(disk, AUC, *RUNS)
    assert answers(rows) == [
        ("FIRST_EXPORT", True),
        ("NOT_BETTER", False),
        ("BETTER", True),
        ("BETTER", True),
    ]
    # The third candidate is compared with the first one, because the second is not exported.
    assert "0.6 is larger than the best's 0.5" in rows[2].explanation
    assert [row.differs for row in rows] == [False, True, False, True]
    assert [row.logged.candidate_digest[-1] for row in rows] == ["a", "b", "c", "d"]


def test_operations_are_no_runs(disk: Desk) -> None:
    pin(disk.exports, 7, **WHO)
    assert rows_of(disk, LOSS) == []


def test_continues_with_what_a_person_serves(disk: Desk) -> None:
    # Version 12 was rolled back, so the third run was compared with version 11.
    runs = (*RUNS[:2], run("c", loss=0.45, auc=0.3, exported=13, best=11, best_loss=0.5))
    assert answers(rows_of(disk, LOSS, *runs))[-1] == ("BETTER", True)


def test_the_record_has_the_evaluation_of_a_best_that_is_not_in_the_log(disk: Desk) -> None:
    disk.publish(20, evaluation=EvalResult.from_mapping({"loss": 0.5, "auc": 0.8}).to_proto())
    first = run("a", auc=0.7, best=20, best_loss=0.5)
    assert answers(rows_of(disk, AUC, first)) == [("NOT_BETTER", False)]


def test_uses_the_values_that_were_really_compared(disk: Desk) -> None:
    # The best was evaluated again, and has a loss of 0.2 on the candidate's data.
    runs = (RUNS[0], run("b", loss=0.4, best=11, best_loss=0.2))
    assert answers(rows_of(disk, LOSS, *runs))[-1] == ("NOT_BETTER", False)


def test_the_same_model(disk: Desk) -> None:
    runs = (RUNS[0], run("a", best=11, version=11, reason="ALREADY_BEST"))
    assert answers(rows_of(disk, LOSS, *runs))[-1] == ("ALREADY_BEST", False)
    runs = (run("a", best=11, exported=12, reason="REEXPORTED"),)
    assert answers(rows_of(disk, AUC, *runs))[-1] == ("REEXPORTED", True)


@pytest.mark.parametrize(
    "reason", ["NOT_BLESSED", "BLESSING_NOT_COMPUTED", "BEING_WRITTEN", "REJECTED", "ON_HOLD"]
)
def test_reasons_that_no_policy_changes(disk: Desk, reason: str) -> None:
    runs = (RUNS[0], run("b", loss=0.1, best=11, reason=reason, evaluation={}))
    rows = rows_of(disk, AUC, *runs)
    assert answers(rows)[-1] == (reason, False)


def test_an_unknown_best_is_unknown_to_the_other_policy_too(disk: Desk) -> None:
    first = run("a", best=99, reason="BEST_UNKNOWN_KEPT")
    assert answers(rows_of(disk, LOSS, first)) == [("BEST_UNKNOWN_KEPT", False)]
    replaces = policies.compare_policy(policies.smaller("loss"), on_unknown_best="EXPORT")
    assert [row.reason for row in backtest(disk.exports, replaces)] == ["BEST_UNKNOWN_EXPORTED"]


def test_approval_counts_as_an_export(disk: Desk) -> None:
    policy = pb.ComparePolicy()
    policy.CopyFrom(LOSS)
    policy.approval = pb.ComparePolicy.REQUIRED
    assert answers(rows_of(disk, policy, *RUNS))[:2] == [("FIRST_EXPORT", True), ("BETTER", True)]


SLICES = policies.compare_policy(
    policies.smaller("loss"),
    guardrails=[policies.at_least("auc", 0.1, slices=[{"country": "nl"}])],
)
INTERVALS = policies.compare_policy(policies.smaller("loss", alpha=0.05))
FUNCTION = pb.ComparePolicy(compare_fn="my.function")
SAME_DATA = policies.compare_policy(policies.smaller("loss"), comparability="REQUIRE_SAME_DATA")
MISSING: dict[str, tuple[pb.ComparePolicy, LoggedDecision, str]] = {
    "slices": (SLICES, RUNS[1], "looks at slices"),
    "intervals": (INTERVALS, RUNS[1], "interval"),
    "a function": (FUNCTION, RUNS[1], "compare function"),
    "the same data": (SAME_DATA, RUNS[1], "no evaluation on the same data"),
    "a metric": (AUC, run("b", auc=None, best=11), "auc"),
    "an evaluation": (LOSS, run("b", best=11, evaluation={}), "no evaluation of the candidate"),
    "a damaged evaluation": (
        LOSS,
        run("b", best=11, evaluation={"metrics": 7}),
        "no evaluation of the candidate",
    ),
    "a run that failed": (LOSS, run("b", best=11, reason="FAILED"), "the run failed"),
    "signatures": (
        AUC,
        run("c", auc=0.9, best=12, reason="SIGNATURES_CHANGED"),
        "no serving signatures",
    ),
}


@pytest.mark.parametrize(("policy", "logged", "text"), MISSING.values(), ids=MISSING)
def test_cannot_tell(
    disk: Desk, policy: pb.ComparePolicy, logged: LoggedDecision, text: str
) -> None:
    runs = [RUNS[0], logged]
    if logged.reason == "SIGNATURES_CHANGED":
        # By the auc, version 12 is not the best of the replay.
        runs.insert(1, RUNS[1])
    row = rows_of(disk, policy, *runs)[-1]
    assert (row.reason, row.would_export, row.differs) == (CANNOT_TELL, None, False)
    assert text in row.explanation


def test_slices_do_not_matter_to_a_candidate_that_is_worse(disk: Desk) -> None:
    rows = rows_of(disk, SLICES, RUNS[0], run("b", loss=0.9, best=11, best_loss=0.5))
    assert answers(rows)[-1] == ("NOT_BETTER", False)


def test_changed_signatures_of_the_same_pair(disk: Desk) -> None:
    logged = run("b", loss=0.4, best=11, reason="SIGNATURES_CHANGED")
    assert answers(rows_of(disk, LOSS, RUNS[0], logged))[-1] == ("SIGNATURES_CHANGED", False)
    allowed = policies.compare_policy(policies.smaller("loss"), allow_signature_change=True)
    assert backtest(disk.exports, allowed)[-1].reason == "BETTER"


def test_goes_on_as_it_was_decided_where_it_cannot_tell(disk: Desk) -> None:
    unknown = run("b", loss=0.4, auc=None, exported=12, best=11, best_loss=0.5)
    last = run("c", loss=0.3, auc=0.45, best=12, best_loss=0.4)
    rows = rows_of(disk, AUC, RUNS[0], unknown, last)
    # The best is then the second candidate, which has no auc.
    assert answers(rows)[1:] == [(CANNOT_TELL, None), (CANNOT_TELL, None)]


def test_refuses(disk: Desk) -> None:
    with pytest.raises(ValueError, match="must have a rule"):
        backtest(disk.exports, pb.ComparePolicy())
    base = disk.exports.base
    other = Desk(Location(base.storage, f"{base.path}x"), disk.tmp_path)
    with pytest.raises(OperationError, match=r"^base directory must exist"):
        backtest(other.exports, LOSS)


def at(hours: float, logged: LoggedDecision) -> LoggedDecision:
    return dataclasses.replace(logged, at=NOW + hours * 3600)


def test_the_time_since_the_last_export_of_the_replay(disk: Desk) -> None:
    policy = policies.compare_policy(policies.smaller("loss"), min_seconds_between_exports=5 * 3600)
    runs = [at(0, RUNS[0]), at(4, RUNS[1]), at(6, RUNS[2])]
    assert answers(rows_of(disk, policy, *runs)) == [
        ("FIRST_EXPORT", True),
        ("EXPORTED_RECENTLY", False),
        # The replay has not exported the second candidate, so its last export is the first one.
        ("BETTER", True),
    ]


def test_a_best_that_is_too_old(disk: Desk) -> None:
    policy = policies.compare_policy(
        policies.smaller("loss"), max_best_age_seconds=3600, old_best_margin=0.2
    )
    worse = run("b", loss=0.6, best=11, best_loss=0.5)
    rows = rows_of(disk, policy, at(0, RUNS[0]), at(0.5, worse), at(2, worse))
    assert answers(rows)[1:] == [("NOT_BETTER", False), ("BEST_TOO_OLD", True)]


def test_a_time_of_export_that_nobody_knows(disk: Desk) -> None:
    disk.publish(20, evaluation=EvalResult.from_mapping({"loss": 0.5}).to_proto())
    policy = policies.compare_policy(policies.smaller("loss"), min_seconds_between_exports=60)
    row = rows_of(disk, policy, run("a", loss=0.4, best=20, best_loss=0.5))[0]
    assert (row.reason, row.would_export) == (CANNOT_TELL, None)
    assert "when the best was exported" in row.explanation


def test_older_data(disk: Desk) -> None:
    def spanned(logged: LoggedDecision, span: int) -> LoggedDecision:
        data = {"examples_uri": f"/examples/{span}", "span": str(span)}
        return dataclasses.replace(logged, evaluation={**logged.evaluation, "data": data})

    runs = [spanned(RUNS[0], 8), spanned(RUNS[1], 7)]
    assert answers(rows_of(disk, LOSS, *runs))[-1] == ("OLDER_DATA", False)
    allowed = policies.compare_policy(policies.smaller("loss"), allow_older_data=True)
    assert backtest(disk.exports, allowed)[-1].reason == "BETTER"


@pytest.mark.parametrize("is_released", [False, True])
def test_a_promoted_best(disk: Desk, is_released: bool) -> None:
    promotion = at(1, run("p", loss=0.9, exported=12, best=11, kind="promote", reason="FORCED"))
    release = at(2, run("x", kind="release", version=12, evaluation={}))
    runs = [RUNS[0], promotion, release] if is_released else [RUNS[0], promotion]
    last = at(3, run("c", loss=0.3, best=12, best_loss=0.9))
    row = rows_of(disk, LOSS, *runs, last)[-1]
    assert row.reason == ("BETTER" if is_released else CANNOT_TELL)


def test_a_model_that_was_replaced_by_force(disk: Desk) -> None:
    forced = run("b", loss=0.9, exported=12, best=11, best_loss=0.5, reason="FORCED")
    again = run("a", loss=0.5, best=12, best_loss=0.9)
    forcing = policies.compare_policy(policies.smaller("loss"), force="a reason")
    disk_rows = rows_of(disk, LOSS, RUNS[0], forced, again)
    # By the other policy, the first model is still the best.
    assert answers(disk_rows)[1:] == [("NOT_BETTER", False), ("ALREADY_BEST", False)]
    assert [row.reason for row in backtest(disk.exports, forcing)][1:] == ["FORCED", "FORCED"]
