"""Begins a run: finishes what earlier runs have left, and reads what every run needs."""

from __future__ import annotations

import dataclasses

from tfx_best_exporter.executor.exports.decision_log import ReadLog
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.operators import Instructions
from tfx_best_exporter.executor.storage.transfer import at_once

# Number of lines of the decision log that a run reads.
MAX_REFUSALS = 50


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The state that a run reads first.

    Attributes:
        now: Time of the run, in seconds since the epoch.
        recovered: A sentence for each leftover of an earlier run.
        instructions: The instructions of operators.
        log: The newest lines of the decision log; None if it cannot be read.
    """

    now: float
    recovered: tuple[str, ...]
    instructions: Instructions
    log: ReadLog | None


def start_of(exports: ExportDirectory, now: float) -> Start:
    """Finishes or removes the leftovers of earlier runs, and reads what every run needs."""

    def read_log() -> ReadLog | None:
        try:
            return exports.decision_log.read(newest=MAX_REFUSALS)
        except OSError:
            # The log is tried again at the end, when the decision has been carried out.
            return None

    def instructions() -> Instructions:
        return exports.operators.instructions(now)

    # A store answers all of them in the time of one.
    recovered, said, log = at_once(exports.base.storage, exports.recover, instructions, read_log)
    if recovered:
        # A repair may end a rollback, which rejects a model and adds a line to the log. A log that
        # was read before that would take the place of the line.
        said, log = at_once(exports.base.storage, instructions, read_log)
    return Start(now=now, recovered=recovered, instructions=said, log=log)
