"""Base directories as pipelines leave them, made by real runs on the smallest SavedModels."""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from tests.executor import plain
from tfx_best_exporter.cli.arguments import OPERATOR_VARIABLE
from tfx_best_exporter.cli.clock import Clock
from tfx_best_exporter.cli.commands import best_exporter
from tfx_best_exporter.executor.exporter import ModelExporter
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.policies import compare_policy, larger
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# 2026-11-22 00:00 UTC. Runs follow each other by a day.
START = datetime.datetime(2026, 11, 22, tzinfo=datetime.timezone.utc).timestamp()
DAY = 86400.0
MADE = compare_policy(larger("auc"))
READING = ("status", "history", "show", "diff", "verify", "lock", "backtest")
VARIABLES = "variables/variables.data-00000-of-00001"


@dataclasses.dataclass(kw_only=True)
class World:
    """A base directory, the models that were offered to it, and the time of the next run.

    `uri` is the URI of the base directory if it is mounted; see `executor.storage.mount`.
    """

    root: Path
    uri: str = ""
    now: float = START
    runs: int = 0
    versions: list[int] = dataclasses.field(default_factory=list)

    @property
    def base(self) -> Path:
        return self.root / "serving"

    @property
    def exports(self) -> ExportDirectory:
        return ExportDirectory(location_of(self.uri or str(self.base)))

    def model(self, name: str) -> Path:
        """Returns a model that differs from all others; writes it if it does not exist."""
        path = self.root / "models" / name
        if not path.exists():
            # An asset of its own makes the content another one.
            plain.write_files(path, {**plain.FILES, "assets/name.txt": name.encode()})
        return path

    def run(self, name: str, metrics: Mapping[str, float], **arguments: Any) -> pb.ExportDecision:
        """Offers a model to the base directory, a day after the run before."""
        self.runs += 1
        exporter = ModelExporter(
            self.uri or self.base,
            compare_policy=arguments.pop("policy", MADE),
            exports_to_keep=arguments.pop("exports_to_keep", None),
            clock=lambda: self.now,
        )
        provenance = pb.Provenance(
            pipeline_name="penguin", run_id=f"run-{self.runs}", node_id="BestExporter"
        )
        decision = exporter.run(
            self.model(name),
            metrics,
            model_uri=f"/pipelines/penguin/Trainer/model/{self.runs}",
            provenance=provenance,
            **arguments,
        )
        if decision.exported:
            self.versions.append(decision.message.version)
        self.now += DAY
        return decision.message


def invoke(*words: object, now: float | None = None, **arguments: Any) -> Result:
    """Runs a command line in this process; an unexpected error fails the test.

    Args:
        words: Words of the command line without the program.
        now: Time of the command; None for the time of this machine.
        arguments: Arguments of CliRunner.invoke.
    """
    return CliRunner(env={OPERATOR_VARIABLE: "ana@desk", "COLUMNS": "200"}).invoke(
        best_exporter,
        [str(word) for word in words],
        catch_exceptions=False,
        prog_name="best-exporter",
        obj=Clock(now) if now is not None else None,
        **arguments,
    )


def json_of(*words: object, **arguments: Any) -> list[dict[str, Any]]:
    """Runs a command line with -o json, and returns the items."""
    result = invoke(*words, "-o", "json", **arguments)
    assert result.stdout, result.stderr
    document = json.loads(result.stdout)
    assert document["schema_version"] == 1
    lines = invoke(*words, "-o", "jsonl", **arguments).stdout.splitlines()
    if words[0] in READING:
        # A command that changes something has another effect the second time.
        assert [json.loads(line) for line in lines] == document["items"]
    return document["items"]
