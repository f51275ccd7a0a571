"""The parts of the best that a run reads, where a person has copied, edited or linked versions."""

import os
import shutil
from pathlib import Path

import pytest

from tests.executor.plain import FILES, LaterDisk, read_files, write_files
from tfx_best_exporter.executor.deciding.eval_result import EvalResult
from tfx_best_exporter.executor.exporter import ForeignBest, ModelExporter
from tfx_best_exporter.executor.policies import compare_policy, smaller
from tfx_best_exporter.executor.storage.local import LocalStorage
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import Tree
from tfx_best_exporter.proto import best_exporter_pb2 as pb

R = pb.ExportDecision
DATA = "variables/variables.data-00000-of-00001"


@pytest.fixture
def base_path(tmp_path: Path) -> Path:
    return tmp_path / "base"


def exporter_of(base_path: Path, disk: LocalStorage | None = None) -> ModelExporter:
    return ModelExporter(
        Location(disk or LaterDisk(), str(base_path)),
        compare_policy=compare_policy(smaller("loss")),
        exports_to_keep=None,
        clock=lambda: 1000.0,
    )


@pytest.fixture
def best_path(tmp_path: Path, base_path: Path) -> Path:
    """Returns the directory of version 1000, the best, with a loss of 0.5."""
    exporter_of(base_path).run(write_files(tmp_path / "best"), {"loss": 0.5})
    return base_path / "1000"


@pytest.fixture
def better_path(tmp_path: Path) -> Path:
    return write_files(tmp_path / "better", {**FILES, DATA: b"good"})


@pytest.mark.parametrize(
    ("name", "version"),
    [("00002000", 2000), ("+2000", 2000), (" 2000", 2000), ("2000\n", 2000), ("2000", 2000)],
    ids=["zeros", "sign", "blank", "line feed", "canonical"],
)
@pytest.mark.parametrize("kind", ["directory", "link"])
def test_a_foreign_best_of_any_name(
    base_path: Path,
    best_path: Path,
    better_path: Path,
    tmp_path: Path,
    name: str,
    version: int,
    kind: str,
):
    foreign_path = write_files(tmp_path / "foreign", {**FILES, DATA: b"fore"})
    if kind == "link":
        (base_path / name).symlink_to(foreign_path)
    else:
        foreign_path.rename(base_path / name)
    left = read_files(base_path / name)
    decision = exporter_of(base_path).run(better_path, {"loss": 0.1})
    assert (decision.reason, decision.exported) == (R.BEST_UNKNOWN_KEPT, False)
    assert (decision.best.version, decision.best.has_record) == (version, False)
    assert decision.best.path == str(base_path / name)
    # The same model as that of the foreign best is served already.
    same_path = write_files(tmp_path / "same", {**FILES, DATA: b"fore"})
    decision = exporter_of(base_path).run(
        same_path, {"loss": 0.1}, pushed_model_path=tmp_path / "pushed_model"
    )
    assert (decision.reason, decision.version) == (R.ALREADY_BEST, version)
    assert read_files(tmp_path / "pushed_model") == read_files(base_path / name) == left
    # Its evaluation may be known from elsewhere.
    known = ForeignBest(version=version, eval_result=EvalResult.from_mapping({"loss": 0.2}))
    decision = exporter_of(base_path).run(better_path, {"loss": 0.1}, foreign_best=known)
    assert (decision.reason, decision.version) == (R.BETTER, version + 1)
    # The serving signatures of the best were read.
    assert decision.warnings == []
    assert read_files(base_path / name) == left


def test_a_best_whose_content_was_edited(base_path: Path, best_path: Path, better_path: Path):
    (best_path / DATA).write_bytes(b"edit")
    # The lineage of the version is that of the content before the edit.
    known = ForeignBest(version=1000, eval_result=EvalResult.from_mapping({"loss": 0.2}))
    decision = exporter_of(base_path).run(better_path, {"loss": 0.1}, foreign_best=known)
    assert (decision.reason, decision.exported) == (R.BEST_UNKNOWN_KEPT, False)
    assert (decision.best.version, decision.best.has_record) == (1000, False)
    assert not decision.best.HasField("evaluation")
    assert DATA in decision.explanation


def test_a_best_whose_edit_was_undone(base_path: Path, best_path: Path, better_path: Path):
    content = (best_path / DATA).read_bytes()
    (best_path / DATA).write_bytes(b"edit")
    exporter_of(base_path).run(better_path, {"loss": 0.1})
    (best_path / DATA).write_bytes(content)
    decision = exporter_of(base_path).run(better_path, {"loss": 0.1})
    assert (decision.reason, decision.best.version) == (R.BETTER, 1000)


@pytest.mark.parametrize("kind", ["directory", "link", "file"])
def test_two_names_of_one_number(base_path: Path, best_path: Path, better_path: Path, kind: str):
    other_path = base_path / "01000"
    if kind == "directory":
        shutil.copytree(best_path, other_path)
    elif kind == "link":
        other_path.symlink_to("1000")
    else:
        other_path.touch()
    decision = exporter_of(base_path).run(better_path, {"loss": 0.1})
    assert (decision.reason, decision.exported) == (R.BEST_UNKNOWN_KEPT, False)
    assert "'01000' and '1000'" in decision.explanation


def test_a_best_that_cannot_be_read_is_not_absent(
    base_path: Path, best_path: Path, better_path: Path
):
    class Closed(LaterDisk):
        def tree(self, path: str) -> Tree:
            if path == str(best_path):
                raise PermissionError(13, "Permission denied", path)
            return super().tree(path)

    decision = exporter_of(base_path, Closed()).run(better_path, {"loss": 0.1})
    assert (decision.reason, decision.best.version) == (R.BEST_UNKNOWN_KEPT, 1000)
    assert "Permission denied" in decision.explanation


def test_version_0_is_a_version(base_path: Path, tmp_path: Path, better_path: Path):
    write_files(base_path / "0")
    decision = exporter_of(base_path).run(better_path, {"loss": 0.1})
    assert decision.reason == R.BEST_UNKNOWN_KEPT
    assert decision.HasField("best")
    assert (decision.best.version, decision.HasField("version")) == (0, False)
    same_path = write_files(tmp_path / "same")
    decision = exporter_of(base_path).run(same_path, {"loss": 0.1})
    assert decision.reason == R.ALREADY_BEST
    assert (decision.HasField("version"), decision.version) == (True, 0)
    assert exporter_of(base_path).export(same_path, {"loss": 0.1}) == str(base_path / "0")


@pytest.mark.parametrize("is_later", [False, True], ids=["at once", "an hour later"])
def test_nothing_but_unfinished_versions(base_path: Path, better_path: Path, is_later: bool):
    write_files(base_path / "5", {"saved_model.pb": FILES["saved_model.pb"]})
    (base_path / "6").mkdir()
    disk = LaterDisk() if is_later else LocalStorage()
    decision = exporter_of(base_path, disk).run(better_path, {"loss": 0.1})
    if is_later:
        assert (decision.reason, decision.version) == (R.FIRST_EXPORT, 1000)
        assert [each[:9] for each in decision.warnings] == ["version 6", "version 5"]
    else:
        assert (decision.reason, decision.exported) == (R.BEING_WRITTEN, False)
        assert not decision.HasField("best")
    assert os.listdir(base_path / "6") == []
