"""The identity of the examples of an evaluation: the same data have the same identity.

Rows of the ledger of challengers with the same identity are one measurement. The URI of Examples is
no identity: a retried ExampleGen writes the same files to another URI, and other files may be
written to the same URI.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Sequence

from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.digest import FileDigest
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.transfer import in_parallel

# Larger files on a disk are not read for their checksums. An object store knows these.
_MAX_READ_BYTES = 16 << 30

_logger = logging.getLogger(__name__)


def identity_of(uris: Sequence[str], splits: Sequence[str]) -> str:
    """Returns the identity of the files of some splits: a digest of names, sizes and checksums.

    If the files cannot be listed, it is a digest of the URIs and the splits.

    Args:
        uris: URIs of the Examples artifacts, in any order.
        splits: Names of the evaluated splits.

    Example:
        "sha256:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"
    """
    try:
        # The same files at another URI are the same data.
        found = sorted(_artifact(location_of(uri), splits) for uri in uris)
    except (ImportError, OSError, ValueError) as error:
        _logger.warning(
            "the files of the examples cannot be listed, so their URI identifies them: %s", error
        )
        return named_identity_of(uris, splits)
    if not any(found):
        return named_identity_of(uris, splits)
    return _digest(["files", found])


def named_identity_of(uris: Iterable[str], splits: Iterable[str]) -> str:
    """Returns the identity of examples whose files are not known: a digest of URIs and splits."""
    return _digest(["uris", sorted(uris), sorted(splits)])


def _artifact(examples: Location, splits: Sequence[str]) -> list[tuple[str, str, int, str]]:
    """Returns split, name, size and checksum of each file of an Examples artifact, in order."""
    found: list[tuple[str, str, int, str]] = []
    for split in sorted(splits):
        directory = examples / f"Split-{split}"
        files = directory.tree().files
        if not files:
            # Old releases of TFX wrote this directory.
            directory = examples / split
            files = directory.tree().files
        names = sorted(files)
        total_bytes = sum(status.size for status in files.values())
        if directory.local_path() is not None and total_bytes > _MAX_READ_BYTES:
            found.extend(
                (split, name, files[name].size, repr(files[name].changed_at)) for name in names
            )
            continue

        def digest(name: str, directory: Location = directory) -> FileDigest:
            return (directory / name).digest()

        digests = in_parallel(digest, names, examples.storage, total_bytes=total_bytes)
        found.extend(
            (split, name, each.size, f"{each.crc32c:08x}")
            for name, each in zip(names, digests, strict=True)
        )
    return found


def _digest(value: object) -> str:
    return f"sha256:{hashlib.sha256(json.dumps(value).encode()).hexdigest()}"
