"""Installs the AWS command line in a separate environment: its pins conflict with our boto3."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_REQUIREMENT = "awscli>=1.40,<2"


def python_with_aws_cli(path: Path) -> Path:
    """Returns the Python of an environment with the AWS command line, which is made if missing.

    Args:
        path: Directory of the environment.

    Raises:
        subprocess.CalledProcessError: The installation failed.
    """
    python_path = path / "bin" / "python"
    # The command is the last file that pip writes, so it proves a complete installation.
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
