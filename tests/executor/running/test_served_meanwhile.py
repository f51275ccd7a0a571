"""A person serves another model while a run decides and uploads: the decision is made again."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.executor.bucket import Bucket
from tests.executor.plain import FILES, read_files, write_files
from tests.faults.storages import Step, SteppedStorage
from tfx_best_exporter.executor.exporter import ModelExporter
from tfx_best_exporter.executor.exports.records import RECORD_PATH
from tfx_best_exporter.executor.exports.versions import ServedChangedError
from tfx_best_exporter.executor.policies import compare_policy, smaller
from tfx_best_exporter.executor.storage.local import LocalStorage
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import Storage
from tfx_best_exporter.proto import best_exporter_pb2 as pb

R = pb.ExportDecision
DATA = "variables/variables.data-00000-of-00001"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "base"


@pytest.fixture(params=["disk", "store"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return LocalStorage() if request.param == "disk" else Bucket(tmp_path)


def exporter_of(storage: Storage, base: Path, act: Callable[[], object] | None) -> ModelExporter:
    """Returns an exporter; a person acts while it copies the weights."""

    def before(step: Step) -> None:
        if act is not None and step.name in ("upload", "copy") and step.path.endswith(DATA):
            act()

    return ModelExporter(
        Location(SteppedStorage(storage, before=before), str(base)),
        compare_policy=compare_policy(smaller("loss")),
        clock=lambda: 1000.0,
    )


@pytest.fixture
def better(storage: Storage, base: Path, tmp_path: Path) -> Path:
    """Returns a better model than version 1000, the best."""
    first = write_files(tmp_path / "first")
    assert exporter_of(storage, base, None).run(first, {"loss": 0.5}).version == 1000
    # The times of files advance in steps of the kernel's clock.
    time.sleep(0.06)
    return write_files(tmp_path / "better", {**FILES, DATA: b"good"})


def a_version_appears(base: Path) -> None:
    write_files(base / "5000", {**FILES, DATA: b"hand"})


def the_best_is_edited(base: Path) -> None:
    (base / "1000" / DATA).write_bytes(b"hand")


def the_best_is_replaced(base: Path) -> None:
    shutil.rmtree(base / "1000")
    write_files(base / "1000", {**FILES, DATA: b"hand"})


@pytest.mark.parametrize("act", [a_version_appears, the_best_is_edited, the_best_is_replaced])
def test_another_model_is_served_meanwhile(
    storage: Storage, base: Path, better: Path, act: Callable[[Path], None]
):
    actions = iter([act])
    exporter = exporter_of(
        storage, base, lambda: next(actions, lambda _: pytest.fail("again"))(base)
    )
    decision = exporter.run(better, {"loss": 0.4})
    # The first decision was about another best. The one that is served now has no known evaluation.
    assert (decision.reason, decision.exported) == (R.BEST_UNKNOWN_KEPT, False)
    assert decision.best.version == (5000 if act is a_version_appears else 1000)
    assert (base / str(decision.best.version) / DATA).read_bytes() == b"hand"
    left = {name.partition("/")[0] for name in read_files(base)}
    assert left <= {"1000", "5000", ".best_exporter"}
    assert read_files(base / ".best_exporter" / "staging") == {}


def test_the_best_disappears_meanwhile(storage: Storage, base: Path, better: Path):
    write_files(base / "900", {**FILES, DATA: b"hand"})
    actions = iter([lambda: shutil.rmtree(base / "1000")])
    decision = exporter_of(storage, base, lambda: next(actions, lambda: None)()).run(
        better, {"loss": 0.4}
    )
    assert (decision.reason, decision.best.version) == (R.BEST_UNKNOWN_KEPT, 900)


def copies(base: Path) -> Iterator[int]:
    """Copies version 1000 with its record to larger numbers, again and again."""
    files = read_files(base / "1000")
    for version in range(2000, 9000, 100):
        write_files(base / str(version), files)
        yield version


def test_another_model_is_served_again_and_again(storage: Storage, base: Path, better: Path):
    person = copies(base)
    with pytest.raises(ServedChangedError) as caught:
        exporter_of(storage, base, lambda: next(person)).run(better, {"loss": 0.4})
    assert str(caught.value) == (
        f"cannot publish to {Location(storage, str(base))}: version 2400 has appeared since the"
        " decision. Nothing was published. Run again."
    )
    # The remedy: no person writes to the base directory during the next run.
    decision = exporter_of(storage, base, None).run(better, {"loss": 0.4})
    assert (decision.reason, decision.best.version) == (R.BETTER, 2400)
    assert RECORD_PATH in read_files(base / "2400")
