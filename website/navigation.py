"""The navigation of the site, as mkdocs.yml lists it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

# This item stands for the pages of a folder, in the order of their names.
_ALL = "/*"


def with_folders(item: Any, docs: Path) -> Any:
    """Returns a part of the navigation in which each folder is replaced by its pages.

    Args:
        item: A page, or a section as MkDocs reads it.
        docs: Directory of the documents.
    """
    if isinstance(item, dict):
        return {title: with_folders(content, docs) for title, content in item.items()}
    if not isinstance(item, list):
        return item
    pages: list[Any] = []
    for each in item:
        if isinstance(each, str) and each.endswith(_ALL):
            folder = docs / each.removesuffix(_ALL)
            pages += sorted(path.relative_to(docs).as_posix() for path in folder.glob("*.md"))
        else:
            pages.append(with_folders(each, docs))
    return pages


def pages_of(item: Any) -> list[str]:
    """Returns the pages in a part of the navigation, in order."""
    if isinstance(item, str):
        return [item]
    items = item.values() if isinstance(item, dict) else item
    return [page for each in items for page in pages_of(each)]
