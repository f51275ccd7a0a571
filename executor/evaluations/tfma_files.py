"""Reads the files of a TFMA evaluation without TFMA; decodes no value."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from google.protobuf import message

from tfx_best_exporter.executor.deciding.eval_result import SliceKey
from tfx_best_exporter.executor.deciding.slices import features_of, text_of
from tfx_best_exporter.executor.evaluations.eval_config import EVAL_CONFIG, not_tfma
from tfx_best_exporter.executor.evaluations.tfrecord import TFRecordError, read_records
from tfx_best_exporter.executor.storage import foreign, local_files
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import NotAFileError
from tfx_best_exporter.proto import tfma_pb2

# TFMA's name for the reason that a slice has no metrics:
# https://github.com/tensorflow/model-analysis/blob/master/tensorflow_model_analysis/constants.py
_ERROR = "__ERROR__"
_REASON_LENGTH = 200
# First bytes of files in other formats. A TFRecord file of a certain length can have them too.
_OTHER_FORMATS = {b"PAR1": "Parquet", b"\x1f\x8b": "gzip"}


def tfma_files_of(evaluation: Location) -> list[Location]:
    """Returns the files of a TFMA evaluation that from_tfma reads: metrics and EvalConfig."""
    return [
        evaluation / entry.name
        for entry in evaluation.children()
        if entry.name.startswith("metrics") or entry.name == EVAL_CONFIG
    ]


def read_slices(
    path: Path, uri: str
) -> tuple[dict[SliceKey, Sequence[bytes]], dict[SliceKey, str]]:
    """Returns the metrics of each slice, and the reason for each slice that TFMA left out.

    Args:
        path: Directory on this machine that has the evaluation's files.
        uri: URI of the evaluation.

    Returns:
        The metrics of a slice, each a serialized MetricKeyAndValue, by slice; the overall slice has
        an empty key. And the reason for each slice without metrics.

    Raises:
        ValueError: The files are not those of one TFMA evaluation that can be read.
    """
    rows: dict[SliceKey, Sequence[bytes]] = {}
    suppressed: dict[SliceKey, str] = {}
    for metrics in _read_tfma(path, uri):
        slice_key = slice_key_of(metrics.slice_key)
        if slice_key in rows or slice_key in suppressed:
            raise ValueError(
                f"evaluation must have the metrics of each slice once (got"
                f" {text_of(features_of(slice_key))} twice, at {uri}). The files may be those of"
                " several evaluations. Evaluate the candidate again, into an empty directory."
            )
        if not metrics.metrics:
            rows[slice_key] = metrics.metric_keys_and_values
        elif _ERROR in metrics.metrics:
            reason = metrics.metrics[_ERROR].debug_message
            suppressed[slice_key] = foreign.shown(reason.strip().rstrip("."), _REASON_LENGTH)
        else:
            raise ValueError(
                "evaluation must have metrics by key (got metrics by name, as TFMA writes them for"
                f" an EvalSavedModel, at {uri}). Evaluate the SavedModel that is served instead."
            )
    return rows, suppressed


def _read_tfma(path: Path, uri: str) -> Iterator[Any]:
    """Yields the MetricsForSlice of each slice, except differences between slices."""
    # TFMA too reads files without the suffix only if no file has it.
    paths = sorted(path.glob("metrics*.tfrecord")) or sorted(path.glob("metrics*"))
    if not paths:
        raise not_tfma("no file metrics*.tfrecord", uri)
    for each in paths:
        try:
            for record in read_records(each):
                metrics = tfma_pb2.MetricsForSlice.FromString(record)
                if not metrics.HasField("cross_slice_key"):
                    yield metrics
        except TFRecordError as error:
            other_format = _other_format_of(each)
            if not other_format:
                raise not_tfma(f"{each.name}: {error}", uri) from error
            raise ValueError(
                "evaluation must have metrics in uncompressed TFRecord files (got a"
                f" {other_format} file, {each.name}, at {uri}). Leave TFMA's output_file_format at"
                " its default, and do not compress the files."
            ) from error
        except (NotAFileError, message.DecodeError) as error:
            raise not_tfma(f"{each.name}: {error}", uri) from error


def _other_format_of(path: Path) -> str:
    """Returns the format of a damaged TFRecord file by its first bytes, or an empty text."""
    with local_files.open_regular(path) as file:
        start = file.read(max(map(len, _OTHER_FORMATS)))
    return next((name for each, name in _OTHER_FORMATS.items() if start.startswith(each)), "")


def slice_key_of(slice_key: Any) -> SliceKey:
    """Returns a tfma_pb2.SliceKey as a value; the overall slice is empty."""
    parts = []
    for single in slice_key.single_slice_keys:
        kind = single.WhichOneof("kind")
        value = getattr(single, kind) if kind else ""
        if isinstance(value, bytes):
            # Bytes that are no text stay bytes, so that two such values are two slices.
            with contextlib.suppress(UnicodeDecodeError):
                value = value.decode()
        parts.append((single.column, value))
    return tuple(parts)
