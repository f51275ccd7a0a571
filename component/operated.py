"""Records in ML Metadata what operators did to a base directory since the last run.

Operators need no metadata store, so the driver of the next run brings their operations there:

    version      state of its PushedModels
    withdrawn    MARKED_FOR_DELETION, so that no resolver finds them
    restored     LIVE again, also one that was registered
    purged       DELETED, and the node's own copies of the files are deleted
    promoted,    a PushedModel is registered whose URI is that of the version, because no execution
    approved     made one; it is DELETED once the version is gone
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from ml_metadata import errors
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from tfx_best_exporter.component.newest import PUSHED_MODEL
from tfx_best_exporter.executor import keys
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.versions import Served
from tfx_best_exporter.proto import best_exporter_pb2 as pb

_PIPELINE_CONTEXT = "pipeline"
# Number of consecutive withdrawals without pending work after which the search stops, newest first.
_SETTLED_LIMIT = 50

_LIVE_STATES = (mlmd.Artifact.LIVE, mlmd.Artifact.UNKNOWN)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """The node of this run in ML Metadata.

    Attributes:
        store: ML Metadata.
        pipeline_name: Name of the pipeline context.
        owns: Returns True if an artifact belongs to the pipeline.
        is_copy: Returns True if an artifact lies in the node's directory of PushedModels.
        delete: Deletes the files of an artifact, and marks it DELETED.
        at: Returns the PushedModel with a URI, or None.
    """

    store: MetadataStore
    pipeline_name: str
    owns: Callable[[mlmd.Artifact], bool]
    is_copy: Callable[[mlmd.Artifact], bool]
    delete: Callable[[mlmd.Artifact], None]
    at: Callable[[str], mlmd.Artifact | None]

    def set_state(self, artifact: mlmd.Artifact, state: int) -> None:
        """Changes the state of an artifact, and nothing else."""
        artifact.state = state
        self.store.put_artifacts([artifact], field_mask_paths=["state"])


def follow(
    node: Node,
    exports: ExportDirectory,
    served: Served,
    pushed: Mapping[str, Sequence[mlmd.Artifact]],
) -> frozenset[int]:
    """Changes the states of PushedModels, and registers what a person has exported.

    Args:
        node: The node of this run.
        exports: The base directory.
        served: The base directory as it was read.
        pushed: The newest PushedModels of the store, by the URI of the version that they were
            pushed as.

    Returns:
        The withdrawn versions.

    Raises:
        OSError: The storage does not answer.
        ml_metadata.errors.StatusError: ML Metadata cannot be queried.
    """
    withdrawn = exports.operators.names().withdrawn
    settled = 0
    for version in sorted(withdrawn, reverse=True):
        if settled == _SETTLED_LIMIT:
            break
        uri = (exports.base / str(version)).uri
        changed = _follow_withdrawal(
            node, exports.operators.withdrawal(version), pushed.get(uri, ())
        )
        settled = 0 if changed else settled + 1
    present = {export.location.uri for export in served.listing.exports}
    # A withdrawn version that a person has copied back stays as it is.
    followed = {(exports.base / str(version)).uri for version in withdrawn}
    for uri, artifacts in pushed.items():
        if uri in followed:
            continue
        for artifact in artifacts:
            if uri in present and _is_back(artifact, uri):
                if node.owns(artifact):
                    node.set_state(artifact, mlmd.Artifact.LIVE)
            elif uri not in present and _is_registered(artifact, uri):
                node.set_state(artifact, mlmd.Artifact.DELETED)
    _register(node, served, pushed)
    return withdrawn


def _follow_withdrawal(
    node: Node, withdrawal: pb.Withdrawal, pushed: Sequence[mlmd.Artifact]
) -> bool:
    """Changes the PushedModels of a withdrawn version; returns True if there were any to change."""
    artifacts = {artifact.id: artifact for artifact in pushed}
    named = node.at(withdrawal.record.pushed_model_uri)
    # A record may name the PushedModel of another version, whose files must stay.
    if named is not None and _version_of(named) == str(withdrawal.version):
        artifacts.setdefault(named.id, named)
    is_purged = withdrawal.state == pb.Withdrawal.PURGED
    changed = False
    for artifact in artifacts.values():
        is_pending = (
            artifact.state != mlmd.Artifact.DELETED if is_purged else artifact.state in _LIVE_STATES
        )
        if not is_pending or not node.owns(artifact):
            continue
        changed = True
        if not is_purged:
            node.set_state(artifact, mlmd.Artifact.MARKED_FOR_DELETION)
        elif node.is_copy(artifact):
            node.delete(artifact)
        else:
            node.set_state(artifact, mlmd.Artifact.DELETED)
    return changed


def _is_back(artifact: mlmd.Artifact, uri: str) -> bool:
    """Returns True if an artifact of a version that is in service does not count as alive.

    The files of an artifact that `_register` made are those of the version.
    """
    if artifact.state == mlmd.Artifact.MARKED_FOR_DELETION:
        return True
    return artifact.uri == uri and artifact.state == mlmd.Artifact.DELETED


def _is_registered(artifact: mlmd.Artifact, uri: str) -> bool:
    """Returns True if `_register` made an artifact, whose state was not settled yet."""
    return artifact.uri == uri and artifact.state != mlmd.Artifact.DELETED


def _register(node: Node, served: Served, pushed: Mapping[str, Sequence[mlmd.Artifact]]) -> None:
    """Registers the served version as a PushedModel if a person has exported it."""
    export, record = served.export, served.record
    if export is None or record is None or export.path in pushed:
        return
    is_by_person = record.HasField("promotion") or record.HasField("approval")
    if not is_by_person or node.at(export.path) is not None:
        return
    context = node.store.get_context_by_type_and_name(_PIPELINE_CONTEXT, node.pipeline_name)
    try:
        type_id = node.store.get_artifact_type(PUSHED_MODEL).id
    except errors.NotFoundError:
        # The first run of a pipeline registers its types at its end.
        return
    if context is None:
        return
    artifact = mlmd.Artifact(type_id=type_id, uri=export.path, state=mlmd.Artifact.LIVE)
    properties = artifact.custom_properties
    properties[keys.PUSHED_PROPERTY].int_value = 1
    properties[keys.PUSHED_DESTINATION_PROPERTY].string_value = export.path
    properties[keys.PUSHED_VERSION_PROPERTY].string_value = str(export.version)
    [artifact_id] = node.store.put_artifacts([artifact])
    node.store.put_attributions_and_associations(
        [mlmd.Attribution(artifact_id=artifact_id, context_id=context.id)], []
    )


def _version_of(artifact: mlmd.Artifact) -> str:
    properties = artifact.custom_properties
    # Reading a missing key of a proto map would add the key.
    if keys.PUSHED_VERSION_PROPERTY not in properties:
        return ""
    return properties[keys.PUSHED_VERSION_PROPERTY].string_value
