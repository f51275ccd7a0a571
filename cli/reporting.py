"""Commands that report on many base directories or many runs: report, backtest."""

from __future__ import annotations

import click

COMMANDS: tuple[click.Command, ...] = ()
