"""Each operation, killed before each of its steps: the next writer, or the same command, finishes.

The process is simulated here; tests/faults/test_operations.py kills real ones.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.executor import plain
from tests.executor.bucket import Bucket, KilledError
from tests.executor.operating.desk import NOW, WHO, Desk
from tests.faults.reader import is_loadable, version_of
from tests.faults.storages import Step, SteppedStorage
from tfx_best_exporter.executor import policies
from tfx_best_exporter.executor.deciding.eval_result import EvalResult
from tfx_best_exporter.executor.exporter import ModelExporter
from tfx_best_exporter.executor.exports import retention
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.retention_rules import KeepLatest
from tfx_best_exporter.executor.operating.adopting import adopt
from tfx_best_exporter.executor.operating.approving import approve
from tfx_best_exporter.executor.operating.holding import hold, release
from tfx_best_exporter.executor.operating.operation import OperationError
from tfx_best_exporter.executor.operating.pinning import pin, unpin
from tfx_best_exporter.executor.operating.promoting import promote
from tfx_best_exporter.executor.operating.rejecting import reject, unreject
from tfx_best_exporter.executor.operating.restoring import restore
from tfx_best_exporter.executor.operating.retiring import retire
from tfx_best_exporter.executor.operating.rollback import rollback
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.local import LocalStorage
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import LeaseLostError
from tfx_best_exporter.proto import best_exporter_pb2 as pb

EVALUATION = EvalResult.from_mapping({"loss": 0.5})
KEEP_ONE = retention.Policy(rules=(KeepLatest(count=1),))


def nothing(desk: Desk) -> None:
    """Prepares nothing."""


def staged(desk: Desk) -> None:
    """Stages a candidate."""
    policy = policies.compare_policy(policies.smaller("loss"))
    policy.approval = pb.ComparePolicy.REQUIRED
    exporter = ModelExporter(
        desk.exports.base, compare_policy=policy, exports_to_keep=None, clock=lambda: NOW
    )
    exporter.run(desk.model("staged"), {"loss": 0.1})


@dataclasses.dataclass(frozen=True)
class Case:
    """An operation on a base directory with the versions 7, 8 and 9.

    Attributes:
        act: The operation.
        prepare: Changes the base directory before.
    """

    act: Callable[[Desk, ExportDirectory], Any]
    prepare: Callable[[Desk], Any] = nothing


CASES = {
    "rollback": Case(lambda _, exports: rollback(exports, **WHO)),
    "rollback to": Case(lambda _, exports: rollback(exports, to=7, hold_seconds=60.0, **WHO)),
    "restore": Case(
        lambda _, exports: restore(exports, 9, **WHO), lambda desk: rollback(desk.exports, **WHO)
    ),
    "hold": Case(lambda _, exports: hold(exports, **WHO)),
    "release": Case(
        lambda _, exports: release(exports, **WHO), lambda desk: hold(desk.exports, **WHO)
    ),
    "reject": Case(lambda _, exports: reject(exports, 8, **WHO)),
    "unreject": Case(
        lambda _, exports: unreject(exports, 8, **WHO), lambda desk: reject(desk.exports, 8, **WHO)
    ),
    "pin": Case(lambda _, exports: pin(exports, 8, **WHO)),
    "unpin": Case(
        lambda _, exports: unpin(exports, 8, **WHO), lambda desk: pin(desk.exports, 8, **WHO)
    ),
    "promote": Case(
        lambda desk, exports: promote(
            exports, location_of(desk.model("hotfix")), EVALUATION, hold_seconds=60.0, **WHO
        )
    ),
    "adopt": Case(
        lambda _, exports: adopt(exports, 12, EVALUATION, **WHO),
        lambda desk: desk.push("12", "pushed"),
    ),
    "approve": Case(lambda desk, exports: approve(exports, desk.digest("staged"), **WHO), staged),
    "retire": Case(lambda _, exports: retire(exports, KEEP_ONE, **WHO)),
    "retire withdrawn": Case(
        lambda _, exports: retire(exports, None, withdrawn=True, **WHO),
        lambda desk: rollback(desk.exports, to=7, **WHO),
    ),
}


class Process:
    """Dies right before a step, and makes no step after that; looks at what is served before."""

    def __init__(self, base_path: Path, number: int | None):
        self._base_path = base_path
        self._number = number
        self._steps = 0
        self._is_dead = False
        self.served: list[str] = []

    def __call__(self, _: Step | str) -> None:
        self.served.append(served_model(self._base_path))
        if self._is_dead or self._steps == self._number:
            self._is_dead = True
            raise KilledError
        self._steps += 1


def served_model(base_path: Path) -> str:
    """Returns the name of the model that a server serves."""
    versions = {
        number: path
        for path in base_path.iterdir()
        if (number := version_of(path.name)) is not None and is_loadable(path)
    }
    return (versions[max(versions)] / "assets/words.txt").read_text()


def base_of(is_disk: bool, directory: Path, process: Process | None) -> Location:
    """Returns the base directory as a process sees it; None for one that lives."""
    if is_disk:
        storage = LocalStorage()
        if process is not None:
            return Location(SteppedStorage(storage, before=process), str(directory / "base"))
        return Location(storage, str(directory / "base"))
    bucket = Bucket(directory)
    if process is not None:
        bucket.before = process
    return bucket.location("base")


def state_of(desk: Desk) -> dict[str, Any]:
    """Returns the state of a base directory, without version numbers of new versions."""
    state = desk.state
    records = [
        desk.exports.record(export) if desk.exports.has_record(export) else None
        for export in desk.exports.exports()
    ]
    return {
        "models": [served_model_of(export.location) for export in desk.exports.exports()],
        "records": [
            record and (record.HasField("promotion"), record.HasField("approval"))
            for record in records
        ],
        "problems": [
            desk.exports.verify(export)
            for export, record in zip(desk.exports.exports(), records, strict=True)
            if record
        ],
        "withdrawn": {version: each.state for version, each in state.withdrawn.items()},
        "rejected": {*state.rejected},
        "pins": {*state.pins},
        "hold": state.hold,
        "awaiting": state.awaiting,
        "retired": [each.record.version for each in desk.exports.tombstones()],
        "leftovers": sorted(
            path
            for path in desk.files
            if path.split("/")[1:2]
            and path.split("/")[1] in ("staging", "trash")
            and not path.endswith("/claim.json")
        ),
    }


def served_model_of(location: Location) -> str:
    return (location / "assets/words.txt").read(100).decode()


@pytest.mark.slow
@pytest.mark.parametrize("is_disk", [True, False], ids=["disk", "bucket"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_killed_at_every_step(case: Case, is_disk: bool, tmp_path: Path) -> None:
    before = Desk(base_of(is_disk, tmp_path / "before", None), tmp_path)
    for version in (7, 8, 9):
        before.publish(version, evaluation=EVALUATION.to_proto())
    case.prepare(before)
    start = state_of(before)
    served_before = served_model(tmp_path / "before/base")

    def attempt(name: str, number: int | None) -> tuple[Desk, Process, bool]:
        """Returns a copy of the base directory after the operation, or after its death."""
        shutil.copytree(tmp_path / "before", tmp_path / name)
        process = Process(tmp_path / name / "base", number)
        exports = ExportDirectory(base_of(is_disk, tmp_path / name, process))
        is_killed = False
        try:
            case.act(before, exports)
        except KilledError:
            is_killed = True
        return Desk(base_of(is_disk, tmp_path / name, None), tmp_path), process, is_killed

    whole, process, _ = attempt("whole", None)
    end = state_of(whole)
    served_after = served_model(tmp_path / "whole/base")
    assert end != start or case.act is CASES["adopt"].act
    number = 0
    while True:
        name = str(number)
        desk, process, is_killed = attempt(name, number)
        if not is_killed:
            break
        # At no moment another model is served than before or after the operation.
        assert {*process.served} <= {served_before, served_after}
        plain.recover(desk.exports)
        assert served_model(tmp_path / name / "base") in (served_before, served_after)
        if state_of(desk) != end:
            try:
                case.act(desk, desk.exports)
            except OperationError:
                # An approved or promoted model is served, and only the end was not reached.
                assert served_model(tmp_path / name / "base") == served_after
        found = state_of(desk)
        if found != end:
            # A staged copy of a model that is served expires.
            assert case is CASES["approve"]
            assert {**found, "awaiting": None} == {**end, "awaiting": None}
        shutil.rmtree(tmp_path / name)
        number += 1
    # The file of the operator and the log.
    assert number >= 2


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_lost_lock_changes_nothing(case: Case, tmp_path: Path) -> None:
    """Another writer takes over right after the repair."""
    desk = Desk(base_of(False, tmp_path / "desk", None), tmp_path)
    for version in (7, 8, 9):
        desk.publish(version, evaluation=EVALUATION.to_proto())
    case.prepare(desk)
    before = desk.files
    bucket = Bucket(tmp_path / "desk")
    exports = ExportDirectory(bucket.location("base"))
    recover = exports.recover

    def recovered() -> tuple[str, ...]:
        result = recover()
        bucket.lease = None
        return result

    exports.recover = recovered
    with pytest.raises(LeaseLostError):
        case.act(desk, exports)
    assert desk.files == before
