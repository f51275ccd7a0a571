"""Reads the scalars of TensorBoard event files in a ModelRun, without TensorFlow.

A Trainer that starts again writes another file into the same directory. TensorFlow's sessions then
write a SessionLog with the status START: earlier events of the directory are void from its step on,
in TensorBoard too. The files of a directory are in the order of their names, which begin with the
time of their creation.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import math
import struct
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from google.protobuf import message

from tfx_best_exporter.executor.deciding.eval_result import EvalResult, MetricKey, MetricValue
from tfx_best_exporter.executor.evaluations.tfrecord import (
    TFRecordError,
    TruncatedRecordError,
    read_records,
)
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import NotAFileError
from tfx_best_exporter.executor.storage.transfer import local_directory
from tfx_best_exporter.proto import best_exporter_pb2 as pb
from tfx_best_exporter.proto import event_files_pb2

# The default of tf.estimator.BestExporter, relative to the ModelRun.
DEFAULT_EVENT_FILE_PATTERN = "eval/*.tfevents.*"
# keras.callbacks.TensorBoard writes the metrics of the validation data here, under these tags:
# https://github.com/keras-team/keras/blob/master/keras/src/callbacks/tensorboard.py
_KERAS_PATTERN = "validation/*.tfevents.*"
_KERAS_PREFIX = "epoch_"

# Each type has a format of module struct, and the field of its elements if tensor_content is empty:
# https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/framework/tensor.proto
_ELEMENTS = {
    event_files_pb2.DT_HALF: ("e", "half_val"),
    event_files_pb2.DT_FLOAT: ("f", "float_val"),
    event_files_pb2.DT_DOUBLE: ("d", "double_val"),
    event_files_pb2.DT_INT8: ("b", "int_val"),
    event_files_pb2.DT_INT16: ("h", "int_val"),
    event_files_pb2.DT_INT32: ("i", "int_val"),
    event_files_pb2.DT_INT64: ("q", "int64_val"),
    event_files_pb2.DT_UINT8: ("B", "int_val"),
    event_files_pb2.DT_UINT16: ("H", "int_val"),
    event_files_pb2.DT_UINT32: ("I", "uint32_val"),
    event_files_pb2.DT_UINT64: ("Q", "uint64_val"),
}
# half_val holds 16-bit patterns as integers, not floats.
_FORMATS_OF_BITS = {"half_val": "H"}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Scalar:
    """A value of a tag; the order is the step and the wall time."""

    tag: str
    order: tuple[int, float]
    value: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Start:
    """The start of an attempt of the Trainer, which makes values from its step on void."""

    step: int


def from_event_files(model_run_uri: str | Path, event_file_pattern: str) -> EvalResult:
    """Returns the last value of every scalar in TensorBoard event files.

    Both the `simple_value` of TensorFlow 1 summaries and the tensors of TensorFlow 2 summaries are
    read. A tag's last value has the largest step; if several have that step, the one written last
    counts. Values of an earlier attempt of the Trainer do not count from the step on at which a
    later attempt starts.

    If the default pattern matches no file, the files of keras.callbacks.TensorBoard are read. Its
    tag `epoch_loss` is the metric `loss` too, unless there is a tag of this name.

    Args:
        model_run_uri: URI of the ModelRun artifact.
        event_file_pattern: Pattern relative to it, for example "eval/*.tfevents.*".

    Raises:
        ValueError: The pattern matches no file, or the files hold no scalar.
    """
    location = location_of(str(model_run_uri))
    existing = sorted(location.sizes())
    names = _matching(existing, event_file_pattern)
    is_of_keras = not names and event_file_pattern == DEFAULT_EVENT_FILE_PATTERN
    if is_of_keras:
        names = _matching(existing, _KERAS_PATTERN)
    if not names:
        raise ValueError(
            f"event_file_pattern must match an event file (got {event_file_pattern!r}, at"
            f" {model_run_uri}). Write summaries of the evaluation there, or change the pattern."
        )
    last: dict[str, _Scalar] = {}
    warnings: list[str] = []
    with tempfile.TemporaryDirectory(prefix="best_exporter-") as work_path:
        directory = local_directory(location, Path(work_path), names)
        for run in _by_directory(names):
            files = [(directory / name, location / name) for name in run]
            for scalar in _last_values(files, warnings).values():
                _keep_last(last, scalar)
    if not last:
        raise ValueError(
            f"event_file_pattern must match files with scalar summaries (got {event_file_pattern!r}"
            f" with {len(names)} files and no scalar, at {model_run_uri})."
            " Write summaries of the evaluation there, or change the pattern."
        )
    aliases = _aliases_of(last)
    if is_of_keras:
        tags = ", ".join(f"{name} is {tag}" for name, tag in sorted(aliases.items()))
        warnings.append(
            f"{event_file_pattern} matches no file, so the metrics are those of Keras in"
            f" {', '.join(names)}{f': {tags}' if tags else ''}. Set event_file_pattern to"
            f" {_KERAS_PATTERN!r} if this is right"
        )
    last |= {name: last[tag] for name, tag in aliases.items()}
    return EvalResult(
        {MetricKey(name=tag): MetricValue(value=scalar.value) for tag, scalar in last.items()},
        uri=str(model_run_uri),
        source=pb.Evaluation.EVENT_FILES,
        warnings=tuple(warnings),
    )


def _matching(names: Iterable[str], pattern: str) -> list[str]:
    parts = pattern.split("/")
    return [name for name in names if _matches(name.split("/"), parts)]


def _aliases_of(tags: Collection[str]) -> dict[str, str]:
    """Returns the tag of Keras for each metric that no other tag has."""
    found = {tag.removeprefix(_KERAS_PREFIX): tag for tag in tags if tag.startswith(_KERAS_PREFIX)}
    return {name: tag for name, tag in found.items() if name and name not in tags}


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Returns True if a path matches as in Path.glob: "**" matches any number of folders."""
    if not parts or not pattern:
        return not parts and not pattern
    if pattern[0] == "**":
        return _matches(parts, pattern[1:]) or _matches(parts[1:], pattern)
    return fnmatch.fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def _by_directory(names: Sequence[str]) -> list[list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(name.rpartition("/")[0], []).append(name)
    return [*found.values()]


def _last_values(files: Sequence[tuple[Path, Location]], warnings: list[str]) -> dict[str, _Scalar]:
    """Returns the last scalar of each tag in the files of one directory.

    Args:
        files: Path on this machine and location of each file, in order.
        warnings: List that gets a warning for each problem that was tolerated.
    """
    last: dict[str, _Scalar] = {}
    starts: list[int] = []
    restart = ""
    largest_step = -math.inf
    for location, event in _read_events(files, warnings):
        if isinstance(event, _Start):
            starts.append(event.step)
            if event.step <= largest_step:
                restart = (
                    f"the Trainer started again at step {event.step}, in {location}; earlier values"
                    " from that step on do not count"
                )
        else:
            largest_step = max(largest_step, event.order[0])
            _keep_last(last, event)
    if not restart:
        return last
    # A start hides values only if it comes after them, which few directories have. Reading these
    # twice costs less than keeping all values of every directory.
    warnings.append(restart)
    last = {}
    attempt = 0
    for _, event in _read_events(files, []):
        if isinstance(event, _Start):
            attempt += 1
        elif event.order[0] < min(starts[attempt:], default=math.inf):
            _keep_last(last, event)
    return last


def _keep_last(last: dict[str, _Scalar], scalar: _Scalar) -> None:
    if scalar.tag not in last or scalar.order >= last[scalar.tag].order:
        last[scalar.tag] = scalar


def _read_events(
    files: Iterable[tuple[Path, Location]], warnings: list[str]
) -> Iterator[tuple[Location, _Scalar | _Start]]:
    """Yields each scalar and each start of an attempt, with the location of its file.

    Args:
        files: Path on this machine and location of each file.
        warnings: List that gets a warning for each file that ends in the middle of an event.

    Raises:
        ValueError: A file is damaged before its end.
    """
    for path, location in files:
        try:
            for record in read_records(path):
                event = event_files_pb2.Event.FromString(record)
                if event.session_log.status == event_files_pb2.SessionLog.START:
                    yield location, _Start(step=event.step)
                for value in event.summary.value:
                    number = _number_of(value)
                    if number is not None:
                        order = (event.step, event.wall_time)
                        yield location, _Scalar(tag=value.tag, order=order, value=number)
        except TruncatedRecordError:
            # A writer that was killed leaves an incomplete last record; the records before it are
            # good.
            warnings.append(
                f"{location} ends in the middle of an event; the events before it are used"
            )
        except (NotAFileError, TFRecordError, message.DecodeError, struct.error) as error:
            raise ValueError(
                f"event files must be intact (got {error}, at {location})."
                " The events after the damage are lost. Evaluate the candidate again."
            ) from error


def _number_of(value: event_files_pb2.Summary.Value) -> float | None:
    """Returns a summary's number, or None if it is not one real number.

    Raises:
        struct.error: The size of its tensor is not that of one element.
    """
    kind = value.WhichOneof("value")
    if kind == "simple_value":
        return value.simple_value
    return _element_of(value.tensor) if kind == "tensor" else None


def _element_of(tensor: event_files_pb2.TensorProto) -> float | None:
    """Returns the only element of a tensor, or None if it is not one real number.

    Raises:
        struct.error: The tensor's size is not that of one element.
    """
    if tensor.dtype not in _ELEMENTS or math.prod(dim.size for dim in tensor.tensor_shape.dim) != 1:
        return None
    format_, field = _ELEMENTS[tensor.dtype]
    content = tensor.tensor_content
    if not content:
        # TensorFlow writes no element for a zero.
        values = getattr(tensor, field) or (0,)
        content = struct.pack(f"={len(values)}{_FORMATS_OF_BITS.get(field, format_)}", *values)
    [element] = struct.unpack(f"={format_}", content)
    return float(element)
