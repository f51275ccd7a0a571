"""Runs with challengers: tiny models whose values in each run a test gives."""

import dataclasses
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.executor.plain import FILES, write_files
from tfx_best_exporter.executor.deciding.eval_result import (
    EvalResult,
    EvaluatedData,
    MetricKey,
    MetricValue,
)
from tfx_best_exporter.executor.evaluations.best import Reevaluated
from tfx_best_exporter.executor.exporter import ModelExporter
from tfx_best_exporter.executor.exports.challengers import Challengers
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.policies import compare_policy, larger
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.proto import best_exporter_pb2 as pb

DATA = "variables/variables.data-00000-of-00001"
KEY = MetricKey(name="auc")
START = 1_790_000_000.0
DAY = 86400.0


def evaluated(
    value: float,
    *,
    best: float | None = None,
    error: float | None = 0.004,
    others: Mapping[str, float] | None = None,
    **kwargs: Any,
) -> EvalResult:
    """Returns an evaluation of a model, with its difference to a best that is its baseline."""
    metrics = {KEY: MetricValue(value=value, standard_error=error, degrees_of_freedom=19)}
    metrics |= {
        MetricKey(name=name): MetricValue(value=each) for name, each in (others or {}).items()
    }
    differences = {}
    if best is not None:
        differences[KEY] = MetricValue(
            value=value - best, standard_error=error, degrees_of_freedom=19
        )
    return EvalResult(metrics, example_count=2000, differences=differences, **kwargs)


@dataclasses.dataclass
class World:
    """A base directory, and the models of several runs.

    Attributes:
        path: A directory for everything.
        calls: Models that each call of the evaluation got: export, candidate, challengers.
        policy: Arguments of compare_policy.
        rule: Arguments of larger.
        base: Location of the base directory; None for a disk.
        settings: Further arguments of ModelExporter.
        now: Time of the last run.
        others: Further metrics of a model, by its name.
        broken: Names of challengers that cannot be evaluated.
    """

    path: Path
    calls: list[tuple[str, ...]] = dataclasses.field(default_factory=list)
    policy: dict[str, Any] = dataclasses.field(default_factory=dict)
    rule: dict[str, Any] = dataclasses.field(default_factory=dict)
    base: Location | None = None
    span: int | None = None
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    now: float = START
    others: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)
    broken: set[str] = dataclasses.field(default_factory=set)

    @property
    def exports(self) -> ExportDirectory:
        return ExportDirectory(self.base or location_of(self.path / "base"))

    @property
    def state(self) -> Challengers:
        return self.exports.challengers

    @property
    def kept(self) -> list[str]:
        """Names of the complete challengers, in order."""
        return sorted(map(self.name_of, self.state.all()))

    @property
    def ledger(self) -> pb.ChallengerLedger:
        rule = pb.MetricRule(metric=KEY.to_proto(), direction=pb.HIGHER_IS_BETTER)
        return self.state.ledger("config", rule)[0]

    def name_of(self, challenger: pb.Challenger) -> str:
        directory = self.state.location_of(challenger.record.model.digest)
        return (directory / DATA).read(100).decode()

    def model(self, name: str) -> Path:
        """Returns the directory of a model, whose name has four letters."""
        path = self.path / "models" / name
        if not path.exists():
            write_files(path, {**FILES, DATA: name.encode()})
        return path

    def served(self) -> str:
        served = self.exports.served()
        assert served.export is not None
        return (served.export.location / DATA).read(100).decode()

    def exporter(self) -> ModelExporter:
        arguments: dict[str, Any] = {"alpha": 0.05, "challengers": 2, **self.rule}
        rule = larger("auc", **arguments)
        settings: dict[str, Any] = {"clock": lambda: self.now, **self.settings}
        return ModelExporter(
            self.base or self.path / "base",
            compare_policy=compare_policy(rule, **self.policy),
            **settings,
        )

    def run(
        self,
        candidate: str,
        values: Mapping[str, float],
        *,
        data: str = "",
        error: float | None = 0.004,
        reevaluates: bool = True,
        inspect: Callable[[], None] = lambda: None,
        **kwargs: Any,
    ) -> pb.ExportDecision:
        """Runs with a candidate, a day after the run before.

        Args:
            candidate: Name of the candidate.
            values: Value of each model in this run, by name.
            data: Identity of the examples; by default, those of the candidate's run.
            error: Standard error of each difference.
            reevaluates: False for a run without `examples`.
            inspect: Called when models are evaluated.
            kwargs: Further arguments of ModelExporter.run.
        """
        self.now += DAY
        known = EvaluatedData(
            examples_uri=f"/examples/{candidate}",
            splits=("eval",),
            eval_config_digest="config",
            span=self.span,
        )

        def value_of(location: Location) -> tuple[str, float, dict[str, float]]:
            name = (location / DATA).read(100).decode()
            return name, values[name], self.others.get(name, {})

        def reevaluate(
            export: Location,
            candidate: Location | None,
            challengers: Mapping[str, Location] = types.MappingProxyType({}),
        ) -> Reevaluated:
            inspect()
            assert candidate is not None
            name, best, others = value_of(export)
            own_name, own, own_others = value_of(candidate)
            names, found = [name, own_name], {}
            for digest, location in challengers.items():
                name, value, other = value_of(location)
                names.append(name)
                if name in self.broken:
                    continue
                found[digest] = evaluated(value, best=best, error=error, others=other, data=known)
            self.calls.append((*names[:2], *sorted(names[2:])))
            return Reevaluated(
                best=evaluated(best, error=error, others=others, data=known),
                together=evaluated(own, best=best, error=error, others=own_others, data=known),
                challengers=found,
            )

        return (
            self.exporter()
            .run(
                self.model(candidate),
                evaluated(
                    values[candidate],
                    error=error,
                    others=self.others.get(candidate, {}),
                    data=known,
                ),
                reevaluate=reevaluate if reevaluates else None,
                data_identity=data,
                provenance=pb.Provenance(pipeline_name="penguin", run_id=f"run-{candidate}"),
                **kwargs,
            )
            .message
        )
