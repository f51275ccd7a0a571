"""Read permissions of a directory that other users' programs read, such as a model server's.

A new file has the permissions that the umask of its process leaves. A model server often runs as
another user, so an export gets the read permissions of its base directory instead.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from tfx_best_exporter.executor.redaction import shown
from tfx_best_exporter.executor.storage.local_files import NOT_SUPPORTED
from tfx_best_exporter.executor.storage.tolerated import tolerate

_GROUP = stat.S_IRGRP | stat.S_IXGRP
_OTHERS = stat.S_IROTH | stat.S_IXOTH
_READ = stat.S_IRGRP | stat.S_IROTH


def readable_as(path: Path, base_path: Path) -> None:
    """Gives a file, or a directory and all below it, the read permissions of a base directory.

    Group and others may read a file if they may read the base directory, and may list and enter a
    directory as they may the base directory. Nobody gets a permission to write. If the file system
    refuses the change, the run goes on and its decision warns.

    Args:
        path: File or directory that nobody else writes to; links in it are left alone.
        base_path: An existing directory.

    Raises:
        OSError: A directory cannot be listed.
    """
    mode = os.stat(base_path).st_mode
    file_mode = stat.S_IRUSR | stat.S_IWUSR | mode & _READ
    directory_mode = stat.S_IRWXU | mode & (_GROUP | _OTHERS)
    if path.is_dir():
        refused = _change(str(path), file_mode, directory_mode)
    else:
        refused = _chmod(str(path), file_mode)
    if refused:
        tolerate(
            "modes",
            f"the permissions of the new files in {shown(str(base_path))} could not be set"
            f" ({refused}), so a model server of another user cannot read the export. Set umask"
            f" {0o777 & ~directory_mode:03o} for the exporter, or run the model server as the same"
            " user.",
        )


def warn_if_unreadable(base_path: Path, *, is_new: bool) -> None:
    """Warns if a base directory lets neither its group nor others list and enter it.

    Args:
        base_path: An existing directory.
        is_new: True if this run made the directory.
    """
    mode = os.stat(base_path).st_mode
    if any(mode & bits == bits for bits in (_GROUP, _OTHERS)):
        return
    # The export has the permissions of the base directory, so they must change together.
    which = "the directory and on the parents that this run made" if is_new else "the directory"
    origin = "this run made with the umask of its process" if is_new else "exists"
    tolerate(
        "base directory",
        f"only its owner can read the base directory {shown(str(base_path))}, which {origin} (mode"
        f" {stat.S_IMODE(mode):04o}). A model server of another user cannot load the export. Run"
        f" chmod -R g+rX or chmod -R o+rX on {which}, or run the model server as the same user.",
    )


def _change(directory: str, file_mode: int, directory_mode: int) -> str:
    """Changes the permissions below a directory; returns the last refusal, or an empty text."""
    refused = ""
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                refused = _change(entry.path, file_mode, directory_mode) or refused
            elif entry.is_file(follow_symlinks=False):
                refused = _chmod(entry.path, file_mode) or refused
    # The set-group-ID bit, which a directory takes from its parent, stays.
    set_group_id = os.stat(directory).st_mode & stat.S_ISGID
    return _chmod(directory, directory_mode | set_group_id) or refused


def _chmod(path: str, mode: int) -> str:
    try:
        os.chmod(path, mode)
    except OSError as error:
        if error.errno not in NOT_SUPPORTED:
            raise
        # Some file systems refuse every change, and give all files permissions of their own.
        if os.stat(path).st_mode & mode != mode:
            return os.strerror(error.errno)
    return ""
