import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from tests.executor.deciding.decided import (
    LOWER,
    NAN,
    RULE,
    R,
    decide_by,
    evaluation,
    load_nothing,
    metric_policy,
    refused,
    smaller_loss,
)
from tfx_best_exporter.executor.deciding import decide as comparison
from tfx_best_exporter.executor.deciding.challengers import Form
from tfx_best_exporter.executor.deciding.compare_function import CompareFunction
from tfx_best_exporter.executor.deciding.eval_result import EvalResult, MetricKey, MetricValue
from tfx_best_exporter.executor.deciding.metric_limit import MetricLimit
from tfx_best_exporter.executor.deciding.models import Best, Candidate, Observation
from tfx_best_exporter.executor.deciding.outcome import Ruling
from tfx_best_exporter.executor.deciding.policy import (
    DEFAULT_COMPARE_POLICY,
    RULES,
    Challenging,
    Policy,
    policy_from_proto,
    policy_message_of,
)
from tfx_best_exporter.executor.deciding.rules import MetricRule, Outcome, Verdict
from tfx_best_exporter.executor.policies import at_least, at_most, compare_policy, larger, smaller
from tfx_best_exporter.proto import best_exporter_pb2 as pb


def test_policy_of_a_metric():
    proto = metric_policy(
        metric=pb.MetricKey(name="auc", output_name="click", sub_key=pb.SubKey(top_k=3)),
        min_absolute_change=0.5,
        min_relative_change=0.25,
    )
    proto.on_unknown_best = pb.ComparePolicy.KEEP
    assert policy_from_proto(proto, load_nothing) == Policy(
        rule=MetricRule(
            key=MetricKey(name="auc", output_name="click", sub_key=("top_k", 3)),
            direction=pb.HIGHER_IS_BETTER,
            min_absolute_change=0.5,
            min_relative_change=0.25,
        ),
        on_unknown_best=pb.ComparePolicy.KEEP,
    )


def test_policy_of_a_function():
    loaded = []

    def load(reference: str) -> Callable[..., Any]:
        loaded.append(reference)
        return smaller_loss

    policy = policy_from_proto(pb.ComparePolicy(compare_fn="my.compare"), load)
    assert policy == Policy(rule=CompareFunction(function=smaller_loss, name="my.compare"))
    assert loaded == ["my.compare"]


def test_default_policy_is_a_smaller_loss():
    policy = policy_from_proto(DEFAULT_COMPARE_POLICY, load_nothing)
    assert policy == Policy(rule=LOWER, on_unknown_best=pb.ComparePolicy.KEEP)


def no_size(field: str, got: str) -> str:
    return (
        f"compare_policy.{field} must be a finite number, 0 or larger (got {got})."
        " Leave it out for no limit."
    )


def no_reason(force: str) -> str:
    return (
        f"compare_policy.force must be a reason (got {force!r})."
        " Give the reason in words, or leave it out."
    )


def useless_tolerance(field: str, value: float) -> str:
    return (
        f"compare_policy.{field} must be left out of the last tie-breaker (got {value!r})."
        " Without another tie-breaker, a tie is not better."
    )


def no_choice(number: int) -> str:
    return (
        f"compare_policy.on_unknown_best must be EXPORT, KEEP or FAIL (got {number})."
        " Leave it out for KEEP."
    )


@pytest.mark.parametrize(
    ("policy", "error"),
    [
        pytest.param(
            compare_policy(larger("auc", tie_tolerance=0.1)),
            "compare_policy.metric.tie_tolerance must be left out without tie_breakers (got 0.1)."
            " Without a tie-breaker, a tie is not better.",
            id="tolerance for nothing",
        ),
        pytest.param(
            compare_policy(larger("auc"), tie_breakers=[smaller("loss"), larger("auc")]),
            "compare_policy.tie_breakers[1].metric must differ from the metrics before it (got"
            " 'auc'). Use another metric: the same one ties again.",
            id="tie-breaker twice",
        ),
        pytest.param(
            compare_policy("my.compare", tie_breakers=[smaller("loss")]),
            "compare_policy.tie_breakers must be left out if compare_fn is set (got 1). Break ties"
            " in the compare function.",
            id="tie-breakers of a function",
        ),
        pytest.param(
            compare_policy(RULE, guardrails=[at_most("auc", max_regression=0.1)]),
            "compare_policy.guardrails[0].direction must be the direction of compare_policy.metric"
            " (got LOWER_IS_BETTER for 'auc'). Every improvement by the rule is a regression by"
            " this guardrail: set only a bound, or change one of the directions.",
            id="against the rule",
        ),
        pytest.param(
            pb.ComparePolicy(metric=RULE, min_example_count=NAN),
            no_size("min_example_count", "nan"),
            id="examples",
        ),
        pytest.param(
            pb.ComparePolicy(metric=RULE, max_best_evaluation_age_seconds=-1),
            no_size("max_best_evaluation_age_seconds", "-1"),
            id="age",
        ),
        pytest.param(
            compare_policy("my.compare", max_best_age_seconds=9),
            "compare_policy.max_best_age_seconds must be left out if compare_fn is set (got 9). Use"
            " metric: the margin is about its value.",
            id="age of the best and a function",
        ),
        pytest.param(
            pb.ComparePolicy(metric=RULE, old_best_margin=0.5),
            "compare_policy.old_best_margin must be left out without max_best_age_seconds (got"
            " 0.5). Set both: the margin is for an old best.",
            id="margin without an age",
        ),
        pytest.param(
            pb.ComparePolicy(metric=RULE, max_best_age_seconds=9, old_best_margin=NAN),
            no_size("old_best_margin", "nan"),
            id="margin",
        ),
        pytest.param(
            pb.ComparePolicy(metric=RULE, max_best_age_seconds=-1),
            no_size("max_best_age_seconds", "-1"),
            id="age of the best",
        ),
        pytest.param(
            pb.ComparePolicy(metric=RULE, min_seconds_between_exports=-1),
            no_size("min_seconds_between_exports", "-1"),
            id="interval",
        ),
        pytest.param(
            pb.ComparePolicy(metric=RULE, force=" "),
            no_reason(" "),
            id="force",
        ),
        pytest.param(
            pb.ComparePolicy(metric=RULE, force="\u200b\ufe0f"),
            no_reason("\u200b\ufe0f"),
            id="force of invisible characters",
        ),
        pytest.param(
            compare_policy(
                larger("auc", tie_tolerance=0.1), tie_breakers=[smaller("loss", tie_tolerance=0.2)]
            ),
            useless_tolerance("tie_breakers[0].tie_tolerance", 0.2),
            id="tolerance of the last tie-breaker",
        ),
        pytest.param(
            compare_policy(
                RULE,
                tie_breakers=[smaller("loss"), smaller("ms", tie_tolerance=0.2)],
            ),
            useless_tolerance("tie_breakers[1].tie_tolerance", 0.2),
            id="tolerance of the last of two tie-breakers",
        ),
        # Enums of proto3 are open: a message or JSON may have a number without a name.
        pytest.param(
            policy_message_of('{"compare_fn": "a.b", "on_unknown_best": 9}'),
            no_choice(9),
            id="an unknown choice",
        ),
        pytest.param(
            policy_message_of('{"compare_fn": "a.b", "comparability": 9}'),
            "compare_policy.comparability must be REQUIRE_SAME_DATA, PREFER_SAME_DATA or ANY (got"
            " 9). Leave it out for PREFER_SAME_DATA.",
            id="an unknown comparability",
        ),
        pytest.param(
            pb.ComparePolicy(metric=RULE, on_unknown_best=-1),  # type: ignore[arg-type]
            no_choice(-1),
            id="an unknown choice in a message",
        ),
        pytest.param(
            pb.ComparePolicy(on_unknown_best=pb.ComparePolicy.KEEP),
            "compare_policy must have a rule (got none). Set metric or compare_fn, or leave out"
            " compare_policy for the default rule.",
            id="no rule",
        ),
    ],
)
def test_a_policy_is_refused(policy: pb.ComparePolicy, error: str):
    assert refused(policy) == error


def test_a_policy_keeps_all_fields():
    policy = policy_from_proto(
        compare_policy(
            "my.compare",
            comparability="ANY",
            on_unknown_best="KEEP",
            allow_signature_change=True,
            force="why",
            min_example_count=3,
            max_best_evaluation_age_seconds=4,
            min_seconds_between_exports=5,
            allow_older_data=True,
            guardrails=[at_least("auc", 0.1)],
        ),
        lambda _: smaller_loss,
    )
    assert (policy.comparability, policy.on_unknown_best) == (
        pb.ComparePolicy.ANY,
        pb.ComparePolicy.KEEP,
    )
    assert (policy.allow_signature_change, policy.force) == (True, "why")
    assert (policy.min_example_count, policy.max_best_evaluation_age_seconds) == (3, 4)
    assert policy.min_seconds_between_exports == 5
    assert policy.allow_older_data
    assert policy.guardrails == (
        MetricLimit(key=MetricKey(name="auc"), direction=pb.HIGHER_IS_BETTER, bound=0.1),
    )


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (compare_policy(larger("auc")), False),
        (compare_policy(larger("auc", alpha=0.05)), True),
        (compare_policy(larger("auc"), tie_breakers=[smaller("ms", alpha=0.05)]), True),
        (pb.ComparePolicy(compare_fn="a.b"), False),
    ],
)
def test_rules_that_need_intervals(policy: pb.ComparePolicy, expected: bool):
    read = policy_from_proto(policy, lambda _: smaller_loss)
    assert read.rule.needs_intervals == expected


def named(model_name: str, auc: float, **others: Any) -> EvalResult:
    return EvalResult(
        {MetricKey(name="auc"): MetricValue(value=auc)}, model_name=model_name, **others
    )


@pytest.mark.parametrize("name", ["", "mine", "candidate"])
def test_the_candidates_name_is_its_own(name: str):
    """The best's evaluation, a baseline's or a recorded one, uses another name for the model."""
    policy = compare_policy(
        larger(pb.MetricKey(name="auc", model_name=name)),
        guardrails=[at_least(pb.MetricKey(name="auc", model_name=name), max_regression=0.1)],
    )
    for best in (named("", 0.8), named("theirs", 0.8), named("baseline", 0.8)):
        decision = decide_by(policy, named("mine", 0.9), best)
        assert decision.reason == R.BETTER
        assert [(each.candidate, each.best) for each in decision.comparisons] == [(0.9, 0.8)]
    read = policy_from_proto(policy, lambda _: smaller_loss)
    keys = read.for_candidate("mine").needs(Candidate(digest="", eval_result=named("mine", 0.9)))
    keys = keys.metrics
    assert keys
    assert all(named("theirs", 0.8).find(key) for key in keys)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Newest:
    """A third kind of rule: every candidate is better than the best."""

    metrics: tuple[MetricKey, ...] = ()
    needs_intervals: bool = False
    leading: None = None

    def for_candidate(self, model_name: str) -> "Newest":
        return self

    def with_ruling(self, ruling: Ruling | None) -> "Newest":
        return self

    def compare(
        self,
        *,
        best: EvalResult | None,
        candidate: EvalResult,
        together: EvalResult | None = None,
    ) -> Verdict:
        return Verdict(outcome=Outcome.BETTER, explanation="newest", comparisons=())


def test_a_third_kind_of_rule_is_a_class_and_a_row():
    policy = policy_from_proto(
        pb.ComparePolicy(compare_fn="newest"),
        load_nothing,
        rule_kinds={**RULES, "compare_fn": lambda proto, load_function: Newest()},
    )
    worse, best = evaluation({"auc": 0.1}), evaluation({"auc": 0.9})
    observation = Observation(
        candidate=Candidate(digest="c", eval_result=worse),
        best=Best(version=7, digest="b", eval_result=best),
    )
    decision = comparison.decide(observation, policy, 0.0)
    assert (decision.reason, decision.explanation) == (pb.ExportDecision.BETTER, "newest")


def test_a_message_that_is_no_policy_is_refused():
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        policy_message_of("auc")
    assert str(caught.value) == (
        "compare_policy must be a ComparePolicy as JSON (got 'auc': Failed to load JSON:"
        " Expecting value: line 1 column 1 (char 0).). Use the fields of best_exporter.proto."
    )


def with_challengers(**fields: Any) -> pb.ComparePolicy:
    policy = compare_policy(larger("auc", alpha=0.05))
    policy.metric.significance.MergeFrom(pb.Significance(**fields))
    return policy


def test_policy_with_challengers():
    policy = with_challengers(challengers=2)
    assert policy_from_proto(policy, load_nothing).challenging == Challenging(count=2, alpha=0.05)
    policy.metric.significance.guarantee = True
    policy.max_challenger_bytes = 1000
    assert policy_from_proto(policy, load_nothing).challenging == Challenging(
        count=2, alpha=0.05, form=Form.GUARANTEED, max_bytes=1000
    )
    assert policy_from_proto(with_challengers(), load_nothing).challenging is None
    # The default alpha applies to a message without one.
    policy.metric.significance.ClearField("alpha")
    found = policy_from_proto(policy, load_nothing).challenging
    assert found is not None
    assert found.alpha == 0.05


def challengers_elsewhere(path: str, got: str) -> str:
    return (
        f"compare_policy.{path} must be left out of tie-breakers and guardrails (got {got}). Set it"
        " on compare_policy.metric: challengers are measured by that metric."
    )


def with_guarded_challengers() -> pb.ComparePolicy:
    policy = with_challengers(challengers=2)
    policy.guardrails.append(at_least("auc", max_regression=0.1, alpha=0.05))
    policy.guardrails[0].significance.guarantee = True
    return policy


def without_challengers_but_bytes(value: int) -> pb.ComparePolicy:
    policy = with_challengers()
    policy.max_challenger_bytes = value
    return policy


@pytest.mark.parametrize(
    ("policy", "error"),
    [
        (
            with_challengers(challengers=9),
            (
                "compare_policy.metric.significance.challengers must be from 0 to 8 (got 9). Each"
                " challenger is one more model to evaluate in each run; 2 are enough for most"
                " pipelines."
            ),
        ),
        (
            with_challengers(guarantee=True),
            (
                "compare_policy.metric.significance.guarantee must be left out without challengers"
                " (got True). Set challengers too, for example 2."
            ),
        ),
        (
            compare_policy(
                larger("auc"), tie_breakers=[larger("recall", alpha=0.05, challengers=1)]
            ),
            challengers_elsewhere("tie_breakers[0].significance.challengers", "1"),
        ),
        (
            with_guarded_challengers(),
            challengers_elsewhere("guardrails[0].significance.guarantee", "True"),
        ),
        (
            without_challengers_but_bytes(5),
            (
                "compare_policy.max_challenger_bytes must be left out without challengers (got 5)."
                " Set metric.significance.challengers, for example to 2."
            ),
        ),
        (
            without_challengers_but_bytes(0),
            (
                "compare_policy.max_challenger_bytes must be a positive number of bytes (got 0)."
                " Leave it out for twice the size of the best."
            ),
        ),
    ],
)
def test_challengers_that_cannot_be_kept_are_refused(policy: pb.ComparePolicy, error: str):
    assert refused(policy) == error
