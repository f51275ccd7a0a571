"""MarkerCommit: a version appears in an object store with its marker; see commit.py."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import secrets
from collections.abc import Callable, Mapping, Sequence

from tfx_best_exporter.executor.exports.saved_model import MARKERS, ModelFile, total_size
from tfx_best_exporter.executor.exports.version_files import (
    VersionTakenError,
    below,
    check_sizes,
    copy,
    not_removed,
    remove_files,
    remove_leftover,
    remove_version_files,
    tolerated,
)
from tfx_best_exporter.executor.exports.versions import number_of
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.transfer import at_once

# The claim is a file in staging/<version>/ that reserves the version for one writer.
_CLAIM = "claim.json"
# TensorFlow Serving tries to load a new version once a minute, five times. An upload of this size
# takes less than a minute at 2 MB/s.
_DIRECT_BYTES = 64 << 20


class MarkerCommit:
    """Commit in an object store: a directory becomes a SavedModel when its marker is copied.

    The marker waits in staging/<version>/, and the storage copies it into place. `recover` deletes
    the staged marker first, so that a writer that lost its lease without noticing cannot commit a
    version that was cleaned up. The claim of that version stays in staging/<version>/ until a
    larger version is visible. No other writer therefore has files under that version, and the old
    writer can do no harm with late uploads or deletions.
    """

    def __init__(self, base: Location, state: Location, *, direct_bytes: int = _DIRECT_BYTES):
        """Makes a MarkerCommit; writes nothing.

        Args:
            base: The base directory.
            state: Directory in the base directory that model servers ignore.
            direct_bytes: Largest upload that goes directly to the version directory.
        """
        self._base = base
        self._staging = state / "staging"
        self._direct_bytes = direct_bytes
        # Versions of other writers whose claims this process has found in staging.
        self._claimed: set[int] = set()
        # Files for `clean_up`.
        self._done: list[Location] = []

    def publish(
        self,
        version: int,
        files: Sequence[ModelFile],
        contents: Mapping[str, Callable[[], bytes]],
        check_lease: Callable[[], None],
        check_served: Callable[[], None] = lambda: None,
        note_number: Callable[[], None] = lambda: None,
    ) -> None:
        """Claims the version, writes all but the marker, verifies, copies the staged marker.

        A model server that sees the first file of a version expects the rest within a few minutes.
        Large uploads may take longer, so they go to staging first, and the storage copies them.
        """
        staging = self._staging / str(version)
        destination = self._base / str(version)
        self._claim(version, check_lease, note_number)
        markers = [file for file in files if file.is_marker]
        others = [file for file in files if not file.is_marker]
        written = [*(file.path for file in others), *contents]
        staged: list[Location] = []
        try:
            others, staged = self._staged_if_large(others, staging)
            expected = {file.path: file.digest.size for file in others}

            def made(path: str) -> bytes:
                content = contents[path]()
                expected[path] = len(content)
                return content

            copy(
                [*below(destination, others), *below(staging, markers)],
                [(functools.partial(made, path), destination / path) for path in contents],
            )
            at_once(
                destination.storage,
                # A storage may keep something other than it reported, and other programs may
                # write.
                lambda: check_sizes(expected, destination),
                check_served,
            )
            check_lease()
        except Exception:
            with tolerated():
                self._remove(version, written)
            # A lost lease is the likely cause if the next writer has removed these files, and
            # LeaseLostError makes the run start again.
            check_lease()
            raise
        except BaseException:
            with tolerated():
                self._remove(version, written)
            raise
        self._put_markers(markers, version, written, check_lease)
        self._done += [staging / _CLAIM, *(staging / file.path for file in markers), *staged]
        self._forget_claims_below(version)

    def _claim(
        self,
        version: int,
        check_lease: Callable[[], None],
        note_number: Callable[[], None],
    ) -> None:
        """Reserves a version that has no files, and notes its number.

        Raises:
            VersionTakenError: Another writer has a claim or files.
            LeaseLostError: Another writer may have published the version meanwhile.
        """
        claim = self._staging / str(version) / _CLAIM
        content = json.dumps({"token": secrets.token_hex(16)}).encode()
        destination = self._base / str(version)
        try:
            _, sizes, _ = at_once(
                claim.storage,
                lambda: claim.write(content, if_absent=True),
                destination.sizes,
                note_number,
            )
        except FileExistsError as error:
            self._claimed.add(version)
            raise VersionTakenError from error
        try:
            if sizes:
                raise VersionTakenError
            # The listing may be older than the claim. If the lease is still held, no other writer
            # can have published the version and removed its claim between the two.
            check_lease()
        except BaseException:
            # The files, if there are any, belong to another writer.
            with tolerated():
                remove_files([claim])
            raise

    def _staged_if_large(
        self, files: Sequence[ModelFile], staging: Location
    ) -> tuple[list[ModelFile], list[Location]]:
        """Uploads files to staging if their upload may take long.

        Returns:
            The files with their sources from now on, and the staged files.
        """
        outside = [file for file in files if file.source.storage is not staging.storage]
        if total_size(outside) <= self._direct_bytes:
            return [*files], []
        places = {file.path: staging / "files" / file.path for file in outside}
        copy([(file, places[file.path]) for file in outside])
        moved = [
            dataclasses.replace(file, source=places.get(file.path, file.source)) for file in files
        ]
        return moved, [*places.values()]

    def _put_markers(
        self,
        markers: Sequence[ModelFile],
        version: int,
        written: Sequence[str],
        check_lease: Callable[[], None],
    ) -> None:
        """Commits the version. A model server may load a visible version, so it must stay.

        After an interrupt, `recover` finds out whether the version is visible.

        Args:
            markers: The markers, which wait in staging.
            version: The version.
            written: Paths of the files that were written to the version.
            check_lease: Called after a failure.
        """
        staging, destination = self._staging / str(version), self._base / str(version)
        staged = [dataclasses.replace(file, source=staging / file.path) for file in markers]
        try:
            copy(below(destination, staged))
        except (OSError, ValueError) as error:
            # The copy may have succeeded and only its response been lost. A digest mismatch
            # (ValueError) is never a commit.
            if isinstance(error, OSError) and self._may_be_visible(version, error):
                return
            with tolerated():
                self._remove(version, [*(file.path for file in markers), *written])
            check_lease()
            raise

    def _may_be_visible(self, version: int, error: OSError) -> bool:
        try:
            return self.is_visible(version)
        except OSError:
            # The storage does not answer, so it is not known whether the version is visible. The
            # next run finds out, and nothing is removed now.
            raise error from None

    def files_to_delete(self, version: int) -> Sequence[str]:
        """Returns the files of the version; costs one listing."""
        return sorted((self._base / str(version)).sizes())

    def retire(
        self, versions: Mapping[int, Sequence[str]], check_lease: Callable[[], None]
    ) -> dict[int, OSError]:
        """Deletes the marker of each version, then its other files, one version at a time."""
        failures: dict[int, OSError] = {}
        for version, files in versions.items():
            try:
                check_lease()
                remove_version_files(self._base / str(version), files)
            except OSError as error:
                failures[version] = error
        return failures

    def is_visible(self, version: int) -> bool:
        """Returns True if the version has a marker."""
        entries = (self._base / str(version)).children()
        return any(entry.name in MARKERS for entry in entries)

    def clean_up(self) -> None:
        """Removes the staged files and claims of visible versions, with one request."""
        done, self._done = self._done, []
        with tolerated():
            remove_files(done)

    def leftovers(self) -> list[str]:
        """Returns the paths of the files in staging; costs one listing."""
        return sorted(self._staging.sizes())

    def recover(
        self, check_lease: Callable[[], None], leftovers: Sequence[str] | None = None
    ) -> list[str]:
        """Removes the files of versions that were claimed but not committed."""
        if leftovers is None:
            leftovers = self.leftovers()
        found = []
        for name, group in itertools.groupby(leftovers, lambda path: path.partition("/")[0]):
            files = [path.removeprefix(f"{name}/") for path in group]
            check_lease()
            if name != str(number_of(name)) or files == [name]:
                found.append(remove_leftover(self._staging / name))
                continue
            try:
                found.extend(self._recover(int(name), files))
            except OSError as error:
                found.append(not_removed(self._base / name, error))
        if self._claimed:
            numbers = (number_of(entry.name) for entry in self._base.children())
            largest = max((number for number in numbers if number is not None), default=0)
            self._forget_claims_below(largest)
            self.clean_up()
        return found

    def _recover(self, version: int, files: Sequence[str]) -> list[str]:
        """Removes the leftovers of one version; returns a sentence about them, if there were any.

        Args:
            version: A version with files in staging.
            files: Paths of these files, relative to staging/<version>.
        """
        staging = self._staging / str(version)
        # Without the staged marker, no writer can commit this version anymore. A version that is
        # not visible now never becomes visible.
        remove_files([staging / marker for marker in MARKERS])
        if self.is_visible(version):
            return [remove_leftover(staging)]
        if _CLAIM in files:
            self._claimed.add(version)
        others = [staging / path for path in files if path != _CLAIM]
        remove_files(others)
        if not self._remove_version(version) and not others:
            return []
        return [f"removed version {version}, left half-written by an earlier run"]

    def _forget_claims_below(self, version: int) -> None:
        """Leaves the known claims below a version to `clean_up`.

        Versions only increase, so no writer asks again for a smaller number.
        """
        done = {other for other in self._claimed if other < version}
        self._done += [self._staging / f"{other}/{_CLAIM}" for other in done]
        self._claimed -= done

    def _remove(self, version: int, written: Sequence[str]) -> None:
        """Removes a version that was not committed, the staged marker first, the claim last.

        Files that another program has copied to the same number stay.

        Args:
            version: The version.
            written: Paths of the files that may have been written to it.
        """
        staging, destination = self._staging / str(version), self._base / str(version)
        remove_files([staging / path for path in staging.sizes() if path != _CLAIM])
        remove_files([destination / path for path in (*MARKERS, *written) if path in written])
        remove_files([staging / _CLAIM])

    def _remove_version(self, version: int) -> bool:
        """Removes the files of a version, the marker first; returns whether it had any."""
        destination = self._base / str(version)
        paths = [*destination.sizes()]
        if paths:
            remove_version_files(destination, paths)
        return bool(paths)
