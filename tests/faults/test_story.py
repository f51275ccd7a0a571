"""The story of a week at the desk, with runs of ModelExporter on a disk and in a store."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from tests.faults.conftest import Model, World
from tests.story import Story, tell
from tfx_best_exporter.executor.exporter import ModelExporter
from tfx_best_exporter.proto import best_exporter_pb2 as pb


@pytest.mark.parametrize("kind", ["local", "s3"])
def test_story(kind: str, make_world: Callable[[str], World], model: Model) -> None:
    base = make_world(kind) / "base"
    hours = itertools.count(1_800_000_000, 3600)
    exporter = ModelExporter(base, exports_to_keep=None, clock=lambda: float(next(hours)))

    def run(name: str, loss: float) -> pb.ExportDecision:
        return exporter.run(model(name), {"loss": loss}).message

    tell(Story(base, run), model("E"), lambda: float(next(hours)))
