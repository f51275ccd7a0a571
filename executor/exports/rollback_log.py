"""The line of the decision log about an interrupted rollback whose command did not write it.

The next writer takes the remaining versions out of service, and adds the line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tfx_best_exporter.executor.deciding import numbers
from tfx_best_exporter.executor.exports.decision_log import ROLLBACK, DecisionLog, LoggedDecision
from tfx_best_exporter.executor.exports.records import RecordError
from tfx_best_exporter.executor.exports.versions import Served
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# Lines in which the line of the interrupted command is looked for.
_LOOK_BACK = 200
# A line has its time in microseconds.
_SAME_SECONDS = 1e-5


def note(
    log: DecisionLog, withdrawals: Sequence[pb.Withdrawal], served: Callable[[], Served]
) -> None:
    """Adds a line for each rollback that has none; requires the lock.

    Args:
        log: The decision log.
        withdrawals: Withdrawals that the caller has finished.
        served: Finds the version that a model server serves now.

    Raises:
        OSError: The log cannot be read or written.
    """
    lines = log.read(newest=_LOOK_BACK).decisions
    groups: dict[bytes, list[pb.Withdrawal]] = {}
    for withdrawal in withdrawals:
        key = withdrawal.action.SerializeToString(deterministic=True)
        groups.setdefault(key, []).append(withdrawal)
    for group in groups.values():
        action = group[0].action
        at = numbers.seconds_of(action.at)
        if any(
            line.kind == ROLLBACK
            and line.operator == action.operator
            and abs(line.at - at) < _SAME_SECONDS
            for line in lines
        ):
            continue
        versions = sorted(withdrawal.version for withdrawal in group)
        clauses = [f"version {version} is withdrawn" for version in versions]
        log.append(
            LoggedDecision(
                kind=ROLLBACK,
                at=at,
                explanation=f"{action.reason}: {'; '.join(clauses)}; finished by the next writer",
                operator=action.operator,
                version=_version_of(served),
                best_version=versions[-1],
            )
        )


def _version_of(served: Callable[[], Served]) -> int | None:
    try:
        export = served().export
    except (OSError, RecordError):
        return None
    return export.version if export else None
