"""All queries and state changes in ML Metadata.

The base directory determines the best, and ML Metadata its lineage. The queries are lookups by URI,
name and id, whose cost does not grow with the history. The URI of the best's PushedModel is in its
record. Only if the record does not lead to a PushedModel, the store is searched, for a few seconds.

MLMD has no index from an artifact to its contexts: on SQLite, that query reads every attribution of
the store, which takes 0.1 seconds with 500,000 artifacts. It is made only for an artifact that
would be deleted, cause a warning, or was found by a search.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.types import standard_component_specs as tfx_keys

from tfx_best_exporter.component import operated
from tfx_best_exporter.component.newest import PUSHED_MODEL, SCAN_SECONDS, NewestPushedModels
from tfx_best_exporter.executor import keys
from tfx_best_exporter.executor.arguments import destination
from tfx_best_exporter.executor.arguments.errors import FieldValueError
from tfx_best_exporter.executor.deciding import timing
from tfx_best_exporter.executor.deciding.policy import policy_message_of
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.records import RecordError
from tfx_best_exporter.executor.exports.versions import Export, Served
from tfx_best_exporter.executor.redaction import shown
from tfx_best_exporter.executor.running.exec_properties import PriorExport
from tfx_best_exporter.executor.running.observe import latest_record
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# Type names that TFX registers in ML Metadata.
_PIPELINE_CONTEXT = "pipeline"
_MODEL = "Model"
_MODEL_EVALUATION = "ModelEvaluation"
_MODEL_BLESSING = "ModelBlessing"

# Number of consecutive tombstones without pending work after which the search stops, newest first.
_SETTLED_LIMIT = 50

_LIVE_STATES = (mlmd.Artifact.LIVE, mlmd.Artifact.UNKNOWN)

_logger = logging.getLogger(__name__)


def look_up(
    store: MetadataStore,
    exec_properties: Mapping[str, Any],
    *,
    pipeline_name: str,
    pushed_models_uri: str,
    clock: Callable[[], float] = time.monotonic,
    now: Callable[[], float] = time.time,
) -> dict[str, str]:
    """Returns the exec properties that the driver adds, and deletes copies of retired exports.

    Args:
        store: ML Metadata.
        exec_properties: Exec properties of this run.
        pipeline_name: Name of the pipeline context.
        pushed_models_uri: URI of the directory that contains this node's PushedModels, and nothing
            else.
        clock: Returns seconds, for the time limit of a search.
        now: Returns seconds since the epoch, for the end of a hold and the limits of a policy.

    Raises:
        RecordError: The best's record cannot be read.
        OSError: The base directory cannot be read.
        ml_metadata.errors.StatusError: ML Metadata cannot be queried.
    """
    base_directory = destination.base_directory_of(exec_properties[tfx_keys.PUSH_DESTINATION_KEY])
    state_directory = exec_properties.get(keys.STATE_DIRECTORY_KEY)
    exports = ExportDirectory(
        location_of(base_directory), location_of(state_directory) if state_directory else None
    )
    policy = _policy_of(exec_properties)
    # The lock keeps other runs from publishing or retiring between two reads: the listing of the
    # base directory, and the record of the best.
    with exports.lock():
        served = exports.served()
        said = exports.operators.fingerprint(now())
        # The evidence of other runs may change a decision on the same inputs.
        has_challengers = policy is not None and policy.metric.significance.challengers > 0
        challengers = exports.challengers.fingerprint() if has_challengers else ""
    newest = NewestPushedModels(store, clock)
    pushed_models = newest.first_page()
    problems = _unreachable(pushed_models, pushed_models_uri)
    retired = _settle_retired(
        store, exports, pushed_models, pipeline_name, pushed_models_uri, problems
    )
    node = _Node(store=store, pipeline_name=pipeline_name, pushed_models_uri=pushed_models_uri)
    withdrawn = operated.follow(
        node.operated(exports, problems), exports, served, _by_destination(pushed_models)
    )
    warnings = _disagreements(node, exports, served.export, pushed_models, retired | withdrawn)
    prior = _prior_export(node, served, newest, warnings)
    prior = _with_warnings(prior, problems)
    passed = ""
    if policy is not None and timing.has_limits(policy):
        newest_record, _ = latest_record(exports, served)
        passed = timing.passed_limits(policy, newest_record, now())
    return {
        keys.BEST_FINGERPRINT_KEY: ", ".join(
            filter(
                None,
                (served.fingerprint, said, challengers, f"after {passed}" if passed else ""),
            )
        ),
        keys.PRIOR_EXPORT_KEY: json.dumps(
            dataclasses.asdict(prior) if prior else {}, sort_keys=True
        ),
    }


def _policy_of(exec_properties: Mapping[str, Any]) -> pb.ComparePolicy | None:
    """Returns the policy; None without one, or if it is invalid, which the executor reports."""
    stored = exec_properties.get(keys.COMPARE_POLICY_KEY)
    if isinstance(stored, pb.ComparePolicy):
        return stored
    try:
        return policy_message_of(stored) if isinstance(stored, str) and stored else None
    except FieldValueError:
        return None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    """The node of this run, to which an artifact belongs or not.

    Attributes:
        store: ML Metadata.
        pipeline_name: Name of the pipeline context.
        pushed_models_uri: URI of the directory that contains this node's PushedModels.
    """

    store: MetadataStore
    pipeline_name: str
    pushed_models_uri: str

    def is_of_pipeline(self, artifact: mlmd.Artifact) -> bool:
        """Returns True if an artifact belongs to the pipeline; reads all attributions."""
        return _is_of_pipeline(self.store, artifact, self.pipeline_name)

    def operated(self, exports: ExportDirectory, warnings: list[str]) -> operated.Node:
        """Returns the same node for following the operations of persons.

        Args:
            exports: The base directory.
            warnings: List that gets a warning for each copy that is kept.
        """

        def delete(artifact: mlmd.Artifact) -> None:
            for each in _not_named([artifact], exports, warnings):
                _delete(self.store, each)

        return operated.Node(
            store=self.store,
            pipeline_name=self.pipeline_name,
            owns=self.is_of_pipeline,
            is_copy=lambda artifact: _is_below(artifact.uri, self.pushed_models_uri),
            delete=delete,
            at=lambda uri: _pushed_model_at(self.store, uri),
        )

    def owns(self, artifact: mlmd.Artifact) -> bool:
        """Returns True if an artifact lies in the node's directory, or belongs to the pipeline."""
        return _is_below(artifact.uri, self.pushed_models_uri) or self.is_of_pipeline(artifact)


def served_model(
    store: MetadataStore,
    best: Export,
    record: pb.ExportRecord | None,
    *,
    sibling_id: int,
    clock: Callable[[], float] = time.monotonic,
) -> mlmd.Artifact:
    """Returns the Model of the best.

    Args:
        store: ML Metadata.
        best: Export that is served.
        record: Record of the best; None for a foreign export.
        sibling_id: Id of an artifact of the pipeline to which the Model must belong.
        clock: Returns seconds, for the time limit of a search.

    Raises:
        LookupError: The pipeline has no such Model, it was not found in time, or the Model's files
            were deleted.
        ml_metadata.errors.StatusError: ML Metadata cannot be queried.
    """
    pipelines = {
        context.name
        for context in store.get_contexts_by_artifact(sibling_id)
        if context.type == _PIPELINE_CONTEXT
    }
    uri = record.model.uri if record else _foreign_model_uri(store, best, pipelines, clock)
    models = (
        [item for item in store.get_artifacts_by_uri(uri) if item.type == _MODEL] if uri else []
    )
    problem = f"ML Metadata has no Model for the served version {best.version}"
    for model in sorted(models, key=lambda item: item.id, reverse=True):
        if not any(_is_of_pipeline(store, model, name) for name in pipelines):
            problem = (
                f"the Model of the served version {best.version} belongs to another pipeline,"
                f" at {model.uri}"
            )
        elif model.state not in _LIVE_STATES or not _exists(model.uri):
            problem = f"the Model of the served version {best.version} was deleted, at {model.uri}"
        else:
            return model
    raise LookupError(problem)


def _foreign_model_uri(
    store: MetadataStore, best: Export, pipelines: Collection[str], clock: Callable[[], float]
) -> str:
    """Returns the URI of the Model that one of these pipelines pushed as the best, or ""."""

    def is_own(artifact: mlmd.Artifact) -> bool:
        return any(_is_of_pipeline(store, artifact, name) for name in pipelines)

    newest = NewestPushedModels(store, clock)
    pushed_model = _search(newest, best, is_own)
    if pushed_model:
        return _lineage_of(store, pushed_model)["model_uri"]
    if newest.is_out_of_time:
        raise LookupError(_not_found_in_time(best))
    return ""


def _prior_export(
    node: _Node, served: Served, newest: NewestPushedModels, warnings: tuple[str, ...]
) -> PriorExport | None:
    """Returns the information about the best, or None if there is neither a best nor a warning."""
    best, record = served.export, served.record
    if best is None:
        return PriorExport(version=0, is_foreign=False, warnings=warnings) if warnings else None
    pushed_model = _pushed_model_of(node, best, record, newest)
    if pushed_model is None:
        return PriorExport(
            version=best.version,
            is_foreign=record is None,
            warnings=(*warnings, _without_pushed_model(best, record, newest.is_out_of_time)),
        )
    lineage = _lineage_of(node.store, pushed_model)
    return PriorExport(
        version=best.version,
        is_foreign=record is None,
        pushed_model_uri=pushed_model.uri,
        warnings=warnings,
        **lineage,
    )


def _pushed_model_of(
    node: _Node, best: Export, record: pb.ExportRecord | None, newest: NewestPushedModels
) -> mlmd.Artifact | None:
    """Returns a PushedModel of this pipeline that was pushed as the best, or None."""
    if record:
        if record.provenance.pipeline_name not in ("", node.pipeline_name):
            return None
        pushed_model = _pushed_model_at(node.store, record.pushed_model_uri)
        if pushed_model and node.owns(pushed_model):
            return pushed_model
    # A run that dies after its export never registers the PushedModel that its record names. A
    # later run that found its candidate already served has registered another one.
    return _search(newest, best, node.is_of_pipeline)


def _search(
    newest: NewestPushedModels, best: Export, is_own: Callable[[mlmd.Artifact], bool]
) -> mlmd.Artifact | None:
    """Returns a PushedModel that was pushed as the best, or None.

    Several PushedModels can name the best: each run that finds its candidate already served makes
    one. The oldest was made from the served model, so the oldest of a page is returned.
    """
    for page in newest.pages():
        for artifact in reversed(page):
            if _destination_of(artifact) == best.path and is_own(artifact):
                return artifact
    return None


def _without_pushed_model(
    best: Export, record: pb.ExportRecord | None, is_out_of_time: bool
) -> str:
    """Returns the warning about a best whose PushedModel was not found."""
    if not is_out_of_time:
        where = f" at {record.pushed_model_uri}" if record and record.pushed_model_uri else ""
        return f"ML Metadata has no PushedModel{where} for the served version {best.version}"
    # The number of artifacts that were read is not part of the warning. The warning enters TFX's
    # cache key, and should be the same for the next run.
    cost = (
        "the decision does not link the Model and the evaluation from which the served version"
        " was exported"
        if record
        else "the evaluation of the served version is not known, unless `examples` are given"
    )
    return f"{_not_found_in_time(best)}; without it, {cost}"


def _not_found_in_time(best: Export) -> str:
    return (
        f"the PushedModel of the served version {best.version} was not found in ML Metadata within"
        f" {SCAN_SECONDS:g} seconds"
    )


def _disagreements(
    node: _Node,
    exports: ExportDirectory,
    best: Export | None,
    pushed_models: Sequence[mlmd.Artifact],
    retired: Collection[int],
) -> tuple[str, ...]:
    """Returns a warning if the newest pushed version is neither served nor retired.

    Args:
        node: Node of this run.
        exports: The base directory.
        best: Export that is served; None without one.
        pushed_models: PushedModels among the newest artifacts, newest first.
        retired: Versions with a tombstone.
    """
    for artifact in pushed_models:
        base, _, name = _destination_of(artifact).rpartition("/")
        if base != exports.base.uri:
            continue
        version = int(name) if name.isdecimal() else 0
        is_expected = version in retired or version <= (best.version if best else 0)
        if not (node.owns(artifact) if is_expected else node.is_of_pipeline(artifact)):
            continue
        if is_expected:
            return ()
        served = f"version {best.version}" if best else "none"
        warning = (
            f"version {version} was pushed last according to ML Metadata, but the base directory"
            f" serves {served}; the base directory takes precedence"
        )
        return (warning,)
    return ()


def _pushed_model_at(store: MetadataStore, uri: str) -> mlmd.Artifact | None:
    artifacts = store.get_artifacts_by_uri(uri) if uri else []
    return next((item for item in artifacts if item.type == PUSHED_MODEL), None)


def _by_destination(pushed_models: Sequence[mlmd.Artifact]) -> dict[str, list[mlmd.Artifact]]:
    """Returns the PushedModels that were pushed, by the URI of their version."""
    found: dict[str, list[mlmd.Artifact]] = {}
    for artifact in pushed_models:
        if destination_uri := _destination_of(artifact):
            found.setdefault(destination_uri, []).append(artifact)
    return found


def _destination_of(artifact: mlmd.Artifact) -> str:
    """Returns the URI to which a PushedModel was pushed, or "" if it was not pushed."""
    properties = artifact.custom_properties
    # Reading a missing key of a proto map would add the key.
    if keys.PUSHED_PROPERTY not in properties or properties[keys.PUSHED_PROPERTY].int_value != 1:
        return ""
    if keys.PUSHED_DESTINATION_PROPERTY not in properties:
        return ""
    pushed_to = properties[keys.PUSHED_DESTINATION_PROPERTY].string_value
    try:
        # The URI is normalized for comparison: Pusher stores it as the author spelled it.
        return location_of(pushed_to).uri
    except (ImportError, ValueError):
        # A destination without a storage, or in one whose client is not installed, cannot be this
        # base directory.
        return ""


def _lineage_of(store: MetadataStore, pushed_model: mlmd.Artifact) -> dict[str, str]:
    """Returns the URIs of the model that was pushed, of its evaluation and of its blessing."""
    properties = pushed_model.custom_properties
    if keys.EXPORTED_MODEL_PROPERTY in properties:
        # Another run trained the model, so the inputs of this run are not its lineage.
        return {"model_uri": properties[keys.EXPORTED_MODEL_PROPERTY].string_value}
    producers = _executions_of(store, [pushed_model.id], mlmd.Event.OUTPUT)
    inputs = _artifacts_of(store, producers, mlmd.Event.INPUT)
    model = _newest(inputs, _MODEL)
    evaluation = _newest(inputs, _MODEL_EVALUATION)
    if model and not evaluation:
        # Pusher has no evaluation among its inputs. Evaluator made it from this model.
        consumers = _executions_of(store, [model.id], mlmd.Event.INPUT, key=tfx_keys.MODEL_KEY)
        evaluation = _newest(
            _artifacts_of(store, consumers, mlmd.Event.OUTPUT),
            _MODEL_EVALUATION,
        )
    blessing = _newest(inputs, _MODEL_BLESSING)
    return {
        "model_uri": model.uri if model else "",
        "evaluation_uri": evaluation.uri if evaluation else "",
        "model_blessing_uri": blessing.uri if blessing else "",
    }


def _executions_of(
    store: MetadataStore, artifact_ids: Sequence[int], event_type: int, key: str = ""
) -> list[int]:
    return [
        event.execution_id
        for event in store.get_events_by_artifact_ids(artifact_ids)
        if event.type == event_type
        and (not key or any(step.key == key for step in event.path.steps))
    ]


def _artifacts_of(
    store: MetadataStore, execution_ids: Sequence[int], event_type: int
) -> list[mlmd.Artifact]:
    """Returns the live artifacts that executions read or wrote."""
    if not execution_ids:
        return []
    ids = {
        event.artifact_id
        for event in store.get_events_by_execution_ids(execution_ids)
        if event.type == event_type
    }
    return [item for item in store.get_artifacts_by_id(ids) if item.state in _LIVE_STATES]


def _newest(artifacts: Iterable[mlmd.Artifact], type_name: str) -> mlmd.Artifact | None:
    """Returns the newest artifact of a type whose files exist, or None."""
    found = [item for item in artifacts if item.type == type_name and _exists(item.uri)]
    return max(found, key=lambda item: item.id, default=None)


def _exists(uri: str) -> bool:
    try:
        return location_of(uri).exists()
    except ImportError as error:
        _logger.warning("an artifact is passed over: %s", error)
        return False
    except (OSError, ValueError):
        # A URI without a storage, or one that cannot be read, is of no use to the caller.
        return False


def _unreachable(pushed_models: Iterable[mlmd.Artifact], pushed_models_uri: str) -> list[str]:
    """Returns a warning if PushedModels of the pipeline root need a client that is not installed.

    Args:
        pushed_models: PushedModels of any pipeline.
        pushed_models_uri: URI of the directory of this node's PushedModels, two folders below the
            pipeline root.
    """
    root = os.path.dirname(os.path.dirname(pushed_models_uri))
    problems = []
    for artifact in pushed_models:
        if artifact.uri.startswith(f"{root}/"):
            # Reading a missing key of a proto map would add the key.
            pushed_to = dict(artifact.custom_properties).get(keys.PUSHED_DESTINATION_PROPERTY)
            try:
                location_of(pushed_to.string_value if pushed_to else artifact.uri)
            except ImportError as error:
                problems.append(str(error))
            except ValueError:
                # A destination without a storage cannot be this base directory.
                continue
    count = f"{len(problems)} PushedModels" if len(problems) > 1 else "a PushedModel"
    return [f"{count} in ML Metadata cannot be read: {problems[0]}"] if problems else []


def _with_warnings(prior: PriorExport | None, warnings: Sequence[str]) -> PriorExport | None:
    """Returns the information about the best with further warnings."""
    if not warnings:
        return prior
    prior = prior or PriorExport(version=0, is_foreign=False)
    return dataclasses.replace(prior, warnings=(*prior.warnings, *warnings))


def _settle_retired(
    store: MetadataStore,
    exports: ExportDirectory,
    pushed_models: Sequence[mlmd.Artifact],
    pipeline_name: str,
    pushed_models_uri: str,
    warnings: list[str],
) -> set[int]:
    """Deletes the PushedModels' own copies of retired exports, and marks them DELETED.

    A tombstone is not trusted with paths. Only artifacts that ML Metadata knows are deleted, and
    only if they belong to this pipeline, lie below this node's directory, were pushed as the
    retired version, and no export in the base directory names them.

    Args:
        store: ML Metadata.
        exports: The base directory.
        pushed_models: PushedModels that may be copies of retired exports.
        pipeline_name: Name of the pipeline context.
        pushed_models_uri: URI of the directory of this node's PushedModels.
        warnings: List that gets a warning for each problem that was tolerated.

    Returns:
        The versions of the tombstones that were read.
    """
    retired: set[int] = set()
    doomed: list[mlmd.Artifact] = []
    settled = 0
    for tombstone in exports.tombstones(warnings):
        retired.add(tombstone.record.version)
        uri = (exports.base / str(tombstone.record.version)).uri
        artifacts = {
            artifact.id: artifact
            for artifact in (
                _pushed_model_at(store, tombstone.record.pushed_model_uri),
                *pushed_models,
            )
            if artifact is not None
            and artifact.state != mlmd.Artifact.DELETED
            # The URI in the tombstone may be that of another export's PushedModel.
            and _destination_of(artifact) == uri
        }
        found = [
            artifact
            for artifact in artifacts.values()
            if _is_below(artifact.uri, pushed_models_uri)
            and _is_of_pipeline(store, artifact, pipeline_name)
        ]
        doomed += found
        settled = 0 if found else settled + 1
        if settled == _SETTLED_LIMIT:
            break
    for artifact in _not_named(doomed, exports, warnings):
        _delete(store, artifact)
    return retired


def _not_named(
    doomed: Sequence[mlmd.Artifact], exports: ExportDirectory, warnings: list[str]
) -> list[mlmd.Artifact]:
    """Returns the artifacts that no record in the base directory names.

    A person goes back to an older model by copying its export to a larger number. The record of the
    copy names the PushedModel of the original, which may be retired. If a record cannot be read, it
    may name any artifact.
    """
    if not doomed:
        return []
    try:
        named = {
            exports.record(export).pushed_model_uri.rstrip("/")
            for export in exports.exports()
            if exports.has_record(export)
        }
    except (OSError, RecordError) as error:
        warnings.append(
            f"{len(doomed)} PushedModels of retired exports are kept until the next run: {error}"
        )
        return []
    return [artifact for artifact in doomed if artifact.uri.rstrip("/") not in named]


def _is_below(uri: str, directory_uri: str) -> bool:
    """Returns True if a URI names a direct entry of a directory."""
    parent, name = os.path.split(uri.rstrip("/"))
    return parent == directory_uri and name not in ("", ".", "..")


def _is_of_pipeline(store: MetadataStore, artifact: mlmd.Artifact, pipeline_name: str) -> bool:
    return any(
        context.name == pipeline_name and context.type == _PIPELINE_CONTEXT
        for context in store.get_contexts_by_artifact(artifact.id)
    )


def _delete(store: MetadataStore, artifact: mlmd.Artifact) -> None:
    """Deletes an artifact's files. If that fails, its state stays MARKED_FOR_DELETION."""
    _set_state(store, artifact, mlmd.Artifact.MARKED_FOR_DELETION)
    try:
        # TFX's fileio would follow a link and delete the link's target.
        location_of(artifact.uri).remove()
    except Exception as error:
        _logger.warning(
            "cannot delete %s: %s. The next run tries again", shown(artifact.uri), error
        )
        return
    _set_state(store, artifact, mlmd.Artifact.DELETED)
    _logger.info("deleted %s: its export was deleted", shown(artifact.uri))


def _set_state(store: MetadataStore, artifact: mlmd.Artifact, state: int) -> None:
    artifact.state = state
    store.put_artifacts([artifact], field_mask_paths=["state"])
