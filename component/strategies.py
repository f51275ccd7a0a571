"""BestExportedModelStrategy: resolves the Model of the best export, for Evaluator's baseline."""

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
from tfx_best_exporter.executor.redaction import shown
from tfx_best_exporter.executor.storage import location_of

_logger = logging.getLogger(__name__)


class BestExportedModelStrategy(resolver.ResolverStrategy):
    """Resolves to the Model of the best export in a base directory, or to nothing.

    Pass the result to Evaluator as baseline_model. Evaluator then evaluates candidate and best on
    the same examples, and BestExporter compares these values. The strategy resolves to nothing if
    nothing is exported yet, if the best belongs to another pipeline, or if the files of its Model
    were deleted; the log gives the reason. Evaluator then evaluates the candidate alone.

    The strategy works with LocalDagRunner, BeamDagRunner and InteractiveContext. Kubeflow Pipelines
    and Vertex AI support only TFX's own resolver strategies.

    Example:
        >>> best_model = Resolver(
        ...     strategy_class=BestExportedModelStrategy,
        ...     config={"base_directory": "/serving/penguin"},
        ...     model=trainer.outputs["model"],
        ... )
        >>> evaluator = Evaluator(..., baseline_model=best_model.outputs["model"])

    The channel's artifacts, here the candidate, identify the pipeline. Channel(type=Model) works
    too, but reads every Model that the pipeline ever trained. A Resolver with
    LatestBlessedModelStrategy can keep its channel of ModelBlessing, which is not used.
    """

    def __init__(self, base_directory: str):
        """Makes a strategy from the Resolver's config.

        Args:
            base_directory: Base directory of BestExporter's push_destination. It must be known
                when the pipeline is built.

        Raises:
            ValueError: The base directory is empty or not a str.
        """
        if not isinstance(base_directory, str) or not base_directory:
            raise ValueError(
                f"base_directory must be a path or a URI (got {base_directory!r})."
                " Pass the base directory of BestExporter's push_destination."
            )
        self._base_directory = base_directory

    def resolve_artifacts(
        self, store: MetadataStore, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]]:
        """Returns the Model under the key of its channel, or an empty list.

        Args:
            store: ML Metadata.
            input_dict: One channel of Model, and possibly one of ModelBlessing, which
                LatestBlessedModelStrategy needs. It resolves to nothing here.

        Raises:
            ValueError: The Resolver has no channel, several of Model, or one of another type.
            OSError: The base directory cannot be read.
        """
        resolved: dict[str, list[types.Artifact]] = {key: [] for key in input_dict}
        models = [
            key
            for key, artifacts in input_dict.items()
            if not all(isinstance(each, standard_artifacts.ModelBlessing) for each in artifacts)
        ]
        is_known = all(
            isinstance(artifact, standard_artifacts.Model)
            for key in models
            for artifact in input_dict[key]
        )
        if not input_dict or len(models) > 1 or not is_known:
            names = ", ".join(sorted(models or input_dict)) or "none"
            raise ValueError(
                f"Resolver must have exactly one channel of type Model (got {names})."
                " Pass model=trainer.outputs['model']."
            )
        if models:
            resolved[models[0]] = self._resolve(store, input_dict[models[0]])
        else:
            _logger.info("no baseline: this pipeline has no Model yet")
        return resolved

    def _resolve(
        self, store: MetadataStore, siblings: Sequence[types.Artifact]
    ) -> list[types.Artifact]:
        exports = ExportDirectory(location_of(self._base_directory))
        try:
            served = exports.served()
        except RecordError as error:
            # BestExporter itself fails with the same error, which is easier to find there.
            _logger.warning("no baseline: %s", error)
            return []
        if served.export is None:
            _logger.info("no baseline: nothing is exported yet in %s", exports.base)
            return []
        if served.best is not None and served.best.problem:
            # ML Metadata knows the former content of a version that was edited.
            _logger.warning("no baseline: %s: %s", served.export.location, served.best.problem)
            return []
        # One artifact is enough: all of them belong to the running pipeline.
        newest = max(siblings, key=lambda artifact: artifact.id)
        try:
            found = history.served_model(store, served.export, served.record, sibling_id=newest.id)
        except LookupError as error:
            _logger.warning("no baseline: %s", error)
            return []
        [artifact_type] = store.get_artifact_types_by_id([found.type_id])
        _logger.info(
            "baseline: version %d of %s, from %s",
            served.export.version,
            exports.base,
            shown(found.uri),
        )
        return [artifact_utils.deserialize_artifact(artifact_type, found)]
