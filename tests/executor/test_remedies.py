"""Every remedy that an error, an explanation or a warning names works when a person follows it.

The texts themselves are pinned in the tests of their modules. Each test here makes a run fail or
keep the best, checks that the text names the remedy, follows it, and runs again.
"""

import gzip
import os
import re
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import kinds_of_models as kinds
from tests.executor.plain import FILES, LaterDisk, read_files, write_files
from tests.model_server import answer
from tfx_best_exporter.executor.deciding.eval_result import EvalResult, MissingMetricError
from tfx_best_exporter.executor.evaluations import tfma
from tfx_best_exporter.executor.evaluations.best import Reevaluated
from tfx_best_exporter.executor.exporter import ModelExporter
from tfx_best_exporter.executor.exports import saved_model
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.records import RECORD_PATH, RecordError
from tfx_best_exporter.executor.exports.saved_model import InvalidModelError
from tfx_best_exporter.executor.exports.versions import MAX_VERSION
from tfx_best_exporter.executor.policies import compare_policy, larger, metric, smaller
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.local import LocalStorage
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import StorageError, Tree
from tfx_best_exporter.proto import best_exporter_pb2 as pb
from tfx_best_exporter.proto import saved_model_pb2

R = pb.ExportDecision
DATA = "variables/variables.data-00000-of-00001"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "base"


@pytest.fixture
def better(tmp_path: Path) -> Path:
    return write_files(tmp_path / "better", {**FILES, DATA: b"good"})


def exporter_of(base: Path, *, disk: LocalStorage | None = None, **policy: Any) -> ModelExporter:
    """Returns an exporter on a disk on which everything was written an hour ago."""
    return ModelExporter(
        Location(disk or LaterDisk(), str(base)),
        compare_policy=compare_policy(smaller("loss"), **policy),
        clock=lambda: 1000.0,
    )


@pytest.fixture
def best(tmp_path: Path, base: Path) -> Path:
    """Returns the directory of version 1000, the best, with a loss of 0.5."""
    exporter_of(base).run(write_files(tmp_path / "best"), {"loss": 0.5})
    return base / "1000"


# The best's evaluation is not known.


def edit(base: Path) -> None:
    (base / "1000" / DATA).write_bytes(b"edit")


def copy_in(base: Path) -> None:
    write_files(base / "2000", {**FILES, DATA: b"hand"})


def lose_the_record(base: Path) -> None:
    (base / "1000" / RECORD_PATH).unlink()


@pytest.mark.parametrize("change", [edit, copy_in, lose_the_record])
@pytest.mark.parametrize("remedy", ["examples", "EXPORT", "EXPORT and PREFER_SAME_DATA"])
def test_an_unknown_best(
    base: Path, best: Path, better: Path, change: Callable[[Path], None], remedy: str
):
    change(base)
    comparability = "REQUIRE_SAME_DATA" if "and" in remedy else "PREFER_SAME_DATA"
    kept = exporter_of(base, comparability=comparability).run(better, {"loss": 0.4})
    assert kept.reason == R.BEST_UNKNOWN_KEPT
    if remedy == "examples":
        assert "pass examples, so that the best is evaluated on them" in kept.explanation
        evaluated: list[Path] = []

        def reevaluate(
            export: Location, candidate: object, challengers: object = ()
        ) -> Reevaluated:
            evaluated.append(Path(export.path))
            return Reevaluated(best=EvalResult.from_mapping({"loss": 0.45}))

        decision = exporter_of(base).run(better, {"loss": 0.4}, reevaluate=reevaluate)
        assert evaluated == [base / str(kept.best.version)]
        assert (decision.reason, decision.basis) == (R.BETTER, R.EVALUATED_AGAIN)
        return
    assert "set compare_policy.on_unknown_best to EXPORT" in kept.explanation
    assert ("compare_policy.comparability to PREFER_SAME_DATA" in kept.explanation) == (
        "and" in remedy
    )
    decision = exporter_of(base, on_unknown_best="EXPORT").run(better, {"loss": 0.4})
    assert (decision.reason, decision.exported) == (R.BEST_UNKNOWN_EXPORTED, True)
    # The setting was for one run: the next one compares with the export again.
    again = exporter_of(base, comparability=comparability).run(best, {"loss": 0.9})
    assert again.reason in (R.NOT_BETTER, R.NOT_COMPARABLE)


@pytest.mark.parametrize("name", ["KEEP", "EXPORT"])
def test_an_unknown_best_that_fails_the_run(base: Path, best: Path, better: Path, name: str):
    copy_in(base)
    with pytest.raises(RuntimeError, match="Set it to KEEP or EXPORT") as caught:
        exporter_of(base, on_unknown_best="FAIL").run(better, {"loss": 0.4})
    assert "on_unknown_best is FAIL" in str(caught.value)
    decision = exporter_of(base, on_unknown_best=name).run(better, {"loss": 0.4})
    assert decision.exported == (name == "EXPORT")


def worse_than_it_looks(export: object, candidate: object, challengers: object = ()) -> Reevaluated:
    return Reevaluated(best=EvalResult.from_mapping({"loss": 100.0}))


@pytest.mark.parametrize("remedy", ["keep the old name", "keep the new name", "EXPORT"])
def test_two_names_of_one_number(base: Path, best: Path, better: Path, remedy: str):
    write_files(base / "01000", {**FILES, DATA: b"hand"})
    # No evaluation is used: a server may load the other one.
    kept = exporter_of(base).run(better, {"loss": 0.4}, reevaluate=worse_than_it_looks)
    assert kept.reason == R.BEST_UNKNOWN_KEPT
    assert "Keep only one of them" in kept.explanation
    assert "repair this version, or set compare_policy.on_unknown_best" in kept.explanation
    assert "examples" not in kept.explanation
    if remedy == "EXPORT":
        decision = exporter_of(base, on_unknown_best="EXPORT").run(better, {"loss": 0.4})
        assert (decision.reason, decision.version) == (R.BEST_UNKNOWN_EXPORTED, 1001)
        return
    shutil.rmtree(base / ("01000" if remedy == "keep the old name" else "1000"))
    decision = exporter_of(base).run(better, {"loss": 0.4})
    is_known = remedy == "keep the old name"
    assert decision.reason == (R.BETTER if is_known else R.BEST_UNKNOWN_KEPT)
    assert decision.best.version == 1000


class Closed(LaterDisk):
    """A disk on which a version cannot be read until a person grants the permission."""

    def __init__(self, path: Path) -> None:
        self.closed = str(path)

    def tree(self, path: str) -> Tree:
        self.check(path)
        return super().tree(path)

    def sizes(self, path: str) -> dict[str, int]:
        self.check(path)
        return super().sizes(path)

    def read(self, path: str, max_bytes: int) -> bytes:
        self.check(path)
        return super().read(path, max_bytes)

    def check(self, path: str) -> None:
        if self.closed and path.startswith(self.closed):
            raise PermissionError(13, "Permission denied", path)


@pytest.mark.parametrize("remedy", ["repair", "EXPORT"])
def test_a_best_that_cannot_be_read(base: Path, best: Path, better: Path, remedy: str):
    disk = Closed(best)
    kept = exporter_of(base, disk=disk).run(better, {"loss": 0.4})
    assert kept.reason == R.BEST_UNKNOWN_KEPT
    assert "Permission denied" in kept.explanation
    assert "repair this version" in kept.explanation
    if remedy == "repair":
        disk.closed = ""
        assert exporter_of(base, disk=disk).run(better, {"loss": 0.4}).reason == R.BETTER
    else:
        exporter = exporter_of(base, disk=disk, on_unknown_best="EXPORT")
        assert exporter.run(better, {"loss": 0.4}).reason == R.BEST_UNKNOWN_EXPORTED


# Versions that cannot be loaded.


@pytest.mark.parametrize("remedy", ["complete it", "wait"])
def test_a_version_that_is_being_written(base: Path, best: Path, better: Path, remedy: str):
    write_files(base / "2000", {"saved_model.pb": FILES["saved_model.pb"]})
    waiting = exporter_of(base, disk=LocalStorage()).run(better, {"loss": 0.4})
    assert waiting.reason == R.BEING_WRITTEN
    assert "until the version is complete, or has not changed for 10 minutes" in waiting.explanation
    if remedy == "complete it":
        write_files(base / "2000", {**FILES, DATA: b"hand"})
        decision = exporter_of(base, disk=LocalStorage()).run(better, {"loss": 0.4})
        assert (decision.reason, decision.best.version) == (R.BEST_UNKNOWN_KEPT, 2000)
    else:
        decision = exporter_of(base).run(better, {"loss": 0.4})
        assert (decision.reason, decision.version) == (R.BETTER, 2001)


@pytest.mark.parametrize("remedy", ["repair", "remove"])
@pytest.mark.parametrize("kind", ["directory", "file", "link"])
def test_a_broken_version_above_the_best(
    base: Path, best: Path, tmp_path: Path, kind: str, remedy: str
):
    path = base / "2000"
    if kind == "directory":
        write_files(path, {"saved_model.pb": FILES["saved_model.pb"]})
    elif kind == "file":
        path.touch()
    else:
        path.symlink_to("nowhere")
    same = tmp_path / "best"
    warned = exporter_of(base).run(same, {"loss": 0.5})
    [warning] = warned.warnings
    assert "version 2000 is broken" in warning
    assert warning.endswith("Repair or remove it.")
    assert (warned.reason, warned.HasField("version")) == (R.ALREADY_BEST, False)
    if kind == "directory":
        shutil.rmtree(path)
    else:
        path.unlink()
    if remedy == "repair":
        shutil.copytree(best, path)
    decision = exporter_of(base).run(same, {"loss": 0.5})
    assert (decision.reason, decision.warnings) == (R.ALREADY_BEST, [])
    assert decision.version == (2000 if remedy == "repair" else 1000)


@pytest.mark.parametrize("remedy", ["repair", "remove"])
def test_an_old_export_that_differs_from_its_record(
    base: Path, best: Path, better: Path, remedy: str
):
    content = (best / DATA).read_bytes()
    assert exporter_of(base).run(better, {"loss": 0.4}).version == 1001
    (best / DATA).write_bytes(b"edit")
    exporter = ModelExporter(Location(LaterDisk(), str(base)), exports_to_keep=1)
    [kept, _] = exporter.retire().kept
    assert kept.why == "different from its record (repair or remove it)"
    if remedy == "repair":
        (best / DATA).write_bytes(content)
        assert [each.version for each in exporter.retire().retired] == [1000]
    else:
        shutil.rmtree(best)
        assert [each.version for each in exporter.retire().kept] == [1001]
    assert not best.exists()


def test_the_largest_number_is_taken(base: Path, best: Path, better: Path):
    shutil.copytree(best, base / str(MAX_VERSION))
    with pytest.raises(ValueError, match="Remove the entry with the largest number") as caught:
        exporter_of(base).run(better, {"loss": 0.4})
    assert ".best_exporter/largest_version" in str(caught.value)
    shutil.rmtree(base / str(MAX_VERSION))
    (base / ".best_exporter" / "largest_version").unlink()
    assert exporter_of(base).run(better, {"loss": 0.4}).version == 1001


def test_a_note_of_the_largest_version_that_cannot_be_read(base: Path, best: Path, better: Path):
    (base / ".best_exporter" / "largest_version").write_text(str(MAX_VERSION))
    with pytest.raises(ValueError, match="largest_version") as caught:
        exporter_of(base).run(better, {"loss": 0.4})
    assert str(MAX_VERSION) in str(caught.value)
    # A damaged note counts as lost, and is written again from the versions that exist.
    (base / ".best_exporter" / "largest_version").write_bytes(b"\xff")
    assert exporter_of(base).run(better, {"loss": 0.4}).version == 1001
    assert (base / ".best_exporter" / "largest_version").read_text() == "1001\n"


# Files in the base directory that cannot be used.


def test_a_record_that_cannot_be_parsed(base: Path, best: Path, better: Path, tmp_path: Path):
    shutil.copy(best / RECORD_PATH, tmp_path / "backup.json")
    (best / RECORD_PATH).write_text("{")
    with pytest.raises(RecordError, match="Restore the file from a backup"):
        exporter_of(base).run(better, {"loss": 0.4})
    shutil.copy(tmp_path / "backup.json", best / RECORD_PATH)
    assert exporter_of(base).run(better, {"loss": 0.4}).reason == R.BETTER


@pytest.mark.parametrize("remedy", ["restore", "remove"])
def test_a_tombstone_that_cannot_be_used(base: Path, best: Path, better: Path, remedy: str):
    ModelExporter(Location(LaterDisk(), str(base)), exports_to_keep=1).run(better, {"loss": 0.4})
    exports = ExportDirectory(location_of(base))
    path = base / ".best_exporter" / "retired" / "1000.json"
    content = path.read_text()
    path.write_text(content.replace('"1000"', '"999"'))
    warnings: list[str] = []
    assert [*exports.tombstones(warnings)] == []
    [warning] = warnings
    assert "Restore the file from a backup, or remove it" in warning
    if remedy == "restore":
        path.write_text(content)
    else:
        path.unlink()
    warnings.clear()
    assert len([*exports.tombstones(warnings)]) == (1 if remedy == "restore" else 0)
    assert warnings == []


@pytest.mark.parametrize("remedy", ["replace", "remove"])
@pytest.mark.parametrize("name", ["", "retired", "staging", "trash", "stamps", "lock"])
def test_a_link_in_the_state_directory(
    base: Path, best: Path, better: Path, tmp_path: Path, name: str, remedy: str
):
    path = base / ".best_exporter" / name
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "target"
    if path.exists():
        path.rename(target)
    else:
        target.mkdir()
    path.symlink_to(target)
    with pytest.raises(StorageError, match="Replace it with what it leads to, or remove it"):
        exporter_of(base).run(better, {"loss": 0.4})
    path.unlink()
    if remedy == "replace":
        target.rename(path)
    decision = exporter_of(base).run(better, {"loss": 0.4})
    assert (decision.reason, decision.version) == (R.BETTER, 1001)


# Arguments.


def test_a_home_directory(tmp_path: Path, better: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ValueError, match="must not begin with '~'") as caught:
        ModelExporter("~/serving")
    remedy = "os.path.expanduser('~/serving')"
    assert remedy in str(caught.value)
    exporter = ModelExporter(os.path.expanduser("~/serving"))
    assert exporter.run(better, {"loss": 0.4}).base_directory == str(tmp_path / "serving")


@pytest.mark.parametrize("name", [".", "serving", "link/serving"])
def test_a_base_directory_in_an_artifact(tmp_path: Path, better: Path, base: Path, name: str):
    (tmp_path / "link").symlink_to(better)
    inside = tmp_path / name if name.startswith("link") else better / name
    with pytest.raises(ValueError, match="Use a directory that only this exporter writes to"):
        ModelExporter(inside).run(better, {"loss": 0.4})
    assert read_files(better) == {**FILES, DATA: b"good"}
    assert ModelExporter(base).run(better, {"loss": 0.4}).exported


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@pytest.mark.parametrize("make", [os.mkfifo, make_socket, Path.mkdir, lambda path: None])
def test_a_source_of_assets_extra_that_is_no_file(
    base: Path, better: Path, tmp_path: Path, make: Callable[[Path], object], monkeypatch: Any
):
    monkeypatch.chdir(tmp_path)
    make(Path("source"))
    source = tmp_path / "source"
    with pytest.raises(ValueError, match="Use the full path of a regular file, or of a link to"):
        ModelExporter(base, assets_extra={"words": str(source)}).run(better, {"loss": 0.4})
    (tmp_path / "file").write_bytes(b"words")
    (tmp_path / "link").symlink_to("file")
    for number, name in enumerate(["file", "link"]):
        exporter = ModelExporter(base, assets_extra={f"words{number}": str(tmp_path / name)})
        exported = exporter.export(better, {"loss": 0.4 - number / 10})
        assert exported is not None
        path = Path(exported) / "assets.extra" / f"words{number}"
        assert (path.read_bytes(), path.is_symlink()) == (b"words", False)


@pytest.mark.parametrize("make", [os.mkfifo, make_socket], ids=["pipe", "socket"])
def test_a_file_of_the_candidate_that_is_no_file(
    base: Path, better: Path, make: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(better)
    make(Path("extra"))
    with pytest.raises(InvalidModelError, match="Remove this entry"):
        ModelExporter(base).run(better, {"loss": 0.4})
    (better / "extra").unlink()
    assert ModelExporter(base).run(better, {"loss": 0.4}).exported


# Evaluations by TFMA.


@pytest.mark.parametrize(
    ("name", "asked", "remedy", "followed"),
    [
        pytest.param(
            "two",
            metric("binary_accuracy"),
            "Set model_name in addition to name",
            metric("binary_accuracy", model_name="a"),
            id="two models without a baseline",
        ),
        pytest.param(
            "outputs",
            metric("binary_accuracy"),
            "Set output_name in addition to name",
            metric("binary_accuracy", output_name="click"),
            id="two outputs",
        ),
        pytest.param(
            "outputs",
            metric("recall", output_name="kind"),
            "Set sub_key (class_id, k or top_k) in addition to name",
            metric("recall", output_name="kind", class_id=0),
            id="several classes",
        ),
        pytest.param(
            "single",
            metric("binary_accuracy"),
            "Set example_weighted in addition to name",
            metric("binary_accuracy", example_weighted=True),
            id="weighted and unweighted",
        ),
        pytest.param(
            "small",
            metric("recall"),
            "set one in Evaluator's EvalConfig",
            None,
            id="several thresholds",
        ),
        pytest.param(
            "single",
            metric("auc"),
            "Use one of these",
            metric("mean_label"),
            id="a metric that is not there",
        ),
    ],
)
def test_a_metric_that_is_not_found(
    base: Path,
    better: Path,
    evaluations: dict[str, Path],
    name: str,
    asked: pb.MetricKey,
    remedy: str,
    followed: pb.MetricKey | None,
):
    exporter = ModelExporter(base, compare_policy=compare_policy(larger(asked)))
    with pytest.raises(MissingMetricError, match=re.escape(remedy)):
        exporter.run(better, tfma.from_tfma(evaluations[name]))
    if followed is None:
        # The EvalConfig has one threshold now.
        followed, name = asked, "not_small"
    exporter = ModelExporter(base, compare_policy=compare_policy(larger(followed)))
    assert exporter.run(better, tfma.from_tfma(evaluations[name])).reason == R.FIRST_EXPORT


def compress(path: Path) -> None:
    path.write_bytes(gzip.compress(path.read_bytes()))


def write_parquet(path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    path.unlink()
    table = pa.table({"serialized_value": [b"1"]})
    parquet.write_table(table, path.with_name("metrics-00000-of-00001.parquet"))


def evaluate_twice(path: Path) -> None:
    shutil.copy(path, path.with_name("metrics-00001-of-00002.tfrecord"))


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        (compress, "do not compress the files"),
        (write_parquet, "Leave TFMA's output_file_format at its default"),
        (evaluate_twice, "Evaluate the candidate again, into an empty directory"),
    ],
)
def test_an_evaluation_that_cannot_be_read(
    base: Path,
    better: Path,
    tmp_path: Path,
    evaluations: dict[str, Path],
    change: Callable[[Path], None],
    remedy: str,
):
    evaluation_path = shutil.copytree(evaluations["not_small"], tmp_path / "evaluation")
    change(next(evaluation_path.glob("metrics-*")))
    with pytest.raises(ValueError, match=re.escape(remedy)):
        tfma.from_tfma(evaluation_path)
    # Evaluator writes it again, into an empty directory and with its defaults.
    shutil.rmtree(evaluation_path)
    shutil.copytree(evaluations["not_small"], evaluation_path)
    exporter = ModelExporter(base, compare_policy=compare_policy(larger("recall")))
    assert exporter.run(better, tfma.from_tfma(evaluation_path)).exported


# Models that a server cannot run.


def test_a_model_without_the_tag_of_servers(base: Path, better: Path):
    message = saved_model_pb2.SavedModel.FromString(FILES["saved_model.pb"])
    message.meta_graphs[0].meta_info_def.tags[:] = ["train"]
    (better / "saved_model.pb").write_bytes(message.SerializeToString())
    with pytest.raises(InvalidModelError, match=r"tf\.saved_model\.save or model\.export\(path\)"):
        ModelExporter(base).run(better, {"loss": 0.4})
    (better / "saved_model.pb").write_bytes(FILES["saved_model.pb"])
    assert ModelExporter(base).run(better, {"loss": 0.4}).exported


@pytest.fixture(scope="module")
def unservable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "unservable"
    kinds.save_keras_by_tensorflow(path)
    return path


@pytest.mark.parametrize(
    "save", [kinds.export_keras, kinds.archive_keras], ids=["model.export", "ExportArchive"]
)
def test_a_keras_model_that_is_refused(
    base: Path, tmp_path: Path, unservable: Path, save: Callable[[Path], None]
):
    exporter = ModelExporter(base, unservable="refuse")
    with pytest.raises(InvalidModelError) as caught:
        exporter.run(unservable, {"loss": 0.5})
    assert "model.export(path) or keras.export.ExportArchive instead of" in str(caught.value)
    save(tmp_path / "model")
    decision = exporter.run(tmp_path / "model", {"loss": 0.5})
    assert (decision.reason, decision.warnings) == (R.FIRST_EXPORT, [])
    exported = base / str(decision.version)
    marker = {"saved_model.pb": location_of(exported / "saved_model.pb")}
    [name] = saved_model.signatures_of(marker)["serving_default"].inputs
    [values] = answer(exported, {name: [[3.0]]}).values()
    assert values == [[6.0]]


def test_a_served_model_that_no_server_can_run(base: Path, tmp_path: Path, unservable: Path):
    """The warning about a best says that a better or the same model replaces it."""
    shutil.copytree(unservable, base / "7")
    worse = ModelExporter(base).run(unservable, {"loss": 0.5})
    assert (worse.reason, worse.exported) == (R.REEXPORTED, True)
    assert [each for each in worse.warnings if "of the same model, replaces it" in each]
    assert answer(base / str(worse.version), {"x": [[3.0]]}) == {"y": [[6.0]]}
    again = ModelExporter(base).run(unservable, {"loss": 0.5})
    assert again.reason == R.ALREADY_BEST
    assert not [each for each in again.warnings if "the best" in each]
