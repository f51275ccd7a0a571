"""The old name of the executor in pipelines with `examples` that earlier versions compiled."""

from tfx_best_exporter.executor.executor import Executor

__all__ = ["Executor"]
