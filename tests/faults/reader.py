"""The view of a model server: a thread that polls a base directory by TensorFlow Serving's rules.

Every integer is a version, and the largest one is served. This reader also checks that:

- every visible version is complete by its record, to the byte, and TensorFlow can load it;
- a visible version never changes;
- the largest version never disappears, unless a person withdraws it.

On a disk, a version is visible when its directory exists. In an object store, it is visible when
its saved_model.pb exists. Without that file TensorFlow Serving finds no model, continues to serve
the previous version, and tries again.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.saved_model import MARKERS
from tfx_best_exporter.executor.exports.versions import Export
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import Kind
from tfx_best_exporter.executor.storage.transfer import local_directory

_LOCAL_POLL_SECONDS = 0.002
# Each poll of a store costs its server several requests.
_STORE_POLL_SECONDS = 0.05
_MAX_VERSION = 2**63 - 1
_RECORD = "assets.extra/best_exporter"
_NEEDED_FILES = (
    "saved_model.pb",
    "variables/variables.index",
    "variables/variables.data-00000-of-00001",
)


def version_of(name: str) -> int | None:
    """Returns the version that TensorFlow Serving reads from a name, or None.

    It parses names with absl::SimpleAtoi, and clients cannot ask for negative versions.
    """
    text = name.strip(" \t\n\v\f\r")
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 255:
        return None
    number = -int(digits) if text.startswith("-") else int(digits)
    return number if 0 <= number <= _MAX_VERSION else None


def served_files(base_path: Path) -> dict[str, bytes] | None:
    """Returns the files that a running server serves: those of the largest version it can load.

    Of two names with one number, TensorFlow Serving loads the one that it lists last. A link counts
    as the directory that it leads to.

    Args:
        base_path: Base directory on a disk, with models that have variables.
    """
    if not base_path.exists():
        return None
    found = {
        number: entry
        for entry in sorted(base_path.iterdir())
        if (number := version_of(entry.name)) is not None
    }
    for _, path in sorted(found.items(), reverse=True):
        if is_loadable(path):
            return {name: (path / name).read_bytes() for name in _NEEDED_FILES}
    return None


def is_loadable(path: Path) -> bool:
    """Returns True if a directory, or the target of a link, has the files of a SavedModel."""
    return all((path / name).is_file() for name in _NEEDED_FILES)


class Reader:
    """Polls while its context lasts, and collects `violations` of the rules above."""

    # Models that TensorFlow has loaded, by the digests of their files; each one is loaded once.
    _loaded: ClassVar[set[frozenset[tuple[str, int, int]]]] = set()
    _loading: ClassVar[threading.Lock] = threading.Lock()

    def __init__(
        self, base: Location, foreign: tuple[int, ...] = (), *, is_rolled_back: bool = False
    ):
        """Makes a reader.

        Args:
            base: Base directory to poll.
            foreign: Versions without a record. A person may give them one.
            is_rolled_back: True if a person may withdraw the largest version.
        """
        self._base = base
        self._is_local = base.local_path() is not None
        self._is_rolled_back = is_rolled_back
        self._exports = ExportDirectory(base)
        self.foreign = foreign
        self._signatures: dict[int, Any] = {}
        self._guard = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._poll_until_stopped, daemon=True)
        self.polls = 0
        self.violations: list[str] = []
        self.largest = -1
        # The versions that a server has served, in order, each one until the next one.
        self.served: list[int] = []

    @property
    def versions(self) -> list[int]:
        """Every version that was ever visible."""
        return sorted(self._signatures)

    def __enter__(self) -> Reader:
        self.poll()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._thread.join()
        self.poll()
        if error is None:
            assert not self.violations, self.violations

    def _poll_until_stopped(self) -> None:
        seconds = _LOCAL_POLL_SECONDS if self._is_local else _STORE_POLL_SECONDS
        while not self._stopped.wait(seconds):
            self.poll()

    def forgive_largest(self) -> None:
        """Allows the largest version to disappear, because the run that published it failed."""
        self.poll()
        with self._guard:
            text = f"version {self.largest} was the largest, and disappeared"
            if text in self.violations:
                self.violations = [other for other in self.violations if other != text]
                self._signatures.pop(self.largest, None)
            self.largest = max(self._signatures, default=-1)

    def poll(self) -> None:
        """Polls once."""
        with self._guard:
            self.polls += 1
            try:
                self._poll()
            except Exception:
                self.violations.append(traceback.format_exc())

    def _poll(self) -> None:
        in_sight = []
        for version, signature in self._listing():
            if not self._is_marked(signature):
                continue
            in_sight.append(version)
            if signature:
                self._look(Export(version=version, base=self._base), signature)
        # The largest version may have been published after the listing, so it is checked again.
        is_smaller = max(in_sight, default=-1) < self.largest and not self._is_rolled_back
        if is_smaller and not self._is_visible(self.largest):
            self.violations.append(f"version {self.largest} was the largest, and disappeared")
        self.largest = max([self.largest, *in_sight])
        if in_sight and self.served[-1:] != [max(in_sight)]:
            self.served.append(max(in_sight))

    def _is_visible(self, version: int) -> bool:
        entries = (self._base / str(version)).children()
        return any(entry.name in MARKERS for entry in entries)

    def _listing(self) -> Iterable[tuple[int, Mapping[str, Any]]]:
        """Returns the versions with a directory in the base directory, and their signatures."""
        if self._is_local:
            for entry in self._base.children():
                version = version_of(entry.name)
                if version is not None and entry.kind is Kind.DIRECTORY:
                    yield version, self._signature(self._base / entry.name)
            return
        # A single listing shows a single moment of the store.
        directories: dict[str, dict[str, int]] = {}
        for path, size in self._base.sizes().items():
            name, slash, rest = path.partition("/")
            if slash:
                directories.setdefault(name, {})[rest] = size
        for name, signature in directories.items():
            if (version := version_of(name)) is not None:
                yield version, signature

    def _look(self, export: Export, signature: Mapping[str, Any]) -> None:
        """Records the problem of a visible version, if it has one."""
        signature = self._relevant(export, signature)
        known = self._signatures.setdefault(export.version, signature)
        if known is signature:
            problem = self._problem(export)
        else:
            problem = "" if known == signature else f"it has changed: {known} to {signature}"
        # Versions that were retired during the check are no violation.
        if problem and self._relevant(export, self._signature(export.location)) == signature:
            self.violations.append(f"version {export.version}: {problem}")

    def _relevant(self, export: Export, signature: Mapping[str, Any]) -> Mapping[str, Any]:
        """Leaves out the record that a person gives to a version of another tool."""
        if export.version not in self.foreign:
            return signature
        return {path: value for path, value in signature.items() if _RECORD not in path}

    def _is_marked(self, signature: Mapping[str, Any]) -> bool:
        # Every directory in a listing of a disk was visible, even if it has been retired since.
        return self._is_local or any(marker in signature for marker in MARKERS)

    def _signature(self, location: Location) -> Mapping[str, Any]:
        """Returns values that change when a version changes; empty if it does not exist."""
        if not self._is_local:
            return location.sizes()
        result: dict[str, Any] = {}
        with contextlib.suppress(FileNotFoundError):
            _add_identities(location.path, result)
        return result if os.path.isdir(location.path) else {}

    def _problem(self, export: Export) -> str:
        try:
            if export.version in self.foreign:
                self._load(export, list(export.location.sizes()))
                return ""
            manifest = self._exports.record(export).manifest
            problems = self._exports.verify(export)
            if problems:
                return ", ".join(problems)
            files = frozenset(
                (entry.path, entry.size, entry.crc32c)
                for entry in manifest
                if not entry.path.startswith("assets.extra/")
            )
            with self._loading:
                if files not in self._loaded:
                    self._load(export, [path for path, _, _ in files])
                    self._loaded.add(files)
        except Exception:
            return traceback.format_exc()
        return ""

    def _load(self, export: Export, paths: list[str]) -> None:
        import tensorflow as tf

        with tempfile.TemporaryDirectory() as work_path:
            model_path = local_directory(export.location, Path(work_path), paths)
            tf.saved_model.load(str(model_path))


def _add_identities(directory: str, result: dict[str, Any]) -> None:
    """Adds inode, size and time of each file below a directory; called thousands of times."""
    result[directory] = os.stat(directory).st_ino
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                _add_identities(entry.path, result)
            else:
                status = entry.stat()
                result[entry.path] = status.st_ino, status.st_size, status.st_mtime_ns
