"""Runs the benchmarks: `make bench`."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import evaluations, history, object_store, operating, publishing, results, startup
from benchmarks.rows import Row, show

_INTRODUCTION = """
`make bench` writes this section. Only the ratios are comparable: absolute figures depend on the
machine and its disk. Ours and the peer run in pairs, one directly after the other, in alternating
order. `ratio (median)` is the median of the pairs' ratios. `quartiles` shows where the middle half
of them lies. A figure with a sign and a unit is a difference. A limit is met if the median is.

The rows about S3 run through a proxy that adds 20 ms to each request. Their floor is the time of
the requests that
[decision 17](../docs/decisions/0017-small-uploads-in-an-object-store.md) requires: one upload for
each file, with as many in parallel as ours, and six requests that wait for each other.
[object_store.py](object_store.py) describes the comparison.

The rows about past runs use an ML Metadata store on SQLite, with five artifacts for each run.
""".strip()


def main() -> None:
    """Runs the selected benchmarks and prints a table; writes it to results.md if all have run."""
    sections: dict[str, Callable[[Path, int], Iterator[Row]]] = {
        "publishing": publishing.publishing,
        "memory": publishing.memory,
        "deciding": publishing.deciding,
        "retiring": publishing.retiring,
        "object store": object_store.publishing,
        "evaluations": evaluations.reading,
        "history": history.looking_up,
        "starting": startup.starting,
        "operating": operating.operating,
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--pairs", type=int, default=5, help="number of pairs for each measurement (default: 5)"
    )
    parser.add_argument(
        "--only",
        choices=sorted(sections),
        action="append",
        help="run only this section; repeat for more",
    )
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    rows = []
    for name, section in sections.items():
        if arguments.only and name not in arguments.only:
            continue
        # The disk of the checkout is measured. /tmp may be in memory.
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
