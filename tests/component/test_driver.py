import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from tfx.dsl.components.base import base_driver
from tfx.orchestration import data_types, metadata
from tfx.orchestration.portable import base_driver as portable_base_driver

from tests.errors import about
from tests.tfx_runs import NODE_ID, PipelineRuns, exec_properties, keep_latest
from tfx_best_exporter.component import driver, history


def resolve_exec_properties(runs: PipelineRuns, handle: metadata.Metadata) -> dict[str, Any]:
    """Returns the exec properties that InteractiveContext would pass to the executor."""
    pipeline_info = data_types.PipelineInfo(
        pipeline_name=runs.name, pipeline_root=str(runs.root), run_id="now"
    )
    return driver.Driver(handle).resolve_exec_properties(
        exec_properties(runs.base_directory),
        pipeline_info,
        data_types.ComponentInfo(
            component_type="BestExporter", component_id=NODE_ID, pipeline_info=pipeline_info
        ),
    )


def spoil_record(runs: PipelineRuns, version: int) -> Path:
    path = runs.base_directory / str(version) / "assets.extra/best_exporter/record.json"
    path.write_text("{")
    return path


def is_record_error(text: str, path: Path) -> bool:
    return text.startswith(f"RecordError: cannot read {path}: ")


def test_it_is_a_driver_of_both_contracts():
    assert issubclass(driver.Driver, base_driver.BaseDriver)
    assert issubclass(driver.Driver, portable_base_driver.BaseDriver)


def test_both_contracts_find_the_same(runs: PipelineRuns):
    candidate = runs.candidate(scale=1.0, loss=0.5)
    exported = runs.export(candidate)
    found = runs.drive()
    assert sorted(found) == ["best_fingerprint", "prior_export"]
    assert json.loads(found["prior_export"])["evaluation_uri"] == candidate.evaluation.uri
    assert found["best_fingerprint"].startswith(f"{exported.decision.version}:sha256:")
    with metadata.Metadata(runs.connection_config) as handle:
        resolved = resolve_exec_properties(runs, handle)
    assert resolved == {**exec_properties(runs.base_directory), **found}


def test_both_contracts_find_the_same_as_the_queries(runs: PipelineRuns):
    runs.push(runs.candidate(scale=1.0, loss=0.5), version=7)
    # A file that has just been written has no stamp yet, and the fingerprint contains the stamps.
    time.sleep(0.1)
    expected = history.look_up(
        runs.store,
        exec_properties(runs.base_directory),
        pipeline_name=runs.name,
        pushed_models_uri=runs.pushed_models_uri,
    )
    assert runs.drive() == expected
    with metadata.Metadata(runs.connection_config) as handle:
        resolved = resolve_exec_properties(runs, handle)
    assert resolved == {**exec_properties(runs.base_directory), **expected}


@pytest.mark.parametrize("contract", ["run", "resolve_exec_properties"])
def test_both_contracts_delete_what_was_retired(runs: PipelineRuns, contract: str):
    retired = runs.export(runs.candidate(scale=1.0, loss=0.5)).pushed_model
    kept = runs.export(runs.candidate(scale=2.0, loss=0.4), **keep_latest(1)).pushed_model
    if contract == "run":
        runs.drive()
    else:
        with metadata.Metadata(runs.connection_config) as handle:
            resolve_exec_properties(runs, handle)
    assert [Path(copy.uri).exists() for copy in (retired, kept)] == [False, True]


def test_run_leaves_the_exec_properties_of_the_pipeline_alone(runs: PipelineRuns):
    assert runs.drive(**keep_latest(1)) == runs.drive()
    assert "push_destination" not in runs.drive()


# A driver that raises would leave its execution RUNNING for ever.


def test_a_spoilt_record_is_told_to_the_executor(runs: PipelineRuns):
    exported = runs.export(runs.candidate(scale=1.0, loss=0.5))
    path = spoil_record(runs, exported.decision.version)
    found = runs.drive()
    assert list(found) == ["driver_error"]
    assert is_record_error(found["driver_error"], path)
    with metadata.Metadata(runs.connection_config) as handle:
        resolved = resolve_exec_properties(runs, handle)
    assert is_record_error(resolved["driver_error"], path)
    assert resolved["push_destination"]


def test_a_spoilt_tombstone_is_passed_over(runs: PipelineRuns, caplog: pytest.LogCaptureFixture):
    first = runs.export(runs.candidate(scale=1.0, loss=0.5)).decision.version
    runs.export(runs.candidate(scale=2.0, loss=0.4), **keep_latest(1))
    path = runs.base_directory / ".best_exporter" / "retired" / f"{first}.json"
    path.write_text('{"schema_version": 2}')
    assert "driver_error" not in runs.drive()
    assert f"cannot read {path}: its schema_version is 2" in caplog.messages[-1]


def test_a_base_directory_that_is_a_file_is_told_to_the_executor(runs: PipelineRuns):
    runs.base_directory.write_text("")
    last_line = runs.drive()["driver_error"].splitlines()[-1]
    field = "ValueError: push_destination.filesystem.base_directory"
    assert re.match(about(field, repr(str(runs.base_directory))), last_line)


def test_an_error_of_the_driver_has_no_secrets(
    runs: PipelineRuns, caplog: pytest.LogCaptureFixture
):
    uri = "unknown://me:pa55@host/serving?sig=0123abcd"
    message = {"filesystem": {"base_directory": uri}}
    error = runs.drive(push_destination=json.dumps(message))["driver_error"]
    for text in (error, caplog.text):
        assert "unknown://***@host/serving?sig=***" in text
        assert "pa55" not in text
        assert "0123abcd" not in text


def test_ml_metadata_that_is_not_connected_is_told_to_the_executor(runs: PipelineRuns):
    handle = metadata.Metadata(runs.connection_config)
    resolved = resolve_exec_properties(runs, handle)
    assert resolved["driver_error"].endswith("RuntimeError: Metadata object is not in enter state")


@pytest.mark.slow
def test_ml_metadata_that_is_down_is_told_to_the_executor(runs: PipelineRuns, tmp_path: Path):
    # TFX tries ten times, half a second apart.
    runs.connection_config = metadata.sqlite_metadata_connection_config(str(tmp_path))
    assert runs.drive()["driver_error"].endswith(
        "RuntimeError: Failed to establish connection to Metadata storage with error: Cannot"
        " connect sqlite3 database: unable to open database file"
    )
