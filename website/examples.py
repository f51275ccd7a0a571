"""An extension of griffe: the section Example of a docstring is shown as code."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension  # pyright: ignore[reportMissingImports]

_EXAMPLE = re.compile(r"^Example:$", re.MULTILINE)


class Examples(Extension):
    """Renames the section to Examples, whose lines with ">>>" griffe reads as code."""

    def on_instance(self, *, obj: Any, **_: Any) -> None:
        """Changes the docstring of an object when griffe has read it."""
        if obj.docstring:
            obj.docstring.value = _EXAMPLE.sub("Examples:", obj.docstring.value)
