"""Cleans output directories before and after a step."""

import logging
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import environment_of, gs_server
from tfx_best_exporter.executor.kubeflow import outputs
from tfx_best_exporter.executor.storage import registry
from tfx_best_exporter.executor.storage.gs import GsStorage

BUCKET = "outputs"


def write(path: Path, *names: str) -> None:
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(name)


def test_files_of_an_earlier_attempt_are_removed(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    write(tmp_path / "pushed_model", "saved_model.pb", "variables/variables.index")
    write(tmp_path, "pushed_model_2/x", "executor-logs")
    uris = {name: str(tmp_path / name) for name in ("pushed_model", "decision")}
    with caplog.at_level(logging.WARNING):
        outputs.remove_leftovers(uris)
    assert {path.name for path in tmp_path.iterdir()} == {"pushed_model_2", "executor-logs"}
    assert caplog.messages == [f"removing 2 files of an earlier attempt in {tmp_path}/pushed_model"]


def test_checkpoints_of_a_trainer_are_kept(tmp_path: Path):
    write(tmp_path, "model/saved_model.pb", "model_run/checkpoint")
    outputs.remove_leftovers({name: str(tmp_path / name) for name in ("model", "model_run")})
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["checkpoint"]


def test_an_empty_directory_is_kept(tmp_path: Path):
    outputs.remove_leftovers({"decision": str(tmp_path)})
    assert tmp_path.is_dir()


@pytest.mark.parametrize("uri", ["", "gs://", "oci:///x"])
def test_a_uri_that_cannot_be_read_is_left_to_the_step(
    uri: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    write(tmp_path, "decision/x")
    with caplog.at_level(logging.WARNING):
        outputs.remove_leftovers({"model": uri, "decision": str(tmp_path / "decision")})
    assert caplog.messages[0].startswith(f"cannot remove files of an earlier attempt in {uri}: ")
    assert not (tmp_path / "decision").exists()


# Markers of directories.


@pytest.fixture(autouse=True)
def new_storages() -> Iterator[None]:
    """Keeps the process-wide client of another test, which has another server, out of these."""
    registry._default.forget()
    yield
    registry._default.forget()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with gs_server(BUCKET) as result:
        yield result


@pytest.fixture
def storage(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[GsStorage]:
    for name, value in environment_of("gs", url).items():
        monkeypatch.setenv(name, value)
    result = GsStorage()
    yield result
    result.close()


def test_markers_of_directories_are_deleted(storage: GsStorage):
    root = f"{BUCKET}/{uuid.uuid4().hex}"
    bucket = storage._client.bucket(BUCKET)
    prefix = root.partition("/")[2]
    kept = [
        "model/saved_model.pb",
        "model/variables/variables.index",
        "model/empty",
        "model_2/",
        "other/",
    ]
    contents = {
        **dict.fromkeys(kept, b""),
        "model/saved_model.pb": b"graph",
        "model/": b"",
        "model/variables/": b"",
        "model/assets/": b"",
        # A user's object may have such a name too.
        "model/data/": b"data",
    }
    for name, content in contents.items():
        bucket.blob(f"{prefix}/{name}").upload_from_string(content)
    outputs.remove_directory_markers({"model": f"gs://{root}/model", "other": f"gs://{root}/none"})
    found = [blob.name.removeprefix(f"{prefix}/") for blob in bucket.list_blobs(prefix=prefix)]
    assert sorted(found) == sorted([*kept, "model/data/"])


def test_other_storages_have_no_markers(tmp_path: Path):
    write(tmp_path, "model/x")
    outputs.remove_directory_markers({"model": str(tmp_path / "model"), "m": "minio://b/m"})
    assert (tmp_path / "model" / "x").exists()


def test_markers_that_cannot_be_deleted(url: str, monkeypatch: pytest.MonkeyPatch, caplog):
    for name, value in environment_of("gs", url).items():
        monkeypatch.setenv(name, value)
    uri = "gs://no-such-bucket/model"
    with caplog.at_level(logging.WARNING):
        outputs.remove_directory_markers({"model": uri})
    assert caplog.messages[0].startswith(f"cannot delete the markers of directories in {uri}: ")
