from typing import Any

import pytest

from tfx_best_exporter.executor.arguments.messages import did_you_mean, message_of
from tfx_best_exporter.proto import best_exporter_pb2 as pb

POLICY = pb.RetentionPolicy(keep_latest=2)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(None, None, id="None"),
        pytest.param(POLICY, POLICY, id="message"),
        pytest.param({"keep_latest": 2}, POLICY, id="dict"),
        pytest.param({"keepLatest": 2}, POLICY, id="JSON's names"),
        pytest.param({}, pb.RetentionPolicy(), id="nothing set"),
    ],
)
def test_message_of(value: Any, expected: pb.RetentionPolicy | None):
    assert message_of(value, pb.RetentionPolicy) == expected


@pytest.mark.parametrize(
    ("value", "got"),
    [
        pytest.param(5, "5", id="number"),
        pytest.param("auc", "'auc'", id="text"),
        pytest.param(pb.ComparePolicy(), "ComparePolicy", id="another message"),
    ],
)
def test_another_type_is_refused(value: Any, got: str):
    with pytest.raises(TypeError) as caught:
        message_of(value, pb.RetentionPolicy)
    assert str(caught.value) == (
        f"must be a RetentionPolicy or a dict (got {got})."
        " Build one with tfx_best_exporter.proto.best_exporter_pb2.RetentionPolicy."
    )


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        pytest.param(
            {"compare_fn": 5},
            "Failed to parse compare_fn field: expected string or bytes-like object, got 'int'.",
            id="another type",
        ),
        pytest.param(
            {"compare_fn": "a.b", "min_example_count": 10**400},
            "int too large to convert to float",
            id="a number that no float can hold",
        ),
    ],
)
def test_a_dict_that_is_no_such_message_is_refused(value: dict[str, Any], problem: str):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        message_of(value, pb.ComparePolicy)
    assert str(caught.value) == (
        f"must be a valid ComparePolicy (got {value!r}: {problem})."
        " See the fields in its .proto file."
    )


FIELDS = "metric, direction, min_absolute_change, min_relative_change, significance, tie_tolerance"
DIRECTIONS = "LOWER_IS_BETTER, HIGHER_IS_BETTER"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(
            {"metric": {"min_absolut_change": 1}},
            "metric must have only fields of MetricRule (got 'min_absolut_change'). Did you mean"
            f" 'min_absolute_change'? Fields: {FIELDS}.",
            id="a misspelled field",
        ),
        pytest.param(
            {"tie_breakers": [{}, {"x": 1}]},
            f"tie_breakers[1] must have only fields of MetricRule (got 'x'). Fields: {FIELDS}.",
            id="a field that resembles none",
        ),
        pytest.param(
            {"tieBreakers": [{"direction": "HIGHER"}]},
            f"tie_breakers[0].direction must be one of {DIRECTIONS} (got 'HIGHER'). Pass one of"
            " these names.",
            id="a misspelled value",
        ),
        pytest.param(
            {"guardrails": [{"direction": "higher_is_better"}]},
            f"guardrails[0].direction must be one of {DIRECTIONS} (got 'higher_is_better'). Did you"
            " mean 'HIGHER_IS_BETTER'? Pass one of these names.",
            id="a value in lower case",
        ),
        pytest.param(
            {"on_unknown_best": "SKIP"},
            "on_unknown_best must be one of EXPORT, KEEP, FAIL (got 'SKIP'). Pass one of these"
            " names.",
            id="a value of the policy itself",
        ),
    ],
)
def test_errors_name_the_field_as_its_author_does(value: dict[str, Any], text: str):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        message_of(value, pb.ComparePolicy)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    "value",
    [
        {"metric": {"metric": "auc", "direction": "HIGHER_IS_BETTER"}},
        {"metric": {"metric": {"name": "auc"}, "direction": 2}},
    ],
)
def test_a_metric_by_its_name(value: dict[str, Any]):
    rule = pb.MetricRule(metric=pb.MetricKey(name="auc"), direction=pb.HIGHER_IS_BETTER)
    assert message_of(value, pb.ComparePolicy) == pb.ComparePolicy(metric=rule)


def test_metrics_of_guardrails_and_slices():
    features = {"metric": "a feature of this name"}
    value = {"guardrails": [{"metric": "auc", "slices": [{"features": features}]}]}
    guardrail = pb.Guardrail(metric=pb.MetricKey(name="auc"), slices=[pb.Slice(features=features)])
    assert message_of(value, pb.ComparePolicy) == pb.ComparePolicy(guardrails=[guardrail])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("recal", " Did you mean 'recall'?"),
        ("AUC", " Did you mean 'auc'?"),
        ("loss", ""),
    ],
)
def test_did_you_mean(name: str, text: str):
    assert did_you_mean(name, ["auc", "recall"]) == text
