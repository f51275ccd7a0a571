"""Base directories on a disk and in two object stores, models, and processes to be killed."""

from __future__ import annotations

import dataclasses
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import WriteModel
from tests.faults import processes
from tests.servers import environment_of, gs_server, s3_server
from tfx_best_exporter.executor.storage.lease import LeaseSettings
from tfx_best_exporter.executor.storage.local import LocalStorage
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import Storage

BUCKET = "faults"

Model = Callable[[str], str]


@dataclasses.dataclass(frozen=True)
class World:
    """A storage with room for base directories.

    Attributes:
        kind: "local", "gs" or "s3".
        storage: The storage, for checks from this process.
        root: An empty directory in the storage.
        environment: Variables that another process needs to reach the storage.
    """

    kind: str
    storage: Storage
    root: str
    environment: dict[str, str]

    def __truediv__(self, name: str) -> Location:
        return Location(self.storage, f"{self.root}/{name}")

    def uri(self, name: str) -> str:
        return (self / name).uri

    def job(self, base: str, *rounds: tuple[str, float], **kwargs: Any) -> processes.Job:
        """Returns a job on a base directory of this world."""
        return processes.Job(
            base=self.uri(base), rounds=rounds, environment=self.environment, **kwargs
        )


@pytest.fixture
def model(write_model: WriteModel, tmp_path: Path) -> Model:
    """Returns a function that makes a different model for each name, and returns its path."""

    guard = threading.Lock()

    def make(name: str) -> str:
        path = tmp_path / "models" / name
        with guard:
            if not path.exists():
                write_model(path)
                (path / "assets.extra").mkdir()
                (path / "assets.extra" / "name.txt").write_text(name)
        return str(path)

    return make


# The server starts with the session, and imports the exporter while the first tests are set up.
@pytest.fixture(scope="session", autouse=True)
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[processes.Server]:
    """Returns the server that starts processes."""
    with processes.server(tmp_path_factory.mktemp("processes")) as result:
        yield result


@pytest.fixture(scope="session")
def gs_url() -> Iterator[str]:
    with gs_server(BUCKET) as url:
        yield url


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    with s3_server(BUCKET) as url:
        yield url


def object_storage(kind: str) -> Any:
    """Returns an object store; the environment at its first use names the server."""
    lease_seconds = processes.LONG_LEASE_SECONDS
    settings = LeaseSettings(lease_seconds=lease_seconds, renew_seconds=lease_seconds / 5)
    if kind == "gs":
        from tfx_best_exporter.executor.storage.gs import GsStorage

        return GsStorage(lease_settings=settings)
    from tfx_best_exporter.executor.storage.s3 import S3Storage

    return S3Storage(lease_settings=settings)


@pytest.fixture
def make_world(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], World]]:
    """Returns a function that returns the world of a kind."""
    opened = []

    def make(kind: str) -> World:
        if kind == "local":
            return World(kind, LocalStorage(), str(tmp_path / "world"), {})
        environment = environment_of(kind, request.getfixturevalue(f"{kind}_url"))
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        storage = object_storage(kind)
        opened.append(storage)
        return World(kind, storage, f"{BUCKET}/{uuid.uuid4().hex}", environment)

    yield make
    for storage in opened:
        storage.close()


def kinds(*quick: str, long: Sequence[str] = ()) -> list[Any]:
    """Returns kinds of storages for `world` or `store`; `make test-faults` runs the `long` ones.

    The S3 server is several times slower than the other one. Both storages have the same code above
    them, and pass tests/executor/storage/test_behavior.py.

    Example:
        @pytest.mark.parametrize("world", kinds("local", long=["gs", "s3"]), indirect=True)
    """
    return [*quick, *(pytest.param(kind, marks=pytest.mark.faults) for kind in long)]


@pytest.fixture(params=kinds("local", "gs", long=["s3"]))
def world(request: pytest.FixtureRequest, make_world: Callable[[str], World]) -> World:
    """Every kind of storage."""
    return make_world(request.param)


@pytest.fixture(params=kinds("gs", long=["s3"]))
def store(request: pytest.FixtureRequest, make_world: Callable[[str], World]) -> World:
    """The object stores."""
    return make_world(request.param)


@pytest.fixture
def disk(make_world: Callable[[str], World]) -> World:
    """The local disk."""
    return make_world("local")
