from typing import Any

import pytest

from tests.proto_fields import messages_of, shape_of
from tfx_best_exporter.proto import saved_model_pb2

MESSAGES = [
    message
    for top in saved_model_pb2.DESCRIPTOR.message_types_by_name.values()
    for message in messages_of(top)
]


def theirs(full_name: str) -> Any:
    """Returns TensorFlow's descriptor of what one of ours mirrors."""
    from tensorflow.core.protobuf import tensor_bundle_pb2

    name = full_name.removeprefix("tfx_best_exporter.tensorflow.")
    pool = tensor_bundle_pb2.DESCRIPTOR.pool
    if name == "DataType":
        return pool.FindEnumTypeByName(f"tensorflow.{name}")
    return pool.FindMessageTypeByName(f"tensorflow.{name}")


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.full_name)
def test_messages_are_those_of_tensorflow(message: Any):
    their_message = theirs(message.full_name)
    assert {field.name: shape_of(field) for field in message.fields} == {
        field.name: shape_of(their_message.fields_by_name[field.name]) for field in message.fields
    }


def test_graphs_are_skipped():
    """They can have hundreds of megabytes."""
    fields = saved_model_pb2.MetaGraphDef.DESCRIPTOR.fields_by_name
    assert not {"graph_def", "object_graph_def"} & set(fields)


def test_data_types_are_those_of_tensorflow():
    their_values = theirs("tfx_best_exporter.tensorflow.DataType").values
    assert dict(saved_model_pb2.DataType.items()) == {
        value.name: value.number for value in their_values
    }
