"""Links of a page: to the console of a store, to a local directory, and to other pages."""

from __future__ import annotations

import dataclasses
from urllib import parse

# A longer address is no link: browsers cut it.
_MAX_LENGTH = 2000
_GOOGLE_CONSOLE = "https://console.cloud.google.com/storage/browser/"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link to another page of the same site.

    Attributes:
        label: Text of the link.
        href: Name of the page, relative to the page with the link.
    """

    label: str
    href: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Neighbors:
    """The pages around a decision, as far as they are known.

    Attributes:
        index: Page of the base directory.
        previous: The decision before.
        following: The decision after.
    """

    index: Link | None = None
    previous: Link | None = None
    following: Link | None = None


def href_of(uri: str) -> str:
    """Returns the address at which a browser shows a path or URI; empty if there is none.

    An S3 URI has no address, because the store may not belong to AWS.

    Args:
        uri: Any text. Every character that is not plain in an address is escaped.

    Example:
        >>> href_of("gs://models/penguin/7"), href_of("/serving/a b")
        ('https://console.cloud.google.com/storage/browser/models/penguin/7', 'file:///serving/a%20b')
    """
    if len(uri) > _MAX_LENGTH or "***" in uri or not uri.isprintable():
        return ""
    if uri.startswith("gs://"):
        return _GOOGLE_CONSOLE + parse.quote(uri.removeprefix("gs://"))
    path = uri.removeprefix("file://")
    if path.startswith("/") and not path.startswith("//"):
        return f"file://{parse.quote(path)}"
    return ""
