import re
from typing import Any

import pytest

from tests.errors import check_text, elsewhere
from tests.executor.deciding.decided import INF, RULE
from tfx_best_exporter.executor.deciding.eval_result import MetricKey
from tfx_best_exporter.executor.policies import (
    at_least,
    at_most,
    compare_policy,
    larger,
    metric,
    smaller,
)

_BAD_PARTS: Any = (
    ("top_k", 0, 1),
    ("k", -1, 1),
    ("class_id", -1, 0),
    ("class_id", 2**31, 0),
    ("class_id", 2**40, 0),
)


_NO_NUMBERS: Any = (True, 1.0, "1")


_NO_RULES: Any = (
    (None, "None"),
    (metric("auc"), "MetricKey"),
    (compare_policy(RULE), "ComparePolicy"),
)


def no_choice(field: str, names: str, got: str, remedy: str = "See compare_policy.") -> str:
    return f"{field} must be one of {names} (got {got!r}). {remedy}"


def no_part(kind: str, least: int, got: object) -> str:
    return (
        f"{kind} must be a whole number from {least} to 2147483647 (got {got!r})."
        " Classes count from 0, k and top_k from 1."
    )


def no_seconds(got: str) -> str:
    return (
        "max_best_evaluation_age_seconds must be a whole number of seconds, less than 2**63"
        f" (got {got}). Round it, or leave it out for any age."
    )


def no_slices(got: str) -> str:
    return f"slices must be a list of dictionaries (got {got}).{_EACH_SLICE}"


def no_list(field: str, got: str, makers: str) -> str:
    return (
        f"{field} must be a list (got {got})."
        f" Make each with {makers}, and put even one alone into a list."
    )


def no_part_of(field: str, kind: str, got: str, makers: str) -> str:
    return f"{field} must be a {kind} (got {got}). Make it with {makers}."


def no_metric(got: str) -> str:
    return (
        f"name must be the name of a metric, or a metric (got {got})."
        " Give a str, or what metric returns."
    )


def no_flag(field: str) -> str:
    return f"{field} must be True or False (got 'no'). Leave it out for the default."


def test_metrics_as_tfma_addresses_them():
    key = metric(
        "precision",
        output_name="click",
        top_k=5,
        aggregation="MICRO_AVERAGE",
        example_weighted=True,
    )
    assert str(MetricKey.from_proto(key)) == "click/precision[top_k=5,micro_average,weighted]"
    assert metric("recall", class_id=0).sub_key.class_id == 0
    assert metric("recall", k=2).sub_key.k == 2
    assert larger(key).metric == key


def test_constructors_take_what_means_the_same():
    rail = at_least("auc", 1, slices=({"country": "nl", "age": 3, "share": 0.5},))
    assert rail.bound == 1.0
    assert dict(rail.slices[0].features) == {"country": "nl", "age": "3", "share": "0.5"}
    # Seconds of a timedelta are a float; those of an int are not rounded to one.
    policy = compare_policy(RULE, max_best_evaluation_age_seconds=2592000.0)
    assert policy.max_best_evaluation_age_seconds == 2592000
    policy = compare_policy(RULE, max_best_evaluation_age_seconds=2**53 + 1)
    assert policy.max_best_evaluation_age_seconds == 2**53 + 1
    copy = compare_policy(RULE, guardrails=compare_policy(RULE, guardrails=[rail]).guardrails)
    assert list(copy.guardrails) == [rail]


def test_constructors_take_numbers_of_numpy():
    np = pytest.importorskip("numpy")
    assert larger(metric("recall", k=np.int64(3)), by=np.float32(0.5)) == larger(
        metric("recall", k=3), by=0.5
    )
    rail = at_least("auc", 1, slices=[{"age": np.int64(3)}])
    assert dict(rail.slices[0].features) == {"age": "3"}


@pytest.mark.parametrize(
    ("make", "error"),
    [
        pytest.param(
            lambda: metric("auc", k=1, top_k=2),
            "metric must have at most one of class_id, k and top_k (got {'k': 1, 'top_k': 2})."
            " They name different parts of a metric.",
        ),
        pytest.param(
            lambda: metric("auc", aggregation="MEAN"),
            no_choice(
                "aggregation",
                "MICRO_AVERAGE, MACRO_AVERAGE, WEIGHTED_MACRO_AVERAGE",
                "MEAN",
                "Leave it out where a metric is not averaged over classes.",
            ),
        ),
        pytest.param(
            lambda: compare_policy(RULE, comparability="SAME"),
            no_choice("comparability", "REQUIRE_SAME_DATA, PREFER_SAME_DATA, ANY", "SAME"),
        ),
        pytest.param(
            lambda: compare_policy(RULE, on_unknown_best="ASK"),
            no_choice("on_unknown_best", "EXPORT, KEEP, FAIL", "ASK"),
        ),
        *(
            pytest.param(
                lambda part={kind: value}: metric("recall", **part),
                no_part(kind, least, value),
            )
            for kind, value, least in _BAD_PARTS
        ),
        pytest.param(
            lambda: compare_policy(RULE, max_best_evaluation_age_seconds=3.5),
            no_seconds("3.5"),
        ),
        pytest.param(
            lambda: compare_policy(RULE, max_best_evaluation_age_seconds=INF),
            no_seconds("inf"),
        ),
        pytest.param(
            lambda: compare_policy(RULE, max_best_evaluation_age_seconds=2**63),
            no_seconds("9223372036854775808"),
        ),
        pytest.param(
            lambda: larger("auc", by=10**400),
            elsewhere("by", "a larger int"),
        ),
        *(
            pytest.param(
                make,
                f"{field} must be text that UTF-8 can encode (got 'a\\udc80'). Replace the"
                " characters that it cannot.",
            )
            for field, make in (
                ("name", lambda: larger("a\udc80")),
                ("output_name", lambda: metric("auc", output_name="a\udc80")),
                ("rule", lambda: compare_policy("a\udc80")),
                ("force", lambda: compare_policy(RULE, force="a\udc80")),
                ("a name in slices[0]", lambda: at_least("r", 1, slices=[{"a\udc80": 1}])),
                ("slices[0]['c']", lambda: at_least("r", 1, slices=[{"c": "a\udc80"}])),
            )
        ),
    ],
)
def test_constructors_refuse(make: Any, error: str | re.Pattern[str]):
    with pytest.raises(ValueError, match="must") as caught:
        make()
    check_text(caught.value, error)
    # Not one of Python's own, which are ValueErrors too.
    assert type(caught.value) is ValueError


_EACH_SLICE = " Give one dictionary for each slice, such as [{'country': 'nl'}]."


@pytest.mark.parametrize(
    ("make", "error"),
    [
        pytest.param(
            lambda: at_least("r", 1, slices={"country": "nl"}),  # type: ignore[arg-type]
            no_slices("{'country': 'nl'}"),
            id="slices is a dict",
        ),
        pytest.param(
            lambda: at_most("r", 1, slices="country"),  # type: ignore[arg-type]
            no_slices("'country'"),
            id="slices is a str",
        ),
        pytest.param(
            lambda: at_most("r", 1, slices=["country"]),  # type: ignore[list-item]
            "slices[0] must be a dictionary of features (got 'country')." + _EACH_SLICE,
            id="a slice is a str",
        ),
        pytest.param(
            lambda: at_most("r", 1, slices=[{"a": 1}, {5: 1}]),  # type: ignore[dict-item]
            "a name in slices[1] must be that of a feature (got 5). Give it as a str.",
            id="a feature is a number",
        ),
        *(
            pytest.param(
                lambda value=value: at_most("r", 1, slices=[{"country": value}]),
                f"slices[0]['country'] must be the value of a feature (got {value!r}). Give it as a"
                " str or a number.",
                id=f"a slice of {value!r}",
            )
            for value in (b"nl", None, True, ["nl"])
        ),
        pytest.param(
            lambda: compare_policy(RULE, guardrails=at_least("r", 1)),  # type: ignore[arg-type]
            no_list("guardrails", "Guardrail", "at_least or at_most"),
            id="one guardrail",
        ),
        pytest.param(
            lambda: compare_policy(RULE, guardrails=None),  # type: ignore[arg-type]
            no_list("guardrails", "None", "at_least or at_most"),
            id="guardrails is None",
        ),
        pytest.param(
            lambda: compare_policy(RULE, guardrails=[at_least("r", 1), RULE]),  # type: ignore[list-item]
            no_part_of("guardrails[1]", "Guardrail", "MetricRule", "at_least or at_most"),
            id="a rule as a guardrail",
        ),
        pytest.param(
            lambda: compare_policy(RULE, tie_breakers=smaller("loss")),  # type: ignore[arg-type]
            no_list("tie_breakers", "MetricRule", "larger or smaller"),
            id="one tie-breaker",
        ),
        pytest.param(
            lambda: compare_policy(RULE, tie_breakers=["loss"]),  # type: ignore[list-item]
            no_part_of("tie_breakers[0]", "MetricRule", "'loss'", "larger or smaller"),
            id="a name as a tie-breaker",
        ),
        *(
            pytest.param(
                lambda rule=rule: compare_policy(rule),
                "rule must be a metric rule, or the name of a compare function (got"
                f" {got}). Make a rule with larger or smaller.",
                id=f"rule {got}",
            )
            for rule, got in _NO_RULES
        ),
        pytest.param(
            lambda: larger(3),  # type: ignore[arg-type]
            no_metric("3"),
            id="a number as a metric",
        ),
        pytest.param(
            lambda: smaller(RULE),  # type: ignore[arg-type]
            no_metric("MetricRule"),
            id="a rule as a metric",
        ),
        pytest.param(
            lambda: metric(3),  # type: ignore[arg-type]
            "name must be the name of a metric (got 3). Give it as a str.",
            id="a number as a name",
        ),
        *(
            pytest.param(make, elsewhere(field, got), id=f"{field} {got}")
            for field, got, make in (
                ("bound", "'0.5'", lambda: at_least("r", "0.5")),  # type: ignore[arg-type]
                ("bound", "True", lambda: at_least("r", True)),
                ("max_regression", "'1'", lambda: at_most("r", max_regression="1")),  # type: ignore[arg-type]
                ("by", "'0.1'", lambda: larger("auc", by="0.1")),  # type: ignore[arg-type]
                ("by", "None", lambda: larger("auc", by=None)),  # type: ignore[arg-type]
                ("alpha", "True", lambda: larger("auc", alpha=True)),
                (
                    "max_best_evaluation_age_seconds",
                    "'3'",
                    lambda: compare_policy(RULE, max_best_evaluation_age_seconds="3"),  # type: ignore[arg-type]
                ),
            )
        ),
        *(
            pytest.param(
                lambda value=value: metric("recall", k=value),
                no_part("k", 1, value),
                id=f"k {value!r}",
            )
            for value in _NO_NUMBERS
        ),
        pytest.param(
            lambda: metric("auc", example_weighted="no"),  # type: ignore[arg-type]
            no_flag("example_weighted"),
            id="weighted 'no'",
        ),
        pytest.param(
            lambda: compare_policy(RULE, allow_signature_change="no"),  # type: ignore[arg-type]
            no_flag("allow_signature_change"),
            id="change 'no'",
        ),
        pytest.param(
            lambda: compare_policy(RULE, force=True),  # type: ignore[arg-type]
            "force must be a reason in words (got True). Give it as a str.",
            id="force without a reason",
        ),
    ],
)
def test_constructors_refuse_another_type(make: Any, error: str | re.Pattern[str]):
    with pytest.raises(TypeError, match="must") as caught:
        make()
    check_text(caught.value, error)
