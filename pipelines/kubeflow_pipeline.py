"""The former name of `python -m pipelines.compiled --platform kubeflow`."""

import sys
from collections.abc import Sequence

from pipelines import command_line


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `pipelines.compiled` for this platform, and returns the exit code."""
    words = sys.argv[1:] if argv is None else argv
    return command_line.main(["--platform", "kubeflow", *words])


if __name__ == "__main__":
    sys.exit(main())
