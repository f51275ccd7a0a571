"""Copies the files of an export, and proves that each copy has the content that was decided on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tfx_best_exporter.executor.exports.saved_model import ModelFile, total_size
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.transfer import copy_files, in_parallel


def copy(files: Sequence[ModelFile], destination: Location) -> None:
    """Copies files, and compares the digest of each copy with the file's digest.

    Raises:
        ValueError: A file changed since its digest was computed.
        OSError: A file cannot be read or written.
    """
    digests = copy_files(
        [(file.source, destination / file.path) for file in files],
        total_bytes=total_size(files),
        sizes=[file.digest.size for file in files],
    )
    for file, digest in zip(files, digests, strict=True):
        if digest != file.digest:
            raise ValueError(_changed(file, "copied", digest))


def verify(files: Sequence[ModelFile], destination: Location) -> None:
    """Reads the written files again, because a disk may keep other content than was written.

    Raises:
        ValueError: A file has other content.
        OSError: A file cannot be read.
    """

    def verify(file: ModelFile) -> None:
        digest = (destination / file.path).digest()
        if digest != file.digest:
            raise ValueError(_changed(file, "written", digest))

    in_parallel(verify, files, destination.storage, total_bytes=total_size(files))


def check_sizes(expected: Mapping[str, int], destination: Location) -> None:
    """Compares the listed sizes; `copy` has compared the digests that the store reported.

    Raises:
        ValueError: The store lists other files or other sizes.
        OSError: The store does not answer.
    """
    actual = destination.sizes()
    if actual != dict(expected):
        different = sorted(
            path for path in {*expected, *actual} if expected.get(path) != actual.get(path)
        )
        raise ValueError(
            f"cannot publish {destination}: the store lists other sizes than were written for"
            f" {', '.join(different)}. Nothing was published. Run again, and check whether another"
            " program writes to it."
        )


def _changed(file: ModelFile, how: str, digest: object) -> str:
    return (
        f"cannot publish {file.path}: {digest} were {how}, but {file.source} had {file.digest}."
        " Nothing was published. Run again, and check whether another program writes to it."
    )
