"""Errors that carry the path of the field they are about, added to while they travel up."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class PathError(Exception):
    """An error about one field; a base of ours, always raised as one of Python's own kinds too.

    A check raises it with the name of its own field, or with none, and each caller that knows where
    that field lies puts its own part in front: "alpha", "significance.alpha",
    "compare_policy.metric.significance.alpha".

    Attributes:
        path: The field, as its author would write it; empty for the value itself.
        text: The rest of the sentence, and the remedy.
    """

    def __init__(self, path: str, text: str):
        """Makes the error.

        Args:
            path: The field, relative to the check that raises.
            text: For example "must be positive (got 0). Leave it out for no limit."
        """
        super().__init__(path, text)
        self.path = path
        self.text = text

    def add_parent(self, parent: str) -> None:
        """Puts the name of the field's parent in front of its path."""
        if not parent:
            return
        separator = "." if self.path and not self.path.startswith("[") else ""
        self.path = f"{parent}{separator}{self.path}"

    def __str__(self) -> str:
        """Returns the sentence. KeyError, a base of some kinds, would quote it."""
        return f"{self.path} {self.text}".strip()


class FieldValueError(PathError, ValueError):
    """The value of a field is invalid."""


class FieldTypeError(PathError, TypeError):
    """The value of a field has the wrong type."""


@contextlib.contextmanager
def within(parent: str) -> Iterator[None]:
    """Adds the name of a field to the path of an error that is raised inside.

    Example:
        >>> with within("compare_policy"), within("guardrails[0]"):
        ...     raise FieldValueError("bound", "must be a finite number (got nan).")
        Traceback (most recent call last):
        FieldValueError: compare_policy.guardrails[0].bound must be a finite number (got nan).
    """
    try:
        yield
    except PathError as error:
        error.add_parent(parent)
        raise
