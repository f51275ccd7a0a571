"""JSON that other programs can write: each defect is one error, and no read waits."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.executor.storage.memory import MemoryStorage
from tfx_best_exporter.executor.storage import foreign, location_of
from tfx_best_exporter.executor.storage.foreign import ForeignContentError
from tfx_best_exporter.executor.storage.location import Location

NESTED = b"[" * 20_000 + b"]" * 20_000


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b'{"a": "\\ud83d\\ude00"}', id="a character in two escape sequences"),
        pytest.param(b'\xef\xbb\xbf{"a": 1}', id="a mark at the beginning"),
        pytest.param(b'{"a": 1e22, "b": 1797693134862315700000, "c": -0.5}', id="numbers"),
    ],
)
def test_an_object(content: bytes) -> None:
    assert "a" in foreign.json_object(content)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(b"", "Expecting value", id="empty"),
        pytest.param(NESTED, "recursion", id="nested arrays"),
        pytest.param(b'{"a":' * 20_000 + b"1" + b"}" * 20_000, "recursion", id="nested objects"),
        pytest.param(b'{"a": %b}' % (b"9" * 10_000), "10000 digits", id="many digits"),
        pytest.param(b'{"a": %b}' % (b"9" * 400), "too large to convert", id="no float"),
        pytest.param(b'{"a": 1e400}', "1e400 is not a finite number", id="infinite"),
        pytest.param(b'{"a": NaN}', "NaN is not a finite number", id="not a number"),
        pytest.param(b'{"a": -Infinity}', "-Infinity is not a finite number", id="minus infinite"),
        pytest.param(b'{"a": "\\ud800"}', "surrogates", id="half a character"),
        pytest.param(b'{"\\uDFFF": 1}', "surrogates", id="half a character in a name"),
        pytest.param(b'{"a": "\xed\xa0\x80"}', "can't decode", id="half a character in bytes"),
        pytest.param(b'{"a": 1}\x00', "Extra data", id="a zero byte at the end"),
    ],
)
def test_content_that_cannot_be_parsed(content: bytes, problem: str) -> None:
    with pytest.raises(ForeignContentError, match=r"\Athe file cannot be parsed \(") as caught:
        foreign.json_object(content)
    assert problem in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("content", [b"[]", b"1", b'"text"', b"null"])
def test_json_that_is_no_object(content: bytes) -> None:
    with pytest.raises(ForeignContentError, match=r"\Athe file has no JSON object\Z"):
        foreign.json_object(content)


@pytest.mark.parametrize("error", [RecursionError("deep"), KeyError("a"), AttributeError("x")])
def test_every_error_of_a_parser_is_one_error(error: Exception) -> None:
    with pytest.raises(ForeignContentError, match="the file cannot") as caught, foreign.parsing():
        raise error
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [MemoryError(), KeyboardInterrupt()], ids=repr)
def test_an_error_that_says_nothing_about_the_content(error: BaseException) -> None:
    with pytest.raises(type(error)), foreign.parsing():
        raise error


def test_an_error_without_a_text_has_its_name() -> None:
    with pytest.raises(ForeignContentError, match=r"\(RecursionError\)"), foreign.parsing():
        raise RecursionError


def make_socket(path: Path) -> None:
    os.mknod(path, stat.S_IFSOCK | 0o600)


NOT_A_FILE = "it is not a regular file"


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        pytest.param(lambda path: None, "the file does not exist", id="missing"),
        pytest.param(Path.mkdir, NOT_A_FILE, id="directory"),
        pytest.param(os.mkfifo, NOT_A_FILE, id="pipe"),
        pytest.param(make_socket, NOT_A_FILE, id="socket"),
        pytest.param(lambda path: path.symlink_to("/dev/zero"), NOT_A_FILE, id="device"),
        pytest.param(
            lambda path: path.symlink_to("nowhere"), "the file does not exist", id="dangling link"
        ),
        pytest.param(
            lambda path: path.symlink_to(path), "it is a link that leads nowhere", id="link loop"
        ),
        pytest.param(
            lambda path: path.write_bytes(b'{"a": "long"}'),
            "the file has more than 10 bytes",
            id="too large",
        ),
    ],
)
def test_a_path_that_cannot_be_read(
    tmp_path: Path, make: Callable[[Path], None], problem: str
) -> None:
    make(tmp_path / "5.json")
    with pytest.raises(ForeignContentError) as caught:
        foreign.read_json_object(location_of(tmp_path / "5.json"), 10)
    assert str(caught.value) == problem


def test_a_link_to_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b'{"a": 1}')
    (tmp_path / "5.json").symlink_to("target")
    assert foreign.read_json_object(location_of(tmp_path / "5.json"), 10) == {"a": 1}


class Refusing(MemoryStorage):
    """A storage that refuses to read."""

    def __init__(self, error: OSError):
        super().__init__()
        self.error = error

    def read(self, path: str, max_bytes: int) -> bytes:
        raise self.error


def test_a_file_without_the_permission_to_read_it() -> None:
    location = Location(Refusing(PermissionError(errno.EACCES, "denied")), "5.json")
    with pytest.raises(ForeignContentError, match=r"\Athe permission to read it is missing\Z"):
        foreign.read_json_object(location, 10)


def test_a_storage_that_does_not_answer_says_nothing_about_the_file() -> None:
    location = Location(Refusing(OSError(errno.EIO, "I/O error")), "5.json")
    with pytest.raises(OSError, match="I/O error"):
        foreign.read_json_object(location, 10)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("köln, 東京", "köln, 東京", id="text"),
        pytest.param("a\nb\x1b[31m\u202e", "a\\nb\\x1b[31m\\u202e", id="invisible characters"),
        pytest.param("\ud800", "\\ud800", id="half a character"),
        pytest.param("x" * 21, "x" * 20 + "...", id="a long text"),
    ],
)
def test_a_foreign_text_is_shown_as_one_line(text: str, shown: str) -> None:
    assert foreign.shown(text, 20) == shown
