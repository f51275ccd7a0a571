"""The clock of a store, read from its responses, so that no two machines' clocks are compared."""

from __future__ import annotations

import email.utils
import time


class StoreClock:
    """A store's own clock, read from the dates of its responses.

    Safe to use from several threads.
    """

    def __init__(self) -> None:
        """Makes a clock that has no time yet."""
        self._seen: tuple[float, float] | None = None

    def note(self, date: str | None) -> None:
        """Sets the clock by the Date header of a response that has just arrived."""
        with_zone = email.utils.parsedate_to_datetime(date) if date else None
        if with_zone:
            self._seen = (with_zone.timestamp(), time.monotonic())

    def now(self) -> float | None:
        """Returns the store's time in seconds since the epoch; None before the first response."""
        seen = self._seen
        return seen[0] + time.monotonic() - seen[1] if seen else None

    def age_seconds(self, timestamp: float) -> float | None:
        """Returns the seconds since a timestamp of the store; None before the first response."""
        now = self.now()
        return None if now is None else now - timestamp
