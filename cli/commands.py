"""The group of all commands, in the order of `best-exporter --help`."""

from __future__ import annotations

import click

from tfx_best_exporter.cli import changing, cleaning, publishing, reading, reporting
from tfx_best_exporter.cli.errors import CommandGroup

_SECTIONS = {
    "Inspect": ("status", "history", "show", "diff", "verify", "report", "backtest"),
    "Change the served model": ("rollback", "restore", "promote", "approve", "adopt"),
    "Control runs": ("hold", "release", "reject", "unreject", "pin", "unpin"),
    "Clean up": ("retire", "lock"),
}


class _Sections(CommandGroup):
    """Lists the commands by what an operator wants."""

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002
        formatter: click.HelpFormatter,
    ) -> None:
        """Writes one list for each section."""
        for title, names in _SECTIONS.items():
            rows = [(name, self.commands[name].get_short_help_str(90)) for name in names]
            with formatter.section(title):
                formatter.write_dl(rows)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Returns the names in the order of the help."""
        return [name for names in _SECTIONS.values() for name in names]


def _show_version(
    ctx: click.Context,
    param: click.Parameter,  # noqa: ARG001
    value: bool,
) -> None:
    if not value or ctx.resilient_parsing:
        return
    # The metadata of the package takes a while to read, and no other command needs it.
    from tfx_best_exporter.executor.version import VERSION

    click.echo(f"{ctx.info_name} {VERSION}")
    ctx.exit()


@click.group(
    cls=_Sections,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Exit codes: 0 success without problems, 1 a problem was found or nobody confirmed, 2 invalid
arguments, or a file cannot be read or written.

\b
Bad model served?  best-exporter rollback /serving/penguin --reason "wrong labels" --hold 24h
""",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
@click.option(
    "--state-directory",
    metavar="DIR",
    help="State directory of the pipeline, if it is not .best_exporter in BASE.",
)
def best_exporter(state_directory: str | None) -> None:
    """Show and change what a base directory serves.

    BASE is the directory that the model server polls: a path, or a URI such as s3://models/penguin.
    """


for _command in (
    *reading.COMMANDS,
    *reporting.COMMANDS,
    *changing.COMMANDS,
    *publishing.COMMANDS,
    *cleaning.COMMANDS,
):
    best_exporter.add_command(_command)
