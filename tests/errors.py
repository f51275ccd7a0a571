"""Recognizes an error by the field and the value that it names; its module's test pins its text."""

import re


def about(field: str, got: str = "") -> str:
    """Returns a pattern for `pytest.raises(match=...)`.

    Args:
        field: The name that the error begins with.
        got: How the error shows the value that was given, or the start of that.
    """
    return rf"(?s)\A{re.escape(field)}(?!\w).*\(got {re.escape(got)}"
