"""The story of a week at the desk, with the driver and the executor as LocalDagRunner runs them."""

from __future__ import annotations

import time

from tests.story import Story, tell
from tests.tfx_runs import Candidate, PipelineRuns
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.proto import best_exporter_pb2 as pb

SCALES = {"A": 1.0, "B": 2.0, "C": 3.0, "D": 4.0, "E": 5.0}


def test_story(runs: PipelineRuns) -> None:
    candidates: dict[str, Candidate] = {}

    def run(name: str, loss: float) -> pb.ExportDecision:
        if name not in candidates:
            candidates[name] = runs.candidate(SCALES[name], loss)
        return runs.export(candidates[name]).decision

    hotfix = f"{runs.train(SCALES['E']).uri}/Format-Serving"
    tell(Story(location_of(runs.base_directory), run), hotfix, time.time)
