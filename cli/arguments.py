"""Arguments and options that several commands have in common."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from tfx_best_exporter.cli import clock
from tfx_best_exporter.executor.arguments.destination import check_base_directory
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.versions import number_of
from tfx_best_exporter.executor.operating.person import this_operator
from tfx_best_exporter.executor.storage import location_of

OPERATOR_VARIABLE = "BEST_EXPORTER_OPERATOR"
NO_REASON = "no reason given"

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(s|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}

_Function = TypeVar("_Function", bound=Callable[..., Any])


class BaseType(click.ParamType):
    """A base directory: a path or a URI."""

    name = "base"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> ExportDirectory:
        """Returns the base directory; reads and writes nothing."""
        if isinstance(value, ExportDirectory):
            return value
        try:
            check_base_directory(str(value))
            state = _state_directory_of(ctx)
            return ExportDirectory(location_of(str(value)), location_of(state) if state else None)
        except (ValueError, ModuleNotFoundError) as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Completes directories."""
        return [CompletionItem(incomplete, type="dir")]


class VersionType(click.ParamType):
    """A version of the base directory; completed from a listing."""

    name = "version"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Returns the version as a text that is a number."""
        number = number_of(str(value))
        if number is None:
            self.fail(
                f"{value!r} is not a version. `best-exporter history BASE` lists the versions.",
                param,
                ctx,
            )
        return str(number)

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Completes the versions in the base directory that was typed before."""
        base = ctx.params.get("base")
        if not isinstance(base, ExportDirectory):
            return []
        try:
            versions = [str(export.version) for export in reversed(base.exports())]
        except (OSError, ValueError):
            return []
        return [CompletionItem(each) for each in versions if each.startswith(incomplete)]


class DurationType(click.ParamType):
    """A duration such as 30m, 24h or 7d, in seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Returns the seconds of a duration."""
        if isinstance(value, float):
            return value
        match = _DURATION.fullmatch(str(value).strip())
        if match is None:
            self.fail(
                f"{value!r} is not a duration. Write a number and s, m, h, d or w, such as 24h.",
                param,
                ctx,
            )
        return float(match[1]) * _SECONDS[match[2]]


class TimeType(click.ParamType):
    """A time in the future: a date and time, or a duration from now; in seconds since the epoch."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Returns seconds since the epoch. A time without a zone is UTC."""
        if isinstance(value, float):
            return value
        text = str(value).strip()
        match = _DURATION.fullmatch(text)
        if match is not None:
            return clock.now() + float(match[1]) * _SECONDS[match[2]]
        try:
            # Python 3.10 does not read the letter for UTC.
            moment = datetime.datetime.fromisoformat(re.sub("[zZ]$", "+00:00", text))
        except ValueError:
            self.fail(
                f"{value!r} is not a time. Write 2026-12-28, 2026-12-28T08:00+01:00, or a duration"
                " such as 24h.",
                param,
                ctx,
            )
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.timezone.utc)
        return moment.timestamp()


BASE = BaseType()
VERSION = VersionType()
DURATION = DurationType()
TIME = TimeType()


def _state_directory_of(ctx: click.Context | None) -> str:
    """Returns the option of the program, which stands before the command; empty without one."""
    return (ctx.find_root().params.get("state_directory") or "") if ctx is not None else ""


def _one_for_a_state_directory(
    ctx: click.Context,
    param: click.Parameter,  # noqa: ARG001
    value: tuple[ExportDirectory, ...],
) -> tuple[ExportDirectory, ...]:
    if len(value) > 1 and _state_directory_of(ctx):
        raise click.UsageError(
            "--state-directory belongs to one base directory. Run the command once for each BASE."
        )
    return value


base = click.argument("base", type=BASE, metavar="BASE")
bases = click.argument(
    "bases",
    type=BASE,
    nargs=-1,
    required=True,
    metavar="BASE...",
    callback=_one_for_a_state_directory,
)


def output(function: _Function) -> _Function:
    """Adds -o to a command."""
    return click.option(
        "-o",
        "--output",
        "form",
        type=click.Choice(["table", "json", "jsonl"]),
        default="table",
        help="Output format; docs/operating.md describes the JSON fields.",
    )(function)


def reason(*, is_required: bool) -> Callable[[_Function], _Function]:
    """Returns a decorator that adds --reason to a command."""
    # An explicit default, even None, would satisfy `required`.
    more: dict[str, Any] = {"required": True} if is_required else {"default": NO_REASON}
    return click.option("--reason", metavar="TEXT", help="Reason, which `history` shows.", **more)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """The options of all commands that change something.

    Attributes:
        dry_run: True to show the effect only.
        yes: True to ask nothing.
        operator: Name of the person.
        form: Form of the output.
    """

    dry_run: bool
    yes: bool
    operator: str
    form: str


def changes(function: Callable[..., None]) -> Callable[..., None]:
    """Adds the options of all commands that change something, as the argument `how`."""

    @functools.wraps(function)
    def run(*, dry_run: bool, yes: bool, operator: str, form: str, **others: Any) -> None:
        function(how=How(dry_run=dry_run, yes=yes, operator=operator, form=form), **others)

    result = output(run)
    for option in reversed(
        [
            click.option("--dry-run", is_flag=True, help="Show the effect, and change nothing."),
            click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation."),
            click.option(
                "--operator",
                default=this_operator,
                envvar=OPERATOR_VARIABLE,
                metavar="NAME",
                help=f"Your name in the history; default: ${OPERATOR_VARIABLE}, or user@host.",
            ),
        ]
    ):
        result = option(result)
    return result


def help_of(text: str, example: str, *more: str) -> dict[str, Any]:
    """Returns the help of a command, with one example.

    Args:
        text: First line and further paragraphs.
        example: Command line without the program.
        more: Further lines of the example.
    """
    lines: Sequence[str] = [f"best-exporter {example}", *more]
    return {"help": text, "epilog": "\n\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)}
