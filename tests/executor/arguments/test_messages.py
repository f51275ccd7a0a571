from typing import Any

import pytest

from tfx_best_exporter.executor.arguments.messages import message_of
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
            {"metric": {"min_change": 1}},
            'Message type "tfx_best_exporter.MetricRule" has no field named "min_change" at'
            ' "ComparePolicy.metric".\n Available Fields(except extensions):'
            " \"['metric', 'direction', 'minAbsoluteChange', 'minRelativeChange', 'significance',"
            " 'tieTolerance']\"",
            id="an unknown field",
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
