"""The artifact type that BestExporter adds to TFX's own."""

from tfx.types import artifact


class ExportDecision(artifact.Artifact):
    """Decision of one run: exported or not, with the reason and an explanation.

    The artifact's directory contains decision.json: the message ExportDecision of
    proto/best_exporter.proto as proto3 JSON. docs/files.md lists the custom properties.
    """

    # Kubeflow Pipelines and Vertex AI import the class by this name, `<module>.<class>`.
    TYPE_NAME = "best_exporter.ExportDecision"
