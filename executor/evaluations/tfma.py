"""Reads the metrics of a TFMA evaluation without TFMA, as a source of an EvalResult."""

from __future__ import annotations

import dataclasses
import tempfile
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from google.protobuf import message

from tfx_best_exporter.executor.deciding.eval_result import (
    EXAMPLE_COUNT,
    EvalResult,
    EvaluatedData,
    MetricKey,
    MetricValue,
    Provenance,
    SliceKey,
)
from tfx_best_exporter.executor.deciding.metric_source import MemorySource, Metrics, only_match
from tfx_best_exporter.executor.evaluations.eval_config import EvalRun, not_tfma
from tfx_best_exporter.executor.evaluations.tfma_files import read_slices, tfma_files_of
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.transfer import local_directory
from tfx_best_exporter.proto import best_exporter_pb2 as pb
from tfx_best_exporter.proto import tfma_pb2

_Item = tfma_pb2.MetricsForSlice.MetricKeyAndValue
_Role: TypeAlias = Literal["candidate", "baseline", "differences"]

# An EvalConfig may have both kinds of count; the weighted one is a sum of weights.
_EXAMPLE_COUNTS = (
    MetricKey(name=EXAMPLE_COUNT),
    MetricKey(name=EXAMPLE_COUNT, example_weighted=False),
)


def from_tfma(
    evaluation_uri: str | Path,
    *,
    examples_uri: str = "",
    splits: Sequence[str] = (),
    span: int | None = None,
    model_name: str | None = None,
    work_path: Path | None = None,
) -> EvalResult:
    """Returns the candidate's metrics from a TFMA evaluation, as Evaluator writes it.

    If candidate and baseline were evaluated together, the metrics are the candidate's. The
    baseline's metrics are in `baseline`, and the differences that TFMA computed in `differences`.
    Each slice has its own metrics, which are read on first use.

    All values that TFMA's thresholds can address are read, under the same sub keys: a number, with
    bounds or a t-distribution or without, and an array of one number. Plots, arrays of several
    numbers, values at cutoffs and whole confusion matrices are not read; an EvalConfig can have a
    metric for an element of these, such as Recall of one class or at one threshold. A metric whose
    sub key has both a class and a top_k is not read either, because a MetricKey cannot name it.

    Args:
        evaluation_uri: URI of the ModelEvaluation artifact, or of a directory with its files.
        examples_uri: URI of the evaluated examples; empty if the caller does not know it. TFMA
            does not record it.
        splits: Names of the evaluated splits.
        span: Span of the evaluated examples; None if the caller does not know it.
        model_name: Name of the model to read, if several candidates were evaluated together. The
            result is that of an evaluation without the others. None to read all of them.
        work_path: Directory for copies of files that are not on this machine; it must be used for
            this evaluation only. None removes the copies after reading.

    Raises:
        ValueError: The files are not a TFMA evaluation that can be read, or it has no overall
            slice.
    """
    if work_path is None:
        with tempfile.TemporaryDirectory(prefix="best_exporter-") as directory:
            return from_tfma(
                evaluation_uri,
                examples_uri=examples_uri,
                splits=splits,
                span=span,
                model_name=model_name,
                work_path=Path(directory),
            )
    uri = str(evaluation_uri)
    location = location_of(uri)
    names = [file.name for file in tfma_files_of(location)]
    path = local_directory(location, work_path, names)
    run = EvalRun.read(path, uri, model_name)
    rows, suppressed = read_slices(path, uri)
    overall = rows.pop((), None)
    if overall is None:
        raise ValueError(
            f"evaluation must contain the overall slice (got {len(rows)} other slices, at {uri})."
            " Check that Evaluator finished, and that its EvalConfig has an empty slicing_specs"
            " entry."
        )
    table = _Table(
        run=run,
        layout=_Layout(overall, run),
        rows=rows,
        suppressed=suppressed,
        provenance=Provenance(uri=uri, source=pb.Evaluation.TFMA),
    )
    provenance = Provenance(
        uri=uri,
        source=pb.Evaluation.TFMA,
        data=EvaluatedData(
            examples_uri=examples_uri,
            splits=tuple(splits),
            eval_config_digest=run.digest,
            span=span,
        ),
        model_paths=types.MappingProxyType(run.model_paths),
        configured=run.configured,
    )
    return EvalResult.from_source(_Row(overall, table, "candidate", provenance), provenance)


class _Columns:
    """The positions of the metrics of one role, by key.

    Thousands of slices may have the same metrics, so each metric is searched for only once.

    Attributes:
        model_name: Name of the role's model in the evaluation.
        positions: Index of each metric in a slice's items, by key.
    """

    __slots__ = ("_found", "model_name", "positions")

    def __init__(self, model_name: str, positions: Mapping[MetricKey, int]):
        self.model_name = model_name
        self.positions = positions
        self._found: dict[MetricKey, int | None] = {}

    def find(self, key: MetricKey) -> int | None:
        """Returns the position of a key's metric, or None if none or several match."""
        try:
            return self._found[key]
        except KeyError:
            match = only_match(key, self.model_name, self.positions)
            result = None if match is None else self.positions[match]
            self._found[key] = result
            return result


class _Layout:
    """The positions of all metrics in a slice's items; nearly always the same in all slices.

    Attributes:
        columns: Columns of each role. A baseline has the keys of a model evaluated alone.
        prefixes: First bytes of each item: TFMA's key in wire format.
    """

    def __init__(self, items: Sequence[bytes], run: EvalRun):
        protos = [_parse(item, run).key for item in items]
        self.prefixes = [_Item(key=proto).SerializeToString() for proto in protos]
        found: dict[_Role, dict[MetricKey, dict[bool | None, int]]]
        found = {"candidate": {}, "baseline": {}, "differences": {}}
        for position, proto in enumerate(protos):
            if proto.model_name in run.other_names:
                continue
            if proto.sub_key.HasField("class_id") and proto.sub_key.HasField("top_k"):
                continue
            is_baseline = run.baseline_name is not None and proto.model_name == run.baseline_name
            role: _Role = "baseline" if is_baseline else "candidate"
            key = key_of(proto, _model_name_of(role, run))
            by_flag = found["differences" if proto.is_diff else role].setdefault(key, {})
            weighted = proto.example_weighted.value if proto.HasField("example_weighted") else None
            by_flag[weighted] = position
        self.columns = {
            role: _Columns(_model_name_of(role, run), _distinct(keys))
            for role, keys in found.items()
        }

    def item(self, items: Sequence[bytes], position: int | None) -> bytes | None:
        """Returns the item at a position if it is of the expected metric, or None."""
        if position is None or position >= len(items):
            return None
        item = items[position]
        return item if item.startswith(self.prefixes[position]) else None

    def is_of(self, items: Sequence[bytes]) -> bool:
        """Returns True if a slice has exactly these metrics in this order."""
        return len(items) == len(self.prefixes) and all(map(bytes.startswith, items, self.prefixes))


def _model_name_of(role: _Role, run: EvalRun) -> str:
    return run.baseline_name or "" if role == "baseline" else run.model_name


def _parse(item: bytes, run: EvalRun) -> Any:
    try:
        return _Item.FromString(item)
    except message.DecodeError as error:
        raise not_tfma(str(error), run.uri) from error


def _distinct(found: Mapping[MetricKey, Mapping[bool | None, int]]) -> dict[MetricKey, int]:
    """Returns the keys; the weighted flag is set only if both kinds were computed."""
    return {
        key if len(by_flag) == 1 else dataclasses.replace(key, example_weighted=weighted): position
        for key, by_flag in found.items()
        for weighted, position in by_flag.items()
    }


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """The rows of an evaluation in TFMA's wire format.

    Attributes:
        run: Content of eval_config.json.
        layout: Layout of the overall slice and of most other slices.
        rows: Items of each slice except the overall slice.
        suppressed: The reason for each slice without items.
        provenance: Origin of the slices.
    """

    run: EvalRun
    layout: _Layout
    rows: Mapping[SliceKey, Sequence[bytes]]
    suppressed: Mapping[SliceKey, str]
    provenance: Provenance


class _Row:
    """A MetricSource of one role in one slice, which decodes an item on first use.

    With 10,000 slices, most metrics are never used. Decoding all of them would create millions of
    objects that Python's garbage collector has to visit.
    """

    __slots__ = ("_items", "_own_layout", "_provenance", "_role", "_table")

    def __init__(
        self,
        items: Sequence[bytes],
        table: _Table,
        role: _Role,
        provenance: Provenance | None = None,
    ):
        """Makes a _Row.

        Args:
            items: Items of the slice in TFMA's wire format.
            table: Table of the slice.
            role: Role of the metrics.
            provenance: Origin of the overall slice; None for all others, which have no slices.
        """
        self._items = items
        self._table = table
        self._role: _Role = role
        self._provenance = provenance
        self._own_layout: _Layout | None = None

    @property
    def model_name(self) -> str:
        return _model_name_of(self._role, self._table.run)

    def items(self) -> Iterator[tuple[MetricKey, MetricValue]]:
        for key, position in self._columns().positions.items():
            value = self._value_at(position)
            if value is not None:
                yield key, value

    def not_numbers(self) -> Iterator[MetricKey]:
        for key, position in self._columns().positions.items():
            if self._value_at(position) is None:
                yield key

    def get(self, key: MetricKey) -> MetricValue | None:
        return self._value_at(self._columns().positions.get(key))

    def find(self, key: MetricKey) -> MetricValue | None:
        layout = self._table.layout
        item = layout.item(self._items, layout.columns[self._role].find(key))
        if item is not None:
            return _value_of(_parse(item, self._table.run))
        # This slice has another layout than most slices: search its own keys.
        return self._value_at(self._columns().find(key))

    def example_count(self) -> float | None:
        for key in _EXAMPLE_COUNTS:
            found = self.find(key)
            if found is not None:
                return found.value
        # Each output of a model may have its own count; the smallest is the safe one.
        counts = (value.value for key, value in self.items() if key.name == EXAMPLE_COUNT)
        return min(counts, default=None)

    def differences(self) -> Metrics:
        if not self._has_baseline:
            return MemorySource({})
        return _Row(self._items, self._table, "differences")

    def baseline(self) -> EvalResult | None:
        if not self._has_baseline:
            return None
        row = _Row(self._items, self._table, "baseline", self._provenance)
        return EvalResult.from_source(row, self._provenance or self._table.provenance)

    def slices(self) -> Mapping[SliceKey, EvalResult]:
        if self._provenance is None:
            return types.MappingProxyType({})
        return _Slices(self._table, self._role)

    def suppressed_slices(self) -> Mapping[SliceKey, str]:
        if self._provenance is None:
            return types.MappingProxyType({})
        return types.MappingProxyType(self._table.suppressed)

    def slice_values(self, key: MetricKey) -> dict[SliceKey, float]:
        if self._provenance is None:
            return {}
        layout, run = self._table.layout, self._table.run
        position = layout.columns[self._role].find(key)
        found = {}
        for slice_key, items in self._table.rows.items():
            item = layout.item(items, position)
            if item is not None:
                number = number_of(_parse(item, run).value)
            else:
                value = _Row(items, self._table, self._role).find(key)
                number = None if value is None else value.value
            if number is not None:
                found[slice_key] = number
        return found

    def slice_example_counts(self) -> dict[SliceKey, float | None]:
        if self._provenance is None:
            return {}
        found = self.slice_values(_EXAMPLE_COUNTS[0])
        return {
            slice_key: (
                found[slice_key]
                if slice_key in found
                else _Row(items, self._table, self._role).example_count()
            )
            for slice_key, items in self._table.rows.items()
        }

    @property
    def _has_baseline(self) -> bool:
        return self._role == "candidate" and self._table.run.baseline_name is not None

    def _columns(self) -> _Columns:
        """Returns the columns that this slice has."""
        if self._own_layout is None:
            layout = self._table.layout
            is_as_others = layout.is_of(self._items)
            self._own_layout = layout if is_as_others else _Layout(self._items, self._table.run)
        return self._own_layout.columns[self._role]

    def _value_at(self, position: int | None) -> MetricValue | None:
        """Returns the value at a position, or None if it is not one number."""
        if position is None:
            return None
        return _value_of(_parse(self._items[position], self._table.run))


class _Slices(Mapping[SliceKey, EvalResult]):
    """The slices of an evaluation in one role; each is created on first use."""

    __slots__ = ("_role", "_table")

    def __init__(self, table: _Table, role: _Role):
        self._table = table
        self._role: _Role = role

    def __getitem__(self, slice_key: SliceKey) -> EvalResult:
        row = _Row(self._table.rows[slice_key], self._table, self._role)
        return EvalResult.from_source(row, self._table.provenance)

    def __iter__(self) -> Iterator[SliceKey]:
        return iter(self._table.rows)

    def __len__(self) -> int:
        return len(self._table.rows)


def key_of(key: Any, own_name: str) -> MetricKey:
    """Returns TFMA's key of a metric as a value.

    Args:
        key: A tfma_pb2.MetricKey.
        own_name: Name of the evaluated model, which the result leaves out.
    """
    proto = pb.MetricKey(
        name=key.name,
        # A key without a model name means the only candidate.
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
    """Returns a metric's number, bounds and error, or None if it is not one number."""
    number = number_of(item.value)
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
    standard_error = number_of(interval.standard_error)
    return MetricValue(
        value=number,
        lower_bound=number_of(interval.lower_bound),
        upper_bound=number_of(interval.upper_bound),
        standard_error=standard_error,
        degrees_of_freedom=(
            float(interval.degrees_of_freedom.value)
            if standard_error is not None and interval.HasField("degrees_of_freedom")
            else None
        ),
    )


def number_of(value: Any) -> float | None:
    """Returns TFMA's value as a number, or None if it is not one number."""
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
