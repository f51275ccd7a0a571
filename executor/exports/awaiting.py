"""Awaiting: candidates that a policy staged until a person approves them.

    .best_exporter/awaiting/<digest>/files/        the files of the future export
    .best_exporter/awaiting/<digest>/staged.json   AwaitingApproval, written last

A directory without staged.json was left by a run that died, and the next run removes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from tfx_best_exporter.executor.deciding import numbers
from tfx_best_exporter.executor.exports import records
from tfx_best_exporter.executor.exports.operators import AWAITING, Operators, hex_of
from tfx_best_exporter.executor.exports.records import RecordError
from tfx_best_exporter.executor.exports.saved_model import ModelFile
from tfx_best_exporter.executor.exports.version_files import below, copy, not_removed, verify
from tfx_best_exporter.executor.keys import SCHEMA_VERSION
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.proto import best_exporter_pb2 as pb

MAX_STAGED: Final = 3
EXPIRY_SECONDS: Final = 14 * 24 * 3600

_FILES = "files"
_STAGED = "staged.json"


def has_expired(staged: pb.AwaitingApproval, now: float) -> bool:
    """Returns True if a candidate waited for approval too long.

    Args:
        staged: The candidate.
        now: Seconds since the epoch.
    """
    return numbers.seconds_of(staged.expires_at) < now


class Awaiting:
    """The staged candidates of a base directory. All methods but `all` require the lock."""

    def __init__(self, state: Location, check_lease: Callable[[], None]):
        """Makes Awaiting; reads and writes nothing.

        Args:
            state: The state directory.
            check_lease: Called before each change; raises an error without the lock.
        """
        self._directory = state / AWAITING
        self._operators = Operators(state)
        self._check_lease = check_lease

    def all(self) -> list[pb.AwaitingApproval]:
        """Returns the candidates that are staged completely, the newest first.

        Raises:
            OSError: The storage does not answer.
        """
        return self._complete_among(self._operators.awaiting())

    def _complete_among(self, digests: frozenset[str]) -> list[pb.AwaitingApproval]:
        found = [self.get(digest) for digest in digests]
        return sorted(
            (each for each in found if each is not None),
            key=lambda each: each.staged_at.ToNanoseconds(),
            reverse=True,
        )

    def get(self, digest: str) -> pb.AwaitingApproval | None:
        """Returns the candidate with a content digest; None if it is not staged completely.

        Raises:
            OSError: The storage does not answer.
        """
        try:
            found = records.read(self._place(digest) / _STAGED, pb.AwaitingApproval())
        except RecordError:
            return None
        return found if found.record.model.digest == digest else None

    def files_of(self, staged: pb.AwaitingApproval) -> list[ModelFile]:
        """Returns the files of a staged candidate, with the digests at the time of staging."""
        return records.files_in(self._place(staged.record.model.digest) / _FILES, staged.record)

    def stage(self, files: Sequence[ModelFile], staged: pb.AwaitingApproval) -> None:
        """Copies the files of a candidate; replaces an earlier copy.

        Args:
            files: Files of the future export, with their digests.
            staged: The candidate, with its record; the manifest is set here.

        Raises:
            ValueError: A file changed since its digest was computed.
            LeaseLostError: Another writer took over the lock.
            OSError: A file cannot be read or written.
        """
        place = self._place(staged.record.model.digest)
        self._check_lease()
        place.remove()
        copy(below(place / _FILES, files))
        verify(files, place / _FILES)
        place.storage.sync(place.path)
        staged.schema_version = SCHEMA_VERSION
        staged.record.manifest.extend(records.manifest_of(files))
        staged.expires_at.FromNanoseconds(staged.staged_at.ToNanoseconds() + EXPIRY_SECONDS * 10**9)
        self._check_lease()
        (place / _STAGED).write(records.to_json(staged))

    def remove(self, digest: str) -> None:
        """Removes a staged candidate; does nothing if there is none.

        Raises:
            LeaseLostError: Another writer took over the lock.
            OSError: Some files are left.
        """
        self._check_lease()
        # Without staged.json, the next run removes what is left.
        (self._place(digest) / _STAGED).remove()
        self._place(digest).remove()

    def expire(self, now: float) -> list[str]:
        """Removes expired, incomplete and surplus candidates; returns a sentence for each one.

        A lost lock is such a sentence too: the run has carried out its decision before.

        Args:
            now: Seconds since the epoch.

        Raises:
            OSError: The directory cannot be listed.
        """
        digests = self._operators.awaiting()
        if not digests:
            return []
        complete = self._complete_among(digests)
        reasons = dict.fromkeys(digests, "was not staged completely")
        for position, each in enumerate(complete):
            surplus = f"is older than the {MAX_STAGED} newest" if position >= MAX_STAGED else ""
            reasons[each.record.model.digest] = (
                "was not approved in time" if has_expired(each, now) else surplus
            )
        found = []
        for digest, reason in sorted(reasons.items()):
            if not reason:
                continue
            try:
                self.remove(digest)
                found.append(f"removed the staged candidate {digest}, which {reason}")
            except OSError as error:
                found.append(not_removed(self._place(digest), error))
        return found

    def _place(self, digest: str) -> Location:
        return self._directory / hex_of(digest)
