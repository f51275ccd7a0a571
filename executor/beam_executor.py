"""The executor's other name: pipelines with `examples` that earlier versions compiled have it."""

from tfx_best_exporter.executor.executor import Executor

__all__ = ["Executor"]
