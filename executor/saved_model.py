"""What a SavedModel consists of, what makes it complete, and what is changed for an export."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from tfx_best_exporter.executor.storage import local
from tfx_best_exporter.executor.storage.digest import FileDigest

ASSETS_EXTRA = "assets.extra"
RESERVED_ASSETS = "best_exporter"

_BINARY = "saved_model.pb"
_TEXT = "saved_model.pbtxt"
_INDEX = "variables/variables.index"
_SHARD = re.compile(r"variables\.data-\d{5}-of-(\d{5})")


class InvalidModelError(ValueError):
    """A directory does not hold a complete SavedModel."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """One file of an export: where it comes from and where it goes.

    Attributes:
        path: Relative to the export, with forward slashes.
        source_path: Where its content lies now.
        digest: Of its content.
    """

    path: str
    source_path: Path
    digest: FileDigest

    @property
    def is_reserved(self) -> bool:
        """Whether it lies where the exporter's own files do."""
        return PurePosixPath(self.path).parts[:2] == (ASSETS_EXTRA, RESERVED_ASSETS)

    @classmethod
    def read(cls, path: str, source_path: Path) -> ModelFile:
        """Returns the file with its digest, read from the source."""
        return cls(path=path, source_path=source_path, digest=local.digest(source_path))


def why_incomplete(model_path: Path) -> str:
    """Returns what a SavedModel lacks, or an empty text. Looks at names and sizes only.

    TensorFlow's C++ loader takes a SavedModel without its variables and serves them
    uninitialised, so it is no judge of this.
    """
    if not any(_has_content(model_path / name) for name in (_BINARY, _TEXT)):
        return f"there is no {_BINARY}"
    if not _has_content(model_path / _INDEX):
        return f"there is no {_INDEX}"
    shards = [
        match
        for path in (model_path / "variables").iterdir()
        if (match := _SHARD.fullmatch(path.name))
    ]
    if not shards:
        return "there is no variables/variables.data-?????-of-?????"
    count = int(shards[0][1])
    if len(shards) != count:
        return f"there are {len(shards)} of {count} files variables/variables.data-*"
    return ""


def _has_content(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def check(model_path: Path) -> None:
    """Checks that a directory holds a complete, readable SavedModel.

    Beyond the files' presence: saved_model.pb parses, and the variables' files are as long as the
    index says. The variables themselves are not read.

    Raises:
        InvalidModelError: It does not.
    """
    problem = why_incomplete(model_path) if model_path.is_dir() else "there is no such directory"
    if not problem:
        problem = _why_unreadable(model_path)
    if problem:
        raise InvalidModelError(
            f"model must be a complete SavedModel (got {str(model_path)!r}: {problem})."
            " Check that Trainer finished writing it."
        )


def _why_unreadable(model_path: Path) -> str:
    import numpy as np
    import tensorflow as tf

    try:
        _read_proto(model_path)
    except Exception as error:
        name = _BINARY if (model_path / _BINARY).exists() else _TEXT
        return f"{name} cannot be parsed: {error}"
    try:
        reader = tf.train.load_checkpoint(str(model_path / "variables" / "variables"))
        expected = 0
        dtypes = reader.get_variable_to_dtype_map()
        for name, shape in reader.get_variable_to_shape_map().items():
            if dtypes[name] == tf.string:
                # Each string's length as a varint, a checksum of these, the strings.
                strings = np.ravel(reader.get_tensor(name)).tolist()
                expected += 4 + sum((len(s).bit_length() + 6) // 7 or 1 for s in strings)
                expected += sum(len(s) for s in strings)
            else:
                expected += dtypes[name].size * int(np.prod(shape, dtype=np.int64))
    except Exception as error:
        return f"the variables cannot be read: {error}"
    actual = sum(
        path.stat().st_size
        for path in (model_path / "variables").iterdir()
        if _SHARD.fullmatch(path.name)
    )
    if actual < expected:
        return f"variables/variables.data-* have {actual} bytes, the index asks for {expected}"
    return ""


def _read_proto(model_path: Path) -> Any:
    from google.protobuf import text_format
    from tensorflow.core.protobuf import saved_model_pb2

    if (model_path / _BINARY).exists():
        return saved_model_pb2.SavedModel.FromString((model_path / _BINARY).read_bytes())
    return text_format.Parse(
        (model_path / _TEXT).read_text(encoding="utf-8"), saved_model_pb2.SavedModel()
    )


def files_of(model_path: Path) -> list[ModelFile]:
    """Returns every file of a SavedModel with its digest, by path.

    A link to a file of the same model stands for that file.

    Raises:
        InvalidModelError: A link leads outside the model or to a directory, or something is
            neither a file nor a directory.
    """
    root = model_path.resolve()
    files = []
    directories = [root]
    while directories:
        for path in directories.pop().iterdir():
            relative_path = path.relative_to(root).as_posix()
            if path.is_symlink():
                # Unlike Path.resolve, this takes a link to itself for what it is: no file.
                target = Path(os.path.realpath(path))
                if root not in target.parents or not target.is_file():
                    raise InvalidModelError(
                        f"model must have no link that leads out of it or to a directory (got"
                        f" {relative_path!r} -> {str(path.readlink())!r}, at {model_path})."
                        " Replace the link by the file."
                    )
                files.append(ModelFile.read(relative_path, target))
            elif path.is_dir():
                directories.append(path)
            elif stat.S_ISREG(path.stat().st_mode):
                files.append(ModelFile.read(relative_path, path))
            else:
                raise InvalidModelError(
                    f"model must consist of files and directories (got {relative_path!r}, at"
                    f" {model_path}). Remove it."
                )
    return sorted(files, key=lambda file: file.path)


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
        if not Path(source).is_file():
            raise ValueError(
                f"assets_extra[{destination!r}] must be the path of a file (got {source!r})."
                " Give the full path of the source file."
            )
        if any(
            f"{path}/".startswith(f"{other}/") or other.startswith(f"{path}/") for other in paths
        ):
            raise ValueError(
                f"assets_extra must have destinations that nothing else uses (got {destination!r})."
                " Choose another name."
            )
        paths.add(path)
        result.append(ModelFile.read(path, Path(source).resolve()))
    return result


def as_text(files: Sequence[ModelFile], work_path: Path) -> list[ModelFile]:
    """Returns the files of a model with saved_model.pbtxt in place of saved_model.pb.

    Args:
        files: Files of a complete SavedModel.
        work_path: Existing directory for the new file.
    """
    from google.protobuf import text_format

    binary = next((file for file in files if file.path == _BINARY), None)
    if binary is None:
        return list(files)
    text_path = work_path / _TEXT
    proto = _read_proto(binary.source_path.parent)
    text_path.write_text(text_format.MessageToString(proto), encoding="utf-8")
    others = [file for file in files if file is not binary]
    return [*others, ModelFile.read(_TEXT, text_path)]


def with_signatures(
    model_path: Path,
    serving_signatures_fn: Callable[[Any], Mapping[str, Any]],
    work_path: Path,
) -> list[ModelFile]:
    """Saves a model anew with other serving signatures, and returns its files.

    Variables and assets stay as they are; what the model has in assets.extra/ comes along.

    Args:
        model_path: A complete SavedModel.
        serving_signatures_fn: Given the loaded model, returns signature name -> tf.function.
        work_path: Directory for the new SavedModel; must be empty or absent.

    Raises:
        TypeError: The function returns no mapping of names to tf.functions.
        RuntimeError: The function raised, or the model cannot be saved with its signatures.
    """
    import tensorflow as tf

    loaded = tf.saved_model.load(str(model_path))
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
    try:
        tf.saved_model.save(loaded, str(work_path), signatures=dict(signatures))
    except Exception as error:
        raise RuntimeError(
            "serving_signatures_fn must return functions that tf.saved_model.save takes (got"
            f" {type(error).__name__}: {error}). Give each an input_signature, and use only what"
            " the loaded model holds."
        ) from error
    check(work_path)
    extras = [
        file
        for file in files_of(model_path)
        if file.path.startswith(f"{ASSETS_EXTRA}/") and not file.is_reserved
    ]
    return [*files_of(work_path), *extras]
