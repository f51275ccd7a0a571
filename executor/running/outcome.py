"""What came of a decision."""

from __future__ import annotations

import dataclasses

from tfx_best_exporter.proto import best_exporter_pb2 as pb


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run did.

    Attributes:
        version: Export that holds the candidate when the run ends; 0 if none does.
        kept: Exports that are kept, each with the reasons.
        retired: Exports that the run retired, or tried to.
        warnings: What failed and is tried again.
    """

    version: int = 0
    kept: tuple[pb.ExportDecision.Kept, ...] = ()
    retired: tuple[pb.ExportDecision.Retired, ...] = ()
    warnings: tuple[str, ...] = ()
