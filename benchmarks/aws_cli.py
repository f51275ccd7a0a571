"""The AWS command line, in an environment of its own: it pins versions of what boto3 needs too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_REQUIREMENT = "awscli>=1.40,<2"


def python_with_aws_cli(path: Path) -> Path:
    """Returns the Python of an environment that has the AWS command line; makes it where it lacks.

    Args:
        path: Of the environment.

    Raises:
        subprocess.CalledProcessError: It cannot be installed.
    """
    python_path = path / "bin" / "python"
    # pip writes the command last.
    if not (path / "bin" / "aws").exists():
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(path)], check=True)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
        install = ["--python", str(python_path), "install", "--quiet", _REQUIREMENT]
        subprocess.run([*pip, *install], check=True)
    return python_path


def version_of(python_path: Path) -> str:
    """Returns the version of the AWS command line in an environment."""
    script = "import awscli; print(awscli.__version__)"
    run = subprocess.run(
        [str(python_path), "-I", "-c", script], check=True, capture_output=True, text=True
    )
    return run.stdout.strip()
