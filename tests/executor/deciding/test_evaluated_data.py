import dataclasses

import pytest

from tfx_best_exporter.executor.deciding.eval_result import EvalResult, EvaluatedData
from tfx_best_exporter.proto import best_exporter_pb2 as pb

DATA = EvaluatedData(
    examples_uri="/examples/1", splits=("eval", "test"), eval_config_digest="sha256:1", span=9
)


@pytest.mark.parametrize(
    "data",
    [DATA, dataclasses.replace(DATA, span=None), EvaluatedData(span=0), EvaluatedData()],
    ids=["all", "no span", "span 0 alone", "unknown"],
)
def test_round_trip(data: EvaluatedData):
    for read in (
        EvaluatedData.from_proto(data.to_proto()),
        EvalResult.from_proto(EvalResult({}, data=data).to_proto()).data,
    ):
        # The span does not count when data are compared.
        assert (read, read.span) == (data, data.span)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, True),
        # Records of an earlier release have no span.
        ({"span": None}, True),
        ({"examples_uri": "/examples/2"}, False),
        ({"splits": ("eval",)}, False),
        ({"eval_config_digest": "sha256:2"}, False),
        ({"eval_config_digest": ""}, False),
    ],
)
def test_is_same(changed, expected):
    assert DATA.is_same(dataclasses.replace(DATA, **changed)) is expected


def test_unknown_data_are_not_the_same():
    assert not EvaluatedData().is_same(EvaluatedData())
    assert pb.EvaluatedData() == EvaluatedData().to_proto()
