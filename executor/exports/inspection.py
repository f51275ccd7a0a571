"""Judges a version as a model server does: whether it can be loaded, and whose content it has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tfx_best_exporter.executor.deciding import numbers
from tfx_best_exporter.executor.exports import records, saved_model
from tfx_best_exporter.executor.exports.records import RECORD_PATH
from tfx_best_exporter.executor.exports.versions import (
    Export,
    Inspection,
    Listing,
    Served,
    Status,
)
from tfx_best_exporter.executor.storage.digest import FileDigest
from tfx_best_exporter.executor.storage.protocol import Entry, Kind, Tree
from tfx_best_exporter.executor.storage.transfer import in_parallel
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# A version that cannot be loaded counts as being copied for this time after its last change.
UNFINISHED_SECONDS = 600.0
# A version that changes for longer than this is never finished: no copy takes a day.
LONGEST_COPY_SECONDS = 24 * 3600.0


def inspect(
    export: Export,
    stamps_of: Callable[[int], Mapping[str, str]],
    now: Callable[[], float],
) -> Inspection:
    """Looks at the files of a version.

    Files with a known stamp are not read.

    Args:
        export: The version.
        stamps_of: Returns the stamps of a version whose content was checked.
        now: Returns the storage's time, in seconds since the epoch.

    Raises:
        RecordError: The version has a record that cannot be parsed.
        StorageError: The storage does not answer.
    """
    if export.kind is Kind.FILE:
        return Inspection(export=export, status=Status.BROKEN, problem="it is a file")
    try:
        return _inspect(export, stamps_of, now)
    except saved_model.UnreadableFormatError as error:
        return Inspection(export=export, status=Status.UNKNOWN, problem=str(error))
    except NotADirectoryError:
        return Inspection(export=export, status=Status.BROKEN, problem="it leads to a file")
    except OSError as error:
        # errno is None only for errors of this package: the storage does not answer.
        if error.errno is None:
            raise
        return Inspection(
            export=export, status=Status.UNKNOWN, problem=f"it cannot be read: {error}"
        )


def served_of(listing: Listing, inspect: Callable[[Export], Inspection]) -> Served:
    """Returns the version that a model server serves, and a warning for each entry above it.

    Args:
        listing: The entries of the base directory.
        inspect: Returns the status of a version.
    """
    warnings = [*listing.strays]
    being_written, best = "", None
    for exports in listing.newest_first():
        found = inspect(exports[0]) if len(exports) == 1 else ambiguous(exports)
        if found.status is Status.UNFINISHED:
            being_written = being_written or unfinished_clause(found)
        elif found.status is Status.BROKEN:
            warnings.append(broken_text(found))
        else:
            best = found
            break
    return Served(listing=listing, best=best, being_written=being_written, warnings=tuple(warnings))


def unfinished_clause(found: Inspection) -> str:
    """Returns a clause about a version that somebody is copying."""
    return f"{found.export.label} is being written: {found.problem}"


def broken_text(found: Inspection) -> str:
    """Returns the sentences about a version that no model server can load."""
    return (
        f"{found.export.label} is broken and does not count: {found.problem}. A model server that"
        " is restarted serves nothing. Repair or remove it."
    )


def why_changed(seen: Served, listing: Listing, version: int) -> str:
    """Returns a change of the best or of a newer version, or an empty text.

    A person may copy or edit a version while a run evaluates the best for hours. Costs one listing
    of the best.

    Args:
        seen: The base directory as the decision has seen it.
        listing: The base directory now.
        version: Version of the export that is being published, which may have some files.

    Raises:
        OSError: The best cannot be listed.
    """
    oldest = seen.export.version if seen.export else 0

    def relevant(listing: Listing) -> set[tuple[int, Entry]]:
        return {item for item in listing.entries if oldest <= item[0] != version}

    before, after = relevant(seen.listing), relevant(listing)
    for entries, verb in ((after - before, "appeared"), (before - after, "disappeared")):
        if entries:
            return f"version {max(entries)[0]} has {verb}"
    if seen.best is not None and seen.best.stamps:
        stamps = stamps_of_files(seen.best.export.location.tree())
        for path, stamp in seen.best.stamps.items():
            if stamps.get(path) != stamp:
                return f"{path} of version {oldest} has changed"
    return ""


def ambiguous(exports: Sequence[Export]) -> Inspection:
    """Returns the status of several entries with one number.

    TensorFlow Serving loads the one that it lists last, which other servers need not do.

    Args:
        exports: The entries.
    """
    names = " and ".join(sorted(repr(export.location.name) for export in exports))
    return Inspection(
        export=exports[0],
        status=Status.UNKNOWN,
        problem=f"a model server reads the same number from {names}. Keep only one of them",
    )


def _inspect(
    export: Export,
    stamps_of: Callable[[int], Mapping[str, str]],
    now: Callable[[], float],
) -> Inspection:
    tree = export.location.tree()
    sizes = tree.sizes
    record, problem = _record(export, tree)
    stamps = stamps_of_files(tree)
    if record is not None:
        problem = why_different(record, sizes)
        if not problem:
            problem = _why_content_differs(export, record, tree, stamps_of(export.version))
        if not problem:
            return Inspection(export=export, status=Status.OURS, record=record, stamps=stamps)
        problem = f"it differs from its record: {problem}"
    not_loadable = saved_model.why_not_loadable(export.location, sizes)
    if not not_loadable:
        return Inspection(export=export, status=Status.FOREIGN, problem=problem, stamps=stamps)
    time = now()
    is_copied = is_being_copied(tree, time, stamps_of(export.version))
    return Inspection(
        export=export,
        status=Status.UNFINISHED if is_copied else Status.BROKEN,
        problem=f"{not_loadable}{_last_change(tree, time)}",
        stamps=stamps,
    )


def stamps_of_files(tree: Tree) -> dict[str, str]:
    """Returns the known stamps of the files that a model server reads, by relative path."""
    return {
        path: status.stamp
        for path, status in tree.files.items()
        if status.stamp and saved_model.is_read_by_server(path)
    }


def _record(export: Export, tree: Tree) -> tuple[pb.ExportRecord | None, str]:
    """Returns the record of a version, or a reason why there is none that can be read."""
    if RECORD_PATH not in tree.files:
        return None, ""
    try:
        return records.record_of(export.location), ""
    except records.UnreadableRecordError as error:
        return None, f"its record cannot be read: {error}"


def why_different(record: pb.ExportRecord, sizes: Mapping[str, int]) -> str:
    """Returns a file that a model server reads and that is not as recorded, or an empty text.

    Compares sizes only, and reads no file.

    Args:
        record: Record of the export.
        sizes: Size of each file of the export in bytes, by relative path.
    """
    entries = {entry.path: entry for entry in _entries(record)}
    # A server reads the first of these files that exists.
    order = (saved_model.BINARY, saved_model.CHUNKED, saved_model.TEXT)
    marker = next((name for name in order if name in sizes), saved_model.BINARY)
    if marker not in entries:
        return f"{marker} is not in the record" if marker in sizes else f"{marker} is missing"
    for path, entry in entries.items():
        if path not in sizes:
            return f"{path} is missing"
        if sizes[path] != entry.size:
            return f"{path} has {sizes[path]:,} bytes instead of {entry.size:,}"
    return ""


def _why_content_differs(
    export: Export, record: pb.ExportRecord, tree: Tree, known_stamps: Mapping[str, str]
) -> str:
    """Returns a file with other content than recorded, or an empty text; sizes are equal."""

    def is_known(path: str) -> bool:
        stamp = tree.files[path].stamp
        return bool(stamp) and known_stamps.get(path) == stamp

    entries = [entry for entry in _entries(record) if not is_known(entry.path)]

    def difference(entry: pb.ManifestEntry) -> str:
        expected = FileDigest(size=entry.size, crc32c=entry.crc32c)
        actual = (export.location / entry.path).digest()
        return "" if actual == expected else f"the content of {entry.path} was changed"

    found = in_parallel(
        difference,
        entries,
        export.location.storage,
        total_bytes=sum(entry.size for entry in entries),
    )
    return next(filter(None, found), "")


def _entries(record: pb.ExportRecord) -> Sequence[pb.ManifestEntry]:
    return [entry for entry in record.manifest if saved_model.is_read_by_server(entry.path)]


def is_being_copied(tree: Tree, now: float, known_stamps: Mapping[str, str] | None = None) -> bool:
    """Returns True if somebody is copying a version that cannot be loaded yet.

    Args:
        tree: The files of the version.
        now: Seconds since the epoch by the storage's clock.
        known_stamps: Stamps of the files when the version was complete, if it ever was. A person
            may overwrite an old version in place, and its other files do not show when that began.
    """
    times, known = _times(tree), known_stamps or {}
    if not times:
        return False
    begun = _times(tree, lambda path: known.get(path) != tree.files[path].stamp) or times[-1:]
    return _age_seconds(times, now) < UNFINISHED_SECONDS and now - begun[0] < LONGEST_COPY_SECONDS


def _times(tree: Tree, counts: Callable[[str], bool] = lambda _: True) -> list[float]:
    """Returns the times at which files that a server reads changed, and the directory; in order."""
    files = [
        status.changed_at
        for path, status in tree.files.items()
        if saved_model.is_read_by_server(path) and counts(path)
    ]
    return sorted(files if tree.changed_at is None else [*files, tree.changed_at])


def _age_seconds(times: Sequence[float], now: float) -> float:
    # A time in the future counts as now: two clocks may differ.
    return max(0.0, now - times[-1])


def _last_change(tree: Tree, now: float) -> str:
    times = _times(tree)
    if not times:
        return ""
    seconds = int(_age_seconds(times, now))
    return f"; it last changed {numbers.durations(seconds, seconds)[0]} ago"
