"""Where Kubeflow Pipelines and Vertex AI find the artifact type of tfx-best-exporter.

A compiled pipeline knows an artifact type by `<module>.<class>`, with one dot, and the container
imports that. `tfx_best_exporter` is a namespace package and holds no class: this module does it.
See docs/decisions/0009-name-of-the-artifact-type.md.
"""

from tfx_best_exporter.component.artifacts import ExportDecision

__all__ = ["ExportDecision"]
