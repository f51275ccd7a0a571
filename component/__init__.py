"""What a pipeline author sees: the BestExporter component."""

from tfx_best_exporter.component.artifacts import ExportDecision
from tfx_best_exporter.component.component import BestExporter

__all__ = ["BestExporter", "ExportDecision"]
