"""A plug-in for TFX's fileio that maps folder:// to a local directory, as users write them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from tfx.dsl.io import filesystem, filesystem_registry

SCHEME = "folder"


class FolderFilesystem(filesystem.Filesystem):
    """Maps folder://a/b to a/b below `root`."""

    SUPPORTED_SCHEMES: ClassVar[list[str]] = [f"{SCHEME}://"]
    root: ClassVar[str] = ""

    @classmethod
    def _local(cls, path: Any) -> str:
        return os.path.join(cls.root, os.fspath(path).removeprefix(f"{SCHEME}://"))

    @staticmethod
    def open(name: Any, mode: str = "r") -> Any:
        return open(FolderFilesystem._local(name), mode)

    @staticmethod
    def copy(src: Any, dst: Any, overwrite: bool = False) -> None:
        if not overwrite and FolderFilesystem.exists(dst):
            raise OSError(f"{dst} exists")
        with FolderFilesystem.open(src, "rb") as source:
            content = source.read()
        with FolderFilesystem.open(dst, "wb") as destination:
            destination.write(content)

    @staticmethod
    def exists(path: Any) -> bool:
        return os.path.exists(FolderFilesystem._local(path))

    @staticmethod
    def glob(pattern: Any) -> list[Any]:
        raise NotImplementedError

    @staticmethod
    def isdir(path: Any) -> bool:
        return os.path.isdir(FolderFilesystem._local(path))

    @staticmethod
    def listdir(path: Any) -> list[Any]:
        try:
            return os.listdir(FolderFilesystem._local(path))
        except FileNotFoundError as error:
            raise filesystem.NotFoundError from error

    @staticmethod
    def makedirs(path: Any) -> None:
        os.makedirs(FolderFilesystem._local(path), exist_ok=True)

    @staticmethod
    def mkdir(path: Any) -> None:
        os.mkdir(FolderFilesystem._local(path))

    @staticmethod
    def remove(path: Any) -> None:
        os.remove(FolderFilesystem._local(path))

    @staticmethod
    def rename(src: Any, dst: Any, overwrite: bool = False) -> None:
        os.replace(FolderFilesystem._local(src), FolderFilesystem._local(dst))

    @staticmethod
    def rmtree(path: Any) -> None:
        import shutil

        shutil.rmtree(FolderFilesystem._local(path))

    @staticmethod
    def stat(path: Any) -> Any:
        return os.stat(FolderFilesystem._local(path))

    @staticmethod
    def walk(
        top: Any, topdown: bool = True, onerror: Callable[..., None] | None = None
    ) -> Iterable[tuple[Any, list[Any], list[Any]]]:
        for directory, directories, files in os.walk(
            FolderFilesystem._local(top), topdown=topdown, onerror=onerror
        ):
            relative = os.path.relpath(directory, FolderFilesystem.root)
            yield f"{SCHEME}://{relative}", directories, files


def register(root: str) -> None:
    """Registers folder:// with TFX."""
    FolderFilesystem.root = root
    filesystem_registry.DEFAULT_FILESYSTEM_REGISTRY.register(FolderFilesystem, priority=0)
