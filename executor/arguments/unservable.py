"""The argument `unservable`: treatment of a candidate that a model server cannot run as it is."""

from __future__ import annotations

# Save the candidate again from its own signatures, and export the result.
RESAVE = "resave"
# Fail the run.
REFUSE = "refuse"

DEFAULT_UNSERVABLE = RESAVE


def checked_unservable(value: object) -> str:
    """Returns the argument.

    Raises:
        ValueError: The value is neither RESAVE nor REFUSE.
    """
    if isinstance(value, str) and value in (RESAVE, REFUSE):
        return value
    raise ValueError(
        f"unservable must be {RESAVE!r} or {REFUSE!r} (got {value!r}). Use {RESAVE!r} to save a"
        f" candidate again if a model server cannot run it, or {REFUSE!r} to fail the run."
    )
