import re
from typing import Any

import pytest

from tests.errors import check_text, elsewhere
from tests.executor.deciding.decided import INF, NAN, RULE
from tfx_best_exporter.executor.arguments.errors import FieldValueError
from tfx_best_exporter.executor.deciding.eval_result import MetricKey
from tfx_best_exporter.executor.policies import (
    at_least,
    at_most,
    compare_policy,
    larger,
    metric,
    smaller,
)
from tfx_best_exporter.proto import best_exporter_pb2 as pb

_BAD_PARTS: Any = (
    ("top_k", 0),
    ("k", -1),
    ("class_id", -1),
    ("class_id", 2**31),
    ("class_id", 2**40),
)


_NO_NUMBERS: Any = (True, 1.0, "1")


_NO_RULES: Any = (
    (None, "None"),
    (metric("auc"), "MetricKey"),
    (compare_policy(RULE), "ComparePolicy"),
)


def no_choice(field: str, names: str, got: str, remedy: str = "Pass one of these names.") -> str:
    return f"{field} must be one of {names} (got {got!r}). {remedy}"


def no_slices(got: str) -> str:
    return f"slices must be a list of dictionaries (got {got}).{_EACH_SLICE}"


def no_list(field: str, got: str, makers: str) -> str:
    return (
        f"{field} must be a list (got {got})."
        f" Make each item with {makers}, and pass a list even for one item."
    )


def no_part_of(field: str, kind: str, got: str, makers: str) -> str:
    return f"{field} must be a {kind} (got {got}). Make it with {makers}."


def no_metric(got: str) -> str:
    return (
        f"name must be the name or the key of a metric (got {got})."
        " Pass a str, or a key made with metric."
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
    assert metric("recall", model_name="a").model_name == "a"
    assert metric("recall", class_id=0).sub_key.class_id == 0
    assert metric("recall", k=2).sub_key.k == 2
    assert larger(key).metric == key


def test_constructors_take_what_means_the_same():
    rail = at_least("auc", 1, slices=({"country": "nl", "age": 3, "share": 0.5},))
    assert rail.bound == 1.0
    assert dict(rail.slices[0].features) == {"country": "nl", "age": "3", "share": "0.5"}
    # timedelta.total_seconds() returns a float. A large int must not be rounded to a float.
    policy = compare_policy(RULE, max_best_evaluation_age_seconds=2592000.0)
    assert policy.max_best_evaluation_age_seconds == 2592000
    policy = compare_policy(RULE, max_best_evaluation_age_seconds=2**53 + 1)
    assert policy.max_best_evaluation_age_seconds == 2**53 + 1
    assert compare_policy(
        RULE, min_seconds_between_exports=86400.0
    ).min_seconds_between_exports == (86400)
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
            " Pass only one of them.",
        ),
        pytest.param(
            lambda: metric("auc", aggregation="MEAN"),
            no_choice(
                "aggregation",
                "MICRO_AVERAGE, MACRO_AVERAGE, WEIGHTED_MACRO_AVERAGE",
                "MEAN",
                "Leave it out if the metric is not averaged over classes.",
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
                elsewhere(kind, repr(value)),
            )
            for kind, value in _BAD_PARTS
        ),
        pytest.param(
            lambda: compare_policy(RULE, max_best_evaluation_age_seconds=3.5),
            elsewhere("max_best_evaluation_age_seconds", "3.5"),
        ),
        pytest.param(
            lambda: compare_policy(RULE, max_best_evaluation_age_seconds=INF),
            elsewhere("max_best_evaluation_age_seconds", "inf"),
        ),
        pytest.param(
            lambda: compare_policy(RULE, max_best_evaluation_age_seconds=2**63),
            elsewhere("max_best_evaluation_age_seconds", "9223372036854775808"),
        ),
        pytest.param(
            lambda: compare_policy(RULE, min_seconds_between_exports=0.5),
            elsewhere("min_seconds_between_exports", "0.5"),
        ),
        pytest.param(
            lambda: larger("auc", by=10**400),
            elsewhere("by", "a larger int"),
        ),
        # Rules of the messages, reported under the names of the arguments.
        *(
            pytest.param(make, elsewhere(field, got), id=f"{field} {got}")
            for field, got, make in (
                ("by", "-1.0", lambda: larger("auc", by=-1)),
                ("by", "nan", lambda: smaller("auc", by=NAN)),
                ("by_share", "-0.5", lambda: larger("auc", by_share=-0.5)),
                ("by_share", "inf", lambda: larger("auc", by_share=INF)),
                ("tie_tolerance", "-1.0", lambda: smaller("auc", tie_tolerance=-1)),
                ("alpha", "0.0", lambda: larger("auc", alpha=0)),
                ("alpha", "0.5", lambda: smaller("auc", alpha=0.5)),
                ("alpha", "nan", lambda: smaller("auc", alpha=NAN)),
                (
                    "challengers",
                    "9",
                    lambda: larger("auc", alpha=0.05, challengers=9),
                ),
                (
                    "challengers",
                    "-1",
                    lambda: smaller("auc", alpha=0.05, challengers=-1),
                ),
                ("challengers", "2", lambda: larger("auc", challengers=2)),
                ("guarantee", "True", lambda: larger("auc", guarantee=True)),
                ("guarantee", "True", lambda: smaller("auc", alpha=0.05, guarantee=True)),
                ("name", "' '", lambda: larger(" ")),
                ("name", "''", lambda: at_most(pb.MetricKey(), 1)),
                ("name", "'a\\n'", lambda: metric("a\n")),
                ("output_name", "' '", lambda: metric("auc", output_name=" ")),
                (
                    "metric.sub_key.top_k",
                    "0",
                    lambda: larger(pb.MetricKey(name="recall", sub_key={"top_k": 0})),
                ),
                ("at_least", "none", lambda: at_least("auc")),
                ("at_most", "none", lambda: at_most("auc", slices=[{"a": 1}])),
                ("bound", "nan", lambda: at_least("auc", NAN)),
                ("max_regression", "inf", lambda: at_least("auc", max_regression=INF)),
                ("max_regression", "-0.1", lambda: at_most("auc", max_regression=-0.1)),
                (
                    "max_relative_regression",
                    "-0.1",
                    lambda: at_least("auc", max_relative_regression=-0.1),
                ),
                (
                    "every_slice_min_examples",
                    "-1.0",
                    lambda: at_least("auc", 1, every_slice_min_examples=-1),
                ),
                ("slices", "a slice without any", lambda: at_least("auc", 1, slices=[{}])),
                ("slices", "' '", lambda: at_least("auc", 1, slices=[{" ": 1}])),
                (
                    "slices",
                    "both",
                    lambda: at_most("a", 1, slices=[{"b": 1}], every_slice_min_examples=1),
                ),
                ("min_example_count", "nan", lambda: compare_policy(RULE, min_example_count=NAN)),
                (
                    "max_best_evaluation_age_seconds",
                    "-1",
                    lambda: compare_policy(RULE, max_best_evaluation_age_seconds=-1),
                ),
                ("force", "' '", lambda: compare_policy(RULE, force=" ")),
            )
        ),
        *(
            pytest.param(
                make,
                f"{field} must be text that UTF-8 can encode (got 'a\\udc80'). Replace the"
                " characters that UTF-8 cannot encode.",
            )
            for field, make in (
                ("name", lambda: larger("a\udc80")),
                ("output_name", lambda: metric("auc", output_name="a\udc80")),
                ("rule", lambda: compare_policy("a\udc80")),
                ("force", lambda: compare_policy(RULE, force="a\udc80")),
                ("slices[0].keys()", lambda: at_least("r", 1, slices=[{"a\udc80": 1}])),
                ("slices[0]['c']", lambda: at_least("r", 1, slices=[{"c": "a\udc80"}])),
            )
        ),
    ],
)
def test_constructors_refuse(make: Any, error: str | re.Pattern[str]):
    with pytest.raises(ValueError, match="must") as caught:
        make()
    check_text(caught.value, error)
    # Some errors of Python are ValueErrors too, for example UnicodeEncodeError.
    assert type(caught.value) is FieldValueError


_EACH_SLICE = " Pass one dictionary for each slice, for example [{'country': 'nl'}]."


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
            "slices[1].keys() must be names of features (got 5). Pass each name as a str.",
            id="a feature is a number",
        ),
        *(
            pytest.param(
                lambda value=value: at_most("r", 1, slices=[{"country": value}]),
                f"slices[0]['country'] must be the value of a feature (got {value!r}). Pass a str"
                " or a number.",
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
                f" {got}). Make a metric rule with larger or smaller.",
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
            "name must be the name of a metric (got 3). Pass a str.",
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
                elsewhere("k", repr(value)),
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
            "force must be a reason in words (got True). Pass a str.",
            id="force without a reason",
        ),
    ],
)
def test_constructors_refuse_another_type(make: Any, error: str | re.Pattern[str]):
    with pytest.raises(TypeError, match="must") as caught:
        make()
    check_text(caught.value, error)


def test_rule_with_challengers():
    rule = smaller("loss", alpha=0.1, challengers=2, guarantee=True)
    expected = pb.Significance(alpha=0.1, challengers=2, guarantee=True)
    assert rule.significance == expected
    assert not larger("auc").HasField("significance")
    policy = compare_policy(rule, max_challenger_bytes=1e9)
    assert policy.max_challenger_bytes == 10**9
    assert not compare_policy(rule).HasField("max_challenger_bytes")


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (1.5, "must be a whole number, at most 2147483647 (got 1.5). Leave it out for 0."),
        (2**31, "must be a whole number, at most 2147483647 (got 2147483648). Leave it out for 0."),
        ("2", "must be a whole number, at most 2147483647 (got '2'). Leave it out for 0."),
        (True, "must be a whole number, at most 2147483647 (got True). Leave it out for 0."),
    ],
)
def test_number_of_challengers_is_a_whole_number(value: Any, error: str):
    with pytest.raises((TypeError, ValueError)) as caught:
        larger("auc", alpha=0.05, challengers=value)
    assert str(caught.value) == f"challengers {error}"


def test_challengers_need_alpha():
    with pytest.raises(FieldValueError) as caught:
        larger("auc", challengers=2)
    check_text(
        caught.value,
        "challengers must be left out without alpha (got 2). Set alpha, for example to 0.05.",
    )
