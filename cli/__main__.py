"""The program best-exporter; the same as `python -m tfx_best_exporter.cli`."""

from __future__ import annotations

import logging

from tfx_best_exporter.cli.commands import best_exporter
from tfx_best_exporter.executor.running import termination

PROGRAM = "best-exporter"


def main() -> None:
    """Runs the command line. SIGTERM gives the lock back and ends with exit code 143."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    termination.run(lambda: best_exporter(prog_name=PROGRAM))


if __name__ == "__main__":
    main()
