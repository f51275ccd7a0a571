"""Changes a SavedModel for its export: other serving signatures, or its graph as text.

Only TensorFlow can do either, and importing it takes seconds: it is imported when one is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfx_best_exporter.executor.exports.saved_model import (
    ASSETS_EXTRA,
    BINARY,
    TEXT,
    ModelFile,
    check,
    digest_of,
    files_of,
)
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.digest import digest_of_bytes
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import TooLargeError
from tfx_best_exporter.executor.storage.transfer import local_directory


def as_text(files: Sequence[ModelFile], work_path: Path) -> list[ModelFile]:
    """Returns the files of a model with saved_model.pbtxt in place of saved_model.pb.

    Args:
        files: Files of a complete SavedModel.
        work_path: Directory for the new file; made if it is absent.

    Raises:
        ValueError: saved_model.pb changed since its digest was taken.
    """
    from google.protobuf import text_format
    from tensorflow.core.protobuf import saved_model_pb2

    binary = next((file for file in files if file.path == BINARY), None)
    if binary is None:
        return list(files)
    work_path.mkdir(parents=True, exist_ok=True)
    text_path = work_path / TEXT
    try:
        content = binary.source.read(binary.digest.size)
    except TooLargeError as error:
        raise ValueError(_changed(binary.source)) from error
    if digest_of_bytes(content) != binary.digest:
        raise ValueError(_changed(binary.source))
    proto = saved_model_pb2.SavedModel.FromString(content)
    text_path.write_text(text_format.MessageToString(proto), encoding="utf-8")
    others = [file for file in files if not file.is_marker]
    return [*others, ModelFile.read(TEXT, location_of(str(text_path)))]


def with_signatures(
    model: Location,
    files: Sequence[ModelFile],
    serving_signatures_fn: Callable[[Any], Mapping[str, Any]],
    work_path: Path,
) -> list[ModelFile]:
    """Saves a model anew with other serving signatures, and returns its files.

    Variables and assets stay as they are; what the model has in assets.extra/ comes along.

    Args:
        model: A complete SavedModel.
        files: Its files, with the digests they had when it was decided about.
        serving_signatures_fn: Given the loaded model, returns signature name -> tf.function.
        work_path: Directory for the new SavedModel, and for a copy of a model that is not local.

    Raises:
        TypeError: The function returns no mapping of names to tf.functions.
        RuntimeError: The function raised, or the model cannot be saved with its signatures.
        ValueError: The model changed since its digests were taken.
    """
    import tensorflow as tf

    loaded = tf.saved_model.load(str(local_directory(model, work_path / "model", [*model.sizes()])))
    try:
        signatures = serving_signatures_fn(loaded)
    except Exception as error:
        raise RuntimeError(
            "serving_signatures_fn must return signature name -> tf.function (got"
            f" {type(error).__name__}: {error}). Mend the function; nothing was exported."
        ) from error
    if (
        not isinstance(signatures, Mapping)
        or not signatures
        or not all(isinstance(name, str) for name in signatures)
        or not all(callable(function) for function in signatures.values())
    ):
        raise TypeError(
            f"serving_signatures_fn must return signature name -> tf.function (got {signatures!r})."
            " Mend the function; nothing was exported."
        )
    saved_path = work_path / "saved"
    try:
        tf.saved_model.save(loaded, str(saved_path), signatures=dict(signatures))
    except Exception as error:
        raise RuntimeError(
            "serving_signatures_fn must return functions that tf.saved_model.save takes (got"
            f" {type(error).__name__}: {error}). Give each an input_signature, and use only what"
            " the loaded model holds."
        ) from error
    saved = location_of(str(saved_path))
    check(saved, work_path)
    if digest_of(files_of(model)) != digest_of(files):
        raise ValueError(_changed(model))
    extras = [
        file for file in files if file.path.startswith(f"{ASSETS_EXTRA}/") and not file.is_reserved
    ]
    return [*files_of(saved), *extras]


def _changed(source: Location) -> str:
    return (
        f"model must stay as it was when it was decided about (got another content, at {source})."
        " Nothing was published: run again, and see what else writes there."
    )
