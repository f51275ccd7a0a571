"""Recognizes an error by its field and value. The test of its module pins the whole text."""

import re


def about(field: str, got: str = "") -> str:
    """Returns a pattern for `pytest.raises(match=...)`.

    Args:
        field: Name that the error begins with.
        got: Start of the value in the error.
    """
    return rf"(?s)\A{re.escape(field)}(?!\w).*\(got {re.escape(got)}"


def elsewhere(field: str, got: str = "") -> re.Pattern[str]:
    """Returns the same pattern, for a table whose other rows pin whole texts."""
    return re.compile(about(field, got))


def check_text(error: BaseException, expected: str | re.Pattern[str]) -> None:
    """Compares an error with its whole text, or with a pattern of `elsewhere`."""
    if isinstance(expected, str):
        assert str(error) == expected
    else:
        assert expected.match(str(error)), error
