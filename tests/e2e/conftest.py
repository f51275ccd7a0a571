import builtins
from collections.abc import Iterator
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from pipelines.local_pipeline import WorkDirectory
from tfx_best_exporter.proto import best_exporter_pb2 as pb


@pytest.fixture(autouse=True, scope="session")
def offline() -> Iterator[None]:
    """Makes pip use no index. TFX installs user modules with pip from wheels that it builds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1")
        yield


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """Returns an IPython shell, as a notebook runs its cells in."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    assert not hasattr(builtins, "__IPYTHON__")
    config = Config()
    # The history would be a database, which is written when Python exits.
    config.HistoryManager.enabled = False
    yield InteractiveShell.instance(config=config)
    InteractiveShell.clear_instance()


@pytest.fixture(scope="session")
def work_directory(tmp_path_factory: pytest.TempPathFactory) -> WorkDirectory:
    return WorkDirectory(tmp_path_factory.mktemp("penguin"))


@pytest.fixture(scope="session")
def story(work_directory: WorkDirectory, offline: None) -> list[pb.ExportDecision]:
    """Runs the demo in `work_directory` and returns its five decisions."""
    from pipelines import demo

    Path(work_directory.path).mkdir(exist_ok=True)
    return demo.run_story(work_directory.path)
