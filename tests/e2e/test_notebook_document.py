"""docs/notebook.ipynb: its cells run, and its outputs are those of its cells.

`UPDATE_DOCS=1` replaces the outputs in the document.
"""

import html
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import absl.logging
import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import CapturedIO, capture_output

from tests.docs.examples import UPDATE
from tests.executor.reports.html_page import parse

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "notebook.ipynb"


def system(command: str) -> None:
    """Runs a command of a cell, such as `!best-exporter history ...`, as a notebook does."""
    # A notebook runs in an activated environment, and these tests need not.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    # A table is cut to the width of the terminal, if there is one.
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run(
        command,
        shell=True,
        text=True,
        stdout=subprocess.PIPE,
        check=True,
        env={**environment, "PATH": path},
    )
    sys.stdout.write(done.stdout)


@pytest.fixture
def notebook(
    shell: InteractiveShell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[InteractiveShell]:
    """Returns a shell whose cells may change the working directory and the verbosity of logs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shell, "system", system)
    verbosity = absl.logging.get_verbosity()
    yield shell
    absl.logging.set_verbosity(verbosity)


def outputs_of(captured: CapturedIO) -> list[Any]:
    """Returns the printed text and the displayed objects of a cell, as nbformat has them."""
    outputs = []
    if captured.stdout:
        outputs.append(nbformat.v4.new_output("stream", name="stdout", text=captured.stdout))
    outputs.extend(
        nbformat.v4.new_output("display_data", data=each.data, metadata=each.metadata or {})
        for each in captured.outputs
    )
    return outputs


def stable(output: Any) -> list[str]:
    """Returns the parts of an output that are equal in every run, with # for each number."""
    text = output.get("text") or output["data"].get("text/html") or output["data"]["text/plain"]
    report = re.search(r'srcdoc="([^"]*)"', text)
    if report is None:
        return [re.sub(r"\d[\d.,:-]*", "#", line).rstrip() for line in text.splitlines()]
    page = parse(html.unescape(report[1]))
    return [page.one("h1").text, *(section.one("h2").text for section in page.all("section"))]


@pytest.mark.e2e
# TFX's older driver calls a deprecated function of TFX.
@pytest.mark.filterwarnings("ignore:From .*matching_channel_name")
# InteractiveContext.show imports a deprecated name.
@pytest.mark.filterwarnings("ignore:Importing display from IPython:DeprecationWarning")
def test_outputs_of_the_notebook(notebook: InteractiveShell):
    document = nbformat.read(DOCUMENT, as_version=4)
    cells = [cell for cell in document.cells if cell.cell_type == "code"]
    found = []
    for cell in cells:
        with capture_output() as captured:
            result = notebook.run_cell(cell.source)
        result.raise_error()
        found.append(outputs_of(captured))
    if os.environ.get(UPDATE):
        for place, (cell, outputs) in enumerate(zip(cells, found, strict=True)):
            cell.outputs, cell.execution_count = outputs, place + 1
        nbformat.write(document, DOCUMENT)
    written = [[stable(output) for output in cell.outputs] for cell in cells]
    assert written == [[stable(output) for output in outputs] for outputs in found]


def test_no_path_of_the_machine_that_executed_it():
    content = DOCUMENT.read_text(encoding="utf-8")
    assert "/tmp/best-exporter-notebook" in content
    for path in (ROOT, Path.home(), Path(sys.prefix)):
        assert str(path) not in content
