"""Commands that report on many runs or many base directories: backtest, report."""

from __future__ import annotations

import dataclasses
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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BacktestItem:
    """One logged run, compared with the decision of another policy.

    Attributes:
        base: Path or URI of the base directory.
        at: Time of the run, in seconds since the epoch.
        run_id: Id of the run; empty if it is not known.
        version: Version that the run exported or found served; None if there is none.
        exported: True if the run exported its candidate.
        reason: Reason of the decision.
        would_export: True if the other policy exports the candidate; None if the log lacks a value.
        other_reason: Reason by the other policy, or "CANNOT_TELL".
        other_explanation: Explanation by the other policy, or the value that is missing.
        differs: True if the other policy is known to decide otherwise.
    """

    base: str
    at: float
    run_id: str
    version: int | None
    exported: bool
    reason: str
    would_export: bool | None
    other_reason: str
    other_explanation: str
    differs: bool


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
        BacktestItem(
            base=base.base.uri,
            at=row.logged.at,
            run_id=row.logged.run_id,
            version=row.logged.version,
            exported=row.logged.exported,
            reason=row.logged.reason,
            would_export=row.would_export,
            other_reason=row.reason,
            other_explanation=row.explanation,
            differs=row.differs,
        )
        for row in rows
    ]
    if form != "table":
        output.emit(form, "backtest", [output.plain(item) for item in items])
        return
    output.table(
        ("RUN", "DATE", "DECIDED", "OTHER POLICY", "DIFFERS", "WHY"),
        (
            (
                item.run_id or "-",
                output.date(item.at),
                item.reason,
                item.other_reason,
                "yes" if item.differs else "",
                item.other_explanation,
            )
            for item in items
        ),
    )
    differing = sum(item.differs for item in items)
    unknown = sum(item.would_export is None for item in items)
    click.echo(f"{differing} of {len(items)} decisions differ; {unknown} cannot be told")


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

        The pages need neither a server nor a network. The command replaces the files of an earlier
        site in DIR.""",
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
