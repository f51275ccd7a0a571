import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import kinds_of_models as kinds
from tests.executor.plain import read_files
from tests.model_server import answer
from tfx_best_exporter.executor.deciding.models import Blessing, BlessingStatus
from tfx_best_exporter.executor.exporter import ModelExporter
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.records import RECORD_PATH
from tfx_best_exporter.executor.exports.saved_model import InvalidModelError
from tfx_best_exporter.executor.exports.servable import Kind
from tfx_best_exporter.executor.policies import compare_policy, smaller
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.local import LocalStorage
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.proto import best_exporter_pb2 as pb

R = pb.ExportDecision
NOT_BLESSED = Blessing(name="model_blessing", uri="/5", status=BlessingStatus.NOT_BLESSED)

Model = Callable[[Callable[[Path], None]], Path]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Returns a function that returns the path of a model of a kind; tests must not change it."""
    directory = tmp_path_factory.mktemp("models")

    def model_of(save: Callable[[Path], None]) -> Path:
        path = directory / save.__name__
        if not path.exists():
            save(path)
        return path

    return model_of


@pytest.fixture
def base_path(tmp_path: Path) -> Path:
    return tmp_path / "base"


def export(
    base_path: Path, path: Path, loss: float = 0.5, blessings: Any = (), **kwargs: Any
) -> pb.ExportDecision:
    decision = ModelExporter(base_path, **kwargs).run(path, {"loss": loss}, blessings=blessings)
    return decision.message


def record_of(base_path: Path, version: int) -> pb.ExportRecord:
    exports = ExportDirectory(location_of(base_path))
    [export] = (each for each in exports.exports() if each.version == version)
    assert exports.verify(export) == []
    return exports.record(export)


def add_signature(loaded: Any) -> dict[str, Any]:
    return dict.fromkeys(("serving_default", "again"), loaded.signatures["serving_default"])


def test_an_unservable_candidate_is_exported_saved_again(base_path: Path, model: Model):
    path = model(kinds.save_keras_by_tensorflow)
    before = read_files(path)
    decision = export(base_path, path)
    assert (decision.reason, decision.exported) == (R.FIRST_EXPORT, True)
    assert answer(base_path / str(decision.version), {"x": [[3.0]]}) == {"y": [[6.0]]}
    record = record_of(base_path, decision.version)
    assert record.servable_checked
    assert record.recipe == pb.Recipe(resaved=True)
    assert read_files(path) == before
    # The warning is in the record of the export too.
    for message in (decision, record.decision):
        [warning] = message.warnings
        assert "'dense/bias', 'dense/kernel'" in warning
        assert "model.export(path) or keras.export.ExportArchive" in warning
    assert export(base_path, path).reason == R.ALREADY_BEST


def test_a_servable_candidate_is_exported_as_it_is(base_path: Path, model: Model):
    path = model(kinds.archive_keras)
    decision = export(base_path, path)
    record = record_of(base_path, decision.version)
    assert record.servable_checked
    assert record.HasField("recipe")
    assert record.recipe == pb.Recipe()
    assert not decision.warnings
    exported = read_files(base_path / str(decision.version))
    assert {name: exported[name] for name in read_files(path)} == read_files(path)


def test_an_unservable_candidate_is_refused_on_request(base_path: Path, model: Model):
    served = export(base_path, model(kinds.save_module), exports_to_keep=1)
    before = read_files(base_path)
    path = model(kinds.save_keras_by_tensorflow)
    for loss in (0.1, 0.9):
        with pytest.raises(InvalidModelError) as caught:
            export(base_path, path, loss, unservable="refuse", exports_to_keep=1)
        assert str(path) in str(caught.value)
        assert "'dense/bias', 'dense/kernel'" in str(caught.value)
        assert str(caught.value).endswith(Kind.UNSET_VARIABLES.value)
    with pytest.raises(InvalidModelError):
        ModelExporter(base_path, unservable="refuse").decide(path, {"loss": 0.1})
    assert read_files(base_path) == before
    # A candidate that is not blessed is not read.
    decision = export(base_path, path, blessings=[NOT_BLESSED], unservable="refuse")
    assert (decision.reason, decision.best.version) == (R.NOT_BLESSED, served.version)


@pytest.mark.parametrize("unservable", ["resave", "refuse"])
@pytest.mark.parametrize("sign", [None, add_signature], ids=["own signatures", "new signatures"])
def test_a_missing_asset_is_refused(
    base_path: Path, tmp_path: Path, model: Model, unservable: str, sign: Any
):
    served = export(base_path, model(kinds.save_module))
    path = shutil.copytree(model(kinds.save_words), tmp_path / "model")
    (path / "assets" / "words.txt").unlink()
    with pytest.raises(InvalidModelError, match=r"assets/words\.txt is missing") as caught:
        export(base_path, path, 0.1, unservable=unservable, serving_signatures_fn=sign)
    assert str(caught.value).endswith(Kind.MISSING_FILE.value)
    assert [each.name for each in base_path.glob("[0-9]*")] == [str(served.version)]
    # The remedy of the error works.
    shutil.copy(model(kinds.save_words) / "assets" / "words.txt", path / "assets")
    policy = compare_policy(smaller("loss"), allow_signature_change=True)
    decision = export(base_path, path, 0.1, compare_policy=policy)
    assert answer(base_path / str(decision.version), {"x": [b"setosa"]}) == {"y": [1]}


def test_a_model_without_signatures_needs_new_ones(base_path: Path, tmp_path: Path):
    import tensorflow as tf

    module: Any = tf.Module()
    module.two = tf.Variable(tf.constant(2.0))
    tf.saved_model.save(module, str(tmp_path / "model"))
    with pytest.raises(InvalidModelError, match="defines no serving signature") as caught:
        export(base_path, tmp_path / "model")
    assert str(caught.value).endswith(Kind.NO_SIGNATURE.value)
    assert not base_path.exists()

    def sign(loaded: Any) -> dict[str, Any]:
        spec = tf.TensorSpec([None], tf.float32, name="x")
        function = tf.function(lambda x: {"y": loaded.two * x}, input_signature=[spec])
        return {"serving_default": function}

    decision = export(base_path, tmp_path / "model", serving_signatures_fn=sign)
    assert answer(base_path / str(decision.version), {"x": [3.0]}) == {"y": [6.0]}


def test_new_signatures_heal_an_unservable_candidate(base_path: Path, model: Model):
    path = model(kinds.save_keras_by_tensorflow)
    decision = export(
        base_path, path, serving_signatures_fn=add_signature, unservable="refuse", as_text=True
    )
    assert not decision.warnings
    exported = base_path / str(decision.version)
    assert answer(exported, {"x": [[3.0]]}, "again") == {"y": [[6.0]]}
    assert record_of(base_path, decision.version).recipe == pb.Recipe(
        as_text=True, serving_signatures_fn=f"{__name__}.add_signature"
    )


def test_decide_reports_that_a_model_would_be_saved_again(base_path: Path, model: Model):
    path = model(kinds.save_keras_by_tensorflow)
    decision = ModelExporter(base_path).decide(path, {"loss": 0.5})
    assert decision.exported
    [warning] = decision.warnings
    assert "An export of it is saved again" in warning
    assert not base_path.exists()


# The same model.


def test_another_recipe_makes_another_export(base_path: Path, tmp_path: Path, model: Model):
    path = model(kinds.save_module)
    first = export(base_path, path)
    extra = tmp_path / "warmup"
    extra.write_bytes(b"1")
    assets: dict[str, Any] = {"assets_extra": {"tf_serving_warmup_requests": str(extra)}}
    for kwargs in (
        {"as_text": True},
        assets,
        {**assets, "serving_signatures_fn": add_signature},
    ):
        # Metrics do not matter: it is the same model.
        decision = export(base_path, path, 0.9, **kwargs)
        assert (decision.reason, decision.exported) == (R.REEXPORTED, True)
        assert decision.version > decision.best.version >= first.version
        assert export(base_path, path, 0.1, **kwargs).reason == R.ALREADY_BEST
    extra.write_bytes(b"2")
    kwargs = {**assets, "serving_signatures_fn": add_signature}
    assert export(base_path, path, 0.9, **kwargs).reason == R.REEXPORTED
    assert export(base_path, path, 0.9, **kwargs).reason == R.ALREADY_BEST
    decision = export(base_path, path, blessings=[NOT_BLESSED])
    assert decision.reason == R.NOT_BLESSED
    # The signature "again" would be removed.
    assert export(base_path, path).reason == R.SIGNATURES_CHANGED


def test_a_record_of_an_earlier_release_equals_any_recipe(base_path: Path, model: Model):
    path = model(kinds.save_module)
    version = export(base_path, path).version
    record_path = base_path / str(version) / RECORD_PATH
    content = json.loads(record_path.read_text())
    del content["recipe"], content["servable_checked"]
    record_path.write_text(json.dumps(content))
    assert not record_of(base_path, version).HasField("recipe")
    decision = export(base_path, path, as_text=True)
    assert (decision.reason, decision.version) == (R.ALREADY_BEST, version)


def test_a_served_model_that_no_server_can_run(base_path: Path, model: Model):
    """Covers Pusher, which copies a candidate as it is."""
    path = model(kinds.save_keras_by_tensorflow)
    shutil.copytree(path, base_path / "7")
    policy = compare_policy(smaller("loss"), on_unknown_best="KEEP")
    other = export(base_path, model(kinds.save_module), 0.1, compare_policy=policy)
    assert other.reason == R.BEST_UNKNOWN_KEPT
    assert any("cannot run the best (version 7)" in warning for warning in other.warnings)
    decision = export(base_path, path)
    assert (decision.reason, decision.best.version) == (R.REEXPORTED, 7)
    assert answer(base_path / str(decision.version), {"x": [[3.0]]}) == {"y": [[6.0]]}
    again = export(base_path, path)
    assert again.reason == R.ALREADY_BEST
    assert not any("cannot run the best" in warning for warning in again.warnings)


class ReadFiles(LocalStorage):
    """A disk that records the files that are read whole."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    def read(self, path: str, max_bytes: int) -> bytes:
        self.paths.append(path)
        return super().read(path, max_bytes)


def test_the_export_of_a_checked_best_is_not_read(base_path: Path, model: Model):
    path = model(kinds.save_module)
    version = export(base_path, path).version
    disk = ReadFiles()
    decision = ModelExporter(Location(disk, str(base_path))).decide(path, {"loss": 0.9})
    assert decision.reason == R.ALREADY_BEST
    assert not decision.warnings
    assert str(base_path / str(version) / "saved_model.pb") not in disk.paths


_DECIDE = """
import sys
from tfx_best_exporter.executor.exporter import ModelExporter

decision = ModelExporter(sys.argv[1]).run(sys.argv[2], {"loss": 0.9})
print(decision.reason, len(decision.warnings))
print(*({"numpy", "tensorflow", "tfx"} & set(sys.modules)))
"""


def test_a_candidate_that_is_not_exported_is_checked_without_tensorflow(
    base_path: Path, model: Model
):
    export(base_path, model(kinds.save_module))
    path = model(kinds.save_keras_by_tensorflow)
    command = [sys.executable, "-c", _DECIDE, str(base_path), str(path)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert output.splitlines() == [f"{R.NOT_BETTER} 1", ""]
