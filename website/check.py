"""Checks a built site: links lead somewhere, and no page loads anything from the network.

`python -m website.check build/site`
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Attributes that make a browser load something, by element.
_LOADS = {
    "audio": "src",
    "embed": "src",
    "iframe": "src",
    "img": "src",
    "link": "href",
    "object": "data",
    "script": "src",
    "source": "src",
    "video": "src",
}
_NOT_FOUND = "404.html"
_CSS_URL = re.compile(r"""(?:url\(|@import)\s*['"]?(?:https?:)?//[^'")\s]+""")


class Page(HTMLParser):
    """The anchors of a page, its links, and the URLs that it loads."""

    def __init__(self, html: str):
        """Reads a page."""
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Reads the attributes of an element."""
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if values.get(name)}
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if tag in _LOADS and values.get(_LOADS[tag]):
            self.loaded.append(values[_LOADS[tag]])


def problems(site: Path) -> list[str]:
    """Returns the problems of a site, one sentence for each.

    Args:
        site: Directory of the site.
    """
    pages = {
        path.resolve(): Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")
    }
    found: list[str] = []
    for path, page in sorted(pages.items()):
        name = path.relative_to(site.resolve()).as_posix()
        found += [f"{name} loads {url}." for url in page.loaded if _is_elsewhere(url)]
        for url in (*page.links, *page.loaded):
            if _is_elsewhere(url) or url.startswith(("data:", "mailto:", "javascript:")):
                continue
            problem = _problem_of(url, path, pages, site.resolve())
            if problem:
                found.append(f"{name} links to {url}, {problem}.")
    for path in sorted(site.rglob("*.css")):
        name = path.relative_to(site).as_posix()
        text = path.read_text(encoding="utf-8")
        found += [f"{name} loads {match[0]}." for match in _CSS_URL.finditer(text)]
    return found


def _problem_of(url: str, path: Path, pages: dict[Path, Page], site: Path) -> str:
    parts = urlsplit(url)
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if parts.path.startswith("/"):
        # A server shows this page at every path that does not exist.
        if path.name != _NOT_FOUND:
            return "which is not relative"
        target = site / unquote(parts.path).lstrip("/")
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        return "which does not exist"
    anchor = unquote(parts.fragment)
    # The theme's script reads fragments that begin with two underscores.
    if anchor and not anchor.startswith("__") and anchor not in pages[target].anchors:
        return "which has no such heading"
    return ""


def _is_elsewhere(url: str) -> bool:
    return urlsplit(url).scheme in ("http", "https") or url.startswith("//")


def main() -> None:
    """Checks the site that the command line names."""
    (site,) = (Path(argument) for argument in sys.argv[1:])
    found = problems(site)
    if found:
        sys.exit("\n".join(found))
    pages = sum(1 for _ in site.rglob("*.html"))
    sys.stdout.write(f"{site}: {pages} pages, and all links lead somewhere.\n")


if __name__ == "__main__":
    main()
