"""The storages that the behavior suite runs on, with one row each in SUITE."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import folder_filesystem
from tests.executor.storage.memory import MemoryStorage
from tests.fault_proxy import FaultProxy, fault_proxy
from tests.servers import gs_server, s3_server
from tfx_best_exporter.executor.storage.lease import LeaseSettings
from tfx_best_exporter.executor.storage.local import LocalStorage
from tfx_best_exporter.executor.storage.protocol import Storage

BUCKET = "models"
SHORT_LEASE = LeaseSettings(lease_seconds=1.0, renew_seconds=0.2)


def _make_local(**_kwargs: Any) -> Storage:
    # The lock of a local disk has no settings.
    return LocalStorage()


def _make_gs(**kwargs: Any) -> Storage:
    from tfx_best_exporter.executor.storage.gs import GsStorage, RetrySettings

    kwargs.setdefault("lease_settings", SHORT_LEASE)
    fast = RetrySettings(timeout_seconds=4.0, initial_seconds=0.05, maximum_seconds=0.2)
    kwargs.setdefault("retry", fast)
    return GsStorage(**kwargs)


def _make_s3(**kwargs: Any) -> Storage:
    from tfx_best_exporter.executor.storage.s3 import S3Storage

    kwargs.setdefault("lease_settings", SHORT_LEASE)
    kwargs.setdefault("max_attempts", 4)
    kwargs.setdefault("part_bytes", 8 << 20)
    return S3Storage(**kwargs)


def _make_fileio(**kwargs: Any) -> Storage:
    from tfx_best_exporter.executor.storage.fileio import FileioStorage

    kwargs.setdefault("lease_settings", SHORT_LEASE)
    return FileioStorage(folder_filesystem.SCHEME, **kwargs)


def _make_memory(**kwargs: Any) -> Storage:
    kwargs.setdefault("lease_settings", SHORT_LEASE)
    return MemoryStorage(**kwargs)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A storage under test, and the properties in which storages differ.

    Attributes:
        make: Makes a storage, as another process would. Takes `lease_settings` and the settings of
            the storage.
        fixtures: Names of the fixtures that the storage needs.
        server: Name of the fixture with the URL of its server; "" for none.
        bucket: Shortest path that must not be removed; None if the storage has no buckets.
        has_local_paths: True if `local_path` returns paths.
        has_conditional_writes: True if one of two writers at the same moment fails.
        lock_is_lease: True if the lock is an object that must be renewed.
        is_seen_by_processes: True if another process on this machine reaches the same files.
    """

    make: Callable[..., Storage]
    fixtures: tuple[str, ...] = ()
    server: str = ""
    bucket: str | None = BUCKET
    has_local_paths: bool = False
    has_conditional_writes: bool = True
    lock_is_lease: bool = True
    is_seen_by_processes: bool = True


# New storages are one row each in this table, and pass test_behavior.py.
SUITE = {
    "local": Row(make=_make_local, bucket=None, has_local_paths=True, lock_is_lease=False),
    "gs": Row(make=_make_gs, server="gs_url"),
    "s3": Row(make=_make_s3, server="s3_url"),
    "fileio": Row(
        make=_make_fileio, fixtures=("folder_root",), bucket="", has_conditional_writes=False
    ),
    "memory": Row(make=_make_memory, is_seen_by_processes=False),
}


def kinds(condition: Callable[[Row], object] = bool) -> list[str]:
    """Returns the names of the rows that meet a condition."""
    return [kind for kind, row in SUITE.items() if condition(row)]


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

    @property
    def row(self) -> Row:
        return SUITE[self.kind]

    def again(self, **kwargs: Any) -> Storage:
        """Returns another storage of the same place, as another process would make it."""
        return make_storage(self.kind, **kwargs)

    def impatient(self) -> Storage:
        """Returns another object store of the same place with few retries."""
        if self.kind == "s3":
            return self.again(max_attempts=2)
        from tfx_best_exporter.executor.storage.gs import RetrySettings

        return self.again(retry=RetrySettings(timeout_seconds=0.8, initial_seconds=0.05))


_open: list[Any] = []


def make_storage(kind: str, **kwargs: Any) -> Storage:
    storage = SUITE[kind].make(**kwargs)
    _open.append(storage)
    return storage


@pytest.fixture(autouse=True)
def closed_storages() -> Iterator[None]:
    """Closes the connections of the test's storages, as the end of a process would."""
    yield
    while _open:
        getattr(_open.pop(), "close", lambda: None)()


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
    """An environment without credentials."""
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
    """Object stores by URL; tests share the clients, because making one is slow."""
    storages: dict[str, Any] = {}
    yield storages
    for storage in storages.values():
        storage.close()


@pytest.fixture(scope="session")
def proxies(gs_url: str, s3_url: str) -> Iterator[dict[str, FaultProxy]]:
    with fault_proxy(gs_url) as gs, fault_proxy(s3_url) as s3:
        yield {"gs": gs, "s3": s3}


def use_storage(kind: str, url: str, request: pytest.FixtureRequest) -> Storage:
    """Returns the storage at a URL, and points the environment to that URL for other clients."""
    use_server(request.getfixturevalue("clean_environment"), kind, url)
    storages = request.getfixturevalue("shared_storages")
    if url not in storages:
        storages[url] = SUITE[kind].make()
        # The first request makes the client, which keeps the URL of this moment.
        assert storages[url].children(f"{BUCKET}/nothing") == []
    return storages[url]


def make_place(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    row = SUITE[kind]
    for name in row.fixtures:
        request.getfixturevalue(name)
    if row.bucket is None:
        return Place(kind, make_storage(kind), str(tmp_path / "place"))
    root = f"{BUCKET}/{uuid.uuid4().hex}"
    if row.server:
        return Place(kind, use_storage(kind, request.getfixturevalue(row.server), request), root)
    return Place(kind, make_storage(kind), root)


@pytest.fixture(params=kinds())
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return make_place(request.param, request, tmp_path)


@pytest.fixture(params=kinds(lambda row: row.has_conditional_writes))
def strict(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A storage with conditional writes."""
    return make_place(request.param, request, tmp_path)


@pytest.fixture(params=kinds(lambda row: row.has_conditional_writes and row.is_seen_by_processes))
def common(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A storage with conditional writes that other processes reach."""
    return make_place(request.param, request, tmp_path)


@pytest.fixture(params=kinds(lambda row: row.lock_is_lease))
def leased(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A storage whose locks are leases."""
    return make_place(request.param, request, tmp_path)


@pytest.fixture(params=kinds(lambda row: row.server))
def proxied(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """An object store behind a proxy that fails on request."""
    kind = request.param
    direct = use_storage(kind, request.getfixturevalue(SUITE[kind].server), request)
    proxy = request.getfixturevalue("proxies")[kind]
    proxy.always(None)
    root = f"{BUCKET}/{uuid.uuid4().hex}"
    yield Place(kind, use_storage(kind, proxy.url, request), root, proxy, direct)
    proxy.always(None)
