"""Executor: TFX's artifacts and exec properties on one side, ModelExporter on the other."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from google.protobuf import json_format
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import path_utils

from tfx_best_exporter.executor import exporter, keys
from tfx_best_exporter.executor.arguments import destination, user_functions
from tfx_best_exporter.executor.deciding import models, policy
from tfx_best_exporter.executor.deciding.eval_result import EvalResult, MetricKey
from tfx_best_exporter.executor.evaluations import best, event_files, tfma
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.proto import best_exporter_pb2 as pb

_BLESSED_PROPERTY = "blessed"
_HAS_MODEL_PROPERTY = "has_model"
# What Evaluator evaluates where no splits are named.
_DEFAULT_SPLITS = ("eval",)

_Artifacts = Mapping[str, Sequence[types.Artifact]]

_logger = logging.getLogger(__name__)


class Executor(base_executor.BaseExecutor):
    """Runs ModelExporter on what TFX hands over, and marks the outputs.

    Right with no driver: what a driver knows is an addition.
    """

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Exports the candidate if it is better than the best.

        Args:
            input_dict: `model`, `evaluation` or `model_run`, `model_blessing`, `infra_blessing`;
                each one artifact. `examples`: any number.
            output_dict: `pushed_model` and `decision`; each one artifact.
            exec_properties: As BestExporterSpec lists them, and what the driver adds.

        Raises:
            RuntimeError: The driver failed, or a blessing that should carry a model has none.
            See ModelExporter.run for the others.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        if exec_properties.get(keys.DRIVER_ERROR_KEY):
            raise RuntimeError(
                "The driver of this run failed; nothing was exported."
                f" {exec_properties[keys.DRIVER_ERROR_KEY]}"
            )
        blessings = _blessings_of(input_dict)
        pushed_model = artifact_utils.get_single_instance(output_dict[keys.PUSHED_MODEL_KEY])
        decision_artifact = artifact_utils.get_single_instance(output_dict[keys.DECISION_KEY])
        model_uri, model_path = _model_of(input_dict, blessings)
        eval_result = _eval_result_of(input_dict, exec_properties)
        if input_dict.get(keys.MODEL_KEY):
            best.check_candidate(eval_result, model_uri)
        decision = self._do(
            model_exporter=self._exporter_of(exec_properties),
            model_path=model_path,
            model_uri=model_uri,
            eval_result=eval_result,
            blessings=blessings,
            reevaluate=self._reevaluation(
                input_dict, exec_properties, eval_result.uri, decision_artifact.uri
            ),
            prior_export=json.loads(exec_properties.get(keys.PRIOR_EXPORT_KEY) or "{}"),
            pushed_model_uri=pushed_model.uri,
            provenance=self._provenance(),
        )
        _mark(decision, pushed_model, decision_artifact)

    def _do(
        self,
        *,
        model_exporter: exporter.ModelExporter,
        model_path: str,
        model_uri: str,
        eval_result: EvalResult,
        blessings: Sequence[models.Blessing],
        reevaluate: exporter.Reevaluate | None,
        prior_export: Mapping[str, Any],
        pushed_model_uri: str,
        provenance: pb.Provenance,
    ) -> pb.ExportDecision:
        """Returns the decision, carried out."""
        warnings = list(prior_export.get("warnings", ()))
        if not blessings:
            warnings.append("no blessing was given: the model is not validated")
        foreign_best = None
        if prior_export.get("is_foreign"):
            foreign_result = None
            if prior_export.get("evaluation_uri"):
                try:
                    foreign_result = tfma.from_tfma(prior_export["evaluation_uri"])
                except ValueError as error:
                    # Then nothing is known of the best: on_unknown_best says what to do.
                    warnings.append(str(error))
            foreign_best = exporter.ForeignBest(
                version=int(prior_export["version"]),
                eval_result=foreign_result,
                model_uri=prior_export.get("model_uri", ""),
            )
        return model_exporter.run(
            model_path,
            eval_result,
            model_uri=model_uri,
            blessings=blessings,
            foreign_best=foreign_best,
            reevaluate=reevaluate,
            pushed_model_path=pushed_model_uri,
            provenance=provenance,
            warnings=warnings,
        )

    def _reevaluation(
        self,
        input_dict: _Artifacts,  # noqa: ARG002
        exec_properties: Mapping[str, Any],  # noqa: ARG002
        evaluation_uri: str,  # noqa: ARG002
        decision_uri: str,  # noqa: ARG002
    ) -> exporter.Reevaluate | None:
        """Returns what evaluates an export on the candidate's examples; None if nothing does."""
        return None

    def _exporter_of(self, exec_properties: Mapping[str, Any]) -> exporter.ModelExporter:
        retention_policy = None
        if exec_properties.get(keys.RETENTION_POLICY_KEY):
            retention_policy = json_format.Parse(
                exec_properties[keys.RETENTION_POLICY_KEY], pb.RetentionPolicy()
            )
        compare_fn, compare_policy = None, None
        if exec_properties.get(keys.COMPARE_POLICY_KEY):
            compare_policy = policy.policy_message_of(exec_properties[keys.COMPARE_POLICY_KEY])
        serving_signatures_fn = exec_properties.get(keys.SERVING_SIGNATURES_FN_KEY)
        return exporter.ModelExporter(
            destination.base_directory_of(exec_properties[keys.PUSH_DESTINATION_KEY]),
            compare_fn=compare_fn,
            compare_policy=compare_policy,
            load_function=lambda reference, field: _load(exec_properties, reference, field),
            serving_signatures_fn=(
                _load(exec_properties, serving_signatures_fn, keys.SERVING_SIGNATURES_FN_KEY)
                if serving_signatures_fn
                else None
            ),
            assets_extra=json.loads(exec_properties.get(keys.ASSETS_EXTRA_KEY) or "{}"),
            as_text=bool(exec_properties.get(keys.AS_TEXT_KEY)),
            exports_to_keep=None,
            retention_policy=retention_policy,
            name=self._node_id() or "BestExporter",
        )

    def _node_id(self) -> str:
        node = self._context.pipeline_node if self._context else None
        return node.node_info.id if node else ""

    def _provenance(self) -> pb.Provenance:
        info = self._context.pipeline_info if self._context else None
        return pb.Provenance(
            pipeline_name=info.id if info else "",
            run_id=(self._context.pipeline_run_id or "") if self._context else "",
            node_id=self._node_id(),
        )


def _load(exec_properties: Mapping[str, Any], reference: str, field: str) -> Callable[..., Any]:
    """Returns a function of an installed package, or of the module file where no package is named.

    Raises:
        ValueError: There is no such function.
    """
    if "." in reference:
        return user_functions.load(reference, field)
    module = {key: exec_properties.get(key) for key in (keys.MODULE_PATH_KEY, keys.MODULE_FILE_KEY)}
    # Brings every component of TFX, and Apache Beam: only a module file's user pays for them.
    from tfx.components.util import udf_utils

    try:
        return udf_utils.get_fn(module, reference)
    except (AttributeError, ImportError, ValueError) as error:
        raise ValueError(
            f"{field} must be a function of module_file (got {reference!r}: {error})."
            " Define it there, or pass the dotted name of a function in an installed package."
        ) from error


def _blessings_of(input_dict: _Artifacts) -> tuple[models.Blessing, ...]:
    blessings = []
    for key in (keys.MODEL_BLESSING_KEY, keys.INFRA_BLESSING_KEY):
        if input_dict.get(key):
            artifact = artifact_utils.get_single_instance(list(input_dict[key]))
            if not artifact.has_custom_property(_BLESSED_PROPERTY):
                status = models.BlessingStatus.NOT_COMPUTED
            elif artifact.get_int_custom_property(_BLESSED_PROPERTY) == 1:
                status = models.BlessingStatus.BLESSED
            else:
                status = models.BlessingStatus.NOT_BLESSED
            blessings.append(models.Blessing(name=key, uri=artifact.uri, status=status))
    return tuple(blessings)


def _model_of(input_dict: _Artifacts, blessings: Sequence[models.Blessing]) -> tuple[str, str]:
    """Returns the URI of the artifact that has the candidate, and the path of its SavedModel."""
    if input_dict.get(keys.MODEL_KEY):
        model = artifact_utils.get_single_instance(list(input_dict[keys.MODEL_KEY]))
        return model.uri, _serving_model_path(model)
    infra_blessing = artifact_utils.get_single_instance(list(input_dict[keys.INFRA_BLESSING_KEY]))
    is_blessed = all(each.status is models.BlessingStatus.BLESSED for each in blessings)
    if is_blessed and not infra_blessing.get_int_custom_property(_HAS_MODEL_PROPERTY):
        raise RuntimeError(
            "infra_blessing must contain a model where no model is given (got none, at"
            f" {infra_blessing.uri}). Set RequestSpec.make_warmup of InfraValidator, or give"
            " BestExporter the model."
        )
    return infra_blessing.uri, path_utils.stamped_model_path(infra_blessing.uri)


def _serving_model_path(model: types.Artifact) -> str:
    """Returns the path of a Model's SavedModel.

    As TFX's path_utils.serving_model_path, but through our storages: TFX's file layer has no S3.

    Raises:
        ValueError: Estimators have left several models.
    """
    directory = path_utils.serving_model_dir(model.uri, path_utils.is_old_model_artifact(model))
    location = location_of(directory)
    if not (location / "export").children():
        return location.uri
    # Estimators: export/<exporter>/<timestamp>/.
    location /= "export"
    for _ in range(2):
        names = [entry.name for entry in location.children()]
        if len(names) != 1:
            raise ValueError(
                f"model must have one export of an Estimator (got {', '.join(names) or 'none'}, at"
                f" {location.uri}). Remove the others."
            )
        location /= names[0]
    return location.uri


def _eval_result_of(input_dict: _Artifacts, exec_properties: Mapping[str, Any]) -> EvalResult:
    if input_dict.get(keys.EVALUATION_KEY):
        artifact = artifact_utils.get_single_instance(list(input_dict[keys.EVALUATION_KEY]))
        examples = input_dict.get(keys.EXAMPLES_KEY)
        if not examples:
            return tfma.from_tfma(artifact.uri)
        return tfma.from_tfma(
            artifact.uri,
            examples_uri=uri_of(examples),
            splits=splits_of(exec_properties),
        )
    artifact = artifact_utils.get_single_instance(list(input_dict[keys.MODEL_RUN_KEY]))
    return event_files.from_event_files(
        artifact.uri,
        exec_properties.get(keys.EVENT_FILE_PATTERN_KEY) or event_files.DEFAULT_EVENT_FILE_PATTERN,
    )


def splits_of(exec_properties: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the names of the splits that were evaluated; by default Evaluator's own."""
    return tuple(
        json.loads(exec_properties.get(keys.EXAMPLE_SPLITS_KEY) or "null") or _DEFAULT_SPLITS
    )


def uri_of(examples: Sequence[types.Artifact]) -> str:
    """Returns what stands for several Examples artifacts in a record: their URIs, sorted."""
    return ",".join(sorted(artifact.uri for artifact in examples))


def _mark(
    decision: pb.ExportDecision, pushed_model: types.Artifact, decision_artifact: types.Artifact
) -> None:
    """Writes what happened into the output artifacts."""
    version = str(decision.version) if decision.version else ""
    url = f"{decision.base_directory}/{version}" if version else ""
    pushed_model.set_int_custom_property(keys.PUSHED_PROPERTY, int(bool(version)))
    pushed_model.set_string_custom_property(keys.PUSHED_DESTINATION_PROPERTY, url)
    decision_artifact.set_int_custom_property(keys.EXPORTED_PROPERTY, int(decision.exported))
    retired = [entry for entry in decision.retired if not entry.error]
    for artifact in (pushed_model, decision_artifact):
        for name, text in {
            keys.PUSHED_VERSION_PROPERTY: version,
            keys.BEST_VERSION_PROPERTY: str(decision.best.version or ""),
            keys.REASON_PROPERTY: pb.ExportDecision.Reason.Name(decision.reason),
            keys.EXPLANATION_PROPERTY: decision.explanation,
        }.items():
            artifact.set_string_custom_property(name, text)
        artifact.set_int_custom_property(keys.NUMBER_RETIRED_PROPERTY, len(retired))
        for prefix, metrics in (
            (keys.CANDIDATE_METRIC_PREFIX, decision.candidate_evaluation.metrics),
            (keys.BEST_METRIC_PREFIX, decision.best.evaluation.metrics),
        ):
            for metric in metrics:
                # JSON, in which Kubeflow Pipelines and Vertex AI keep properties, has no others.
                if math.isfinite(metric.value):
                    name = f"{prefix}{MetricKey.from_proto(metric.key)}"
                    artifact.set_float_custom_property(name, metric.value)
    _write(decision, location_of(decision_artifact.uri))


def _write(decision: pb.ExportDecision, directory: Location) -> None:
    """Writes a decision for people and for programs."""
    # Only here is a page made: who imports this module to build a pipeline makes none.
    from tfx_best_exporter.executor.reports import report

    try:
        page = report.to_html(decision)
    except Exception as error:
        # The model may be served already: a page must not make that a failure.
        _logger.exception("%s could not be made", keys.REPORT_FILE)
        decision.warnings.append(
            f"{keys.REPORT_FILE} could not be made: {type(error).__name__}: {error}"
        )
    else:
        (directory / keys.REPORT_FILE).write(page.encode())
    content = json_format.MessageToJson(decision, preserving_proto_field_name=True)
    (directory / keys.DECISION_FILE).write(content.encode())
