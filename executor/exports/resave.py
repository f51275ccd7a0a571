"""Changes a SavedModel for its export: saves it again, or writes the graph as text.

All changes need TensorFlow, which takes seconds to import. These functions import TensorFlow when
they are called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfx_best_exporter.executor.arguments.user_functions import FAILURES, text_of
from tfx_best_exporter.executor.deciding.signatures import changes as signature_changes
from tfx_best_exporter.executor.exports import answers, servable
from tfx_best_exporter.executor.exports.saved_model import (
    ASSETS_EXTRA,
    BINARY,
    TEXT,
    InvalidModelError,
    ModelFile,
    check,
    digest_of,
    files_of,
    signatures_of,
)
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.digest import digest_of_bytes
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import TooLargeError
from tfx_best_exporter.executor.storage.transfer import local_directory

_CHANGED = (
    "its content changed during the run. Nothing was published. Run again, and check whether"
    " another program writes to it."
)


def as_text(files: Sequence[ModelFile], work_path: Path) -> list[ModelFile]:
    """Returns the files of a model with saved_model.pbtxt in place of saved_model.pb.

    Args:
        files: Files of a complete SavedModel.
        work_path: Directory for the new file; created if it does not exist.

    Raises:
        ValueError: saved_model.pb changed since its digest was computed.
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
        raise ValueError(f"cannot export {binary.source}: {_CHANGED}") from error
    if digest_of_bytes(content) != binary.digest:
        raise ValueError(f"cannot export {binary.source}: {_CHANGED}")
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
    """Saves a model again with other serving signatures, and returns the new files.

    Variables, assets and files in assets.extra/ stay as they are.

    Args:
        model: A complete SavedModel.
        files: Files of the model, with the digests at the time of the decision.
        serving_signatures_fn: Function of the loaded model that returns a dictionary of signature
            name to tf.function.
        work_path: Directory for the new SavedModel, and for a copy of a model that is not local.

    Raises:
        TypeError: The function does not return a dictionary of names to tf.functions.
        RuntimeError: The function raised an error, or TensorFlow cannot save the model with the
            signatures.
        InvalidModelError: A model server cannot run the signatures.
        ValueError: The model changed since its digests were computed.
    """
    import tensorflow as tf

    model_path = local_directory(model, work_path / "model", [*model.sizes()])
    loaded = tf.saved_model.load(str(model_path))
    try:
        signatures = serving_signatures_fn(loaded)
    except FAILURES as error:
        raise RuntimeError(
            "serving_signatures_fn must return a dictionary of signature name to tf.function (got"
            f" {type(error).__name__}: {text_of(error)}). Fix the function; nothing was exported."
        ) from error
    if (
        not isinstance(signatures, Mapping)
        or not signatures
        or not all(isinstance(name, str) for name in signatures)
        or not all(callable(function) for function in signatures.values())
    ):
        raise TypeError(
            "serving_signatures_fn must return a dictionary of signature name to tf.function (got"
            f" {text_of(signatures, repr)}). Fix the function; nothing was exported."
        )
    saved = location_of(str(work_path / "saved"))
    try:
        tf.saved_model.save(loaded, saved.path, signatures=dict(signatures))
    except FAILURES as error:
        # TensorFlow traces the functions here, which runs code of the user.
        raise RuntimeError(
            "serving_signatures_fn must return functions that tf.saved_model.save accepts (got"
            f" {type(error).__name__}: {text_of(error)}). Set an input_signature for each function,"
            " and use only variables and assets of the loaded model."
        ) from error
    contents = check(saved, work_path)
    problems = servable.problems_of(contents.message, contents.sizes)
    if problems:
        raise InvalidModelError(
            "serving_signatures_fn must return signatures that a model server can run (got"
            f" {', '.join(sorted(signatures))}: {'; '.join(each.text for each in problems)})."
            " Use only variables and assets of the loaded model."
        )
    return _files_saved(model, files, saved)


def with_own_signatures(
    model: Location, files: Sequence[ModelFile], work_path: Path
) -> tuple[list[ModelFile], tuple[str, ...]]:
    """Saves a model again from its own signatures, so that a model server can run it.

    `tf.saved_model.load` restores all variables of a model, and `tf.saved_model.save` of the loaded
    model writes a restore operation for the variables that the signatures read.

    Args:
        model: A complete SavedModel.
        files: Files of the model, with the digests at the time of the decision.
        work_path: Directory for the new SavedModel, and for a copy of a model that is not local.

    Returns:
        The new files, and a sentence for each signature whose answers could not be compared with
        those of the original.

    Raises:
        InvalidModelError: The model cannot be saved again, or the result has other signatures,
            answers in another way or cannot be served either.
        ValueError: The model changed since its digests were computed.
    """
    import tensorflow as tf

    saved = location_of(str(work_path / "saved"))
    warnings, cause = (), None
    try:
        model_path = local_directory(model, work_path / "model", [*model.sizes()])
        loaded = tf.saved_model.load(str(model_path))
        tf.saved_model.save(loaded, saved.path, signatures=dict(loaded.signatures))
    except Exception as error:
        problem, cause = f"{type(error).__name__}: {error}", error
    else:
        problem, warnings = _why_not_the_same(loaded, files, saved, work_path)
    if problem:
        raise InvalidModelError(
            f"model must be a SavedModel that a model server can run (got {str(model)!r}, which"
            f" was saved again from its own signatures: {problem})."
            f" {servable.Kind.UNSET_VARIABLES.value}"
        ) from cause
    return _files_saved(model, files, saved), warnings


def _why_not_the_same(
    loaded: Any, files: Sequence[ModelFile], saved: Location, work_path: Path
) -> tuple[str, tuple[str, ...]]:
    """Compares a model that was saved again from its own signatures with the original.

    Args:
        loaded: The original, as TensorFlow loads it.
        files: Files of the original.
        saved: The new SavedModel.
        work_path: Directory for temporary files.

    Returns:
        A reason why the new model cannot take the place of the original, empty if there is none;
        and a sentence for each signature whose answers could not be compared.
    """
    contents = check(saved, work_path)
    problems = servable.problems_of(contents.message, contents.sizes)
    if problems:
        return "; ".join(problem.text for problem in problems), ()
    before = signatures_of({file.path: file.source for file in files})
    after = signatures_of({BINARY: saved / BINARY})
    if before != after:
        changes = "; ".join(change.text for change in signature_changes(before, after))
        return f"its signatures changed: {changes}", ()
    try:
        return "", answers.compare(loaded, Path(saved.path), after)
    except answers.DifferentAnswerError as error:
        return str(error), ()


def _files_saved(model: Location, files: Sequence[ModelFile], saved: Location) -> list[ModelFile]:
    """Returns the files of a model that was saved again, with the original's assets.extra/.

    Raises:
        ValueError: The original changed since its digests were computed.
    """
    if digest_of(files_of(model)) != digest_of(files):
        raise ValueError(f"cannot export {model}: {_CHANGED}")
    extras = [
        file for file in files if file.path.startswith(f"{ASSETS_EXTRA}/") and not file.is_reserved
    ]
    return [*files_of(saved), *extras]
