"""A week at the desk: what a person decides lasts, and a model server sees the right version."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.faults.conftest import Model, World
from tests.faults.reader import Reader
from tfx_best_exporter.executor import policies
from tfx_best_exporter.executor.exporter import ModelExporter
from tfx_best_exporter.executor.exports import retention
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.retention_rules import KeepLatest
from tfx_best_exporter.executor.operating.retiring import retire
from tfx_best_exporter.proto import best_exporter_pb2 as pb

ANN: dict[str, Any] = {"reason": "the story", "operator": "ann"}


class Story:
    """Runs of a pipeline and operations of a person on one base directory."""

    def __init__(self, world: World, model: Model):
        self._model = model
        self._names: dict[str, str] = {}
        self.now = 1_800_000_000.0
        self.base = world / "base"
        self.exporter = ModelExporter(self.base, exports_to_keep=None, clock=lambda: self.now)

    def run(self, name: str, loss: float) -> str:
        """Runs a pipeline with a model; returns the reason of the decision."""
        self.now += 3600.0
        decision = self.exporter.run(self._path(name), {"loss": loss, "auc": 1 - loss})
        return pb.ExportDecision.Reason.Name(decision.reason)

    def promote(self, name: str, loss: float) -> None:
        """Promotes a model."""
        self.now += 3600.0
        self.exporter.promote(self._path(name), {"loss": loss, "auc": 1 - loss}, **ANN)

    def _path(self, name: str) -> str:
        path = self._model(name)
        self._names[name] = path
        return path

    @property
    def served(self) -> str:
        """Name of the model that is served."""
        location = self._served.location
        return (location / "assets.extra/name.txt").read(100).decode()

    @property
    def version(self) -> int:
        """Version that is served."""
        return self._served.version

    @property
    def _served(self) -> Any:
        export = ExportDirectory(self.base).served().export
        assert export is not None
        return export


@contextlib.contextmanager
def watched(story: Story) -> Iterator[Reader]:
    """Polls the base directory as a model server does."""
    with Reader(story.base, is_rolled_back=True) as reader:
        yield reader
    assert not reader.violations, reader.violations


@pytest.mark.parametrize("kind", ["local", "s3"])
def test_story(kind: str, make_world: Callable[[str], World], model: Model) -> None:
    story = Story(make_world(kind), model)
    exporter = story.exporter
    assert story.run("A", 0.5) == "FIRST_EXPORT"
    with watched(story):
        first = story.version
        assert story.run("B", 0.4) == "BETTER"
        assert story.served == "B"

        # B is worse, as everybody knows the next day. The rollback lasts.
        exporter.rollback(**ANN)
        assert (story.served, story.version) == ("A", first)
        assert story.run("B", 0.4) == "REJECTED"
        assert (story.served, story.version) == ("A", first)
        assert story.run("C", 0.3) == "BETTER"
        assert story.served == "C"

        exporter.hold(**ANN)
        assert story.run("D", 0.2) == "ON_HOLD"
        assert story.served == "C"
        exporter.release(**ANN)
        assert story.run("D", 0.2) == "BETTER"
        assert story.served == "D"

        # A hotfix is worse by its numbers, and the model that it replaced does not win it back.
        story.promote("E", 0.9)
        assert story.served == "E"
        assert story.run("D", 0.2) == "NOT_COMPARABLE"
        assert story.served == "E"

        exporter.pin(first, **ANN)
        policy = retention.Policy(rules=(KeepLatest(count=1),))
        exports = ExportDirectory(story.base)
        plan = retire(exports, policy, withdrawn=True, now=story.now, **ANN)
        kept = [row.version for row in plan.rows if row.is_kept]
        assert kept == [first, story.version]
        assert len(plan.retired) == 3
        assert story.served == "E"
        assert [export.version for export in exports.exports()] == kept

        for version in kept:
            assert exporter.verify(str(version)) == []

    # By the auc, the runs would have been decided in the same way. With a minimum, A fails.
    rows = exporter.backtest(policies.compare_policy(policies.larger("auc")))
    reasons = ["FIRST_EXPORT", "BETTER", "REJECTED", "BETTER", "ON_HOLD", "BETTER"]
    assert [row.reason for row in rows[:-1]] == reasons
    assert not any(row.differs for row in rows[:-1])
    strict = policies.compare_policy(
        policies.smaller("loss"), guardrails=[policies.at_most("loss", 0.35)]
    )
    assert [row.differs for row in exporter.backtest(strict)][:2] == [True, True]

    log = ExportDirectory(story.base).decision_log.read().decisions
    assert [line.kind for line in log] == [
        "run",
        "run",
        "rollback",
        "run",
        "run",
        "hold",
        "run",
        "release",
        "run",
        "promote",
        "run",
        "pin",
        "retire",
    ]
