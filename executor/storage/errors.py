"""The error messages of all storages, so that each failure reads the same in every storage."""

from __future__ import annotations

from tfx_best_exporter.executor.redaction import redacted, shown
from tfx_best_exporter.executor.storage.protocol import Storage


def absent(uri: str) -> str:
    """Returns the message for a file that does not exist."""
    return (
        f"cannot read {shown(uri)}: the file does not exist. Check the URI, and that the program"
        " that writes the file has finished."
    )


def taken(uri: str) -> str:
    """Returns the message for a new file whose name another writer has already used."""
    return (
        f"cannot create {shown(uri)}: the file exists with other content, from another writer."
        " Use that file, or choose another name."
    )


def is_link(uri: str) -> str:
    """Returns the message for a link where the exporter follows none."""
    return (
        f"cannot use {shown(uri)}: it is a link, which could lead to files of others. Replace it"
        " with what it leads to, or remove it."
    )


def too_large(uri: str, max_bytes: int) -> str:
    """Returns the message for a file that is larger than the caller allows."""
    return (
        f"cannot read {shown(uri)}: the file has more than {max_bytes:,} bytes."
        " Check that it is the right file."
    )


def not_a_file(uri: str) -> str:
    """Returns the message for a path that is read as a file but is something else."""
    return (
        f"cannot read {uri}: it is a directory, a pipe or a device, not a regular file."
        " Use another path, or replace it with the file."
    )


def corrupted(uri: str, expected: object, actual: object) -> str:
    """Returns the message for content that changed during a transfer.

    Args:
        uri: URI of the file.
        expected: Digest before the transfer.
        actual: Digest after the transfer.
    """
    return (
        f"cannot transfer {shown(uri)}: the content is {actual} instead of {expected}."
        " Run again. If it fails again, check the network and the disk."
    )


def bucket_missing(bucket: str, uri: str) -> str:
    """Returns the message for a bucket that does not exist."""
    return (
        f"cannot access {shown(uri)}: the bucket {bucket!r} does not exist. Create it, or correct"
        " the URI."
    )


def not_below_bucket(uri: str) -> str:
    """Returns the message for a path that names a whole bucket, or no bucket."""
    return f"path must be below a bucket (got {redacted(uri)!r}). Name a bucket and a folder in it."


def no_rename(source_uri: str, uri: str) -> str:
    """Returns the message for a storage that cannot move a directory atomically."""
    return (
        f"cannot rename {shown(source_uri)} to {shown(uri)}: object stores have no directory"
        " rename. Copy the files, then remove the originals."
    )


def credentials_missing(problem: str, uri: str, remedy: str) -> str:
    """Returns the message for credentials that are missing, or that the store rejects."""
    return (
        f"cannot access {shown(uri)}: the credentials are missing or invalid"
        f" ({redacted(problem)}). {remedy}"
    )


def permission_missing(problem: str, uri: str, remedy: str) -> str:
    """Returns the message for credentials that do not allow a request."""
    return (
        f"cannot access {shown(uri)}: the permission to list, read, write or delete objects is"
        f" missing ({redacted(problem)}). {remedy}"
    )


def failed(problem: str, uri: str) -> str:
    """Returns the message for a store that cannot be reached, or that keeps failing."""
    return (
        f"cannot access {shown(uri)}: the storage does not answer, or keeps failing"
        f" ({redacted(problem)}). Check the endpoint, the network and the status of the"
        " store, then run again."
    )


def check_own_write(storage: Storage, path: str, content: bytes) -> None:
    """Checks that an existing file is this process's own write, whose response was lost.

    Args:
        storage: The storage that did not write because the file exists.
        path: Path of the file.
        content: Content that this process tried to write.

    Raises:
        FileExistsError: The file has other content.
    """
    try:
        is_own = storage.read(path, len(content)) == content
    except OSError:
        # The file is longer, or was deleted: in both cases another writer was there.
        is_own = False
    if not is_own:
        raise FileExistsError(taken(storage.uri(path)))
