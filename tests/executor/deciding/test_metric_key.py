import pytest

from tfx_best_exporter.executor.deciding.metric_key import MetricKey
from tfx_best_exporter.proto import best_exporter_pb2 as pb

KEYS = [
    pytest.param(MetricKey(name="auc"), "auc", id="name"),
    pytest.param(MetricKey(name="auc", output_name="click"), "click/auc", id="output"),
    pytest.param(MetricKey(name="auc", model_name="b"), "b:auc", id="model"),
    pytest.param(
        MetricKey(name="precision", sub_key=("top_k", 5)), "precision[top_k=5]", id="top_k"
    ),
    pytest.param(MetricKey(name="recall", sub_key=("k", 2)), "recall[k=2]", id="k"),
    pytest.param(
        MetricKey(name="recall", sub_key=("class_id", 0)), "recall[class_id=0]", id="class_id 0"
    ),
    pytest.param(
        MetricKey(name="f1", aggregation="MICRO_AVERAGE"), "f1[micro_average]", id="aggregation"
    ),
    pytest.param(MetricKey(name="auc", example_weighted=True), "auc[weighted]", id="weighted"),
    pytest.param(MetricKey(name="auc", example_weighted=False), "auc[unweighted]", id="unweighted"),
    pytest.param(
        MetricKey(
            name="auc",
            model_name="b",
            output_name="click",
            sub_key=("top_k", 3),
            aggregation="WEIGHTED_MACRO_AVERAGE",
            example_weighted=True,
        ),
        "b:click/auc[top_k=3,weighted_macro_average,weighted]",
        id="everything",
    ),
]


@pytest.mark.parametrize(("key", "text"), KEYS)
def test_text_of_a_key(key: MetricKey, text: str):
    assert str(key) == text


@pytest.mark.parametrize(("key", "text"), KEYS)
def test_key_survives_its_proto(key: MetricKey, text: str):
    assert MetricKey.from_proto(pb.MetricKey.FromString(key.to_proto().SerializeToString())) == key
