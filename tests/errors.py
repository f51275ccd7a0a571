"""Recognizes an error by the field and the value that it names; its module's test pins its text."""

import re


def about(field: str, got: str = "") -> str:
    """Returns a pattern for `pytest.raises(match=...)`.

    Args:
        field: The name that the error begins with.
        got: The start of how the error shows the value that was given.
    """
    return rf"(?s)\A{re.escape(field)}(?!\w).*\(got {re.escape(got)}"


def elsewhere(field: str, got: str = "") -> re.Pattern[str]:
    """Returns the same for a table of whole texts, where another module's test pins this one."""
    return re.compile(about(field, got))


def check_text(error: BaseException, expected: str | re.Pattern[str]) -> None:
    """Compares an error's whole text, or what `elsewhere` knows of it."""
    if isinstance(expected, str):
        assert str(error) == expected
    else:
        assert expected.match(str(error)), error
