"""Ends a process of this package on SIGTERM with exit code 143, after its locks are released."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

# Shells report the exit code of a process that a signal ended as 128 + the signal's number.
EXIT_CODE = 128 + signal.SIGTERM
# Code that catches BaseException and goes on is interrupted again after this time.
_REPEAT_SECONDS = 0.1

_logger = logging.getLogger(__name__)


class Terminated(BaseException):
    """SIGTERM was received. Not an Exception, so that `except Exception` does not catch it."""


def run(work: Callable[[], None]) -> None:
    """Runs a function in which SIGTERM raises Terminated, and then ends the process.

    Terminated is raised in the main thread, so context managers and `finally` release locks. It is
    raised again at once if other code catches it and goes on, but not while `finally`, `except` or
    `__exit__` handle it. Kubernetes sends SIGTERM once, and SIGKILL 30 seconds later:
    https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination

    Only programs call this function, in their main thread. It returns if there was no SIGTERM.

    Args:
        work: The program.
    """
    handler = _Handler()
    signal.signal(signal.SIGTERM, handler)
    try:
        work()
        handler.stop()
    except BaseException:
        if not handler.is_terminated:
            raise
        handler.stop()
    # The exception and its frames are gone here, and with them all context managers in them.
    if handler.is_terminated:
        _end()


class _Handler:
    """Handler of SIGTERM, and of the timer that it starts."""

    def __init__(self):
        self.is_terminated = False
        self._process_id = os.getpid()

    def __call__(self, signal_number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if os.getpid() != self._process_id:
            # A forked child inherits this handler, but ends as it would without it.
            signal.signal(signal_number, signal.SIG_DFL)
            os.kill(os.getpid(), signal_number)
            return
        if not self.is_terminated:
            self.is_terminated = True
            signal.signal(signal.SIGALRM, self)
            signal.setitimer(signal.ITIMER_REAL, _REPEAT_SECONDS, _REPEAT_SECONDS)
        if not _is_being_handled():
            raise Terminated

    def stop(self) -> None:
        """Lets no further signal raise Terminated."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN if self.is_terminated else signal.SIG_DFL)


def _is_being_handled() -> bool:
    """Returns True if code of this thread is handling Terminated, or an error that followed it."""
    error = sys.exc_info()[1]
    while error is not None:
        if isinstance(error, Terminated):
            return True
        error = error.__context__
    return False


def _end() -> None:
    """Ends the process at once: threads of Beam and of user code may run for hours."""
    _logger.warning("ended by SIGTERM, with exit code %d", EXIT_CODE)
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(EXIT_CODE)
