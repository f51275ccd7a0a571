"""The rule of a pipeline that sets none, and the record's rule if it differs."""

from typing import Any

import pytest

from tests.executor.deciding.decided import evaluation
from tfx_best_exporter.executor.arguments.errors import FieldValueError
from tfx_best_exporter.executor.deciding import default_rule
from tfx_best_exporter.executor.deciding.configured import Configured, ConfiguredMetric
from tfx_best_exporter.executor.deciding.eval_result import EvalResult, MetricKey
from tfx_best_exporter.executor.policies import compare_policy, larger, metric, smaller
from tfx_best_exporter.proto import best_exporter_pb2 as pb

UP, DOWN = pb.HIGHER_IS_BETTER, pb.LOWER_IS_BETTER
THRESHOLD = "it is the only metric with a threshold in Evaluator's EvalConfig"
DIRECTION = "it is the only metric of Evaluator's EvalConfig whose direction is known"


def gated(name: str, direction: pb.MetricDirection = UP, **kwargs: Any) -> ConfiguredMetric:
    return ConfiguredMetric(name=name, has_threshold=True, direction=direction, **kwargs)


def plain(name: str) -> ConfiguredMetric:
    return ConfiguredMetric(name=name)


def configured(*metrics: ConfiguredMetric) -> Configured:
    return Configured(metrics=metrics)


def rule_and_why(found: pb.DefaultRule | None) -> tuple[str, str] | None:
    return None if found is None else (default_rule.text_of(found.rule), found.why)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(configured(gated("auc"), plain("recall")), ("a larger auc", THRESHOLD), id=""),
        pytest.param(configured(gated("fpr", DOWN)), ("a smaller fpr", THRESHOLD), id="smaller"),
        pytest.param(
            configured(gated("mine", DOWN, output_names=("click",))),
            ("a smaller click/mine", THRESHOLD),
            id="one output",
        ),
        pytest.param(
            configured(gated("mine", DOWN, output_names=("click", "buy"))),
            ("a smaller mine", THRESHOLD),
            id="two outputs",
        ),
        pytest.param(
            configured(gated("auc", pb.METRIC_DIRECTION_UNSPECIFIED)),
            ("a larger auc", THRESHOLD),
            id="known direction",
        ),
        pytest.param(
            configured(gated("calibration", pb.METRIC_DIRECTION_UNSPECIFIED), plain("fpr")),
            ("a smaller fpr", DIRECTION),
            id="two bounds",
        ),
        pytest.param(configured(gated("auc"), gated("recall")), None, id="two thresholds"),
        pytest.param(configured(plain("loss"), gated("auc")), None, id="loss goes first"),
        pytest.param(
            configured(gated("auc"), gated("mine")), ("a larger auc", DIRECTION), id="one known"
        ),
        pytest.param(
            configured(plain("auc"), plain("example_count")), ("a larger auc", DIRECTION), id="auc"
        ),
        pytest.param(configured(plain("auc"), plain("recall")), None, id="two known"),
        pytest.param(configured(plain("mine")), None, id="none known"),
        pytest.param(configured(), None, id="no metric"),
    ],
)
def test_when_the_pipeline_is_built(content: Configured, expected: tuple[str, str] | None):
    assert rule_and_why(default_rule.when_built(content)) == expected


AUC_BUILT = default_rule.when_built(configured(gated("auc")))


@pytest.mark.parametrize(
    ("candidate", "built", "expected"),
    [
        pytest.param(
            evaluation({"loss": 0.1, "auc": 0.9}, configured=configured(gated("auc"))),
            AUC_BUILT,
            ("a smaller loss", "the evaluation has a loss"),
            id="loss goes first",
        ),
        pytest.param(evaluation({"auc": 0.9}), AUC_BUILT, ("a larger auc", THRESHOLD), id="built"),
        pytest.param(
            evaluation({"auc": 0.9, "fpr": 0.1}, configured=configured(gated("fpr", DOWN))),
            AUC_BUILT,
            ("a larger auc", THRESHOLD),
            id="the pipeline's EvalConfig goes before Evaluator's copy",
        ),
        pytest.param(
            evaluation({"fpr": 0.1}, configured=configured(gated("fpr", DOWN))),
            AUC_BUILT,
            ("a smaller fpr", THRESHOLD),
            id="the evaluation is another one",
        ),
        pytest.param(
            evaluation({"auc": 0.9}, configured=configured(gated("auc"))),
            None,
            ("a larger auc", THRESHOLD),
            id="not known when it was built",
        ),
        pytest.param(
            evaluation({"auc": 0.9}, configured=configured(plain("auc"))),
            None,
            None,
            id="a direction counts only when the pipeline is built",
        ),
        pytest.param(
            evaluation({MetricKey(name="auc", sub_key=("class_id", 2)): 0.9}),
            AUC_BUILT,
            ("a larger auc[class_id=2]", THRESHOLD),
            id="of a class",
        ),
        pytest.param(
            evaluation({MetricKey(name="auc", output_name="click"): 0.9}),
            AUC_BUILT,
            ("a larger click/auc", THRESHOLD),
            id="of an output",
        ),
        pytest.param(
            evaluation({MetricKey(name="auc", sub_key=("class_id", i)): 0.9 for i in (0, 2)}),
            AUC_BUILT,
            None,
            id="of two classes",
        ),
        pytest.param(
            evaluation(
                {MetricKey(name="auc"): 0.9, MetricKey(name="auc", example_weighted=False): 0.8}
            ),
            AUC_BUILT,
            ("a larger auc", THRESHOLD),
            id="Keras 2 has it twice",
        ),
        pytest.param(
            evaluation({MetricKey(name="auc", model_name="other"): 0.9}),
            AUC_BUILT,
            None,
            id="of another model",
        ),
        pytest.param(evaluation({"mine": 0.1}), None, None, id="nothing fits"),
    ],
)
def test_in_a_run(
    candidate: EvalResult, built: pb.DefaultRule | None, expected: tuple[str, str] | None
):
    chosen = default_rule.choose(candidate, built, None)
    assert rule_and_why(chosen.default_rule) == expected
    assert chosen.warnings == ()
    if chosen.default_rule is None:
        assert chosen.message == pb.ComparePolicy()
    else:
        assert chosen.message == pb.ComparePolicy(metric=chosen.default_rule.rule)
        assert chosen.policy.rule.leading is not None
        assert chosen.policy.rule.compare(best=None, candidate=candidate).comparisons


def record(policy: pb.ComparePolicy) -> pb.ExportRecord:
    return pb.ExportRecord(version=7, decision=pb.ExportDecision(compare_policy=policy))


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param(compare_policy(larger("auc")), id="same"),
        pytest.param(compare_policy(larger("auc", by=0.1), min_example_count=7), id="same metric"),
        pytest.param(pb.ComparePolicy(), id="none recorded"),
    ],
)
def test_the_rule_of_the_best_is_the_same(policy: pb.ComparePolicy):
    chosen = default_rule.choose(evaluation({"auc": 0.9}), AUC_BUILT, record(policy))
    assert (chosen.default_rule, chosen.warnings) == (AUC_BUILT, ())


def test_another_rule_of_the_best_is_used():
    chosen = default_rule.choose(
        evaluation({"auc": 0.9, "fpr": 0.1}),
        AUC_BUILT,
        record(compare_policy(smaller("fpr", by=0.5), min_example_count=7)),
    )
    assert rule_and_why(chosen.default_rule) == (
        "a smaller fpr",
        "the best (version 7) was exported by it",
    )
    # The thresholds of a policy that the author removed do not come back.
    assert chosen.message == compare_policy_of_default("fpr", DOWN)
    [warning] = chosen.warnings
    assert warning == (
        "the default rule has changed: the best (version 7) was exported by a smaller fpr, and the"
        " default is now a larger auc. The candidate is compared by a smaller fpr. Set"
        " compare_policy to choose the rule"
    )


def compare_policy_of_default(name: str, direction: pb.MetricDirection) -> pb.ComparePolicy:
    return pb.ComparePolicy(
        metric=pb.MetricRule(metric=pb.MetricKey(name=name), direction=direction)
    )


def test_the_rule_of_the_best_has_another_direction():
    best = record(compare_policy(smaller("auc")))
    chosen = default_rule.choose(evaluation({"auc": 0.9}), AUC_BUILT, best)
    assert chosen.message == compare_policy_of_default("auc", DOWN)
    assert len(chosen.warnings) == 1


def test_the_rule_of_the_best_is_used_if_there_is_no_other():
    best = record(compare_policy(larger("mine")))
    chosen = default_rule.choose(evaluation({"mine": 0.9}), None, best)
    assert chosen.message == compare_policy_of_default("mine", UP)
    [warning] = chosen.warnings
    assert warning == (
        "the default rule has changed: the best (version 7) was exported by a larger mine, and the"
        " default is now no rule. The candidate is compared by a larger mine. Set compare_policy to"
        " choose the rule"
    )


def test_the_rule_of_the_best_names_its_model():
    key = metric("auc")
    key.model_name = "candidate"
    best = record(compare_policy(larger(key)))
    chosen = default_rule.choose(evaluation({"auc": 0.9}), AUC_BUILT, best)
    assert (chosen.default_rule, chosen.warnings) == (AUC_BUILT, ())


def test_the_evaluation_lacks_the_metric_of_the_best():
    best = record(compare_policy(smaller("fpr")))
    chosen = default_rule.choose(evaluation({"auc": 0.9}), AUC_BUILT, best)
    assert chosen.default_rule == AUC_BUILT
    [warning] = chosen.warnings
    assert warning == (
        "the default rule has changed: the best (version 7) was exported by a smaller fpr, and the"
        " default is now a larger auc, because the candidate's evaluation has no fpr. Set"
        " compare_policy to choose the rule"
    )


def test_the_best_was_exported_by_a_function():
    best = record(compare_policy("my_package.better"))
    chosen = default_rule.choose(evaluation({"auc": 0.9}), AUC_BUILT, best)
    assert chosen.default_rule == AUC_BUILT
    [warning] = chosen.warnings
    assert warning == (
        "the best (version 7) was exported by the function my_package.better, which this pipeline"
        " does not set: the default is a larger auc. Set compare_fn or compare_policy to choose the"
        " rule"
    )


def problem_of(candidate: EvalResult) -> str:
    """Returns the error of a comparison for which no rule fits."""
    policy = default_rule.choose(candidate, None, None).policy.for_candidate("candidate")
    assert policy.rule.metrics == ()
    assert not policy.rule.needs_intervals
    assert policy.rule.leading is None
    with pytest.raises(FieldValueError) as caught:
        policy.rule.compare(best=None, candidate=candidate)
    return str(caught.value)


NO_RULE = (
    "compare_policy must be set if the evaluation has no loss and Evaluator's EvalConfig has"
    " thresholds for no metric or for several (got None, at /eval/5). "
)


def test_an_error_has_policies_to_paste():
    text = problem_of(evaluation({"auc": 0.9, "fpr": 0.1, "mine": 1.0, "example_count": 9.0}))
    auc = {"metric": {"metric": {"name": "auc"}, "direction": "HIGHER_IS_BETTER"}}
    fpr = {"metric": {"metric": {"name": "fpr"}, "direction": "LOWER_IS_BETTER"}}
    mine = {"metric": {"metric": {"name": "mine"}, "direction": "HIGHER_IS_BETTER"}}
    assert text == (
        f"{NO_RULE}Pass compare_policy={auc} or compare_policy={fpr}. For mine, pass the direction"
        f" too, for example compare_policy={mine}."
    )


def test_an_error_without_a_known_metric():
    mine = {"metric": {"metric": {"name": "mine"}, "direction": "HIGHER_IS_BETTER"}}
    assert problem_of(evaluation({"mine": 1.0, "yours": 1.0})) == (
        f"{NO_RULE}Pass a metric and its direction, for example compare_policy={mine}. Found: mine,"
        " yours."
    )


def test_an_error_without_any_metric():
    assert problem_of(evaluation({"example_count": 9.0})) == (
        f"{NO_RULE}Add a metric to Evaluator's EvalConfig."
    )


def test_policies_to_paste_are_policies():
    text = default_rule.policy_text_of(MetricKey(name="auc", sub_key=("top_k", 5)), UP)
    policy: Any = eval(text.removeprefix("compare_policy="))
    assert policy == {
        "metric": {
            "metric": {"name": "auc", "sub_key": {"top_k": 5}},
            "direction": "HIGHER_IS_BETTER",
        }
    }
