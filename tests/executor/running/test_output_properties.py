"""The metrics among the custom properties of an artifact."""

import math
from collections.abc import Iterable

import pytest

from tfx_best_exporter.executor import keys
from tfx_best_exporter.executor.policies import at_least, compare_policy, larger, smaller
from tfx_best_exporter.executor.running.output_properties import (
    MAX_METRIC_PROPERTIES,
    MAX_PROPERTY_NAME,
    custom_properties_of,
    serves_candidate,
)
from tfx_best_exporter.proto import best_exporter_pb2 as pb

MANY = [f"metric_{number:04d}" for number in range(1000)]
DECISIVE = ["zz_auc", "zz_recall", "zz_loss"]


def evaluation(names: Iterable[str], value: float = 0.5) -> pb.Evaluation:
    return pb.Evaluation(
        metrics=[pb.MetricValue(key=pb.MetricKey(name=name), value=value) for name in names]
    )


def metric_names(decision: pb.ExportDecision, channel: str = "pushed_model") -> list[str]:
    prefixes = (keys.CANDIDATE_METRIC_PREFIX, keys.BEST_METRIC_PREFIX)
    return [name for name in custom_properties_of(decision)[channel] if name.startswith(prefixes)]


@pytest.fixture
def decision() -> pb.ExportDecision:
    return pb.ExportDecision(
        compare_policy=compare_policy(
            larger("zz_auc"),
            tie_breakers=[smaller("zz_loss")],
            guardrails=[at_least("zz_recall", 0)],
        ),
        candidate_evaluation=evaluation([*MANY, *DECISIVE]),
        best=pb.ExportDecision.Best(version=7, evaluation=evaluation([*MANY, *DECISIVE])),
    )


@pytest.mark.parametrize("channel", ["pushed_model", "decision"])
def test_the_metrics_of_the_policy_come_first(decision: pb.ExportDecision, channel: str):
    found = metric_names(decision, channel)
    assert len(found) == MAX_METRIC_PROPERTIES == 100
    assert {*found[:6]} == {
        f"{prefix}{name}"
        for prefix in (keys.CANDIDATE_METRIC_PREFIX, keys.BEST_METRIC_PREFIX)
        for name in DECISIVE
    }
    assert found[6:] == [f"{keys.CANDIDATE_METRIC_PREFIX}{name}" for name in MANY[:94]]


def test_the_metrics_that_a_compare_function_read_come_first(decision: pb.ExportDecision):
    decision.compare_policy.CopyFrom(compare_policy("my.compare"))
    decision.comparisons.add(metric="metric_0999")
    assert [name.rpartition("metric_")[2] for name in metric_names(decision)[:3]] == [
        "0999",
        "0999",
        "0000",
    ]


def test_few_metrics_are_all_shown_but_for_those_that_are_not_finite():
    decision = pb.ExportDecision(
        candidate_evaluation=evaluation(["a", "b"]), best={"evaluation": evaluation(["a"])}
    )
    decision.candidate_evaluation.metrics[0].value = math.nan
    assert metric_names(decision) == [
        f"{keys.CANDIDATE_METRIC_PREFIX}b",
        f"{keys.BEST_METRIC_PREFIX}a",
    ]


def test_long_names_are_cut():
    long = "x" * 1000
    decision = pb.ExportDecision(candidate_evaluation=evaluation([f"{long}1", f"{long}2", "a"]))
    found = metric_names(decision)
    assert [len(name) for name in found] == [
        MAX_PROPERTY_NAME,
        len(f"{keys.CANDIDATE_METRIC_PREFIX}a"),
    ]
    assert MAX_PROPERTY_NAME == 255


def test_an_explanation_has_no_secrets():
    decision = pb.ExportDecision(explanation="blessing at https://me:1234567@host/a")
    properties = custom_properties_of(decision)["decision"]
    assert properties[keys.EXPLANATION_PROPERTY] == "blessing at https://***@host/a"


def exported(challenger: str = "") -> pb.ExportDecision:
    decision = pb.ExportDecision(
        exported=True, version=8, base_directory="/serving", reason=pb.ExportDecision.BETTER
    )
    if challenger:
        decision.reason = pb.ExportDecision.CHALLENGER_BETTER
        decision.candidate.digest = "sha256:c"
        decision.exported_challenger.uri = challenger
        decision.exported_challenger.digest = "sha256:o"
        standings = decision.challenger_evidence.standings
        standings.add(run_id="run-3", is_candidate=True)
        standings.add(run_id="run-1", model=decision.exported_challenger)
    return decision


def test_exported_challenger_is_pushed_and_the_candidate_is_not_served():
    decision = exported("/models/1")
    for channel, properties in custom_properties_of(decision).items():
        assert properties["exported_model"] == "/models/1", channel
        assert properties["exported_model_run"] == "run-1"
        assert properties["pushed_version"] == "8"
    pushed_model = custom_properties_of(decision)["pushed_model"]
    assert (pushed_model["pushed"], pushed_model["pushed_destination"]) == (1, "/serving/8")
    assert not serves_candidate(decision)


def test_exported_candidate_is_served_and_needs_no_other_source():
    decision = exported()
    assert serves_candidate(decision)
    assert "exported_model" not in custom_properties_of(decision)["pushed_model"]
    assert not serves_candidate(pb.ExportDecision(reason=pb.ExportDecision.NOT_BETTER))
