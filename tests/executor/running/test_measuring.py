"""A run evaluates the best before it takes the lock, and again if the best has changed."""

import threading
import time
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.executor.plain import FILES, files_of, write_files
from tests.executor.running.challenged import World
from tfx_best_exporter.executor.deciding.eval_result import EvalResult
from tfx_best_exporter.executor.deciding.models import Blessing, BlessingStatus
from tfx_best_exporter.executor.evaluations.best import Reevaluated
from tfx_best_exporter.executor.exporter import ModelExporter
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.saved_model import digest_of
from tfx_best_exporter.executor.policies import compare_policy, smaller
from tfx_best_exporter.executor.running.measuring import Measurements
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.proto import best_exporter_pb2 as pb

R = pb.ExportDecision
ACTION = pb.OperatorAction(operator="ana@serving-1", reason="wrong labels")
NOT_BLESSED = Blessing(name="model_blessing", uri="/blessing", status=BlessingStatus.NOT_BLESSED)
DATA = "variables/variables.data-00000-of-00001"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Returns a base directory whose best, version 1000, has a loss of 0.5."""
    path = tmp_path / "base"
    exporter_of(path).run(write_files(tmp_path / "first"), {"loss": 0.5})
    return path


@pytest.fixture
def better(tmp_path: Path) -> Path:
    return write_files(tmp_path / "better", {**FILES, DATA: b"good"})


def exporter_of(base: Path, **policy: Any) -> ModelExporter:
    return ModelExporter(
        location_of(base),
        compare_policy=compare_policy(smaller("loss"), **policy),
        exports_to_keep=None,
        clock=lambda: 1000.0,
    )


class Evaluator:
    """Evaluates the best, during which another writer acts.

    Attributes:
        versions: Names of the evaluated exports.
        was_free: For each evaluation, whether another writer could take the lock.
    """

    def __init__(self, base: Path, act: Callable[[], object] = lambda: None, loss: float = 0.45):
        self.versions: list[str] = []
        self.was_free: list[bool] = []
        self._base = base
        self._actions = iter([act])
        self._loss = loss

    def __call__(
        self,
        export: Location,
        candidate: Location | None,
        challengers: Mapping[str, Location] = types.MappingProxyType({}),
    ) -> Reevaluated:
        self.versions.append(export.name)
        try:
            with ExportDirectory(location_of(self._base)).lock(timeout_seconds=0.1):
                self.was_free.append(True)
        except TimeoutError:
            self.was_free.append(False)
        next(self._actions, lambda: None)()
        return Reevaluated(best=EvalResult.from_mapping({"loss": self._loss}))


def test_the_lock_is_free_during_the_evaluation(base: Path, better: Path):
    evaluate = Evaluator(base)
    decision = exporter_of(base).run(better, {"loss": 0.4}, reevaluate=evaluate)
    assert (decision.reason, decision.basis) == (R.BETTER, R.EVALUATED_AGAIN)
    assert decision.comparisons[0].best == 0.45
    # The run has decided with the lock, and evaluated nothing a second time.
    assert (evaluate.versions, evaluate.was_free) == (["1000"], [True])


def test_another_run_exports_a_model_during_the_evaluation(
    base: Path, better: Path, tmp_path: Path
):
    other = write_files(tmp_path / "other", {**FILES, DATA: b"othr"})
    decisions = []

    def act() -> None:
        # The run has a deadline here, because it waits for the lock if this one holds it.
        run = threading.Thread(
            daemon=True,
            target=lambda: decisions.append(exporter_of(base).run(other, {"loss": 0.42})),
        )
        run.start()
        run.join(timeout=5)

    evaluate = Evaluator(base, act)
    decision = exporter_of(base).run(better, {"loss": 0.4}, reevaluate=evaluate)
    assert [each.version for each in decisions] == [1001]
    assert (decision.reason, decision.best.version, decision.version) == (R.BETTER, 1001, 1002)
    assert (evaluate.versions, evaluate.was_free) == (["1000", "1001"], [True, False])


def test_the_best_is_edited_during_the_evaluation(base: Path, better: Path):
    # The times of files advance in steps of the kernel's clock.
    time.sleep(0.06)
    evaluate = Evaluator(base, lambda: (base / "1000" / DATA).write_bytes(b"edit"))
    decision = exporter_of(base).run(better, {"loss": 0.4}, reevaluate=evaluate)
    assert evaluate.versions == ["1000", "1000"]
    assert not decision.best.has_record


def test_challengers_are_evaluated_before_the_lock_too(tmp_path: Path):
    world = World(tmp_path)
    world.run("best", {"best": 0.9})
    world.run("xxxx", {"best": 0.9, "xxxx": 0.907})
    was_free = []

    def inspect() -> None:
        with world.exports.lock(timeout_seconds=0.1):
            was_free.append(True)

    decision = world.run("yyyy", {"best": 0.88, "xxxx": 0.889, "yyyy": 0.884}, inspect=inspect)
    assert decision.reason == R.CHALLENGER_BETTER
    assert (world.calls[1:], was_free) == ([("best", "yyyy", "xxxx")], [True])


def test_a_challenger_is_rejected_during_the_evaluation(tmp_path: Path):
    world = World(tmp_path)
    world.run("best", {"best": 0.9})
    digest = world.run("xxxx", {"best": 0.9, "xxxx": 0.907}).candidate.digest

    def inspect() -> None:
        # The second evaluation is made with the lock.
        if len(world.calls) == 1:
            write_rejection(world.exports, digest)

    decision = world.run("yyyy", {"best": 0.88, "xxxx": 0.889, "yyyy": 0.884}, inspect=inspect)
    assert world.calls[1:] == [("best", "yyyy", "xxxx"), ("best", "yyyy")]
    assert not decision.exported
    assert len(decision.challenger_evidence.standings) == 1


def put_on_hold(base: Path, candidate: Path) -> None:
    exports = ExportDirectory(location_of(base))
    with exports.lock():
        exports.operators.write_hold(pb.Hold(action=ACTION))


def reject(base: Path, candidate: Path) -> None:
    write_rejection(ExportDirectory(location_of(base)), digest_of(files_of(candidate)))


def write_rejection(exports: ExportDirectory, digest: str) -> None:
    with exports.lock(timeout_seconds=1):
        exports.operators.write_rejection(pb.Rejection(digest=digest, action=ACTION))


def copy_a_part(base: Path, candidate: Path) -> None:
    (base / "2000").mkdir()
    (base / "2000" / "saved_model.pb").write_bytes(FILES["saved_model.pb"])


def publish(base: Path, candidate: Path) -> None:
    exporter_of(base).run(candidate, {"loss": 0.3})


@pytest.mark.parametrize(
    ("prepare", "blessings", "reason"),
    [
        pytest.param(put_on_hold, (), R.ON_HOLD, id="hold"),
        pytest.param(reject, (), R.REJECTED, id="rejected"),
        pytest.param(copy_a_part, (), R.BEING_WRITTEN, id="being written"),
        pytest.param(publish, (), R.ALREADY_BEST, id="already best"),
        pytest.param(None, (NOT_BLESSED,), R.NOT_BLESSED, id="not blessed"),
    ],
)
def test_nothing_is_evaluated_for_a_decision_that_does_not_need_it(
    base: Path,
    better: Path,
    prepare: Callable[[Path, Path], None] | None,
    blessings: Sequence[Blessing],
    reason: int,
):
    if prepare is not None:
        prepare(base, better)
    evaluate = Evaluator(base)
    decision = exporter_of(base).run(
        better, {"loss": 0.3}, reevaluate=evaluate, blessings=blessings
    )
    assert (decision.reason, evaluate.versions) == (reason, [])


def test_a_best_that_cannot_be_evaluated(base: Path, better: Path):
    calls = []

    def fail(*models: Any, **named: Any) -> Reevaluated:
        calls.append(models)
        raise ValueError("no signature")

    with pytest.raises(RuntimeError, match="REQUIRE_SAME_DATA"):
        exporter_of(base, comparability="REQUIRE_SAME_DATA").run(
            better, {"loss": 0.4}, reevaluate=fail
        )
    # The evaluation before the lock is the only one.
    assert len(calls) == 1
    decision = exporter_of(base).run(better, {"loss": 0.4}, reevaluate=fail)
    assert len(calls) == 2
    assert (decision.reason, decision.basis) == (R.BETTER, R.RECORDED_OTHER_DATA)
    assert [each for each in decision.warnings if each.endswith("ValueError: no signature")]


def test_the_same_models_are_evaluated_once(tmp_path: Path):
    calls = []

    def evaluate(*models: Any, **named: Any) -> Reevaluated:
        calls.append(models)
        return Reevaluated(best=EvalResult.from_mapping({"loss": len(calls)}))

    export, candidate, challenger = (
        location_of(write_files(tmp_path / name)) for name in ("1000", "candidate", "challenger")
    )
    measure = Measurements(evaluate)
    found = [
        measure(export, None),
        measure(export, candidate),
        measure(export, candidate, {"sha256:1": challenger}),
        measure(export, candidate, {"sha256:2": challenger}),
        measure(candidate, None),
    ]
    assert [each.best["loss"] for each in found] == [1, 2, 3, 4, 5]
    # Without challengers, a function of a caller that knows none is not given any.
    assert [len(models) for models in calls] == [2, 2, 3, 3, 2]
    assert measure(export, candidate, {"sha256:1": challenger}) is found[2]
    assert measure(export, None, {}) is found[0]
    # The times of files advance in steps of the kernel's clock.
    time.sleep(0.06)
    (tmp_path / "1000" / DATA).write_bytes(FILES[DATA])
    assert measure(export, None).best["loss"] == 6
