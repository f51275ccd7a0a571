"""What a SavedModel consists of, what makes it complete, and what is changed for an export."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from tfx_best_exporter.executor.deciding.signatures import Signature, TensorSpec
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.digest import FileDigest, digest_of_bytes
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import TooLargeError
from tfx_best_exporter.executor.storage.transfer import in_parallel, local_directory

ASSETS_EXTRA = "assets.extra"
RESERVED_ASSETS = "best_exporter"

_BINARY = "saved_model.pb"
_TEXT = "saved_model.pbtxt"
MARKERS = (_BINARY, _TEXT)
_SERVING_TAG = "serve"
# A message of protobuf cannot be larger; its text can, but nobody writes such a one.
_MAX_PROTO_BYTES = 2 << 30
_INDEX = "variables/variables.index"
_SHARD = re.compile(r"variables/variables\.data-\d{5}-of-(\d{5})")


class InvalidModelError(ValueError):
    """A directory does not hold a complete SavedModel."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """One file of an export: where it comes from and where it goes.

    Attributes:
        path: Relative to the export, with forward slashes.
        source: Where its content lies now.
        digest: Of its content.
    """

    path: str
    source: Location
    digest: FileDigest

    @property
    def is_reserved(self) -> bool:
        """Whether it lies where the exporter's own files do."""
        return PurePosixPath(self.path).parts[:2] == (ASSETS_EXTRA, RESERVED_ASSETS)

    @property
    def is_marker(self) -> bool:
        """Whether it is the file that makes a directory a SavedModel."""
        return self.path in MARKERS

    @classmethod
    def read(cls, path: str, source: Location) -> ModelFile:
        """Returns the file with its digest, read from the source."""
        return cls(path=path, source=source, digest=source.digest())


def why_incomplete(sizes: Mapping[str, int]) -> str:
    """Returns what a SavedModel lacks, or an empty text.

    TensorFlow's C++ loader takes a SavedModel without its variables and serves them
    uninitialised, so it is no judge of this.

    Args:
        sizes: Size of each file by path relative to the SavedModel.
    """
    if not any(sizes.get(name) for name in MARKERS):
        return f"there is no {_BINARY}"
    if not sizes.get(_INDEX):
        return f"there is no {_INDEX}"
    shards = [match for path in sizes if (match := _SHARD.fullmatch(path))]
    if not shards:
        return "there is no variables/variables.data-?????-of-?????"
    count = int(shards[0][1])
    if len(shards) != count:
        return f"there are {len(shards)} of {count} files variables/variables.data-*"
    return ""


def why_not_loadable(sizes: Mapping[str, int]) -> str:
    """Returns what a SavedModel of somebody else's lacks to be served, or an empty text.

    One of TensorFlow 1 may have no variables at all; one that has some needs all of their files.

    Args:
        sizes: Size of each file by path relative to the SavedModel.
    """
    if any(path.startswith("variables/") for path in sizes):
        return why_incomplete(sizes)
    return "" if any(sizes.get(name) for name in MARKERS) else f"there is no {_BINARY}"


def check(model: Location, work_path: Path) -> None:
    """Checks that a directory holds a complete, readable SavedModel.

    Beyond the files' presence: saved_model.pb parses, and the variables' files are as long as the
    index says. The variables themselves are not read.

    Args:
        model: The directory.
        work_path: Where copies of the small files may go, if it is not local.

    Raises:
        InvalidModelError: It does not.
    """
    try:
        sizes = model.sizes()
    except NotADirectoryError:
        sizes = {}
    problem = why_incomplete(sizes) if sizes else "there is no such directory"
    if not problem:
        small = [path for path in sizes if path in (*MARKERS, _INDEX)]
        problem = _why_unreadable(local_directory(model, work_path, small), sizes)
    if problem:
        raise InvalidModelError(
            f"model must be a complete SavedModel (got {str(model)!r}: {problem})."
            " Check that Trainer finished writing it."
        )


def _why_unreadable(model_path: Path, sizes: Mapping[str, int]) -> str:
    import numpy as np
    import tensorflow as tf

    name = _BINARY if (model_path / _BINARY).exists() else _TEXT
    try:
        proto = _parse(name, (model_path / name).read_bytes())
    except Exception as error:
        return f"{name} cannot be parsed: {error}"
    if not proto.meta_graphs:
        return f"{name} holds no graph"
    try:
        variables = model_path / "variables"
        reader = tf.train.load_checkpoint(str(variables / "variables"))
        dtypes = reader.get_variable_to_dtype_map()
        has_shards = any(_SHARD.fullmatch(f"variables/{path.name}") for path in variables.iterdir())
        expected = 0
        for name, shape in reader.get_variable_to_shape_map().items():
            if dtypes[name] != tf.string:
                expected += dtypes[name].size * int(np.prod(shape, dtype=np.int64))
            elif has_shards:
                # Each string's length as a varint, a checksum of these, the strings.
                strings = np.ravel(reader.get_tensor(name)).tolist()
                expected += 4 + sum((len(s).bit_length() + 6) // 7 or 1 for s in strings)
                expected += sum(len(s) for s in strings)
    except Exception as error:
        return f"the variables cannot be read: {error}"
    actual = sum(size for path, size in sizes.items() if _SHARD.fullmatch(path))
    if actual < expected:
        return f"variables/variables.data-* have {actual} bytes, the index asks for {expected}"
    return ""


def _parse(name: str, content: bytes) -> Any:
    """Returns the SavedModel message that saved_model.pb or saved_model.pbtxt holds."""
    from google.protobuf import text_format
    from tensorflow.core.protobuf import saved_model_pb2

    if name == _BINARY:
        return saved_model_pb2.SavedModel.FromString(content)
    return text_format.Parse(content.decode("utf-8"), saved_model_pb2.SavedModel())


def files_of(model: Location) -> list[ModelFile]:
    """Returns every file of a SavedModel with its digest, by path.

    A link to a file of the same model stands for that file. Where there is a saved_model.pb,
    TensorFlow never looks at a saved_model.pbtxt beside it: that is left out, so that one file
    alone makes a directory a SavedModel.

    Raises:
        InvalidModelError: A link leads outside the model or to a directory, or something is
            neither a file nor a directory.
    """
    if model.local_path():
        sources = _local_sources(model)
    else:
        sources = {path: (model / path, size) for path, size in model.sizes().items()}
    if _BINARY in sources:
        sources.pop(_TEXT, None)
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
                    # Unlike Path.resolve, this takes a link to itself for what it is: no file.
                    source_path = os.path.realpath(entry.path)
                    if not source_path.startswith(f"{root}/") or not os.path.isfile(source_path):
                        raise InvalidModelError(
                            "model must have no link that leads out of it or to a directory (got"
                            f" {relative_path!r} -> {os.readlink(entry.path)!r}, at {model})."
                            " Replace the link by the file."
                        )
                elif entry.is_dir():
                    directories.append(f"{relative_path}/")
                    continue
                elif not entry.is_file():
                    raise InvalidModelError(
                        f"model must consist of files and directories (got {relative_path!r}, at"
                        f" {model}). Remove it."
                    )
                location = Location(model.storage, source_path)
                sources[relative_path] = (location, os.stat(source_path).st_size)
    return sources


def signatures_of(sources: Mapping[str, Location]) -> dict[str, Signature]:
    """Returns the serving signatures of a SavedModel, without loading it.

    Args:
        sources: Where its files lie, by relative path; only saved_model.pb or saved_model.pbtxt is
            read.

    Raises:
        InvalidModelError: There is neither, or it cannot be parsed.
    """
    name = next((name for name in MARKERS if name in sources), _BINARY)
    try:
        proto = _parse(name, sources[name].read(_MAX_PROTO_BYTES))
        return {
            key: Signature(
                method=definition.method_name,
                inputs=_tensors_of(definition.inputs),
                outputs=_tensors_of(definition.outputs),
            )
            for graph in proto.meta_graphs
            if _SERVING_TAG in graph.meta_info_def.tags
            for key, definition in graph.signature_def.items()
            # TensorFlow's own, such as __saved_model_init_op: no client calls them.
            if not key.startswith("__")
        }
    except Exception as error:
        raise InvalidModelError(
            f"{name} must be that of a SavedModel (got {type(error).__name__}: {error}, at"
            f" {sources.get(name, 'no file')}). Check who wrote it."
        ) from error


def _tensors_of(infos: Mapping[str, Any]) -> dict[str, TensorSpec]:
    from tensorflow.core.framework import types_pb2

    return {
        name: TensorSpec(
            dtype=types_pb2.DataType.Name(info.dtype),
            shape=None
            if info.tensor_shape.unknown_rank
            else tuple(
                dimension.size if dimension.size >= 0 else None
                for dimension in info.tensor_shape.dim
            ),
        )
        for name, info in infos.items()
    }


def total_size(files: Iterable[ModelFile]) -> int:
    """Returns the size of files together, in bytes."""
    return sum(file.digest.size for file in files)


def digest_of(files: Sequence[ModelFile]) -> str:
    """Returns the content digest of a model: the same wherever its files lie.

    SHA-256 over the sorted paths, sizes and CRC-32Cs. The record and evaluation that an export
    carries do not count, so an export of an unchanged model has the model's digest.
    """
    hasher = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.path):
        if not file.is_reserved:
            hasher.update(f"{file.path}\0{file.digest.size}\0{file.digest.crc32c}\n".encode())
    return f"sha256:{hasher.hexdigest()}"


def _changed(source: Location) -> str:
    return (
        f"model must stay as it was when it was decided about (got another content, at {source})."
        " Nothing was published: run again, and see what else writes there."
    )


def check_assets_extra(assets_extra: object) -> dict[str, str]:
    """Returns assets_extra as a dictionary of destination below assets.extra/ to source path.

    Raises:
        TypeError: It is not a mapping of str to str.
        ValueError: A destination leaves assets.extra/, or is where the exporter's own files lie.
    """
    if assets_extra is None:
        return {}
    if not isinstance(assets_extra, Mapping) or not all(
        isinstance(text, str) for item in assets_extra.items() for text in item
    ):
        raise TypeError(
            "assets_extra must be a dictionary of destination path to source path"
            f" (got {assets_extra!r}). Give paths as str."
        )
    for destination, source in assets_extra.items():
        path = PurePosixPath(destination)
        if (
            path.is_absolute()
            or ".." in path.parts
            or not path.parts
            or str(path) != destination
            or "\\" in destination
        ):
            raise ValueError(
                f"assets_extra must have destinations below {ASSETS_EXTRA}/ (got {destination!r})."
                " Give a relative path including the file name, without '..'."
            )
        if path.parts[0] == RESERVED_ASSETS:
            raise ValueError(
                f"assets_extra must have destinations outside {RESERVED_ASSETS}/ (got"
                f" {destination!r}). That is where the export's record lies: choose another name."
            )
        if not source:
            raise ValueError(
                f"assets_extra[{destination!r}] must be the path of a file (got '')."
                " Give the full path of the source file."
            )
    return dict(assets_extra)


def with_assets_extra(
    files: Sequence[ModelFile], assets_extra: Mapping[str, str]
) -> list[ModelFile]:
    """Returns the files of a model with further ones below assets.extra/.

    Raises:
        ValueError: A source is not a file, or a destination is taken already.
    """
    paths = {file.path for file in files}
    result = list(files)
    for destination, source in assets_extra.items():
        path = f"{ASSETS_EXTRA}/{destination}"
        try:
            file = ModelFile.read(path, location_of(source))
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise ValueError(
                f"assets_extra[{destination!r}] must be the path of a file (got {source!r})."
                " Give the full path of the source file."
            ) from error
        if any(
            f"{path}/".startswith(f"{other}/") or other.startswith(f"{path}/") for other in paths
        ):
            raise ValueError(
                f"assets_extra must have destinations that nothing else uses (got {destination!r})."
                " Choose another name."
            )
        paths.add(path)
        result.append(file)
    return result


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

    binary = next((file for file in files if file.path == _BINARY), None)
    if binary is None:
        return list(files)
    work_path.mkdir(parents=True, exist_ok=True)
    text_path = work_path / _TEXT
    try:
        content = binary.source.read(binary.digest.size)
    except TooLargeError as error:
        raise ValueError(_changed(binary.source)) from error
    if digest_of_bytes(content) != binary.digest:
        raise ValueError(_changed(binary.source))
    proto = saved_model_pb2.SavedModel.FromString(content)
    text_path.write_text(text_format.MessageToString(proto), encoding="utf-8")
    others = [file for file in files if not file.is_marker]
    return [*others, ModelFile.read(_TEXT, location_of(str(text_path)))]


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
