"""Retention: the plan of exports to keep and to retire, as a pure function of values."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from tfx_best_exporter.executor.exports.retention_rules import (
    RULES,
    KeepAll,
    RetainedExport,
    RetentionRule,
    rules_of,
)
from tfx_best_exporter.proto import best_exporter_pb2 as pb

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_LEAST_DIGITS = 4
# More digits than these cannot be trusted: a float has 15 reliable decimal digits.
_MOST_DIGITS = 15


class _Default(int):
    """An int that prints like any other int, and differs by its type."""


# This default is that of tf.estimator.BestExporter. Its type distinguishes an omitted argument,
# which retention_policy replaces, from an explicit 5, which is an error next to a retention_policy.
DEFAULT_EXPORTS_TO_KEEP: Final[int] = _Default(5)

_KEEP_UP_TO_CAP = KeepAll(reason="every export is kept, up to max_bytes")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The rules that keep exports, and the cap on the size of the kept exports.

    Attributes:
        rules: An export is kept if any of these rules keeps it.
        max_bytes: Maximum total size of the kept exports of this exporter in bytes; None for no
            cap. The cap is applied after the rules.
    """

    rules: tuple[RetentionRule, ...]
    max_bytes: int | None = None

    @classmethod
    def from_proto(
        cls,
        proto: pb.RetentionPolicy,
        table: Mapping[str, Callable[[Any], RetentionRule]] = RULES,
    ) -> Policy:
        """Returns the policy of a proto; max_bytes alone keeps every export up to the cap.

        Args:
            proto: A policy that `policy_of` has returned.
            table: Constructor of the rule for each field.
        """
        return cls(
            rules=rules_of(proto, table) or (_KEEP_UP_TO_CAP,),
            max_bytes=proto.max_bytes if proto.HasField("max_bytes") else None,
        )


_KEEP_ALL = Policy(rules=(KeepAll(),))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """One export of a plan, with the reasons why it is kept or retired."""

    version: int
    why: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The exports to keep and to retire.

    Attributes:
        keep: Exports to keep by version, each with all reasons to keep it.
        retire: Exports to retire, by version.
        warnings: One sentence if the cap cannot be met.
    """

    keep: tuple[Retention, ...]
    retire: tuple[Retention, ...]
    warnings: tuple[str, ...] = ()


def check_exports_to_keep(exports_to_keep: object) -> None:
    """Checks the argument exports_to_keep, which tf.estimator.BestExporter had too.

    Raises:
        TypeError: The argument is neither an int nor None; a bool is not an int here.
        ValueError: The argument is not positive.
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
    """Returns the policy of both arguments together; None keeps every export.

    Args:
        exports_to_keep: Number of exports to keep, or None; DEFAULT_EXPORTS_TO_KEEP if the author
            set neither argument.
        retention_policy: Replaces exports_to_keep if set.

    Raises:
        TypeError: exports_to_keep is neither an int nor None.
        ValueError: A number is not positive, both arguments are set, or the policy is empty.
    """
    check_exports_to_keep(exports_to_keep)
    if retention_policy is None:
        return pb.RetentionPolicy(keep_latest=int(exports_to_keep)) if exports_to_keep else None
    if not isinstance(exports_to_keep, _Default):
        raise ValueError(
            "exports_to_keep must be left out if retention_policy is set (got"
            f" {exports_to_keep!r}). Set retention_policy.keep_latest instead."
        )
    if not retention_policy.ListFields():
        *others, last = pb.RetentionPolicy.DESCRIPTOR.fields_by_name
        raise ValueError(
            f"retention_policy must have a rule (got none). Set {', '.join(others)} or {last}, or"
            " pass exports_to_keep=None to keep every export."
        )
    _check_numbers(retention_policy)
    return retention_policy


def _check_numbers(retention_policy: pb.RetentionPolicy) -> None:
    for field, value in retention_policy.ListFields():
        if isinstance(value, int):
            numbers, remedy = {field.name: value}, "Leave it unset to disable the rule."
        else:
            numbers = {f"{field.name}[{index}]": each for index, each in enumerate(value)}
            remedy = "Use the number of a version directory."
        for name, number in numbers.items():
            if number <= 0:
                raise ValueError(
                    f"retention_policy.{name} must be a positive number (got {number!r}). {remedy}"
                )


def check_keep_best(
    retention_policy: pb.RetentionPolicy | None, compare_policy: pb.ComparePolicy | None
) -> None:
    """Checks that keep_best has a metric to rank exports by.

    Args:
        retention_policy: A policy that `policy_of` has returned.
        compare_policy: None if the policy is not known yet, or is the default (a smaller "loss").

    Raises:
        ValueError: keep_best is set and a compare function decides.
    """
    if retention_policy is None or compare_policy is None:
        return
    if retention_policy.HasField("keep_best") and compare_policy.HasField("compare_fn"):
        raise ValueError(
            "retention_policy.keep_best needs a metric rule to rank exports by (got the compare"
            f" function {compare_policy.compare_fn!r}). Set compare_policy.metric, or leave"
            " keep_best unset."
        )


def plan(
    exports: Sequence[RetainedExport],
    *,
    best_version: int | None,
    policy: Policy | None,
    now: float,
) -> Plan:
    """Returns the plan of exports to keep and to retire.

    An export is kept if any rule of the policy keeps it. The policy does not apply to the best, the
    latest export of this exporter, pinned exports and foreign exports, which are always kept. An
    incomplete export that is newer than the best is also kept: a person may be repairing it, and a
    model server loads it as soon as it is complete. The cap then retires the oldest of the other
    exports until the total size is allowed.

    Args:
        exports: All exports, in any order.
        best_version: Version of the export that is served, or None.
        policy: Rules and cap; None keeps every export.
        now: Seconds since the epoch.
    """
    policy = policy or _KEEP_ALL
    exports = sorted(exports, key=lambda export: export.version)
    ours = [export for export in exports if not export.is_foreign]
    last = ours[-1] if ours else None
    protections = {
        export.version: _protections(export, best_version, is_last=export is last)
        for export in exports
    }
    kept_by = [(rule.reason, rule.keeps(ours, now)) for rule in policy.rules]
    reasons = {
        export.version: (
            *protections[export.version],
            *(reason for reason, versions in kept_by if export.version in versions),
        )
        for export in exports
    }
    protected = {version for version, found in protections.items() if found}
    kept = [export for export in ours if reasons[export.version]]
    over = _over(kept, protected, policy.max_bytes)
    keep, retire = [], []
    for export in exports:
        version = export.version
        if version in over:
            retire.append(Retention(version=version, why=_why_over(kept, policy.max_bytes)))
        elif reasons[version]:
            keep.append(Retention(version=version, why="; ".join(reasons[version])))
        else:
            why = ", ".join(f"not {reason}" for reason, _ in kept_by)
            retire.append(Retention(version=version, why=why))
    left = [export for export in kept if export.version not in over]
    return Plan(
        keep=tuple(keep), retire=tuple(retire), warnings=_warnings_of(left, policy.max_bytes)
    )


def _protections(
    export: RetainedExport, best_version: int | None, *, is_last: bool
) -> tuple[str, ...]:
    """Returns the reasons to keep an export that do not depend on the policy."""
    is_newer = best_version is None or export.version > best_version
    reasons = {
        "the best": export.version == best_version,
        "not written by this exporter": export.is_foreign,
        "newer than the best": not export.is_foreign and is_newer,
        "different from its record (repair or remove it)": (
            not export.is_foreign and not export.is_as_recorded
        ),
        "a link leads to it": export.is_linked,
        "restored by a person": export.is_restored,
        "the latest export": is_last,
        "pinned": export.is_pinned,
    }
    return tuple(reason for reason, holds in reasons.items() if holds)


def _over(
    kept: Sequence[RetainedExport], protected: Collection[int], max_bytes: int | None
) -> set[int]:
    """Returns the versions to retire so that the size of the others is at most the cap."""
    over: set[int] = set()
    if max_bytes is None:
        return over
    excess_bytes = _total_bytes(kept) - max_bytes
    for export in kept:
        if excess_bytes <= 0:
            break
        if export.version not in protected:
            over.add(export.version)
            excess_bytes -= export.size_bytes
    return over


def _total_bytes(exports: Sequence[RetainedExport]) -> int:
    return sum(export.size_bytes for export in exports)


def _why_over(kept: Sequence[RetainedExport], max_bytes: int | None) -> str:
    size, cap = _sizes_apart(_total_bytes(kept), max_bytes or 0)
    return (
        f"over max_bytes: the total size of the exports is {size}, more than {cap}; the oldest are"
        " retired first"
    )


def _warnings_of(left: Sequence[RetainedExport], max_bytes: int | None) -> tuple[str, ...]:
    if max_bytes is None or _total_bytes(left) <= max_bytes:
        return ()
    size, cap = _sizes_apart(_total_bytes(left), max_bytes)
    warning = (
        "retention_policy.max_bytes is exceeded: the total size of the exports that are always kept"
        f" is {size}, more than {cap}. Raise max_bytes."
    )
    return (warning,)


def _sizes_apart(first: int, second: int) -> tuple[str, str]:
    """Returns two different sizes as texts, with as many digits as needed to distinguish them."""
    for digits in range(_LEAST_DIGITS, _MOST_DIGITS + 1):
        texts = _size_text(first, digits), _size_text(second, digits)
        if texts[0] != texts[1]:
            return texts
    return f"{first} bytes", f"{second} bytes"


def _size_text(size: int, digits: int) -> str:
    """Returns a size as text, in the largest unit that is not larger than the size."""
    exponent = min(max(size.bit_length() - 1, 0) // 10, len(_UNITS) - 1)
    return f"{size / 1024**exponent:.{digits}g} {_UNITS[exponent]}"
