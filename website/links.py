"""The pages of the site, and the links between them.

The documents link to each other and to source files by paths in the repository, so that a reader of
the checkout can follow them. On the site, a document below docs/ has the same path without docs/,
another document is below project/, and a source file is a page below source/.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

_DOCS = "docs/"
_PROJECT = "project/"
_SOURCE = "source/"
_IMAGES = (".png", ".svg")

_FENCE = re.compile(r"^(`{3,})[^`]*$")
_LINK = re.compile(r"(\]\()([^)\s]+)(\))")

# Names of lexers by suffix. A file with another suffix is shown without colors.
_LANGUAGES = {
    ".css": "css",
    ".py": "python",
    ".proto": "protobuf",
    ".toml": "toml",
    ".yml": "yaml",
}


def page_of(path: str) -> str:
    """Returns the path of a file of the repository on the site, before Markdown is rendered.

    Args:
        path: Path in the repository, for example "docs/files.md" or "executor/policies.py".
    """
    if path.startswith(_DOCS):
        return path.removeprefix(_DOCS)
    if path.endswith((".md", *_IMAGES)):
        return _PROJECT + path
    return f"{_SOURCE}{path}.md"


def path_of(page: str) -> str:
    """Returns the path in the repository of a page of the site; the inverse of `page_of`."""
    if page.startswith(_PROJECT):
        return page.removeprefix(_PROJECT)
    if page.startswith(_SOURCE):
        return page.removeprefix(_SOURCE).removesuffix(".md")
    return _DOCS + page


def targets_of(markdown: str, path: str) -> Iterator[str]:
    """Yields the path in the repository of each file that a document links to.

    Args:
        markdown: Content of the document.
        path: Path of the document in the repository.
    """
    for line in _lines_of_text(markdown):
        for match in _LINK.finditer(line):
            target = _target(match[2], path)
            if target:
                yield target


def with_site_links(markdown: str, path: str) -> str:
    """Returns a document with links that hold on the site.

    Args:
        markdown: Content of the document.
        path: Path of the document in the repository.
    """
    folder = posixpath.dirname(page_of(path))

    def link(match: re.Match[str]) -> str:
        target = _target(match[2], path)
        if not target:
            return match[0]
        fragment = urlsplit(match[2]).fragment
        site_path = posixpath.relpath(page_of(target), folder or ".")
        return f"{match[1]}{site_path}{fragment and '#' + fragment}{match[3]}"

    lines = markdown.splitlines(keepends=True)
    for number in _text_line_numbers(lines):
        lines[number] = _LINK.sub(link, lines[number])
    return "".join(lines)


def linked_files(root: Path, pages: Iterable[str]) -> list[str]:
    """Returns the files outside docs/ that pages are or link to, and so on for documents of these.

    Args:
        root: Root of the repository.
        pages: Pages of the site.
    """
    found: set[str] = set()
    todo = [path_of(page) for page in pages]
    while todo:
        path = todo.pop()
        if path in found:
            continue
        found.add(path)
        if path.endswith(".md"):
            todo += targets_of((root / path).read_text(encoding="utf-8"), path)
    return sorted(path for path in found if not path.startswith(_DOCS))


def source_page(text: str, path: str) -> str:
    """Returns the page that shows a source file.

    Args:
        text: Content of the file.
        path: Path of the file in the repository.
    """
    longest = max((len(each) for each in re.findall("`+", text)), default=0)
    fence = "`" * max(longest + 1, 3)
    language = _LANGUAGES.get(posixpath.splitext(path)[1], "text")
    # The search of the site finds documents, not source code.
    return (
        f"---\nsearch:\n  exclude: true\n---\n\n# `{path}`\n\n"
        f"{fence}{language}\n{text.rstrip()}\n{fence}\n"
    )


def is_image(path: str) -> bool:
    """Returns True for a file that the site copies."""
    return path.endswith(_IMAGES)


def _target(link: str, path: str) -> str:
    """Returns the path in the repository that a link leads to; empty for other links."""
    url = urlsplit(link)
    if url.scheme or url.netloc or not url.path:
        return ""
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), url.path))


def _lines_of_text(markdown: str) -> Iterator[str]:
    lines = markdown.splitlines(keepends=True)
    for number in _text_line_numbers(lines):
        yield lines[number]


def _text_line_numbers(lines: list[str]) -> Iterator[int]:
    """Yields the numbers of the lines outside of fenced blocks."""
    opened = ""
    for number, line in enumerate(lines):
        match = _FENCE.match(line.rstrip("\n"))
        if opened:
            if match and len(match[1]) >= len(opened) and line.strip() == match[1]:
                opened = ""
        elif match:
            opened = match[1]
        else:
            yield number
