"""Reads JSON that other programs can write: any defect is one error, and no read waits.

Records, tombstones, lock objects and states lie in directories that people and other programs write
to. A caller adds the name of the file and a remedy to the message of a ForeignContentError.
"""

from __future__ import annotations

import contextlib
import errno
import json
import re
from collections.abc import Iterator
from typing import Any

from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import NotAFileError, TooLargeError

_PROBLEM_LENGTH = 300
# An escape sequence of half a character. Two of them are one character; one alone is no text.
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class ForeignContentError(ValueError):
    """Content is not as it should be; the message is a clause such as "the file does not exist"."""


class MissingFileError(ForeignContentError):
    """A file does not exist."""


class NotReadableError(ForeignContentError):
    """A path is no regular file, or this process may not read it."""


@contextlib.contextmanager
def parsing() -> Iterator[None]:
    """Turns every exception in the block into a ForeignContentError.

    Parsers raise many kinds: RecursionError for deep nesting, OverflowError for large numbers,
    AttributeError for a list in place of an object. MemoryError says nothing about the content.

    Raises:
        ForeignContentError: The block raised an exception.
    """
    try:
        yield
    except (ForeignContentError, MemoryError):
        raise
    except Exception as error:
        problem = shown(str(error) or type(error).__name__, _PROBLEM_LENGTH)
        raise ForeignContentError(f"the file cannot be parsed ({problem})") from error


def json_object(content: bytes) -> dict[str, Any]:
    """Returns the JSON object in some bytes.

    All of its texts can be encoded as UTF-8, and all of its numbers are finite.

    Raises:
        ForeignContentError: The content is not such an object.
    """
    with parsing():
        # Editors of other systems write a mark at the beginning.
        text = content.decode("utf-8-sig")
        value = json.loads(
            text, parse_int=_whole_number, parse_float=_number, parse_constant=_number
        )
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    if not isinstance(value, dict):
        raise ForeignContentError("the file has no JSON object")
    return value


def read_json_object(location: Location, max_bytes: int) -> dict[str, Any]:
    """Returns the JSON object in a file.

    Args:
        location: The file.
        max_bytes: Maximum allowed size of the file, in bytes.

    Raises:
        ForeignContentError: The file is missing, too large, not readable for this process, not a
            regular file, or has no such object.
        OSError: The storage does not answer.
    """
    try:
        content = location.read(max_bytes)
    except (FileNotFoundError, NotADirectoryError):
        raise MissingFileError("the file does not exist") from None
    except NotAFileError:
        raise NotReadableError("it is not a regular file") from None
    except TooLargeError:
        raise ForeignContentError(f"the file has more than {max_bytes:,} bytes") from None
    except PermissionError:
        raise NotReadableError("the permission to read it is missing") from None
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise NotReadableError("it is a link that leads nowhere") from error
    return json_object(content)


def shown(text: str, length: int) -> str:
    """Returns a foreign text as one line of about a length at most, for messages and logs.

    Characters that no terminal shows are escaped, since a text with line breaks could pass for
    several lines of a log.

    Args:
        text: Text from a file.
        length: Maximum number of characters of the text that are shown.
    """
    more = "..." if len(text) > length else ""
    return "".join(map(_escaped, text[:length])) + more


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")


def _number(text: str) -> float:
    number = float(text)
    # The comparison is false for NaN too.
    if not abs(number) < float("inf"):
        raise ValueError(f"{shown(text, 20)} is not a finite number")
    return number


def _whole_number(text: str) -> int:
    # Python refuses to convert more than 4,300 digits. A number that fits no float is no count.
    float(int(text))
    return int(text)
