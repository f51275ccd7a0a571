"""A lock for stores that know no locks: one object with a token, an expiry, and conditional writes.

Who creates the object holds the lock. It writes the object again from time to time; when it dies,
the object grows old, and another writer replaces it. Every write names the version of the object
that it replaces, so of two writers the store lets one through.

No two machines' clocks are compared. How old the object is, the store says, by its own clock. Where
it does not, a waiter measures for how long the object has not changed. Whether the lease may have
run out, its holder measures from before it asked for it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import random
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Protocol

from tfx_best_exporter.executor.storage.protocol import LeaseLostError

# An object that claims to be valid for longer is not believed.
_LONGEST_LEASE_SECONDS = 3600.0
# Stores tell times in whole seconds.
_CLOCK_RESOLUTION_SECONDS = 1.0
# The share of a lease that is left for what its holder does between `check` and its effect.
_MARGIN = 0.1
_LONGEST_POLL_SECONDS = 1.0

_logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LeaseSettings:
    """How long a lease lasts.

    Attributes:
        lease_seconds: For how long a lease is valid if its holder does not renew it. After a
            holder's death others wait so long.
        renew_seconds: How often its holder renews it; a third of lease_seconds, or less.
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
    """What a store says of a lock object.

    Attributes:
        content: Of the object.
        version: What a conditional write names: changes with every write.
        age_seconds: Time since it was written, by the store's clock; None if the store does not
            tell it.
    """

    content: bytes
    version: str
    age_seconds: float | None


class LeaseStore(Protocol):
    """Conditional reads and writes of one object. All may raise StorageError."""

    def load(self) -> LeaseObject | None:
        """Returns the object; None if it is not there."""
        ...

    def create(self, content: bytes) -> str | None:
        """Writes the object if it is not there; returns its version, or None if it is there."""
        ...

    def replace(self, version: str, content: bytes) -> str | None:
        """Writes the object if it has this version; returns the new one, or None if it has not."""
        ...

    def delete(self, version: str) -> None:
        """Deletes the object if it has this version."""
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    """What a lock object says. `renewals` makes each write of one holder a different one."""

    token: str
    holder: str
    lease_seconds: float
    renewals: int

    def to_json(self) -> bytes:
        return json.dumps(dataclasses.asdict(self)).encode()

    @classmethod
    def of(cls, content: bytes, settings: LeaseSettings) -> _Claim:
        # What cannot be read still is a lock: it runs out as one of ours would.
        try:
            fields = json.loads(content)
            return cls(
                token=str(fields["token"]),
                holder=str(fields["holder"]),
                lease_seconds=min(float(fields["lease_seconds"]), _LONGEST_LEASE_SECONDS),
                renewals=int(fields["renewals"]),
            )
        except (ValueError, KeyError, TypeError):
            return cls(token="", holder="unknown", lease_seconds=settings.lease_seconds, renewals=0)


def boot_seconds() -> float:
    """Returns seconds of a clock that nobody sets, and that goes on while the machine sleeps."""
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
    ):
        """Makes a lease of a lock object that was written; `acquire` does."""
        self._store = store
        self._uri = uri
        self._claim = claim
        self._version = version
        self._settings = settings
        self._clock = clock
        self._valid_until = self._end(valid_from)
        self._is_taken = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._renew_until_stopped, daemon=True)

    @property
    def token(self) -> str:
        """What tells this lease from every other one."""
        return self._claim.token

    def check(self) -> None:
        """Makes sure that the lock is still held; asks nobody.

        Raises:
            LeaseLostError: Another writer has it, or may have it, since it could not be renewed.
        """
        if self._is_taken:
            problem = "another writer that took it over"
        elif self._clock() >= self._valid_until:
            problem = "no renewal in time"
        else:
            return
        raise LeaseLostError(
            f"lock must be held until its owner frees it (got {problem}, at {self._uri})."
            " Nothing may be committed any more: run again, and check the network if this stays."
        )

    def start(self) -> None:
        """Starts to renew the lease."""
        self._thread.start()

    def release(self) -> None:
        """Stops renewing, and deletes the lock object if it is still ours."""
        self._stopped.set()
        self._thread.join()
        # Others may hold it now, and a store may not know conditional deletes.
        if self._is_taken or self._clock() >= self._valid_until:
            _logger.warning("%s was lost before it was released", self._uri)
            return
        try:
            self._store.delete(self._version)
        except OSError as error:
            _logger.warning("%s was not deleted, and expires by itself: %s", self._uri, error)

    def _end(self, valid_from: float) -> float:
        return valid_from + self._settings.lease_seconds * (1 - _MARGIN)

    def _renew_until_stopped(self) -> None:
        pause = self._settings.renew_seconds
        while not self._is_taken and not self._stopped.wait(pause):
            try:
                self._renew()
                pause = self._settings.renew_seconds
            except Exception as error:
                # Whatever it is: `check` fails if it stays.
                _logger.warning("%s was not renewed, trying again: %s", self._uri, error)
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
) -> Iterator[ObjectLease]:
    """Holds an exclusive lock, an object in a store, while the context lasts.

    Args:
        store: Conditional reads and writes of the lock object.
        uri: Of the lock object, for messages.
        timeout_seconds: How long to wait for another holder.
        settings: How long the lease lasts.
        clock: Seconds of a clock that nobody sets.

    Raises:
        TimeoutError: Another writer held the lock all the time.
        StorageError: The store refused or failed.
    """
    lease = _acquire(store, uri, timeout_seconds, settings, clock)
    lease.start()
    try:
        yield lease
    finally:
        lease.release()


def _acquire(
    store: LeaseStore,
    uri: str,
    timeout_seconds: float,
    settings: LeaseSettings,
    clock: Callable[[], float],
) -> ObjectLease:
    claim = _Claim(
        token=uuid.uuid4().hex,
        holder=f"process {os.getpid()} on {socket.gethostname()}",
        lease_seconds=settings.lease_seconds,
        renewals=0,
    )
    deadline = clock() + timeout_seconds
    holder, seen_version, seen_at = "unknown", "", 0.0
    while True:
        asked_at, version = clock(), None
        current = store.load()
        requested_at = clock()
        if current is None:
            version = _settle(store, store.create(claim.to_json()), claim)
        else:
            other = _Claim.of(current.content, settings)
            if not seen_version:
                _logger.info("waiting for %s, who holds %s", other.holder, uri)
            if current.version != seen_version:
                holder, seen_version, seen_at = other.holder, current.version, requested_at
            if _is_expired(current, other, unchanged_seconds=asked_at - seen_at):
                _logger.warning("taking over %s: %s has not renewed it", uri, holder)
                replaced = store.replace(current.version, claim.to_json())
                version = _settle(store, replaced, claim)
        if version:
            return ObjectLease(store, uri, claim, version, requested_at, settings, clock)
        if clock() >= deadline:
            raise TimeoutError(
                f"lock must be free within {timeout_seconds:g} seconds (held by {holder}, at"
                f" {uri}). Let the other run finish, or end it."
            )
        poll_seconds = min(_LONGEST_POLL_SECONDS, settings.renew_seconds / 4)
        time.sleep(poll_seconds * random.uniform(0.5, 1.5))


def _settle(store: LeaseStore, version: str | None, claim: _Claim) -> str | None:
    """Returns the version of our own write, if the store refused it only because it is there.

    A request whose reply was lost is sent again, and finds its own effect in the way.
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
