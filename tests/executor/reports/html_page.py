"""Parses a page into a tree of elements; a page that is not well-formed is an error."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from html.parser import HTMLParser

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source"}


@dataclasses.dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    children: list[Element | str] = dataclasses.field(default_factory=list)

    def __iter__(self) -> Iterator[Element]:
        """Yields this element and all below it."""
        yield self
        for child in self.children:
            if isinstance(child, Element):
                yield from child

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """Returns the elements with a tag and attributes; `class_="x"` matches any class."""
        return [
            element
            for element in self
            if element.tag == tag
            and all(
                value in element.attributes.get(name.rstrip("_"), "").split()
                if name == "class_"
                else element.attributes.get(name.replace("_", "-")) == value
                for name, value in attributes.items()
            )
        ]

    def one(self, tag: str, **attributes: str) -> Element:
        (element,) = self.all(tag, **attributes)
        return element

    @property
    def raw(self) -> str:
        """All text, without changes to white space."""
        return "".join(
            child.raw if isinstance(child, Element) else child for child in self.children
        )

    @property
    def text(self) -> str:
        """The visible text. Text inside charts is left out."""
        parts = [
            child
            if isinstance(child, str)
            else f" {child.text} "
            if child.attributes.get("aria-hidden") != "true"
            and child.tag not in ("svg", "style", "title")
            else " "
            for child in self.children
        ]
        return re.sub(r" ([.,:])", r"\1", re.sub(r"\s+", " ", "".join(parts))).strip()

    @property
    def rows(self) -> list[list[str]]:
        """The cells of a table, or of all tables below this element."""
        return [
            [cell.text for cell in row if cell.tag in ("th", "td")]
            for body in self.all("tbody")
            for row in body.all("tr")
        ]


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Element("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        assert len(element.attributes) == len(attrs), f"{tag} has a repeated attribute"
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"the page has a comment: {data}")


def parse(page: str) -> Element:
    """Returns the html element of a page."""
    parser = _Parser()
    parser.feed(page)
    parser.close()
    (root,) = parser.open
    (element,) = (child for child in root.children if isinstance(child, Element))
    return element
