"""Mistakes in a policy that an EvalConfig shows before anything is trained."""

from typing import Any

import pytest

from tfx_best_exporter.executor.arguments.errors import FieldValueError
from tfx_best_exporter.executor.deciding import foresight, thresholds
from tfx_best_exporter.executor.deciding.configured import (
    Configured,
    ConfiguredMetric,
    ConfiguredSlices,
)
from tfx_best_exporter.executor.policies import (
    at_least,
    at_most,
    compare_policy,
    larger,
    metric,
    smaller,
)
from tfx_best_exporter.proto import best_exporter_pb2 as pb

AUC, RECALL = ConfiguredMetric(name="auc"), ConfiguredMetric(name="recall")
COUNT = ConfiguredMetric(name="example_count")
SLICES = (
    ConfiguredSlices(),
    ConfiguredSlices(columns=("country",)),
    ConfiguredSlices(columns=("device",), values=(("country", "nl"),)),
)
FULL = Configured(metrics=(AUC, RECALL, COUNT), slices=SLICES, has_intervals=True)
BARE = Configured(metrics=(AUC, RECALL))


def guarded(*slices: dict[str, str], **kwargs: Any) -> pb.ComparePolicy:
    return compare_policy(
        larger("auc"), guardrails=[at_least("recall", 0.5, slices=slices, **kwargs)]
    )


@pytest.mark.parametrize(
    ("policy", "configured"),
    [
        pytest.param(compare_policy(larger("auc", alpha=0.05)), FULL, id="intervals"),
        pytest.param(compare_policy(larger("auc"), min_example_count=7), FULL, id="count"),
        pytest.param(compare_policy("a.b", min_example_count=7), FULL, id="function"),
        pytest.param(guarded({"country": "nl"}), FULL, id="slice"),
        pytest.param(guarded({"country": "nl", "device": "tv"}), FULL, id="crossed slice"),
        pytest.param(guarded(every_slice_min_examples=7), FULL, id="every slice"),
        pytest.param(
            guarded({"anything": "nl"}), Configured(metrics=(AUC, RECALL), slices=None), id="SQL"
        ),
        # A model may have metrics of its own, and Evaluator's defaults are not in the EvalConfig.
        pytest.param(
            compare_policy(larger("any"), min_example_count=7), Configured(), id="no metrics"
        ),
        pytest.param(compare_policy("a.b"), BARE, id="any metric"),
    ],
)
def test_no_mistake(policy: pb.ComparePolicy, configured: Configured):
    assert foresight.check_policy_for(policy, configured) == []


INTERVALS = (
    "must be left out if Evaluator's EvalConfig computes no confidence intervals (got 0.05). Leave"
    " it out, or add options=tfma.Options(compute_confidence_intervals={'value': True}) to the"
    " EvalConfig."
)
EXAMPLES = (
    "must be left out if Evaluator's EvalConfig does not count the examples (got 7.0). Leave it"
    " out, or add tfma.MetricConfig(class_name='ExampleCount') to the EvalConfig."
)


def other_slice(got: str, similar: str = "") -> str:
    return (
        f"compare_policy.guardrails[0].slices[0] must be a slice of Evaluator's EvalConfig (got"
        f" {got}).{similar} Use another slice, or add tfma.SlicingSpec(feature_values={got}) to its"
        " slicing_specs."
    )


@pytest.mark.parametrize(
    ("policy", "configured", "text"),
    [
        pytest.param(
            compare_policy(larger("auc", alpha=0.05)),
            BARE,
            f"compare_policy.metric.significance {INTERVALS}",
            id="no intervals",
        ),
        pytest.param(
            compare_policy(larger("auc"), tie_breakers=[larger("recall", alpha=0.05)]),
            BARE,
            f"compare_policy.tie_breakers[0].significance {INTERVALS}",
            id="no intervals for a tie-breaker",
        ),
        pytest.param(
            compare_policy(larger("auc"), min_example_count=7),
            BARE,
            f"compare_policy.min_example_count {EXAMPLES}",
            id="no count",
        ),
        pytest.param(
            guarded(every_slice_min_examples=7),
            BARE,
            f"compare_policy.guardrails[0].every_slice_min_examples {EXAMPLES}",
            id="no count on slices",
        ),
        pytest.param(
            guarded({"contry": "nl"}),
            FULL,
            other_slice("{'contry': 'nl'}", " Did you mean 'country'?"),
            id="misspelled",
        ),
        pytest.param(guarded({"x": "1"}), BARE, other_slice("{'x': '1'}"), id="no slices"),
        pytest.param(
            guarded({"device": "tv"}), FULL, other_slice("{'device': 'tv'}"), id="half a slice"
        ),
        pytest.param(
            guarded({"country": "de", "device": "tv"}),
            FULL,
            other_slice("{'country': 'de', 'device': 'tv'}"),
            id="another value",
        ),
    ],
)
def test_what_no_run_can_have(policy: pb.ComparePolicy, configured: Configured, text: str):
    with pytest.raises(FieldValueError) as caught:
        foresight.check_policy_for(policy, configured)
    assert str(caught.value) == text


def unknown(path: str, name: str, similar: str = "") -> str:
    return (
        f"compare_policy.{path}.metric.name is {name!r}, which is not in Evaluator's EvalConfig."
        f"{similar} Metrics: auc, recall. The run fails unless the model adds this metric"
    )


@pytest.mark.parametrize(
    ("policy", "found"),
    [
        pytest.param(
            compare_policy(larger("AUC")),
            [unknown("metric", "AUC", " Did you mean 'auc'?")],
            id="the class",
        ),
        pytest.param(
            compare_policy(larger("auc"), tie_breakers=[larger("recal")]),
            [unknown("tie_breakers[0]", "recal", " Did you mean 'recall'?")],
            id="a tie-breaker",
        ),
        pytest.param(
            compare_policy(larger("auc"), guardrails=[at_least("f1_score", 0.5)]),
            [unknown("guardrails[0]", "f1_score")],
            id="a guardrail",
        ),
    ],
)
def test_metrics_that_only_the_model_can_add(policy: pb.ComparePolicy, found: list[str]):
    assert foresight.check_policy_for(policy, BARE) == found


def test_the_name_of_a_class():
    configured = Configured(metrics=(ConfiguredMetric(name="mean_squared_error"),))
    [warning] = foresight.check_policy_for(compare_policy(smaller("MeanSquaredError")), configured)
    assert "Did you mean 'mean_squared_error'?" in warning


def test_every_slice_is_the_overall_slice():
    policy = guarded(every_slice_min_examples=7)
    configured = Configured(metrics=(AUC, RECALL, COUNT), slices=(ConfiguredSlices(),))
    [warning] = foresight.check_policy_for(policy, configured)
    assert warning == (
        "compare_policy.guardrails[0].every_slice_min_examples checks the overall slice only,"
        " because Evaluator's EvalConfig has no other slicing_specs. Add"
        " tfma.SlicingSpec(feature_keys=[...]) to it"
    )


@pytest.mark.parametrize(
    ("policy", "found"),
    [
        pytest.param(compare_policy(larger("auc")), [], id="right"),
        pytest.param(compare_policy(smaller("mine")), [], id="not known"),
        pytest.param(compare_policy("a.b"), [], id="function"),
        pytest.param(
            compare_policy(smaller("auc")),
            ["metric.direction is LOWER_IS_BETTER, but a larger auc is better."],
            id="auc",
        ),
        pytest.param(
            compare_policy(larger(metric("loss", output_name="click"))),
            ["metric.direction is HIGHER_IS_BETTER, but a smaller loss is better."],
            id="loss of an output",
        ),
        pytest.param(
            compare_policy(larger("auc"), tie_breakers=[larger("loss")]),
            ["tie_breakers[0].direction is HIGHER_IS_BETTER, but a smaller loss is better."],
            id="tie-breaker",
        ),
        pytest.param(
            compare_policy(larger("mine"), guardrails=[at_most("auc", max_regression=0.1)]),
            ["guardrails[0].direction is LOWER_IS_BETTER, but a larger auc is better."],
            id="regression",
        ),
        pytest.param(
            compare_policy(
                larger("mine"), guardrails=[at_most("auc", max_relative_regression=0.1)]
            ),
            ["guardrails[0].direction is LOWER_IS_BETTER, but a larger auc is better."],
            id="relative regression",
        ),
        pytest.param(
            compare_policy(larger("auc"), guardrails=[at_most("auc", 0.99)]), [], id="a leak"
        ),
    ],
)
def test_directions(policy: pb.ComparePolicy, found: list[str]):
    assert foresight.direction_warnings(policy) == [
        f"compare_policy.{text} Change the direction, or rename a metric of your own"
        for text in found
    ]


VALUE = ConfiguredMetric(name="auc", has_threshold=True, has_value_threshold=True)
CHANGE = ConfiguredMetric(name="auc", has_threshold=True)


@pytest.mark.parametrize("has_baseline", [False, True])
def test_a_blessing_that_is_computed(has_baseline: bool):
    for configured in (Configured(metrics=(RECALL, VALUE)), Configured()):
        assert foresight.check_blessing(configured, has_baseline=has_baseline) == []


@pytest.mark.parametrize(("metric", "has_baseline"), [(AUC, False), (AUC, True), (CHANGE, False)])
def test_a_blessing_that_is_never_computed(metric: ConfiguredMetric, has_baseline: bool):
    configured = Configured(metrics=(metric,))
    with pytest.raises(FieldValueError) as caught:
        foresight.check_blessing(configured, has_baseline=has_baseline)
    assert str(caught.value) == (
        "model_blessing must be a blessing that Evaluator computes (got one that it never"
        f" computes). {thresholds.missing_text(configured)}."
    )


def test_a_blessing_that_needs_a_baseline():
    configured = Configured(metrics=(CHANGE,))
    why = thresholds.missing_text(configured)
    assert foresight.check_blessing(configured, has_baseline=True) == [
        f"model_blessing is not computed before there is a baseline model: {why}"
    ]


@pytest.mark.parametrize(
    "metrics",
    [(VALUE, RECALL), (AUC, COUNT), (ConfiguredMetric(name="loss"), AUC, RECALL), ()],
    ids=["threshold", "direction", "loss", "no metrics"],
)
def test_a_default_rule_fits(metrics: tuple[ConfiguredMetric, ...]):
    assert list(foresight.default_rule_warnings(Configured(metrics=metrics))) == []


def test_no_default_rule_fits():
    [warning] = foresight.default_rule_warnings(Configured(metrics=(AUC, RECALL, COUNT)))
    assert warning == (
        "compare_policy is not set, and no default rule fits: Evaluator's EvalConfig has no loss,"
        " and not exactly one metric with a threshold or with a known direction. The run fails"
        " unless the model adds a loss. Set compare_policy. Metrics: auc, recall"
    )
