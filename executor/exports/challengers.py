"""Challengers: refused models that the next runs measure again, and the ledger of all measurements.

    .best_exporter/challengers/ledger.json                ChallengerLedger
    .best_exporter/challengers/<digest>/files/            the files of the model
    .best_exporter/challengers/<digest>/challenger.json   Challenger, written last

A directory without challenger.json was left by a run that died, and the next run removes it.

A challenger has the files of the model as it was trained, and its evaluation. An export that was
replaced is kept as it was served: its record then has a recipe.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Final

from tfx_best_exporter.executor.exports import records
from tfx_best_exporter.executor.exports.links import check_no_link, entries_of
from tfx_best_exporter.executor.exports.operators import digest_in, hex_of
from tfx_best_exporter.executor.exports.records import MissingRecordError, RecordError
from tfx_best_exporter.executor.exports.saved_model import ModelFile
from tfx_best_exporter.executor.exports.version_files import not_removed, verify
from tfx_best_exporter.executor.keys import SCHEMA_VERSION
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import LeaseLostError
from tfx_best_exporter.executor.storage.transfer import (
    at_once,
    copy_files,
    in_parallel,
    link_files,
)
from tfx_best_exporter.proto import best_exporter_pb2 as pb

MAX_ROWS: Final = 40

CHALLENGERS = "challengers"
_LEDGER = "ledger.json"
_FILES = "files"
_CHALLENGER = "challenger.json"
# Runs keep at most eight; more directories were not written by a run.
_MAX_READ = 50


class Challengers:
    """The challengers of a base directory, and their ledger. All writes require the lock."""

    def __init__(self, state: Location, check_lease: Callable[[], None]):
        """Makes Challengers; reads and writes nothing.

        Args:
            state: The state directory.
            check_lease: Called before each change; raises an error without the lock.
        """
        self._directory = state / CHALLENGERS
        self._check_lease = check_lease
        # The challengers that `recover` or `look` found.
        self.known: tuple[str, ...] = ()

    def digests(self) -> frozenset[str]:
        """Returns the content digests of all challengers, complete or not; costs one listing.

        Raises:
            StorageError: An entry is a link.
            OSError: The directory cannot be listed.
        """
        return _digests_in(self._names())

    def look(self) -> None:
        """Notes the challengers, complete or not, without the lock; costs one listing.

        Raises:
            StorageError: An entry is a link.
            OSError: The directory cannot be listed.
        """
        self.known = tuple(sorted(self.digests()))

    def all(self) -> list[pb.Challenger]:
        """Returns the complete challengers, in order of their digests.

        Raises:
            OSError: The storage does not answer.
        """
        digests = sorted(self.digests())[:_MAX_READ]
        found = in_parallel(self.get, digests, self._directory.storage, total_bytes=0)
        return [each for each in found if each is not None]

    def get(self, digest: str) -> pb.Challenger | None:
        """Returns the challenger with a content digest; None if it is not complete.

        Raises:
            OSError: The storage does not answer.
        """
        try:
            return self._read(digest)
        except RecordError:
            return None

    def _read(self, digest: str) -> pb.Challenger:
        location = self._place(digest) / _CHALLENGER
        found = records.read(location, pb.Challenger())
        if found.record.model.digest != digest:
            raise RecordError(f"{location} is about another model. Restore it from a backup.")
        return found

    def location_of(self, digest: str) -> Location:
        """Returns the directory of a challenger's files, which TensorFlow can load."""
        return self._place(digest) / _FILES

    def files_of(self, challenger: pb.Challenger) -> list[ModelFile]:
        """Returns the files of a challenger, with the digests at the time when it was kept."""
        record = challenger.record
        return records.files_in(self.location_of(record.model.digest), record)

    def problem_of(self, challenger: pb.Challenger) -> str:
        """Returns a difference between the files of a challenger and its manifest; empty if none.

        Every file is read, unless a store knows its checksum.

        Raises:
            OSError: The storage does not answer.
        """
        files = self.files_of(challenger)
        directory = self.location_of(challenger.record.model.digest)
        check_no_link(directory)
        expected = {file.path: file.digest.size for file in files}
        actual = directory.sizes()
        for path in sorted({*expected, *actual}):
            if expected.get(path) != actual.get(path):
                return f"{path} has another size, is missing or was added"
        try:
            verify(files, directory)
        except ValueError:
            return "the content of a file was changed"
        return ""

    def keep(
        self, files: Sequence[ModelFile], challenger: pb.Challenger, *, may_link: bool = True
    ) -> None:
        """Keeps a model; does nothing if it is kept already.

        Args:
            files: Files to keep, with their digests. They are linked if they are in the same
                storage, and copied otherwise.
            challenger: The challenger, with its record; the manifest is set here.
            may_link: False to copy the files of an export, which nothing may link to.

        Raises:
            ValueError: A file changed since its digest was computed.
            LeaseLostError: Another writer took over the lock.
            OSError: A file cannot be read or written.
        """
        digest = challenger.record.model.digest
        if self.get(digest) is not None:
            return
        place = self._place(digest)
        self._check_lease()
        place.remove()
        places = [(file.source, place / _FILES / file.path) for file in files]
        same = [may_link and source.storage is place.storage for source, _ in places]
        link_files([pair for pair, is_same in zip(places, same, strict=True) if is_same])
        copy_files([pair for pair, is_same in zip(places, same, strict=True) if not is_same])
        verify(files, place / _FILES)
        place.storage.sync(place.path)
        challenger.schema_version = SCHEMA_VERSION
        del challenger.record.manifest[:]
        challenger.record.manifest.extend(records.manifest_of(files))
        self._check_lease()
        (place / _CHALLENGER).write(records.to_json(challenger))

    def drop(self, digest: str) -> None:
        """Removes a challenger; does nothing if there is none.

        Raises:
            LeaseLostError: Another writer took over the lock.
            OSError: Some files are left.
        """
        self._check_lease()
        # Without challenger.json, the next run removes what is left.
        (self._place(digest) / _CHALLENGER).remove()
        self._place(digest).remove()

    def recover(self, digests: frozenset[str]) -> list[str]:
        """Removes incomplete challengers, and notes the others; returns a sentence for each one.

        A challenger.json that cannot be read may come from a newer release, so its files stay.

        Args:
            digests: The challengers, complete or not.

        Raises:
            LeaseLostError: Another writer took over the lock.
            OSError: The storage does not answer.
        """
        found, complete, incomplete = [], [], []
        for digest in sorted(digests):
            try:
                self._read(digest)
            except MissingRecordError:
                incomplete.append(digest)
            except RecordError as error:
                found.append(f"the challenger {digest} is not used: {error}")
            else:
                complete.append(digest)
        self.known = tuple(complete)
        for digest in incomplete:
            try:
                self.drop(digest)
                found.append(f"removed the challenger {digest}, which was not kept completely")
            except LeaseLostError:
                raise
            except OSError as error:
                found.append(not_removed(self._place(digest), error))
        return found

    def ledger(
        self, eval_config_digest: str, rule: pb.MetricRule
    ) -> tuple[pb.ChallengerLedger, str]:
        """Returns the ledger for an eval config and a rule, and a warning; both may be empty.

        Args:
            eval_config_digest: Digest of the eval config of this run.
            rule: The metric and the direction of the values.

        Raises:
            OSError: The storage does not answer.
        """
        empty = pb.ChallengerLedger(eval_config_digest=eval_config_digest, rule=rule)
        location = self._directory / _LEDGER
        check_no_link(location)
        if not location.exists():
            return empty, ""
        try:
            found = records.read(location, pb.ChallengerLedger())
        except RecordError as error:
            return empty, f"the evidence of earlier runs is not used: {error}"
        if found.eval_config_digest != eval_config_digest or found.rule != rule:
            return empty, ""
        del found.rows[:-MAX_ROWS]
        return found, ""

    def write_ledger(self, ledger: pb.ChallengerLedger) -> None:
        """Writes the ledger.

        Args:
            ledger: The ledger; all rows but the newest 40 are dropped.

        Raises:
            LeaseLostError: Another writer took over the lock.
            OSError: The file cannot be written.
        """
        del ledger.rows[:-MAX_ROWS]
        ledger.schema_version = SCHEMA_VERSION
        self._check_lease()
        (self._directory / _LEDGER).write(records.to_json(ledger))

    def fingerprint(self) -> str:
        """Returns a short text that changes with challengers and ledger; empty without any.

        Raises:
            StorageError: An entry is a link.
            OSError: The storage does not answer.
        """
        location = self._directory / _LEDGER
        names, digest = at_once(
            location.storage,
            self._names,
            lambda: location.digest() if location.exists() else None,
        )
        if not names:
            return ""
        text = repr((sorted(_digests_in(names)), digest and (digest.size, digest.crc32c)))
        return f"challengers {zlib.crc32(text.encode()):08x}"

    def _names(self) -> list[str]:
        return [entry.name for entry in entries_of(self._directory)]

    def _place(self, digest: str) -> Location:
        return self._directory / hex_of(digest)


def _digests_in(names: Sequence[str]) -> frozenset[str]:
    return frozenset(filter(None, map(digest_in, names)))
