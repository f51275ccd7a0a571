"""What a pipeline author sees: the BestExporter component."""

from tfx_best_exporter.component.artifacts import ExportDecision
from tfx_best_exporter.component.component import BestExporter
from tfx_best_exporter.component.strategies import BestExportedModelStrategy

__all__ = ["BestExportedModelStrategy", "BestExporter", "ExportDecision"]
