"""Reads the decision of a pipeline's newest run from ML Metadata."""

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
        decision: Decision of the run, with its explanation.
        artifact_path: Local directory of the ExportDecision artifact.
    """

    decision: best_exporter_pb2.ExportDecision
    artifact_path: pathlib.Path

    @property
    def decision_path(self) -> pathlib.Path:
        """Path of the file that holds `decision`."""
        return self.artifact_path / "decision.json"

    @property
    def report_path(self) -> pathlib.Path:
        """Path of the report, which shows the decision in a web page."""
        return self.artifact_path / "report.html"

    @property
    def served_version(self) -> int:
        """Version that is served after the run; 0 if none is."""
        return self.decision.version or self.decision.best.version


def read_last_decision(metadata_path: str) -> StoredDecision:
    """Returns the decision of the newest pipeline run in `metadata_path`.

    Args:
        metadata_path: SQLite file of ML Metadata with the runs of one pipeline.

    Raises:
        LookupError: There is no run, or the newest run has no decision.
    """
    store = mlmd.MetadataStore(
        tfx.orchestration.metadata.sqlite_metadata_connection_config(metadata_path)
    )
    runs = store.get_contexts_by_type(_RUN_CONTEXT_TYPE)
    if not runs:
        raise LookupError(f"metadata_path must hold a pipeline run (got {metadata_path!r}).")
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
