"""The copy of an export for the pipeline: the files of the PushedModel artifact."""

from __future__ import annotations

from collections.abc import Sequence

from tfx_best_exporter.executor.exports import records, saved_model
from tfx_best_exporter.executor.exports.saved_model import ModelFile
from tfx_best_exporter.executor.exports.version_files import explained
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.transfer import copy_files, link_files
from tfx_best_exporter.proto import best_exporter_pb2 as pb


def copy_export(
    export: Location,
    destination: Location,
    model_files: Sequence[ModelFile],
) -> None:
    """Copies the files of an export, with links to the model's files.

    A file of the model is linked if it has the same content and is in the same storage as the
    destination: files in the pipeline root never change. All other files are copied. The served
    files are never linked.

    Args:
        export: Version directory of an export with a record, or of a foreign one.
        destination: Target directory; it may have files from a run that died.
        model_files: Files of the model that the export was made from.

    Raises:
        OSError: A file cannot be read or written.
    """
    sources = {(file.path, file.digest.size, file.digest.crc32c): file for file in model_files}
    links, copies = [], []
    for entry in _manifest_of(export):
        source = sources.get((entry.path, entry.size, entry.crc32c))
        if source and source.source.storage is destination.storage:
            links.append((source.source, destination / entry.path))
        else:
            copies.append((export / entry.path, destination / entry.path))
    with explained(
        "write the artifact pushed_model to",
        destination,
        "The served export is complete. Free some space, then run again.",
    ):
        link_files(links)
        copy_files(copies)
        destination.storage.sync(destination.path)


def _manifest_of(export: Location) -> list[pb.ManifestEntry]:
    try:
        record = records.record_of(export) if records.has_record(export) else None
    except records.RecordError:
        # The record of a foreign export need not be readable.
        record = None
    if record is None:
        return records.manifest_of(saved_model.files_of(export))
    sizes = export.sizes()
    entries = [*record.manifest, pb.ManifestEntry(path=records.RECORD_PATH)]
    # A person may have deleted a file that no model server reads.
    return [entry for entry in entries if entry.path in sizes]
