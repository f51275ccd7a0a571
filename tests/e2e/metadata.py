"""Reads the runs of a pipeline from ML Metadata, oldest first."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.orchestration import metadata


@dataclasses.dataclass(frozen=True, kw_only=True)
class NodeRun:
    """One execution and its outputs."""

    execution: mlmd.Execution
    outputs: Mapping[str, list[mlmd.Artifact]]

    @property
    def state(self) -> str:
        return mlmd.Execution.State.Name(self.execution.last_known_state)

    def properties(self, output: str) -> dict[str, Any]:
        """Returns the custom properties of an output's only artifact, without those of TFX."""
        [artifact] = self.outputs[output]
        return {
            name: getattr(value, value.WhichOneof("value"))
            for name, value in artifact.custom_properties.items()
            if name not in ("is_external", "tfx_version", "state", "name", "producer_component")
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a pipeline, with its ID and its nodes by the last part of their types."""

    run_id: str
    nodes: Mapping[str, NodeRun]

    @property
    def states(self) -> dict[str, str]:
        return {name: node.state for name, node in self.nodes.items()}


def connect(metadata_path: Path) -> MetadataStore:
    return MetadataStore(metadata.sqlite_metadata_connection_config(str(metadata_path)))


def read_runs(store: MetadataStore) -> list[Run]:
    runs = []
    for context in sorted(store.get_contexts_by_type("pipeline_run"), key=lambda item: item.id):
        executions = store.get_executions_by_context(context.id)
        runs.append(
            Run(
                run_id=context.name,
                nodes={
                    execution.type.rpartition(".")[2]: NodeRun(
                        execution=execution, outputs=_outputs_of(store, execution.id)
                    )
                    for execution in executions
                },
            )
        )
    return runs


def _outputs_of(store: MetadataStore, execution_id: int) -> dict[str, list[mlmd.Artifact]]:
    outputs: dict[str, list[mlmd.Artifact]] = {}
    for event in store.get_events_by_execution_ids([execution_id]):
        if event.type == mlmd.Event.OUTPUT:
            artifacts = store.get_artifacts_by_id([event.artifact_id])
            outputs.setdefault(event.path.steps[0].key, []).extend(artifacts)
    return outputs
