"""Fixtures for compiled steps, and for artifacts on a disk and in two object stores."""

from __future__ import annotations

import dataclasses
import itertools
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from tfx import types
from tfx import v1 as tfx
from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner
from tfx.types import standard_artifacts

from pipelines import compiled
from tests.conftest import WriteModel
from tests.containers import launcher
from tests.containers.launcher import Artifact, Flavor, Step
from tests.containers.processes import Containers, Ended
from tests.servers import environment_of, gs_server, s3_server
from tests.tfx_runs import write_evaluation
from tfx_best_exporter.component import BestExporter
from tfx_best_exporter.executor.storage.local import LocalStorage
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.transfer import copy_files
from tfx_best_exporter.proto import best_exporter_pb2 as pb

BUCKET = "containers"

ARTIFACT_TYPES: Mapping[str, type[types.Artifact]] = {
    "model": standard_artifacts.Model,
    "evaluation": standard_artifacts.ModelEvaluation,
    "model_blessing": standard_artifacts.ModelBlessing,
    "infra_blessing": standard_artifacts.InfraBlessing,
    "model_run": standard_artifacts.ModelRun,
    "examples": standard_artifacts.Examples,
}


def compile_step(
    root: Path, inputs: Iterable[str], *, use_pipeline_spec_2_1: bool = True, **arguments: Any
) -> Step:
    """Returns BestExporter of a compiled pipeline in which importers produce its inputs."""
    importers = {
        name: tfx.dsl.Importer(source_uri="/", artifact_type=ARTIFACT_TYPES[name]).with_id(name)
        for name in inputs
    }
    channels: dict[str, Any] = {name: each.outputs["result"] for name, each in importers.items()}
    exporter = BestExporter(**channels, **arguments)
    pipeline = tfx.dsl.Pipeline(
        pipeline_name="penguin",
        pipeline_root=str(root),
        components=[*importers.values(), exporter],
    )
    return Step.of(compile_pipeline(pipeline, use_pipeline_spec_2_1), exporter.id)


def as_other(step: Step, executor: type, *beam_pipeline_args: str) -> Step:
    """Returns a step with another executor and other arguments of Beam."""
    words = list(step.container["args"])
    words[words.index("--executor_class_path") + 1] = f"{executor.__module__}.{executor.__name__}"
    return dataclasses.replace(
        step, container={**step.container, "args": [*words, *beam_pipeline_args]}
    )


def compile_pipeline(pipeline: Any, use_pipeline_spec_2_1: bool = True) -> dict[str, Any]:
    # Version 2.1 of the spec runs this package's entry point, version 2.0 runs TFX's.
    config = kubeflow_v2_dag_runner.KubeflowV2DagRunnerConfig(
        default_image="tfx-best-exporter",
        default_commands=compiled.ENTRY_POINT if use_pipeline_spec_2_1 else None,
        use_pipeline_spec_2_1=use_pipeline_spec_2_1,
    )
    runner = kubeflow_v2_dag_runner.KubeflowV2DagRunner(config)
    return runner.run(pipeline, write_out=False)


@dataclasses.dataclass(frozen=True)
class Place:
    """A storage for artifacts and base directories.

    Attributes:
        storage: Client of the storage in this process.
        root: An empty directory in the storage.
        environment: Environment variables with which a container reaches the storage.
        flavor: Platform that runs the containers.
    """

    storage: Any
    root: str
    environment: Mapping[str, str]
    flavor: Flavor

    def __truediv__(self, name: str) -> Location:
        return Location(self.storage, f"{self.root}/{name}")

    def put(self, path: Path, name: str) -> str:
        """Copies a local directory to the storage, and returns its URI."""
        source, destination = Location(LocalStorage(), str(path)), self / name
        copy_files([(source / each, destination / each) for each in source.sizes()])
        return destination.uri


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """Result of a container. Without an output file, `outputs` is None."""

    ended: Ended
    outputs: Mapping[str, Any] | None
    decision: pb.ExportDecision | None
    pushed_model: Location

    @property
    def reason(self) -> str:
        assert self.decision, self.ended.log
        return pb.ExportDecision.Reason.Name(self.decision.reason)

    def properties(self, output: str) -> dict[str, Any]:
        """Returns the custom properties of an output, except TFX's own."""
        assert self.outputs, self.ended.log
        properties = dict(self.outputs[output]["metadata"])
        assert properties.pop("tfx_version")
        return properties


class Runs:
    """Runs of steps at a place, with the base directory `base_uri`."""

    def __init__(
        self, place: Place, containers: Containers, write_model: WriteModel, tmp_path: Path
    ):
        self.place = place
        self.root = tmp_path / "compiled"
        self.base_uri = (place / "serving").uri
        self._containers = containers
        self._write_model = write_model
        self._tmp_path = tmp_path
        self._numbers = itertools.count(1)

    def model(self, scale: float = 1.0) -> Artifact:
        return Artifact(uri=self._put_model("Format-Serving", scale))

    def infra_blessing(self, scale: float, **properties: float) -> Artifact:
        """Returns a blessing with a warmed-up model in InfraValidator's directory."""
        return Artifact(uri=self._put_model("stamped_model", scale), properties=properties)

    def _put_model(self, folder: str, scale: float) -> str:
        name = f"model/{next(self._numbers)}"
        self._write_model(self._tmp_path / name / folder, scale)
        return self.place.put(self._tmp_path / name, name)

    def evaluation(self, **metrics: float) -> Artifact:
        name = f"evaluation/{next(self._numbers)}"
        write_evaluation(self._tmp_path / name, metrics)
        return Artifact(uri=self.place.put(self._tmp_path / name, name))

    def model_run(self, **metrics: float) -> Artifact:
        import tensorflow as tf

        name = f"model_run/{next(self._numbers)}"
        writer = tf.summary.create_file_writer(str(self._tmp_path / name / "eval"))
        with writer.as_default():
            for tag, value in metrics.items():
                tf.summary.write(
                    tag, tf.constant(value), step=7, metadata=tf.compat.v1.SummaryMetadata()
                )
        writer.close()
        return Artifact(uri=self.place.put(self._tmp_path / name, name))

    def blessing(self, **properties: float) -> Artifact:
        return Artifact(
            uri=(self.place / f"blessing/{next(self._numbers)}").uri, properties=properties
        )

    def candidate(self, scale: float = 1.0, **metrics: float) -> dict[str, Artifact]:
        """Returns a blessed candidate: the inputs of most pipelines."""
        return {
            "model": self.model(scale),
            "evaluation": self.evaluation(**metrics),
            "model_blessing": self.blessing(blessed=1.0),
        }

    def compile(self, inputs: Iterable[str], **arguments: Any) -> Step:
        """Returns BestExporter with these inputs and arguments."""
        arguments.setdefault("push_destination", self.destination)
        return compile_step(self.root, inputs, **arguments)

    @property
    def destination(self) -> dict[str, Any]:
        return {"filesystem": {"base_directory": self.base_uri}}

    def command(
        self,
        step: Step,
        inputs: Mapping[str, Artifact],
        parameters: Mapping[str, str] | None = None,
    ) -> tuple[list[str], Path, Location]:
        """Returns a container's command, its output file, and the directory of its outputs."""
        outputs = self.place / f"penguin/{uuid.uuid4().hex}/BestExporter"
        output_path = self._tmp_path / f"output_{next(self._numbers)}" / "output_metadata.json"
        executor_input = step.executor_input(
            inputs,
            flavor=self.place.flavor,
            outputs_uri=outputs.uri,
            output_file=str(output_path),
            parameters=parameters,
        )
        return step.command(executor_input), output_path, outputs

    def run(
        self,
        step: Step,
        inputs: Mapping[str, Artifact],
        parameters: Mapping[str, str] | None = None,
    ) -> Run:
        """Runs a container to its end."""
        command, output_path, outputs = self.command(step, inputs, parameters)
        ended = self._containers.run(command, self.place.environment)
        return self.read(ended, output_path, outputs)

    def read(self, ended: Ended, output_path: Path, outputs: Location) -> Run:
        decision = None
        if output_path.exists():
            text = (outputs / "decision" / "decision.json").read(1 << 20).decode()
            decision = json_format.Parse(text, pb.ExportDecision())
        return Run(
            ended=ended,
            outputs=(
                launcher.read_executor_output(output_path.read_text())
                if output_path.exists()
                else None
            ),
            decision=decision,
            pushed_model=outputs / "pushed_model",
        )

    def versions(self) -> list[str]:
        entries = (self.place / "serving").children()
        return sorted(entry.name for entry in entries if entry.name.isdecimal())


@pytest.fixture(scope="session")
def gs_url() -> Iterator[str]:
    with gs_server(BUCKET) as url:
        yield url


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    with s3_server(BUCKET) as url:
        yield url


@pytest.fixture
def make_runs(
    request: pytest.FixtureRequest,
    containers: Containers,
    write_model: WriteModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[..., Runs]]:
    """Returns a function that creates runs on a kind of storage: "local", "gs" or "s3"."""
    opened = []

    def make(kind: str, flavor: Flavor) -> Runs:
        environment = {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        for name, value in environment.items():
            # TFX's compiler runs pip to build wheels.
            monkeypatch.setenv(name, value)
        if kind == "local":
            place = Place(LocalStorage(), str(tmp_path / "place"), environment, flavor)
        else:
            environment |= environment_of(kind, request.getfixturevalue(f"{kind}_url"))
            for name, value in environment.items():
                monkeypatch.setenv(name, value)
            if kind == "gs":
                from tfx_best_exporter.executor.storage.gs import GsStorage as Storage
            else:
                from tfx_best_exporter.executor.storage.s3 import S3Storage as Storage
            storage: Any = Storage()
            opened.append(storage)
            place = Place(storage, f"{BUCKET}/{uuid.uuid4().hex}", environment, flavor)
        return Runs(place, containers, write_model, tmp_path)

    yield make
    for storage in opened:
        storage.close()


@pytest.fixture
def runs(make_runs: Callable[..., Runs]) -> Runs:
    """Returns runs of Kubeflow Pipelines on a local disk."""
    return make_runs("local", launcher.NEWEST_KUBEFLOW)
