import math
from pathlib import Path
from typing import Any

import pytest

from tests import folder_filesystem
from tests.proto_subset import messages_of, shape_of, the_message
from tfx_best_exporter.executor.evaluations import event_files
from tfx_best_exporter.proto import best_exporter_pb2 as pb
from tfx_best_exporter.proto import event_files_pb2


def test_pattern_is_that_of_the_predecessor():
    assert event_files.DEFAULT_EVENT_FILE_PATTERN == "eval/*.tfevents.*"


def write_v1(directory: Path, *steps: tuple[int, dict[str, float]], suffix: str = "") -> Path:
    import tensorflow as tf

    with tf.Graph().as_default():
        writer = tf.compat.v1.summary.FileWriter(str(directory), filename_suffix=suffix)
        for step, values in steps:
            summary = tf.compat.v1.Summary()
            for tag, value in values.items():
                summary.value.add(tag=tag, simple_value=value)
            writer.add_summary(summary, step)
        writer.close()
    return max(directory.iterdir(), key=lambda path: path.stat().st_mtime_ns)


def write_v2(directory: Path, *steps: tuple[int, dict[str, Any]]) -> None:
    """Writes tensors as tf.summary.scalar, text and histogram do, which need TensorBoard."""
    import tensorflow as tf

    writer = tf.summary.create_file_writer(str(directory), filename_suffix=".v2")
    with writer.as_default():
        for step, values in steps:
            for tag, value in values.items():
                tf.summary.write(tag, tf.constant(value), step=step)
    writer.close()


def test_v1_summaries(tmp_path: Path):
    write_v1(tmp_path / "eval", (1, {"loss": 3.0}), (2, {"loss": 2.0, "auc": 0.5}))
    result = event_files.from_event_files(tmp_path, "eval/*.tfevents.*")
    assert dict(result) == {"loss": 2.0, "auc": 0.5}
    assert (result.uri, result.source) == (str(tmp_path), pb.Evaluation.EVENT_FILES)
    assert (result.example_count, result.slices) == (None, {})


def test_v2_summaries(tmp_path: Path):
    write_v2(
        tmp_path / "eval",
        (1, {"loss": 3.0, "auc": 0.25}),
        (2, {"loss": 2.0, "note": "not a number", "weights": [[1.0, 2.0, 3.0]], "count": 7}),
        (2, {"empty": [], "one": [[5.0]]}),
    )
    result = event_files.from_event_files(tmp_path, "eval/*.tfevents.*")
    assert dict(result) == {"loss": 2.0, "auc": 0.25, "count": 7.0, "one": 5.0}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf], ids=str)
def test_values_that_are_not_finite(tmp_path: Path, value: float):
    write_v1(tmp_path / "eval", (1, {"loss": value}))
    write_v2(tmp_path / "eval", (1, {"epoch_loss": value}))
    result = event_files.from_event_files(tmp_path, "eval/*.tfevents.*")
    assert dict(result) == pytest.approx({"loss": value, "epoch_loss": value}, nan_ok=True)


def test_files_of_keras(tmp_path: Path):
    write_v2(tmp_path / "train", (1, {"epoch_loss": 9.0}))
    write_v2(
        tmp_path / "validation", (0, {"epoch_loss": 3.0}), (1, {"epoch_loss": 2.0, "epoch_": 1.0})
    )
    [name] = [path.name for path in (tmp_path / "validation").iterdir()]
    result = event_files.from_event_files(tmp_path, "eval/*.tfevents.*")
    assert dict(result) == {"epoch_loss": 2.0, "loss": 2.0, "epoch_": 1.0}
    [warning] = result.warnings
    assert warning == (
        "eval/*.tfevents.* matches no file, so the metrics are those of Keras in"
        f" validation/{name}: loss is epoch_loss. Set event_file_pattern to"
        " 'validation/*.tfevents.*' if this is right"
    )
    # The author's own pattern needs no warning, and matches nothing else.
    own = event_files.from_event_files(tmp_path, "validation/*.tfevents.*")
    assert (dict(own), own.warnings) == (dict(result), ())
    with pytest.raises(ValueError, match="must match an event file"):
        event_files.from_event_files(tmp_path, "evaluation/*.tfevents.*")


def test_the_predecessor_s_files_come_first(tmp_path: Path):
    write_v2(tmp_path / "eval", (1, {"loss": 1.0}))
    write_v2(tmp_path / "validation", (1, {"epoch_loss": 2.0}))
    result = event_files.from_event_files(tmp_path, "eval/*.tfevents.*")
    assert (dict(result), result.warnings) == ({"loss": 1.0}, ())


def test_a_tag_of_the_metric_s_own_name_counts(tmp_path: Path):
    write_v2(tmp_path / "validation", (1, {"epoch_loss": 2.0, "loss": 1.0}))
    result = event_files.from_event_files(tmp_path, "eval/*.tfevents.*")
    assert dict(result) == {"epoch_loss": 2.0, "loss": 1.0}
    assert "is epoch_loss" not in result.warnings[0]


def test_the_last_value_has_the_largest_step(tmp_path: Path):
    # A restart from an earlier checkpoint leaves newer files with smaller steps.
    write_v1(tmp_path / "eval", (30, {"loss": 3.0}), suffix=".a")
    write_v1(tmp_path / "eval", (20, {"loss": 2.0}), (10, {"loss": 1.0}), suffix=".b")
    write_v1(tmp_path / "eval", (5, {"auc": 0.5}), suffix=".c")
    assert dict(event_files.from_event_files(tmp_path, "eval/*")) == {"loss": 3.0, "auc": 0.5}


@pytest.mark.parametrize(
    "times",
    [
        pytest.param((1.0, 3.0, 2.0), id="of the same step: the latest"),
        pytest.param((1.0, 2.0, 2.0), id="of the same time: the last in the file"),
    ],
)
def test_of_one_step_the_last_written_counts(tmp_path: Path, times: tuple[float, ...]):
    import tensorflow as tf

    (tmp_path / "eval").mkdir()
    with tf.io.TFRecordWriter(str(tmp_path / "eval" / "events")) as writer:
        for index, time in enumerate(times):
            event = tf.compat.v1.Event(wall_time=time, step=1)
            event.summary.value.add(tag="loss", simple_value=index)
            writer.write(event.SerializeToString())
    last = max(range(len(times)), key=lambda index: (times[index], index))
    assert dict(event_files.from_event_files(tmp_path, "eval/*")) == {"loss": last}


def test_pattern_chooses_files(tmp_path: Path):
    write_v1(tmp_path / "train", (1, {"loss": 1.0}))
    write_v1(tmp_path / "eval", (1, {"loss": 2.0}))
    write_v1(tmp_path / "eval" / "below", (9, {"loss": 3.0}))
    assert event_files.from_event_files(tmp_path, "eval/*.tfevents.*")["loss"] == 2.0
    assert event_files.from_event_files(tmp_path, "train/*.tfevents.*")["loss"] == 1.0
    assert event_files.from_event_files(tmp_path, "**/*.tfevents.*")["loss"] == 3.0


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        pytest.param("a/b/events.1", {"a/b/events.1"}, id="a name"),
        pytest.param("*", {"events.1"}, id="not below"),
        pytest.param("*/events.*", {"a/events.1"}, id="one folder"),
        pytest.param("a/**/events.*", {"a/events.1", "a/b/events.1"}, id="any number of folders"),
        pytest.param("**/*", {"events.1", "a/events.1", "a/b/events.1"}, id="everything"),
        pytest.param("**", set(), id="folders only"),
        pytest.param("**/b/*", {"a/b/events.1"}, id="folders and then a name"),
        pytest.param("[ab]/events.?", {"a/events.1"}, id="characters"),
        pytest.param("A/*", set(), id="case"),
        pytest.param("a", set(), id="a folder"),
        pytest.param("b/*", set(), id="not anchored"),
    ],
)
def test_patterns(tmp_path: Path, pattern: str, matches: set[str]):
    paths = ("events.1", "a/events.1", "a/b/events.1")
    for path in paths:
        file_path = write_v1((tmp_path / path).parent, (1, {path: 1.0}), suffix=".new")
        file_path.rename(tmp_path / path)
    if matches:
        assert set(event_files.from_event_files(tmp_path, pattern)) == matches
    else:
        with pytest.raises(ValueError, match=r"\Aevent_file_pattern must match an event file "):
            event_files.from_event_files(tmp_path, pattern)


def test_a_file_cut_in_the_middle_is_read_up_to_there(tmp_path: Path):
    path = write_v1(tmp_path / "eval", (1, {"loss": 3.0}), (2, {"loss": 2.0}))
    path.write_bytes(path.read_bytes()[:-5])
    result = event_files.from_event_files(tmp_path, "eval/*")
    assert dict(result) == {"loss": 3.0}
    warning = f"{path} ends in the middle of an event; the events before it are used"
    assert result.warnings == (warning,)


def write_attempt(
    directory: Path, started: int, *steps: tuple[int, dict[str, float]], start_step: int = 0
) -> Path:
    """Writes the events of one attempt of a Trainer, which begin with a SessionLog."""
    import tensorflow as tf

    event, log = tf.compat.v1.Event, tf.compat.v1.SessionLog
    events = [
        event(wall_time=started, file_version="brain.Event:2"),
        event(wall_time=started, step=start_step, session_log=log(status=log.START)),
    ]
    for step, values in steps:
        events.append(event(wall_time=started + step / 10, step=step))
        for tag, value in values.items():
            events[-1].summary.value.add(tag=tag, simple_value=value)
    directory.mkdir(exist_ok=True)
    path = directory / f"events.out.tfevents.{started}.host"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for each in events:
            writer.write(each.SerializeToString())
    return path


FIRST = ((0, {"loss": 0.9, "auc": 0.5}), (500, {"loss": 0.7}), (1000, {"loss": 0.1}))


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        pytest.param([(0, (500, {"loss": 0.6}))], {"loss": 0.6}, id="from the beginning"),
        pytest.param(
            [(500, (600, {"loss": 0.6}))], {"loss": 0.6, "auc": 0.5}, id="from a checkpoint"
        ),
        pytest.param([(501, None)], {"loss": 0.7, "auc": 0.5}, id="without any value"),
        pytest.param(
            [(501, (600, {"loss": 0.6})), (400, None)], {"loss": 0.9, "auc": 0.5}, id="twice"
        ),
        pytest.param(
            [(400, (900, {"loss": 0.6})), (800, None)],
            {"loss": 0.9, "auc": 0.5},
            id="twice, later the second time",
        ),
    ],
)
def test_the_last_attempt_of_a_trainer_counts(
    tmp_path: Path, later: list[tuple[int, Any]], expected: dict[str, float]
):
    path = write_attempt(tmp_path / "eval", 1000, *FIRST)
    for index, (step, event) in enumerate(later):
        steps = [event] if event else []
        path = write_attempt(tmp_path / "eval", 2000 + index, *steps, start_step=step)
    result = event_files.from_event_files(tmp_path, "eval/*")
    assert dict(result) == pytest.approx(expected)
    [warning] = result.warnings
    last_void = max(index for index, (step, _) in enumerate(later) if step <= 1000)
    assert warning == (
        f"the Trainer started again at step {later[last_void][0]}, in {path}; earlier values from"
        " that step on do not count"
    )


def test_an_attempt_that_goes_on_hides_nothing(tmp_path: Path):
    write_attempt(tmp_path / "eval", 1000, *FIRST)
    write_attempt(tmp_path / "eval", 2000, (2000, {"loss": 0.05}), start_step=1001)
    result = event_files.from_event_files(tmp_path, "eval/*")
    assert dict(result) == pytest.approx({"loss": 0.05, "auc": 0.5})
    assert result.warnings == ()


def test_an_attempt_hides_nothing_in_another_directory(tmp_path: Path):
    write_attempt(tmp_path / "eval", 1000, *FIRST)
    write_attempt(tmp_path / "train", 2000, (1, {"other": 0.5}))
    result = event_files.from_event_files(tmp_path, "*/*")
    assert dict(result) == pytest.approx({"loss": 0.1, "auc": 0.5, "other": 0.5})
    assert result.warnings == ()


def test_an_attempt_that_was_cut_is_reported_once(tmp_path: Path):
    path = write_attempt(tmp_path / "eval", 1000, *FIRST)
    path.write_bytes(path.read_bytes()[:-5])
    write_attempt(tmp_path / "eval", 2000, (100, {"loss": 0.6}))
    result = event_files.from_event_files(tmp_path, "eval/*")
    assert dict(result) == pytest.approx({"loss": 0.6})
    assert len(result.warnings) == 2


def test_a_file_that_is_damaged_in_the_middle(tmp_path: Path):
    path = write_v1(tmp_path / "eval", (1, {"loss": 3.0}), (2, {"loss": 2.0}))
    content = path.read_bytes()
    path.write_bytes(content.replace(b"loss", b"lose", 1))
    with pytest.raises(ValueError, match=r"\Aevent files must be intact \(got ") as caught:
        event_files.from_event_files(tmp_path, "eval/*")
    assert str(caught.value).endswith(
        f", at {tmp_path}/eval/{path.name})."
        " The events after the damage are lost. Evaluate the candidate again."
    )


def test_no_file(tmp_path: Path):
    write_v1(tmp_path / "train", (1, {"loss": 1.0}))
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        event_files.from_event_files(tmp_path, "eval/*.tfevents.*")
    assert str(caught.value) == (
        f"event_file_pattern must match an event file (got 'eval/*.tfevents.*', at {tmp_path})."
        " Write summaries of the evaluation there, or change the pattern."
    )


def test_no_scalar(tmp_path: Path):
    write_v2(tmp_path / "eval", (1, {"note": "not a number"}))
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        event_files.from_event_files(tmp_path, "eval/*.tfevents.*")
    assert str(caught.value) == (
        "event_file_pattern must match files with scalar summaries (got 'eval/*.tfevents.*' with 1"
        f" files and no scalar, at {tmp_path})."
        " Write summaries of the evaluation there, or change the pattern."
    )


def test_a_directory_that_matches_is_no_event_file(tmp_path: Path):
    write_v1(tmp_path / "eval", (1, {"loss": 2.0}))
    (tmp_path / "eval" / "events.out.tfevents.1.profile-empty").mkdir()
    result = event_files.from_event_files(tmp_path, "eval/*.tfevents.*")
    assert dict(result) == {"loss": 2.0}


# Event files in another storage.


def test_event_files_elsewhere(tmp_path: Path):
    folder_filesystem.register(str(tmp_path))
    folder = f"{folder_filesystem.SCHEME}://bucket"
    write_v1(tmp_path / "bucket" / "run" / "eval", (1, {"loss": 2.0}))
    result = event_files.from_event_files(f"{folder}/run", "eval/*.tfevents.*")
    assert dict(result) == {"loss": 2.0}
    assert result.uri == f"{folder}/run"


# Tensors, compared with TensorFlow.

# Each TensorFlow type has an example element, and the field of TensorProto for its elements.
ELEMENTS = {
    "float16": (0.333, "half_val"),
    "float32": (0.1, "float_val"),
    "float64": (0.1, "double_val"),
    "int8": (-7, "int_val"),
    "int16": (-30000, "int_val"),
    "int32": (-(2**31), "int_val"),
    "int64": (2**53 + 2, "int64_val"),
    "uint8": (200, "int_val"),
    "uint16": (60000, "int_val"),
    "uint32": (2**32 - 1, "uint32_val"),
    "uint64": (2**64 - 2**20, "uint64_val"),
}
NOT_FINITE = {"float16": "half_val", "float32": "float_val", "float64": "double_val"}


def write_tensor(directory: Path, tensor: Any) -> None:
    """Writes an event file with a scalar named `own` and a tensor named `tensor`."""
    import tensorflow as tf

    directory.mkdir()
    event = tf.compat.v1.Event(step=1)
    event.summary.value.add(tag="own", simple_value=1.0)
    event.summary.value.add(tag="tensor", tensor=tensor)
    with tf.io.TFRecordWriter(str(directory / "events.out.tfevents.1")) as writer:
        writer.write(event.SerializeToString())


def read_tensor(directory: Path) -> float | None:
    return event_files.from_event_files(directory, "*").get("tensor")


def read_as_tensorflow(tensor: Any) -> float | None:
    """Returns TensorFlow's number for a tensor, or None if it is not one real number."""
    import tensorflow as tf

    array = tf.make_ndarray(tensor)
    return float(array.item()) if array.size == 1 and array.dtype.kind in "fiu" else None


def in_field(content: Any, field: str) -> Any:
    """Returns a TensorProto with its elements in the field of their type, not as bytes."""
    import tensorflow as tf

    array = tf.make_ndarray(content)
    result = type(content)(dtype=content.dtype, tensor_shape=content.tensor_shape)
    elements = array.view("uint16") if field == "half_val" else array
    getattr(result, field).extend(elements.flatten().tolist())
    return result


@pytest.mark.parametrize("shape", [(), (1,), (1, 1, 1)], ids=str)
@pytest.mark.parametrize(
    ("dtype", "value", "field"),
    [
        *((dtype, value, field) for dtype, (value, field) in ELEMENTS.items()),
        *((dtype, 0, field) for dtype, (_, field) in ELEMENTS.items()),
        *(
            (dtype, value, field)
            for dtype, field in NOT_FINITE.items()
            for value in (math.inf, -math.inf, math.nan)
        ),
    ],
)
def test_a_tensor_of_one_element(
    tmp_path: Path, dtype: str, value: float, field: str, shape: tuple[int, ...]
):
    import numpy as np
    import tensorflow as tf

    array = np.full(shape, value, dtype)
    content = tf.make_tensor_proto(array, tf.as_dtype(dtype), shape)
    content = type(content)(
        dtype=content.dtype, tensor_shape=content.tensor_shape, tensor_content=array.tobytes()
    )
    expected = pytest.approx(float(array.item()), rel=0, abs=0, nan_ok=True)
    for index, tensor in enumerate((content, in_field(content, field))):
        assert read_as_tensorflow(tensor) == expected
        write_tensor(tmp_path / str(index), tensor)
        assert read_tensor(tmp_path / str(index)) == expected


@pytest.mark.parametrize("dtype", ELEMENTS)
def test_a_zero_that_tensorflow_leaves_out(tmp_path: Path, dtype: str):
    import tensorflow as tf

    tensor = tf.make_tensor_proto(0, tf.as_dtype(dtype))
    tensor = type(tensor)(dtype=tensor.dtype, tensor_shape=tensor.tensor_shape)
    assert read_as_tensorflow(tensor) == 0.0
    write_tensor(tmp_path / "eval", tensor)
    assert read_tensor(tmp_path / "eval") == 0.0


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        pytest.param(True, "bool", id="bool"),
        pytest.param("text", "string", id="string"),
        pytest.param(1 + 2j, "complex64", id="complex64"),
        pytest.param(1 + 2j, "complex128", id="complex128"),
        pytest.param(1.0, "bfloat16", id="bfloat16"),
        pytest.param([1.0, 2.0], "float32", id="two elements"),
        pytest.param([], "float32", id="no element"),
        pytest.param([[], []], "float32", id="no element in two rows"),
    ],
)
def test_a_tensor_that_is_not_one_real_number(tmp_path: Path, value: Any, dtype: str):
    import tensorflow as tf

    tensor = tf.make_tensor_proto(value, tf.as_dtype(dtype))
    assert read_as_tensorflow(tensor) is None
    write_tensor(tmp_path / "eval", tensor)
    assert read_tensor(tmp_path / "eval") is None


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"tensor_content": b"abc"}, id="three bytes of four"),
        pytest.param({"tensor_content": b"abcdefgh"}, id="eight bytes of four"),
        pytest.param({"float_val": [1.0, 2.0]}, id="two elements for one"),
    ],
)
def test_a_tensor_without_the_bytes_of_its_shape(tmp_path: Path, change: dict[str, Any]):
    import tensorflow as tf

    tensor = type(tf.make_tensor_proto(1.0))(dtype=tf.float32.as_datatype_enum, **change)
    with pytest.raises(ValueError):  # noqa: PT011
        tf.make_ndarray(tensor)
    write_tensor(tmp_path / "eval", tensor)
    with pytest.raises(ValueError, match=r"\Aevent files must be intact \(got "):
        read_tensor(tmp_path / "eval")


def test_a_record_that_is_not_an_event(tmp_path: Path):
    import tensorflow as tf

    (tmp_path / "eval").mkdir()
    with tf.io.TFRecordWriter(str(tmp_path / "eval" / "events")) as writer:
        writer.write(b"\x2a\x7f")
    with pytest.raises(ValueError, match=r"\Aevent files must be intact \(got "):
        event_files.from_event_files(tmp_path, "eval/*")


# The messages, compared with TensorFlow's.


def files_of_tensorflow() -> list[Any]:
    from tensorflow.core.framework import summary_pb2, tensor_pb2, tensor_shape_pb2
    from tensorflow.core.util import event_pb2

    modules = (event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2)
    return [module.DESCRIPTOR for module in modules]


@pytest.mark.parametrize(
    "message", messages_of(event_files_pb2.DESCRIPTOR), ids=lambda message: message.full_name
)
def test_messages_are_those_of_tensorflow(message: Any):
    name = message.full_name.removeprefix("tfx_best_exporter.event_files.")
    theirs = the_message(name, files_of_tensorflow())
    for field in message.fields:
        assert shape_of(field) == shape_of(theirs.fields_by_name[field.name])


def test_types_are_those_of_tensorflow():
    from tensorflow.core.framework import types_pb2

    for name, number in event_files_pb2.DataType.items():
        assert types_pb2.DataType.Value(name) == number


def test_every_real_type_of_tensorflow_is_read():
    """A real type is a float, int or uint for numpy, and has a field in TensorFlow."""
    import tensorflow as tf
    from tensorflow.core.framework import types_pb2

    real = set()
    for name, number in types_pb2.DataType.items():
        if name.endswith("_REF") or number == types_pb2.DT_INVALID:
            continue
        try:
            array = tf.make_ndarray(type(tf.make_tensor_proto(0))(dtype=number))
        except (KeyError, TypeError):
            # The type has no numpy type, or TensorFlow cannot convert it.
            continue
        if array.dtype.kind in "fiu":
            real.add(name)
    # Module struct has no format for 8-bit floats, and no scalar has this type.
    assert real - {"DT_FLOAT8_E5M2"} == {*event_files_pb2.DataType.keys()} - {"DT_INVALID"}
