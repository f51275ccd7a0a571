"""What a run is configured with, checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from tfx_best_exporter.executor.deciding.policy import Policy
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.proto import best_exporter_pb2 as pb


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a run is configured with.

    Attributes:
        exports: The base directory.
        compare_policy: What "better" means, as it was given.
        policy: The same as a value.
        retention_policy: Which exports to keep; None keeps all.
        serving_signatures_fn: Loaded model -> {signature name: tf.function}; None for the model's
            own signatures.
        assets_extra: Destination below assets.extra/ -> source path.
        as_text: Whether to write saved_model.pbtxt instead of saved_model.pb.
        name: Of the exporter, for its records.
        clock: Returns seconds since the epoch.
    """

    exports: ExportDirectory
    compare_policy: pb.ComparePolicy
    policy: Policy
    retention_policy: pb.RetentionPolicy | None
    serving_signatures_fn: Callable[[Any], Mapping[str, Any]] | None
    assets_extra: Mapping[str, str]
    as_text: bool
    name: str
    clock: Callable[[], float]
