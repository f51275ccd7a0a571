"""One step of a pipeline: from the values that a container or TFX hands over to those it returns.

No TFX artifact crosses this border, so that a step which exports nothing imports neither TFX nor
TensorFlow.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import math
import posixpath
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from google.protobuf import json_format

from tfx_best_exporter.executor import keys
from tfx_best_exporter.executor.arguments import artifacts, user_functions
from tfx_best_exporter.executor.arguments.artifacts import InputArtifact
from tfx_best_exporter.executor.arguments.errors import FieldValueError, within
from tfx_best_exporter.executor.deciding.eval_result import EvalResult, MetricKey
from tfx_best_exporter.executor.deciding.models import Blessing, BlessingStatus
from tfx_best_exporter.executor.evaluations import best, event_files, reevaluation, tfma
from tfx_best_exporter.executor.evaluations.reevaluation import Beam
from tfx_best_exporter.executor.exports import retention
from tfx_best_exporter.executor.exports.assets_extra import check_assets_extra
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.running.exec_properties import ExecProperties, PriorExport
from tfx_best_exporter.executor.running.observe import ForeignBest, observe_candidate
from tfx_best_exporter.executor.running.run import Request, export_if_better
from tfx_best_exporter.executor.running.settings import (
    Settings,
    compare_policy_of,
    retention_policy_of,
)
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.proto import best_exporter_pb2 as pb

_BLESSED_PROPERTY = "blessed"
_HAS_MODEL_PROPERTY = "has_model"
# The name in an export's record where no pipeline node is known.
_DEFAULT_NAME = "BestExporter"

Property = int | float | str

_logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Pipeline, run and node that a step belongs to; each empty if unknown."""

    pipeline_name: str = ""
    run_id: str = ""
    node_id: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StepInputs:
    """Everything that a step is given.

    Attributes:
        artifacts: By input channel. `model`, `evaluation` or `model_run`, `model_blessing` and
            `infra_blessing` have one each, `examples` any number.
        exec_properties: The typed exec properties.
        output_uris: Directory of each output artifact, `pushed_model` and `decision`.
        provenance: Pipeline, run and node.
        beam: Beam arguments, for a second evaluation.
    """

    artifacts: Mapping[str, Sequence[InputArtifact]]
    exec_properties: ExecProperties
    output_uris: Mapping[str, str]
    provenance: Provenance = Provenance()
    beam: Beam = dataclasses.field(default_factory=Beam)

    def has(self, channel: str) -> bool:
        """Returns whether an input channel has an artifact."""
        return bool(self.artifacts.get(channel))

    def only(self, channel: str) -> InputArtifact:
        """Returns the artifact of an input channel.

        Raises:
            ValueError: The channel has none, or several.
        """
        found = self.artifacts.get(channel, ())
        if len(found) != 1:
            raise ValueError(
                f"{channel} must be one artifact (got {len(found)}). Give BestExporter a channel"
                " that resolves to one."
            )
        return found[0]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StepOutputs:
    """Everything that a step returns; its files lie at the output URIs already.

    Attributes:
        custom_properties: To be set on each output artifact, by output channel.
    """

    custom_properties: Mapping[str, Mapping[str, Property]]


def run_step(inputs: StepInputs) -> StepOutputs:
    """Exports the candidate if it is better than the best, and writes the decision's files.

    Raises:
        RuntimeError: An infra_blessing that should contain a model has none.
        See ModelExporter.run for the others.
    """
    blessings = _blessings_of(inputs)
    model_uri, model_path = _model_of(inputs, blessings)
    eval_result = _eval_result_of(inputs)
    if inputs.has(keys.MODEL_KEY):
        best.check_candidate(eval_result, model_uri)
    decision = _export(
        inputs,
        model_path=model_path,
        model_uri=model_uri,
        eval_result=eval_result,
        blessings=blessings,
    )
    _write(decision, location_of(inputs.output_uris[keys.DECISION_KEY]))
    return StepOutputs(custom_properties=_custom_properties_of(decision))


def _export(
    inputs: StepInputs,
    *,
    model_path: str,
    model_uri: str,
    eval_result: EvalResult,
    blessings: Sequence[Blessing],
) -> pb.ExportDecision:
    """Returns the decision, carried out."""
    properties = inputs.exec_properties
    prior_export = properties.prior_export
    warnings = list(prior_export.warnings)
    if not blessings:
        warnings.append("no blessing was given: the model is not validated")
    foreign_best = None
    if prior_export.is_foreign:
        foreign_result, foreign_warnings = _foreign_eval_result_of(prior_export)
        warnings.extend(foreign_warnings)
        foreign_best = ForeignBest(
            version=prior_export.version,
            eval_result=foreign_result,
            model_uri=prior_export.model_uri,
        )
    pushed_model_uri = inputs.output_uris[keys.PUSHED_MODEL_KEY]
    return export_if_better(
        _settings_of(inputs),
        observe_candidate(location_of(model_path), model_uri, eval_result, blessings),
        Request(
            foreign_best=foreign_best,
            reevaluate=_reevaluation_of(inputs, eval_result.uri),
            pushed_model=location_of(pushed_model_uri),
            pushed_model_uri=pushed_model_uri,
            provenance=pb.Provenance(
                pipeline_name=inputs.provenance.pipeline_name,
                run_id=inputs.provenance.run_id,
                node_id=inputs.provenance.node_id,
            ),
            warnings=tuple(warnings),
        ),
    )


def _settings_of(inputs: StepInputs) -> Settings:
    properties = inputs.exec_properties
    load_function = functools.partial(_load, properties)
    serving_signatures_fn = None
    if properties.serving_signatures_fn:
        with within(keys.SERVING_SIGNATURES_FN_KEY):
            serving_signatures_fn = load_function(properties.serving_signatures_fn)
    compare_policy, policy = compare_policy_of(None, properties.compare_policy, load_function)
    return Settings(
        exports=ExportDirectory(location_of(properties.base_directory)),
        compare_policy=compare_policy,
        policy=policy,
        retention_policy=_retention_policy_of(properties, compare_policy),
        serving_signatures_fn=serving_signatures_fn,
        assets_extra=check_assets_extra(properties.assets_extra),
        as_text=properties.as_text,
        name=inputs.provenance.node_id or _DEFAULT_NAME,
        clock=time.time,
    )


def _retention_policy_of(
    properties: ExecProperties, compare_policy: pb.ComparePolicy
) -> retention.Policy | None:
    # The component has applied the default: without the property every export is kept.
    if properties.retention_policy is None:
        return None
    return retention_policy_of(
        retention.DEFAULT_EXPORTS_TO_KEEP, properties.retention_policy, compare_policy
    )


def _foreign_eval_result_of(prior_export: PriorExport) -> tuple[EvalResult | None, list[str]]:
    """Returns the evaluation of a best without a record, if it can be read, and warnings."""
    if not prior_export.evaluation_uri:
        return None, []
    try:
        return tfma.from_tfma(prior_export.evaluation_uri), []
    except ValueError as error:
        # Then nothing is known of the best: on_unknown_best says what to do.
        return None, [str(error)]


def _reevaluation_of(inputs: StepInputs, evaluation_uri: str) -> reevaluation.Reevaluation | None:
    """Returns a callable that evaluates an export on the examples; None without examples."""
    if not inputs.has(keys.EXAMPLES_KEY):
        return None
    examples = inputs.artifacts[keys.EXAMPLES_KEY]
    return reevaluation.Reevaluation(
        examples=examples,
        examples_uri=uri_of(examples),
        splits=inputs.exec_properties.example_splits,
        evaluation_uri=evaluation_uri,
        # In the pipeline's root, where Beam's workers can write; and somebody may look at it.
        output_uri=posixpath.join(
            inputs.output_uris[keys.DECISION_KEY], keys.BEST_EVALUATION_DIRECTORY
        ),
        beam=inputs.beam,
    )


def _load(properties: ExecProperties, reference: str) -> Callable[..., Any]:
    """Returns a function of an installed package, or of the module file where no package is named.

    Raises:
        FieldValueError: There is no such function.
    """
    if "." in reference:
        return user_functions.load(reference)
    module = {
        keys.MODULE_PATH_KEY: properties.module_path or None,
        keys.MODULE_FILE_KEY: properties.module_file or None,
    }
    # Brings every component of TFX, and Apache Beam: only a module file's user pays for them.
    from tfx.components.util import udf_utils

    try:
        return udf_utils.get_fn(module, reference)
    except (AttributeError, ImportError, ValueError) as error:
        raise FieldValueError(
            "",
            f"must be a function of module_file (got {reference!r}: {error})."
            " Define it there, or pass the dotted name of a function in an installed package.",
        ) from error


def _blessings_of(inputs: StepInputs) -> tuple[Blessing, ...]:
    blessings = []
    for channel in (keys.MODEL_BLESSING_KEY, keys.INFRA_BLESSING_KEY):
        if not inputs.has(channel):
            continue
        artifact = inputs.only(channel)
        if _BLESSED_PROPERTY not in artifact.custom_properties:
            status = BlessingStatus.NOT_COMPUTED
        elif artifact.int_custom_property(_BLESSED_PROPERTY) == 1:
            status = BlessingStatus.BLESSED
        else:
            status = BlessingStatus.NOT_BLESSED
        blessings.append(Blessing(name=channel, uri=artifact.uri, status=status))
    return tuple(blessings)


def _model_of(inputs: StepInputs, blessings: Sequence[Blessing]) -> tuple[str, str]:
    """Returns the URI of the artifact that has the candidate, and the path of its SavedModel."""
    if inputs.has(keys.MODEL_KEY):
        model = inputs.only(keys.MODEL_KEY)
        return model.uri, _serving_model_path(model)
    infra_blessing = inputs.only(keys.INFRA_BLESSING_KEY)
    is_blessed = all(each.status is BlessingStatus.BLESSED for each in blessings)
    if is_blessed and not infra_blessing.int_custom_property(_HAS_MODEL_PROPERTY):
        raise RuntimeError(
            "infra_blessing must contain a model where no model is given (got none, at"
            f" {infra_blessing.uri}). Set RequestSpec.make_warmup of InfraValidator, or give"
            " BestExporter the model."
        )
    return infra_blessing.uri, artifacts.stamped_model_directory(infra_blessing.uri)


def _serving_model_path(model: InputArtifact) -> str:
    """Returns the path of a Model's SavedModel.

    As `serving_model_path` of tfx.utils.path_utils, but through our storages: TFX's file layer has
    no S3.

    Raises:
        ValueError: Estimators have left several models.
    """
    location = location_of(artifacts.serving_model_directory(model))
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


def _eval_result_of(inputs: StepInputs) -> EvalResult:
    if not inputs.has(keys.EVALUATION_KEY):
        return event_files.from_event_files(
            inputs.only(keys.MODEL_RUN_KEY).uri, inputs.exec_properties.event_file_pattern
        )
    uri = inputs.only(keys.EVALUATION_KEY).uri
    if not inputs.has(keys.EXAMPLES_KEY):
        return tfma.from_tfma(uri)
    return tfma.from_tfma(
        uri,
        examples_uri=uri_of(inputs.artifacts[keys.EXAMPLES_KEY]),
        splits=inputs.exec_properties.example_splits,
    )


def uri_of(examples: Sequence[InputArtifact]) -> str:
    """Returns the name of several Examples artifacts in a record: their URIs, sorted."""
    return ",".join(sorted(artifact.uri for artifact in examples))


def _custom_properties_of(decision: pb.ExportDecision) -> dict[str, dict[str, Property]]:
    """Returns the custom properties of each output."""
    version = str(decision.version) if decision.version else ""
    common: dict[str, Property] = {
        keys.PUSHED_VERSION_PROPERTY: version,
        keys.BEST_VERSION_PROPERTY: str(decision.best.version or ""),
        keys.REASON_PROPERTY: pb.ExportDecision.Reason.Name(decision.reason),
        keys.EXPLANATION_PROPERTY: decision.explanation,
        keys.NUMBER_RETIRED_PROPERTY: len([each for each in decision.retired if not each.error]),
    }
    for prefix, metrics in (
        (keys.CANDIDATE_METRIC_PREFIX, decision.candidate_evaluation.metrics),
        (keys.BEST_METRIC_PREFIX, decision.best.evaluation.metrics),
    ):
        for metric in metrics:
            # JSON, in which Kubeflow Pipelines and Vertex AI keep properties, has no others.
            if math.isfinite(metric.value):
                common[f"{prefix}{MetricKey.from_proto(metric.key)}"] = metric.value
    return {
        keys.PUSHED_MODEL_KEY: {
            keys.PUSHED_PROPERTY: int(bool(version)),
            keys.PUSHED_DESTINATION_PROPERTY: (
                f"{decision.base_directory}/{version}" if version else ""
            ),
            **common,
        },
        keys.DECISION_KEY: {keys.EXPORTED_PROPERTY: int(decision.exported), **common},
    }


def _write(decision: pb.ExportDecision, directory: Location) -> None:
    """Writes a decision for people and for programs."""
    # Only here is a page made: a pipeline's author imports this module, and makes none.
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
