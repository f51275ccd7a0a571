"""Keeps a terminal readable while noisy code runs, by sending its output to a log file."""

import contextlib
import logging
import os
import pathlib
import sys
from collections import deque
from collections.abc import Callable, Iterator
from typing import TextIO

from absl import logging as absl_logging


@contextlib.contextmanager
def output_to(log_path: pathlib.Path) -> Iterator[TextIO]:
    """Sends the output of this process and its children to a file.

    File descriptors are redirected, because C++ code and pip do not print through sys.stdout.

    Args:
        log_path: File to append to.

    Yields:
        A stream to the original standard output.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    saved_stdout, saved_stderr = os.dup(1), os.dup(2)
    try:
        with (
            open(log_path, "ab") as log,
            os.fdopen(os.dup(saved_stdout), "w", encoding=sys.stdout.encoding) as terminal,
        ):
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            yield terminal
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(saved_stdout, 1)
        os.dup2(saved_stderr, 2)
        os.close(saved_stdout)
        os.close(saved_stderr)


@contextlib.contextmanager
def watch_components(on_start: Callable[[str], None]) -> Iterator[None]:
    """Calls `on_start` with the ID of each component that LocalDagRunner starts.

    LocalDagRunner has no hook for this, but logs a line with the ID.
    """
    logger = absl_logging.get_absl_logger()
    handler = _ComponentHandler(on_start)
    verbosity = absl_logging.get_verbosity()
    logger.addHandler(handler)
    # absl overwrites the level of its logger with its own verbosity, so logger.setLevel would not
    # last.
    absl_logging.set_verbosity(absl_logging.INFO)
    try:
        yield
    finally:
        absl_logging.set_verbosity(verbosity)
        logger.removeHandler(handler)


class _ComponentHandler(logging.Handler):
    def __init__(self, on_start: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self._on_start = on_start

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg == "Component %s is running." and isinstance(record.args, tuple):
            self._on_start(str(record.args[0]))


def tail(path: pathlib.Path, lines: int) -> str:
    """Returns the last `lines` lines of a text file, or "" if the file does not exist."""
    if not path.exists():
        return ""
    with open(path, encoding="utf-8", errors="replace") as file:
        return "".join(deque(file, maxlen=lines))
