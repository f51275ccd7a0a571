"""Operators: the files in which operators say what runs must respect.

    .best_exporter/hold.json                   no run exports or retires anything
    .best_exporter/rejected/<digest>.json      no run exports this model
    .best_exporter/pins/<version>.json         no run retires this version
    .best_exporter/released/<version>.json     this promoted version may be replaced on any data
    .best_exporter/withdrawn/<version>.json    this version is out of service; see withdrawals.py
    .best_exporter/awaiting/<digest>/          this candidate waits for approval; see awaiting.py

The name of a file says what it is about, so a file whose content is damaged still counts. A run
lists the names, and reads only the files that concern its candidate.
"""

from __future__ import annotations

import dataclasses
import re
import zlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from tfx_best_exporter.executor.deciding import numbers
from tfx_best_exporter.executor.exports import records
from tfx_best_exporter.executor.exports.links import check_no_link, entries_of
from tfx_best_exporter.executor.exports.records import MissingRecordError, RecordError
from tfx_best_exporter.executor.keys import SCHEMA_VERSION
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.transfer import at_once, in_parallel
from tfx_best_exporter.proto import best_exporter_pb2 as pb

HOLD_FILE = "hold.json"
REJECTED = "rejected"
PINS = "pins"
RELEASED = "released"
WITHDRAWN = "withdrawn"
AWAITING = "awaiting"

_ALGORITHM = "sha256:"
_HEX_NAME = re.compile(r"([0-9a-f]{64})(\.json)?")
_VERSION_NAME = re.compile(r"(0|[1-9][0-9]{0,18})\.json")

_Message = TypeVar("_Message", pb.Hold, pb.Rejection, pb.Pin, pb.Release, pb.Withdrawal)
_Key = TypeVar("_Key", str, int)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OperatorNames:
    """The existing files of operators, from one listing of each directory.

    Attributes:
        rejected: Content digests of the rejected models.
        pins: Pinned versions.
        released: Promoted versions that were released.
        withdrawn: Withdrawn versions.
        awaiting: Content digests of the candidates that wait for approval.
    """

    rejected: frozenset[str] = frozenset()
    pins: frozenset[int] = frozenset()
    released: frozenset[int] = frozenset()
    withdrawn: frozenset[int] = frozenset()
    awaiting: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Instructions:
    """The files of operators that every run respects.

    Attributes:
        names: Names of the files.
        hold: The hold if it has not ended; None if there is none.
    """

    names: OperatorNames = dataclasses.field(default_factory=OperatorNames)
    hold: pb.Hold | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OperatorState:
    """Everything that operators have said about a base directory.

    The content of a damaged file is its key, with the problem as the reason of the action.

    Attributes:
        hold: The hold; None if there is none.
        rejected: Rejections by content digest.
        pins: Pins by version.
        released: Releases by version.
        withdrawn: Withdrawals by version.
        awaiting: Content digests of the candidates that wait for approval.
    """

    hold: pb.Hold | None = None
    rejected: Mapping[str, pb.Rejection] = dataclasses.field(default_factory=dict)
    pins: Mapping[int, pb.Pin] = dataclasses.field(default_factory=dict)
    released: Mapping[int, pb.Release] = dataclasses.field(default_factory=dict)
    withdrawn: Mapping[int, pb.Withdrawal] = dataclasses.field(default_factory=dict)
    awaiting: frozenset[str] = frozenset()


class Operators:
    """The files of operators in one state directory. All writes require the lock."""

    def __init__(self, state: Location):
        """Makes Operators; reads and writes nothing.

        Args:
            state: The state directory, .best_exporter; it need not exist.
        """
        self._state = state

    def names(self) -> OperatorNames:
        """Returns the names of the files; costs one listing of each directory, all at once.

        Raises:
            StorageError: An entry is a link.
            OSError: A directory cannot be listed.
        """
        rejected, pins, released, withdrawn, awaiting = at_once(
            self._state.storage,
            lambda: self._digests(REJECTED),
            lambda: self._versions(PINS),
            lambda: self._versions(RELEASED),
            lambda: self._versions(WITHDRAWN),
            self.awaiting,
        )
        return OperatorNames(
            rejected=rejected,
            pins=pins,
            released=released,
            withdrawn=withdrawn,
            awaiting=awaiting,
        )

    def instructions(self, now: float) -> Instructions:
        """Returns the files that every run respects.

        Args:
            now: Seconds since the epoch.

        Raises:
            StorageError: An entry is a link.
            OSError: The storage does not answer.
        """
        names, hold = at_once(self._state.storage, self.names, self.hold)
        return Instructions(names=names, hold=hold_at(hold, now))

    def awaiting(self) -> frozenset[str]:
        """Returns the content digests of the candidates that wait; costs one listing.

        Raises:
            StorageError: An entry is a link.
            OSError: The directory cannot be listed.
        """
        return self._digests(AWAITING)

    def read(self) -> OperatorState:
        """Returns the content of all files except the staged candidates.

        Raises:
            StorageError: An entry is a link.
            OSError: The storage does not answer.
        """
        names, hold = at_once(self._state.storage, self.names, self.hold)
        return OperatorState(
            hold=hold,
            rejected=self._all(self.rejection, names.rejected),
            pins=self._all(self.pin, names.pins),
            released=self._all(self.release, names.released),
            withdrawn=self._all(self.withdrawal, names.withdrawn),
            awaiting=names.awaiting,
        )

    def fingerprint(self, now: float) -> str:
        """Returns a short text that changes whenever a decision may change; empty without files.

        Args:
            now: Seconds since the epoch; a hold that has ended does not count.

        Raises:
            StorageError: An entry is a link.
            OSError: The storage does not answer.
        """
        said = self.instructions(now)
        names, hold = said.names, said.hold
        if hold is None and names == OperatorNames():
            return ""
        fields = [sorted(getattr(names, field.name)) for field in dataclasses.fields(names)]
        text = repr([*fields, hold.SerializeToString(deterministic=True) if hold else None])
        return f"{zlib.crc32(text.encode()):08x}"

    def hold(self) -> pb.Hold | None:
        """Returns the hold, even if it has ended; None if there is none.

        A hold that cannot be read has no end.

        Raises:
            OSError: The storage does not answer.
        """
        location = self._state / HOLD_FILE
        check_no_link(location)
        try:
            return _content_of(location, pb.Hold())
        except MissingRecordError:
            return None

    def rejection(self, digest: str) -> pb.Rejection:
        """Returns the rejection of a model.

        Args:
            digest: One of `OperatorNames.rejected`.

        Raises:
            OSError: The storage does not answer.
        """
        return _content_of(self._rejection(digest), pb.Rejection(), digest=digest)

    def pin(self, version: int) -> pb.Pin:
        """Returns the pin of a version; see `rejection`."""
        return _content_of(self._numbered(PINS, version), pb.Pin(), version=version)

    def release(self, version: int) -> pb.Release:
        """Returns the release of a promoted version; see `rejection`."""
        return _content_of(self._numbered(RELEASED, version), pb.Release(), version=version)

    def withdrawal(self, version: int) -> pb.Withdrawal:
        """Returns the withdrawal of a version; see `rejection`.

        A withdrawal that cannot be read has no state, so that no file is moved or deleted for it.
        """
        return _content_of(self._numbered(WITHDRAWN, version), pb.Withdrawal(), version=version)

    def withdrawals(self) -> list[pb.Withdrawal]:
        """Returns the withdrawals by version; see `withdrawal`."""
        return [*self._all(self.withdrawal, self._versions(WITHDRAWN)).values()]

    def write_hold(self, hold: pb.Hold) -> None:
        """Holds all exports and retirements by runs.

        Raises:
            OSError: The file cannot be written.
        """
        _write(self._state / HOLD_FILE, hold)

    def remove_hold(self) -> None:
        """Ends the hold; does nothing without one."""
        (self._state / HOLD_FILE).remove()

    def write_rejection(self, rejection: pb.Rejection) -> None:
        """Rejects the model with the rejection's digest.

        Raises:
            OSError: The file cannot be written.
        """
        _write(self._rejection(rejection.digest), rejection)

    def remove_rejection(self, digest: str) -> None:
        """Allows a rejected model again; does nothing if it is not rejected."""
        self._rejection(digest).remove()

    def write_pin(self, pin: pb.Pin) -> None:
        """Pins a version.

        Raises:
            OSError: The file cannot be written.
        """
        _write(self._numbered(PINS, pin.version), pin)

    def remove_pin(self, version: int) -> None:
        """Removes a pin; does nothing without one."""
        self._numbered(PINS, version).remove()

    def write_release(self, release: pb.Release) -> None:
        """Releases a promoted version.

        Raises:
            OSError: The file cannot be written.
        """
        _write(self._numbered(RELEASED, release.version), release)

    def write_withdrawal(self, withdrawal: pb.Withdrawal) -> None:
        """Writes the state of a withdrawal; withdrawals.py moves the files.

        Raises:
            OSError: The file cannot be written.
        """
        _write(self._numbered(WITHDRAWN, withdrawal.version), withdrawal)

    def remove_withdrawal(self, version: int) -> None:
        """Removes a withdrawal after the version was restored."""
        self._numbered(WITHDRAWN, version).remove()

    def _all(self, read: Callable[[_Key], _Message], keys: frozenset[_Key]) -> dict[_Key, _Message]:
        ordered = sorted(keys)
        return dict(
            zip(
                ordered, in_parallel(read, ordered, self._state.storage, total_bytes=0), strict=True
            )
        )

    def _digests(self, directory: str) -> frozenset[str]:
        matches = map(_HEX_NAME.fullmatch, self._names_in(directory))
        return frozenset(f"{_ALGORITHM}{match[1]}" for match in matches if match)

    def _versions(self, directory: str) -> frozenset[int]:
        matches = map(_VERSION_NAME.fullmatch, self._names_in(directory))
        return frozenset(int(match[1]) for match in matches if match)

    def _names_in(self, directory: str) -> list[str]:
        return [entry.name for entry in entries_of(self._state / directory)]

    def _rejection(self, digest: str) -> Location:
        return self._state / f"{REJECTED}/{hex_of(digest)}.json"

    def _numbered(self, directory: str, version: int) -> Location:
        return self._state / f"{directory}/{version}.json"


def hold_at(hold: pb.Hold | None, now: float) -> pb.Hold | None:
    """Returns a hold if it has not ended.

    Args:
        hold: A hold, or None.
        now: Seconds since the epoch.
    """
    if hold is None or not hold.HasField("until"):
        return hold
    return hold if now < numbers.seconds_of(hold.until) else None


def hex_of(digest: str) -> str:
    """Returns the hexadecimal digits of a content digest, for a file name.

    Raises:
        ValueError: The text is no content digest.
    """
    digits = digest.removeprefix(_ALGORITHM)
    if not _HEX_NAME.fullmatch(digits) or "." in digits:
        raise ValueError(
            f"digest must be {_ALGORITHM!r} and 64 hexadecimal digits (got {digest!r}). Copy it"
            " from the output of `best-exporter history`."
        )
    return digits


def digest_in(name: str) -> str | None:
    """Returns the content digest that a directory is named after, or None for another name."""
    match = _HEX_NAME.fullmatch(name)
    return f"{_ALGORITHM}{name}" if match and not match[2] else None


def _content_of(location: Location, message: _Message, **key: Any) -> _Message:
    """Returns the message in a file; if it cannot be read, one with the key and the problem."""
    try:
        found = records.read(location, message)
        if all(getattr(found, name) == value for name, value in key.items()):
            return found
        problem = f"{location} is about something else"
    except MissingRecordError:
        if not key:
            raise
        problem = f"{location} does not exist"
    except RecordError as error:
        problem = str(error)
    message.Clear()
    for name, value in key.items():
        setattr(message, name, value)
    message.action.reason = problem
    return message


def _write(location: Location, message: _Message) -> None:
    message.schema_version = SCHEMA_VERSION
    location.write(records.to_json(message))
