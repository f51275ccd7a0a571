"""Compiles the penguin pipeline for Kubeflow Pipelines 2 or Vertex AI, and starts it there.

    python -m pipelines.compiled --platform kubeflow compile --help
    python -m pipelines.compiled --platform vertex submit --help

TFX has one compiler for both platforms. Each platform writes the compiled PipelineJob to its own
file. The compiled pipeline has no resolver, because Kubeflow Pipelines does not run resolvers.
"""

from __future__ import annotations

import importlib
import json
import logging
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfx import v1 as tfx
    from tfx.dsl.components.base import base_node

_logger = logging.getLogger(__name__)

EXPORTER_ID = "BestExporter"
# The image contains this function, so no wheel of the trainer module is needed.
RUN_FN = "pipelines.penguin.trainer_module.run_fn"

# Our entry point starts a BestExporter without importing TFX. It runs every other component with
# TFX's own entry point.
ENTRY_POINT = ["python", "-m", "tfx_best_exporter.executor.container"]

# TFX's compiler writes no retries, so an evicted pod fails the run. A step of BestExporter that
# runs again finishes or removes the work of the first attempt. Argo reads whole seconds.
RETRY_POLICY: Mapping[str, Any] = {
    "maxRetryCount": 2,
    "backoffDuration": "30s",
    "backoffFactor": 2.0,
    "backoffMaxDuration": "600s",
}

# Key of the image of all other components in KubeflowV2DagRunnerConfig.default_image. Its source is
# DEFAULT_IMAGE_PATH_KEY of tfx.orchestration.kubeflow.v2.pipeline_builder.
_OTHER_COMPONENTS = "default_image_path"
# Arguments with which a step of BestExporter loads TensorFlow or TFX.
_NOT_LIGHT = ("module_file", "serving_signatures_fn", "as_text")
# Storages without TensorFlow. Artifacts on minio:// are in a local folder of the launcher.
_LIGHT_SCHEMES = ("file", "gs", "s3", "minio")


class PipelineError(Exception):
    """The pipeline cannot be compiled or started; the message contains the remedy."""


class MissingClientError(PipelineError):
    """A package of an extra of tfx-best-exporter is not installed."""


def compile_job(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the penguin pipeline as a PipelineJob in JSON form.

    Args:
        arguments: Arguments of `compile` by name, without those of one platform.

    Raises:
        MissingClientError: kfp is not installed.
        PipelineError: See compile_pipeline.
    """
    require("kfp.pipeline_spec", package="kfp", extra="kfp")
    # Imports of TensorFlow and TFX take half a minute; --help should not.
    from pipelines import penguin_pipeline
    from pipelines.penguin import trainer_module

    hyperparameters = dict(arguments)
    image = hyperparameters.pop("image")
    light_image = hyperparameters.pop("light_image", None)
    pipeline = penguin_pipeline.create_pipeline(
        pipeline_root=hyperparameters.pop("pipeline_root"),
        base_directory=hyperparameters.pop("base_directory"),
        data_root=hyperparameters.pop("data_root"),
        exports_to_keep=hyperparameters.pop("exports_to_keep") or None,
        enable_cache=hyperparameters.pop("enable_cache"),
        run_fn=hyperparameters.pop("run_fn", None),
        passes_examples=hyperparameters.pop("passes_examples", True),
        hyperparameters=trainer_module.Hyperparameters(**hyperparameters),
    )
    return compile_pipeline(pipeline, image=image, light_image=light_image)


def compile_pipeline(
    pipeline: tfx.dsl.Pipeline, *, image: str, light_image: str | None = None
) -> dict[str, Any]:
    """Returns a pipeline as a PipelineJob in JSON form, with what TFX's compiler leaves out.

    BestExporter and file-based ExampleGens are not cached, and BestExporter is retried.

    Args:
        pipeline: Any pipeline of TFX.
        image: Image of the steps.
        light_image: Image of BestExporter's steps; None for `image`.

    Raises:
        PipelineError: TFX cannot write to the pipeline root, or a step needs more than the light
            image has.
    """
    from tfx import v1 as tfx
    from tfx.components.example_gen.component import FileBasedExampleGen

    from tfx_best_exporter.component import BestExporter

    _check_module_files(pipeline)
    exporters = [node for node in pipeline.components if isinstance(node, BestExporter)]
    for node in exporters:
        _warn_without_examples(node)
    images: str | dict[str, str] = image
    if light_image is not None:
        for node in exporters:
            _check_light(node, pipeline.pipeline_info.pipeline_root)
        images = {_OTHER_COMPONENTS: image, **{node.id: light_image for node in exporters}}
    config = tfx.orchestration.experimental.KubeflowV2DagRunnerConfig(
        default_image=images,
        default_commands=ENTRY_POINT,
        # Kubeflow Pipelines 2 requires version 2.1. Vertex AI accepts 2.0 and 2.1.
        use_pipeline_spec_2_1=True,
    )
    runner = tfx.orchestration.experimental.KubeflowV2DagRunner(config)
    job = runner.run(pipeline, write_out=False)
    for node in pipeline.components:
        # No driver of an ExampleGen runs, so the key of the cache does not change with the files.
        if isinstance(node, (BestExporter, FileBasedExampleGen)):
            disable_cache(job, node.id)
    for node in exporters:
        job["pipelineSpec"]["root"]["dag"]["tasks"][node.id]["retryPolicy"] = dict(RETRY_POLICY)
    return job


def disable_cache(job: dict[str, Any], node_id: str) -> None:
    """Makes a step run in every run of the pipeline.

    The cache keys of these platforms do not change when the served model does.

    Args:
        job: PipelineJob in JSON form; modified in place.
        node_id: ID of the step.
    """
    job["pipelineSpec"]["root"]["dag"]["tasks"][node_id]["cachingOptions"] = {}


def parameter_values(spec: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    """Returns the values of a pipeline's parameters, in the types that the pipeline declares.

    Args:
        spec: Compiled PipelineSpec in JSON form.
        given: Values by name, as text.

    Raises:
        PipelineError: The pipeline has no such parameter, or the value has another type.
    """
    declared = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    values: dict[str, Any] = {}
    for name, text in given.items():
        if name not in declared:
            raise PipelineError(
                f"--parameter must name a parameter of the pipeline (got {name!r}). The pipeline"
                f" has: {', '.join(sorted(declared)) or 'none'}."
            )
        kind = declared[name]["parameterType"]
        try:
            values[name] = _CONVERTERS.get(kind, str)(text)
        except ValueError as error:
            raise PipelineError(
                f"--parameter {name} must be a {kind} (got {text!r}). Pass a number."
            ) from error
    return values


# TFX's RuntimeParameter has one of the types str, int and float.
_CONVERTERS: Mapping[str, Any] = {"NUMBER_INTEGER": int, "NUMBER_DOUBLE": float}


def require(module: str, *, package: str, extra: str) -> None:
    """Raises an error with a remedy if a package is not installed.

    Args:
        module: Name of a module of the package.
        package: Name of the package.
        extra: Extra of tfx-best-exporter that installs the package.

    Raises:
        MissingClientError: The package is not installed.
    """
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        # The missing module may belong to a dependency of the package: that is another error.
        if not error.name or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise MissingClientError(
            f"{package} is not installed. Run: pip install './tfx-best-exporter[{extra}]'"
        ) from error


def _warn_without_examples(node: base_node.BaseNode) -> None:
    """Warns about an exporter that cannot compare a best that another tool wrote.

    No driver runs on these platforms, so ML Metadata supplies no evaluation.
    """
    if "examples" not in node.inputs:
        _logger.warning(
            "%s has no examples: a best without a record, such as one that Pusher pushed, has no"
            " known evaluation on this platform and is kept (on_unknown_best is KEEP). Pass"
            " examples=, so that BestExporter can evaluate it.",
            node.id,
        )


def _check_module_files(pipeline: tfx.dsl.Pipeline) -> None:
    """Raises an error if TFX would write the wheel of a module file to a root that it cannot write.

    TFX's error is a stack trace of its file layer, or of pip in a step.
    """
    root = pipeline.pipeline_info.pipeline_root
    packaged = [
        node.id
        for node in pipeline.components
        # TFX packs no module file whose path is known only when the pipeline runs.
        if isinstance(node.exec_properties.get("module_file"), str)
    ]
    if packaged and not _is_writable(root):
        raise PipelineError(
            "pipeline_root must be a directory that TFX can write if a component has a module_file,"
            f" because TFX writes a wheel of it there (got {root!r}, for {', '.join(packaged)})."
            " Put the code into the image, and pass its dotted name instead of the file. The"
            f" penguin pipeline does so with --run-fn {RUN_FN}."
        )


def _is_writable(root: str) -> bool:
    """Returns True if TFX's file layer has the scheme of a URI in this process."""
    import tensorflow as tf
    from tfx.dsl.io.plugins.tensorflow_gfile import TensorflowFilesystem

    scheme, separator, _ = root.partition("://")
    if not separator:
        return True
    # TFX passes s3:// to TensorFlow, which reads it only with a plug-in.
    is_known_to_tfx = f"{scheme}://" in TensorflowFilesystem.SUPPORTED_SCHEMES
    return is_known_to_tfx and scheme in tf.io.gfile.get_registered_schemes()


def _check_light(node: Any, pipeline_root: str) -> None:
    """Raises an error if a step of BestExporter needs TensorFlow, as far as its arguments say."""
    reasons = [name for name in ("examples",) if name in node.inputs]
    reasons += [name for name in _NOT_LIGHT if node.exec_properties.get(name)]
    if reasons:
        raise PipelineError(
            f"light_image must not be set for a step that loads TensorFlow (got {node.id} with"
            f" {', '.join(reasons)}). Use the full image for it, or leave out"
            f" {', '.join(reasons)}."
        )
    for name, uri in {"pipeline_root": pipeline_root, **_uris_in(node)}.items():
        scheme, separator, _ = uri.partition("://")
        if separator and scheme.lower() not in _LIGHT_SCHEMES:
            raise PipelineError(
                "light_image must not be set for a step that accesses another storage than a local"
                f" disk, gs://, s3:// or minio:// (got {node.id} with {name} {uri!r}). Use the full"
                " image for it, or one of these storages."
            )


def _uris_in(node: Any) -> dict[str, str]:
    """Returns the paths and URIs in the arguments of a BestExporter, by argument.

    The value of a RuntimeParameter is known only when the pipeline runs.
    """
    from tfx_best_exporter.executor.arguments import destination

    texts = {name: value for name, value in node.exec_properties.items() if isinstance(value, str)}
    result = {}
    if "push_destination" in texts:
        result["push_destination"] = destination.base_directory_of(texts["push_destination"])
    if "state_directory" in texts:
        result["state_directory"] = texts["state_directory"]
    for place, source in json.loads(texts.get("assets_extra") or "{}").items():
        result[f"assets_extra[{place!r}]"] = source
    return result


def main() -> int:
    """Compiles the pipeline or starts it, and returns the exit code."""
    from pipelines import command_line

    return command_line.main()


if __name__ == "__main__":
    sys.exit(main())
