"""Errors with the path of the invalid field. Each caller adds its part of the path."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from tfx_best_exporter.executor.redaction import redacted


class PathError(Exception):
    """An error in one field; each subclass derives from a built-in exception too.

    A check raises it with the name of its own field, or with none. Each caller that knows the
    parent of the field adds the parent in front: "alpha", "significance.alpha",
    "compare_policy.metric.significance.alpha".

    Attributes:
        path: Path of the field, as its author would write it; empty for the value itself.
        text: Rest of the sentence, and the remedy.
    """

    def __init__(self, path: str, text: str):
        """Makes the error.

        Args:
            path: Path of the field, relative to the check that raises the error.
            text: Rest of the message, for example "must be positive (got 0). Leave it out for no
                limit."
        """
        super().__init__(path, text)
        self.path = path
        self.text = text

    def add_parent(self, parent: str) -> None:
        """Adds the name of the field's parent in front of the path."""
        if not parent:
            return
        separator = "." if self.path and not self.path.startswith("[") else ""
        self.path = f"{parent}{separator}{self.path}"

    def __str__(self) -> str:
        """Returns the whole message without secrets.

        KeyError, a base of some subclasses, would quote the message.
        """
        return redacted(f"{self.path} {self.text}".strip())


class FieldValueError(PathError, ValueError):
    """The value of a field is invalid."""


class FieldTypeError(PathError, TypeError):
    """The value of a field has the wrong type."""


@contextlib.contextmanager
def within(parent: str) -> Iterator[None]:
    """Adds a parent field to the path of an error that is raised in the block.

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


@contextlib.contextmanager
def renamed(paths: Mapping[str, str]) -> Iterator[None]:
    """Replaces the path of an error that is raised in the block.

    Args:
        paths: New path by the path of a message's field, for arguments with names of their own.
    """
    try:
        yield
    except PathError as error:
        error.path = paths.get(error.path, error.path)
        raise
