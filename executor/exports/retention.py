"""Which exports to retire, as a pure function of values."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tfx_best_exporter.proto import best_exporter_pb2 as pb

# tf.estimator.BestExporter's default.
DEFAULT_EXPORTS_TO_KEEP = 5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RetainedExport:
    """An export, as far as retention looks at it.

    Attributes:
        version: Its version.
        is_foreign: Whether it was written by other means: no record, never deleted.
        exported_at: Seconds since the epoch; None only for a foreign export.
        is_complete: Whether a model server can load it. One that it cannot is no export to keep
            for a way back.
    """

    version: int
    is_foreign: bool
    exported_at: float | None
    is_complete: bool = True


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """One export of a plan, and why it is kept or retired."""

    version: int
    why: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to keep and what to retire, each in order of version."""

    keep: tuple[Retention, ...]
    retire: tuple[Retention, ...]


def check_exports_to_keep(exports_to_keep: object) -> None:
    """Checks the argument that tf.estimator.BestExporter had.

    Raises:
        TypeError: It is neither an int nor None; a bool, float or str is refused.
        ValueError: It is not positive.
    """
    message = (
        f"exports_to_keep must be a positive number or None (got {exports_to_keep!r})."
        " Use None to keep every export."
    )
    if exports_to_keep is None:
        return
    if isinstance(exports_to_keep, bool) or not isinstance(exports_to_keep, int):
        raise TypeError(message)
    if exports_to_keep <= 0:
        raise ValueError(message)


def policy_of(
    exports_to_keep: int | None, retention_policy: pb.RetentionPolicy | None
) -> pb.RetentionPolicy | None:
    """Returns the policy that both arguments state together; None keeps every export.

    Args:
        exports_to_keep: Number of exports to keep, or None.
        retention_policy: Replaces exports_to_keep if given.

    Raises:
        TypeError: exports_to_keep is neither an int nor None.
        ValueError: A number is not positive, both arguments were given, or the policy is empty.
    """
    check_exports_to_keep(exports_to_keep)
    if retention_policy is None:
        return pb.RetentionPolicy(keep_latest=exports_to_keep) if exports_to_keep else None
    if exports_to_keep not in (None, DEFAULT_EXPORTS_TO_KEEP):
        raise ValueError(
            "exports_to_keep must be left out where retention_policy is given (got"
            f" {exports_to_keep!r}). Set retention_policy.keep_latest instead."
        )
    if not retention_policy.ListFields():
        raise ValueError(
            "retention_policy must have a rule (got none). Set keep_latest,"
            " keep_younger_than_seconds or keep_versions, or pass exports_to_keep=None to keep"
            " every export."
        )
    for name in ("keep_latest", "keep_younger_than_seconds"):
        if retention_policy.HasField(name) and getattr(retention_policy, name) <= 0:
            raise ValueError(
                f"retention_policy.{name} must be a positive number"
                f" (got {getattr(retention_policy, name)!r}). Leave it unset for no such rule."
            )
    return retention_policy


def plan(
    exports: Sequence[RetainedExport],
    *,
    best_version: int | None,
    policy: pb.RetentionPolicy | None,
    now: float,
) -> Plan:
    """Returns which exports to keep and which to retire.

    An export is kept when any rule of the policy keeps it. The best, the last one of ours and
    foreign exports are kept whatever the policy says.

    Args:
        exports: All of them, in any order.
        best_version: The export that is served, or None.
        policy: The rules; None keeps every export.
        now: Seconds since the epoch.
    """
    ours = sorted((export for export in exports if not export.is_foreign), key=_version)
    latest = set()
    if policy is not None and policy.HasField("keep_latest"):
        complete = [export for export in ours if export.is_complete]
        latest = {export.version for export in complete[-policy.keep_latest :]}
    keep, retire = [], []
    for export in sorted(exports, key=_version):
        why = ""
        if export.version == best_version:
            why = "the best"
        elif export.is_foreign:
            why = "not written by this exporter"
        elif not export.is_complete and export.version > (best_version or 0):
            why = "not complete, and newer than the best: repair or remove it"
        elif export is ours[-1]:
            why = "the last one"
        elif policy is None:
            why = "every export is kept"
        elif export.version in latest:
            why = f"among the {policy.keep_latest} latest exports"
        elif export.version in policy.keep_versions:
            why = "named in keep_versions"
        elif (
            needs_time(policy)
            and export.exported_at is not None
            and now - export.exported_at < policy.keep_younger_than_seconds
        ):
            why = f"younger than {policy.keep_younger_than_seconds} seconds"
        if why:
            keep.append(Retention(version=export.version, why=why))
        else:
            retire.append(Retention(version=export.version, why=_why_retired(policy)))
    return Plan(keep=tuple(keep), retire=tuple(retire))


def needs_time(policy: pb.RetentionPolicy | None) -> bool:
    """Returns whether a plan depends on when exports were written."""
    return policy is not None and policy.HasField("keep_younger_than_seconds")


def _version(export: RetainedExport) -> int:
    return export.version


def _why_retired(policy: pb.RetentionPolicy | None) -> str:
    assert policy is not None  # Without a policy, everything is kept.
    reasons = []
    if policy.HasField("keep_latest"):
        reasons.append(f"not among the {policy.keep_latest} latest exports")
    if policy.HasField("keep_younger_than_seconds"):
        reasons.append(f"not younger than {policy.keep_younger_than_seconds} seconds")
    if policy.keep_versions:
        reasons.append("not named in keep_versions")
    return ", ".join(reasons)
