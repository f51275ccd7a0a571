"""The four storages: local disk, Google Cloud Storage, S3, and a plug-in of TFX's file layer."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import folder_filesystem
from tests.fault_proxy import FaultProxy, fault_proxy
from tests.servers import gs_server, s3_server
from tfx_best_exporter.executor.storage.lease import LeaseSettings
from tfx_best_exporter.executor.storage.local import LocalStorage
from tfx_best_exporter.executor.storage.protocol import Storage

BUCKET = "models"
SHORT_LEASE = LeaseSettings(lease_seconds=1.0, renew_seconds=0.2)


@dataclasses.dataclass
class Place:
    """A storage and an empty directory in it."""

    kind: str
    storage: Storage
    root: str
    proxy: FaultProxy | None = None
    direct: Storage | None = None

    def __truediv__(self, name: str) -> str:
        return f"{self.root}/{name}"

    def again(self, **kwargs: Any) -> Storage:
        """Returns another storage of the same place, as another process would have it."""
        return make_storage(self.kind, **kwargs)

    def impatient(self) -> Storage:
        """Returns another object store of the same place that soon stops trying again."""
        if self.kind == "s3":
            return self.again(max_attempts=2)
        from tfx_best_exporter.executor.storage.gs import RetrySettings

        return self.again(retry=RetrySettings(timeout_seconds=0.8, initial_seconds=0.05))


_open: list[Any] = []


def make_storage(kind: str, **kwargs: Any) -> Storage:
    storage = _make_storage(kind, **kwargs)
    _open.append(storage)
    return storage


@pytest.fixture(autouse=True)
def closed_storages() -> Iterator[None]:
    """Ends the connections of the test's storages, in whose place a process would end."""
    yield
    while _open:
        getattr(_open.pop(), "close", lambda: None)()


def _make_storage(kind: str, **kwargs: Any) -> Storage:
    if kind == "local":
        return LocalStorage()
    kwargs.setdefault("lease_settings", SHORT_LEASE)
    if kind == "gs":
        from tfx_best_exporter.executor.storage.gs import GsStorage, RetrySettings

        fast = RetrySettings(timeout_seconds=4.0, initial_seconds=0.05, maximum_seconds=0.2)
        kwargs.setdefault("retry", fast)
        return GsStorage(**kwargs)
    if kind == "s3":
        from tfx_best_exporter.executor.storage.s3 import S3Storage

        kwargs.setdefault("max_attempts", 4)
        kwargs.setdefault("part_bytes", 8 << 20)
        return S3Storage(**kwargs)
    from tfx_best_exporter.executor.storage.fileio import FileioStorage

    return FileioStorage(folder_filesystem.SCHEME, **kwargs)


@pytest.fixture(scope="session")
def gs_url() -> Iterator[str]:
    with gs_server(BUCKET) as url:
        yield url


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    with s3_server(BUCKET) as url:
        yield url


@pytest.fixture(scope="session")
def folder_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("folder")
    folder_filesystem.register(str(root))
    return root


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment without anybody's credentials."""
    import os

    for name in list(os.environ):
        if name.startswith(("AWS_", "GOOGLE_", "STORAGE_EMULATOR", "CLOUDSDK")):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    return monkeypatch


def use_server(environment: pytest.MonkeyPatch, kind: str, url: str) -> None:
    if kind == "gs":
        environment.setenv("STORAGE_EMULATOR_HOST", url)
    else:
        environment.setenv("AWS_ENDPOINT_URL", url)
        environment.setenv("AWS_ACCESS_KEY_ID", "key")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "secret")


@pytest.fixture(scope="session")
def shared_storages() -> Iterator[dict[str, Any]]:
    """Object stores by URL, whose clients all tests use: to make one takes longer than a test."""
    storages: dict[str, Any] = {}
    yield storages
    for storage in storages.values():
        storage.close()


@pytest.fixture(scope="session")
def proxies(gs_url: str, s3_url: str) -> Iterator[dict[str, FaultProxy]]:
    with fault_proxy(gs_url) as gs, fault_proxy(s3_url) as s3:
        yield {"gs": gs, "s3": s3}


def use_storage(kind: str, url: str, request: pytest.FixtureRequest) -> Storage:
    """Returns the storage at a URL, and has the environment say that others are made for it."""
    use_server(request.getfixturevalue("clean_environment"), kind, url)
    storages = request.getfixturevalue("shared_storages")
    if url not in storages:
        storages[url] = _make_storage(kind)
        # The client, which is made now, keeps the URL.
        assert storages[url].children(f"{BUCKET}/nothing") == []
    return storages[url]


def make_place(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if kind == "local":
        return Place(kind, make_storage(kind), str(tmp_path / "place"))
    root = f"{BUCKET}/{uuid.uuid4().hex}"
    if kind == "fileio":
        request.getfixturevalue("folder_root")
        return Place(kind, make_storage(kind), root)
    return Place(kind, use_storage(kind, request.getfixturevalue(f"{kind}_url"), request), root)


@pytest.fixture(params=["local", "gs", "s3", "fileio"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return make_place(request.param, request, tmp_path)


@pytest.fixture(params=["local", "gs", "s3"])
def strict(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A storage with conditional writes."""
    return make_place(request.param, request, tmp_path)


@pytest.fixture(params=["gs", "s3", "fileio"])
def leased(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A storage whose locks are leases."""
    return make_place(request.param, request, tmp_path)


@pytest.fixture(params=["gs", "s3"])
def proxied(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """An object store behind a proxy that can be told to fail."""
    kind = request.param
    direct = use_storage(kind, request.getfixturevalue(f"{kind}_url"), request)
    proxy = request.getfixturevalue("proxies")[kind]
    proxy.always(None)
    root = f"{BUCKET}/{uuid.uuid4().hex}"
    yield Place(kind, use_storage(kind, proxy.url, request), root, proxy, direct)
    proxy.always(None)
