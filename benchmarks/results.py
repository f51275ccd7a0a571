"""Writes benchmarks/results.md, which has one section for each benchmark target."""

from __future__ import annotations

import re
from pathlib import Path

RESULTS_PATH = Path(__file__).parent / "results.md"


def write_section(title: str, text: str, path: Path = RESULTS_PATH) -> None:
    """Writes a section, and replaces one with the same title.

    Args:
        title: Title without leading number signs.
        text: Markdown with headings of the third level or deeper.
        path: File to write.
    """
    found = path.read_text(encoding="utf-8") if path.exists() else ""
    # The first part is the heading of the file.
    parts = re.split(r"^## (.+)\n", found, flags=re.MULTILINE)[1:]
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    sections[title] = f"\n{text.strip()}\n\n"
    body = "".join(f"## {name}\n{content}" for name, content in sections.items())
    path.write_text(f"# Results\n\n{body.rstrip()}\n", encoding="utf-8")
