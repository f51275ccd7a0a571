"""Problems of a file system that a run tolerates, collected so that its decision reports them."""

from __future__ import annotations

import contextlib
import contextvars
import logging
from collections.abc import Iterator

_logger = logging.getLogger(__name__)

# The problems of the run in progress, by kind; None outside of a run.
_problems: contextvars.ContextVar[dict[str, str] | None] = contextvars.ContextVar(
    "problems", default=None
)


def tolerate(kind: str, text: str) -> None:
    """Reports a problem that does not fail the run. The first one of a kind stands for all.

    Args:
        kind: Key of the problem.
        text: One sentence, for the decision or, outside of a run, for the log.
    """
    problems = _problems.get()
    if problems is None:
        _logger.warning("%s", text)
    else:
        problems.setdefault(kind, text)


@contextlib.contextmanager
def collected() -> Iterator[dict[str, str]]:
    """Yields the problems that are tolerated in the block, by kind; it fills while the block runs.

    A block within a block has problems of its own. Threads that the block starts log theirs.
    """
    problems: dict[str, str] = {}
    token = _problems.set(problems)
    try:
        yield problems
    finally:
        _problems.reset(token)
