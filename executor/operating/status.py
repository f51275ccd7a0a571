"""Status: what a base directory serves now, since when and why, and what is wrong with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from tfx_best_exporter.executor.deciding import numbers
from tfx_best_exporter.executor.deciding.eval_result import MetricKey
from tfx_best_exporter.executor.exports import inspection
from tfx_best_exporter.executor.exports.decision_log import ReadLog
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.operators import OperatorState, hold_at
from tfx_best_exporter.executor.exports.versions import Inspection, Listing, Status
from tfx_best_exporter.executor.operating.challengers import (
    KeptChallenger,
    challengers_of,
    runs_of,
)
from tfx_best_exporter.executor.operating.operation import (
    LOADABLE,
    check_exists,
    digest_of,
    inspected,
    record_of,
)
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import LockOwner
from tfx_best_exporter.executor.storage.transfer import at_once
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# Codes of problems, which programs may compare with.
BROKEN = "BROKEN"
UNFINISHED = "UNFINISHED"
DUPLICATE = "DUPLICATE"
UNREADABLE = "UNREADABLE"
EDITED = "EDITED"
REJECTED_BUT_SERVED = "REJECTED_BUT_SERVED"
DEAD_LOCK = "DEAD_LOCK"
HALF_WITHDRAWN = "HALF_WITHDRAWN"
NOTHING_SERVED = "NOTHING_SERVED"

HEALTHY, HAS_PROBLEMS, NOT_KNOWN = 0, 1, 2

# Commands that make an older version the served one.
_PUT_BACK = ("rollback", "restore")
# Lines of the log that are searched for such a command. An older one matters to nobody.
_LOOK_BACK = 200

_HALF = (pb.Withdrawal.WITHDRAWING, pb.Withdrawal.RESTORING)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem of a base directory.

    Attributes:
        code: Code that programs can compare with, for example "BROKEN".
        text: One sentence, and another one that says what to do.
    """

    code: str
    text: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One recorded metric of the overall slice.

    Attributes:
        name: Name with output, sub key and aggregation.
        value: The value.
        lower: Lower end of the confidence interval; None without one.
        upper: Upper end of the confidence interval; None without one.
    """

    name: str
    value: float
    lower: float | None = None
    upper: float | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServedVersion:
    """The version that a model server loads.

    Attributes:
        version: Its number.
        path: Path or URI of its directory.
        origin: "ours" with a record that its files match, "edited" if they differ from it,
            "foreign" without a record, "unknown" if it cannot be read.
        since: Time since which it is served: that of its export, of the rollback or restore that
            made it the served version again, or of the last change of another tool's files; in
            seconds since the epoch, None if it is not known.
        reason: Reason of the decision to export it, for example "BETTER"; empty without a record.
        explanation: Explanation of that decision.
        metrics: Recorded metrics, those that the decision compared first.
        digest: Content digest of its model; empty if it is not known.
        pipeline_name: Pipeline that exported it; empty if it is not known.
        run_id: Run that exported it; empty if it is not known.
        by: Operator who promoted, approved or adopted it, and why; empty if no operator did.
        is_pinned: True if an operator pinned it.
        trained_by: Run that trained its model, if it is an earlier run; empty otherwise.
    """

    version: int
    path: str
    origin: str
    since: float | None = None
    reason: str = ""
    explanation: str = ""
    metrics: tuple[Metric, ...] = ()
    digest: str = ""
    pipeline_name: str = ""
    run_id: str = ""
    by: str = ""
    is_pinned: bool = False
    trained_by: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A hold of a base directory.

    Attributes:
        operator: Operator who gave the command.
        reason: Reason in the operator's own words.
        since: Time of the command, in seconds since the epoch; None if it is not known.
        until: End of the hold, in seconds since the epoch; None until somebody releases it.
    """

    operator: str
    reason: str
    since: float | None
    until: float | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryStatus:
    """The state of a base directory.

    Attributes:
        base: Path or URI of the base directory.
        served: The version that is served; None if there is none.
        version_count: Number of versions in the base directory.
        hold: The hold; None if there is none, or it has ended.
        lock: The writer that is at work; None if there is none.
        awaiting: Content digests of candidates that wait for approval.
        problems: The problems, those that matter most first.
        challengers: Refused models that the next run measures again, the largest gain first.
    """

    base: str
    served: ServedVersion | None
    version_count: int
    hold: Holding | None
    lock: LockOwner | None
    awaiting: tuple[str, ...]
    problems: tuple[Problem, ...]
    challengers: tuple[KeptChallenger, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 if a loadable version is served without problems, 2 if that is not known, else 1."""
        codes = {problem.code for problem in self.problems}
        if UNREADABLE in codes:
            return NOT_KNOWN
        return HAS_PROBLEMS if codes else HEALTHY


def status(exports: ExportDirectory, now: float) -> DirectoryStatus:
    """Returns the state of a base directory; writes nothing and takes no lock.

    Args:
        exports: The base directory.
        now: Seconds since the epoch.

    Raises:
        OperationError: There is no such directory.
        OSError: The base directory cannot be read.
    """
    storage = exports.base.storage
    # The first request makes the client of a store, which one thread must do alone.
    listing = exports.listing()
    # A store answers each request in about 20 ms, and these do not depend on each other.
    state, lock, log = at_once(
        storage,
        exports.operators.read,
        lambda: storage.lock_owner((exports.state / "lock").path),
        lambda: exports.decision_log.read(newest=_LOOK_BACK),
    )
    if not listing.entries:
        check_exists(exports.base)
    found, problems = _served(exports, listing)
    served = None if found is None else _served_version(exports, found, state)
    if served is not None:
        served = dataclasses.replace(served, since=_since(log, served))
    if served is None:
        problems.append(
            Problem(
                code=NOTHING_SERVED,
                text="no version can be loaded: a model server serves nothing. The next run exports"
                " its candidate, unless a version is being written.",
            )
        )
    problems.extend(_problems_of(exports.base, found, served, state, lock))
    hold = hold_at(state.hold, now)
    return DirectoryStatus(
        base=exports.base.uri,
        served=served,
        version_count=len(listing.entries),
        hold=_holding(hold) if hold is not None else None,
        lock=lock,
        awaiting=tuple(sorted(state.awaiting)),
        problems=tuple(problems),
        challengers=challengers_of(exports, served.digest if served else ""),
    )


def _served(exports: ExportDirectory, listing: Listing) -> tuple[Inspection | None, list[Problem]]:
    """Returns the version that is served, and the problems of the versions above it."""
    problems: list[Problem] = []
    for group in listing.newest_first():
        if len(group) > 1:
            found = inspection.ambiguous(group)
            problems.append(Problem(code=DUPLICATE, text=f"{found.problem}."))
            return found, problems
        found = inspected(exports, group[0])
        if found.status is Status.BROKEN:
            problems.append(Problem(code=BROKEN, text=inspection.broken_text(found)))
        elif found.status is Status.UNFINISHED:
            text = (
                f"{inspection.unfinished_clause(found)}. Wait until the copy is finished, or remove"
                " it."
            )
            problems.append(Problem(code=UNFINISHED, text=text))
        else:
            if found.status is Status.UNKNOWN:
                text = f"{found.export.label} cannot be judged: {found.problem}."
                problems.append(Problem(code=UNREADABLE, text=text))
            return found, problems
    return None, problems


def _served_version(
    exports: ExportDirectory, found: Inspection, state: OperatorState
) -> ServedVersion:
    export = found.export
    known = ServedVersion(
        version=export.version,
        path=export.path,
        origin=_origin(found),
        is_pinned=export.version in state.pins,
    )
    if found.status not in LOADABLE:
        return known
    record = record_of(exports, found)
    if record is None:
        return dataclasses.replace(
            known, since=export.location.tree().changed_at, digest=digest_of(None, export)
        )
    runs = runs_of(record.decision, record.provenance)
    return dataclasses.replace(
        known,
        since=numbers.seconds_of(record.exported_at) if record.HasField("exported_at") else None,
        reason=reason_of(record.decision),
        explanation=record.decision.explanation,
        metrics=metrics_of(record),
        digest=record.model.digest,
        pipeline_name=record.provenance.pipeline_name,
        run_id=runs.exporting,
        trained_by=runs.earlier,
        by=_operator_of(record),
    )


def _since(log: ReadLog, served: ServedVersion) -> float | None:
    """Returns the time of the newest line about the version if a command put it back."""
    for line in reversed(log.decisions):
        if line.version == served.version and (line.exported or line.kind in _PUT_BACK):
            return line.at
    return served.since


def _origin(found: Inspection) -> str:
    if found.status is Status.FOREIGN and found.problem:
        return "edited"
    return found.status.value


def reason_of(decision: pb.ExportDecision) -> str:
    """Returns the name of a decision's reason; its number if a later release has added it."""
    if decision.reason not in pb.ExportDecision.Reason.values():
        return str(decision.reason)
    return pb.ExportDecision.Reason.Name(decision.reason) if decision.reason else ""


def metrics_of(record: pb.ExportRecord) -> tuple[Metric, ...]:
    """Returns the recorded metrics of an export, those that its decision compared first."""
    compared = [each.metric for each in record.decision.comparisons]

    def place(metric: Metric) -> tuple[int, str]:
        return compared.index(metric.name) if metric.name in compared else len(compared), ""

    found = [
        Metric(
            name=str(MetricKey.from_proto(each.key)),
            value=each.value,
            lower=each.lower_bound if each.HasField("lower_bound") else None,
            upper=each.upper_bound if each.HasField("upper_bound") else None,
        )
        for each in record.evaluation.metrics
    ]
    return tuple(sorted(found, key=place))


def _operator_of(record: pb.ExportRecord) -> str:
    for verb, action in (
        ("promoted", record.promotion),
        ("approved", record.approval),
        ("adopted", record.adoption),
    ):
        if action.operator or action.reason:
            return f"{verb} by {action.operator}: {action.reason}"
    return ""


def _problems_of(
    base: Location,
    found: Inspection | None,
    served: ServedVersion | None,
    state: OperatorState,
    lock: LockOwner | None,
) -> Iterator[Problem]:
    if found is not None and served is not None:
        if served.origin == "edited":
            text = (
                f"version {served.version} was edited in place: {found.problem}. Runs do not know"
                " the evaluation of these files. Publish the model again with best-exporter promote"
                f" {base} MODEL, or take it out of service with best-exporter rollback {base}."
            )
            yield Problem(code=EDITED, text=text)
        if served.digest in state.rejected:
            action = state.rejected[served.digest].action
            text = (
                f"version {served.version} is served, but {action.operator} rejected its model:"
                f" {action.reason}. Take it out of service with best-exporter rollback {base}, or"
                f" allow it with best-exporter unreject {base} {served.version}."
            )
            yield Problem(code=REJECTED_BUT_SERVED, text=text)
    if lock is not None and lock.is_dead:
        text = (
            f"the lock belongs to {lock.name}, which no longer renews it. The next writer takes it"
            f" over; best-exporter lock {base} --break does so now."
        )
        yield Problem(code=DEAD_LOCK, text=text)
    half = [v for v, each in sorted(state.withdrawn.items()) if each.state in _HALF]
    if half:
        versions = ", ".join(map(str, half))
        text = (
            f"a rollback or restore of {versions} was interrupted. The next run or command that"
            " changes something finishes it."
        )
        yield Problem(code=HALF_WITHDRAWN, text=text)


def _holding(hold: pb.Hold) -> Holding:
    return Holding(
        operator=hold.action.operator,
        reason=hold.action.reason,
        since=numbers.seconds_of(hold.action.at) if hold.action.HasField("at") else None,
        until=numbers.seconds_of(hold.until) if hold.HasField("until") else None,
    )


def ago(seconds: float, now: float) -> str:
    """Returns a time with its age, for example "2024-11-22 01:46 UTC (3 days ago)"."""
    age = max(0, int(now - seconds))
    unit = next((size for size in (86400, 3600, 60) if age >= 2 * size), 1)
    name = {86400: "days", 3600: "hours", 60: "minutes", 1: "seconds"}[unit]
    return f"{numbers.time_of(seconds)} ({numbers.count(age // unit)} {name} ago)"
