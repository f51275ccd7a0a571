from collections.abc import Callable
from pathlib import Path

import pytest
from tfx.orchestration import metadata

from tests.tfx_runs import PipelineRuns


@pytest.fixture
def runs(tmp_path: Path, write_model: Callable[..., Path]) -> PipelineRuns:
    """A pipeline that has not run yet, with ML Metadata on SQLite."""
    config = metadata.sqlite_metadata_connection_config(str(tmp_path / "metadata.sqlite"))
    return PipelineRuns(config, tmp_path, write_model)
