"""Waits for another thread, process or server."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(is_so: Callable[[], bool], timeout_seconds: float = 180.0) -> None:
    """Polls a condition and returns when it is true."""
    deadline = time.monotonic() + timeout_seconds
    while not is_so():
        assert time.monotonic() < deadline, f"not true within {timeout_seconds:g} s"
        time.sleep(0.01)
