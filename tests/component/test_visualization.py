"""The report of a decision in a notebook."""

import html
from pathlib import Path

import pytest
from tfx.orchestration.experimental.interactive import visualizations
from tfx.types import standard_artifacts

from tfx_best_exporter.component import BestExporter, ExportDecision
from tfx_best_exporter.component.visualization import DecisionVisualization
from tfx_best_exporter.executor import keys

PAGE = '<!doctype html><p title="a">auc 0.5 &lt; 0.6</p>'


def decision_at(path: Path) -> ExportDecision:
    decision = ExportDecision()
    decision.uri = str(path)
    return decision


def test_an_artifact_is_its_report(tmp_path: Path):
    (tmp_path / keys.REPORT_FILE).write_text(PAGE)
    shown = decision_at(tmp_path)._repr_html_()
    assert f'srcdoc="{html.escape(PAGE)}"' in shown
    # A link opens in a tab that may run the scripts of its own site.
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in shown


def test_an_artifact_without_a_report(tmp_path: Path):
    path = tmp_path / "<none>"
    assert decision_at(path)._repr_html_() == (
        f"<p>There is no report.html at {html.escape(str(path))}.</p>"
    )
    assert ExportDecision()._repr_html_() == "<p>There is no report.html at this artifact.</p>"


def test_interactive_context_finds_the_visualization(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert BestExporter  # The component registers the visualization.
    found = visualizations.get_registry().get_visualization(ExportDecision.TYPE_NAME)
    assert isinstance(found, DecisionVisualization)
    (tmp_path / keys.REPORT_FILE).write_text(PAGE)
    decision = decision_at(tmp_path)
    assert found.display(decision) == decision._repr_html_()
    # Outside of a notebook, IPython prints the type of the object.
    assert "HTML" in capsys.readouterr().out
    other = standard_artifacts.Model()
    other.uri = str(tmp_path)
    assert found.display(other) == decision._repr_html_()
