"""The settings of an operation that no pipeline has configured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tfx_best_exporter.executor.arguments.unservable import DEFAULT_UNSERVABLE
from tfx_best_exporter.executor.deciding.policy import DEFAULT_COMPARE_POLICY, policy_from_proto
from tfx_best_exporter.executor.exports import retention
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.running.settings import Settings

# Records of promoted and adopted models show this name as the exporter.
NAME = "best-exporter"


def default_settings(
    exports: ExportDirectory,
    *,
    name: str = NAME,
    retention_policy: retention.Policy | None = None,
    now: float = 0.0,
) -> Settings:
    """Returns settings for an operation on a base directory.

    Args:
        exports: The base directory.
        name: Name of the exporter in its records.
        retention_policy: The exports to keep; None keeps all.
        now: Seconds since the epoch.
    """
    return Settings(
        exports=exports,
        compare_policy=DEFAULT_COMPARE_POLICY,
        policy=policy_from_proto(DEFAULT_COMPARE_POLICY, no_function),
        retention_policy=retention_policy,
        serving_signatures_fn=None,
        serving_signatures_name="",
        assets_extra={},
        as_text=False,
        unservable=DEFAULT_UNSERVABLE,
        name=name,
        clock=lambda: now,
    )


def no_function(name: str) -> Callable[..., Any]:
    """Refuses to load a compare function: an operation runs no code of a policy.

    Raises:
        LookupError: Always.
    """
    raise LookupError(f"cannot load {name}: an operation runs no function of a policy")
