"""The visualization by which `context.show(exporter.outputs["decision"])` shows the report."""

from __future__ import annotations

from tfx import types
from tfx.orchestration.experimental.interactive import visualizations

from tfx_best_exporter.component.artifacts import ExportDecision


class DecisionVisualization(visualizations.ArtifactVisualization):
    """Shows an ExportDecision in a notebook."""

    ARTIFACT_TYPE = ExportDecision

    def display(self, artifact: types.Artifact) -> str:
        """Displays the report in the output of the current cell."""
        from IPython.display import HTML, display

        # ML Metadata returns artifacts of a type that it knows by its name.
        decision = artifact if isinstance(artifact, ExportDecision) else ExportDecision()
        if decision is not artifact:
            decision.uri = artifact.uri
        content = decision._repr_html_()
        display(HTML(content))
        return content


def register() -> None:
    """Makes TFX's InteractiveContext use the visualization."""
    visualizations.get_registry().register(DecisionVisualization)
