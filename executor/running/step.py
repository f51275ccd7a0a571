"""Runs one step of a pipeline on values from TFX or a container.

TFX artifacts are converted before they reach this module, so a step imports TFX and TensorFlow only
to save a model again, to evaluate the best again, to load a module file, or for TFX's fileio.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import logging
import posixpath
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from google.protobuf import json_format

from tfx_best_exporter.executor import keys
from tfx_best_exporter.executor.arguments import artifacts, user_functions
from tfx_best_exporter.executor.arguments.artifacts import InputArtifact
from tfx_best_exporter.executor.arguments.errors import FieldValueError, within
from tfx_best_exporter.executor.deciding.eval_result import EvalResult
from tfx_best_exporter.executor.deciding.models import Blessing, BlessingStatus
from tfx_best_exporter.executor.evaluations import (
    best,
    data_identity,
    event_files,
    reevaluation,
    tfma,
)
from tfx_best_exporter.executor.evaluations.reevaluation import Beam
from tfx_best_exporter.executor.exports import retention
from tfx_best_exporter.executor.exports.assets_extra import check_assets_extra
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.redaction import redacted_message, without_secrets
from tfx_best_exporter.executor.running.blessings import blessings_of, explained
from tfx_best_exporter.executor.running.exec_properties import ExecProperties, PriorExport
from tfx_best_exporter.executor.running.observe import ForeignBest, observe_candidate
from tfx_best_exporter.executor.running.output_properties import (
    Property,
    custom_properties_of,
    serves_candidate,
)
from tfx_best_exporter.executor.running.run import Request, export_if_better
from tfx_best_exporter.executor.running.settings import (
    Settings,
    compare_policy_of,
    retention_policy_of,
)
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# Inputs whose directory must not contain the base directory.
_INPUTS = (keys.MODEL_KEY, keys.EVALUATION_KEY, keys.MODEL_RUN_KEY)

_HAS_MODEL_PROPERTY = "has_model"
# The light image does not contain these packages.
_FULL_IMAGE_PACKAGES = ("tensorflow", "tfx", "tensorflow_model_analysis", "apache_beam")
# Records have this name if the pipeline node is not known.
_DEFAULT_NAME = "BestExporter"


_logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Pipeline, run and node of a step; each is empty if it is not known."""

    pipeline_name: str = ""
    run_id: str = ""
    node_id: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StepInputs:
    """Inputs of a step.

    Attributes:
        artifacts: Artifacts by input channel. `model`, `evaluation` or `model_run`,
            `model_blessing` and `infra_blessing` have one each, `examples` any number.
        exec_properties: The typed exec properties.
        output_uris: Directory of each output artifact, by output channel. `blessing` may be
            missing: pipelines that an earlier version compiled do not have it.
        provenance: Pipeline, run and node.
        beam: Beam arguments for a second evaluation.
    """

    artifacts: Mapping[str, Sequence[InputArtifact]]
    exec_properties: ExecProperties
    output_uris: Mapping[str, str]
    provenance: Provenance = Provenance()
    beam: Beam = dataclasses.field(default_factory=Beam)

    def has(self, channel: str) -> bool:
        """Returns True if an input channel has an artifact."""
        return bool(self.artifacts.get(channel))

    def only(self, channel: str) -> InputArtifact:
        """Returns the artifact of an input channel.

        Raises:
            ValueError: The channel has no artifact, or several.
        """
        found = self.artifacts.get(channel, ())
        if len(found) != 1:
            raise ValueError(
                f"{channel} must have one artifact (got {len(found)}). Pass a channel that resolves"
                " to one artifact."
            )
        return found[0]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StepOutputs:
    """Result of a step; its files are already at the output URIs.

    Attributes:
        custom_properties: Custom properties of each output artifact, by output channel.
    """

    custom_properties: Mapping[str, Mapping[str, Property]]


def run_step(inputs: StepInputs) -> StepOutputs:
    """Exports the candidate if it is better than the best, and writes the decision's files.

    Errors have no passwords and tokens of URIs in them: runners store and show them.

    Raises:
        RuntimeError: An infra_blessing contains no model although `model` is not set, or the step
            needs a package that the light image does not contain.
        See ModelExporter.run for other exceptions.
    """
    check_image(inputs)
    try:
        with without_secrets():
            return _run_step(inputs)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _FULL_IMAGE_PACKAGES:
            raise
        raise RuntimeError(
            f"this step must run in the full image (got {type(error).__name__}: {error}). Compile"
            " the pipeline without the light image."
        ) from error


def check_image(inputs: StepInputs) -> None:
    """Raises an error if the light image cannot run the step, before anything is read or written.

    A second evaluation that fails is only a warning, so the step would make another decision than
    in the full image.

    Raises:
        RuntimeError: This is the light image, and the step needs the full one.
    """
    properties = inputs.exec_properties
    arguments = {
        keys.EXAMPLES_KEY: inputs.has(keys.EXAMPLES_KEY),
        keys.MODULE_FILE_KEY: properties.module_file or properties.module_path,
        keys.SERVING_SIGNATURES_FN_KEY: properties.serving_signatures_fn,
        keys.AS_TEXT_KEY: properties.as_text,
    }
    found = ", ".join(name for name, value in arguments.items() if value)
    if found and importlib.util.find_spec("tensorflow") is None:
        raise RuntimeError(
            f"a step with {found} must run in the full image (got an image without TensorFlow)."
            f" Compile the pipeline without the light image, or leave out {found}."
        )


def _run_step(inputs: StepInputs) -> StepOutputs:
    blessings = blessings_of(
        {
            channel: inputs.only(channel)
            for channel in (keys.MODEL_BLESSING_KEY, keys.INFRA_BLESSING_KEY)
            if inputs.has(channel)
        }
    )
    model_uri, model_path = _model_of(inputs, blessings)
    eval_result = _eval_result_of(inputs)
    blessings, warnings = explained(blessings, eval_result)
    if inputs.has(keys.MODEL_KEY):
        best.check_candidate(eval_result, model_uri)
    decision = _export(
        inputs,
        model_path=model_path,
        model_uri=model_uri,
        eval_result=eval_result,
        blessings=blessings,
        warnings=warnings,
    )
    _write(redacted_message(decision), location_of(inputs.output_uris[keys.DECISION_KEY]))
    if keys.BLESSING_KEY in inputs.output_uris:
        _write_blessing(decision, location_of(inputs.output_uris[keys.BLESSING_KEY]))
    return StepOutputs(
        custom_properties={
            **custom_properties_of(decision),
            keys.BLESSING_KEY: _blessing_properties_of(decision, inputs),
        }
    )


def _export(
    inputs: StepInputs,
    *,
    model_path: str,
    model_uri: str,
    eval_result: EvalResult,
    blessings: Sequence[Blessing],
    warnings: Sequence[str],
) -> pb.ExportDecision:
    """Decides, carries out the decision, and returns it."""
    properties = inputs.exec_properties
    prior_export = properties.prior_export
    warnings = [*prior_export.warnings, *warnings]
    if not blessings and not properties.is_gated:
        warnings.append(
            "the candidate was not validated: neither model_blessing nor infra_blessing is set"
        )
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
            data_identity=_data_identity_of(inputs),
            pushed_model=location_of(pushed_model_uri),
            pushed_model_uri=pushed_model_uri,
            artifacts={
                channel: location_of(uri)
                for channel, uri in (
                    *((each, inputs.only(each).uri) for each in _INPUTS if inputs.has(each)),
                    *inputs.output_uris.items(),
                )
            },
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
        exports=ExportDirectory(
            location_of(properties.base_directory),
            location_of(properties.state_directory) if properties.state_directory else None,
        ),
        compare_policy=compare_policy,
        policy=policy,
        retention_policy=_retention_policy_of(properties, compare_policy),
        serving_signatures_fn=serving_signatures_fn,
        serving_signatures_name=properties.serving_signatures_fn,
        assets_extra=check_assets_extra(properties.assets_extra),
        as_text=properties.as_text,
        unservable=properties.unservable,
        name=inputs.provenance.node_id or _DEFAULT_NAME,
        clock=time.time,
        chooses_rule=properties.compare_policy is None,
        built_rule=properties.default_rule,
    )


def _retention_policy_of(
    properties: ExecProperties, compare_policy: pb.ComparePolicy
) -> retention.Policy | None:
    # The component has already applied its default, so a missing property keeps every export.
    if properties.retention_policy is None:
        return None
    return retention_policy_of(
        retention.DEFAULT_EXPORTS_TO_KEEP, properties.retention_policy, compare_policy
    )


def _foreign_eval_result_of(prior_export: PriorExport) -> tuple[EvalResult | None, list[str]]:
    """Returns the evaluation of a best without a record, or None if unreadable, and warnings."""
    if not prior_export.evaluation_uri:
        return None, []
    try:
        return tfma.from_tfma(prior_export.evaluation_uri), []
    except ValueError as error:
        # The best counts as unknown, and compare_policy.on_unknown_best decides.
        return None, [str(error)]


def _reevaluation_of(inputs: StepInputs, evaluation_uri: str) -> reevaluation.Reevaluation | None:
    """Returns the callable that evaluates an export on the examples; None without examples."""
    if not inputs.has(keys.EXAMPLES_KEY):
        return None
    examples = inputs.artifacts[keys.EXAMPLES_KEY]
    return reevaluation.Reevaluation(
        examples=examples,
        examples_uri=uri_of(examples),
        splits=inputs.exec_properties.example_splits,
        evaluation_uri=evaluation_uri,
        # Beam's workers can write below the pipeline root, and people can look at the result.
        output_uri=posixpath.join(
            inputs.output_uris[keys.DECISION_KEY], keys.BEST_EVALUATION_DIRECTORY
        ),
        beam=inputs.beam,
    )


def _data_identity_of(inputs: StepInputs) -> Callable[[], str] | None:
    """Returns the function that identifies the examples; None without examples."""
    if not inputs.has(keys.EXAMPLES_KEY):
        return None
    return functools.partial(
        data_identity.identity_of,
        [artifact.uri for artifact in inputs.artifacts[keys.EXAMPLES_KEY]],
        inputs.exec_properties.example_splits,
    )


def _load(properties: ExecProperties, reference: str) -> Callable[..., Any]:
    """Returns a function of an installed package, or of the module file if no package is named.

    Raises:
        FieldValueError: There is no such function.
    """
    if "." in reference:
        return user_functions.load(reference)
    module = {
        keys.MODULE_PATH_KEY: properties.module_path or None,
        keys.MODULE_FILE_KEY: properties.module_file or None,
    }
    # udf_utils imports all of TFX and Apache Beam, so it is imported only for a module file.
    from tfx.components.util import udf_utils

    try:
        return udf_utils.get_fn(module, reference)
    except user_functions.FAILURES as error:
        problem = user_functions.text_of(error)
        if not isinstance(error, (AttributeError, ImportError, ValueError)):
            problem = f"the file raises {type(error).__name__}: {problem}"
        raise FieldValueError(
            "",
            f"must be a function of module_file (got {reference!r}: {problem})."
            " Define it there, or pass the dotted name of a function in an installed package.",
        ) from error


def _model_of(inputs: StepInputs, blessings: Sequence[Blessing]) -> tuple[str, str]:
    """Returns the URI of the candidate's artifact, and the path of its SavedModel."""
    if inputs.has(keys.MODEL_KEY):
        model = inputs.only(keys.MODEL_KEY)
        return model.uri, _serving_model_path(model)
    infra_blessing = inputs.only(keys.INFRA_BLESSING_KEY)
    is_blessed = all(each.status is BlessingStatus.BLESSED for each in blessings)
    if is_blessed and not infra_blessing.int_custom_property(_HAS_MODEL_PROPERTY):
        raise RuntimeError(
            "infra_blessing must contain a model if the argument model is not set (got none, at"
            f" {infra_blessing.uri}). Set RequestSpec.make_warmup of InfraValidator, or pass model"
            " to BestExporter."
        )
    return infra_blessing.uri, artifacts.stamped_model_directory(infra_blessing.uri)


def _serving_model_path(model: InputArtifact) -> str:
    """Returns the path of a Model's SavedModel.

    The rules are those of `serving_model_path` of tfx.utils.path_utils, which cannot read S3.

    Raises:
        ValueError: An Estimator left several exports.
    """
    location = location_of(artifacts.serving_model_directory(model))
    if not (location / "export").children():
        return location.uri
    # An Estimator writes export/<exporter>/<timestamp>/.
    location /= "export"
    for _ in range(2):
        names = [entry.name for entry in location.children()]
        if len(names) != 1:
            raise ValueError(
                "model must contain one export of an Estimator (got"
                f" {', '.join(names) or 'none'}, at {location.uri}). Keep only the export to serve."
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
        span=artifacts.span_of(inputs.artifacts[keys.EXAMPLES_KEY]),
    )


def uri_of(examples: Sequence[InputArtifact]) -> str:
    """Returns the name of several Examples artifacts in a record: their URIs, sorted."""
    return ",".join(sorted(artifact.uri for artifact in examples))


def _blessing_properties_of(decision: pb.ExportDecision, inputs: StepInputs) -> dict[str, Property]:
    """Returns Evaluator's custom properties for the output `blessing`.

    `blessed` equals `pushed` of the PushedModel, unless a challenger was exported: the blessing is
    about the candidate. Evaluator leaves it out if it did not validate the model, but a decision
    always has a result.
    """
    properties: dict[str, Property] = {keys.BLESSED_PROPERTY: int(serves_candidate(decision))}
    # The warmed-up model of an infra_blessing is not an artifact, so it has no ID.
    if inputs.has(keys.MODEL_KEY):
        model = inputs.only(keys.MODEL_KEY)
        properties[keys.CURRENT_MODEL_PROPERTY] = model.uri
        # LatestBlessedModelStrategy finds a blessed model by this ID.
        if model.artifact_id:
            properties[keys.CURRENT_MODEL_ID_PROPERTY] = model.artifact_id
    return properties


def _write_blessing(decision: pb.ExportDecision, directory: Location) -> None:
    """Writes the empty file BLESSED or NOT_BLESSED, as Evaluator does."""
    written, other = keys.NOT_BLESSED_FILE, keys.BLESSED_FILE
    if serves_candidate(decision):
        written, other = other, written
    # Kubeflow Pipelines runs a failed step again with the same directory.
    (directory / other).remove()
    (directory / written).write(b"")


def _write(decision: pb.ExportDecision, directory: Location) -> None:
    """Writes report.html and decision.json."""
    # Pipeline definitions import this module too, and need no templates.
    from tfx_best_exporter.executor.reports import report

    try:
        page = report.to_html(decision)
    except Exception as error:
        # The model may already be served, so a failed report must not fail the run.
        _logger.exception("%s could not be written", keys.REPORT_FILE)
        decision.warnings.append(
            f"{keys.REPORT_FILE} could not be written: {type(error).__name__}: {error}"
        )
    else:
        (directory / keys.REPORT_FILE).write(page.encode())
    content = json_format.MessageToJson(decision, preserving_proto_field_name=True)
    (directory / keys.DECISION_FILE).write(content.encode())
