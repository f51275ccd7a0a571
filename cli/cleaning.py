"""Commands that clean up: retire and lock."""

from __future__ import annotations

import click

from tfx_best_exporter.cli import arguments, output
from tfx_best_exporter.cli.arguments import help_of
from tfx_best_exporter.cli.errors import Command
from tfx_best_exporter.executor.exports.directory import ExportDirectory


@click.command(
    "lock",
    cls=Command,
    **help_of(
        "Show which process holds the lock.",
        "lock /serving/penguin",
    ),
)
@arguments.bases
@arguments.output
def lock(bases: tuple[ExportDirectory, ...], form: str) -> None:
    """Prints the owners of locks."""
    from tfx_best_exporter.executor.operating.operation import check_exists

    items = []
    for exports in bases:
        check_exists(exports.base)
        owner = exports.base.storage.lock_owner((exports.state / "lock").path)
        items.append(
            {
                "base": exports.base.uri,
                "owner": owner.name if owner else None,
                "is_dead": owner.is_dead if owner else False,
            }
        )
    if form != "table":
        output.emit(form, "lock", items)
        return
    output.table(
        ("BASE", "OWNER", "STATE"),
        (
            (
                item["base"],
                item["owner"] or "-",
                "free" if item["owner"] is None else "dead" if item["is_dead"] else "held",
            )
            for item in items
        ),
    )


COMMANDS = (lock,)
