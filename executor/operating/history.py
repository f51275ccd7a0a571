"""History: the versions of a base directory, and the runs and commands that made or refused them.

The decision log has one line for each run and each command. Versions that are older than the log
are known by their record or tombstone.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping

from tfx_best_exporter.executor.deciding import numbers
from tfx_best_exporter.executor.exports import inspection
from tfx_best_exporter.executor.exports.decision_log import FAILED, RUN, LoggedDecision, ReadLog
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.operators import OperatorNames
from tfx_best_exporter.executor.exports.records import RecordError, Tombstones
from tfx_best_exporter.executor.exports.stamps import Stamps
from tfx_best_exporter.executor.exports.versions import Export
from tfx_best_exporter.executor.operating.challengers import runs_of
from tfx_best_exporter.executor.operating.operation import check_exists, served_of
from tfx_best_exporter.executor.operating.status import Metric, metrics_of, reason_of
from tfx_best_exporter.executor.storage.protocol import Kind
from tfx_best_exporter.executor.storage.transfer import in_parallel
from tfx_best_exporter.proto import best_exporter_pb2 as pb

SERVED = "SERVED"
KEPT = "kept"
RETIRED = "retired"
WITHDRAWN = "withdrawn"
# The version is not in the base directory, and no tombstone says why: a person removed it.
REMOVED = "removed"
REFUSED = "refused"
FAILED_RUN = "failed"
# The run found that its candidate was served already.
SAME = "same"
# The item is a command of an operator.
COMMAND = "command"

# States of versions in the base directory.
PRESENT = (SERVED, KEPT)
# States of items that only a complete history has.
_FOR_ALL = (SAME, COMMAND)
_CHALLENGER_BETTER = pb.ExportDecision.Reason.Name(pb.ExportDecision.CHALLENGER_BETTER)
_ALREADY_BEST = pb.ExportDecision.Reason.Name(pb.ExportDecision.ALREADY_BEST)
# Lines of the log that are parsed at first for each item, because most lines are items; and the
# factor by which more lines are parsed if that is not enough.
_LINES_AN_ITEM = 1.25
_MORE_LINES = 8


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HistoryItem:
    """One version, one run that exported nothing, or one command of an operator.

    Attributes:
        base: Path or URI of the base directory.
        state: "SERVED", "kept", "retired", "withdrawn" or "removed" for a version; "refused",
            "failed" or "same" for a run without one; "command" for a command.
        version: The version; None for a run that exported nothing.
        at: Time in seconds since the epoch; None if it is not known.
        reason: Reason of the decision, for example "NOT_BETTER", or name of the command.
        explanation: Explanation of the decision, or the operator's own words.
        metrics: Metrics of the candidate, the one that was compared first.
        pipeline_name: Name of the pipeline; empty if it is not known.
        run_id: Id of the run; empty if it is not known.
        operator: Operator who gave the command; empty for a run.
        digest: Content digest of the candidate; empty if it is not known.
        is_pinned: True if an operator pinned the version.
        trained_by: Run that trained the exported model, if it is an earlier run; empty otherwise.
    """

    base: str
    state: str
    version: int | None = None
    at: float | None = None
    reason: str = ""
    explanation: str = ""
    metrics: tuple[Metric, ...] = ()
    pipeline_name: str = ""
    run_id: str = ""
    operator: str = ""
    digest: str = ""
    is_pinned: bool = False
    trained_by: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The history of a base directory.

    Attributes:
        items: The items, newest first.
        warnings: Sentences about content that cannot be read.
    """

    items: tuple[HistoryItem, ...]
    warnings: tuple[str, ...] = ()


def history(
    exports: ExportDirectory, *, include_all: bool = False, newest: int | None = None
) -> History:
    """Returns the history of a base directory, newest first; writes nothing.

    Args:
        exports: The base directory.
        include_all: True for commands of operators, and for runs whose candidate was served
            already, too.
        newest: Maximum number of items; None for no limit.

    Raises:
        OperationError: There is no such directory.
        OSError: The base directory cannot be read.
    """
    check_exists(exports.base)
    listing = exports.exports()
    found = _Sources(
        exports=exports,
        present={export.version: export for export in listing},
        names=exports.operators.names(),
        retired=frozenset(_tombstones(exports).versions()),
        served=_served_version(exports, listing),
    )
    log, items = _log_and_items(found, include_all=include_all, newest=newest)
    logged = {line.version for line in log.decisions if line.exported} | log.skipped_versions
    warnings = [*_warnings_of(log)]
    items.extend(_unlogged(found, logged, warnings))
    items.sort(key=lambda item: (item.at or 0.0, item.version or 0), reverse=True)
    return History(items=tuple(items[:newest]), warnings=tuple(warnings))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Sources:
    exports: ExportDirectory
    present: Mapping[int, Export]
    names: OperatorNames
    retired: frozenset[int]
    served: int | None

    def state_of(self, version: int) -> str:
        if version in self.present:
            return SERVED if version == self.served else KEPT
        if version in self.names.withdrawn:
            return WITHDRAWN
        return RETIRED if version in self.retired else REMOVED

    def item_of(self, version: int, record: pb.ExportRecord | None) -> HistoryItem:
        """Returns the item of a version, with what its record says."""
        known = HistoryItem(
            base=self.exports.base.uri,
            state=self.state_of(version),
            version=version,
            is_pinned=version in self.names.pins,
        )
        if record is None:
            return known
        runs = runs_of(record.decision, record.provenance)
        return dataclasses.replace(
            known,
            at=numbers.seconds_of(record.exported_at) if record.HasField("exported_at") else None,
            reason=reason_of(record.decision),
            explanation=record.decision.explanation,
            metrics=metrics_of(record),
            pipeline_name=record.provenance.pipeline_name,
            run_id=runs.exporting,
            operator=record.promotion.operator or record.approval.operator,
            digest=record.model.digest,
            trained_by=runs.earlier,
        )


def _served_version(exports: ExportDirectory, listing: tuple[Export, ...]) -> int | None:
    if not listing:
        return None
    largest = listing[-1]
    if not largest.name and largest.kind is Kind.DIRECTORY and _is_untouched(exports, largest):
        return largest.version
    found = served_of(exports)
    return found.export.version if found is not None else None


def _is_untouched(exports: ExportDirectory, export: Export) -> bool:
    """Returns True if an export is as it was when its content was last checked.

    Its record need not be parsed then, which takes longer than all else.
    """
    try:
        stamps = inspection.stamps_of_files(export.location.tree())
    except OSError:
        return False
    return bool(stamps) and stamps == Stamps(exports.state / "stamps").read(export.version)


def _tombstones(exports: ExportDirectory) -> Tombstones:
    return Tombstones(exports.state / "retired")


def _log_and_items(
    found: _Sources, *, include_all: bool, newest: int | None
) -> tuple[ReadLog, list[HistoryItem]]:
    """Returns the log and its items; parses only as many lines as are needed."""
    lines = None if newest is None else math.ceil(_LINES_AN_ITEM * newest)
    while True:
        log = found.exports.decision_log.read(newest=lines)
        items = [item for item in _logged(log, found) if include_all or item.state not in _FOR_ALL]
        if not log.skipped or lines is None or newest is None or len(items) >= newest:
            return log, items
        lines *= _MORE_LINES


def _logged(log: ReadLog, found: _Sources) -> Iterator[HistoryItem]:
    base = found.exports.base.uri
    for line in log.decisions:
        version = line.version
        if line.exported and version is not None:
            state = found.state_of(version)
        elif line.kind != RUN:
            state = COMMAND
        else:
            state = _state_of_run(line)
            version = version if state == SAME else None
        item = HistoryItem(
            base=base,
            state=state,
            version=version,
            at=line.at,
            reason=line.reason or line.kind,
            explanation=line.explanation,
            metrics=tuple(
                Metric(name=each.name, value=each.candidate)
                for each in line.metrics
                if each.candidate is not None
            ),
            pipeline_name=line.pipeline_name,
            run_id=line.run_id,
            operator=line.operator,
            digest=line.candidate_digest,
            is_pinned=version in found.names.pins,
        )
        yield item if line.reason != _CHALLENGER_BETTER else _of_challenger(item, found)


def _of_challenger(item: HistoryItem, found: _Sources) -> HistoryItem:
    """Returns the item of an exported challenger; the line is about the candidate of the run."""
    if item.version is None:
        return item
    try:
        record = _record_of(found, item.version)
    except (OSError, RecordError):
        # A person has removed or damaged the record.
        record = None
    if record is None:
        return dataclasses.replace(item, metrics=(), digest="")
    return dataclasses.replace(
        item,
        metrics=tuple(
            Metric(name=each.metric, value=each.candidate)
            for each in record.decision.comparisons
            if each.HasField("candidate")
        ),
        digest=record.model.digest,
        trained_by=runs_of(record.decision, record.provenance).earlier,
    )


def _state_of_run(line: LoggedDecision) -> str:
    if line.reason == FAILED:
        return FAILED_RUN
    return SAME if line.reason == _ALREADY_BEST else REFUSED


def _warnings_of(log: ReadLog) -> Iterator[str]:
    if log.problem:
        yield log.problem
    if log.damaged:
        yield f"{log.damaged:,} lines of decisions.jsonl cannot be read and are left out"


def _unlogged(
    found: _Sources, logged: Iterable[int | None], warnings: list[str]
) -> list[HistoryItem]:
    """Returns the items of versions that the log does not have."""
    known = {*found.present, *found.retired, *found.names.withdrawn}
    versions = sorted(known.difference(logged))
    exports = found.exports

    def item_of(version: int) -> tuple[HistoryItem, str]:
        try:
            record = _record_of(found, version)
        except (OSError, RecordError) as error:
            return found.item_of(version, None), str(error)
        item = found.item_of(version, record)
        if record is None and version in found.present:
            changed_at = found.present[version].location.tree().changed_at
            item = dataclasses.replace(item, at=changed_at)
        return item, ""

    read = in_parallel(item_of, versions, exports.base.storage, total_bytes=0)
    warnings.extend(problem for _, problem in read if problem)
    return [item for item, _ in read]


def _record_of(found: _Sources, version: int) -> pb.ExportRecord | None:
    exports = found.exports
    if version in found.present:
        export = found.present[version]
        return exports.record(export) if exports.has_record(export) else None
    if version in found.names.withdrawn:
        withdrawal = exports.operators.withdrawal(version)
        return withdrawal.record if withdrawal.HasField("record") else None
    return _tombstones(exports).read(version).record
