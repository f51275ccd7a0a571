"""Difference: two versions side by side: metrics, slices, policy, data, signatures and sizes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping

from google.protobuf import json_format

from tfx_best_exporter.executor.deciding import signatures
from tfx_best_exporter.executor.deciding.eval_result import EvalResult, MetricKey
from tfx_best_exporter.executor.deciding.slices import slice_changes, text_of
from tfx_best_exporter.executor.evaluations import tfma
from tfx_best_exporter.executor.exports import saved_model
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.records import EVALUATION_DIRECTORY
from tfx_best_exporter.executor.operating.operation import check_exists, version_of
from tfx_best_exporter.executor.operating.showing import record_of_version
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# Slices that changed most, from either end.
_MAX_SLICES = 10


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One value of both versions.

    Attributes:
        name: Name of the compared value, for example "auc" or "compare_policy.metric.direction".
        first: Value of the first version; None if it has none.
        second: Value of the second version; None if it has none.
        change: The second value minus the first one; None for texts.
    """

    name: str
    first: float | str | None
    second: float | str | None
    change: float | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Two versions side by side.

    Attributes:
        base: Path or URI of the base directory.
        first: The first version.
        second: The second version.
        metrics: Every metric of either version.
        slices: The metric of the policy on the slices that changed most, the worst change first.
        policy: Fields of the compare policy that differ.
        data: Facts about the evaluated examples that differ.
        signatures: Changes of the serving signatures, breaking changes first.
        sizes: Bytes and files of the model.
        notes: Parts that cannot be compared, and why.
    """

    base: str
    first: int
    second: int
    metrics: tuple[Row, ...] = ()
    slices: tuple[Row, ...] = ()
    policy: tuple[Row, ...] = ()
    data: tuple[Row, ...] = ()
    signatures: tuple[str, ...] = ()
    sizes: tuple[Row, ...] = ()
    notes: tuple[str, ...] = ()


def diff(exports: ExportDirectory, first: int | str, second: int | str) -> Difference:
    """Returns the differences between two versions; writes nothing.

    Retired versions have no files, so their slices, signatures and sizes are not compared.

    Args:
        exports: The base directory.
        first: A version with a record.
        second: Another one.

    Raises:
        OperationError: There is no such directory or version, or it has no record.
        RecordError: A record cannot be read.
        OSError: A file cannot be read.
    """
    check_exists(exports.base)
    versions = version_of(first), version_of(second)
    one, other = (record_of_version(exports, version) for version in versions)
    result = Difference(
        base=exports.base.uri,
        first=versions[0],
        second=versions[1],
        metrics=tuple(_metrics(one, other)),
        policy=tuple(
            _differing("compare_policy", one.decision.compare_policy, other.decision.compare_policy)
        ),
        data=tuple(_data(one, other)),
    )
    locations = [_location(exports, version) for version in versions]
    gone = [
        f"version {version} has no files: slices, signatures and sizes are not compared"
        for version, location in zip(versions, locations, strict=True)
        if location is None
    ]
    before, after = locations
    if before is None or after is None:
        return dataclasses.replace(result, notes=tuple(gone))
    return _with_files(result, (before, one), (after, other))


def _with_files(
    result: Difference,
    first: tuple[Location, pb.ExportRecord],
    second: tuple[Location, pb.ExportRecord],
) -> Difference:
    notes: list[str] = []
    slices, changes = (), ()
    try:
        slices = tuple(_slices(first, second))
    except (OSError, ValueError) as error:
        notes.append(f"the slices cannot be compared: {error}")
    sizes = first[0].sizes(), second[0].sizes()
    try:
        before, after = (
            saved_model.signatures_of(
                {name: place / name for name in saved_model.MARKERS if name in files}
            )
            for (place, _), files in zip((first, second), sizes, strict=True)
        )
        changes = tuple(each.text for each in signatures.changes(before, after))
    except saved_model.InvalidModelError as error:
        notes.append(f"the signatures cannot be compared: {error}")
    return dataclasses.replace(
        result,
        slices=slices,
        signatures=changes,
        sizes=tuple(_sizes(*sizes)),
        notes=tuple(notes),
    )


def _metrics(one: pb.ExportRecord, other: pb.ExportRecord) -> Iterator[Row]:
    """Yields the metrics, those that the second decision compared first."""
    compared = [each.metric for each in other.decision.comparisons]
    first, second = _values(one), _values(other)
    for name in [*dict.fromkeys([*compared, *sorted({*first, *second})])]:
        if name not in first and name not in second:
            continue
        before, after = first.get(name), second.get(name)
        is_known = before is not None and after is not None
        change = after - before if is_known else None  # pyright: ignore[reportOperatorIssue]
        yield Row(name=name, first=before, second=after, change=change)


def _values(record: pb.ExportRecord) -> dict[str, float]:
    return {str(MetricKey.from_proto(each.key)): each.value for each in record.evaluation.metrics}


def _differing(prefix: str, one: pb.ComparePolicy, other: pb.ComparePolicy) -> Iterator[Row]:
    before, after = (
        dict(_flat(prefix, json_format.MessageToDict(each, preserving_proto_field_name=True)))
        for each in (one, other)
    )
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield Row(name=name, first=before.get(name), second=after.get(name))


def _flat(path: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _flat(f"{path}.{name}", each)
    elif isinstance(value, list):
        for place, each in enumerate(value):
            yield from _flat(f"{path}[{place}]", each)
    else:
        yield path, str(value)


def _data(one: pb.ExportRecord, other: pb.ExportRecord) -> Iterator[Row]:
    def facts(record: pb.ExportRecord) -> dict[str, float | str]:
        evaluation = record.evaluation
        found: dict[str, float | str] = {
            "examples_uri": evaluation.data.examples_uri,
            "splits": ", ".join(evaluation.data.splits),
            "eval_config_digest": evaluation.data.eval_config_digest,
        }
        if evaluation.HasField("example_count"):
            found["example_count"] = evaluation.example_count
        return found

    first, second = facts(one), facts(other)
    for name in [*dict.fromkeys([*first, *second])]:
        before, after = first.get(name), second.get(name)
        if before != after:
            is_count = isinstance(before, float) and isinstance(after, float)
            yield Row(
                name=name,
                first=before,
                second=after,
                change=after - before if is_count else None,  # pyright: ignore[reportOperatorIssue]
            )


def _slices(
    first: tuple[Location, pb.ExportRecord], second: tuple[Location, pb.ExportRecord]
) -> Iterator[Row]:
    compared = second[1].decision.comparisons
    results = [
        tfma.from_tfma((place / EVALUATION_DIRECTORY).uri)
        for place, record in (first, second)
        if record.evaluation.source == pb.Evaluation.TFMA
    ]
    if len(results) < 2 or not compared:
        return
    before, after = results
    key = _key_named(after, compared[0].metric)
    if key is None:
        return
    direction = compared[0].direction or pb.HIGHER_IS_BETTER
    changes = [
        each
        for each in slice_changes(key, direction, candidate=after, best=before)
        if each.slice and not math.isnan(each.improvement)
    ]
    if len(changes) > 2 * _MAX_SLICES:
        changes = [*changes[:_MAX_SLICES], *changes[-_MAX_SLICES:]]
    for each in changes:
        yield Row(
            name=f"{each.metric} on {text_of(each.slice)}",
            first=each.best,
            second=each.candidate,
            change=each.candidate - each.best,
        )


def _key_named(result: EvalResult, name: str) -> MetricKey | None:
    return next((key for key in result.metrics if str(key) == name), None)


def _sizes(before: Mapping[str, int], after: Mapping[str, int]) -> Iterator[Row]:
    first, second = (
        {path: size for path, size in sizes.items() if saved_model.is_read_by_server(path)}
        for sizes in (before, after)
    )
    for name, one, other in (
        ("bytes", sum(first.values()), sum(second.values())),
        ("files", len(first), len(second)),
    ):
        yield Row(name=name, first=float(one), second=float(other), change=float(other - one))


def _location(exports: ExportDirectory, version: int) -> Location | None:
    """Returns the directory with the files of a version; None if they were deleted."""
    found = [export for export in exports.exports() if export.version == version]
    if found:
        return found[0].location
    withdrawn = exports.state / f"withdrawn/{version}"
    return withdrawn if withdrawn.exists() else None
