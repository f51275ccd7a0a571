import math

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from tfx_best_exporter.executor.deciding import decide, guardrails
from tfx_best_exporter.executor.deciding.eval_result import EvalResult
from tfx_best_exporter.executor.deciding.models import Best, Candidate, Observation
from tfx_best_exporter.executor.deciding.policy import policy_from_proto
from tfx_best_exporter.executor.reports import wording
from tfx_best_exporter.proto import best_exporter_pb2 as pb

AUC = pb.MetricKey(name="auc")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.93, "0.93"),
        (0.1 + 0.2, "0.3"),
        (-0.020000000000000018, "-0.02"),
        (1e-9, "1e-09"),
        (-0.0, "0"),
        (math.nan, "NaN"),
        (math.inf, "∞"),
        (-math.inf, "-∞"),
    ],
)
def test_number(value: float, text: str):
    assert wording.number(value) == text


@pytest.mark.parametrize(
    ("value", "beside", "text"),
    [
        pytest.param(0.93, [0.95], "0.93", id="four digits are enough"),
        pytest.param(0.93, [0.93], "0.93", id="equal"),
        pytest.param(0.93, [None, math.nan, math.inf], "0.93", id="nothing to differ from"),
        pytest.param(0.93, [0.93000001], "0.93", id="a short one stays short"),
        pytest.param(0.93000001, [0.93], "0.93000001", id="nearly equal"),
        pytest.param(0.93000001, [0.93, 0.930000012], "0.93000001", id="nearly equal to two"),
        pytest.param(0.930000012, [0.93, 0.93000001], "0.930000012", id="the other one"),
        pytest.param(0.1 + 0.2, [0.3], "0.30000000000000004", id="neighbouring doubles"),
        pytest.param(5e-324, [0.0], "4.941e-324", id="the smallest double"),
        pytest.param(math.inf, [math.inf], "∞", id="infinite"),
        pytest.param(math.nan, [math.nan], "NaN", id="NaN"),
    ],
)
def test_number_beside_others(value: float, beside: list[float | None], text: str):
    assert wording.number(value, *beside) == text


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=4))
def test_numbers_that_are_not_equal_are_shown_as_different_ones(values: list[float]):
    assert len({wording.number(value, *values) for value in values}) == len(set(values))


@pytest.mark.parametrize(
    ("value", "beside", "text"),
    [
        (0, (), "0 bytes"),
        (1023, (), "1023 bytes"),
        (1536, (), "1.5 KiB"),
        (52_428_800, (52_428_800,), "50 MiB"),
        (52_428_801, (52_428_800,), "52,428,801 bytes"),
        (3 << 40, (), "3 TiB"),
        (3 << 50, (), "3072 TiB"),
    ],
)
def test_size(value: int, beside: tuple[int, ...], text: str):
    assert wording.size(value, *beside) == text


def test_confidence():
    assert wording.confidence(0.05) == "95 %"


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
        pytest.param("e\u0301" * 3, "e\u0301" * 3, id="accents"),
        pytest.param(
            "a" + "\u0301\u20dd" * 3 + "b\u0301",
            "a" + "\u0301\u20dd" * 2 + "\\u0301\\u20ddb\u0301",
            id="tower of marks",
        ),
        pytest.param(
            "a" + "\u0301\u200d" * 5,
            "a" + "\u0301\u200d" * 4 + "\\u0301\u200d",
            id="tower of joined marks",
        ),
        pytest.param("\u0e19\u0e49\u0e33" * 9, "\u0e19\u0e49\u0e33" * 9, id="Thai"),
        pytest.param(
            "\u0301" * 3000,
            "\u0301" * 4 + "\\u0301" * 12 + "… (3,000 characters) …" + "\\u0301" * 6,
            id="many marks",
        ),
        pytest.param(
            "\x00" * 50,
            "\\x00" * 20 + "… (50 characters) …" + "\\x00" * 10,
            id="long where it is spelt out",
        ),
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
    assert wording.features(there) == wording.features(back) == [("age", "7"), ("country", "nl")]
    assert wording.features(pb.Slice()) == []


COMMON = [
    ("Same data", "Preferred."),
    ("Unknown best", "The best is kept."),
    ("Signatures", "A change that breaks clients of the best is not allowed."),
]


@pytest.mark.parametrize(
    ("policy", "sentences"),
    [
        pytest.param(pb.ComparePolicy(), [], id="none"),
        pytest.param(
            pb.ComparePolicy(compare_fn="my_package.larger"),
            [("Better", "The function my_package.larger decides."), *COMMON],
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
                        " the best, and significantly (alpha 0.01). A candidate that is worse by at"
                        " most 0.002 is a tie."
                    ),
                ),
                (
                    "Tie-breaker 1",
                    "auc: higher is better, and significantly (default alpha).",
                ),
                *COMMON,
            ],
            id="thresholds",
        ),
        pytest.param(
            pb.ComparePolicy(
                guardrails=[pb.Guardrail(metric=AUC, direction=pb.HIGHER_IS_BETTER, bound=0.7)]
            ),
            [
                (
                    "Guardrail",
                    guardrails.text_of(
                        pb.Guardrail(metric=AUC, direction=pb.HIGHER_IS_BETTER, bound=0.7)
                    ),
                ),
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
                ("Unknown best", "The best is kept."),
                ("Signatures", "A change that breaks clients of the best is allowed."),
                ("Age", "The best's recorded evaluation is at most 30 days old."),
                (
                    "Force",
                    (
                        "The candidate is exported even if it is not better: labels before June"
                        " were wrong"
                    ),
                ),
            ],
            id="everything else",
        ),
        pytest.param(
            pb.ComparePolicy(
                on_unknown_best=pb.ComparePolicy.FAIL,
                comparability=pb.ComparePolicy.ANY,
                max_best_evaluation_age_seconds=90,
                min_seconds_between_exports=7200,
                allow_older_data=True,
                max_best_age_seconds=7776000,
                old_best_margin=0.005,
            ),
            [
                ("Same data", "Not required."),
                ("Unknown best", "The run fails."),
                ("Signatures", "A change that breaks clients of the best is not allowed."),
                ("Age", "The best's recorded evaluation is at most 90 seconds old."),
                (
                    "Old best",
                    (
                        "A best that is more than 90 days old is replaced by a candidate that is"
                        " not worse by more than 0.005."
                    ),
                ),
                ("Older data", "The candidate's data may be older than the best's."),
                ("Interval", "At least 2 hours between two exports."),
            ],
            id="other values",
        ),
    ],
)
def test_policy(policy: pb.ComparePolicy, sentences: list[tuple[str, str]]):
    assert list(wording.policy(policy)) == sentences


@pytest.mark.parametrize("comparability", pb.ComparePolicy.Comparability.values())
@pytest.mark.parametrize(
    "on_unknown_best",
    [
        pb.ComparePolicy.ON_UNKNOWN_BEST_UNSPECIFIED,
        pb.ComparePolicy.EXPORT,
        pb.ComparePolicy.KEEP,
    ],
)
def test_policy_says_of_an_unknown_best_what_is_decided(
    comparability: pb.ComparePolicy.Comparability, on_unknown_best: pb.ComparePolicy.OnUnknownBest
):
    policy = pb.ComparePolicy(
        metric=pb.MetricRule(metric=AUC, direction=pb.HIGHER_IS_BETTER),
        comparability=comparability,
        on_unknown_best=on_unknown_best,
    )
    decision = decide.decide(
        Observation(
            candidate=Candidate(
                digest="sha256:aa", eval_result=EvalResult.from_mapping({"auc": 0.9})
            ),
            best=Best(version=7, digest="sha256:bb", eval_result=None),
        ),
        policy_from_proto(policy, lambda _: bool),
        0.0,
    )
    required = comparability == pb.ComparePolicy.REQUIRE_SAME_DATA
    sentence = dict(wording.policy(policy))["Unknown best"]
    if decision.is_export:
        assert sentence == "The candidate is exported."
    elif on_unknown_best != pb.ComparePolicy.EXPORT:
        assert sentence == "The best is kept."
    else:
        assert required
        assert sentence == "The best is kept: REQUIRE_SAME_DATA cannot be met."
