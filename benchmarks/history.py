"""Measures the driver's look-up in ML Metadata with a long history, compared with a short one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.measuring import expect, pairs_with_each, write_model
from benchmarks.metadata_store import StoreWriter, connect, uris_of_run
from benchmarks.rows import Row, ratio_of

MANY_RUNS = 100_000
FEW_RUNS = 100
OTHER_PIPELINES = 1_000
MAX_MILLISECONDS = 50.0
MAX_OF_FEW_RUNS = 3.0
# The best was exported this number of runs ago. All later candidates were refused.
_RUNS_SINCE = 20

_PIPELINE = "penguin"


class History:
    """A pipeline with past runs: a store, a base directory, and the artifacts of one run."""

    def __init__(self, root: Path, model_path: Path, runs: int):
        """Makes the store, and exports the model that one of the runs trained.

        Args:
            root: A new directory.
            model_path: The model.
            runs: Number of past runs.
        """
        from tfx_best_exporter.executor.exporter import ModelExporter

        self._root = root
        root.mkdir()
        exported_by = runs - _RUNS_SINCE
        self._uris = uris_of_run(str(root), exported_by)
        for uri in self._uris.values():
            Path(uri).mkdir(parents=True)
        decision = ModelExporter(root / "serving").run(
            model_path, {"loss": 1.0}, pushed_model_path=self._uris["pushed_model"]
        )
        self._version = decision.version
        self._writer = StoreWriter(root / "metadata.sqlite")
        destination = str(root / "serving" / str(self._version))
        self._writer.add_runs(_PIPELINE, str(root), runs, pushed_to={exported_by: destination})
        self._store = connect(root / "metadata.sqlite")

    def add_other_pipelines(self, count: int) -> None:
        """Adds newer artifacts: one run of each of many other pipelines."""
        self._writer.add_pipelines([f"other-{number}" for number in range(count)], "/other")

    def look_up(self) -> float:
        """Returns the milliseconds of one look-up, after checking the result."""
        from tfx_best_exporter.component import history

        destination = {"filesystem": {"base_directory": str(self._root / "serving")}}
        started = time.perf_counter()
        found = history.look_up(
            self._store,
            {"push_destination": json.dumps(destination)},
            pipeline_name=_PIPELINE,
            pushed_models_uri=str(Path(self._uris["pushed_model"]).parent),
        )
        milliseconds = (time.perf_counter() - started) * 1e3
        prior = json.loads(found["prior_export"])
        expected = {
            "version": self._version,
            "is_foreign": False,
            "pushed_model_uri": self._uris["pushed_model"],
            "model_uri": self._uris["model"],
            "evaluation_uri": self._uris["evaluation"],
            "model_blessing_uri": self._uris["blessing"],
            "warnings": [],
        }
        expect(prior == expected, f"the look-up must find {expected}", prior)
        return milliseconds


def looking_up(root: Path, pairs: int) -> Iterator[Row]:
    """Yields rows for the look-up with 100,000 past runs: its time, and the ratio to 100 runs."""
    model_path = write_model(root / "model")
    many = History(root / "many", model_path, MANY_RUNS)
    few = History(root / "few", model_path, FEW_RUNS)
    yield from _rows("", many.look_up, few.look_up, pairs)
    for each in (many, few):
        each.add_other_pipelines(OTHER_PIPELINES)
    others = f" and {OTHER_PIPELINES:,} newer runs of other pipelines"
    yield from _rows(others, many.look_up, few.look_up, pairs)


def _rows(
    others: str, many: Callable[[], float], few: Callable[[], float], pairs: int
) -> Iterator[Row]:
    name = f"look up the best with {MANY_RUNS:,} past runs{others}, compared with"
    measured = pairs_with_each(many, {"few": few}, pairs)["few"]
    budget = [(ours, MAX_MILLISECONDS) for ours, _ in measured]
    yield ratio_of(f"{name} {MAX_MILLISECONDS:g} ms", budget, 1.0, unit="ms")
    yield ratio_of(f"{name} {FEW_RUNS} runs", measured, MAX_OF_FEW_RUNS, unit="ms")
