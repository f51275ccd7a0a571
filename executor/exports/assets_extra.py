"""The files that an author adds to an export, in assets.extra/."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from tfx_best_exporter.executor.exports.saved_model import (
    ASSETS_EXTRA,
    RESERVED_ASSETS,
    ModelFile,
)
from tfx_best_exporter.executor.redaction import redacted
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.protocol import NotAFileError


def check_assets_extra(assets_extra: object) -> dict[str, str]:
    """Returns assets_extra as a dictionary of destination in assets.extra/ to source path.

    Raises:
        TypeError: The argument is not a mapping of str to str.
        ValueError: A destination is outside assets.extra/, or in the exporter's own directory.
    """
    if assets_extra is None:
        return {}
    if not isinstance(assets_extra, Mapping) or not all(
        isinstance(text, str) for item in assets_extra.items() for text in item
    ):
        raise TypeError(
            "assets_extra must be a dictionary of destination path to source path"
            f" (got {assets_extra!r}). Use str for both paths."
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
                " Use a relative path that includes the file name and has no '..'."
            )
        if path.parts[0] == RESERVED_ASSETS:
            raise ValueError(
                f"assets_extra must have destinations outside {RESERVED_ASSETS}/ (got"
                f" {destination!r}). The export's record is stored there. Choose another name."
            )
        if not source:
            raise ValueError(
                f"assets_extra[{destination!r}] must be the path of a file (got '')."
                " Use the full path of the source file."
            )
    return dict(assets_extra)


def with_assets_extra(
    files: Sequence[ModelFile], assets_extra: Mapping[str, str]
) -> list[ModelFile]:
    """Returns the files of a model, followed by the files to add in assets.extra/.

    Raises:
        ValueError: A source is neither a regular file nor a link to one, or a destination is
            already in use.
    """
    paths = {file.path for file in files}
    result = list(files)
    for destination, source in assets_extra.items():
        path = f"{ASSETS_EXTRA}/{destination}"
        try:
            file = ModelFile.read(path, location_of(source))
        except (FileNotFoundError, NotAFileError, NotADirectoryError) as error:
            raise ValueError(
                f"assets_extra[{destination!r}] must be the path of a file (got"
                f" {redacted(source)!r}). Use the full path of a regular file, or of a link to one."
            ) from error
        if any(
            f"{path}/".startswith(f"{other}/") or other.startswith(f"{path}/") for other in paths
        ):
            raise ValueError(
                "assets_extra must have destinations that no other file uses (got"
                f" {destination!r}). Choose another name."
            )
        paths.add(path)
        result.append(file)
    return result
