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
        """Sets the clock by the Date header of a response that has just arrived.

        Args:
            date: Value of the header. A date that cannot be read leaves the clock unchanged; a date
                without a time zone is in UTC.
        """
        fields = email.utils.parsedate_tz(date) if date else None
        if fields:
            self._seen = (email.utils.mktime_tz(fields), time.monotonic())

    def now(self) -> float | None:
        """Returns the store's time in seconds since the epoch; None before the first response."""
        seen = self._seen
        return seen[0] + time.monotonic() - seen[1] if seen else None

    def age_seconds(self, timestamp: float) -> float | None:
        """Returns the seconds since a timestamp of the store; None before the first response."""
        now = self.now()
        return None if now is None else now - timestamp
