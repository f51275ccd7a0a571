import math

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from tfx_best_exporter.executor import wording
from tfx_best_exporter.proto import best_exporter_pb2 as pb

AUC = pb.MetricKey(name="auc")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.93, "0.93"),
        (0.1 + 0.2, "0.3"),
        (-0.020000000000000018, "-0.02"),
        (1e-9, "1e-09"),
        (math.nan, "NaN"),
        (math.inf, "∞"),
        (-math.inf, "-∞"),
    ],
)
def test_number(value: float, text: str):
    assert wording.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(12000.0, "12,000"), (0.5, "0.5"), (1e18, "1e+18"), (math.inf, "∞"), (math.nan, "NaN")],
)
def test_count(value: float, text: str):
    assert wording.count(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param("auc", "auc", id="plain"),
        pytest.param("", "(empty)", id="empty"),
        pytest.param("größer/比較", "größer/比較", id="letters of any script"),
        pytest.param("a\u202eb", "a\\u202eb", id="override"),
        pytest.param("a\u2066b\u200f", "a\\u2066b\\u200f", id="isolate and mark"),
        pytest.param("a\nb\tc\x00", "a\\nb\\tc\\x00", id="control characters"),
        pytest.param("a\u2028b\ufeff\u200b", "a\\u2028b\\ufeff\\u200b", id="no shape"),
        pytest.param("\U0001f469\u200d\U0001f680", "\U0001f469\u200d\U0001f680", id="joined emoji"),
        pytest.param("x" * 120, "x" * 120, id="long"),
        pytest.param("x" * 10_000, "x" * 80 + "… (10,000 characters) …" + "x" * 40, id="longer"),
    ],
)
def test_name(value: str, text: str):
    assert wording.name(value) == text


def test_text_is_longer_than_a_name():
    assert wording.text("x" * 600) == "x" * 600
    assert wording.text("x" * 601) == "x" * 400 + "… (601 characters) …" + "x" * 200
    assert wording.text("") == ""


@pytest.mark.parametrize(
    ("timestamp", "text"),
    [
        (Timestamp(seconds=1795331909, nanos=999), "2026-11-22 07:18:29 UTC"),
        (Timestamp(seconds=0), "1970-01-01 00:00:00 UTC"),
        (Timestamp(seconds=10**15), "1000000000000000 seconds since 1970 UTC"),
        (Timestamp(seconds=-(10**15)), "-1000000000000000 seconds since 1970 UTC"),
    ],
)
def test_time(timestamp: Timestamp, text: str):
    assert wording.time(timestamp) == text


@pytest.mark.parametrize(
    ("improvement", "text"),
    [
        (0.02, "better by 0.02"),
        (-0.02, "worse by 0.02"),
        (0.0, "no change"),
        (math.inf, "better by ∞"),
        (math.nan, "not comparable"),
    ],
)
def test_change(improvement: float, text: str):
    assert wording.change(improvement) == text


def test_slice_is_the_same_whatever_the_order():
    there = pb.Slice(features={"country": "nl", "age": "7"})
    back = pb.Slice(features={"age": "7", "country": "nl"})
    assert wording.slice_name(there) == wording.slice_name(back) == "age=7, country=nl"
    assert wording.slice_name(pb.Slice()) == "overall"


COMMON = [
    ("Same data", "Used where possible."),
    ("Best unknown", "The candidate is exported."),
    ("Signatures", "A change that breaks clients of the best is refused."),
]


@pytest.mark.parametrize(
    ("policy", "sentences"),
    [
        pytest.param(pb.ComparePolicy(), [], id="none"),
        pytest.param(
            pb.ComparePolicy(compare_fn="my_package.larger"),
            [("Better", "As the function my_package.larger says."), *COMMON],
            id="function",
        ),
        pytest.param(
            pb.ComparePolicy(metric=pb.MetricRule(metric=AUC, direction=pb.HIGHER_IS_BETTER)),
            [("Better", "auc: higher is better."), *COMMON],
            id="metric",
        ),
        pytest.param(
            pb.ComparePolicy(
                metric=pb.MetricRule(
                    metric=pb.MetricKey(name="loss", output_name="click"),
                    direction=pb.LOWER_IS_BETTER,
                    min_absolute_change=0.001,
                    min_relative_change=0.01,
                    significance=pb.Significance(alpha=0.01),
                    tie_tolerance=0.002,
                ),
                tie_breakers=[
                    pb.MetricRule(
                        metric=AUC,
                        direction=pb.HIGHER_IS_BETTER,
                        significance=pb.Significance(),
                    )
                ],
            ),
            [
                (
                    "Better",
                    (
                        "click/loss: lower is better, by more than 0.001 and more than 1 % of"
                        " the best, and by more than noise at alpha 0.01. A candidate worse by no"
                        " more than 0.002 is a tie."
                    ),
                ),
                (
                    "Tie-breaker 1",
                    "auc: higher is better, and by more than noise at the default alpha.",
                ),
                *COMMON,
            ],
            id="thresholds",
        ),
        pytest.param(
            pb.ComparePolicy(
                guardrails=[
                    pb.Guardrail(metric=AUC, direction=pb.HIGHER_IS_BETTER, bound=0.7),
                    pb.Guardrail(
                        metric=pb.MetricKey(name="loss"),
                        direction=pb.LOWER_IS_BETTER,
                        bound=2,
                        max_absolute_regression=0.1,
                        max_relative_regression=0.02,
                        slices=[pb.Slice(features={"country": "nl"}), pb.Slice()],
                        every_slice_min_examples=1000,
                    ),
                    pb.Guardrail(metric=AUC),
                ]
            ),
            [
                ("Guardrail", "auc: at least 0.7, on the overall slice."),
                (
                    "Guardrail",
                    (
                        "loss: at most 2 and worse than the best by at most 0.1 and worse than"
                        " the best by at most 2 % of it, on country=nl; overall and on every slice"
                        " of at least 1,000 examples."
                    ),
                ),
                ("Guardrail", "auc: no limit, on the overall slice."),
                *COMMON,
            ],
            id="guardrails",
        ),
        pytest.param(
            pb.ComparePolicy(
                on_unknown_best=pb.ComparePolicy.KEEP,
                comparability=pb.ComparePolicy.REQUIRE_SAME_DATA,
                allow_signature_change=True,
                min_example_count=1000,
                max_best_evaluation_age_seconds=2592000,
                force="labels before June were wrong",
            ),
            [
                ("Examples", "At least 1,000 in the candidate's evaluation."),
                ("Same data", "Required."),
                ("Best unknown", "The best is kept."),
                ("Signatures", "A change that breaks clients of the best is allowed."),
                ("Age", "The best's recorded evaluation is at most 30 days old."),
                (
                    "Force",
                    "Exported whatever the comparison says: labels before June were wrong",
                ),
            ],
            id="everything else",
        ),
        pytest.param(
            pb.ComparePolicy(
                on_unknown_best=pb.ComparePolicy.FAIL,
                comparability=pb.ComparePolicy.ANY,
                max_best_evaluation_age_seconds=90,
            ),
            [
                ("Same data", "Not asked for."),
                ("Best unknown", "The run fails."),
                ("Signatures", "A change that breaks clients of the best is refused."),
                ("Age", "The best's recorded evaluation is at most 90 seconds old."),
            ],
            id="other values",
        ),
    ],
)
def test_policy(policy: pb.ComparePolicy, sentences: list[tuple[str, str]]):
    assert list(wording.policy(policy)) == sentences
