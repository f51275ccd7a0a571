"""Commands that report on many runs or many base directories: backtest, report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfx_best_exporter.cli import arguments, clock, output
from tfx_best_exporter.cli.arguments import help_of
from tfx_best_exporter.cli.errors import Command
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.storage import location_of

if TYPE_CHECKING:
    from tfx_best_exporter.proto import best_exporter_pb2 as pb

_MAX_POLICY_BYTES = 1 << 20


@click.command(
    "backtest",
    cls=Command,
    **help_of(
        """Show what another policy would have decided over the logged runs.

        FILE has a compare policy as JSON, as `show -o json` prints it in compare_policy. The answer
        is CANNOT_TELL where the log lacks a value.""",
        "backtest /serving/penguin --policy stricter.json",
    ),
)
@arguments.base
@click.option("--policy", required=True, metavar="FILE", help="The other policy, as JSON.")
@arguments.output
def backtest(base: ExportDirectory, policy: str, form: str) -> None:
    """Prints the decisions of another policy."""
    from tfx_best_exporter.executor.operating import backtest as replay

    rows = replay.backtest(base, policy_of(policy))
    items = [
        {
            "base": base.base.uri,
            "at": output.plain(row.logged.at, "at"),
            "run_id": row.logged.run_id,
            "version": output.plain(row.logged.version, "version"),
            "exported": row.logged.exported,
            "reason": row.logged.reason,
            "would_export": row.would_export,
            "other_reason": row.reason,
            "other_explanation": row.explanation,
            "differs": row.differs,
        }
        for row in rows
    ]
    if form != "table":
        output.emit(form, "backtest", items)
        return
    output.table(
        ("RUN", "DATE", "DECIDED", "OTHER POLICY", "DIFFERS", "WHY"),
        (
            (
                row.logged.run_id or "-",
                output.date(row.logged.at),
                row.logged.reason,
                row.reason,
                "yes" if row.differs else "",
                row.explanation,
            )
            for row in rows
        ),
    )
    differing = sum(row.differs for row in rows)
    unknown = sum(row.would_export is None for row in rows)
    click.echo(f"{differing} of {len(rows)} decisions differ; {unknown} cannot be told")


def policy_of(path: str) -> pb.ComparePolicy:
    """Returns the compare policy in a JSON file.

    Raises:
        ValueError: The file has no compare policy.
        OSError: The file cannot be read.
    """
    from tfx_best_exporter.executor.deciding.policy import policy_message_of

    text = location_of(path).read(_MAX_POLICY_BYTES).decode("utf-8", errors="replace")
    return policy_message_of(text)


@click.command(
    "report",
    cls=Command,
    **help_of(
        """Write a static site: an index of base directories, and the history of each.

        The pages need neither a server nor a network, and the files of a former site in DIR are
        replaced.""",
        "report /serving/penguin /serving/taxi -o site",
    ),
)
@arguments.bases
@click.option(
    "-o",
    "--output",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    metavar="DIR",
    help="Directory of the site.",
)
def report(bases: tuple[ExportDirectory, ...], directory: Path) -> None:
    """Writes a site."""
    from tfx_best_exporter.executor.operating.site import write_site

    click.echo(str(write_site(bases, directory, clock.now())))


COMMANDS = (backtest, report)
