"""How every command that changes something runs: show the effect, ask, do it, show it again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import click

from tfx_best_exporter.cli import clock, output
from tfx_best_exporter.cli.arguments import How
from tfx_best_exporter.cli.errors import ERROR, PROBLEM, Failure, text_of
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.redaction import redacted
from tfx_best_exporter.executor.reports import wording

if TYPE_CHECKING:
    from tfx_best_exporter.executor.operating.operation import Change


class Operation(Protocol):
    """A function of `executor.operating` with all arguments but these."""

    def __call__(
        self, exports: ExportDirectory, *, operator: str, now: float, dry_run: bool
    ) -> Change:
        """Changes a base directory and returns the effect; a dry run only returns it."""
        ...


def run(
    bases: Sequence[ExportDirectory],
    operation: Operation,
    how: How,
) -> None:
    """Runs an operation on base directories.

    Args:
        bases: The base directories.
        operation: The operation.
        how: Options of the command.

    Raises:
        Failure: Nobody confirmed, or the operation failed on a base directory.
    """
    now = clock.now()

    def planned(exports: ExportDirectory) -> Change:
        return operation(exports, operator=how.operator, now=now, dry_run=True)

    def done(exports: ExportDirectory) -> Change:
        return operation(exports, operator=how.operator, now=now, dry_run=False)

    # Nothing is changed anywhere if one of the base directories cannot be changed.
    plans = [(exports, planned(exports)) for exports in bases]
    if how.dry_run:
        _print(plans, how.form, title="Dry run, nothing was changed: ")
        return
    if not how.yes:
        for exports, plan in plans:
            show_effect(exports.base.uri, plan.sentences)
        confirm()
    _print([*_each(plans, done)], how.form)


def show_effect(base: str, sentences: Sequence[str]) -> None:
    """Prints the effect of an operation on stderr, before the question."""
    output.note(f"{base}:")
    for sentence in sentences:
        output.note(f"  {sentence}")


def confirm() -> None:
    """Asks a person whether to go on.

    Raises:
        Failure: The answer is no, or there is nobody to ask.
    """
    try:
        is_confirmed = click.confirm("Continue?", err=True)
    except click.Abort:
        click.echo(err=True)
        is_confirmed = False
    if not is_confirmed:
        raise Failure(
            "nothing was changed, because nobody confirmed. Add --yes to go on without a question,"
            " or --dry-run to see the effect.",
            exit_code=PROBLEM,
        )


def _each(
    plans: Sequence[tuple[ExportDirectory, Change]], do: Callable[[ExportDirectory], Change]
) -> list[tuple[ExportDirectory, Change]]:
    results: list[tuple[ExportDirectory, Change]] = []
    failed = 0
    for exports, _ in plans:
        try:
            results.append((exports, do(exports)))
        except (OSError, ValueError) as error:
            if len(plans) == 1:
                raise
            # The others are done: a fleet is not left to one broken disk.
            failed += 1
            click.echo(f"Error: {exports.base}: {wording.line(redacted(text_of(error)))}", err=True)
    if failed:
        for exports, change in results:
            show_effect(exports.base.uri, change.sentences)
        raise Failure(
            f"{failed} of {len(plans)} base directories were not changed. Fix the errors above and"
            " run the command again.",
            exit_code=ERROR,
        )
    return results


def _print(
    results: Sequence[tuple[ExportDirectory, Change]], form: str, *, title: str = ""
) -> None:
    if form != "table":
        output.emit(
            form,
            results[0][1].kind,
            [
                {"base": exports.base.uri, "dry_run": bool(title), **output.plain(change)}
                for exports, change in results
            ],
        )
        return
    for exports, change in results:
        click.echo(f"{title}{wording.line(exports.base.uri)}")
        for sentence in change.sentences:
            click.echo(f"  {wording.line(sentence)}")
