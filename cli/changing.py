"""Commands that change what runs may do: rollback, restore, hold, release, reject, pin."""

from __future__ import annotations

import functools

import click

from tfx_best_exporter.cli import arguments, changes
from tfx_best_exporter.cli.arguments import How, help_of
from tfx_best_exporter.cli.errors import Command
from tfx_best_exporter.executor.exports.directory import ExportDirectory


@click.command(
    "rollback",
    cls=Command,
    **help_of(
        """Go back to an older version: the previous one, or --to VERSION.

        Every newer version is withdrawn, and its model is rejected, so that no run exports it
        again. The files are kept for 30 days, and `restore` puts a version back.""",
        'rollback /serving/penguin --reason "wrong labels" --hold 24h',
    ),
)
@arguments.base
@click.option(
    "--to",
    type=arguments.VERSION,
    metavar="VERSION",
    help="Version to serve; default: the newest older one that is loadable and not rejected.",
)
@arguments.reason(is_required=True)
@click.option(
    "--hold",
    "hold_seconds",
    type=arguments.DURATION,
    metavar="DURATION",
    help="Also stop runs from exporting or retiring for this long, such as 24h.",
)
@arguments.changes
def rollback(
    base: ExportDirectory,
    to: str | None,
    reason: str,
    hold_seconds: float | None,
    how: How,
) -> None:
    """Withdraws versions."""
    from tfx_best_exporter.executor.operating import rollback as operations

    changes.run(
        [base],
        functools.partial(operations.rollback, to=to, reason=reason, hold_seconds=hold_seconds),
        how,
    )


@click.command(
    "restore",
    cls=Command,
    **help_of(
        """Put a withdrawn version back into service, and undo a rollback.

        Runs may export its model again.""",
        "restore /serving/penguin 1732250000",
    ),
)
@arguments.base
@click.argument("version", type=arguments.VERSION)
@arguments.reason(is_required=False)
@arguments.changes
def restore(
    base: ExportDirectory,
    version: str,
    reason: str,
    how: How,
) -> None:
    """Puts a withdrawn version back."""
    from tfx_best_exporter.executor.operating import restoring as operations

    changes.run(
        [base],
        functools.partial(operations.restore, version=version, reason=reason),
        how,
    )


@click.command(
    "hold",
    cls=Command,
    **help_of(
        """Stop runs from exporting and retiring.

        Operators can still roll back, promote and retire.""",
        'hold /serving/penguin /serving/taxi --until 2026-12-28T08:00 --reason "holidays"',
    ),
)
@arguments.bases
@click.option(
    "--until",
    type=arguments.TIME,
    metavar="TIME",
    help="End: a date and time in UTC, or a duration such as 24h. Default: until `release`.",
)
@arguments.reason(is_required=True)
@arguments.changes
def hold(
    bases: tuple[ExportDirectory, ...],
    until: float | None,
    reason: str,
    how: How,
) -> None:
    """Holds base directories."""
    from tfx_best_exporter.executor.operating import holding

    changes.run(
        bases,
        functools.partial(holding.hold, until=until, reason=reason),
        how,
    )


@click.command(
    "release",
    cls=Command,
    **help_of(
        """End a hold, or let better candidates replace a promoted version.

        Without a hold, the command releases the served version if it was promoted. --version
        releases a promoted version and keeps the hold.""",
        "release /serving/penguin",
    ),
)
@arguments.bases
@click.option(
    "--version", type=arguments.VERSION, metavar="VERSION", help="A promoted version to release."
)
@arguments.reason(is_required=False)
@arguments.changes
def release(
    bases: tuple[ExportDirectory, ...],
    version: str | None,
    reason: str,
    how: How,
) -> None:
    """Ends holds."""
    from tfx_best_exporter.executor.operating import holding

    changes.run(
        bases,
        functools.partial(holding.release, version=version, reason=reason),
        how,
    )


@click.command(
    "reject",
    cls=Command,
    **help_of(
        """Stop runs from exporting a model.

        Name the model by a version or by its content digest; the first eight digits are enough. A
        candidate that waits for approval is dropped. A served version stays in service; to take it
        out of service, use `rollback`.""",
        'reject /serving/penguin 1732250000 --reason "wrong labels"',
    ),
)
@arguments.base
@click.argument("model", metavar="VERSION|DIGEST")
@arguments.reason(is_required=True)
@arguments.changes
def reject(
    base: ExportDirectory,
    model: str,
    reason: str,
    how: How,
) -> None:
    """Rejects a model."""
    from tfx_best_exporter.executor.operating import rejecting

    changes.run(
        [base],
        functools.partial(rejecting.reject, model=model, reason=reason),
        how,
    )


@click.command(
    "unreject",
    cls=Command,
    **help_of(
        "Allow runs to export a rejected model again.", "unreject /serving/penguin 1732250000"
    ),
)
@arguments.base
@click.argument("model", metavar="VERSION|DIGEST")
@arguments.reason(is_required=False)
@arguments.changes
def unreject(
    base: ExportDirectory,
    model: str,
    reason: str,
    how: How,
) -> None:
    """Allows a rejected model again."""
    from tfx_best_exporter.executor.operating import rejecting

    changes.run(
        [base],
        functools.partial(rejecting.unreject, model=model, reason=reason),
        how,
    )


@click.command(
    "pin",
    cls=Command,
    **help_of(
        "Keep the files of a version: neither runs nor `retire` deletes them.",
        'pin /serving/penguin 1732240000 --reason "audit"',
    ),
)
@arguments.base
@click.argument("version", type=arguments.VERSION)
@arguments.reason(is_required=False)
@arguments.changes
def pin(
    base: ExportDirectory,
    version: str,
    reason: str,
    how: How,
) -> None:
    """Pins a version."""
    from tfx_best_exporter.executor.operating import pinning

    changes.run(
        [base],
        functools.partial(pinning.pin, version=version, reason=reason),
        how,
    )


@click.command(
    "unpin",
    cls=Command,
    **help_of("Remove the pin of a version.", "unpin /serving/penguin 1732240000"),
)
@arguments.base
@click.argument("version", type=arguments.VERSION)
@arguments.reason(is_required=False)
@arguments.changes
def unpin(
    base: ExportDirectory,
    version: str,
    reason: str,
    how: How,
) -> None:
    """Removes the pin of a version."""
    from tfx_best_exporter.executor.operating import pinning

    changes.run(
        [base],
        functools.partial(pinning.unpin, version=version, reason=reason),
        how,
    )


COMMANDS = (rollback, restore, hold, release, reject, unreject, pin, unpin)
