"""The story of a week at the desk, with runs in containers of Kubeflow Pipelines and Vertex AI."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.containers.conftest import Runs
from tests.containers.launcher import NEWEST_KUBEFLOW, VERTEX, Artifact, Flavor
from tests.story import Story, tell
from tfx_best_exporter.proto import best_exporter_pb2 as pb

pytestmark = pytest.mark.slow

SCALES = {"A": 1.0, "B": 2.0, "C": 3.0, "D": 4.0, "E": 5.0}


@pytest.mark.parametrize(
    ("kind", "flavor"), [("local", NEWEST_KUBEFLOW), ("gs", VERTEX)], ids=["local", "gs"]
)
def test_story(make_runs: Callable[..., Runs], kind: str, flavor: Flavor) -> None:
    runs = make_runs(kind, flavor)
    step = runs.compile(("model", "evaluation", "model_blessing"), exports_to_keep=None)
    candidates: dict[str, dict[str, Artifact]] = {}

    def run(name: str, loss: float) -> pb.ExportDecision:
        if name not in candidates:
            candidates[name] = runs.candidate(SCALES[name], loss=loss)
        ended = runs.run(step, candidates[name])
        assert ended.decision is not None, ended.ended.log
        return ended.decision

    hotfix = f"{runs.model(SCALES['E']).uri}/Format-Serving"
    tell(Story(runs.place / "serving", run), hotfix, time.time)
