"""benchmarks/results.md, one section for each target that measures."""

from __future__ import annotations

import re
from pathlib import Path

RESULTS_PATH = Path(__file__).parent / "results.md"


def write_section(title: str, text: str, path: Path = RESULTS_PATH) -> None:
    """Writes a section, in the place of the one with this title if there is one.

    Args:
        title: Without the leading number signs.
        text: Markdown; headings in it are of the third level or deeper.
        path: Of the file.
    """
    found = path.read_text(encoding="utf-8") if path.exists() else ""
    # What comes before the first section is the heading of the file.
    parts = re.split(r"^## (.+)\n", found, flags=re.MULTILINE)[1:]
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    sections[title] = f"\n{text.strip()}\n\n"
    body = "".join(f"## {name}\n{content}" for name, content in sections.items())
    path.write_text(f"# Results\n\n{body.rstrip()}\n", encoding="utf-8")
