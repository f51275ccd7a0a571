"""BestExportedModelStrategy: the model behind the best export, as Evaluator's baseline."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ml_metadata.metadata_store import MetadataStore
from tfx import types
from tfx.dsl.components.common import resolver
from tfx.types import artifact_utils, standard_artifacts

from tfx_best_exporter.component import history
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.records import RecordError
from tfx_best_exporter.executor.storage import location_of

_logger = logging.getLogger(__name__)


class BestExportedModelStrategy(resolver.ResolverStrategy):
    """Resolves to the Model behind the best export of a base directory, or to nothing.

    Evaluator, given it as baseline_model, evaluates candidate and best together, on the same
    examples; BestExporter then compares these. The first run, where nothing is exported yet,
    resolves to nothing, and Evaluator evaluates the candidate alone. So does a run whose best is of
    another pipeline, or whose Model has no files any more; the log says which.

    For LocalDagRunner, BeamDagRunner and InteractiveContext: Kubeflow Pipelines and Vertex AI
    compile no resolver strategy but TFX's own.

    Example:
        >>> best_model = Resolver(
        ...     strategy_class=BestExportedModelStrategy,
        ...     config={"base_directory": "/serving/penguin"},
        ...     model=trainer.outputs["model"],
        ... )
        >>> evaluator = Evaluator(..., baseline_model=best_model.outputs["model"])

    The channel's own artifacts, here the candidate, say which pipeline this is. Channel(type=Model)
    does too, but reads every Model that the pipeline ever trained.
    """

    def __init__(self, base_directory: str):
        """Makes a strategy from the Resolver's config.

        Args:
            base_directory: That of BestExporter's push_destination; known when the pipeline is
                built.

        Raises:
            ValueError: It is empty.
        """
        if not isinstance(base_directory, str) or not base_directory:
            raise ValueError(
                f"base_directory must be a path or a URI (got {base_directory!r})."
                " Give the base directory of BestExporter's push_destination."
            )
        self._base_directory = base_directory

    def resolve_artifacts(
        self, store: MetadataStore, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]]:
        """Returns the Model under the key of its channel, or an empty list.

        Args:
            store: ML Metadata.
            input_dict: One channel of Model.

        Raises:
            ValueError: There are other channels.
            OSError: The base directory cannot be read.
        """
        kinds = {type(artifact) for artifacts in input_dict.values() for artifact in artifacts}
        if len(input_dict) != 1 or not all(issubclass(k, standard_artifacts.Model) for k in kinds):
            names = ", ".join(sorted(input_dict)) or "none"
            raise ValueError(
                f"Resolver must have one channel, of Model (got {names})."
                " Give it model=trainer.outputs['model']."
            )
        [(key, siblings)] = input_dict.items()
        return {key: self._resolve(store, siblings)}

    def _resolve(
        self, store: MetadataStore, siblings: Sequence[types.Artifact]
    ) -> list[types.Artifact]:
        exports = ExportDirectory(location_of(self._base_directory))
        try:
            served = exports.served()
        except RecordError as error:
            # BestExporter fails by it, where people look for it.
            _logger.warning("no baseline: %s", error)
            return []
        if served.export is None:
            _logger.info("no baseline: nothing is exported yet at %s", exports.base)
            return []
        if not siblings:
            _logger.info("no baseline: this pipeline has no Model yet")
            return []
        # One is enough: all are of the pipeline that runs.
        newest = max(siblings, key=lambda artifact: artifact.id)
        try:
            found = history.served_model(store, served.export, served.record, sibling_id=newest.id)
        except LookupError as error:
            _logger.warning("no baseline: %s", error)
            return []
        [artifact_type] = store.get_artifact_types_by_id([found.type_id])
        _logger.info(
            "baseline: version %d of %s, from %s", served.export.version, exports.base, found.uri
        )
        return [artifact_utils.deserialize_artifact(artifact_type, found)]
