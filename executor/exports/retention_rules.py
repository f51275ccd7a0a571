"""Rules of retention: one class per rule, and the table that names each rule's field.

A rule sees exports as values and a time. Rules compose by "any": an export is kept when one of them
keeps it. A new rule is a field of pb.RetentionPolicy, a class here and a row in RULES.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Protocol

from tfx_best_exporter.proto import best_exporter_pb2 as pb


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RetainedExport:
    """An export, as far as retention looks at it.

    Attributes:
        version: Its version.
        is_foreign: Whether it was written by other means: no record, never deleted.
        exported_at: Seconds since the epoch; None only for a foreign export.
        is_complete: Whether a model server can load it. An export that no server can load is no
            way back to an older model.
        is_pinned: Whether an operator asked to keep it.
        score: Recorded value of the compare rule's metric, negated where a smaller value is better:
            a larger score is better. None where the record has no such metric.
        size_bytes: Sum of the sizes in its manifest; 0 for a foreign export, which has none.
    """

    version: int
    is_foreign: bool
    exported_at: float | None
    is_complete: bool = True
    is_pinned: bool = False
    score: float | None = None
    size_bytes: int = 0


class RetentionRule(Protocol):
    """One reason to keep exports."""

    @property
    def reason(self) -> str:
        """Text for an export that the rule keeps; "not" before it explains the others."""
        ...

    def keeps(self, exports: Sequence[RetainedExport], now: float, /) -> AbstractSet[int]:
        """Returns the versions that the rule keeps.

        Args:
            exports: Every export of ours, by version, incomplete ones too.
            now: Seconds since the epoch.
        """
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeepAll:
    """Keeps every export.

    Attributes:
        reason: Text for an export that is kept.
    """

    reason: str = "every export is kept"

    def keeps(self, exports: Sequence[RetainedExport], _now: float, /) -> AbstractSet[int]:
        """Returns all versions."""
        return _versions(exports)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeepLatest:
    """Keeps the exports with the largest versions.

    Attributes:
        count: Number of complete exports to keep.
    """

    count: int

    @property
    def reason(self) -> str:
        """Text for an export that is kept."""
        return f"among the {self.count} latest exports"

    def keeps(self, exports: Sequence[RetainedExport], _now: float, /) -> AbstractSet[int]:
        """Returns the largest versions."""
        return _versions(_complete(exports)[-self.count :])


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeepYoungerThan:
    """Keeps the exports that were written a short time ago.

    Attributes:
        seconds: Age from which an export is too old.
    """

    seconds: int

    @property
    def reason(self) -> str:
        """Text for an export that is kept."""
        return f"younger than {self.seconds} seconds"

    def keeps(self, exports: Sequence[RetainedExport], now: float, /) -> AbstractSet[int]:
        """Returns the versions that are younger; an export without a time is not."""
        return _versions(
            export
            for export in exports
            if export.exported_at is not None and now - export.exported_at < self.seconds
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeepVersions:
    """Keeps the exports that an author names.

    Attributes:
        versions: Their versions; those that do not exist are passed over.
    """

    versions: frozenset[int]

    @property
    def reason(self) -> str:
        """Text for an export that is kept."""
        return "named in keep_versions"

    def keeps(self, exports: Sequence[RetainedExport], _now: float, /) -> AbstractSet[int]:
        """Returns the versions that are named and exist."""
        return _versions(exports) & self.versions


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeepBest:
    """Keeps the exports with the best scores.

    NaN ranks after every number, and an export without a score after NaN. Of two equal scores, the
    newer export ranks first.

    Attributes:
        count: Number of complete exports to keep.
    """

    count: int

    @property
    def reason(self) -> str:
        """Text for an export that is kept."""
        return f"among the {self.count} best exports"

    def keeps(self, exports: Sequence[RetainedExport], _now: float, /) -> AbstractSet[int]:
        """Returns the versions with the best scores."""
        return _versions(sorted(_complete(exports), key=_rank)[-self.count :])


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeepEvery:
    """Keeps one export for each interval: the oldest, and each that is far enough from it.

    An interval starts with the export that was kept last, as in Orbax, not at a fixed time: an
    export that a rule kept once is kept again by the next plan.

    Attributes:
        seconds: Least time between two exports that are kept.
    """

    seconds: int

    @property
    def reason(self) -> str:
        """Text for an export that is kept."""
        return f"among the exports kept every {self.seconds} seconds"

    def keeps(self, exports: Sequence[RetainedExport], _now: float, /) -> AbstractSet[int]:
        """Returns the versions that are far enough apart; an export without a time is not."""
        kept = set()
        last = -math.inf
        for exported_at, version in sorted(
            (export.exported_at, export.version)
            for export in _complete(exports)
            if export.exported_at is not None
        ):
            if exported_at - last >= self.seconds:
                kept.add(version)
                last = exported_at
        return kept


# One row per rule: its field of pb.RetentionPolicy, and the class made of the field's value.
# Reasons are reported in this order.
RULES: Mapping[str, Callable[[Any], RetentionRule]] = {
    "keep_latest": lambda value: KeepLatest(count=value),
    "keep_younger_than_seconds": lambda value: KeepYoungerThan(seconds=value),
    "keep_versions": lambda value: KeepVersions(versions=frozenset(value)),
    "keep_best": lambda value: KeepBest(count=value),
    "keep_every_seconds": lambda value: KeepEvery(seconds=value),
}


def rules_of(
    policy: pb.RetentionPolicy, table: Mapping[str, Callable[[Any], RetentionRule]] = RULES
) -> tuple[RetentionRule, ...]:
    """Returns the rules that a policy sets, in the order of the table.

    Args:
        policy: The fields that are set are its rules.
        table: Makes the rule of each field.
    """
    values = {field.name: value for field, value in policy.ListFields()}
    return tuple(make(values[name]) for name, make in table.items() if name in values)


def _versions(exports: Iterable[RetainedExport]) -> AbstractSet[int]:
    return frozenset(export.version for export in exports)


def _complete(exports: Sequence[RetainedExport]) -> Sequence[RetainedExport]:
    return [export for export in exports if export.is_complete]


def _rank(export: RetainedExport) -> tuple[int, float, int]:
    """Returns what sorts exports from the worst to the best."""
    if export.score is None:
        return 0, 0.0, export.version
    if math.isnan(export.score):
        return 1, 0.0, export.version
    return 2, export.score, export.version
