from typing import Any

import pytest

from tests.proto_subset import messages_of, name_of, shape_of
from tfx_best_exporter.proto import saved_model_pb2


def theirs(descriptor: Any) -> Any:
    """Returns TensorFlow's descriptor of a message or an enum of the same name."""
    from tensorflow.core.protobuf import tensor_bundle_pb2

    name = f"tensorflow.{name_of(descriptor)}"
    pool = tensor_bundle_pb2.DESCRIPTOR.pool
    is_enum = hasattr(descriptor, "values")
    return pool.FindEnumTypeByName(name) if is_enum else pool.FindMessageTypeByName(name)


@pytest.mark.parametrize(
    "message", messages_of(saved_model_pb2.DESCRIPTOR), ids=lambda message: message.full_name
)
def test_messages_are_those_of_tensorflow(message: Any):
    their_message = theirs(message)
    assert {field.name: shape_of(field) for field in message.fields} == {
        field.name: shape_of(their_message.fields_by_name[field.name]) for field in message.fields
    }


def test_tensors_are_skipped():
    """They make a graph large."""
    assert "tensor" not in saved_model_pb2.AttrValue.DESCRIPTOR.fields_by_name
    assert "object_graph_def" not in saved_model_pb2.MetaGraphDef.DESCRIPTOR.fields_by_name


def test_data_types_are_those_of_tensorflow():
    their_values = theirs(saved_model_pb2.DataType.DESCRIPTOR).values
    assert dict(saved_model_pb2.DataType.items()) == {
        value.name: value.number for value in their_values
    }
