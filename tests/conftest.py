import contextlib
import logging
import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.containers import processes
from tests.containers.processes import Containers
from tests.evaluations import write_evaluations
from tests.targets import COLLECTED

# TensorFlow reads these when it is imported: log only errors, and do not search for GPUs.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

# Tests use the same examples in each run and no deadlines, so no test fails by chance or load.
# --hypothesis-profile=searching tries other examples.
settings.register_profile("searching", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("steady", settings.get_profile("searching"), derandomize=True)
settings.load_profile("steady")

WriteModel = Callable[..., Path]


# pytest calls this hook only if pytest-xdist is installed.
@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from tests.distribution import Distribution

    return Distribution(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    config.stash[COLLECTED] = {
        item.nodeid: {marker.name for marker in item.iter_markers()} for item in items
    }


@pytest.fixture(scope="session", autouse=True)
def _temporary_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Removes temporary files that killed processes, Beam and TFX leave."""
    directory = tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(directory))
        # tempfile caches the directory. None makes it read TMPDIR again.
        patch.setattr(tempfile, "tempdir", None)
        yield
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def write_model(tmp_path_factory: pytest.TempPathFactory) -> WriteModel:
    """Returns a function that writes a SavedModel of `scale * x`, with an asset of three words.

    Its signature "serving_default" takes and returns floats. Two models with the same scale have
    the same bytes.
    """
    templates: dict[float, Path] = {}

    def write(path: Path, scale: float = 2.0) -> Path:
        if scale not in templates:
            templates[scale] = tmp_path_factory.mktemp("saved_model") / "model"
            _save(templates[scale], scale)
        shutil.copytree(templates[scale], path)
        return path

    return write


def _save(path: Path, scale: float) -> None:
    import tensorflow as tf

    words_path = path.with_name("words.txt")
    words_path.write_text("setosa\nversicolor\nvirginica\n")

    class Model(tf.Module):
        def __init__(self):
            super().__init__()
            self.scale = tf.Variable(tf.constant(scale))
            self.words = tf.saved_model.Asset(str(words_path))

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def serve(self, x: Any) -> Any:
            return {"y": self.scale * x}

    model = Model()
    tf.saved_model.save(model, str(path), signatures={"serving_default": model.serve})


@pytest.fixture
def other_file_system(tmp_path: Path) -> Iterator[Path]:
    """Returns a directory on a different file system than tmp_path."""
    others = [
        directory
        for directory in map(Path, ("/dev/shm", "/var/tmp"))
        if os.access(directory, os.W_OK) and directory.stat().st_dev != tmp_path.stat().st_dev
    ]
    if not others:
        pytest.skip("neither /dev/shm nor /var/tmp is a second, writable file system")
    path = others[0] / f"best_exporter_test_{uuid.uuid4().hex}"
    path.mkdir()
    yield path
    shutil.rmtree(path)


class _Evaluations(dict[str, Path]):
    """Paths of the evaluations by name, each written when it is first looked up."""

    def __init__(self, directory: Path):
        super().__init__()
        self._directory = directory

    def __missing__(self, name: str) -> Path:
        with warnings.catch_warnings(), _quiet():
            # TFMA and Beam cause warnings that these tests do not check.
            warnings.simplefilter("ignore")
            write_evaluations(self._directory, [name])
        return self.setdefault(name, self._directory / name)


@pytest.fixture(scope="session")
def evaluations(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Returns the evaluations of tests/evaluations.py by name. Tests must not modify them."""
    return _Evaluations(tmp_path_factory.mktemp("evaluations"))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps log messages of Beam and TensorFlow out of the test report."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(level)


@pytest.fixture(scope="session")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    """Returns an object that runs the commands of containers."""
    with processes.containers(tmp_path_factory.mktemp("containers")) as result:
        yield result
