"""Serves URIs from local directories."""

from pathlib import Path

import pytest

from tfx_best_exporter.executor.storage.local import LocalStorage
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.mounted import MountedStorage
from tfx_best_exporter.executor.storage.registry import STORAGES, Registry
from tfx_best_exporter.executor.storage.transfer import copy_files, link_files

URI = "minio://bucket/model"


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    result = Registry(STORAGES)
    result.mount(f"{URI}/", f"{tmp_path}/model/")
    return result


@pytest.mark.parametrize("name", ["", "/", "/variables/variables.index", "/a%20b?c#d"])
def test_a_mounted_uri(registry: Registry, tmp_path: Path, name: str):
    location = registry.location_of(URI + name)
    assert location.local_path() == tmp_path / f"model{name.rstrip('/')}"
    assert location.uri == str(location) == (URI + name).rstrip("/")
    assert registry.tensorflow_path(URI + name) == location.path


@pytest.mark.parametrize("path", ["/somewhere", "gs://bucket/model", "minio://bucket/model_2"])
def test_another_uri(registry: Registry, path: str):
    assert registry.tensorflow_path(path) == path
    if not path.startswith("minio"):
        assert registry.location_of(path).uri == path


def test_the_mounted_directory_itself_is_an_ordinary_path(registry: Registry, tmp_path: Path):
    location = registry.location_of(str(tmp_path / "model"))
    assert type(location.storage) is LocalStorage
    assert location.uri == str(tmp_path / "model")


def test_files_are_those_of_the_directory(registry: Registry, tmp_path: Path):
    location = registry.location_of(URI)
    assert location.sizes() == {}
    (location / "variables/index").write(b"x")
    assert (tmp_path / "model/variables/index").read_bytes() == b"x"
    assert [(entry.name) for entry in location.children()] == ["variables"]
    assert location.sizes() == {"variables/index": 1}
    location.remove()
    assert not (tmp_path / "model").exists()


def test_files_are_copied_to_and_from_other_storages(registry: Registry, tmp_path: Path):
    (registry.location_of(URI) / "a").write(b"x")
    local = Location(LocalStorage(), str(tmp_path / "local"))
    copy_files([(registry.location_of(URI) / "a", local / "a")])
    copy_files([(local / "a", registry.location_of(URI) / "b")])
    link_files([(registry.location_of(URI) / "b", registry.location_of(URI) / "c")])
    assert registry.location_of(URI).sizes() == dict.fromkeys("abc", 1)


def test_mounts_survive_a_fork(registry: Registry):
    registry.forget()
    assert isinstance(registry.location_of(URI).storage, MountedStorage)
