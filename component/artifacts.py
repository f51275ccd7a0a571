"""The artifact type that BestExporter adds to TFX's own."""

from tfx.types import artifact


class ExportDecision(artifact.Artifact):
    """Exported, or not, and why.

    The artifact's directory holds decision.json: the message ExportDecision of
    proto/best_exporter.proto as proto3 JSON. Custom properties: `exported` (0/1), `reason`,
    `explanation`, `pushed_version` and `best_version` (strings, empty where there is none).
    """

    TYPE_NAME = "ExportDecision"
