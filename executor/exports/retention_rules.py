"""Rules of retention: one class per rule, and the table that names each rule's field.

A rule decides from exports as values, and a time. An export is kept if any rule keeps it. To add a
rule, add a field to pb.RetentionPolicy, a class to this module and a row to RULES.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Protocol

from tfx_best_exporter.executor.deciding import numbers
from tfx_best_exporter.proto import best_exporter_pb2 as pb


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RetainedExport:
    """The properties of an export that retention uses.

    Attributes:
        version: Version of the export.
        is_foreign: True if another tool wrote the export. A foreign export has no record and is
            never deleted.
        exported_at: Time of the export in seconds since the epoch; None only for a foreign export.
        is_as_recorded: True if the files that a model server reads are those of the record. An
            export that was changed or damaged is useless for a rollback, and is never deleted.
        is_linked: True if a link in the base directory leads to the export.
        is_restored: True if a person restored the export after it was retired.
        is_pinned: True if an operator asked to keep the export.
        score: Recorded value of the compare rule's metric, negated if a smaller value is better, so
            that a larger score is always better. None if the record has no such metric.
        size_bytes: Sum of the sizes in the manifest; 0 for a foreign export, which has none.
    """

    version: int
    is_foreign: bool
    exported_at: float | None
    is_as_recorded: bool = True
    is_linked: bool = False
    is_restored: bool = False
    is_pinned: bool = False
    score: float | None = None
    size_bytes: int = 0


class RetentionRule(Protocol):
    """One reason to keep exports."""

    @property
    def reason(self) -> str:
        """Text for an export that the rule keeps; for the others, "not" is put before it."""
        ...

    def keeps(self, exports: Sequence[RetainedExport], now: float, /) -> AbstractSet[int]:
        """Returns the versions that the rule keeps.

        Args:
            exports: Every export of this exporter by version, including changed ones.
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
    """Keeps the exports that are younger than an age.

    Attributes:
        seconds: Age from which an export is not kept, in seconds.
    """

    seconds: int

    @property
    def reason(self) -> str:
        """Text for an export that is kept."""
        return f"younger than {_duration_text(self.seconds)}"

    def keeps(self, exports: Sequence[RetainedExport], now: float, /) -> AbstractSet[int]:
        """Returns the versions that are young enough; an export without a time is not."""
        return _versions(
            export
            for export in exports
            if export.exported_at is not None and now - export.exported_at < self.seconds
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeepVersions:
    """Keeps the exports that the pipeline author names.

    Attributes:
        versions: Versions to keep; versions that do not exist are ignored.
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

    NaN ranks after every number, and an export without a score ranks after NaN. If two scores are
    equal, the newer export ranks first.

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
    """Keeps one export for each interval: the oldest, and then each that is far enough apart.

    An interval starts with the export that was kept last, as in Orbax, and not at a fixed time. The
    next plan therefore keeps the same exports again.

    Attributes:
        seconds: Minimum time between two exports that are kept, in seconds.
    """

    seconds: int

    @property
    def reason(self) -> str:
        """Text for an export that is kept."""
        return f"among the exports kept every {_duration_text(self.seconds)}"

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


# Each row has the field of pb.RetentionPolicy, and a constructor that takes the value of the field.
# The order of the rows is the order of the reported reasons.
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
        policy: Each field that is set is one rule.
        table: Constructor of the rule for each field.
    """
    values = {field.name: value for field, value in policy.ListFields()}
    return tuple(make(values[name]) for name, make in table.items() if name in values)


def _duration_text(seconds: int) -> str:
    amount, unit = numbers.whole_duration(seconds)
    return f"{amount} {unit}"


def _versions(exports: Iterable[RetainedExport]) -> AbstractSet[int]:
    return frozenset(export.version for export in exports)


def _complete(exports: Sequence[RetainedExport]) -> Sequence[RetainedExport]:
    return [export for export in exports if export.is_as_recorded]


def _rank(export: RetainedExport) -> tuple[int, float, int]:
    """Returns a key that sorts exports from the worst to the best."""
    if export.score is None:
        return 0, 0.0, export.version
    if math.isnan(export.score):
        return 1, 0.0, export.version
    return 2, export.score, export.version
