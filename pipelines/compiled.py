"""Compiles the penguin pipeline to a PipelineJob, which each platform writes to its own file.

TFX has one compiler for Kubeflow Pipelines 2 and Vertex AI. The compiled pipeline has no resolver,
because Kubeflow Pipelines does not run resolvers.
"""

import importlib
from collections.abc import Mapping
from typing import Any

EXPORTER_ID = "BestExporter"


class MissingClientError(Exception):
    """A package of an extra of tfx-best-exporter is not installed."""


# Our entry point starts a BestExporter without importing TFX. It runs every other component with
# TFX's own entry point.
ENTRY_POINT = ["python", "-m", "tfx_best_exporter.executor.container"]


def compile_job(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the pipeline as a PipelineJob in JSON form.

    Args:
        arguments: Arguments of `compile` by name, without `output`.

    Raises:
        MissingClientError: kfp is not installed.
    """
    require("kfp.pipeline_spec", package="kfp", extra="kfp")
    # Imports of TensorFlow and TFX take half a minute; --help should not.
    from tfx import v1 as tfx

    from pipelines import penguin_pipeline
    from pipelines.penguin import trainer_module

    hyperparameters = dict(arguments)
    image = hyperparameters.pop("image")
    pipeline = penguin_pipeline.create_pipeline(
        pipeline_root=hyperparameters.pop("pipeline_root"),
        base_directory=hyperparameters.pop("base_directory"),
        data_root=hyperparameters.pop("data_root"),
        exports_to_keep=hyperparameters.pop("exports_to_keep") or None,
        enable_cache=hyperparameters.pop("enable_cache"),
        hyperparameters=trainer_module.Hyperparameters(**hyperparameters),
    )
    config = tfx.orchestration.experimental.KubeflowV2DagRunnerConfig(
        default_image=image,
        default_commands=ENTRY_POINT,
        # Kubeflow Pipelines 2 requires version 2.1. Vertex AI accepts 2.0 and 2.1.
        use_pipeline_spec_2_1=True,
    )
    runner = tfx.orchestration.experimental.KubeflowV2DagRunner(config)
    job = runner.run(pipeline, write_out=False)
    disable_cache(job, EXPORTER_ID)
    return job


def disable_cache(job: dict[str, Any], node_id: str) -> None:
    """Makes a step run in every run of the pipeline.

    The cache keys of these platforms do not change when the served model does.

    Args:
        job: PipelineJob in JSON form; modified in place.
        node_id: ID of the step.
    """
    job["pipelineSpec"]["root"]["dag"]["tasks"][node_id]["cachingOptions"] = {}


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
