"""What storages say when they refuse: the same sentences for the same reasons."""

from __future__ import annotations

from tfx_best_exporter.executor.storage.protocol import Storage


def absent(uri: str) -> str:
    """Returns the message for a file that is not there."""
    return (
        f"file must exist (got no such file, at {uri}). Check the URI, and that whatever writes it"
        " has finished."
    )


def taken(uri: str) -> str:
    """Returns the message for a name that must be free, and is not."""
    return (
        f"file must not exist (got one with other content, at {uri})."
        " Another writer was first: read it, or choose another name."
    )


def too_large(uri: str, max_bytes: int) -> str:
    """Returns the message for a file that is larger than it can be."""
    return (
        f"file must have at most {max_bytes} bytes (got more, at {uri})."
        " Check that the right file lies there."
    )


def corrupted(uri: str, expected: object, actual: object) -> str:
    """Returns the message for content that changed on its way."""
    return (
        f"transferred content must be {expected} (got {actual}, at {uri})."
        " Run again; if it happens again, check the network and the disk."
    )


def bucket_missing(bucket: str, uri: str) -> str:
    """Returns the message for a bucket that is not there."""
    return f"bucket must exist (got {bucket!r}, at {uri}). Create it, or correct the URI."


def not_below_bucket(uri: str) -> str:
    """Returns the message for a path that names a whole bucket, or none."""
    return f"path must be below a bucket (got {uri!r}). Name a bucket and a folder in it."


def no_rename(source_uri: str, uri: str) -> str:
    """Returns the message for a storage that cannot move a directory at once."""
    return (
        f"storage must have directories to rename one (got an object store, from {source_uri}, at"
        f" {uri}). Copy the files, then remove them."
    )


def credentials_missing(problem: str, uri: str, remedy: str) -> str:
    """Returns the message for credentials that are not there, or not taken."""
    return f"credentials must be there and valid (got {problem}, at {uri}). {remedy}"


def permission_missing(problem: str, uri: str, remedy: str) -> str:
    """Returns the message for credentials that do not allow a request."""
    return (
        f"permission must be given to list, read, write and delete objects (got {problem}, at"
        f" {uri}). {remedy}"
    )


def failed(problem: str, uri: str) -> str:
    """Returns the message for a store that cannot be reached, or fails again and again."""
    return (
        f"storage must answer (got {problem}, at {uri})."
        " Check the endpoint, the network and the store's own status, then run again."
    )


def check_own_write(storage: Storage, path: str, content: bytes) -> None:
    """Tells our own write, whose reply was lost, from another writer's.

    Args:
        storage: That refused to write because the file exists.
        path: Of the file.
        content: Of what was to be written.

    Raises:
        FileExistsError: The file has other content.
    """
    try:
        is_own = storage.read(path, len(content)) == content
    except OSError:
        # Longer, or gone again: in either case another writer has been there.
        is_own = False
    if not is_own:
        raise FileExistsError(taken(storage.uri(path)))
