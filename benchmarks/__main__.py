"""Runs the benchmarks: `make bench`."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import evaluations, publishing, results, startup
from benchmarks.ratios import Ratio, show


def main() -> None:
    """Runs what the command line asks for, prints the table and writes it."""
    sections: dict[str, Callable[[Path, int], Iterator[Ratio]]] = {
        "publishing": publishing.publishing,
        "memory": lambda root, _: publishing.memory(root),
        "deciding": publishing.deciding,
        "retiring": publishing.retiring,
        "object store": publishing.object_store,
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
    ratios = []
    for name, section in sections.items():
        if arguments.only and name not in arguments.only:
            continue
        # On the disk of the checkout: a /tmp in memory would measure something else.
        build_path = Path(__file__).parents[1] / "build"
        build_path.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=build_path) as root:
            for item in section(Path(root), arguments.pairs):
                print(f"{item.name}: {item.ratio:.2f}", flush=True)
                ratios.append(item)
    table = show(ratios)
    print(table)
    if not arguments.only:
        results.write_section(
            "Publishing, deciding, retiring and starting",
            "Written by `make bench`: medians on one machine, local disk; ratios are what counts."
            f"\n\n{table}",
        )


if __name__ == "__main__":
    main()
