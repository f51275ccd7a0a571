"""Reads the decision of a pipeline's last run out of ML Metadata."""

import dataclasses
import pathlib

import ml_metadata as mlmd
from google.protobuf import json_format
from tfx import v1 as tfx

from tfx_best_exporter.component import ExportDecision
from tfx_best_exporter.proto import best_exporter_pb2

_RUN_CONTEXT_TYPE = "pipeline_run"


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoredDecision:
    """A decision and the artifact that holds it.

    Attributes:
        decision: What was decided, and why.
        artifact_path: The local folder of the ExportDecision artifact.
    """

    decision: best_exporter_pb2.ExportDecision
    artifact_path: pathlib.Path

    @property
    def decision_path(self) -> pathlib.Path:
        """The file that `decision` was read from."""
        return self.artifact_path / "decision.json"

    @property
    def report_path(self) -> pathlib.Path:
        """The same for people."""
        return self.artifact_path / "report.html"

    @property
    def served_version(self) -> int:
        """The version that was served when the run had ended; 0 if none was."""
        return self.decision.version or self.decision.best.version


def read_last_decision(metadata_path: str) -> StoredDecision:
    """Returns the decision of the newest pipeline run in `metadata_path`.

    Args:
        metadata_path: The SQLite file of ML Metadata, with the runs of one pipeline.

    Raises:
        LookupError: If there is no run, or the newest one has no decision.
    """
    store = mlmd.MetadataStore(
        tfx.orchestration.metadata.sqlite_metadata_connection_config(metadata_path)
    )
    runs = store.get_contexts_by_type(_RUN_CONTEXT_TYPE)
    if not runs:
        raise LookupError(f"metadata_path must hold a pipeline run (got none, at {metadata_path}).")
    newest = max(runs, key=lambda run: run.id)
    artifacts = [
        artifact
        for artifact in store.get_artifacts_by_context(newest.id)
        if artifact.type == ExportDecision.TYPE_NAME and artifact.state == mlmd.proto.Artifact.LIVE
    ]
    if not artifacts:
        raise LookupError(
            f"The newest run must have an {ExportDecision.TYPE_NAME} artifact "
            f"(got none in run {newest.name!r}, at {metadata_path})."
        )
    path = pathlib.Path(max(artifacts, key=lambda artifact: artifact.id).uri)
    stored = StoredDecision(decision=best_exporter_pb2.ExportDecision(), artifact_path=path)
    json_format.Parse(stored.decision_path.read_text(encoding="utf-8"), stored.decision)
    return stored
