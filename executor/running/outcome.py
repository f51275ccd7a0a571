"""Result of carrying out a decision."""

from __future__ import annotations

import dataclasses

from tfx_best_exporter.proto import best_exporter_pb2 as pb


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Changes that a run made in the base directory.

    Attributes:
        kept: Kept exports, each with the reasons.
        retired: Exports that the run retired or tried to retire.
        warnings: Failures that the next run tries to repair.
    """

    kept: tuple[pb.ExportDecision.Kept, ...] = ()
    retired: tuple[pb.ExportDecision.Retired, ...] = ()
    warnings: tuple[str, ...] = ()
