"""Waits for what another thread, process or server does."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(is_so: Callable[[], bool], timeout_seconds: float = 30.0) -> None:
    """Returns when something is so; asks for it again and again."""
    deadline = time.monotonic() + timeout_seconds
    while not is_so():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)
