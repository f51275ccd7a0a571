"""Errors as one line on stderr, without a traceback, and exit codes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import click

from tfx_best_exporter.executor.redaction import redacted
from tfx_best_exporter.executor.reports import wording

# Set to any text to see the traceback of an error.
DEBUG_VARIABLE = "BEST_EXPORTER_DEBUG"

PROBLEM = 1
ERROR = 2

# Errors whose message was written for the person who typed the command.
_EXPLAINED = (OSError, ValueError, TypeError, KeyError, RuntimeError, ModuleNotFoundError)


class Failure(click.ClickException):
    """An error with an exit code; click prints "Error: " and the message."""

    def __init__(self, message: str, exit_code: int = ERROR):
        """Makes the error from a message, whose secrets are hidden."""
        super().__init__(wording.line(redacted(message)))
        self.exit_code = exit_code  # pyright: ignore[reportAttributeAccessIssue]


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Turns an error of the block into a Failure.

    Raises:
        Failure: The block raised an error.
    """
    try:
        yield
    except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):
        raise
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        raise Failure(text_of(error)) from error


def text_of(error: Exception) -> str:
    """Returns the message of an error, with its type if nobody wrote the message for a person."""
    if isinstance(error, KeyError) and len(error.args) == 1:
        text = str(error.args[0])
    else:
        text = str(error)
    if text and isinstance(error, _EXPLAINED):
        return text
    return (
        f"{type(error).__name__}: {text}. This is a defect of best-exporter;"
        f" {DEBUG_VARIABLE}=1 shows where it happened."
    )


class Command(click.Command):
    """A command whose errors are explained."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        with explained():
            return super().invoke(ctx)


class CommandGroup(click.Group):
    """A group whose commands explain their errors."""

    command_class = Command
