"""EvalResult: the metrics of one model on one set of examples, as a value.

Pure: reading evaluations from files is the matter of evaluation.py.
"""

from __future__ import annotations

import abc
import dataclasses
import math
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeAlias

from tfx_best_exporter.executor.arguments.checks import checked_number, is_encodable
from tfx_best_exporter.executor.arguments.errors import PathError
from tfx_best_exporter.proto import best_exporter_pb2 as pb

SliceKey: TypeAlias = tuple[tuple[str, "str | int | float"], ...]

# The name that TFMA gives to the model that is not the baseline when it evaluates both.
CANDIDATE_MODEL_NAME = "candidate"

# The name of TFMA's metric ExampleCount.
EXAMPLE_COUNT = "example_count"

# The smallest numbers of a sub key: those of TFMA's SubKey, and of a class.
LEAST_SUB_KEYS = {"class_id": 0, "k": 1, "top_k": 1}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MetricKey:
    """Which metric of an evaluation; mirrors TFMA's MetricKey.

    Attributes:
        name: Metric name, for example "auc".
        model_name: Empty for the model that the run trained.
        output_name: Empty for a model with one output.
        sub_key: For example ("top_k", 5); the first part is "class_id", "k" or "top_k".
        aggregation: Name of a MetricKey.Aggregation; empty where there is none.
        example_weighted: None unless the evaluation holds the metric weighted and unweighted.
    """

    name: str
    model_name: str = ""
    output_name: str = ""
    sub_key: tuple[str, int] | None = None
    aggregation: str = ""
    example_weighted: bool | None = None

    def __str__(self) -> str:
        """Returns the name that people and compare functions use, for example "click/auc"."""
        text = f"{self.output_name}/{self.name}" if self.output_name else self.name
        if self.model_name:
            text = f"{self.model_name}:{text}"
        details = []
        if self.sub_key:
            details.append(f"{self.sub_key[0]}={self.sub_key[1]}")
        if self.aggregation:
            details.append(self.aggregation.lower())
        if self.example_weighted is not None:
            details.append("weighted" if self.example_weighted else "unweighted")
        return f"{text}[{','.join(details)}]" if details else text

    def for_candidate(self, model_name: str) -> MetricKey:
        """Returns the key without its model's name, where that is the candidate's.

        The best's evaluations know the model by other names, or by none.
        """
        if not model_name or self.model_name != model_name:
            return self
        return dataclasses.replace(self, model_name="")

    @classmethod
    def from_proto(cls, proto: pb.MetricKey) -> MetricKey:
        """Returns the key that a proto states."""
        kind = proto.sub_key.WhichOneof("kind")
        return cls(
            name=proto.name,
            model_name=proto.model_name,
            output_name=proto.output_name,
            sub_key=(kind, getattr(proto.sub_key, kind)) if kind else None,
            aggregation=(
                pb.MetricKey.Aggregation.Name(proto.aggregation) if proto.aggregation else ""
            ),
            example_weighted=(
                proto.example_weighted if proto.HasField("example_weighted") else None
            ),
        )

    def to_proto(self) -> pb.MetricKey:
        """Returns the proto that from_proto reads back."""
        proto = pb.MetricKey(
            name=self.name,
            model_name=self.model_name,
            output_name=self.output_name,
        )
        if self.example_weighted is not None:
            proto.example_weighted = self.example_weighted
        if self.sub_key:
            setattr(proto.sub_key, *self.sub_key)
        if self.aggregation:
            proto.aggregation = getattr(pb.MetricKey, self.aggregation)
        return proto


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MetricValue:
    """A metric's value, with its confidence interval where there is one.

    Attributes:
        value: In the metric's own unit.
        lower_bound: Of the confidence interval.
        upper_bound: Of the confidence interval.
        standard_error: Of the value, in its unit.
        degrees_of_freedom: Of the standard error.
    """

    value: float
    lower_bound: float | None = None
    upper_bound: float | None = None
    standard_error: float | None = None
    degrees_of_freedom: float | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedData:
    """What an evaluation was computed on; empty where it is not known.

    Attributes:
        examples_uri: Of the Examples artifact.
        splits: Names of its splits.
        eval_config_digest: Of the eval config without its models: the same metrics, slices and
            labels have the same digest.
    """

    examples_uri: str = ""
    splits: tuple[str, ...] = ()
    eval_config_digest: str = ""

    def is_same(self, other: EvaluatedData) -> bool:
        """Returns whether both are known, and are the same examples and the same metrics."""
        return bool(self.examples_uri and self.eval_config_digest) and self == other


class MetricKeys:
    """The keys of an evaluation's metrics, in order; one object for all of its slices.

    Where thousands of slices have the same metrics, each is looked for once.

    Attributes:
        positions: Of each key.
    """

    __slots__ = ("_found", "positions")

    def __init__(self, keys: Mapping[MetricKey, int]):
        """Makes MetricKeys.

        Args:
            keys: Where each metric stands.
        """
        self.positions = types.MappingProxyType(dict(keys))
        self._found: dict[tuple[MetricKey, tuple[str, ...]], int | None] = {}

    def find(self, key: MetricKey, model_names: tuple[str, ...]) -> int | None:
        """Returns where the metric stands that a key means, or None if none or several do."""
        try:
            return self._found[key, model_names]
        except KeyError:
            match = _only_match(key, model_names, self.positions)
            result = None if match is None else self.positions[match]
            self._found[key, model_names] = result
            return result


class Metrics(Mapping[MetricKey, MetricValue], abc.ABC):
    """Metrics that are read from an evaluation when they are asked for."""

    __slots__ = ()

    @abc.abstractmethod
    def find(self, key: MetricKey, model_names: tuple[str, ...]) -> MetricValue | None:
        """Returns the value of the metric that a key means, or None if none or several do.

        Args:
            key: Of one metric; its model name is not looked at.
            model_names: Those that the metric may have.
        """


class Slices(Mapping[SliceKey, "EvalResult"], abc.ABC):
    """Slices that are read from an evaluation when they are asked for."""

    __slots__ = ()

    @abc.abstractmethod
    def values_of(self, key: MetricKey) -> dict[SliceKey, float]:
        """Returns the values of one metric on the slices that have it."""

    @abc.abstractmethod
    def example_counts(self) -> dict[SliceKey, float | None]:
        """Returns the number of examples in each slice, or None where that is unknown."""


def _only_match(
    key: MetricKey, model_names: tuple[str, ...], others: Iterable[MetricKey]
) -> MetricKey | None:
    """Returns the one that a key means; a key without the flag means either kind of weights."""
    matches = [
        other
        for other in others
        if other.model_name in model_names
        and (other.name, other.output_name) == (key.name, key.output_name)
        and (other.sub_key, other.aggregation) == (key.sub_key, key.aggregation)
        and key.example_weighted in (None, other.example_weighted)
    ]
    return matches[0] if len(matches) == 1 else None


class MissingMetricError(PathError, KeyError):
    """An evaluation does not have the metric that was asked for."""


class EvalResult(Mapping[str, float]):
    """Metrics of the overall slice by name: what a compare function is given.

    A read-only mapping. A metric with an output, a sub key or an aggregation has them in its name:
    "click/auc", "precision[top_k=5]", "f1_score[micro_average]".

    Attributes:
        metrics: Overall slice, by MetricKey, with confidence bounds.
        uri: Where the evaluation lies; empty if it was handed over as a mapping.
        source: pb.Evaluation.Source.
        example_count: Number of examples in the overall slice, or None if unknown.
        model_name: Name of the evaluated model in the evaluation; often empty.
        warnings: What was tolerated when the evaluation was read.
        data: What it was computed on.
        evaluated_at: Seconds since the epoch, or None if unknown.
        baseline: Metrics of the baseline in the same evaluation, on the same examples; None where
            one model was evaluated alone.
        differences: TFMA's own metrics of candidate less baseline, overall slice, by the key of the
            metric; empty where there are none. With their intervals they make a paired comparison.
        model_paths: Path of each SavedModel that was evaluated, by its name in the evaluation.
    """

    __slots__ = (
        "_baseline",
        "_by_name",
        "_differences",
        "_example_count",
        "_metrics",
        "_slices",
        "data",
        "evaluated_at",
        "model_name",
        "model_paths",
        "source",
        "uri",
        "warnings",
    )

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
        data: EvaluatedData | None = None,
        evaluated_at: float | None = None,
        baseline: EvalResult | None = None,
        differences: Mapping[MetricKey, MetricValue] | None = None,
        model_paths: Mapping[str, str] | None = None,
    ):
        """Makes an EvalResult.

        Args:
            metrics: Overall slice, by key.
            uri: Where the evaluation lies.
            source: What it was read from.
            example_count: Number of examples, or None.
            model_name: Name of the evaluated model in the evaluation.
            warnings: What was tolerated when the evaluation was read.
            slices: The other slices, or a function that reads them when they are first asked for.
            data: What it was computed on.
            evaluated_at: Seconds since the epoch.
            baseline: Metrics of the baseline in the same evaluation.
            differences: Of candidate less baseline, overall slice.
            model_paths: Path of each SavedModel that was evaluated, by its name.
        """
        self._metrics = _read_only(metrics)
        self.uri = uri
        self.source = source
        self._example_count = example_count
        self.model_name = model_name
        self.warnings = warnings
        self.data = data or _UNKNOWN_DATA
        self.evaluated_at = evaluated_at
        self._baseline = baseline
        self._differences = _read_only(differences or NO_METRICS)
        self.model_paths = types.MappingProxyType(dict(model_paths)) if model_paths else _NO_PATHS
        self._slices = slices if slices is not None else _NO_SLICES
        self._by_name: dict[str, float] | None = None

    @classmethod
    def from_mapping(
        cls, eval_result: Mapping[str, float], *, field: str = "eval_result"
    ) -> EvalResult:
        """Returns metrics that were handed over as a plain dictionary.

        Args:
            eval_result: Metric name to number, as `model.evaluate(return_dict=True)` gives it. One
                of the name "example_count" is the number of examples, and a metric too, as in TFMA.
            field: What to call it in an error.

        Raises:
            ValueError: It is empty, has a name that UTF-8 cannot encode or a number that no float
                can hold, or its number of examples is none.
            TypeError: It is no mapping, a name is no str, or a value is not a number.
        """
        if not isinstance(eval_result, Mapping):
            raise TypeError(
                f"{field} must be a mapping of metric name to number (got {eval_result!r})."
                " Pass the metrics of the model's evaluation."
            )
        if not eval_result:
            raise ValueError(
                f"{field} must be a non-empty mapping (got {eval_result!r})."
                " Pass the metrics of the model's evaluation."
            )
        metrics = {}
        for name, value in eval_result.items():
            if not isinstance(name, str):
                raise TypeError(
                    f"{field} must be a mapping of metric name to number (got the name {name!r})."
                    " Convert it to a str, or leave it out."
                )
            if not is_encodable(name):
                raise ValueError(
                    f"{field} must have names that UTF-8 can encode (got {name!r})."
                    " Rename the metric, or leave it out."
                )
            number = checked_number(value, f"{field}[{name!r}]")
            metrics[MetricKey(name=name)] = MetricValue(value=number)
        count = metrics.get(MetricKey(name=EXAMPLE_COUNT))
        if count is not None and not 0 <= count.value < math.inf:
            raise ValueError(
                f"{field}[{EXAMPLE_COUNT!r}] must be a number of examples, finite and 0 or larger"
                f" (got {count.value!r}). Leave it out where it is not known."
            )
        return cls(metrics, example_count=None if count is None else count.value)

    @property
    def slices(self) -> Mapping[SliceKey, EvalResult]:
        """The slices other than the overall one, read from the evaluation when first asked for."""
        if callable(self._slices):
            self._slices = self._slices()
        return self._slices

    def slice_values(self, key: MetricKey) -> dict[SliceKey, float]:
        """Returns the values of one metric on the slices that have it.

        Where there are thousands of slices, this takes a fraction of asking each of them.
        """
        slices = self.slices
        if isinstance(slices, Slices):
            return slices.values_of(key)
        found = ((slice_key, result.find(key)) for slice_key, result in slices.items())
        return {slice_key: value.value for slice_key, value in found if value is not None}

    def slice_example_counts(self) -> dict[SliceKey, float | None]:
        """Returns the number of examples in each slice, or None where that is unknown."""
        slices = self.slices
        if isinstance(slices, Slices):
            return slices.example_counts()
        return {slice_key: result.example_count for slice_key, result in slices.items()}

    @property
    def metrics(self) -> Mapping[MetricKey, MetricValue]:
        """Overall slice, by MetricKey, with confidence bounds."""
        return self._metrics

    @property
    def differences(self) -> Mapping[MetricKey, MetricValue]:
        """Candidate less baseline, by the key of the metric; empty where there are none."""
        return self._differences

    @property
    def example_count(self) -> float | None:
        """Number of examples, or None if unknown."""
        return self._example_count

    @property
    def baseline(self) -> EvalResult | None:
        """Metrics of the baseline in the same evaluation, or None."""
        return self._baseline

    def find(self, key: MetricKey) -> MetricValue | None:
        """Returns the value of a metric, or None if the evaluation has none or several such."""
        return self._find(key, self.metrics)

    def difference(self, key: MetricKey) -> MetricValue | None:
        """Returns candidate less baseline of a metric, or None if there is no such difference."""
        return self._find(key, self.differences)

    def names_of(self, key: MetricKey) -> tuple[str, ...]:
        """Returns the model names that a key's metric may have here."""
        if not key.model_name:
            return ("", self.model_name)
        if key.model_name in (self.model_name, CANDIDATE_MODEL_NAME):
            return ("", key.model_name)
        return (key.model_name,)

    def _find(self, key: MetricKey, metrics: Mapping[MetricKey, MetricValue]) -> MetricValue | None:
        names = self.names_of(key)
        if isinstance(metrics, Metrics):
            return metrics.find(key, names)
        match = _only_match(key, names, metrics)
        return None if match is None else metrics[match]

    def _values(self) -> dict[str, float]:
        """Returns the numbers by the names that compare functions use."""
        if self._by_name is None:
            self._by_name = {str(key): value.value for key, value in self.metrics.items()}
        return self._by_name

    def by_name(self, name: str) -> MetricValue | None:
        """Returns a metric's value with its interval, or None if there is no such metric."""
        return next((value for key, value in self.metrics.items() if str(key) == name), None)

    def __getitem__(self, name: str) -> float:
        """Returns a metric's value.

        Raises:
            MissingMetricError: There is no such metric; the message lists those there are.
        """
        try:
            return self._values()[name]
        except KeyError:
            raise self.missing(name) from None

    def missing(self, name: str, path: str = "metric name") -> MissingMetricError:
        """Returns the error for a metric that this evaluation does not have."""
        where = f", at {self.uri}" if self.uri else ""
        return MissingMetricError(
            path,
            f"must be a metric of the evaluation (got {name!r}{where})."
            f" Found: {', '.join(sorted(self)) or 'none'}."
            # Only a policy has fields; a compare function reads by the names that are shown.
            f" {self.remedy(name) if path.endswith('.name') else _USE_ANOTHER}",
        )

    def remedy(self, name: str) -> str:
        """Returns what the author of a policy can do about a metric that is not found.

        Args:
            name: Of the metric, as it is shown to people.
        """
        missing = set()
        for key in self.metrics:
            if name == str(dataclasses.replace(key, example_weighted=None)):
                details = ("example_weighted",)
            else:
                details = _DETAILS if name == key.name else ()
            missing.update(each for each in details if getattr(key, each) not in ("", None))
        if not missing:
            return _USE_ANOTHER
        # What is shown of such a metric, "click/auc", is no name: that is "auc".
        more = " and ".join(each for each in _DETAILS if each in missing)
        return f"Set {more} beside name, to say which of these is meant."

    def __contains__(self, name: object) -> bool:
        """Returns whether there is such a metric; asking is not reading it."""
        return name in self._values()

    def __iter__(self) -> Iterator[str]:
        """Iterates over metric names."""
        return iter(self._values())

    def __bool__(self) -> bool:
        """Returns whether there is any metric; reads at most one."""
        return bool(self.metrics)

    def __len__(self) -> int:
        """Returns the number of metrics."""
        return len(self._values())

    def __repr__(self) -> str:
        """Returns the metrics and where they are from."""
        return f"EvalResult({self._values()}, uri={self.uri!r})"

    @classmethod
    def from_proto(
        cls,
        proto: pb.Evaluation,
        slices: Callable[[], Mapping[SliceKey, EvalResult]] | None = None,
    ) -> EvalResult:
        """Returns the evaluation that a record or a decision holds."""
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
            data=EvaluatedData(
                examples_uri=proto.data.examples_uri,
                splits=tuple(proto.data.splits),
                eval_config_digest=proto.data.eval_config_digest,
            ),
            evaluated_at=(
                proto.evaluated_at.ToNanoseconds() / 1e9 if proto.HasField("evaluated_at") else None
            ),
        )

    def to_proto(self) -> pb.Evaluation:
        """Returns the overall slice as it is kept in records and decisions, by metric name."""
        proto = pb.Evaluation(
            uri=self.uri,
            source=self.source,
            example_count=self.example_count,
            model_name=self.model_name,
        )
        if self.data != _UNKNOWN_DATA:
            proto.data.examples_uri = self.data.examples_uri
            proto.data.splits.extend(self.data.splits)
            proto.data.eval_config_digest = self.data.eval_config_digest
        if self.evaluated_at is not None:
            proto.evaluated_at.FromNanoseconds(int(self.evaluated_at * 1e9))
        for key, value in sorted(self.metrics.items(), key=lambda item: str(item[0])):
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
# What tells metrics of one name apart, as fields of pb.MetricKey.
_DETAILS = ("output_name", "sub_key", "aggregation", "example_weighted")
_UNKNOWN_DATA = EvaluatedData()
NO_METRICS: Mapping[MetricKey, MetricValue] = types.MappingProxyType({})
_NO_SLICES: Mapping[SliceKey, EvalResult] = types.MappingProxyType({})
_NO_PATHS: Mapping[str, str] = types.MappingProxyType({})


def _read_only(metrics: Mapping[MetricKey, MetricValue]) -> Mapping[MetricKey, MetricValue]:
    """Returns metrics that nobody can change; those of an evaluation's file are as they are."""
    if metrics is NO_METRICS or isinstance(metrics, Metrics):
        return metrics
    return types.MappingProxyType(dict(metrics))
