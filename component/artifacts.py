"""The artifact type that BestExporter adds to TFX's own."""

from tfx.types import artifact


class ExportDecision(artifact.Artifact):
    """Exported, or not, and why.

    The artifact's directory holds decision.json: the message ExportDecision of
    proto/best_exporter.proto as proto3 JSON. docs/files.md lists the custom properties.
    """

    # `<module>.<class>`: Kubeflow Pipelines and Vertex AI import it by this name.
    TYPE_NAME = "best_exporter.ExportDecision"
