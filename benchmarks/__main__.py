"""Runs the benchmarks: `make bench`."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import evaluations, object_store, publishing, results, startup
from benchmarks.rows import Row, show

_INTRODUCTION = """
Written by `make bench`. Only the ratios count: absolute figures are those of one machine and its
disk. Ours and the peer run right after each other, in alternating order. `ratio (median)` is the
median of the pairs' ratios, `quartiles` is where the middle half of them lies, and a signed figure
with a unit is a difference. The median decides whether a limit is met.

The rows about S3 run through a proxy that adds 20 ms to each request. Their floor is what uploading
every file to a staging directory and having the store copy it takes alone, as
[decision 7](../docs/decisions/0007-commit-in-an-object-store.md) asks for, with as many requests at
a time as ours. [object_store.py](object_store.py) says what is compared.
""".strip()


def main() -> None:
    """Runs what the command line asks for, prints the table and writes it."""
    sections: dict[str, Callable[[Path, int], Iterator[Row]]] = {
        "publishing": publishing.publishing,
        "memory": publishing.memory,
        "deciding": publishing.deciding,
        "retiring": publishing.retiring,
        "object store": object_store.publishing,
        "evaluations": evaluations.reading,
        "starting": startup.starting,
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5, help="pairs of each (default: 5)")
    parser.add_argument(
        "--only", choices=sorted(sections), action="append", help="only this; may be repeated"
    )
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    rows = []
    for name, section in sections.items():
        if arguments.only and name not in arguments.only:
            continue
        # On the disk of the checkout: a /tmp in memory would measure something else.
        build_path = Path(__file__).parents[1] / "build"
        build_path.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=build_path) as root:
            for row in section(Path(root), arguments.pairs):
                print(f"{row.name}: {row.text_of(row.found.median)} ({row.quartiles})", flush=True)
                rows.append(row)
    table = show(rows)
    print(table)
    if not arguments.only:
        results.write_section(
            "Publishing, deciding, retiring and starting", f"{_INTRODUCTION}\n\n{table}"
        )


if __name__ == "__main__":
    main()
