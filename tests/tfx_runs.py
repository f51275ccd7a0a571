"""Pipeline runs with real artifacts, and ML Metadata as TFX's launcher writes it."""

import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow_model_analysis as tfma
from google.protobuf import json_format
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tensorflow_model_analysis.proto import config_pb2, metrics_for_slice_pb2
from tfx import types
from tfx.orchestration import metadata
from tfx.orchestration.portable import data_types, execution_publish_utils
from tfx.orchestration.portable.mlmd import context_lib
from tfx.proto.orchestration import pipeline_pb2
from tfx.types import standard_artifacts

from tfx_best_exporter.component import ExportDecision
from tfx_best_exporter.component.driver import Driver
from tfx_best_exporter.executor.executor import Executor
from tfx_best_exporter.proto import best_exporter_pb2 as pb

NODE_ID = "BestExporter"

Artifacts = Mapping[str, Sequence[types.Artifact]]


def write_evaluation(path: Path, metrics: Mapping[str, float]) -> Path:
    """Writes a TFMA evaluation of the overall slice to the files that Evaluator writes."""
    path.mkdir(parents=True)
    eval_config = config_pb2.EvalConfig(model_specs=[{}])
    eval_run = config_pb2.EvalRun(version=tfma.version.VERSION, eval_config=eval_config)
    (path / "eval_config.json").write_text(json_format.MessageToJson(eval_run))
    overall = metrics_for_slice_pb2.MetricsForSlice(slice_key={})
    for name, value in metrics.items():
        item = overall.metric_keys_and_values.add()
        item.key.name = name
        item.value.double_value.value = value
    with tf.io.TFRecordWriter(str(path / "metrics-00000-of-00001.tfrecord")) as writer:
        writer.write(overall.SerializeToString())
    return path


def exec_properties(base_directory: Path, **others: Any) -> dict[str, Any]:
    """Returns the exec properties that BestExporter stores. The default keeps every export."""
    destination = {"filesystem": {"base_directory": str(base_directory)}}
    return {"push_destination": json.dumps(destination), **others}


def keep_latest(number: int) -> dict[str, Any]:
    return {"retention_policy": json.dumps({"keep_latest": number})}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    model: types.Artifact
    evaluation: types.Artifact
    blessing: types.Artifact

    @property
    def inputs(self) -> dict[str, list[types.Artifact]]:
        return {
            "model": [self.model],
            "evaluation": [self.evaluation],
            "model_blessing": [self.blessing],
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exported:
    decision: pb.ExportDecision
    pushed_model: types.Artifact
    blessing: types.Artifact
    driver_properties: Mapping[str, str]


class PipelineRuns:
    """Runs of one pipeline, with its root and its base directory. `store` stays open."""

    def __init__(
        self,
        connection_config: mlmd.ConnectionConfig,
        root: Path,
        write_model: Callable[..., Path],
        *,
        name: str = "penguin",
        base_directory: Path | None = None,
    ):
        self.connection_config = connection_config
        self.name = name
        self.root = root / name
        self.base_directory = base_directory or root / "serving"
        self._handle = metadata.Metadata(connection_config).__enter__()
        self._write_model = write_model

    @property
    def store(self) -> MetadataStore:
        return self._handle.store

    @property
    def pushed_models_uri(self) -> str:
        return str(self.root / NODE_ID / "pushed_model")

    def execute(
        self,
        node_id: str,
        output_types: Mapping[str, type[types.Artifact]],
        run: Callable[[dict[str, list[types.Artifact]]], object],
        inputs: Artifacts | None = None,
        *,
        is_published: bool = True,
    ) -> dict[str, types.Artifact]:
        """Runs a function as a node's executor, and publishes its inputs and outputs."""
        contexts = context_lib.prepare_contexts(self._handle, self._contexts(node_id))
        execution = execution_publish_utils.register_execution(
            self._handle,
            mlmd.ExecutionType(name=node_id),
            contexts,
            input_artifacts=inputs or {},
        )
        outputs: dict[str, list[types.Artifact]] = {}
        for key, artifact_type in output_types.items():
            artifact = artifact_type()
            path = self.root / node_id / key / str(execution.id)
            path.mkdir(parents=True)
            artifact.uri = str(path)
            outputs[key] = [artifact]
        run(outputs)
        if not is_published:
            return {key: artifact for key, [artifact] in outputs.items()}
        execution_publish_utils.publish_succeeded_execution(
            self._handle, execution.id, contexts, outputs
        )
        for [artifact] in outputs.values():
            # The stored artifact has an ID, so the input of the next node is the same artifact.
            [stored] = self.store.get_artifacts_by_uri(artifact.uri)
            artifact.set_mlmd_artifact(stored)
        return {key: artifact for key, [artifact] in outputs.items()}

    def train(self, scale: float) -> types.Artifact:
        def run(outputs: Artifacts) -> None:
            self._write_model(Path(outputs["model"][0].uri) / "Format-Serving", scale)

        return self.execute("Trainer", {"model": standard_artifacts.Model}, run)["model"]

    def evaluate(
        self, model: types.Artifact, loss: float, input_key: str = "model"
    ) -> dict[str, types.Artifact]:
        def run(outputs: Artifacts) -> None:
            path = Path(outputs["evaluation"][0].uri)
            path.rmdir()
            write_evaluation(path, {"loss": loss})
            outputs["blessing"][0].set_int_custom_property("blessed", 1)

        return self.execute(
            "Evaluator",
            {
                "evaluation": standard_artifacts.ModelEvaluation,
                "blessing": standard_artifacts.ModelBlessing,
            },
            run,
            {input_key: [model]},
        )

    def candidate(self, scale: float, loss: float) -> Candidate:
        model = self.train(scale)
        return Candidate(model=model, **self.evaluate(model, loss))

    def push(
        self, candidate: Candidate, version: int, *, pushed: int = 1, node_id: str = "Pusher"
    ) -> types.Artifact:
        """Pushes a model as Pusher does, with a version that the caller chooses."""
        destination = self.base_directory / str(version)

        def run(outputs: Artifacts) -> None:
            pushed_model = outputs["pushed_model"][0]
            source = Path(candidate.model.uri) / "Format-Serving"
            if not destination.exists():
                shutil.copytree(source, destination)
            shutil.copytree(source, pushed_model.uri, dirs_exist_ok=True)
            pushed_model.set_int_custom_property("pushed", pushed)
            pushed_model.set_string_custom_property("pushed_destination", str(destination))
            pushed_model.set_string_custom_property("pushed_version", str(version))

        return self.execute(
            node_id,
            {"pushed_model": standard_artifacts.PushedModel},
            run,
            {"model": [candidate.model], "model_blessing": [candidate.blessing]},
        )["pushed_model"]

    def export(
        self, candidate: Candidate, *, is_published: bool = True, **properties: Any
    ) -> Exported:
        """Runs BestExporter's driver and executor.

        If the execution is not published, the state is that of a launcher that was killed after the
        executor.
        """
        driver_properties: dict[str, str] = {}

        def run(outputs: dict[str, list[types.Artifact]]) -> None:
            driver_properties.update(self.drive(**properties))
            Executor().Do(
                candidate.inputs,
                outputs,
                {**exec_properties(self.base_directory, **properties), **driver_properties},
            )

        outputs = self.execute(
            NODE_ID,
            {
                "pushed_model": standard_artifacts.PushedModel,
                "decision": ExportDecision,
                "blessing": standard_artifacts.ModelBlessing,
            },
            run,
            candidate.inputs,
            is_published=is_published,
        )
        return Exported(
            decision=read_decision(outputs["decision"]),
            pushed_model=outputs["pushed_model"],
            blessing=outputs["blessing"],
            driver_properties=driver_properties,
        )

    def drive(self, **properties: Any) -> dict[str, str]:
        """Runs the driver as the launcher does, and returns the exec properties that it adds."""
        pushed_model = standard_artifacts.PushedModel()
        pushed_model.uri = f"{self.pushed_models_uri}/999999"
        driver = Driver(metadata_handle=metadata.Metadata(self.connection_config))
        output = driver.run(
            data_types.ExecutionInfo(
                output_dict={"pushed_model": [pushed_model]},
                exec_properties=exec_properties(self.base_directory, **properties),
                pipeline_info=pipeline_pb2.PipelineInfo(id=self.name),
                pipeline_run_id="now",
            )
        )
        return {name: value.string_value for name, value in output.exec_properties.items()}

    def stored(self, artifact: types.Artifact) -> mlmd.Artifact:
        """Returns the current state of an artifact in ML Metadata."""
        [result] = self.store.get_artifacts_by_id([artifact.id])
        return result

    def _contexts(self, node_id: str) -> pipeline_pb2.NodeContexts:
        names = {
            "pipeline": self.name,
            "pipeline_run": f"{self.name}.now",
            "node": f"{self.name}.{node_id}",
        }
        contexts = pipeline_pb2.NodeContexts()
        for kind, name in names.items():
            context = contexts.contexts.add()
            context.type.name = kind
            context.name.field_value.string_value = name
        return contexts


def read_decision(artifact: types.Artifact) -> pb.ExportDecision:
    text = (Path(artifact.uri) / "decision.json").read_text()
    return json_format.Parse(text, pb.ExportDecision())
