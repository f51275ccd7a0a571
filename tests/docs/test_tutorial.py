"""The commands of docs/tutorial.md run, and their output is that of the page."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.children import REPOSITORY
from tests.docs import examples
from tests.docs.test_documents import BLOCKS

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PAGE = REPOSITORY / "docs" / "tutorial.md"
# Versions and times differ in each run, and metrics differ a little by CPU.
_DIFFERENT = re.compile(
    r"\b1[0-9]{9}\b|\d{4}-\d\d-\d\d[T ][\d:.]+(?: UTC)?|\([0-9,]+ \w+ ago\)|\d+\.\d+"
)


def normal(text: str) -> str:
    return re.sub(r"[ ]+", " ", _DIFFERENT.sub("<different>", text))


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    """Returns a directory with the files of the page."""
    for block in BLOCKS:
        name = re.match(r"# (\w+\.py)\n", block.text)
        if block.document == PAGE and name:
            (tmp_path / name[1]).write_text(block.text)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pipeline.py", "trainer_module.py"]
    return tmp_path


def run(command: str, workdir: Path) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        ["bash", "-c", command],
        cwd=workdir,
        env={**os.environ, "PATH": path, "COLUMNS": "110"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    logs = "".join(log.read_text()[-3000:] for log in sorted(workdir.glob("run-*.log"))[-1:])
    assert ended.returncode == 0, f"{command}: {ended.stderr}{logs}"
    return ended.stdout


def test_three_runs(workdir: Path):
    blocks = [each for each in BLOCKS if each.document == PAGE and each.language == "console"]
    reasons = []
    for block in blocks:
        commands = re.findall(r"^\$ (.*)\n", block.text, re.MULTILINE)
        assert [command.split()[0] for command in commands] == ["python", "best-exporter"]
        outputs = [run(command, workdir) for command in commands]
        reasons.append(re.findall(r"FIRST_EXPORT|NOT_BETTER|BETTER", outputs[1])[0])
        generated = "".join(
            f"$ {command}\n{output}" for command, output in zip(commands, outputs, strict=True)
        ).replace(str(workdir), "/pipelines/tutorial")
        if normal(block.text) != normal(generated):
            examples.compare(PAGE, block.text, generated)
    assert reasons == ["FIRST_EXPORT", "NOT_BETTER", "BETTER"]
    # The paths that the page names.
    assert len(list(workdir.glob("output/pipelines/BestExporter/decision/*/report.html"))) == 3
