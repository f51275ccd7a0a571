"""Hooks of MkDocs: pages for files outside docs/, and links that hold on the site."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, InclusionLevel  # pyright: ignore[reportMissingImports]
from pymdownx.slugs import slugify  # pyright: ignore[reportMissingImports]

from website import links, navigation

ROOT = Path(__file__).resolve().parents[1]


def on_config(config: Any) -> Any:
    """Lists the pages of folders in the navigation, and gives headings the names of a checkout."""
    config["nav"] = navigation.with_folders(config["nav"], ROOT / "docs")
    config["mdx_configs"].setdefault("toc", {})["slugify"] = slugify(case="lower")
    return config


def on_files(files: Any, *, config: Any) -> Any:
    """Adds a page for each file outside docs/ that a document links to."""
    pages = [file.src_uri for file in files.documentation_pages()]
    for path in links.linked_files(ROOT, [*pages, *navigation.pages_of(config["nav"])]):
        page = links.page_of(path)
        content: str | bytes
        if links.is_image(path):
            content = (ROOT / path).read_bytes()
        else:
            text = (ROOT / path).read_text(encoding="utf-8")
            content = text if path.endswith(".md") else links.source_page(text, path)
        # The navigation has only some of these pages.
        inclusion = InclusionLevel.NOT_IN_NAV
        files.append(File.generated(config, page, content=content, inclusion=inclusion))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Returns the document with links that hold on the site."""
    path = links.path_of(page.file.src_uri)
    return links.with_site_links(markdown, path) if path.endswith(".md") else markdown
