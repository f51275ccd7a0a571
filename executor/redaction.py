"""Texts without secrets: URIs and endpoints can contain passwords, signatures and tokens."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf import message as protobuf_message

_Message = TypeVar("_Message", bound=protobuf_message.Message)

# scheme://user:password@host, with a "/" in the password too: keys of AWS contain slashes. A port
# with a path after it is no password. http and https may have a token in place of a user.
_USER = re.compile(
    r"""([a-z][a-z0-9+.-]{0,30}://)[^\s/@:'"?#]{0,4096}:(?!\d+(?:[/?#\s'"]|$))[^\s@'"]{0,4096}@"""
    r"""|(https?://)[^\s/@'"?#]{1,4096}@""",
    re.IGNORECASE,
)
# Parameters of signed URLs, for example X-Amz-Signature, X-Goog-Credential, sig and access_token.
_PARAMETER = re.compile(
    r"""([?&;][\w.%-]{0,60}(?:sig|token|secret|passw|pwd|cred|key|auth)[\w.%-]{0,60}=)[^\s&;'"]+""",
    re.IGNORECASE,
)
_HIDDEN = "***"


def redacted(text: str) -> str:
    """Returns a text with every password, signature and token in its URIs replaced by "***".

    Example:
        >>> redacted("cannot reach http://me:1234@store:9000/models?token=abc")
        'cannot reach http://***@store:9000/models?token=***'
    """
    if "://" in text:
        text = _USER.sub(lambda match: f"{match[1] or match[2]}{_HIDDEN}@", text)
    return _PARAMETER.sub(rf"\1{_HIDDEN}", text) if "=" in text else text


def has_user(uri: str) -> bool:
    """Returns True if a URI has a user, a password or a token before its host."""
    return bool(_USER.match(uri)) or "@" in uri.partition("://")[2].partition("/")[0]


def shown(uri: str) -> str:
    """Returns a URI or a name for messages: without secrets, and on one line.

    Characters that cannot be printed are escaped. Another program may have chosen the name, and a
    line break in it would forge a log line.
    """
    text = redacted(uri)
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def redacted_message(message: _Message) -> _Message:
    """Returns a message with the secrets in all of its texts hidden; the same one if it has none.

    Args:
        message: A protocol buffer without extensions. It is not changed.
    """
    # Most messages have no secret, and a search of all bytes at once costs little.
    content = message.SerializeToString().decode("utf-8", "replace")
    if redacted(content) == content:
        return message
    return json_format.ParseDict(
        _redacted(json_format.MessageToDict(message, preserving_proto_field_name=True)),
        type(message)(),
    )


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, list):
        return [_redacted(each) for each in value]
    if isinstance(value, dict):
        return {name: _redacted(each) for name, each in value.items()}
    return value


@contextlib.contextmanager
def without_secrets() -> Iterator[None]:
    """Removes secrets from an error that leaves the block, and from the errors that caused it.

    Libraries write endpoints and URIs into their errors too, and a log shows the whole chain.
    """
    try:
        yield
    except Exception as error:
        for each in _chain(error):
            each.args = tuple(redacted(arg) if isinstance(arg, str) else arg for arg in each.args)
        raise


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        each = todo.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            yield each
            todo += [each.__cause__, each.__context__]
