"""EvalResult: the metrics of one model on one set of examples, as a value.

This module reads no files. The package `evaluations` reads them, as a MetricSource if a metric can
be decoded when it is read.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Collection, Iterator, Mapping

from tfx_best_exporter.executor.arguments.errors import (
    PathError,
    within,
)
from tfx_best_exporter.executor.deciding import numbers
from tfx_best_exporter.executor.deciding.configured import Configured
from tfx_best_exporter.executor.deciding.evaluated_data import EvaluatedData
from tfx_best_exporter.executor.deciding.metric_key import (
    EXAMPLE_COUNT,
    LEAST_SUB_KEYS,
    MetricKey,
    MetricValue,
    SliceKey,
)
from tfx_best_exporter.executor.deciding.metric_mapping import checked_metrics
from tfx_best_exporter.executor.deciding.metric_source import (
    MemorySource,
    MetricsByKey,
    MetricSource,
    model_names_of,
)
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# This module exports keys and values of metrics too: users of results need both.
__all__ = [
    "EXAMPLE_COUNT",
    "LEAST_SUB_KEYS",
    "EvalResult",
    "EvaluatedData",
    "MetricKey",
    "MetricValue",
    "MissingMetricError",
    "Provenance",
    "SliceKey",
]


class MissingMetricError(PathError, KeyError):
    """An evaluation lacks a metric that a policy or a compare function needs."""


_UNKNOWN_DATA = EvaluatedData()
_NOT_CONFIGURED = Configured()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """The origin of an evaluation; one object for all of its slices.

    Attributes:
        uri: URI of the evaluation; empty if it was passed as a mapping.
        source: Kind of evaluation.
        warnings: Problems that were tolerated when the evaluation was read.
        data: Examples and eval config of the evaluation.
        evaluated_at: Time of the evaluation, in seconds since the epoch, or None if not known.
        model_paths: Path of each SavedModel that was evaluated, by its name in the evaluation.
        configured: Content of the EvalConfig; empty without one.
    """

    uri: str = ""
    source: pb.Evaluation.Source = pb.Evaluation.MAPPING
    warnings: tuple[str, ...] = ()
    data: EvaluatedData = _UNKNOWN_DATA
    evaluated_at: float | None = None
    model_paths: Mapping[str, str] = dataclasses.field(
        default_factory=lambda: types.MappingProxyType({})
    )
    configured: Configured = _NOT_CONFIGURED


class EvalResult(Mapping[str, float]):
    """Metrics of the overall slice by name; compare functions get two of these.

    The mapping is read-only. The name of a metric includes its output, sub key or aggregation:
    "click/auc", "precision[top_k=5]", "f1_score[micro_average]".
    """

    __slots__ = ("_by_name", "_metrics", "_on_read", "_provenance")

    def __init__(
        self,
        metrics: Mapping[MetricKey, MetricValue],
        *,
        uri: str = "",
        source: pb.Evaluation.Source = pb.Evaluation.MAPPING,
        example_count: float | None = None,
        model_name: str = "",
        warnings: tuple[str, ...] = (),
        slices: (
            Mapping[SliceKey, EvalResult] | Callable[[], Mapping[SliceKey, EvalResult]] | None
        ) = None,
        suppressed_slices: Mapping[SliceKey, str] | None = None,
        data: EvaluatedData | None = None,
        evaluated_at: float | None = None,
        baseline: EvalResult | None = None,
        differences: Mapping[MetricKey, MetricValue] | None = None,
        model_paths: Mapping[str, str] | None = None,
        configured: Configured = _NOT_CONFIGURED,
    ):
        """Makes an EvalResult of metrics that are in memory.

        Args:
            metrics: Metrics of the overall slice, by key.
            uri: URI of the evaluation.
            source: Kind of evaluation.
            example_count: Number of examples, or None.
            model_name: Name of the evaluated model in the evaluation.
            warnings: Problems that were tolerated when the evaluation was read.
            slices: The other slices, or a function that reads them, called at most once.
            suppressed_slices: The reason for each slice without metrics.
            data: Examples and eval config of the evaluation.
            evaluated_at: Time of the evaluation, in seconds since the epoch.
            baseline: Metrics of the baseline in the same evaluation.
            differences: Candidate minus baseline on the overall slice.
            model_paths: Path of each SavedModel that was evaluated, by its name.
            configured: Content of the EvalConfig.
        """
        self._set(
            MemorySource(
                metrics,
                model_name=model_name,
                example_count=example_count,
                differences=differences,
                baseline=baseline,
                slices=slices,
                suppressed_slices=suppressed_slices,
            ),
            Provenance(
                uri=uri,
                source=source,
                warnings=warnings,
                data=data or _UNKNOWN_DATA,
                evaluated_at=evaluated_at,
                model_paths=types.MappingProxyType(dict(model_paths or {})),
                configured=configured,
            ),
        )

    @classmethod
    def from_source(cls, metrics: MetricSource[EvalResult], provenance: Provenance) -> EvalResult:
        """Returns an EvalResult that reads its metrics from a source on demand.

        Args:
            metrics: Source of the overall slice's metrics. Only values by name are cached.
            provenance: Origin of the evaluation.
        """
        result = cls.__new__(cls)
        result._set(metrics, provenance)
        return result

    def _set(
        self,
        metrics: MetricSource[EvalResult],
        provenance: Provenance,
        on_read: Callable[[str], None] | None = None,
    ) -> None:
        self._metrics = metrics
        self._provenance = provenance
        self._on_read = on_read
        self._by_name: dict[str, float] | None = None

    def reporting_reads(self, on_read: Callable[[str], None]) -> EvalResult:
        """Returns a view of this result that reports which metrics are read.

        Args:
            on_read: Called with the name of each metric that is read by name, as in
                `result["auc"]`. `"auc" in result` and iteration over names are not reads.
        """
        view = self.__class__.__new__(self.__class__)
        view._set(self._metrics, self._provenance, on_read)
        return view

    @classmethod
    def from_mapping(cls, eval_result: Mapping[str, float]) -> EvalResult:
        """Returns metrics that were passed as a plain dictionary.

        Args:
            eval_result: Metric name to number, as returned by `model.evaluate(return_dict=True)`.
                The metric "example_count" is the number of examples too, as in TFMA.

        Raises:
            FieldValueError: The mapping is empty, a name cannot be encoded as UTF-8, a number does
                not fit a float, or the number of examples is negative or not finite.
            FieldTypeError: The argument is not a mapping, a name is not a str, or a value is not a
                number.
        """
        with within("eval_result"):
            numbers = checked_metrics(eval_result)
        return cls(
            {MetricKey(name=name): MetricValue(value=value) for name, value in numbers.items()},
            example_count=numbers.get(EXAMPLE_COUNT),
        )

    @property
    def uri(self) -> str:
        """URI of the evaluation; empty if it was passed as a mapping."""
        return self._provenance.uri

    @property
    def source(self) -> pb.Evaluation.Source:
        """Kind of evaluation that the metrics were read from."""
        return self._provenance.source

    @property
    def warnings(self) -> tuple[str, ...]:
        """Problems that were tolerated when the evaluation was read."""
        return self._provenance.warnings

    @property
    def data(self) -> EvaluatedData:
        """Examples and eval config of the evaluation."""
        return self._provenance.data

    @property
    def evaluated_at(self) -> float | None:
        """Time of the evaluation, in seconds since the epoch, or None if not known."""
        return self._provenance.evaluated_at

    @property
    def model_paths(self) -> Mapping[str, str]:
        """Path of each SavedModel that was evaluated, by its name in the evaluation."""
        return self._provenance.model_paths

    @property
    def configured(self) -> Configured:
        """Content of the EvalConfig."""
        return self._provenance.configured

    @property
    def model_name(self) -> str:
        """Name of the evaluated model in the evaluation; often empty."""
        return self._metrics.model_name

    @property
    def metrics(self) -> Mapping[MetricKey, MetricValue]:
        """Metrics of the overall slice by MetricKey, with confidence bounds."""
        return MetricsByKey(self._metrics)

    @property
    def differences(self) -> Mapping[MetricKey, MetricValue]:
        """TFMA's own metrics of candidate minus baseline, by the key of the metric.

        Empty if there are none. Their intervals allow a paired test.
        """
        return MetricsByKey(self._metrics.differences())

    @property
    def example_count(self) -> float | None:
        """Number of examples in the overall slice, or None if it is not known."""
        return self._metrics.example_count()

    @property
    def baseline(self) -> EvalResult | None:
        """Metrics of the baseline in the same evaluation, on the same examples.

        None if one model was evaluated alone.
        """
        return self._metrics.baseline()

    @property
    def slices(self) -> Mapping[SliceKey, EvalResult]:
        """The slices other than the overall one, read from the evaluation on first use."""
        return self._metrics.slices()

    @property
    def suppressed_slices(self) -> Mapping[SliceKey, str]:
        """Slices for which the evaluation gives a reason in place of metrics.

        They are not among `slices`. TFMA leaves out the metrics of a slice with fewer examples than
        `min_slice_size` in the options of its EvalConfig.
        """
        return self._metrics.suppressed_slices()

    def slice_values(self, key: MetricKey) -> dict[SliceKey, float]:
        """Returns the values of one metric on the slices that have it.

        With thousands of slices, this is much faster than reading each slice.
        """
        return self._metrics.slice_values(key)

    def slice_example_counts(self) -> dict[SliceKey, float | None]:
        """Returns the number of examples in each slice, or None if it is not known."""
        return self._metrics.slice_example_counts()

    def find(self, key: MetricKey) -> MetricValue | None:
        """Returns the value of a metric, or None if no metric or several metrics match."""
        return self._metrics.find(key)

    def difference(self, key: MetricKey) -> MetricValue | None:
        """Returns candidate minus baseline of a metric, or None if there is no difference."""
        return self._metrics.differences().find(key)

    def _values(self) -> dict[str, float]:
        """Returns the numbers by the names that compare functions use."""
        if self._by_name is None:
            self._by_name = {str(key): value.value for key, value in self._metrics.items()}
        return self._by_name

    def by_name(self, name: str) -> MetricValue | None:
        """Returns a metric's value with its interval, or None if there is no such metric."""
        return next((value for key, value in self._metrics.items() if str(key) == name), None)

    def __getitem__(self, name: str) -> float:
        """Returns a metric's value.

        Raises:
            MissingMetricError: There is no such metric; the message lists the existing ones.
        """
        try:
            value = self._values()[name]
        except KeyError:
            raise self.missing(name) from None
        if self._on_read is not None:
            self._on_read(name)
        return value

    def missing(self, metric: MetricKey | str, path: str = "metric name") -> MissingMetricError:
        """Returns the error for a metric that this evaluation does not have.

        Args:
            metric: The key in a policy, or the name that a compare function used.
            path: Path of the field.
        """
        where = f", at {self.uri}" if self.uri else ""
        return MissingMetricError(
            path,
            f"must be a metric of the evaluation (got {str(metric)!r}{where})."
            f" Found: {', '.join(sorted(self)) or 'none'}."
            # The remedy sets fields of a policy, which a compare function does not have.
            f" {self.remedy(metric) if isinstance(metric, MetricKey) else _USE_ANOTHER}",
        )

    def remedy(self, key: MetricKey) -> str:
        """Returns the remedy for the author of a policy with a metric that is not found."""
        missing, needless = set[str](), set[str]()
        for other, _ in self._metrics.items():
            if other.name != key.name:
                continue
            different = {each for each in _DETAILS if getattr(other, each) != getattr(key, each)}
            if other.model_name in model_names_of(key, self.model_name):
                different.discard("model_name")
            is_unset = {each for each in different if getattr(key, each) in ("", None)}
            if is_unset == different:
                missing |= different
            elif all(getattr(other, each) in ("", None) for each in different):
                needless |= different
        if missing:
            # The text "click/auc" is not a metric name for a policy: the name is "auc".
            return f"Set {_in_order(missing)} in addition to name, to select one of these."
        if needless:
            return f"Leave out {_in_order(needless)}, to select one of these."
        if any(other.name == key.name for other in self._metrics.not_numbers()):
            return (
                f"{key.name} is in the evaluation, but it is not one number. If the metric has"
                " several thresholds, set one in Evaluator's EvalConfig."
            )
        return _USE_ANOTHER

    def __contains__(self, name: object) -> bool:
        """Returns True if there is such a metric; this does not count as a read."""
        return name in self._values()

    def __iter__(self) -> Iterator[str]:
        """Iterates over metric names."""
        return iter(self._values())

    def __bool__(self) -> bool:
        """Returns True if there is any metric; reads at most one."""
        return bool(self.metrics)

    def __len__(self) -> int:
        """Returns the number of metrics."""
        return len(self._values())

    def __repr__(self) -> str:
        """Returns the metrics and their URI."""
        return f"EvalResult({self._values()}, uri={self.uri!r})"

    @classmethod
    def from_proto(
        cls,
        proto: pb.Evaluation,
        slices: Callable[[], Mapping[SliceKey, EvalResult]] | None = None,
    ) -> EvalResult:
        """Returns the evaluation in a record or a decision."""
        return cls(
            {
                MetricKey.from_proto(metric.key): MetricValue(
                    value=metric.value,
                    lower_bound=metric.lower_bound if metric.HasField("lower_bound") else None,
                    upper_bound=metric.upper_bound if metric.HasField("upper_bound") else None,
                    standard_error=(
                        metric.standard_error if metric.HasField("standard_error") else None
                    ),
                    degrees_of_freedom=(
                        metric.degrees_of_freedom if metric.HasField("degrees_of_freedom") else None
                    ),
                )
                for metric in proto.metrics
            },
            uri=proto.uri,
            source=proto.source,
            example_count=proto.example_count if proto.HasField("example_count") else None,
            model_name=proto.model_name,
            slices=slices,
            data=EvaluatedData.from_proto(proto.data),
            evaluated_at=(
                numbers.seconds_of(proto.evaluated_at) if proto.HasField("evaluated_at") else None
            ),
        )

    def to_proto(self) -> pb.Evaluation:
        """Returns the overall slice for records and decisions, sorted by metric name."""
        proto = pb.Evaluation(
            uri=self.uri,
            source=self.source,
            example_count=self.example_count,
            model_name=self.model_name,
        )
        if self.data != _UNKNOWN_DATA or self.data.span is not None:
            proto.data.CopyFrom(self.data.to_proto())
        if self.evaluated_at is not None:
            proto.evaluated_at.FromNanoseconds(int(self.evaluated_at * 1e9))
        for key, value in sorted(self._metrics.items(), key=lambda item: str(item[0])):
            proto.metrics.add(
                key=key.to_proto(),
                value=value.value,
                lower_bound=value.lower_bound,
                upper_bound=value.upper_bound,
                standard_error=value.standard_error,
                degrees_of_freedom=value.degrees_of_freedom,
            )
        return proto


_USE_ANOTHER = "Use one of these, or add it to Evaluator's EvalConfig."
# Fields of pb.MetricKey that distinguish metrics of one name.
_DETAILS = ("model_name", "output_name", "sub_key", "aggregation", "example_weighted")


def _in_order(details: Collection[str]) -> str:
    # The function `metric` has one argument for each kind of sub_key.
    names = {"sub_key": "sub_key (class_id, k or top_k)"}
    return " and ".join(names.get(each, each) for each in _DETAILS if each in details)
