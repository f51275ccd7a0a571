"""Module that a compiled pipeline imports for the artifact type `best_exporter.ExportDecision`.

Kubeflow Pipelines and Vertex AI name an artifact type `<module>.<class>`, with one dot. The package
tfx_best_exporter is a namespace package and cannot have a class, so this module has it.
See docs/decisions/0009-name-of-the-artifact-type.md.
"""

from tfx_best_exporter.component.artifacts import ExportDecision

__all__ = ["ExportDecision"]
