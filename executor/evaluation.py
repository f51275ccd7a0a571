"""Where an EvalResult comes from: a TFMA evaluation, event files of a ModelRun, or a record."""

from __future__ import annotations

import fnmatch
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from google.protobuf import json_format, message

from tfx_best_exporter.executor.eval_result import EvalResult, MetricKey, MetricValue, SliceKey
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.location import Location, local_directory
from tfx_best_exporter.proto import best_exporter_pb2 as pb
from tfx_best_exporter.proto import tfma_pb2

# tf.estimator.BestExporter's default; relative to the ModelRun.
DEFAULT_EVENT_FILE_PATTERN = "eval/*.tfevents.*"

_EXAMPLE_COUNT = "example_count"
# Where an EvalConfig asks for both kinds, the weighted one is a sum of weights.
_UNWEIGHTED_EXAMPLE_COUNT = "example_count[unweighted]"
_EVAL_CONFIG = "eval_config.json"


def from_tfma(evaluation_uri: str | Path) -> EvalResult:
    """Returns the candidate's metrics from a TFMA evaluation, as Evaluator writes it.

    Where candidate and baseline were evaluated together, the metrics are the candidate's: neither
    the baseline's nor differences. Values that are no single number (plots, arrays, matrices) are
    left out.

    Args:
        evaluation_uri: Of the ModelEvaluation artifact, or of a directory with its files.

    Raises:
        ValueError: There is no overall slice there.
    """
    uri = str(evaluation_uri)
    location = location_of(uri)
    with tempfile.TemporaryDirectory(prefix="best_exporter-") as work_path:
        names = [file.name for file in tfma_files_of(location)]
        return _from_local_tfma(local_directory(location, Path(work_path), names), uri)


def _from_local_tfma(path: Path, uri: str) -> EvalResult:
    baseline_names, candidate_names = _model_names(path, uri)
    model_name = candidate_names[0] if len(candidate_names) == 1 else ""
    overall = None
    slices = {}
    for slice_key, keys_and_values in _read_tfma(path, uri):
        result = EvalResult(
            _metrics_of(keys_and_values, baseline_names, model_name),
            uri=uri,
            source=pb.Evaluation.TFMA,
            model_name=model_name,
        )
        if slice_key:
            slices[slice_key] = result
        else:
            overall = result
    if overall is None:
        raise ValueError(
            "evaluation must hold metrics of the overall slice (got"
            f" {len(slices)} other slices, at {uri}). Check that Evaluator finished, and that its"
            " slicing_specs include an empty one."
        )
    return EvalResult(
        overall.metrics,
        uri=uri,
        source=pb.Evaluation.TFMA,
        example_count=overall.get(_EXAMPLE_COUNT, overall.get(_UNWEIGHTED_EXAMPLE_COUNT)),
        model_name=model_name,
        slices=slices,
    )


def tfma_files_of(evaluation: Location) -> list[Location]:
    """Returns the files of a TFMA evaluation that from_tfma reads: metrics and eval config."""
    return [
        evaluation / entry.name
        for entry in evaluation.children()
        if entry.name.startswith("metrics") or entry.name == _EVAL_CONFIG
    ]


def _model_names(path: Path, uri: str) -> tuple[list[str], list[str]]:
    """Returns the names of the baselines and of the other models in an evaluation."""
    config_path = path / _EVAL_CONFIG
    try:
        text = config_path.read_text(encoding="utf-8") if config_path.exists() else "{}"
        eval_run = json_format.Parse(text, tfma_pb2.EvalRun(), ignore_unknown_fields=True)
    except (UnicodeDecodeError, json_format.ParseError) as error:
        raise _not_tfma(f"{_EVAL_CONFIG}: {error}", uri) from error
    specs = eval_run.eval_config.model_specs
    return (
        [spec.name for spec in specs if spec.is_baseline],
        [spec.name for spec in specs if not spec.is_baseline],
    )


def _read_tfma(path: Path, uri: str) -> Iterable[tuple[SliceKey, Any]]:
    import tensorflow as tf

    # As TFMA looks for them: files without the suffix count where there is none with it.
    paths = sorted(path.glob("metrics*.tfrecord")) or sorted(path.glob("metrics*"))
    if not paths:
        raise _not_tfma("no file metrics*.tfrecord", uri)
    records: Any = tf.data.TFRecordDataset([str(each) for each in paths]).as_numpy_iterator()
    try:
        for record in records:
            metrics = tfma_pb2.MetricsForSlice.FromString(record)
            if not metrics.HasField("cross_slice_key"):
                yield _slice_key(metrics.slice_key), metrics.metric_keys_and_values
    except (tf.errors.OpError, message.DecodeError) as error:
        raise _not_tfma(str(error), uri) from error


def _not_tfma(problem: str, uri: str) -> ValueError:
    return ValueError(
        f"evaluation must be a TFMA evaluation (got {problem}, at {uri})."
        " Check that Evaluator finished writing it."
    )


def _slice_key(slice_key: Any) -> SliceKey:
    parts = []
    for single in slice_key.single_slice_keys:
        kind = single.WhichOneof("kind")
        value = getattr(single, kind) if kind else ""
        if isinstance(value, bytes):
            value = value.decode("utf-8", errors="replace")
        parts.append((single.column, value))
    return tuple(parts)


def _metrics_of(
    keys_and_values: Iterable[Any], baseline_names: list[str], model_name: str
) -> Mapping[MetricKey, MetricValue]:
    found: dict[MetricKey, dict[bool | None, MetricValue]] = {}
    for item in keys_and_values:
        value = _value_of(item)
        if item.key.is_diff or item.key.model_name in baseline_names or value is None:
            continue
        weighted = (
            item.key.example_weighted.value if item.key.HasField("example_weighted") else None
        )
        found.setdefault(_key_of(item.key, model_name), {})[weighted] = value
    metrics = {}
    for key, values in found.items():
        for weighted, value in values.items():
            # The flag is noise where only one of both was computed.
            distinct = key if len(values) == 1 else _weighted(key, weighted)
            metrics[distinct] = value
    return metrics


def _key_of(key: Any, model_name: str) -> MetricKey:
    proto = pb.MetricKey(
        name=key.name,
        # The sole candidate is meant wherever no model is named.
        model_name="" if key.model_name == model_name else key.model_name,
        output_name=key.output_name,
    )
    for kind in ("class_id", "k", "top_k"):
        if key.sub_key.HasField(kind):
            setattr(proto.sub_key, kind, getattr(key.sub_key, kind).value)
    for kind in ("micro_average", "macro_average", "weighted_macro_average"):
        if getattr(key.aggregation_type, kind):
            proto.aggregation = getattr(pb.MetricKey, kind.upper())
    return MetricKey.from_proto(proto)


def _weighted(key: MetricKey, weighted: bool | None) -> MetricKey:
    proto = key.to_proto()
    if weighted is not None:
        proto.example_weighted = weighted
    return MetricKey.from_proto(proto)


def _value_of(item: Any) -> MetricValue | None:
    """Returns a metric's number and its bounds, or None if it is no single number."""
    value = item.value
    kind = value.WhichOneof("type")
    if kind == "double_value":
        interval = item.confidence_interval
        return MetricValue(
            value=value.double_value.value,
            lower_bound=_bound(interval.lower_bound),
            upper_bound=_bound(interval.upper_bound),
        )
    if kind == "bounded_value":
        bounded = value.bounded_value
        return MetricValue(
            value=bounded.value.value,
            lower_bound=bounded.lower_bound.value,
            upper_bound=bounded.upper_bound.value,
        )
    if kind == "t_distribution_value":
        return MetricValue(value=value.t_distribution_value.unsampled_value.value)
    return None


def _bound(value: Any) -> float | None:
    return value.double_value.value if value.HasField("double_value") else None


def from_event_files(model_run_uri: str | Path, event_file_pattern: str) -> EvalResult:
    """Returns the last value of every scalar in TensorBoard event files.

    Both the `simple_value` of TensorFlow 1 summaries and the tensors of TensorFlow 2 ones are read.
    A tag's last value is the one with the largest step; of several, the one written last.

    Args:
        model_run_uri: Of the ModelRun artifact.
        event_file_pattern: Relative to it, for example "eval/*.tfevents.*".

    Raises:
        ValueError: The pattern matches no file, or the files hold no scalar.
    """
    location = location_of(str(model_run_uri))
    pattern = event_file_pattern.split("/")
    names = sorted(name for name in location.sizes() if _matches(name.split("/"), pattern))
    if not names:
        raise ValueError(
            f"event_file_pattern must match an event file (got {event_file_pattern!r}, at"
            f" {model_run_uri}). Write summaries of the evaluation there, or change the pattern."
        )
    last: dict[str, tuple[tuple[int, float], float]] = {}
    warnings: list[str] = []
    with tempfile.TemporaryDirectory(prefix="best_exporter-") as work_path:
        directory = local_directory(location, Path(work_path), names)
        for name in names:
            for order, tag, value in _read_scalars(directory / name, location / name, warnings):
                if tag not in last or order >= last[tag][0]:
                    last[tag] = (order, value)
    if not last:
        raise ValueError(
            f"event_file_pattern must match files with scalar summaries (got {event_file_pattern!r}"
            f" with {len(names)} files and no scalar, at {model_run_uri})."
            " Write summaries of the evaluation there, or change the pattern."
        )
    return EvalResult(
        {MetricKey(name=tag): MetricValue(value=value) for tag, (_, value) in last.items()},
        uri=str(model_run_uri),
        source=pb.Evaluation.EVENT_FILES,
        warnings=tuple(warnings),
    )


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Returns whether a path matches, as in Path.glob: "**" stands for any number of folders."""
    if not parts or not pattern:
        return not parts and not pattern
    if pattern[0] == "**":
        return _matches(parts, pattern[1:]) or _matches(parts[1:], pattern)
    return fnmatch.fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def _read_scalars(
    path: Path, location: Location, warnings: list[str]
) -> Iterable[tuple[tuple[int, float], str, float]]:
    """Yields ((step, wall time), tag, value) for each scalar of an event file.

    Args:
        path: The file, or its copy on this machine.
        location: Of the file.
        warnings: Is told if the file ends in the middle of an event.

    Raises:
        ValueError: The file is damaged before its end.
    """
    import tensorflow as tf

    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = tf.compat.v1.Event.FromString(record)
            for summary in event.summary.value:
                order = (event.step, event.wall_time)
                if summary.WhichOneof("value") == "simple_value":
                    yield order, summary.tag, summary.simple_value
                elif summary.HasField("tensor"):
                    array = tf.make_ndarray(summary.tensor)
                    if array.size == 1 and array.dtype.kind in "fiu":
                        yield order, summary.tag, float(array.item())
    except tf.errors.DataLossError as error:
        if "truncated" not in str(error):
            raise ValueError(
                f"event files must be whole (got {error}, at {location})."
                " What stands behind the damage is lost: evaluate again."
            ) from error
        # A writer that was killed leaves half a record at the end; what is before it is whole.
        warnings.append(f"{location} ends in the middle of an event, and is read up to there")
