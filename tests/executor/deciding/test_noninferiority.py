import re
from typing import Any

import pytest

from tests.errors import about
from tests.executor.deciding.decided import (
    DE,
    INF,
    NAN,
    NL,
    R,
    decide_by,
    evaluation,
    guarded,
    interval,
    metrics_of,
    policy_from_proto,
    refused,
    smaller_loss,
)
from tfx_best_exporter.executor.arguments.errors import FieldValueError
from tfx_best_exporter.executor.deciding import guardrails
from tfx_best_exporter.executor.deciding.eval_result import EvalResult, MetricKey
from tfx_best_exporter.executor.deciding.metric_limit import MetricLimit
from tfx_best_exporter.executor.deciding.models import Candidate
from tfx_best_exporter.executor.deciding.noninferiority import NonInferiority
from tfx_best_exporter.executor.deciding.significance import MissingIntervalError
from tfx_best_exporter.executor.policies import at_least, at_most, compare_policy, smaller
from tfx_best_exporter.proto import best_exporter_pb2 as pb

RAIL = at_least("auc", max_regression=0.02, alpha=0.05)


def with_slices(
    values: dict[str, Any],
    slices: dict[Any, dict[str, Any]],
    differences: dict[Any, Any] | None = None,
) -> EvalResult:
    """Returns an evaluation with slices that have the differences of their own."""
    return EvalResult(
        metrics_of({"loss": 0.1, **values}),
        uri="/eval/5",
        source=pb.Evaluation.TFMA,
        differences=metrics_of((differences or {}).get((), {})),
        slices={
            key: EvalResult(
                metrics_of(each),
                example_count=each.get("example_count"),
                differences=metrics_of((differences or {}).get(key, {})),
            )
            for key, each in slices.items()
        },
    )


def decided(rail: pb.Guardrail, candidate: Any, best: Any, difference: Any = None, **kwargs: Any):
    """Returns the decision on a candidate with a smaller loss."""
    if not isinstance(candidate, EvalResult):
        candidate = evaluation(
            {"loss": 0.1, "auc": candidate},
            differences=None if difference is None else {"auc": difference},
        )
        best = evaluation({"loss": 0.2, "auc": best})
    is_paired = difference is not None
    basis = R.SAME_EVALUATION if is_paired else R.RECORDED_SAME_DATA
    return decide_by(guarded(rail), candidate, best, basis=kwargs.pop("basis", basis), **kwargs)


# Student's t of 19 degrees of freedom, 95 %: 1.7291; of 38: 1.6860.
@pytest.mark.parametrize(
    ("rail", "candidate", "best", "difference", "holds", "explanation"),
    [
        pytest.param(
            RAIL,
            0.895,
            0.9,
            interval(-0.005, 0.005),
            True,
            "auc 0.895 is not worse than the best's 0.9 by more than 0.02: the 95 % lower bound of"
            " the improvement of -0.005 is -0.01365 (paired test)",
            id="excluded",
        ),
        pytest.param(
            RAIL,
            0.895,
            0.9,
            interval(-0.005, 0.01),
            False,
            "auc 0.895 may be worse than the best's 0.9 by more than 0.02: the 95 % lower bound of"
            " the improvement of -0.005 is -0.02229 (paired test)",
            id="not excluded",
        ),
        pytest.param(
            RAIL,
            interval(0.9, 0.01),
            interval(0.9, 0.01),
            None,
            False,
            "auc 0.9 may be worse than the best's 0.9 by more than 0.02: the 95 % lower bound of"
            " the improvement of 0 is -0.02384 (unpaired test)",
            id="unpaired",
        ),
        pytest.param(
            at_most("auc", max_relative_regression=0.1, alpha=0.05),
            0.21,
            0.2,
            interval(0.01, 0.005),
            True,
            "auc 0.21 is not worse than the best's 0.2 by more than 0.02: the 95 % lower bound of"
            " the improvement of -0.01 is -0.01865 (paired test)",
            id="a smaller metric, a relative regression",
        ),
        pytest.param(
            at_least("auc", max_regression=0.02, max_relative_regression=0.01, alpha=0.05),
            0.895,
            0.9,
            interval(-0.005, 0.005),
            False,
            "auc 0.895 may be worse than the best's 0.9 by more than 0.009: the 95 % lower bound of"
            " the improvement of -0.005 is -0.01365 (paired test)",
            id="the strictest regression",
        ),
        pytest.param(
            RAIL,
            0.87,
            0.9,
            interval(-0.03, 0.001),
            False,
            "auc 0.87 is below the minimum of 0.88 (best 0.9 - 0.02)",
            id="the limit itself",
        ),
        pytest.param(
            at_least("auc", 0.92, max_regression=0.02, alpha=0.05),
            0.91,
            0.9,
            interval(0.01, 0.001),
            False,
            "auc 0.91 is below the minimum of 0.92",
            id="a bound without a test",
        ),
        pytest.param(
            RAIL,
            INF,
            0.9,
            None,
            True,
            "auc inf is at least the minimum of 0.88 (best 0.9 - 0.02)",
            id="infinite",
        ),
        pytest.param(
            RAIL, NAN, NAN, None, True, "auc is NaN for both models", id="NaN for both models"
        ),
    ],
)
def test_overall(rail, candidate, best, difference, holds, explanation):
    decision = decided(rail, candidate, best, difference)
    assert decision.reason == (R.BETTER if holds else R.GUARDRAIL_FAILED)
    (result,) = decision.guardrails
    assert (result.holds, result.explanation) == (holds, explanation)


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.3])
@pytest.mark.parametrize("regression", [0.0, 0.01, 0.019, 0.021])
def test_is_stricter_than_the_limit_and_more_so_with_a_smaller_alpha(alpha, regression):
    rails = [
        at_least("auc", max_regression=0.02, alpha=each)
        if each
        else at_least("auc", max_regression=0.02)
        for each in (alpha / 2, alpha, None)
    ]
    holds = [
        decided(rail, 0.9 - regression, 0.9, interval(-regression, 0.004)).guardrails[0].holds
        for rail in rails
    ]
    assert holds == sorted(holds)


SLICED = at_least("auc", max_regression=0.02, every_slice_min_examples=10, alpha=0.05)


def test_each_slice_is_tested_with_its_own_difference():
    candidate = with_slices(
        {"auc": 0.9},
        {
            NL: {"auc": 0.80, "example_count": 50},
            DE: {"auc": 0.70, "example_count": 40},
        },
        {
            (): {"auc": interval(0.0, 0.005)},
            NL: {"auc": interval(0.0, 0.006)},
            DE: {"auc": interval(0.0, 0.012)},
        },
    )
    best = with_slices(
        {"auc": 0.9, "loss": 0.2},
        {NL: {"auc": 0.80}, DE: {"auc": 0.70}},
    )
    decision = decided(SLICED, candidate, best, basis=R.SAME_EVALUATION)
    assert decision.reason == R.GUARDRAIL_FAILED
    found: dict[Any, Any] = {
        each.slice: (each.holds, each.explanation) for each in decision.guardrails
    }
    assert [holds for holds, _ in found.values()] == [True, False, True]
    assert found[DE][1] == (
        "auc 0.7 on country=de may be worse than the best's 0.7 by more than 0.02: the 95 % lower"
        " bound of the improvement of 0 is -0.02075 (paired test; 3 slices are tested)"
    )
    assert found[NL][1].endswith("is -0.01037 (paired test; 3 slices are tested)")


def test_a_slice_with_a_number_in_another_type_is_the_same_slice():
    numeric, text = (("age", 3),), (("age", "3"),)
    candidate = with_slices(
        {"auc": interval(0.9, 0.001)}, {numeric: {"auc": interval(0.8, 0.02), "example_count": 50}}
    )
    best = with_slices(
        {"auc": interval(0.9, 0.001), "loss": 0.2}, {text: {"auc": interval(0.8, 0.02)}}
    )
    failed = [each.slice for each in decided(SLICED, candidate, best).guardrails if not each.holds]
    assert failed == [(("age", "3"),)]


def test_a_slice_without_an_interval_fails():
    candidate = with_slices({"auc": interval(0.9, 0.001)}, {NL: {"auc": 0.8, "example_count": 50}})
    best = with_slices({"auc": interval(0.9, 0.001), "loss": 0.2}, {NL: {"auc": 0.8}})
    decision = decided(SLICED, candidate, best)
    assert [(each.slice, each.holds) for each in decision.guardrails] == [((), True), (NL, False)]
    assert decision.guardrails[1].explanation == (
        "auc on country=nl has no confidence interval, so a regression of more than 0.02 cannot be"
        " excluded"
    )


def test_a_slice_that_the_best_lacks_has_no_test():
    candidate = with_slices({"auc": interval(0.9, 0.001)}, {NL: {"auc": 0.8, "example_count": 50}})
    best = with_slices({"auc": interval(0.9, 0.001), "loss": 0.2}, {})
    decision = decided(SLICED, candidate, best)
    assert decision.reason == R.BETTER
    assert len(decision.warnings) == 1


@pytest.mark.parametrize(
    ("candidate", "best", "whose"),
    [(0.9, interval(0.9, 0.01), "candidate"), (interval(0.9, 0.01), 0.9, "best")],
)
def test_intervals_that_are_absent(candidate, best, whose):
    place = (
        f"compare_policy.guardrails[0].significance must find confidence intervals in the {whose}"
    )
    with pytest.raises(MissingIntervalError, match=f"^{re.escape(place)}"):
        decided(RAIL, candidate, best)


def test_a_foreign_best_without_intervals_sets_no_limit():
    decision = decided(RAIL, interval(0.9, 0.01), 0.9, is_foreign=True)
    assert decision.reason == R.BETTER
    assert any("must find confidence intervals" in warning for warning in decision.warnings)


def test_a_first_export_needs_no_interval():
    assert decide_by(guarded(RAIL), {"loss": 0.1, "auc": 0.9}, is_served=False).is_export


def test_both_models_are_evaluated_together():
    candidate = Candidate(digest="", eval_result=evaluation({"loss": 0.1}))
    for rail, expected in ((RAIL, True), (at_least("auc", max_regression=0.02), False)):
        policy = policy_from_proto(guarded(rail), lambda _: smaller_loss)
        assert policy.needs(candidate).intervals is expected


def test_a_model_name_is_removed_from_the_candidates_metric():
    key = pb.MetricKey(name="auc", model_name="mine")
    rail = guardrails.from_proto(at_least(key, max_regression=0.02, alpha=0.05))
    assert rail.for_candidate("mine").key == MetricKey(name="auc")
    assert isinstance(rail.for_candidate("mine"), NonInferiority)


class TestMessages:
    def test_round_trip(self):
        rail = guardrails.from_proto(
            at_least("auc", 0.5, max_regression=0.02, slices=[{"country": "nl"}], alpha=0.1)
        )
        assert rail == NonInferiority(
            limit=MetricLimit(
                key=MetricKey(name="auc"),
                direction=pb.HIGHER_IS_BETTER,
                bound=0.5,
                max_absolute_regression=0.02,
                slices=((("country", "nl"),),),
            ),
            alpha=0.1,
        )
        assert (rail.direction, rail.limits_regression, rail.needs_slices) == (
            pb.HIGHER_IS_BETTER,
            True,
            True,
        )

    def test_the_default_alpha(self):
        proto = at_least("auc", max_regression=0.02)
        proto.significance.SetInParent()
        rail = guardrails.from_proto(proto)
        assert isinstance(rail, NonInferiority)
        assert rail.alpha == 0.05
        assert guardrails.text_of(proto).endswith("at 95 % confidence.")

    def test_text(self):
        assert guardrails.text_of(RAIL) == (
            f"{guardrails.text_of(at_least('auc', max_regression=0.02))[:-1]}, at 95 % confidence."
        )

    @pytest.mark.parametrize(
        ("make", "error"),
        [
            (
                lambda: at_least("auc", 0.5, alpha=0.05),
                (
                    "alpha must be left out without an allowed regression (got alpha 0.05). Set an"
                    " allowed regression: the test is about its size."
                ),
            ),
            (
                lambda: at_most("auc", max_regression=0.1, alpha=0.5),
                (
                    "alpha must be at least 1e-09 and smaller than 0.5 (got 0.5). With 0.05, at"
                    " most one in twenty candidates that are not better passes."
                ),
            ),
        ],
    )
    def test_an_invalid_argument(self, make, error):
        with pytest.raises(FieldValueError, match=f"^{re.escape(error)}$"):
            make()

    @pytest.mark.parametrize("is_reversed", [False, True])
    def test_a_contradiction_is_found_in_either_order(self, is_reversed):
        rails = [at_least("auc", 0.9, max_regression=0.1, alpha=0.05), at_most("auc", 0.8)]
        rails = rails[::-1] if is_reversed else rails
        policy = compare_policy(smaller("loss"), guardrails=rails)
        assert "must not contradict compare_policy.guardrails[0]" in refused(policy)

    def test_two_tests_may_contradict_too(self):
        rails = [
            at_least("auc", 0.9, max_regression=0.1, alpha=0.05),
            at_most("auc", 0.8, max_regression=0.1, alpha=0.05),
        ]
        assert "must not contradict" in refused(compare_policy(smaller("loss"), guardrails=rails))

    def test_a_test_against_the_rule_is_refused(self):
        rail = at_most("loss", max_regression=0.1, alpha=0.05)
        rule = compare_policy(smaller("loss"), guardrails=[rail])
        rule.metric.direction = pb.HIGHER_IS_BETTER
        assert re.search(about("compare_policy.guardrails[0].direction"), refused(rule))
