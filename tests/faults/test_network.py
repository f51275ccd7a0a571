"""Network faults in the requests to an object store: rows 17 and 18 of the fault matrix."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.fault_proxy import Fault, FaultProxy, LoseReply, Reply, Request, Reset, fault_proxy
from tests.faults.conftest import Model, World, kinds
from tests.faults.invariants import State, assert_safe, state_of
from tests.faults.processes import at_once
from tests.faults.reader import Reader
from tests.faults.storages import Step, SteppedStorage
from tests.faults.test_kills import copy_directory
from tests.servers import environment_of
from tfx_best_exporter.executor.exporter import ModelExporter
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.storage.lease import LeaseSettings
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import StorageError

# Google's client leaves the response of a download that it retries to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <socket.socket")

FAULTS: list[Fault] = [Reply(503), Reply(429), Reset(), LoseReply()]


@dataclasses.dataclass
class Line:
    """An object store behind a proxy, and the same store without the proxy."""

    store: World
    proxy: FaultProxy
    storage: Any

    @property
    def stride(self) -> int:
        """Number of requests per fault; larger for the S3 server, which is slow."""
        return 1 if self.store.kind == "gs" else 3

    def exporter(self, name: str, **kwargs: Any) -> ModelExporter:
        return ModelExporter(Location(self.storage, f"{self.store.root}/{name}"), **kwargs)


def storage_of(kind: str, timeout_seconds: float) -> Any:
    """Returns a store that gives up after some time or three attempts."""
    lease_settings = LeaseSettings(lease_seconds=10.0, renew_seconds=1.0)
    if kind == "gs":
        from tfx_best_exporter.executor.storage.gs import GsStorage, RetrySettings

        retry = RetrySettings(
            timeout_seconds=timeout_seconds, initial_seconds=0.02, maximum_seconds=0.2
        )
        return GsStorage(retry=retry, lease_settings=lease_settings)
    from tfx_best_exporter.executor.storage.s3 import S3Storage

    return S3Storage(max_attempts=3, lease_settings=lease_settings)


@pytest.fixture
def timeout_seconds() -> float:
    """Returns a time in which a busy machine answers a request and its retry."""
    return 30.0


@pytest.fixture
def line(
    store: World,
    timeout_seconds: float,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Line]:
    # The first request makes the client, which keeps the URL of this moment.
    assert (store / "nothing").children() == []
    with fault_proxy(request.getfixturevalue(f"{store.kind}_url")) as proxy:
        for name, value in environment_of(store.kind, proxy.url).items():
            monkeypatch.setenv(name, value)
        storage = storage_of(store.kind, timeout_seconds)
        assert storage.children(f"{store.root}/nothing") == []
        yield Line(store, proxy, storage)
        proxy.always(None)
        storage.close()


def nth(number: int, fault: Fault) -> Callable[[Request], Fault | None]:
    """Returns a plan that injects a fault into one request, and not into its retry."""
    count = iter(range(1_000_000))
    return lambda request: fault if next(count) == number else None


def export(line: Line, name: str, model: Model) -> tuple[State, Any]:
    with Reader(line.store / name) as reader:
        decision = line.exporter(name, exports_to_keep=1).run(model("after"), {"loss": 0.1})
    assert_safe(line.store / name, reader)
    return state_of(line.store / name), decision


def test_a_request_that_fails_once_is_not_noticed(line: Line, model: Model) -> None:
    """Faults of each kind hit requests throughout an export that retires another export."""

    def prepare(name: str) -> None:
        ModelExporter(line.store / name).run(model("before"), {"loss": 0.3})

    prepare("undisturbed")
    line.proxy.always(None)
    expected, _ = export(line, "undisturbed", model)
    requests = len(line.proxy.requests)
    assert requests > 20
    places = range(0, requests - 5, requests // (10 if line.store.kind == "gs" else 6))
    for index, number in enumerate(places):
        name = str(number)
        prepare(name)
        line.proxy.plan(nth(number, FAULTS[index % len(FAULTS)]))
        state, decision = export(line, name, model)
        assert len(line.proxy.faulted) == 1
        assert state == expected
        assert decision.exported
        assert [problem.error for problem in decision.retired] == [""]


def test_a_write_whose_reply_is_lost_is_recognised(line: Line, model: Model) -> None:
    """Each write and each deletion in turn has its effect, but its response is lost."""
    methods = {"PUT", "POST", "DELETE"}

    def plan(number: int) -> Callable[[Request], Fault | None]:
        count = iter(range(1_000_000))
        return lambda request: (
            LoseReply() if request.method in methods and next(count) == number else None
        )

    number, is_finished = 0, False
    while not is_finished:
        name = str(number)
        line.proxy.plan(plan(number))
        with Reader(line.store / name) as reader:
            decision = line.exporter(name).run(model("first"), {"loss": 0.1})
        is_finished = not line.proxy.faulted
        assert_safe(line.store / name, reader)
        state = state_of(line.store / name)
        assert decision.exported
        assert len(state.exports) == 1
        # The exporter recognized its own claim of the version, and did not take a larger one.
        assert reader.versions == [decision.version]
        assert decision.version - decision.decided_at.seconds <= 0
        assert state.leftovers == []
        number += line.stride
    assert number > 10


@pytest.mark.parametrize("timeout_seconds", [1.0])
def test_a_store_that_stays_away_is_an_error(line: Line, model: Model) -> None:
    before = ModelExporter(line.store / "base").run(model("before"), {"loss": 0.3}).version
    directory = ExportDirectory(line.store / "base")
    # The second moment is in the middle of the uploads.
    for after in (0, 12):
        count = iter(range(1_000_000))
        line.proxy.plan(
            lambda request, after=after, count=count: Reply(503) if next(count) >= after else None
        )
        started_at = time.monotonic()
        with (
            Reader(line.store / "base") as reader,
            pytest.raises(StorageError) as caught,
        ):
            line.exporter("base").run(model("after"), {"loss": 0.1})
        assert f"{line.store.kind}://" in str(caught.value)
        assert time.monotonic() - started_at < 60
        assert_safe(line.store / "base", reader)
        served = directory.served().export
        assert served
        assert served.version == reader.largest == before
        # The run could not delete its lock, because the store did not answer.
        (line.store / "base/.best_exporter/lock").remove()
    line.proxy.always(None)
    assert line.exporter("base").run(model("after"), {"loss": 0.1}).exported
    assert state_of(line.store / "base").leftovers == []


@pytest.mark.parametrize("world", kinds("local", long=["gs", "s3"]), indirect=True)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_step_that_fails_for_good(world: World, model: Model, when: str) -> None:
    """Each step fails once, before or after its effect."""
    before = ModelExporter(world / "before").run(model("before"), {"loss": 0.3}).version
    copy_directory(world / "before", world / "undisturbed")
    undisturbed = SteppedStorage(world.storage)
    ModelExporter(Location(undisturbed, f"{world.root}/undisturbed"), exports_to_keep=1).run(
        model("after"), {"loss": 0.1}
    )
    steps = len(undisturbed.steps)
    assert steps > 8

    def disturb(number: int) -> None:
        name = f"{number}"
        copy_directory(world / "before", world / name)

        def fail(step: Step) -> None:
            if step.number == number:
                raise StorageError(f"nothing came from {step.path}")

        stepped = SteppedStorage(world.storage, **{when: fail})
        exporter = ModelExporter(Location(stepped, f"{world.root}/{name}"), exports_to_keep=1)
        with Reader(world / name) as reader:
            with contextlib.suppress(StorageError):
                exporter.run(model("after"), {"loss": 0.1})
            (failed,) = [step.name for step in stepped.steps if step.number == number]
            if (when, failed) == ("after", "rename"):
                # If a disk cannot make a name durable, the exporter removes the name again.
                reader.forgive_largest()
            assert_safe(world / name, reader)
            largest = ExportDirectory(world / name).served().listing.largest_version
            again = ModelExporter(world / name, exports_to_keep=1).run(
                model("after"), {"loss": 0.1}
            )
        # A version that is visible after the fault is not exported again.
        assert again.exported is (largest == before), name
        assert_safe(world / name, reader)
        state = state_of(world / name)
        assert len(state.exports) == len(state.retired) == 1
        assert state.leftovers == []

    # Each step runs on one of the stores, and every third one on the S3 server, which is slow.
    kinds = {1: ("local", "gs"), 2: ("local", "gs"), 0: ("local", "s3")}
    at_once(disturb, [n for n in range(1, steps) if world.kind in kinds[n % 3]])
