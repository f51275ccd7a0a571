"""EvaluatedData: the identity of the data that an evaluation was computed on."""

from __future__ import annotations

import dataclasses

from tfx_best_exporter.proto import best_exporter_pb2 as pb


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedData:
    """The data of an evaluation; empty fields are not known.

    Attributes:
        examples_uri: URI of the Examples artifact.
        splits: Names of the evaluated splits.
        eval_config_digest: Digest of the eval config without its models. The same metrics, slices
            and labels have the same digest.
        span: Span of the examples, the largest one of several artifacts. It is no part of the
            identity, because records of an earlier release lack it.
    """

    examples_uri: str = ""
    splits: tuple[str, ...] = ()
    eval_config_digest: str = ""
    span: int | None = dataclasses.field(default=None, compare=False)

    @classmethod
    def from_proto(cls, proto: pb.EvaluatedData) -> EvaluatedData:
        """Returns the data in a record or a decision."""
        return cls(
            examples_uri=proto.examples_uri,
            splits=tuple(proto.splits),
            eval_config_digest=proto.eval_config_digest,
            span=proto.span if proto.HasField("span") else None,
        )

    def to_proto(self) -> pb.EvaluatedData:
        """Returns the message for records and decisions."""
        return pb.EvaluatedData(
            examples_uri=self.examples_uri,
            splits=self.splits,
            eval_config_digest=self.eval_config_digest,
            span=self.span,
        )

    def is_same(self, other: EvaluatedData) -> bool:
        """Returns True if both are known and have the same examples and eval config."""
        return bool(self.examples_uri and self.eval_config_digest) and self == other
