import math
import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.errors import about
from tests.executor.deciding.decided import (
    BEST_SLICES,
    DE,
    FR,
    INF,
    NAN,
    NL,
    RULE,
    SLICES,
    Metrics,
    R,
    decide_by,
    evaluation,
    guarded,
    metrics_of,
    refused,
)
from tfx_best_exporter.executor.deciding.eval_result import (
    EvalResult,
    MetricKey,
    MissingMetricError,
    SliceKey,
)
from tfx_best_exporter.executor.deciding.metric_limit import MetricLimit, MissingSliceError
from tfx_best_exporter.executor.deciding.policy import check_policy
from tfx_best_exporter.executor.policies import at_least, at_most, compare_policy, larger
from tfx_best_exporter.proto import best_exporter_pb2 as pb

UNKNOWN = "no value of the best is known"


def limited(name: str, value: str, position: str, limit: str, source: str = "") -> str:
    extreme = "minimum" if position in ("at least", "below") else "maximum"
    return f"{name} {value} is {position} the {extreme} of {limit}{source}"


def from_best(best: str, sign: str, regression: str) -> str:
    return f" (best {best} {sign} {regression})"


def gone(names: str) -> str:
    return (
        f"recall was not guarded on {names}: the candidate's evaluation lacks these slices of the"
        " best's evaluation"
    )


def unlimited(names: str) -> str:
    return (
        f"recall was not guarded on {names}: the best has no finite value there and the guardrail"
        " has no bound"
    )


def no_metric(got: str, found: str, remedy: str) -> str:
    return (
        f"compare_policy.guardrails[0].metric.name must be a metric of the evaluation (got {got},"
        f" at /eval/5). Found: {found}. {remedy}"
    )


def no_slice(found: str) -> str:
    return (
        "compare_policy.guardrails[0].slices must be slices of the evaluation (got country=be, at"
        f" /eval/5). Found: {found}. Use one of these, or add it to the slicing_specs of"
        " Evaluator's EvalConfig."
    )


def contradiction(got: str) -> str:
    return (
        "compare_policy.guardrails[1] must not contradict compare_policy.guardrails[0] (got"
        f" {got}). No candidate can pass both: change one of them."
    )


def not_finite(field: str, value: float) -> str:
    return (
        f"compare_policy.{field} must be a finite number (got {value!r})."
        " Leave it out for no limit."
    )


def limit(**fields: Any) -> pb.Guardrail:
    return pb.Guardrail(metric=pb.MetricKey(name="loss"), direction=pb.HIGHER_IS_BETTER, **fields)


A_SLICE = pb.Slice(features={"a": "1"})

# Metrics with two kinds of `auc`: a policy must select one.
TWO_KINDS = evaluation(
    {
        "loss": 0.1,
        MetricKey(name="auc", example_weighted=True): 0.6,
        MetricKey(name="auc", example_weighted=False): 0.7,
    }
)


@pytest.mark.parametrize(
    ("policy", "candidate", "best", "reason"),
    [
        pytest.param(
            compare_policy(larger("auc"), guardrails=[at_least("recall", max_regression=0.1)]),
            {"auc": 0.9, "recall": 0.7},
            {"auc": 0.8, "recall": 0.8},
            R.BETTER,
            id="0.8 less 0.1",
        ),
        pytest.param(
            compare_policy(larger("auc"), guardrails=[at_most("ms", max_relative_regression=0.1)]),
            {"auc": 0.9, "ms": 0.33},
            {"auc": 0.8, "ms": 0.3},
            R.BETTER,
            id="0.3 and a tenth",
        ),
        pytest.param(
            compare_policy(larger("auc"), guardrails=[at_least("recall", max_regression=0.1)]),
            {"auc": 0.9, "recall": 0.7 - 1e-12},
            {"auc": 0.8, "recall": 0.8},
            R.GUARDRAIL_FAILED,
            id="surely less",
        ),
        pytest.param(
            compare_policy(larger("auc"), guardrails=[at_least("recall", 0.7)]),
            {"auc": 0.9, "recall": math.nextafter(0.7, 0)},
            {"auc": 0.8, "recall": 0.8},
            R.GUARDRAIL_FAILED,
            id="a bound is exact",
        ),
    ],
)
def test_decimals(policy: pb.ComparePolicy, candidate: Any, best: Any, reason: int):
    assert decide_by(policy, candidate, best).reason == reason


def test_a_value_at_a_computed_limit_is_shown_with_its_decimals():
    rail = at_least("recall", max_regression=0.1)
    decision = decide_by(
        compare_policy(larger("auc"), guardrails=[rail]),
        {"auc": 0.9, "recall": 0.7},
        {"auc": 0.8, "recall": 0.8},
    )
    [result] = decision.guardrails
    assert result.explanation == limited(
        "recall", "0.7", "at least", "0.7", from_best("0.8", "-", "0.1")
    )
    assert result.worst_allowed == 0.7


@pytest.mark.parametrize(
    ("rails", "expected"),
    [
        pytest.param(
            [at_least("auc", 0.7)], [(True, limited("auc", "0.75", "at least", "0.7"))], id="bound"
        ),
        pytest.param(
            [at_least("auc", 0.75)],
            [(True, limited("auc", "0.75", "at least", "0.75"))],
            id="equal",
        ),
        pytest.param(
            [at_least("auc", 0.76)],
            [(False, limited("auc", "0.75", "below", "0.76"))],
            id="too low",
        ),
        pytest.param(
            [at_most("auc", 0.7)],
            [(False, limited("auc", "0.75", "above", "0.7"))],
            id="high",
        ),
        pytest.param(
            [at_least("auc", max_regression=0.03)],
            [
                (
                    False,
                    limited("auc", "0.75", "below", "0.77", from_best("0.8", "-", "0.03")),
                )
            ],
            id="regression",
        ),
        pytest.param(
            [at_least("auc", max_relative_regression=0.1)],
            [(True, limited("auc", "0.75", "at least", "0.72", from_best("0.8", "-", "0.08")))],
            id="relative regression",
        ),
        pytest.param(
            [at_least("auc", 0.6, max_regression=0.1, max_relative_regression=0.01)],
            [
                (
                    False,
                    limited("auc", "0.75", "below", "0.792", from_best("0.8", "-", "0.008")),
                )
            ],
            id="the strictest",
        ),
        pytest.param(
            [at_most("ms", max_relative_regression=0.1)],
            [(True, limited("ms", "5.4", "at most", "5.5", from_best("5", "+", "0.5")))],
            id="lower is better",
        ),
        pytest.param(
            [at_least("auc", 0.7, slices=[{"country": "nl"}, {"country": "de"}])],
            [
                (True, limited("auc", "0.8 on country=nl", "at least", "0.7")),
                (False, limited("auc", "0.6 on country=de", "below", "0.7")),
            ],
            id="named slices",
        ),
        pytest.param(
            [at_least("auc", max_regression=0.06, every_slice_min_examples=100)],
            [
                (
                    True,
                    limited("auc", "0.75", "at least", "0.74", from_best("0.8", "-", "0.06")),
                ),
                (
                    False,
                    limited(
                        "auc",
                        "0.6 on country=de",
                        "below",
                        "0.64",
                        from_best("0.7", "-", "0.06"),
                    ),
                ),
            ],
            id="every slice that is large enough",
        ),
        pytest.param(
            [at_least("auc", max_regression=0.2, every_slice_min_examples=0)],
            [
                (True, limited("auc", "0.75", "at least", "0.6", from_best("0.8", "-", "0.2"))),
                (
                    True,
                    limited(
                        "auc",
                        "0.6 on country=de",
                        "at least",
                        "0.5",
                        from_best("0.7", "-", "0.2"),
                    ),
                ),
                (
                    True,
                    limited(
                        "auc",
                        "0.8 on country=nl",
                        "at least",
                        "0.65",
                        from_best("0.85", "-", "0.2"),
                    ),
                ),
            ],
            id="every slice",
        ),
    ],
)
def test_guardrails(rails: list[pb.Guardrail], expected: list[tuple[bool, str]]):
    decision = decide_by(
        guarded(*rails),
        evaluation({"loss": 0.1, "auc": 0.75, "ms": 5.4}, SLICES),
        evaluation({"loss": 0.2, "auc": 0.8, "ms": 5.0}, BEST_SLICES),
    )
    assert [(each.holds, each.explanation) for each in decision.guardrails] == expected
    failed = [explanation for holds, explanation in expected if not holds]
    assert decision.reason == (R.GUARDRAIL_FAILED if failed else R.BETTER)
    assert not failed or failed[0] in decision.explanation


@pytest.mark.parametrize(
    ("value", "best", "holds"),
    [
        pytest.param(NAN, 0.8, False, id="NaN"),
        pytest.param(0.1, NAN, True, id="a best that is NaN"),
        pytest.param(0.1, INF, True, id="an infinite best"),
        pytest.param(-INF, 0.8, False, id="minus infinity"),
        pytest.param(INF, 0.8, True, id="infinity"),
    ],
)
def test_guardrails_on_what_is_not_finite(value: float, best: float, holds: bool):
    decision = decide_by(
        guarded(at_least("auc", max_regression=0.1)),
        {"loss": 0.1, "auc": value},
        {"loss": 0.2, "auc": best},
    )
    assert [each.holds for each in decision.guardrails] == [holds]


def test_a_slice_that_the_best_does_not_have():
    decision = decide_by(
        guarded(at_least("auc", 0.5, max_regression=0.1, slices=[{"country": "nl"}])),
        evaluation({"loss": 0.1}, SLICES),
        evaluation({"loss": 0.2}),
    )
    (result,) = decision.guardrails
    text = limited("auc", "0.8 on country=nl", "at least", "0.5")
    assert result.explanation == f"{text}; {UNKNOWN}"
    decision = decide_by(
        guarded(at_least("auc", max_regression=0.1, slices=[{"country": "nl"}])),
        evaluation({"loss": 0.1}, SLICES),
        evaluation({"loss": 0.2}),
    )
    (result,) = decision.guardrails
    assert result.explanation == f"auc on country=nl is 0.8, and {UNKNOWN}"


def test_a_first_export_must_keep_the_bounds():
    policy = guarded(at_least("auc", 0.7, max_regression=0.01))
    decision = decide_by(policy, {"loss": 0.1, "auc": 0.6}, is_served=False)
    assert decision.reason == R.GUARDRAIL_FAILED
    (result,) = decision.guardrails
    assert (result.holds, result.candidate, result.worst_allowed) == (False, 0.6, 0.7)
    assert result.best is None
    assert decide_by(policy, {"loss": 0.1, "auc": 0.8}, is_served=False).is_export


def test_numbers_in_slices_are_text():
    key: SliceKey = (("age", 30), ("ratio", 0.5))
    policy = guarded(at_least("auc", 0.9, slices=[{"ratio": 0.5, "age": 30}]))
    decision = decide_by(policy, evaluation({"loss": 0.1}, {key: {"auc": 0.8}}), {"loss": 0.2})
    (result,) = decision.guardrails
    assert (result.slice, result.holds) == ((("age", "30"), ("ratio", "0.5")), False)


REASON = "Example count is lower than 10"


@pytest.mark.parametrize(
    ("rail", "named"),
    [
        pytest.param(at_least("auc", 0.5, every_slice_min_examples=0), "country=de", id="every"),
        pytest.param(at_least("auc", 0.5, slices=[{"country": "de"}]), "country=de", id="named"),
        pytest.param(
            at_least("auc", max_regression=0.1, every_slice_min_examples=0), "country=de", id="best"
        ),
    ],
)
def test_a_slice_without_metrics_is_neither_an_error_nor_a_pass(rail: pb.Guardrail, named: str):
    candidate = evaluation(
        {"loss": 0.1, "auc": 0.9},
        {NL: {"auc": 0.8, "example_count": 100}},
        suppressed_slices={DE: REASON},
    )
    best = evaluation({"loss": 0.2, "auc": 0.9}, {each: SLICES[each] for each in (NL, DE)})
    decision = decide_by(guarded(rail), candidate, best)
    assert decision.is_export
    assert DE not in [each.slice for each in decision.guardrails]
    assert decision.warnings == (
        f"auc was not guarded on {named}: the evaluation has no metrics there ({REASON})",
    )


def test_no_slice_with_metrics():
    candidate = evaluation(
        {"loss": 0.1, "auc": 0.9},
        suppressed_slices={(("n", i),): REASON for i in range(5)},
    )
    policy = guarded(at_least("auc", 0.5, every_slice_min_examples=0))
    decision = decide_by(policy, candidate, {"loss": 0.2})
    assert [each.slice for each in decision.guardrails] == [()]
    [warning] = decision.warnings
    assert warning == (
        "auc was not guarded on n=0; n=1; n=2 and 2 more: the evaluation has no metrics there"
        f" ({REASON})"
    )


def test_another_slice_without_metrics_does_not_matter_to_a_named_slice():
    candidate = evaluation(
        {"loss": 0.1}, {NL: {"auc": 0.8}}, suppressed_slices={DE: REASON, FR: REASON}
    )
    policy = guarded(at_least("auc", 0.5, slices=[{"country": "nl"}]))
    decision = decide_by(policy, candidate, {"loss": 0.2})
    assert [each.holds for each in decision.guardrails] == [True]
    assert decision.warnings == ()


@pytest.mark.parametrize(
    ("rail", "candidate", "best", "kind", "error"),
    [
        pytest.param(
            at_least("f1", 0.5),
            evaluation({"loss": 0.1}),
            {"loss": 0.2},
            MissingMetricError,
            no_metric("'f1'", "loss", evaluation({"loss": 0.1}).remedy(MetricKey(name="f1"))),
            id="metric",
        ),
        pytest.param(
            at_least("f1", 0.5, slices=[{"country": "nl"}]),
            evaluation({"loss": 0.1}, SLICES),
            {"loss": 0.2},
            MissingMetricError,
            no_metric(
                "'f1' on country=nl",
                "auc, example_count",
                evaluation(SLICES[NL]).remedy(MetricKey(name="f1")),
            ),
            id="metric of a slice",
        ),
        pytest.param(
            at_least("auc", 0.5),
            TWO_KINDS,
            {"loss": 0.2},
            MissingMetricError,
            no_metric(
                "'auc'",
                "auc[unweighted], auc[weighted], loss",
                TWO_KINDS.remedy(MetricKey(name="auc")),
            ),
            id="weighted and unweighted",
        ),
        pytest.param(
            at_least("f1", max_regression=0.5),
            evaluation({"loss": 0.1, "f1": 0.5}),
            {"loss": 0.2},
            MissingMetricError,
            "compare_policy.guardrails[0].metric.name must be a metric of the best's evaluation too"
            " (got 'f1', at /eval/5). Found: loss. Set only a bound until a model with this metric"
            " has been exported.",
            id="metric of the best",
        ),
        pytest.param(
            at_least("auc", 0.5, slices=[{"country": "be"}]),
            evaluation({"loss": 0.1}, SLICES),
            {"loss": 0.2},
            MissingSliceError,
            no_slice("country=de, country=nl"),
            id="slice",
        ),
        pytest.param(
            at_least("auc", 0.5, slices=[{"country": "be"}]),
            evaluation({"loss": 0.1}, {(("n", i),): {"auc": 0.1} for i in range(25)}),
            {"loss": 0.2},
            MissingSliceError,
            no_slice(", ".join(f"n={i}" for i in sorted(map(str, range(25)))[:20]) + " and 5 more"),
            id="slice of many",
        ),
        pytest.param(
            at_least("auc", 0.5, every_slice_min_examples=10),
            evaluation({"loss": 0.1, "auc": 0.7}, {NL: {"auc": 0.8}}),
            {"loss": 0.2},
            MissingMetricError,
            "compare_policy.guardrails[0].every_slice_min_examples must find the number of examples"
            " of each slice (got none for country=nl, at /eval/5). Add the metric ExampleCount to"
            " Evaluator's EvalConfig.",
            id="number of examples",
        ),
    ],
)
def test_metrics_and_slices_that_a_guardrail_does_not_find(
    rail: pb.Guardrail, candidate: EvalResult, best: Metrics, kind: type[Exception], error: str
):
    with pytest.raises(kind) as caught:
        decide_by(guarded(rail), candidate, best)
    assert str(caught.value) == error


def test_a_slice_that_is_undefined_for_both_models():
    values = {NL: {"auc": NAN}}
    policy = guarded(at_least("auc", max_regression=0.01, slices=[{"country": "nl"}]))
    candidate, best = evaluation({"loss": 0.1}, values), evaluation({"loss": 0.2}, values)
    (result,) = decide_by(policy, candidate, best).guardrails
    assert (result.holds, result.explanation) == (
        True,
        "auc on country=nl is NaN for both models",
    )
    # NaN fails if the best has a value, or if the guardrail has a bound.
    assert not decide_by(policy, candidate, evaluation({"loss": 0.2}, SLICES)).guardrails[0].holds
    policy = guarded(at_least("auc", 0.5, max_regression=0.01, slices=[{"country": "nl"}]))
    assert not decide_by(policy, candidate, best).guardrails[0].holds


def test_a_guardrail_on_slices_for_which_the_best_lacks_the_metric():
    """A new slice is no error, but a metric that the best lacks on every slice is."""
    rail = at_least("recall", max_regression=0.01, slices=[{"country": "nl"}])
    policy = compare_policy(larger("auc"), guardrails=[rail])
    candidate = evaluation({"auc": 0.9}, {NL: {"recall": 0.0}})
    best = evaluation({"auc": 0.8, "recall": 0.8}, {NL: {"auc": 0.8}})
    pattern = about("compare_policy.guardrails[0].metric.name", "'recall'")
    with pytest.raises(MissingMetricError, match=pattern):
        decide_by(policy, candidate, best)
    # A foreign best may lack the metric, with a warning.
    decision = decide_by(policy, candidate, best, is_foreign=True)
    assert decision.reason == R.BETTER
    assert re.match(pattern, decision.warnings[0])


def test_slices_of_a_foreign_best_that_cannot_be_read():
    class Unreadable(Mapping[SliceKey, EvalResult]):
        def __getitem__(self, key: Any) -> Any:
            raise ValueError("no such file")

        def __iter__(self) -> Any:
            return iter([NL])

        def __len__(self) -> int:
            return 1

    rail = at_least("recall", 0.5, max_regression=0.01, slices=[{"country": "nl"}])
    policy = compare_policy(larger("auc"), guardrails=[rail])
    candidate = evaluation({"auc": 0.9}, {NL: {"recall": 0.6}})
    best = EvalResult(metrics_of({"auc": 0.8, "recall": 0.8}), slices=Unreadable())
    decision = decide_by(policy, candidate, best, is_foreign=True)
    assert decision.reason == R.BETTER
    assert decision.warnings == ("no such file",)
    with pytest.raises(ValueError, match="no such file"):
        decide_by(policy, candidate, best)


def test_warnings_for_slices_that_are_not_guarded():
    rail = at_least("recall", max_regression=0.1, every_slice_min_examples=100)
    policy = compare_policy(larger("auc"), guardrails=[rail])
    overall = {"auc": 0.9, "recall": 0.8}
    names = "abcde"
    candidate = evaluation(
        overall,
        {NL: {"recall": 0.8, "example_count": 100}, DE: {"recall": 0.1, "example_count": 9}},
    )
    best = evaluation(
        {**overall, "auc": 0.8},
        {(("country", name),): {"recall": 0.8, "example_count": 500} for name in names},
    )
    decision = decide_by(policy, candidate, best)
    assert decision.reason == R.BETTER
    assert decision.warnings == (
        gone("country=a; country=b; country=c and 2 more"),
        unlimited("country=nl"),
    )
    # A removed slice without a number of examples counts as large.
    uncounted = evaluation(
        {**overall, "auc": 0.8}, {NL: {"recall": 0.8}, DE: {"recall": 0.8}, FR: {"recall": 0.8}}
    )
    assert decide_by(policy, candidate, uncounted).warnings == (gone("country=fr"),)
    # A guardrail on named slices ignores all other slices.
    named_rail = at_least("recall", max_regression=0.1, slices=[{"country": "nl"}])
    policy_of_one = compare_policy(larger("auc"), guardrails=[named_rail])
    assert decide_by(policy_of_one, candidate, uncounted).warnings == ()
    # Removed slices that were too small cause no warning.
    small = evaluation(
        {**overall, "auc": 0.8},
        {NL: {"recall": 0.8, "example_count": 5}, FR: {"recall": 0.8, "example_count": 5}},
    )
    assert decide_by(policy, candidate, small).warnings == ()


def test_every_slice_of_an_evaluation_without_slices():
    rail = at_least("recall", 0.5, every_slice_min_examples=100)
    with pytest.raises(MissingSliceError) as caught:
        decide_by(compare_policy(larger("auc"), guardrails=[rail]), {"auc": 0.9, "recall": 0.8})
    assert str(caught.value) == (
        "compare_policy.guardrails[0].every_slice_min_examples must find slices in the evaluation"
        " (got none, at /eval/5). Add slicing_specs to Evaluator's EvalConfig, or guard the overall"
        " slice alone."
    )


@pytest.mark.parametrize(("value", "text"), [(NAN, "NaN"), (math.inf, "inf")])
def test_a_best_that_sets_no_limit(value: float, text: str):
    rail = at_least("recall", max_regression=0.1)
    decision = decide_by(
        compare_policy(larger("auc"), guardrails=[rail]),
        {"auc": 0.9, "recall": 0.0},
        {"auc": 0.8, "recall": value},
    )
    [result] = decision.guardrails
    assert result.explanation == f"recall is 0, and the best's {text} sets no limit"
    assert decision.warnings == (unlimited("the overall slice"),)


@pytest.mark.parametrize(
    ("policy", "error"),
    [
        pytest.param(
            compare_policy(RULE, guardrails=[limit()]),
            "compare_policy.guardrails[0] must have a limit (got none). Set a bound or an allowed"
            " regression.",
            id="no limit",
        ),
        pytest.param(
            compare_policy(RULE, guardrails=[at_least("loss", 1), limit(bound=NAN)]),
            not_finite("guardrails[1].bound", NAN),
            id="NaN",
        ),
        pytest.param(
            compare_policy(RULE, guardrails=[limit(max_absolute_regression=INF)]),
            not_finite("guardrails[0].max_absolute_regression", INF),
            id="infinite",
        ),
        pytest.param(
            compare_policy(RULE, guardrails=[limit(max_relative_regression=-0.1)]),
            "compare_policy.guardrails[0].max_relative_regression must be 0 or larger (got -0.1)."
            " Use the absolute size of the regression.",
            id="negative",
        ),
        pytest.param(
            compare_policy(
                RULE,
                guardrails=[limit(bound=1, slices=[A_SLICE], every_slice_min_examples=1)],
            ),
            "compare_policy.guardrails[0].slices must be left out if every_slice_min_examples is"
            " set (got both). Use two guardrails.",
            id="slices twice",
        ),
        pytest.param(
            compare_policy(RULE, guardrails=[limit(bound=1, slices=[pb.Slice()])]),
            "compare_policy.guardrails[0].slices must have features (got a slice without any)."
            " Leave slices out to guard the overall slice.",
            id="a slice of nothing",
        ),
        pytest.param(
            compare_policy(RULE, guardrails=[at_most("loss", 0.1), at_least("loss", 0.2)]),
            contradiction("'loss' at least 0.2 and at most 0.1"),
            id="contradiction",
        ),
        *(
            pytest.param(
                compare_policy(RULE, guardrails=rails),
                contradiction("'r' at least 0.9 and at most 0.8"),
                id=f"contradiction on a slice {number}",
            )
            for number, rails in enumerate(
                [
                    [
                        at_least("r", 0.9, slices=[{"c": "nl"}]),
                        at_most("r", 0.8, every_slice_min_examples=0),
                    ],
                    [
                        at_least("r", 0.9, every_slice_min_examples=0),
                        at_most("r", 0.8, slices=[{"c": "nl"}]),
                    ],
                    [
                        at_least("r", 0.9, slices=[{"c": "nl"}]),
                        at_most("r", 0.8, slices=[{"c": "de"}, {"c": "nl"}]),
                    ],
                ]
            )
        ),
        *(
            pytest.param(
                compare_policy(
                    RULE, guardrails=[limit(bound=1, slices=[pb.Slice(features={column: "nl"})])]
                ),
                "compare_policy.guardrails[0].slices must name the features of each slice (got"
                f" {column!r}). Use the names in the slicing_specs of Evaluator's EvalConfig.",
                id=f"a feature called {column!r}",
            )
            for column in ("", " ", "c\n")
        ),
    ],
)
def test_a_guardrail_is_refused(policy: pb.ComparePolicy, error: str):
    assert refused(policy) == error


@pytest.mark.parametrize(
    "rails",
    [
        pytest.param([at_most("loss", 0.2), at_least("loss", 0.1)], id="a range"),
        pytest.param([at_most("auc", 0.99)], id="a bound against the rule"),
        pytest.param(
            [at_most("loss", 0.1), at_least("loss", 0.2, slices=[{"a": "b"}])], id="elsewhere"
        ),
        pytest.param([at_most("loss", 0.1), at_least("gain", 0.2)], id="another metric"),
        pytest.param(
            [
                at_most("loss", 0.1, every_slice_min_examples=1),
                at_least("loss", 0.2, slices=[{"a": ""}]),
            ],
            id="a slice that may be too small, of a feature without a value",
        ),
    ],
)
def test_guardrails_that_go_together(rails: list[pb.Guardrail]):
    check_policy(compare_policy(RULE, guardrails=rails))


@pytest.mark.parametrize(
    ("rail", "text"),
    [
        pytest.param(at_least("auc", 0.7), "at least 0.7, on the overall slice", id="bound"),
        pytest.param(
            pb.Guardrail(
                metric=pb.MetricKey(name="loss"),
                direction=pb.LOWER_IS_BETTER,
                bound=2,
                max_absolute_regression=0.1,
                max_relative_regression=0.02,
                slices=[pb.Slice(features={"country": "nl", "age": "7"})] * 2,
            ),
            "at most 2 and worse than the best by at most 0.1 and worse than the best by at most"
            " 2 % of it, on age=7, country=nl; age=7, country=nl",
            id="all limits on slices",
        ),
        pytest.param(
            at_least("auc", 0.7, every_slice_min_examples=1000),
            "at least 0.7, on the overall slice and on every slice of at least 1,000 examples",
            id="every slice",
        ),
    ],
)
def test_the_text_of_a_guardrail(rail: pb.Guardrail, text: str):
    assert MetricLimit.text_of(rail) == text


@pytest.mark.parametrize(
    ("rail", "best", "fails"),
    [
        pytest.param(at_least("auc", 0.8), 0.79, True, id="below the minimum"),
        pytest.param(at_least("auc", 0.8), 0.8, False, id="at the minimum"),
        pytest.param(at_most("auc", 0.8), 0.81, True, id="above the maximum"),
        pytest.param(at_most("auc", 0.8), 0.8, False, id="at the maximum"),
        pytest.param(at_least("auc", 0.8), math.nan, True, id="NaN"),
        pytest.param(at_least("auc", 0.8), None, False, id="unknown"),
        pytest.param(at_least("auc", max_regression=0.1), 0.1, False, id="no bound"),
    ],
)
def test_a_best_that_does_not_meet_the_bound_itself(
    rail: pb.Guardrail, best: float | None, fails: bool
):
    best_result = None if best is None else {"loss": 0.3, "auc": best}
    decision = decide_by(guarded(rail), {"loss": 0.2, "auc": 0.9}, best_result)
    [result] = decision.guardrails
    assert result.best_fails is fails
