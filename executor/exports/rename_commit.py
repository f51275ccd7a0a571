"""RenameCommit: a version appears on a disk by one rename; see commit.py."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence

from tfx_best_exporter.executor.exports.saved_model import ModelFile
from tfx_best_exporter.executor.exports.version_files import (
    VersionTakenError,
    below,
    copy,
    remove_leftover,
    tolerated,
    verify,
)
from tfx_best_exporter.executor.storage.local_modes import readable_as
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import Storage
from tfx_best_exporter.executor.storage.transfer import in_batch


class RenameCommit:
    """Commit on a disk: a directory is complete before one rename makes it visible."""

    def __init__(self, base: Location, state: Location):
        """Makes a RenameCommit; writes nothing."""
        self._base = base
        self._state = state
        self._staging = state / "staging"
        self._trash = state / "trash"

    def publish(
        self,
        version: int,
        files: Sequence[ModelFile],
        contents: Mapping[str, Callable[[], bytes]],
        check_lease: Callable[[], None],
        check_served: Callable[[], None] = lambda: None,
        note_number: Callable[[], None] = lambda: None,
    ) -> None:
        """Copies the files to staging, verifies them, syncs the directory and renames it."""
        staging = self._staging / secrets.token_hex(8)
        note_number()
        try:
            copy(below(staging, files))
            verify(files, staging)
            # The directories of these files are synced with all others. Each file is replaced after
            # that, and `write` is durable on its own.
            for path in contents:
                (staging / path).write(b"")
            self._make_readable(staging)
            staging.storage.sync(staging.path)
            for path, make in contents.items():
                (staging / path).write(make())
                self._make_readable(staging / path)
            check_served()
            check_lease()
            destination = self._base / str(version)
            staged = _identity(staging)
            try:
                staging.storage.rename(staging.path, destination.path)
            except FileExistsError as error:
                raise VersionTakenError from error
            except OSError:
                # The rename may have succeeded without its sync. A version whose name is not
                # durable must not stay visible. A directory of another writer stays.
                with tolerated():
                    if staged is not None and _identity(destination) == staged:
                        staging.storage.rename(destination.path, staging.path)
                raise
        except BaseException:
            with tolerated():
                staging.remove()
            raise

    def _make_readable(self, location: Location) -> None:
        """Gives new files the read permissions of the base directory, for the model server."""
        path, base_path = location.local_path(), self._base.local_path()
        if path is not None and base_path is not None:
            readable_as(path, base_path)

    def files_to_delete(self, version: int) -> Sequence[str]:  # noqa: ARG002
        """Returns nothing, because one rename takes all files away."""
        return ()

    def retire(
        self, versions: Mapping[int, Sequence[str]], check_lease: Callable[[], None]
    ) -> dict[int, OSError]:
        """Renames the versions into the trash, and deletes them there once all renames are durable.

        Two syncs of the trash and one of the base directory serve all versions.
        """
        trash = {
            version: (self._trash / f"{version}-{secrets.token_hex(8)}").path
            for version in versions
        }

        def take_out(batch: Storage, version: int) -> None:
            check_lease()
            batch.rename((self._base / str(version)).path, trash[version])

        def delete(batch: Storage, version: int) -> None:
            batch.remove(trash[version])

        kept = in_batch(take_out, versions, self._base.storage)
        taken_out = [version for version in versions if version not in kept]
        return {**kept, **in_batch(delete, taken_out, self._base.storage)}

    def is_visible(self, version: int) -> bool:
        """Returns True if the version directory exists."""
        name = str(version)
        return any(entry.name == name for entry in self._base.children())

    def clean_up(self) -> None:
        """Does nothing, because a rename leaves nothing behind."""

    def leftovers(self) -> list[str]:
        """Returns the paths of the directories in staging and in the trash."""
        return [
            f"{directory.name}/{entry.name}"
            for directory in (self._staging, self._trash)
            for entry in directory.children()
        ]

    def recover(
        self, check_lease: Callable[[], None], leftovers: Sequence[str] | None = None
    ) -> list[str]:
        """Removes everything in staging and in the trash."""
        found = []
        for path in self.leftovers() if leftovers is None else leftovers:
            check_lease()
            found.append(remove_leftover(self._state / path))
        return found


def _identity(directory: Location) -> tuple[int, int] | None:
    """Returns the device and the inode of a directory; None if it does not exist."""
    path = directory.local_path()
    try:
        status = path.stat(follow_symlinks=False) if path else None
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if status else None
