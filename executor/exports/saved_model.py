"""The files of a SavedModel: their digests, their completeness and the serving signatures.

This module reads TensorFlow's messages and its index of variables without importing TensorFlow.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from google.protobuf import text_format

from tfx_best_exporter.executor.deciding.signatures import Signature, TensorSpec
from tfx_best_exporter.executor.exports import sstable, variables_index
from tfx_best_exporter.executor.storage.digest import FileDigest
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.transfer import in_parallel, local_directory
from tfx_best_exporter.proto import saved_model_pb2 as pb

ASSETS_EXTRA = "assets.extra"
RESERVED_ASSETS = "best_exporter"

BINARY = "saved_model.pb"
TEXT = "saved_model.pbtxt"
MARKERS = (BINARY, TEXT)
# TensorFlow reads this form of a large model, which this exporter cannot read, before TEXT.
CHUNKED = "saved_model.cpb"
# Tag of the graph that a model server loads.
SERVING_TAG = "serve"
# Protobuf messages cannot be larger. Their text form can, but no real model has such a text.
_MAX_PROTO_BYTES = 2 << 30
_MAX_INDEX_BYTES = 256 << 20
INDEX = "variables/variables.index"
_SHARD = re.compile(r"variables/variables\.data-\d{5}-of-(\d{5})")

_UNFINISHED = "Check that Trainer finished writing it."


class _Format(NamedTuple):
    """A format of model files that is not a SavedModel."""

    kind: str
    remedy: str


_KERAS = _Format(
    "a Keras file", "Save the model with model.export(path), which writes a SavedModel."
)
_TFLITE = _Format(
    "a TensorFlow Lite file",
    "Save the model that it was converted from as a SavedModel, for example with model.export(path)"
    " or tf.saved_model.save.",
)
_CHUNKS = _Format(
    "a SavedModel in chunks",
    "Save the model without experimental_image_format in tf.saved_model.SaveOptions.",
)
_PICKLE = _Format(
    "a Python pickle",
    "TensorFlow Serving loads only SavedModels. Save the model as one, for example with"
    " tf.saved_model.save.",
)
# Other formats by the suffix of their files.
_OTHER_FORMATS = {
    **dict.fromkeys((".keras", ".h5", ".hdf5"), _KERAS),
    ".tflite": _TFLITE,
    ".cpb": _CHUNKS,
    **dict.fromkeys((".pkl", ".pickle", ".joblib"), _PICKLE),
}


class UnreadableFormatError(Exception):
    """A model server can read a SavedModel, and this exporter cannot."""


class InvalidModelError(ValueError):
    """A directory does not hold a complete SavedModel, or a model server cannot run it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The parts of a SavedModel that are read without TensorFlow.

    Attributes:
        message: Content of saved_model.pb or saved_model.pbtxt, with the fields in use here.
        sizes: Size of each file in bytes, by path relative to the SavedModel.
    """

    message: pb.SavedModel
    sizes: Mapping[str, int]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """One file of an export.

    Attributes:
        path: Path relative to the export, with forward slashes.
        source: Location of the content.
        digest: Digest of the content.
    """

    path: str
    source: Location
    digest: FileDigest

    @property
    def is_reserved(self) -> bool:
        """True if the path is in the exporter's own directory."""
        return PurePosixPath(self.path).parts[:2] == (ASSETS_EXTRA, RESERVED_ASSETS)

    @property
    def is_marker(self) -> bool:
        """True if this is the file that makes a directory a SavedModel."""
        return self.path in MARKERS

    @classmethod
    def read(cls, path: str, source: Location) -> ModelFile:
        """Returns the file with the digest of its source."""
        return cls(path=path, source=source, digest=source.digest())


def why_incomplete(sizes: Mapping[str, int]) -> str:
    """Returns the first missing part of a SavedModel, or an empty text.

    TensorFlow's C++ loader cannot check this: it loads a SavedModel without its variables, and
    serves them uninitialized. Shards of an earlier save with another number of shards do no harm,
    because TensorFlow reads only those that variables.index counts.

    Args:
        sizes: Size of each file in bytes, by path relative to the SavedModel.
    """
    if not any(sizes.get(name) for name in MARKERS):
        return f"{BINARY} is missing or empty"
    if not sizes.get(INDEX):
        return f"{INDEX} is missing or empty"
    shards = collections.Counter(
        int(match[1]) for path in sizes if (match := _SHARD.fullmatch(path))
    )
    if not shards:
        return "variables/variables.data-?????-of-????? is missing"
    if any(found == count for count, found in shards.items()):
        return ""
    count, found = shards.most_common(1)[0]
    return f"variables/ has {found} of {count} files variables.data-*"


def is_read_by_server(path: str) -> bool:
    """Returns True if a model server reads a file of a SavedModel.

    A server reads neither fingerprint.pb nor assets.extra/ nor files that it does not know.

    Args:
        path: Path relative to the SavedModel.
    """
    return path in (*MARKERS, CHUNKED) or path.startswith(("variables/", "assets/"))


def why_not_loadable(model: Location, sizes: Mapping[str, int]) -> str:
    """Returns a reason why a model server cannot load a SavedModel, or an empty text.

    The graph must be readable and have the tag "serve". All files must exist of its assets, and of
    its variables if it restores any. The variables are not read.

    Args:
        model: Directory of the SavedModel.
        sizes: Size of each file in bytes, by path relative to the SavedModel.

    Raises:
        UnreadableFormatError: The graph is in a form that only TensorFlow can read.
        OSError: A file cannot be read.
    """
    name = next((name for name in MARKERS if sizes.get(name)), "")
    if name != BINARY and CHUNKED in sizes:
        raise UnreadableFormatError(f"only TensorFlow can read {CHUNKED}")
    if not name:
        return f"{BINARY} is missing or empty"
    if sizes[name] > _MAX_PROTO_BYTES:
        return _too_large(name, sizes[name], _MAX_PROTO_BYTES)
    content = (model / name).read(_MAX_PROTO_BYTES)
    try:
        graphs = _parse(name, content).meta_graphs
    except Exception as error:
        return f"{name} cannot be parsed: {error}"
    graph = next((each for each in graphs if SERVING_TAG in each.meta_info_def.tags), None)
    if graph is None:
        return f"{name} has no graph with the tag {SERVING_TAG!r}"
    for asset in graph.asset_file_def:
        if f"assets/{asset.filename}" not in sizes:
            return f"assets/{asset.filename} is missing"
    if graph.saver_def.restore_op_name or any(path.startswith("variables/") for path in sizes):
        return why_incomplete(sizes) or _why_shards_incomplete(model, sizes)
    return ""


def _why_shards_incomplete(model: Location, sizes: Mapping[str, int]) -> str:
    if sizes[INDEX] > _MAX_INDEX_BYTES:
        return _too_large(INDEX, sizes[INDEX], _MAX_INDEX_BYTES)
    content = (model / INDEX).read(_MAX_INDEX_BYTES)
    try:
        return variables_index.why_incomplete(variables_index.parse(content), sizes)
    except sstable.CompressedError:
        # TensorFlow never compresses this file, but it can read it.
        return ""
    except Exception as error:
        return f"the variables cannot be read: {error}"


def check(model: Location, work_path: Path) -> Contents:
    """Checks that a directory holds a complete, readable SavedModel, and returns its contents.

    All files must exist, saved_model.pb must be readable, and the files of the variables must be as
    long as the index requires. The variables are not read.

    Args:
        model: Directory of the SavedModel.
        work_path: Directory for a copy of variables.index. The copy is made only if the model is
            not local and only TensorFlow can read the index.

    Raises:
        InvalidModelError: The directory holds no complete, readable SavedModel.
    """
    try:
        sizes = model.sizes()
    except NotADirectoryError:
        sizes = {}
    remedy, cause, message = _UNFINISHED, None, pb.SavedModel()
    problem = why_incomplete(sizes) if sizes else "the directory does not exist or is empty"
    if problem:
        other, remedy = _other_format(sizes)
        problem = f"{problem}{other}"
    else:
        try:
            message = _message_of(model, sizes)
        except ValueError as error:
            problem, cause = str(error), error
    problem = problem or _why_variables_unreadable(model, work_path, sizes)
    if problem:
        raise InvalidModelError(
            f"model must be a complete SavedModel (got {str(model)!r}: {problem}). {remedy}"
        ) from cause
    return Contents(message=message, sizes=sizes)


def contents_of(model: Location) -> Contents:
    """Returns the contents of a SavedModel, without a check of its variables.

    Raises:
        InvalidModelError: The model has no readable saved_model.pb or saved_model.pbtxt.
    """
    sizes = model.sizes()
    try:
        return Contents(message=_message_of(model, sizes), sizes=sizes)
    except ValueError as error:
        raise InvalidModelError(f"cannot read the SavedModel at {model}: {error}") from error


def _other_format(sizes: Mapping[str, int]) -> tuple[str, str]:
    """Returns a clause about a model file in another format, or an empty text; and the remedy."""
    if not any(name in sizes for name in MARKERS):
        for path in sorted(sizes):
            found = _OTHER_FORMATS.get(PurePosixPath(path).suffix)
            if found:
                return f", and {path!r} is {found.kind}", found.remedy
    return "", _UNFINISHED


def _message_of(model: Location, sizes: Mapping[str, int]) -> pb.SavedModel:
    """Returns the message of a SavedModel.

    Raises:
        ValueError: The file is missing, too large, damaged or without a graph.
    """
    name = next((name for name in MARKERS if name in sizes), None)
    if name is None:
        raise ValueError(f"{BINARY} is missing")
    if sizes[name] > _MAX_PROTO_BYTES:
        raise ValueError(_too_large(name, sizes[name], _MAX_PROTO_BYTES))
    content = (model / name).read(_MAX_PROTO_BYTES)
    try:
        message = _parse(name, content)
    except Exception as error:
        raise ValueError(f"{name} cannot be parsed: {error}") from error
    if not message.meta_graphs:
        raise ValueError(f"{name} has no graph")
    return message


def _why_variables_unreadable(model: Location, work_path: Path, sizes: Mapping[str, int]) -> str:
    if sizes[INDEX] > _MAX_INDEX_BYTES:
        return _too_large(INDEX, sizes[INDEX], _MAX_INDEX_BYTES)
    content = (model / INDEX).read(_MAX_INDEX_BYTES)
    try:
        return variables_index.why_incomplete(variables_index.parse(content), sizes)
    except sstable.CompressedError:
        model_path = local_directory(model, work_path, [INDEX])
    except Exception as error:
        return f"the variables cannot be read: {error}"
    try:
        return variables_index.why_incomplete_by_tensorflow(model_path / "variables", sizes)
    except Exception as error:
        return f"the variables cannot be read: {error}"


def _too_large(name: str, size: int, max_bytes: int) -> str:
    return f"{name} has {size:,} bytes, and at most {max_bytes:,} are allowed"


def _parse(name: str, content: bytes) -> pb.SavedModel:
    """Returns the message of saved_model.pb or saved_model.pbtxt, with the fields in use here."""
    if name == BINARY:
        return pb.SavedModel.FromString(content)
    text = content.decode("utf-8")
    return text_format.Parse(text, pb.SavedModel(), allow_unknown_field=True)


def files_of(model: Location) -> list[ModelFile]:
    """Returns every file of a SavedModel with its digest, in order of the paths.

    A link to a file of the same model counts as that file. TensorFlow ignores a saved_model.pbtxt
    next to a saved_model.pb, and so does this function: exactly one file makes a directory a
    SavedModel.

    Raises:
        InvalidModelError: A link leads to a directory or outside the model, or an entry is neither
            a file nor a directory.
    """
    if model.local_path():
        sources = _local_sources(model)
    else:
        sources = {path: (model / path, size) for path, size in model.sizes().items()}
    if BINARY in sources:
        sources.pop(TEXT, None)
    return in_parallel(
        lambda item: ModelFile.read(item[0], item[1][0]),
        sorted(sources.items()),
        model.storage,
        total_bytes=sum(size for _, size in sources.values()),
    )


def _local_sources(model: Location) -> dict[str, tuple[Location, int]]:
    """Returns the location and size of each file by relative path."""
    root = os.path.realpath(model.path)
    sources = {}
    directories = [""]
    while directories:
        directory = directories.pop()
        with os.scandir(os.path.join(root, directory)) as entries:
            for entry in entries:
                relative_path = f"{directory}{entry.name}"
                source_path = entry.path
                if entry.is_symlink():
                    # os.path.realpath, unlike Path.resolve, does not raise for a link to itself,
                    # which is then rejected because it is not a file.
                    source_path = os.path.realpath(entry.path)
                    if not source_path.startswith(f"{root}/") or not os.path.isfile(source_path):
                        raise InvalidModelError(
                            "model must have links only to files inside the model (got"
                            f" {relative_path!r} -> {os.readlink(entry.path)!r}, at {model})."
                            " Replace the link with the file."
                        )
                elif entry.is_dir():
                    directories.append(f"{relative_path}/")
                    continue
                elif not entry.is_file():
                    raise InvalidModelError(
                        f"model must have only files and directories (got {relative_path!r}, at"
                        f" {model}). Remove this entry."
                    )
                location = Location(model.storage, source_path)
                sources[relative_path] = (location, os.stat(source_path).st_size)
    return sources


def signatures_of(sources: Mapping[str, Location]) -> dict[str, Signature]:
    """Returns the serving signatures of a SavedModel by name, without loading the model.

    Args:
        sources: Locations of the model's files, by relative path. Only saved_model.pb or
            saved_model.pbtxt is read.

    Raises:
        InvalidModelError: The model has neither file, or the file cannot be parsed.
    """
    name = next((name for name in MARKERS if name in sources), BINARY)
    try:
        proto = _parse(name, sources[name].read(_MAX_PROTO_BYTES))
        return {
            key: Signature(
                method=definition.method_name,
                inputs=_tensors_of(definition.inputs),
                outputs=_tensors_of(definition.outputs),
            )
            for graph in proto.meta_graphs
            if SERVING_TAG in graph.meta_info_def.tags
            for key, definition in graph.signature_def.items()
            # Signatures such as __saved_model_init_op are TensorFlow's own: no client calls them.
            if not key.startswith("__")
        }
    except Exception as error:
        raise InvalidModelError(
            f"cannot read the signatures in {sources.get(name, f'a missing {name}')}:"
            f" {type(error).__name__}: {error}. Check that the file belongs to a SavedModel."
        ) from error


def _tensors_of(infos: Mapping[str, pb.TensorInfo]) -> dict[str, TensorSpec]:
    return {
        name: TensorSpec(
            dtype=_dtype_name(info.dtype),
            shape=None
            if info.tensor_shape.unknown_rank
            else tuple(
                dimension.size if dimension.size >= 0 else None
                for dimension in info.tensor_shape.dim
            ),
        )
        for name, info in infos.items()
    }


def _dtype_name(number: int) -> str:
    # Later releases of TensorFlow may have more types. Their numbers still compare correctly.
    return pb.DataType.Name(number) if number in pb.DataType.values() else f"DT_UNKNOWN_{number}"


def total_size(files: Iterable[ModelFile]) -> int:
    """Returns the total size of files in bytes."""
    return sum(file.digest.size for file in files)


def digest_of(files: Sequence[ModelFile]) -> str:
    """Returns the content digest of a model, which does not depend on its location.

    The digest is a SHA-256 over the sorted paths, sizes and CRC-32Cs. The record and the evaluation
    in an export do not count, so an export of an unchanged model has the digest of the model.
    """
    hasher = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.path):
        if not file.is_reserved:
            hasher.update(f"{file.path}\0{file.digest.size}\0{file.digest.crc32c}\n".encode())
    return f"sha256:{hasher.hexdigest()}"
