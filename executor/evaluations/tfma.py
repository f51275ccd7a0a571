"""Where an EvalResult comes from: a TFMA evaluation, event files of a ModelRun, or a record."""

from __future__ import annotations

import dataclasses
import fnmatch
import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from google.protobuf import message

from tfx_best_exporter.executor.deciding.eval_result import (
    EXAMPLE_COUNT,
    NO_METRICS,
    EvalResult,
    EvaluatedData,
    MetricKey,
    MetricKeys,
    Metrics,
    MetricValue,
    SliceKey,
    Slices,
)
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.location import Location, local_directory
from tfx_best_exporter.proto import best_exporter_pb2 as pb
from tfx_best_exporter.proto import tfma_pb2

_Item = tfma_pb2.MetricsForSlice.MetricKeyAndValue

# tf.estimator.BestExporter's default; relative to the ModelRun.
DEFAULT_EVENT_FILE_PATTERN = "eval/*.tfevents.*"

# Where an EvalConfig asks for both kinds, the weighted one is a sum of weights.
_EXAMPLE_COUNTS = (
    MetricKey(name=EXAMPLE_COUNT),
    MetricKey(name=EXAMPLE_COUNT, example_weighted=False),
)
_EVAL_CONFIG = "eval_config.json"
# What TFMA writes where a model's path should be, if there was no model.
_NO_MODEL = "<unknown>"

# Fields of an EvalConfig that say which model is evaluated, or how; not on what, nor what of.
_MODEL_FIELDS = ("name", "isBaseline", "modelType", "signatureName", "inferenceBatchSize")
# What a model has to keep to be blessed; not what is measured.
THRESHOLD_FIELDS = (
    "threshold",
    "thresholds",
    "perSliceThresholds",
    "crossSliceThresholds",
)
_OPTIONS_WITHOUT_EFFECT = (
    "computeConfidenceIntervals",
    "confidenceIntervals",
    "disabledOutputs",
)


def from_tfma(
    evaluation_uri: str | Path, *, examples_uri: str = "", splits: Sequence[str] = ()
) -> EvalResult:
    """Returns the candidate's metrics from a TFMA evaluation, as Evaluator writes it.

    Where candidate and baseline were evaluated together, the metrics are the candidate's; the
    baseline's are `baseline`, and TFMA's own differences are `differences`. Each slice has its
    own, read when asked for.

    What TFMA's thresholds can address is here, by the same sub key: a number, bounded or with a
    t-distribution, and an array of one number. Left out is what they cannot address: plots, arrays
    of several numbers, values at cutoffs, and confusion matrices as a whole. A metric for each of
    their elements that matters is what EvalConfig has, such as Recall of one class or at one
    threshold. Left out too is a metric whose sub key has a class and a top_k at once, for which a
    MetricKey has no place.

    Args:
        evaluation_uri: Of the ModelEvaluation artifact, or of a directory with its files.
        examples_uri: What it was computed on, as far as the caller knows: TFMA does not write it.
        splits: Names of the splits of these.

    Raises:
        ValueError: There is no overall slice there.
    """
    uri = str(evaluation_uri)
    location = location_of(uri)
    with tempfile.TemporaryDirectory(prefix="best_exporter-") as work_path:
        names = [file.name for file in tfma_files_of(location)]
        path = local_directory(location, Path(work_path), names)
        run = _EvalRun.read(path, uri)
        overall = None
        rows = {}
        for slice_key, items in _read_tfma(path, uri):
            if slice_key:
                rows[slice_key] = items
            else:
                overall = items
    if overall is None:
        raise ValueError(
            "evaluation must hold metrics of the overall slice (got"
            f" {len(rows)} other slices, at {uri}). Check that Evaluator finished, and that its"
            " slicing_specs include an empty one."
        )
    layout = _Layout(overall, run)
    data = EvaluatedData(
        examples_uri=examples_uri, splits=tuple(splits), eval_config_digest=run.digest
    )
    return _TfmaResult(overall, layout, run, data=data, slices=_Slices(rows, layout, run))


def tfma_files_of(evaluation: Location) -> list[Location]:
    """Returns the files of a TFMA evaluation that from_tfma reads: metrics and eval config."""
    return [
        evaluation / entry.name
        for entry in evaluation.children()
        if entry.name.startswith("metrics") or entry.name == _EVAL_CONFIG
    ]


def eval_config_of(evaluation_uri: str | Path) -> dict[str, Any]:
    """Returns the EvalConfig that an evaluation was made with, as its JSON.

    Raises:
        ValueError: It has none, or one that cannot be read.
    """
    uri = str(evaluation_uri)
    location = location_of(uri)
    with tempfile.TemporaryDirectory(prefix="best_exporter-") as work_path:
        names = [entry.name for entry in location.children() if entry.name == _EVAL_CONFIG]
        content = _eval_run_of(local_directory(location, Path(work_path), names), uri)
    if "evalConfig" not in content:
        raise ValueError(
            f"evaluation must have its {_EVAL_CONFIG} (got none, at {uri})."
            " Check that Evaluator finished writing it."
        )
    return content["evalConfig"]


def eval_config_digest(eval_config: Mapping[str, Any]) -> str:
    """Returns the SHA-256 of an EvalConfig without its models.

    The same metrics, slices, labels, predictions and weights have the same digest, whether a model
    was evaluated alone or beside a baseline, whatever the order, and whatever bounds it had to
    keep. How intervals were computed does not count either: the values are the same.

    Args:
        eval_config: JSON of a tfma.EvalConfig, as Evaluator writes it.
    """
    model_specs = eval_config.get("modelSpecs", [])
    baselines = {spec.get("name", "") for spec in model_specs if spec.get("isBaseline")}
    metrics_specs = [
        {
            **spec,
            "metrics": _in_order(
                _without(metric, THRESHOLD_FIELDS) for metric in spec.get("metrics", [])
            ),
        }
        for spec in eval_config.get("metricsSpecs", [])
        if not baselines
        or set(spec.get("modelNames", [])) - baselines
        or not spec.get("modelNames")
    ]
    specs = [spec for spec in model_specs if not spec.get("isBaseline")]
    options = _without(eval_config.get("options", {}), _OPTIONS_WITHOUT_EFFECT)
    canonical = {
        **_without(eval_config, ("options",)),
        "modelSpecs": _in_order(_without(spec, _MODEL_FIELDS) for spec in specs or [{}]),
        "slicingSpecs": _in_order(eval_config.get("slicingSpecs", [])),
        "crossSlicingSpecs": _in_order(eval_config.get("crossSlicingSpecs", [])),
        "metricsSpecs": _in_order(
            _without(spec, (*THRESHOLD_FIELDS, "modelNames")) for spec in metrics_specs
        ),
        **({"options": options} if options else {}),
    }
    text = json.dumps(canonical, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _without(content: Mapping[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name not in fields}


def _in_order(items: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(items, key=lambda item: json.dumps(item, sort_keys=True))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _EvalRun:
    """What eval_config.json says.

    Attributes:
        uri: Of the evaluation.
        model_name: Of the sole candidate; empty if there are several.
        baseline_name: None without a baseline.
        digest: Of the EvalConfig; empty without one.
        model_paths: By model name.
    """

    uri: str
    model_name: str
    baseline_name: str | None
    digest: str
    model_paths: Mapping[str, str]

    @classmethod
    def read(cls, path: Path, uri: str) -> _EvalRun:
        content = _eval_run_of(path, uri)
        eval_config = content.get("evalConfig", {})
        specs = eval_config.get("modelSpecs", [])
        names = [spec.get("name", "") for spec in specs if not spec.get("isBaseline")]
        baselines = [spec.get("name", "") for spec in specs if spec.get("isBaseline")]
        return cls(
            uri=uri,
            model_name=names[0] if len(names) == 1 else "",
            baseline_name=baselines[0] if baselines else None,
            digest=eval_config_digest(eval_config) if eval_config else "",
            # Predictions that came with the examples have no model.
            model_paths={
                name: path
                for name, path in sorted(content.get("modelLocations", {}).items())
                if path != _NO_MODEL
            },
        )


def _eval_run_of(path: Path, uri: str) -> dict[str, Any]:
    """Returns TFMA's EvalRun as JSON, with the names that proto3 JSON gives; empty without one."""
    config_path = path / _EVAL_CONFIG
    if not config_path.exists():
        return {}
    try:
        content = json.loads(config_path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _not_tfma(f"{_EVAL_CONFIG}: {error}", uri) from error
    if not isinstance(content, dict):
        raise _not_tfma(f"{_EVAL_CONFIG}: no JSON object", uri)
    return content


def _read_tfma(path: Path, uri: str) -> Iterable[tuple[SliceKey, Any]]:
    import tensorflow as tf

    # As TFMA looks for them: files without the suffix count where there is none with it.
    paths = sorted(path.glob("metrics*.tfrecord")) or sorted(path.glob("metrics*"))
    if not paths:
        raise _not_tfma("no file metrics*.tfrecord", uri)
    try:
        for each in paths:
            # As TFMA reads them: a tf.data.Dataset takes longer over a record than parsing it does.
            for record in tf.compat.v1.io.tf_record_iterator(str(each)):
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


class _Layout:
    """Which metric stands where in a slice; nearly always the same in all slices.

    Attributes:
        prefixes: What each item begins with, as it is written: TFMA's key.
        candidate: Keys of the candidate's metrics.
        baseline: Keys of the baseline's metrics, as if it were the only model.
        differences: Keys of candidate less baseline.
    """

    def __init__(self, items: Sequence[bytes], run: _EvalRun):
        protos = [_parse(item, run).key for item in items]
        self.prefixes = [_Item(key=proto).SerializeToString() for proto in protos]
        found: list[dict[MetricKey, dict[bool | None, int]]] = [{}, {}, {}]
        for position, proto in enumerate(protos):
            if proto.sub_key.HasField("class_id") and proto.sub_key.HasField("top_k"):
                continue
            is_baseline = run.baseline_name is not None and proto.model_name == run.baseline_name
            own_name = run.baseline_name or "" if is_baseline else run.model_name
            by_flag = found[2 if proto.is_diff else is_baseline].setdefault(
                _key_of(proto, own_name), {}
            )
            weighted = proto.example_weighted.value if proto.HasField("example_weighted") else None
            by_flag[weighted] = position
        self.candidate, self.baseline, self.differences = map(_distinct, found)

    def item(self, items: Sequence[bytes], position: int | None) -> bytes | None:
        """Returns the item of a slice that stands there, if it is of the metric that it should."""
        if position is None or position >= len(items):
            return None
        item = items[position]
        return item if item.startswith(self.prefixes[position]) else None

    def is_of(self, items: Sequence[bytes]) -> bool:
        """Returns whether a slice has these metrics in this order, and no others."""
        return len(items) == len(self.prefixes) and all(map(bytes.startswith, items, self.prefixes))


def _parse(item: bytes, run: _EvalRun) -> Any:
    try:
        return _Item.FromString(item)
    except message.DecodeError as error:
        raise _not_tfma(str(error), run.uri) from error


def _distinct(found: Mapping[MetricKey, Mapping[bool | None, int]]) -> MetricKeys:
    """Returns the keys, with the flag of weights only where both kinds were computed."""
    return MetricKeys(
        {
            key if len(by_flag) == 1 else dataclasses.replace(key, example_weighted=weighted): (
                position
            )
            for key, by_flag in found.items()
            for weighted, position in by_flag.items()
        }
    )


class _TfmaResult(EvalResult):
    """One side of a slice, candidate's or baseline's, converted as it is asked for.

    With 10,000 slices, most metrics of most slices are never looked at, and every object that is
    kept for one of them is one more for Python's garbage collector to look through.
    """

    __slots__ = ("_is_checked", "_items", "_layout", "_role", "_run")

    def __init__(
        self,
        items: Sequence[bytes],
        layout: _Layout,
        run: _EvalRun,
        role: str = "candidate",
        *,
        data: EvaluatedData | None = None,
        slices: Mapping[SliceKey, EvalResult] | None = None,
    ):
        """Makes a result.

        Args:
            items: Of the slice, as TFMA wrote them.
            layout: Of most slices.
            run: What eval_config.json says.
            role: "candidate" or "baseline".
            data: What it was computed on; for the overall slice.
            slices: The others; for the overall slice.
        """
        is_overall = slices is not None
        super().__init__(
            NO_METRICS,
            uri=run.uri,
            source=pb.Evaluation.TFMA,
            model_name=run.model_name if role == "candidate" else run.baseline_name or "",
            slices=slices,
            data=data,
            model_paths=run.model_paths if is_overall else None,
        )
        self._items = items
        self._layout = layout
        self._run = run
        self._role = role
        self._is_checked = False

    @property
    def metrics(self) -> Mapping[MetricKey, MetricValue]:
        return _SliceMetrics(self, self._role)

    @property
    def differences(self) -> Mapping[MetricKey, MetricValue]:
        return _SliceMetrics(self, "differences") if self._has_baseline else NO_METRICS

    @property
    def baseline(self) -> EvalResult | None:
        if not self._has_baseline:
            return None
        slices = self._slices
        return _TfmaResult(
            self._items,
            self._layout,
            self._run,
            "baseline",
            data=self.data,
            slices=_Slices(slices.rows, self._layout, self._run, "baseline")
            if isinstance(slices, _Slices)
            else None,
        )

    @property
    def example_count(self) -> float | None:
        if self._example_count is None:
            found = (self.find(key) for key in _EXAMPLE_COUNTS)
            self._example_count = next((each.value for each in found if each), None)
        if self._example_count is None:
            # Of a model with several outputs each may have its own; the smallest says most.
            self._example_count = min(
                (value.value for key, value in self.metrics.items() if key.name == EXAMPLE_COUNT),
                default=None,
            )
        return self._example_count

    @property
    def _has_baseline(self) -> bool:
        return self._role == "candidate" and self._run.baseline_name is not None

    def find(self, key: MetricKey) -> MetricValue | None:
        return self.find_in(self._role, key, self.names_of(key))

    def has_any(self, role: str) -> bool:
        """Returns whether there is any metric; looks at one, nearly always."""
        layout, items = self._layout, self._items
        item = layout.item(items, next(iter(getattr(layout, role).positions.values()), None))
        if item is not None and _value_of(_parse(item, self._run)) is not None:
            return True
        return any(self.value_at(each) for each in self.keys_of(role).positions.values())

    def find_in(
        self, role: str, key: MetricKey, model_names: tuple[str, ...]
    ) -> MetricValue | None:
        """Returns the value of the metric that a key means; see Metrics.find."""
        layout = self._layout
        item = layout.item(self._items, getattr(layout, role).find(key, model_names))
        if item is not None:
            return _value_of(_parse(item, self._run))
        # Not where it stands in the other slices: look at this one's own keys.
        position = self.keys_of(role).find(key, model_names)
        return None if position is None else self.value_at(position)

    def keys_of(self, role: str) -> MetricKeys:
        """Returns the keys that this slice has."""
        if not self._is_checked:
            if not self._layout.is_of(self._items):
                self._layout = _Layout(self._items, self._run)
            self._is_checked = True
        return getattr(self._layout, role)

    def value_at(self, position: int) -> MetricValue | None:
        """Returns the value that stands there, or None if it is no single number."""
        return _value_of(_parse(self._items[position], self._run))


class _SliceMetrics(Metrics):
    """The metrics of a slice that have one role."""

    __slots__ = ("_result", "_role")

    def __init__(self, result: _TfmaResult, role: str):
        self._result = result
        self._role = role

    def find(self, key: MetricKey, model_names: tuple[str, ...]) -> MetricValue | None:
        return self._result.find_in(self._role, key, model_names)

    def __getitem__(self, key: MetricKey) -> MetricValue:
        value = self._result.value_at(self._result.keys_of(self._role).positions[key])
        if value is None:
            raise KeyError(key)
        return value

    def __bool__(self) -> bool:
        return self._result.has_any(self._role)

    def __iter__(self) -> Iterator[MetricKey]:
        for key, position in self._result.keys_of(self._role).positions.items():
            if self._result.value_at(position) is not None:
                yield key

    def __len__(self) -> int:
        return sum(1 for _ in self)


class _Slices(Slices):
    """One side of the slices of an evaluation; each is made when it is asked for."""

    def __init__(
        self,
        rows: Mapping[SliceKey, Sequence[bytes]],
        layout: _Layout,
        run: _EvalRun,
        role: str = "candidate",
    ):
        """Makes the slices; arguments as those of a _TfmaResult.

        Args:
            rows: Items of each slice.
            layout: Of most slices.
            run: What eval_config.json says.
            role: "candidate" or "baseline".
        """
        self.rows = rows
        self._layout = layout
        self._run = run
        self._role = role

    def __getitem__(self, slice_key: SliceKey) -> EvalResult:
        return _TfmaResult(self.rows[slice_key], self._layout, self._run, self._role)

    def values_of(self, key: MetricKey) -> dict[SliceKey, float]:
        run, layout = self._run, self._layout
        model_names = _TfmaResult((), layout, run, self._role).names_of(key)
        position = getattr(layout, self._role).find(key, model_names)
        found = {}
        for slice_key, items in self.rows.items():
            item = layout.item(items, position)
            if item is not None:
                number = _number_of(_parse(item, run).value)
            else:
                value = self[slice_key].find(key)
                number = None if value is None else value.value
            if number is not None:
                found[slice_key] = number
        return found

    def example_counts(self) -> dict[SliceKey, float | None]:
        found = self.values_of(_EXAMPLE_COUNTS[0])
        return {
            slice_key: found[slice_key] if slice_key in found else self[slice_key].example_count
            for slice_key in self.rows
        }

    def __iter__(self) -> Iterator[SliceKey]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def _key_of(key: Any, own_name: str) -> MetricKey:
    proto = pb.MetricKey(
        name=key.name,
        # The sole candidate is meant wherever no model is named.
        model_name="" if key.model_name == own_name else key.model_name,
        output_name=key.output_name,
    )
    for kind in ("class_id", "k", "top_k"):
        if key.sub_key.HasField(kind):
            setattr(proto.sub_key, kind, getattr(key.sub_key, kind).value)
    for kind in ("micro_average", "macro_average", "weighted_macro_average"):
        if getattr(key.aggregation_type, kind):
            proto.aggregation = getattr(pb.MetricKey, kind.upper())
    return MetricKey.from_proto(proto)


def _value_of(item: Any) -> MetricValue | None:
    """Returns a metric's number, bounds and error, or None if it is no single number."""
    number = _number_of(item.value)
    if number is None:
        return None
    kind = item.value.WhichOneof("type")
    if kind == "bounded_value":
        bounded = item.value.bounded_value
        return MetricValue(
            value=number,
            lower_bound=bounded.lower_bound.value,
            upper_bound=bounded.upper_bound.value,
        )
    if kind == "t_distribution_value":
        distribution = item.value.t_distribution_value
        if not distribution.HasField("sample_standard_deviation"):
            return MetricValue(value=number)
        return MetricValue(
            value=number,
            standard_error=distribution.sample_standard_deviation.value,
            degrees_of_freedom=float(distribution.sample_degrees_of_freedom.value),
        )
    if not item.HasField("confidence_interval"):
        return MetricValue(value=number)
    interval = item.confidence_interval
    standard_error = _number_of(interval.standard_error)
    return MetricValue(
        value=number,
        lower_bound=_number_of(interval.lower_bound),
        upper_bound=_number_of(interval.upper_bound),
        standard_error=standard_error,
        degrees_of_freedom=(
            float(interval.degrees_of_freedom.value)
            if standard_error is not None and interval.HasField("degrees_of_freedom")
            else None
        ),
    )


def _number_of(value: Any) -> float | None:
    """Returns TFMA's value as a number, or None if it is no single number."""
    kind = value.WhichOneof("type")
    if kind == "double_value":
        return value.double_value.value
    if kind == "bounded_value":
        return value.bounded_value.value.value
    if kind == "t_distribution_value":
        return value.t_distribution_value.unsampled_value.value
    numbers = _numbers_of(value.array_value) if kind == "array_value" else ()
    return float(numbers[0]) if len(numbers) == 1 else None


def _numbers_of(array: Any) -> Sequence[float]:
    for values in (
        array.float64_values,
        array.float32_values,
        array.int64_values,
        array.int32_values,
    ):
        if values:
            return values
    return ()


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
