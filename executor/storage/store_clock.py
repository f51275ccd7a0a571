"""The clock of a store, read from its responses: no two machines' clocks are compared."""

from __future__ import annotations

import email.utils
import time


class StoreClock:
    """A store's own clock, as the dates of its replies tell it.

    Safe to use from several threads.
    """

    def __init__(self) -> None:
        """Makes a clock that knows no time yet."""
        self._seen: tuple[float, float] | None = None

    def note(self, date: str | None) -> None:
        """Takes the Date of a reply that has just come in."""
        with_zone = email.utils.parsedate_to_datetime(date) if date else None
        if with_zone:
            self._seen = (with_zone.timestamp(), time.monotonic())

    def now(self) -> float | None:
        """Returns the store's time in seconds since 1970; None before the first reply."""
        seen = self._seen
        return seen[0] + time.monotonic() - seen[1] if seen else None

    def age_seconds(self, timestamp: float) -> float | None:
        """Returns how long ago a time of the store was; None before the first reply."""
        now = self.now()
        return None if now is None else now - timestamp
