"""Evaluates the best and challengers on the candidate's examples with TFX's Evaluator."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import logging
import posixpath
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfx_best_exporter.executor.arguments.artifacts import InputArtifact, span_of
from tfx_best_exporter.executor.deciding.eval_result import EvalResult
from tfx_best_exporter.executor.evaluations import eval_config as eval_config_lib
from tfx_best_exporter.executor.evaluations import tfma as evaluation
from tfx_best_exporter.executor.evaluations.best import (
    NO_CHALLENGERS,
    Reevaluated,
    problem_of,
    why_not_same_evaluation,
)
from tfx_best_exporter.executor.storage import tensorflow_path
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.transfer import local_directory

# Evaluator's exec property with the name of the function that loads a model.
_EVAL_SHARED_MODEL_FN = "custom_eval_shared_model"

# Evaluator's names of its two models.
_CANDIDATE = "candidate"
_BASELINE = "baseline"

_logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Beam:
    """Arguments with which Evaluator runs Apache Beam.

    Attributes:
        pipeline_args: The pipeline's beam_pipeline_args.
        make_pipeline: Returns the beam.Pipeline to use; None unless a runner of TFX has its own.
    """

    pipeline_args: tuple[str, ...] = ()
    make_pipeline: Callable[[], Any] | None = None


class Reevaluation:
    """Runs TFX's Evaluator on an export, on the candidate's examples, with its EvalConfig.

    The evaluation runs on Beam with the pipeline's arguments, so it scales as Evaluator does. The
    first call imports TensorFlow, TFX, TFMA and Beam.
    """

    def __init__(
        self,
        *,
        examples: Sequence[InputArtifact],
        examples_uri: str,
        splits: Sequence[str],
        evaluation_uri: str,
        output_uri: str,
        beam: Beam,
    ):
        """Makes a Reevaluation; reads and writes nothing.

        Args:
            examples: Examples artifacts that the candidate was evaluated on.
            examples_uri: Name of these artifacts in a record.
            splits: Names of the evaluated splits.
            evaluation_uri: URI of the candidate's ModelEvaluation, which contains the EvalConfig.
            output_uri: Output directory, which Beam's workers must reach.
            beam: The pipeline's Beam arguments.
        """
        self._examples = list(examples)
        self._examples_uri = examples_uri
        self._splits = tuple(splits)
        self._evaluation_uri = evaluation_uri
        self._output_uri = output_uri
        self._beam = beam
        self._outputs: set[str] = set()

    def __call__(
        self,
        export: Location,
        candidate: Location | None,
        challengers: Mapping[str, Location] = NO_CHALLENGERS,
    ) -> Reevaluated:
        """Evaluates an export, in one pass with the other models if possible.

        Args:
            export: Version directory of a SavedModel.
            candidate: Directory of the candidate's SavedModel to evaluate both together; None to
                evaluate the export alone. It is ignored if the EvalConfig has several models
                in addition to the baseline: Evaluator accepts at most two models.
            challengers: Directories of further SavedModels, by content digest. Each is evaluated
                with the export as its baseline. If the one pass fails, the candidate and each
                challenger have a pass of their own; one that fails then is a warning.

        Raises:
            Exception: Evaluator, Beam, or the model of the export or the candidate failed.
        """
        if challengers and candidate is not None and self._eval_config[1]:
            try:
                return self._evaluate_together(export, candidate, challengers)
            except Exception as error:
                # Beam and TFMA pass on every exception of a model's own code. Without the broken
                # model, the evaluation of the others may succeed.
                _logger.warning(
                    "cannot evaluate the best, the candidate and the challengers in one pass, so"
                    " they are evaluated one after another: %s",
                    problem_of(error),
                )
        result = self._evaluate(export, candidate, export.name)
        found: dict[str, EvalResult] = {}
        warnings = []
        for digest, challenger in challengers.items():
            again, problem = self._evaluated_challenger(export, digest, challenger, result.best)
            if again is None:
                warnings.append(f"challenger {digest} was not measured: {problem}")
            else:
                found[digest] = again
        return dataclasses.replace(result, challengers=found, warnings=tuple(warnings))

    def _evaluate_together(
        self, export: Location, candidate: Location, challengers: Mapping[str, Location]
    ) -> Reevaluated:
        """Evaluates all models in one pass, which is much cheaper than one pass for each."""
        from tfx_best_exporter.executor.evaluations import joint

        names = {digest: f"challenger_{number}" for number, digest in enumerate(challengers, 1)}
        eval_config, _ = self._eval_config
        (spec,) = eval_config["modelSpecs"]
        specs = [
            *({**spec, "name": name} for name in (_CANDIDATE, *names.values())),
            {**spec, "name": _BASELINE, "isBaseline": True},
        ]
        output_uri = self._run(
            joint.Executor,
            {
                _CANDIDATE: candidate,
                _BASELINE: export,
                **{name: challengers[digest] for digest, name in names.items()},
            },
            {**eval_config, "modelSpecs": specs},
            export.name,
        )
        together = self._read(output_uri, _CANDIDATE)
        return Reevaluated(
            best=_baseline_of(together),
            together=together,
            challengers={digest: self._read(output_uri, name) for digest, name in names.items()},
        )

    def _evaluated_challenger(
        self, export: Location, digest: str, challenger: Location, best: EvalResult
    ) -> tuple[EvalResult | None, str]:
        """Returns the evaluation of a challenger, or None and its defect.

        Args:
            export: Version directory of the best.
            digest: Content digest of the challenger.
            challenger: Directory of the challenger's SavedModel.
            best: Evaluation of the best together with the candidate.
        """
        if not self._eval_config[1]:
            return None, "the EvalConfig has several models in addition to the baseline"
        name = f"{export.name}-{digest.rpartition(':')[2]}"
        try:
            found = self._evaluate(export, challenger, name)
        except Exception as error:
            # Beam and TFMA pass on every exception of the model's own code.
            return None, problem_of(error)
        problem = why_not_same_evaluation(found.best, best)
        if problem:
            return None, f"the best's values differ between two evaluations: {problem}"
        return found.together, ""

    def _output_uri_of(self, name: str) -> str:
        """Returns a directory that no evaluation of this object has written to."""
        uri, number = posixpath.join(self._output_uri, name), 1
        while uri in self._outputs:
            number += 1
            uri = posixpath.join(self._output_uri, f"{name}-{number}")
        self._outputs.add(uri)
        return uri

    def _evaluate(self, export: Location, candidate: Location | None, name: str) -> Reevaluated:
        """Evaluates an export, and a candidate with it, in one run of Evaluator.

        Args:
            export: Version directory of a SavedModel.
            candidate: Directory of another SavedModel; None to evaluate the export alone.
            name: Name of the output directory.
        """
        from tfx.components.evaluator import executor as evaluator
        from tfx.types import standard_component_specs as tfx_keys

        eval_config, has_one_model = self._eval_config
        models = {tfx_keys.MODEL_KEY: export}
        if candidate is not None and has_one_model:
            models = {tfx_keys.MODEL_KEY: candidate, tfx_keys.BASELINE_MODEL_KEY: export}
        result = self._read(self._run(evaluator.Executor, models, eval_config, name))
        if tfx_keys.BASELINE_MODEL_KEY not in models:
            return Reevaluated(best=result)
        return Reevaluated(best=_baseline_of(result), together=result)

    def _run(
        self,
        executor: Callable[[Any], Any],
        models: Mapping[str, Location],
        eval_config: Mapping[str, Any],
        name: str,
    ) -> str:
        """Runs an executor of TFX, and returns the URI of its evaluation.

        Args:
            executor: Class of the executor.
            models: Directories of the SavedModels, by the name of the executor's channel.
            eval_config: The EvalConfig as JSON.
            name: Name of the output directory.
        """
        # Importing Evaluator imports TFMA and Beam, which takes seconds: it is done on first use.
        from tfx.dsl.components.base import base_beam_executor
        from tfx.types import standard_artifacts
        from tfx.types import standard_component_specs as tfx_keys
        from tfx.utils import json_utils

        context = base_beam_executor.BaseBeamExecutor.Context(
            beam_pipeline_args=list(self._beam.pipeline_args),
            make_beam_pipeline_fn=self._beam.make_pipeline,
        )
        output_uri = self._output_uri_of(name)
        result = standard_artifacts.ModelEvaluation()
        result.uri = tensorflow_path(output_uri)
        with contextlib.ExitStack() as stack:
            inputs = {tfx_keys.EXAMPLES_KEY: [_artifact_of(each) for each in self._examples]}
            for channel, location in models.items():
                model = standard_artifacts.Model()
                model.uri = stack.enter_context(_readable(location))
                inputs[channel] = [model]
            executor(context).Do(
                inputs,
                {tfx_keys.EVALUATION_KEY: [result]},
                {
                    tfx_keys.EVAL_CONFIG_KEY: json.dumps(eval_config),
                    tfx_keys.EXAMPLE_SPLITS_KEY: json_utils.dumps(list(self._splits)),
                    _EVAL_SHARED_MODEL_FN: f"{__name__}.{load_export.__name__}",
                },
            )
        return output_uri

    def _read(self, output_uri: str, model_name: str | None = None) -> EvalResult:
        return evaluation.from_tfma(
            output_uri,
            examples_uri=self._examples_uri,
            splits=self._splits,
            span=span_of(self._examples),
            model_name=model_name,
        )

    @functools.cached_property
    def _eval_config(self) -> tuple[Mapping[str, Any], bool]:
        """Returns the candidate's EvalConfig, and whether it has one model apart from a baseline.

        Thresholds are removed: this evaluation blesses nothing. The name of an only model is
        removed too, since Evaluator adds its own baseline only to a config with one unnamed model.
        """
        eval_config = eval_config_lib.eval_config_of(self._evaluation_uri)
        specs = eval_config.get("modelSpecs", [])
        metrics_specs = eval_config.get("metricsSpecs", [])
        candidates = [spec for spec in specs if not spec.get("isBaseline")]
        if len(candidates) == 1:
            baselines = {spec.get("name", "") for spec in specs if spec.get("isBaseline")}
            candidates[0].pop("name", None)
            eval_config["modelSpecs"] = candidates
            metrics_specs = [
                spec
                for spec in metrics_specs
                if not spec.get("modelNames") or {*spec["modelNames"]} - baselines
            ]
            for spec in metrics_specs:
                spec.pop("modelNames", None)
        eval_config["metricsSpecs"] = metrics_specs
        for spec in metrics_specs:
            for thresholds in (spec, *spec.get("metrics", [])):
                for field in eval_config_lib.THRESHOLD_FIELDS:
                    thresholds.pop(field, None)
        return eval_config, len(candidates) == 1


def _baseline_of(result: EvalResult) -> EvalResult:
    if result.baseline is None:
        raise RuntimeError(
            f"cannot read the baseline's metrics at {result.uri}: Evaluator wrote none. Check"
            " the log of Evaluator above."
        )
    return result.baseline


def _artifact_of(example: InputArtifact) -> Any:
    """Returns the Examples artifact that TFX makes of the same values."""
    from ml_metadata.proto import metadata_store_pb2
    from tfx.types import standard_artifacts

    stored = metadata_store_pb2.Artifact(uri=tensorflow_path(example.uri))
    if example.is_published:
        # TFX applies the layout of the artifact's own version only if the state is not UNKNOWN.
        stored.state = metadata_store_pb2.Artifact.LIVE
    artifact = standard_artifacts.Examples()
    json_properties = {}
    for properties, values in (
        (stored.properties, example.properties),
        (stored.custom_properties, example.custom_properties),
    ):
        for name, value in values.items():
            if isinstance(value, bool):
                properties[name].bool_value = value
            elif isinstance(value, int):
                properties[name].int_value = value
            elif isinstance(value, str):
                properties[name].string_value = value
            else:
                # Values from JSON, whose numbers are floats; Examples declares no such property.
                json_properties[name] = value
    artifact.set_mlmd_artifact(stored)
    for name, value in json_properties.items():
        artifact.set_json_value_custom_property(name, value)
    return artifact


def load_export(
    eval_saved_model_path: str, model_name: str, eval_config: Any, **kwargs: Any
) -> Any:
    """Returns the SavedModel at a URI for Evaluator.

    Evaluator looks for a Model artifact's SavedModel in a subdirectory of its URI. Here, the URI
    is the directory of a SavedModel.

    Args:
        eval_saved_model_path: Subdirectory that Evaluator expects below the URI.
        model_name: Name of the model in the EvalConfig.
        eval_config: The tfma.EvalConfig.
        **kwargs: Further arguments of Evaluator for tfma.default_eval_shared_model.
    """
    import tensorflow_model_analysis as tfma

    return tfma.default_eval_shared_model(
        eval_saved_model_path=posixpath.dirname(eval_saved_model_path),
        model_name=model_name,
        eval_config=eval_config,
        **kwargs,
    )


@contextlib.contextmanager
def _readable(export: Location) -> Iterator[str]:
    """Yields a path of an export that TensorFlow can read: its URI, or the path of a copy.

    A copy is on this machine, so only Beam's local runners can read it.
    """
    local_path = export.local_path()
    if local_path or _is_read_by_tensorflow(export.uri):
        yield str(local_path or export.uri)
        return
    with tempfile.TemporaryDirectory(prefix="best_exporter-") as work_path:
        yield str(local_directory(export, Path(work_path), sorted(export.sizes())))


def _is_read_by_tensorflow(uri: str) -> bool:
    import tensorflow as tf

    try:
        return bool(tf.io.gfile.listdir(uri))
    except tf.errors.OpError:
        # TensorFlow has no file system for this scheme, or no credentials.
        return False
