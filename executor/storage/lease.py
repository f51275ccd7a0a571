"""A lock for stores without locks: one object with a token, an expiry and conditional writes.

The writer that creates the object holds the lock, and renews the lock by writing the object again.
If the holder dies, the object grows old, and another writer replaces it. Every write names the
version of the object that it replaces, so the store accepts only one of two writers.

No two machines' clocks are compared. The store reports the age of the object by its own clock. If
it does not, a waiter measures how long the object stays unchanged. The holder measures the expiry
from the moment before its last request, on its own clock.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import math
import os
import random
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Protocol

from tfx_best_exporter.executor.redaction import shown
from tfx_best_exporter.executor.storage import foreign
from tfx_best_exporter.executor.storage.protocol import LeaseLostError, LockOwner

# Stores read at most this much of a lock object. A larger object is no claim of this exporter.
MAX_LOCK_BYTES = 1 << 16

# Claims of a longer lease are reduced to this, so that no object locks a directory forever.
_LONGEST_LEASE_SECONDS = 3600.0
_HOLDER_LENGTH = 120
# Stores report times in whole seconds.
_CLOCK_RESOLUTION_SECONDS = 1.0
# Share of a lease that is reserved for the request that a holder sends right after `check`.
_MARGIN = 0.1
_LONGEST_POLL_SECONDS = 1.0

_logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LeaseSettings:
    """Duration and renewal of a lease.

    Attributes:
        lease_seconds: Time until a lease expires if its holder does not renew it. Other writers
            wait this long after the holder has died.
        renew_seconds: Interval at which the holder renews the lease; at most a third of
            lease_seconds.
    """

    lease_seconds: float = 60.0
    renew_seconds: float = 15.0

    def __post_init__(self) -> None:
        """Checks the values."""
        if not 0 < self.renew_seconds <= self.lease_seconds / 3:
            raise ValueError(
                "renew_seconds must be positive and at most a third of lease_seconds (got"
                f" {self.renew_seconds!r} of {self.lease_seconds!r}). Renew more often, or use a"
                " longer lease."
            )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LeaseObject:
    """A lock object as the store reports it.

    Attributes:
        content: Content of the object; a part of it if it has more than MAX_LOCK_BYTES.
        version: Version that a conditional write names; changes with every write.
        age_seconds: Time since the last write, by the store's clock; None if the store does not
            report it.
    """

    content: bytes
    version: str
    age_seconds: float | None


class LeaseStore(Protocol):
    """Conditional reads and writes of one object. All may raise StorageError."""

    def load(self) -> LeaseObject | None:
        """Returns the object, or None if it does not exist."""
        ...

    def create(self, content: bytes) -> str | None:
        """Writes the object if it does not exist; returns its version, or None if it exists."""
        ...

    def replace(self, version: str, content: bytes) -> str | None:
        """Writes the object if it has this version; returns the new version, or None if not."""
        ...

    def delete(self, version: str) -> None:
        """Deletes the object if it has this version."""
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    """Content of a lock object. `renewals` makes each write of the same holder different."""

    token: str
    holder: str
    lease_seconds: float
    renewals: int

    def to_json(self) -> bytes:
        return json.dumps(dataclasses.asdict(self)).encode()

    @classmethod
    def of(cls, content: bytes, settings: LeaseSettings) -> _Claim:
        """Returns the claim in a lock object, which any program may have written."""
        try:
            with foreign.parsing():
                fields = foreign.json_object(content)
                return cls(
                    token=str(fields["token"]),
                    holder=foreign.shown(str(fields["holder"]), _HOLDER_LENGTH),
                    lease_seconds=_lease_seconds_of(fields["lease_seconds"]),
                    renewals=int(fields["renewals"]),
                )
        except foreign.ForeignContentError:
            # An unreadable object is still a lock. It expires as this exporter's own would.
            return cls(token="", holder="unknown", lease_seconds=settings.lease_seconds, renewals=0)


def _lease_seconds_of(value: object) -> float:
    """Returns the duration in a claim, which is positive and at most _LONGEST_LEASE_SECONDS."""
    if not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise ValueError(f"lease_seconds must be a positive number (got {value!r})")
    return min(float(value), _LONGEST_LEASE_SECONDS)


def boot_seconds() -> float:
    """Returns the seconds of a clock that is never set, and that counts time in suspend."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class ObjectLease:
    """A lock object that this process holds, renewed in the background."""

    def __init__(
        self,
        store: LeaseStore,
        uri: str,
        claim: _Claim,
        version: str,
        valid_from: float,
        settings: LeaseSettings,
        clock: Callable[[], float],
        probe: Callable[[], None],
    ):
        """Makes a lease from a lock object that was written; `hold` does that."""
        self._store = store
        self._uri = uri
        self._claim = claim
        self._version = version
        self._settings = settings
        self._clock = clock
        self._probe = probe
        self._probed = threading.Event()
        self._problem: Exception | None = None
        self._valid_until = self._end(valid_from)
        self._is_taken = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    @property
    def token(self) -> str:
        """Random text that identifies this lease."""
        return self._claim.token

    def check(self) -> None:
        """Checks that the lock is still held; sends no request, but waits for the probe.

        Raises:
            LeaseLostError: Another writer holds the lock, or may hold it because it was not renewed
                in time.
            StorageError: The probe has found that the store cannot keep two writers apart.
        """
        self.wait_for_probe()
        if self._is_taken:
            problem = "another writer has taken it over"
        elif self._clock() >= self._valid_until:
            problem = "it was not renewed in time"
        else:
            return
        raise LeaseLostError(
            f"cannot hold the lock {self._uri}: {problem}. This process makes no further"
            " changes. Run again, and check the network if this happens repeatedly."
        )

    def start(self) -> None:
        """Starts to probe the store and to renew the lease."""
        self._thread.start()

    def wait_for_probe(self) -> None:
        """Waits until the store is known to keep two writers apart.

        Raises:
            StorageError: The store cannot keep them apart, or failed.
        """
        self._probed.wait()
        if self._problem:
            raise self._problem

    def release(self) -> None:
        """Stops the renewal, and deletes the lock object if this process still holds the lock."""
        try:
            self._release()
        except BaseException:
            # An interruption must not leave the lock object: other writers would wait for it.
            self._release()
            raise

    def _release(self) -> None:
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join()
        # An expired lock is left alone: another writer may hold it now, and not every store has
        # conditional deletes.
        if self._is_taken or self._clock() >= self._valid_until:
            _logger.warning("the lock %s was lost before it was released", self._uri)
            return
        try:
            self._store.delete(self._version)
        except OSError as error:
            _logger.warning(
                "cannot delete the lock %s, which expires by itself: %s", self._uri, error
            )

    def _end(self, valid_from: float) -> float:
        return valid_from + self._settings.lease_seconds * (1 - _MARGIN)

    def _work(self) -> None:
        try:
            self._probe()
        except Exception as error:
            # `check` raises the error in the thread that holds the lock.
            self._problem = error
            return
        finally:
            self._probed.set()
        self._renew_until_stopped()

    def _renew_until_stopped(self) -> None:
        pause = self._settings.renew_seconds
        while not self._is_taken and not self._stopped.wait(pause):
            try:
                self._renew()
                pause = self._settings.renew_seconds
            except Exception as error:
                # Any error is retried: `check` fails if the renewals keep failing.
                _logger.warning("cannot renew the lock %s, trying again: %s", self._uri, error)
                pause = self._settings.renew_seconds / 4

    def _renew(self) -> None:
        claim = dataclasses.replace(self._claim, renewals=self._claim.renewals + 1)
        requested_at = self._clock()
        replaced = self._store.replace(self._version, claim.to_json())
        version = _settle(self._store, replaced, claim)
        if version is None:
            self._is_taken = True
            return
        self._claim, self._version = claim, version
        self._valid_until = self._end(requested_at)


@contextlib.contextmanager
def hold(
    store: LeaseStore,
    uri: str,
    timeout_seconds: float,
    settings: LeaseSettings,
    clock: Callable[[], float] = boot_seconds,
    probe: Callable[[], None] = lambda: None,
) -> Iterator[ObjectLease]:
    """Holds an exclusive lock, an object in a store, while the context lasts.

    Args:
        store: Conditional reads and writes of the lock object.
        uri: URI of the lock object, for messages.
        timeout_seconds: Maximum time to wait for another holder.
        settings: Duration and renewal of the lease.
        clock: Returns the seconds of a clock that is never set.
        probe: Raises StorageError if the store cannot keep two writers apart, and then leaves no
            lock object. Called once the lock is held, in the background: it takes as long as a
            request, and nothing depends on it before the first `check`.

    Raises:
        TimeoutError: Another writer held the lock until the timeout.
        StorageError: The store rejected a request or failed.
    """
    uri = shown(uri)
    claim = _Claim(
        token=uuid.uuid4().hex,
        holder=f"process {os.getpid()} on {socket.gethostname()}",
        lease_seconds=settings.lease_seconds,
        renewals=0,
    )
    try:
        lease = _acquire(store, uri, claim, timeout_seconds, settings, clock, probe)
    except Exception:
        raise
    except BaseException:
        # An interruption may have hidden the response of the request that created the lock object.
        _withdraw(store, claim)
        raise
    try:
        lease.start()
        yield lease
        # A holder that never calls `check` learns here that its lock was none.
        lease.wait_for_probe()
    finally:
        lease.release()


def owner_of(store: LeaseStore, settings: LeaseSettings | None = None) -> LockOwner | None:
    """Returns the writer that holds a lock object; None without one.

    A store that does not report the age of an object does not show that its writer is dead.

    Args:
        store: Reads of the lock object.
        settings: Duration of a lease whose claim cannot be read.
    """
    current = store.load()
    if current is None:
        return None
    claim = _Claim.of(current.content, settings or LeaseSettings())
    return LockOwner(name=claim.holder, is_dead=_is_expired(current, claim, unchanged_seconds=0.0))


def broken(content: bytes, holder: str, settings: LeaseSettings | None = None) -> bytes:
    """Returns a claim that takes a lock object away from its holder.

    The holder cannot renew the lock any longer. Until its last renewal has expired, it may still
    write, so the claim is for as long as that of the holder, and nobody renews it.

    Args:
        content: Content of the lock object.
        holder: Name of the program that takes the lock away.
        settings: Duration of a lease whose claim cannot be read.
    """
    claim = _Claim.of(content, settings or LeaseSettings())
    return dataclasses.replace(claim, token=uuid.uuid4().hex, holder=holder, renewals=0).to_json()


def _withdraw(store: LeaseStore, claim: _Claim) -> None:
    """Deletes the lock object of a claim, if it exists."""
    current = store.load()
    if current is not None and current.content == claim.to_json():
        store.delete(current.version)


def _acquire(
    store: LeaseStore,
    uri: str,
    claim: _Claim,
    timeout_seconds: float,
    settings: LeaseSettings,
    clock: Callable[[], float],
    probe: Callable[[], None],
) -> ObjectLease:
    deadline = clock() + timeout_seconds
    holder, seen_version, seen_at = "unknown", "", 0.0
    # Most locks are free: creating the object first saves the request that looks for it.
    requested_at = clock()
    version = store.create(claim.to_json())
    while not version:
        asked_at = clock()
        current = store.load()
        if current is None:
            requested_at = clock()
            version = _settle(store, store.create(claim.to_json()), claim)
        elif current.content == claim.to_json():
            # The first request succeeded and only its response was lost.
            version = current.version
        else:
            requested_at = clock()
            other = _Claim.of(current.content, settings)
            if not seen_version:
                _logger.info("waiting for the lock %s, which %s holds", uri, other.holder)
            if current.version != seen_version:
                holder, seen_version, seen_at = other.holder, current.version, requested_at
            if _is_expired(current, other, unchanged_seconds=asked_at - seen_at):
                _logger.warning("taking over the lock %s: %s has not renewed it", uri, holder)
                replaced = store.replace(current.version, claim.to_json())
                version = _settle(store, replaced, claim)
        if version:
            break
        if clock() >= deadline:
            raise TimeoutError(
                f"cannot lock {uri} within {timeout_seconds:g} seconds: the lock is held by"
                f" {holder}. Let the other run finish, or end it."
            )
        poll_seconds = min(_LONGEST_POLL_SECONDS, settings.renew_seconds / 4)
        time.sleep(poll_seconds * random.uniform(0.5, 1.5))
    return ObjectLease(store, uri, claim, version, requested_at, settings, clock, probe)


def _settle(store: LeaseStore, version: str | None, claim: _Claim) -> str | None:
    """Returns the version of this process's own write, also if the store rejected a repetition.

    A request whose response was lost is sent again. The store then rejects it, because the object
    already has the new content.
    """
    if version is None:
        current = store.load()
        if current and current.content == claim.to_json():
            return current.version
    return version


def _is_expired(current: LeaseObject, claim: _Claim, unchanged_seconds: float) -> bool:
    age_seconds = current.age_seconds
    if age_seconds is not None and age_seconds >= claim.lease_seconds + _CLOCK_RESOLUTION_SECONDS:
        return True
    return unchanged_seconds >= claim.lease_seconds
