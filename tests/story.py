"""The story of a week at the desk, which every runner must live through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.faults.reader import Reader
from tfx_best_exporter.executor import policies
from tfx_best_exporter.executor.exporter import ModelExporter
from tfx_best_exporter.executor.exports import retention
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.retention_rules import KeepLatest
from tfx_best_exporter.executor.operating.retiring import retire
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.proto import best_exporter_pb2 as pb

ANN: dict[str, Any] = {"reason": "the story", "operator": "ann"}
LOSS = policies.smaller("loss")

# Runs a pipeline with the model of a name and its loss.
RunPipeline = Callable[[str, float], pb.ExportDecision]


class Story:
    """Runs of a pipeline and operations of a person on one base directory."""

    def __init__(self, base: Location, run: RunPipeline):
        """Makes a story that has not begun.

        Args:
            base: The base directory.
            run: Runs a pipeline that keeps every export.
        """
        self.base = base
        self._run = run
        self.reader = Reader(base, is_rolled_back=True)
        # Names of the models by version, once they have been served.
        self.names: dict[int, str] = {}
        self._by_digest: dict[str, str] = {}

    def run(self, name: str, loss: float) -> str:
        """Runs the pipeline; returns the reason of its decision."""
        decision = self._run(name, loss)
        self._by_digest[decision.candidate.digest] = name
        return pb.ExportDecision.Reason.Name(decision.reason)

    @property
    def served(self) -> tuple[str, int]:
        """Name and version of the model that is served, which a model server sees too."""
        served = ExportDirectory(self.base).served()
        assert served.export is not None
        assert served.record is not None
        version = served.export.version
        self.reader.poll()
        assert self.reader.served[-1] == version
        self.names[version] = self._by_digest.get(served.record.model.digest, "promoted")
        return self.names[version], version

    @property
    def seen(self) -> list[str]:
        """Names of the models that a model server has served, in order."""
        return [self.names[version] for version in self.reader.served]


def tell(story: Story, hotfix: str | Location, now: Callable[[], float]) -> None:
    """Tells the story, and checks what is served after each event, and at each moment.

    Args:
        story: A story that has not begun.
        hotfix: A model that no run has.
        now: Returns seconds since the epoch.
    """
    with story.reader:
        _tell(story, hotfix, now)
    # Each version was whole as long as it was visible, and no other one was ever served.
    assert story.seen == ["A", "B", "A", "C", "D", "promoted"]


def _tell(story: Story, hotfix: str | Location, now: Callable[[], float]) -> None:
    exporter = ModelExporter(story.base, exports_to_keep=None, clock=now)
    assert story.run("A", 0.5) == "FIRST_EXPORT"
    name, first = story.served
    assert name == "A"
    assert story.run("B", 0.4) == "BETTER"
    assert story.served[0] == "B"

    # B is worse, as everybody knows the next day. The rollback lasts.
    exporter.rollback(**ANN)
    assert story.served == ("A", first)
    assert story.run("B", 0.4) == "REJECTED"
    assert story.served == ("A", first)
    assert story.run("C", 0.3) == "BETTER"
    assert story.served[0] == "C"

    exporter.hold(**ANN)
    assert story.run("D", 0.2) == "ON_HOLD"
    assert story.served[0] == "C"
    exporter.release(**ANN)
    assert story.run("D", 0.2) == "BETTER"
    assert story.served[0] == "D"

    # A hotfix is worse by its numbers, and the model that it replaced does not win it back.
    exporter.promote(hotfix, {"loss": 0.9}, **ANN)
    assert story.served[0] == "promoted"
    assert story.run("D", 0.2) == "NOT_COMPARABLE"
    name, last = story.served
    assert name == "promoted"

    exporter.pin(first, **ANN)
    exports = ExportDirectory(story.base)
    policy = retention.Policy(rules=(KeepLatest(count=1),))
    plan = retire(exports, policy, withdrawn=True, now=now(), **ANN)
    assert [row.version for row in plan.rows if row.is_kept] == [first, last]
    assert len(plan.retired) == 3
    assert [export.version for export in exports.exports()] == [first, last]
    assert story.served == ("promoted", last)
    for version in (first, last):
        assert exporter.verify(str(version)) == []
    _check_log(exporter, exports)


def _check_log(exporter: ModelExporter, exports: ExportDirectory) -> None:
    """Checks the backtests and the decision log of the story."""
    same = exporter.backtest(policies.compare_policy(LOSS))
    assert [row.reason for row in same[:-1]] == [
        "FIRST_EXPORT",
        "BETTER",
        "REJECTED",
        "BETTER",
        "ON_HOLD",
        "BETTER",
    ]
    assert not any(row.differs for row in same[:-1])
    # With a limit, neither A nor B is exported.
    strict = policies.compare_policy(LOSS, guardrails=[policies.at_most("loss", 0.35)])
    assert [row.differs for row in exporter.backtest(strict)][:4] == [True, True, False, False]
    assert [line.kind for line in exports.decision_log.read().decisions] == [
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
