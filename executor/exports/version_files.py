"""Copies, verifies and removes the files of a version, for both kinds of commit."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence

from tfx_best_exporter.executor.exports.saved_model import MARKERS, ModelFile, total_size
from tfx_best_exporter.executor.redaction import shown
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import StorageError
from tfx_best_exporter.executor.storage.transfer import copy_files, in_parallel

_logger = logging.getLogger(__name__)


class VersionTakenError(Exception):
    """Another writer has taken this version; a larger one may be free."""


def remove_leftover(location: Location, removed: str = "") -> str:
    """Removes a leftover of an earlier run; returns a sentence about it.

    Args:
        location: A file or directory.
        removed: Sentence to return after the removal; by default, one that names the location.
    """
    try:
        location.remove()
    except OSError as error:
        return not_removed(location, error)
    directory = location.path.split("/")[-2]
    return removed or f"removed {shown(location.name)} from {directory}, left by an earlier run"


def not_removed(location: Location, error: OSError) -> str:
    """Returns the sentence about a leftover that cannot be removed."""
    return f"cannot remove {location}, the next run tries again: {error}"


@contextlib.contextmanager
def tolerated() -> Iterator[None]:
    """Logs an OSError of a cleanup, so that it does not replace the error that is being handled.

    `recover` of the next run repeats the cleanup.
    """
    try:
        yield
    except OSError as error:
        _logger.warning("cannot clean up, the next run tries again: %s", error)


def remove_files(files: Sequence[Location]) -> None:
    """Deletes files of one storage without a listing; skips absent files."""
    if files:
        files[0].storage.remove_files([file.path for file in files])


def remove_version_files(version: Location, paths: Sequence[str]) -> None:
    """Deletes files of a version in an object store, the marker first, without a listing.

    Args:
        version: The version directory.
        paths: The files, relative to the directory.
    """
    remove_files([version / marker for marker in MARKERS])
    remove_files([version / path for path in paths if path not in MARKERS])


def below(destination: Location, files: Sequence[ModelFile]) -> list[tuple[ModelFile, Location]]:
    """Returns the files with their places below a directory."""
    return [(file, destination / file.path) for file in files]


def copy(
    places: Sequence[tuple[ModelFile, Location]],
    contents: Sequence[tuple[Callable[[], bytes], Location]] = (),
) -> None:
    """Copies files to their places, and writes further contents at the same time.

    Raises:
        ValueError: A copy differs from its file, by the digest that the storage reported.
    """
    files = [file for file, _ in places]
    digests = copy_files(
        [(file.source, place) for file, place in places],
        total_bytes=total_size(files),
        sizes=[file.digest.size for file in files],
        contents=contents,
    )
    for file, digest in zip(files, digests, strict=True):
        if digest != file.digest:
            raise ValueError(changed(file, "copied", digest))


def verify(files: Sequence[ModelFile], destination: Location) -> None:
    """Reads the written files again, because a disk may keep other content than was written."""

    def verify(file: ModelFile) -> None:
        digest = (destination / file.path).digest()
        if digest != file.digest:
            raise ValueError(changed(file, "written", digest))

    in_parallel(verify, files, destination.storage, total_bytes=total_size(files))


def check_sizes(expected: Mapping[str, int], destination: Location) -> None:
    """Compares the listed sizes; `copy` has compared the digests that the store reported."""
    actual = destination.sizes()
    if actual != dict(expected):
        different = sorted(
            path for path in {*expected, *actual} if expected.get(path) != actual.get(path)
        )
        raise ValueError(
            f"cannot publish {destination}: the store lists other sizes than were written for"
            f" {', '.join(map(shown, different))}. Nothing was published. Run again, and check"
            " whether another program writes to it."
        )


def changed(file: ModelFile, how: str, digest: object) -> str:
    """Returns the message for a file whose content differs from its digest.

    Args:
        file: The file.
        how: Verb for the content that was found, for example "copied".
        digest: Digest of the content that was found.
    """
    return (
        f"cannot publish {shown(file.path)}: {digest} were {how}, but {file.source} had"
        f" {file.digest}. Nothing was published. Run again, and check whether another program"
        " writes to it."
    )


@contextlib.contextmanager
def logged(attempt: str, location: Location) -> Iterator[None]:
    """Logs an OSError of something that the run can do without."""
    try:
        yield
    except OSError as error:
        _logger.warning("cannot %s %s: %s", attempt, location, error)


@contextlib.contextmanager
def explained(attempt: str, location: Location, remedy: str) -> Iterator[None]:
    """Adds the attempt, the location and the remedy to an error of the operating system."""
    try:
        yield
    except OSError as error:
        # errno is None only for errors of this package, whose messages are already complete.
        if error.errno is None:
            raise
        raise StorageError(f"cannot {attempt} {location}: {error}. {remedy}") from error
