"""MetricKey and MetricValue: a metric of an evaluation, and its value."""

from __future__ import annotations

import dataclasses
from typing import TypeAlias

from tfx_best_exporter.proto import best_exporter_pb2 as pb

# Columns and values. A text that is not UTF-8 is bytes, so that two such texts stay distinct.
SliceKey: TypeAlias = tuple[tuple[str, "str | int | float | bytes"], ...]

# TFMA gives this name to the other model when it evaluates a model and a baseline.
CANDIDATE_MODEL_NAME = "candidate"

# TFMA's metric ExampleCount has this name.
EXAMPLE_COUNT = "example_count"

# Sub keys count as TFMA's SubKey does: classes from 0, k and top_k from 1.
LEAST_SUB_KEYS = {"class_id": 0, "k": 1, "top_k": 1}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MetricKey:
    """The identity of a metric in an evaluation; mirrors TFMA's MetricKey.

    Attributes:
        name: Metric name, for example "auc".
        model_name: Name of the model; empty for the model that the run trained.
        output_name: Name of the output; empty for a model with one output.
        sub_key: Class or rank, for example ("top_k", 5); the first part is "class_id", "k" or
            "top_k".
        aggregation: Name of a MetricKey.Aggregation; empty for none.
        example_weighted: None unless the evaluation has the metric both weighted and unweighted.
    """

    name: str
    model_name: str = ""
    output_name: str = ""
    sub_key: tuple[str, int] | None = None
    aggregation: str = ""
    example_weighted: bool | None = None

    def __str__(self) -> str:
        """Returns the name in texts and compare functions, for example "click/auc"."""
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
        """Returns the key without its model name if that is the candidate's.

        The best's evaluations use another name for the model, or none.
        """
        if not model_name or self.model_name != model_name:
            return self
        return dataclasses.replace(self, model_name="")

    @classmethod
    def from_proto(cls, proto: pb.MetricKey) -> MetricKey:
        """Returns the key in a proto."""
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
    """A metric's value, with its confidence interval if there is one.

    Attributes:
        value: Value in the metric's own unit.
        lower_bound: Lower bound of the confidence interval.
        upper_bound: Upper bound of the confidence interval.
        standard_error: Standard error of the value, in its unit.
        degrees_of_freedom: Degrees of freedom of the standard error.
    """

    value: float
    lower_bound: float | None = None
    upper_bound: float | None = None
    standard_error: float | None = None
    degrees_of_freedom: float | None = None
