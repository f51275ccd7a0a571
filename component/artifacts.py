"""The artifact type that BestExporter adds to TFX's own."""

import html
import os

from tfx.dsl.io import fileio
from tfx.types import artifact

# The name is that of executor/keys.py. A container imports this module without the executor.
_REPORT_FILE = "report.html"


class ExportDecision(artifact.Artifact):
    """Decision of one run: exported or not, with the reason and an explanation.

    The artifact's directory contains decision.json: the message ExportDecision of
    proto/best_exporter.proto as proto3 JSON. docs/files.md lists the custom properties. A notebook
    shows the artifact as its report.
    """

    # Kubeflow Pipelines and Vertex AI import the class by this name, `<module>.<class>`.
    TYPE_NAME = "best_exporter.ExportDecision"

    def _repr_html_(self) -> str:
        """Returns the report for a notebook, in a frame that runs no scripts."""
        path = os.path.join(self.uri, _REPORT_FILE)
        if not self.uri or not fileio.exists(path):
            return (
                f"<p>There is no {_REPORT_FILE} at {html.escape(self.uri) or 'this artifact'}.</p>"
            )
        with fileio.open(path, "rb") as file:
            page = file.read().decode("utf-8")
        # IPython warns about HTML that begins with a frame.
        return (
            f'<div><iframe srcdoc="{html.escape(page)}" sandbox="allow-popups'
            ' allow-popups-to-escape-sandbox" title="Decision of BestExporter" style="width: 100%;'
            ' height: 45em; border: 0"></iframe></div>'
        )
