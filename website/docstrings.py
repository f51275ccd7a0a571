"""An extension of griffe: sections of docstrings as griffe reads them."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension  # pyright: ignore[reportMissingImports]

_EXAMPLE = re.compile(r"^Example:$", re.MULTILINE)
_ERRORS_OF = re.compile(r"^Raises:\n    See (`\w+`)\.$", re.MULTILINE)


class Docstrings(Extension):
    """Changes docstrings before griffe reads their sections."""

    def on_instance(self, *, obj: Any, **_: Any) -> None:
        """Shows the section Example as code, and a reference to the errors of another method."""
        if obj.docstring:
            text = _EXAMPLE.sub("Examples:", obj.docstring.value)
            obj.docstring.value = _ERRORS_OF.sub(r"The errors are those of \1.", text)
