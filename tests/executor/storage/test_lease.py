"""The rules of a lease, on a store in memory and with a clock that the test sets."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from tests.waiting import until
from tfx_best_exporter.executor.storage import lease
from tfx_best_exporter.executor.storage.lease import LeaseObject, LeaseSettings
from tfx_best_exporter.executor.storage.protocol import LeaseLostError, StorageError

URI = "mem://lock"
# Leases with these settings are not renewed during a test.
SETTINGS = LeaseSettings(lease_seconds=60, renew_seconds=15)
EAGER = LeaseSettings(lease_seconds=60, renew_seconds=0.02)


class Store:
    """One object in memory; `age_seconds` is the age that the store reports."""

    def __init__(self) -> None:
        self.content: bytes | None = None
        self.writes = 0
        self.age_seconds: float | None = None
        self.guard = threading.Lock()
        self.loses_replies = False
        self.is_down = False

    def put_by_other(self, lease_seconds: float = 60) -> None:
        claim = {"token": "t", "holder": "other", "lease_seconds": lease_seconds, "renewals": 0}
        self.content = json.dumps(claim).encode()
        self.writes += 1

    def load(self) -> LeaseObject | None:
        if self.is_down:
            raise OSError("down")
        with self.guard:
            if self.content is None:
                return None
            return LeaseObject(
                content=self.content, version=str(self.writes), age_seconds=self.age_seconds
            )

    def create(self, content: bytes) -> str | None:
        return self._write(content, self.content is None)

    def replace(self, version: str, content: bytes) -> str | None:
        return self._write(content, version == str(self.writes) and self.content is not None)

    def _write(self, content: bytes, is_met: bool) -> str | None:
        if self.is_down:
            raise OSError("down")
        if not is_met:
            return None
        with self.guard:
            self.content = content
            self.writes += 1
        # None stands for a repeated request, whose condition no longer holds after the first one.
        return None if self.loses_replies else str(self.writes)

    def delete(self, version: str) -> None:
        if self.is_down:
            raise OSError("down")
        if version == str(self.writes):
            self.content = None


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_object_says_who_holds_it_and_goes_with_the_lock() -> None:
    store = Store()
    with lease.hold(store, URI, 0, SETTINGS, Clock()) as held:
        claim = json.loads(store.content or b"")
        assert claim["token"] == held.token
        assert claim["lease_seconds"] == 60
        assert set(claim) == {"token", "holder", "lease_seconds", "renewals"}
        held.check()
    assert store.content is None


@pytest.mark.parametrize(("age_seconds", "is_taken"), [(60.5, False), (61.0, True), (9e9, True)])
def test_an_old_object_is_taken_over_at_once(age_seconds: float, is_taken: bool) -> None:
    store = Store()
    store.put_by_other()
    store.age_seconds = age_seconds
    if is_taken:
        with lease.hold(store, URI, 0, SETTINGS, Clock()) as held:
            held.check()
    else:
        with pytest.raises(TimeoutError, match="held by other"):
            lease.hold(store, URI, 0, SETTINGS, Clock()).__enter__()


def test_an_object_that_does_not_change_is_taken_over_after_its_own_lease() -> None:
    store, clock = Store(), Clock()
    store.put_by_other(lease_seconds=100)
    waiter = lease.hold(store, URI, 200, LeaseSettings(lease_seconds=1, renew_seconds=0.1), clock)
    thread = threading.Thread(target=waiter.__enter__)
    thread.start()
    for now in (1000.0, 1060.0, 1099.0):
        clock.now = now
        thread.join(0.2)
        assert thread.is_alive()
    clock.now = 1101.0
    thread.join(60)
    assert not thread.is_alive()
    assert b'"holder": "other"' not in (store.content or b"")
    waiter.__exit__(None, None, None)


def claim(**changes: str) -> bytes:
    """Returns the claim of another writer with some values as JSON, which need not be valid."""
    values = {"token": '"t"', "holder": '"other"', "lease_seconds": "60", "renewals": "0"}
    pairs = (f'"{name}": {value}' for name, value in {**values, **changes}.items())
    return f"{{{', '.join(pairs)}}}".encode()


NESTED = "[" * 20_000 + "]" * 20_000


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"no JSON\nin two lines", id="no JSON"),
        pytest.param(b"[]", id="another document"),
        pytest.param(b'{"token": 1}', id="no claim"),
        pytest.param(NESTED.encode(), id="nested"),
        pytest.param(claim(holder=NESTED), id="nested holder"),
        pytest.param(claim(lease_seconds="NaN"), id="lease not a number"),
        pytest.param(claim(lease_seconds="1e400"), id="infinite lease"),
        pytest.param(claim(lease_seconds="9" * 10_000), id="lease of many digits"),
        pytest.param(claim(lease_seconds="-60"), id="negative lease"),
        pytest.param(claim(lease_seconds="0"), id="no lease"),
        pytest.param(claim(lease_seconds='"60"'), id="lease as text"),
        pytest.param(claim(lease_seconds="[60]"), id="lease as list"),
        pytest.param(claim(renewals="1e400"), id="infinite renewals"),
        pytest.param(claim(token='"\\ud800"'), id="token of half a character"),
        pytest.param(b"\x00" * 200_000, id="large"),
    ],
)
def test_an_object_that_cannot_be_read_is_a_lock_all_the_same(content: bytes) -> None:
    store = Store()
    store.content = content
    with pytest.raises(TimeoutError, match="held by unknown"):
        lease.hold(store, URI, 0, SETTINGS, Clock()).__enter__()
    store.age_seconds = 61
    with lease.hold(store, URI, 0, SETTINGS, Clock()) as held:
        held.check()


def test_an_unreadable_object_that_does_not_age_is_taken_over_after_our_lease() -> None:
    store, clock = Store(), Clock()
    store.content = claim(lease_seconds="NaN")
    waiter = lease.hold(store, URI, 200, SETTINGS, clock)
    thread = threading.Thread(target=waiter.__enter__)
    thread.start()
    for now in (1000.0, 1059.0):
        clock.now = now
        thread.join(0.2)
        assert thread.is_alive()
    clock.now = 1061.0
    thread.join(60)
    assert not thread.is_alive()
    waiter.__exit__(None, None, None)


def test_the_name_of_a_holder_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    store = Store()
    store.content = claim(holder='"a\\nCRITICAL \\u001b[31m' + "x" * 1000 + '"')
    with pytest.raises(TimeoutError) as caught:
        lease.hold(store, URI, 0, SETTINGS, Clock()).__enter__()
    store.age_seconds = 61
    with caplog.at_level("INFO"), lease.hold(store, URI, 0, SETTINGS, Clock()):
        pass
    texts = [str(caught.value), *(record.getMessage() for record in caplog.records)]
    assert len(texts) == 3
    for text in texts:
        assert "a\\nCRITICAL \\x1b[31mx" in text
        assert len(text) < 300
        assert text.isprintable()


def test_no_object_is_valid_for_ever() -> None:
    store = Store()
    store.put_by_other(lease_seconds=1e12)
    store.age_seconds = 3601
    with lease.hold(store, URI, 0, SETTINGS, Clock()) as held:
        held.check()


def test_the_holder_stops_before_others_may_start() -> None:
    store, clock = Store(), Clock()
    with lease.hold(store, URI, 0, SETTINGS, clock) as held:
        clock.now += 53.9
        held.check()
        clock.now += 0.1
        with pytest.raises(LeaseLostError, match="mem://lock: it was not renewed in time"):
            held.check()
    # The lock object stays, because another writer may hold it now.
    assert store.content is not None


def wait_for_writes(store: Store, more: int) -> None:
    least = store.writes + more
    until(lambda: store.writes >= least)


def test_a_renewal_makes_it_last() -> None:
    store, clock = Store(), Clock()
    with lease.hold(store, URI, 0, EAGER, clock) as held:
        for _ in range(3):
            clock.now += 53
            wait_for_writes(store, 2)
            held.check()


def test_a_renewal_is_tried_again() -> None:
    store, clock = Store(), Clock()
    with lease.hold(store, URI, 0, EAGER, clock) as held:
        store.is_down = True
        threading.Event().wait(0.2)
        clock.now += 53
        held.check()
        store.is_down = False
        wait_for_writes(store, 2)
        clock.now += 53
        held.check()


def test_lost_replies_lose_no_lock() -> None:
    store = Store()
    store.loses_replies = True
    with lease.hold(store, URI, 0, EAGER, Clock()) as held:
        until(lambda: store.writes >= 4)
        held.check()
    store.put_by_other()
    store.age_seconds = 61
    with lease.hold(store, URI, 0, SETTINGS, Clock()) as held:
        held.check()


def test_a_release_that_fails_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    store = Store()
    with lease.hold(store, URI, 0, SETTINGS, Clock()):
        store.is_down = True
    assert "cannot delete the lock mem://lock, which expires by itself: down" in caplog.text


class Probe:
    """A probe that ends when the test allows it."""

    def __init__(self, problem: Exception | None = None):
        self.may_end = threading.Event()
        self.problem = problem

    def __call__(self) -> None:
        assert self.may_end.wait(60)
        if self.problem:
            raise self.problem


def test_a_check_waits_for_the_probe() -> None:
    store, probe = Store(), Probe()
    with lease.hold(store, URI, 0, SETTINGS, Clock(), probe) as held:
        checking = threading.Thread(target=held.check)
        checking.start()
        checking.join(0.2)
        assert checking.is_alive()
        probe.may_end.set()
        checking.join(60)
        assert not checking.is_alive()
    assert store.content is None


def test_a_store_that_fails_the_probe_has_no_lock() -> None:
    store, probe = Store(), Probe(StorageError("the store ignores conditions"))
    probe.may_end.set()
    holding = lease.hold(store, URI, 0, SETTINGS, Clock(), probe)
    held = holding.__enter__()
    with pytest.raises(StorageError, match="ignores conditions"):
        held.check()
    # A holder that never checks its lease gets the error at the end.
    with pytest.raises(StorageError, match="ignores conditions"):
        holding.__exit__(None, None, None)
    assert store.content is None


def test_the_defaults() -> None:
    assert LeaseSettings() == LeaseSettings(lease_seconds=60.0, renew_seconds=15.0)


# Interruptions, such as KeyboardInterrupt, leave no lock object.


class InterruptedStore(Store):
    """Raises KeyboardInterrupt once, after or before a request had its effect."""

    def __init__(self, method: str, *, is_done: bool) -> None:
        super().__init__()
        self._method = method
        self._is_done = is_done

    def _call(self, method: str, *arguments: object) -> Any:
        is_interrupted = method == self._method
        if is_interrupted:
            self._method = ""
        result = None
        if self._is_done or not is_interrupted:
            result = getattr(super(), method)(*arguments)
        if is_interrupted:
            raise KeyboardInterrupt
        return result

    def load(self) -> LeaseObject | None:
        return self._call("load")

    def create(self, content: bytes) -> str | None:
        return self._call("create", content)

    def replace(self, version: str, content: bytes) -> str | None:
        return self._call("replace", version, content)

    def delete(self, version: str) -> None:
        self._call("delete", version)


@pytest.mark.parametrize("is_done", [True, False], ids=["done", "not done"])
@pytest.mark.parametrize("method", ["create", "delete"])
def test_an_interrupted_request_leaves_no_lock(method: str, is_done: bool) -> None:
    store = InterruptedStore(method, is_done=is_done)
    with pytest.raises(KeyboardInterrupt), lease.hold(store, URI, 0, SETTINGS, Clock()):
        pass
    assert store.content is None


@pytest.mark.parametrize("is_done", [True, False], ids=["done", "not done"])
def test_an_interrupted_takeover_leaves_no_lock_of_its_own(is_done: bool) -> None:
    store = InterruptedStore("replace", is_done=is_done)
    store.put_by_other()
    store.age_seconds = 61.0
    with pytest.raises(KeyboardInterrupt), lease.hold(store, URI, 0, SETTINGS, Clock()):
        pass
    assert (store.content is None) is is_done


def test_an_interruption_while_waiting_leaves_the_other_lock() -> None:
    store = InterruptedStore("load", is_done=True)
    store.put_by_other()
    with pytest.raises(KeyboardInterrupt), lease.hold(store, URI, 60, SETTINGS, Clock()):
        pass
    assert b"other" in (store.content or b"")


def test_a_broken_lock_is_free_when_its_last_holder_can_no_longer_write() -> None:
    store = Store()
    with lease.hold(store, URI, 0, EAGER, Clock()) as held:
        store.content = lease.broken(store.content or b"", "a person")
        store.writes += 1
        claim = json.loads(store.content)
        assert (claim["holder"], claim["lease_seconds"]) == ("a person", 60)
        assert claim["token"] != held.token
        # The next renewal is refused.
        until(lambda: _is_lost(held))
    # The former holder leaves the lock of the person alone.
    for age_seconds, is_free in ((60.5, False), (61.0, True)):
        store.age_seconds = age_seconds
        waiter = lease.hold(store, URI, 0, SETTINGS, Clock())
        if is_free:
            with waiter as other:
                other.check()
        else:
            with pytest.raises(TimeoutError, match="held by a person"):
                waiter.__enter__()


def _is_lost(held: lease.ObjectLease) -> bool:
    try:
        held.check()
    except LeaseLostError:
        return True
    return False
