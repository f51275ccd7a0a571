"""Compiles the penguin pipeline to a PipelineJob, of which each platform writes its own file.

TFX has one compiler for Kubeflow Pipelines 2 and for Vertex AI. No resolver is in the pipeline:
Kubeflow Pipelines runs none.
"""

import importlib
from collections.abc import Mapping
from typing import Any

EXPORTER_ID = "BestExporter"


class MissingClientError(Exception):
    """A package that an extra brings is not installed."""


# TFX's own for every component but a BestExporter without examples, for which it imports less. With
# examples, as here, it runs Evaluator, and what that imports.
ENTRY_POINT = ["python", "-m", "tfx_best_exporter.executor.container"]


def compile_job(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the pipeline as a PipelineJob in its JSON form.

    Args:
        arguments: Arguments of the command `compile` by name, without `output`.

    Raises:
        MissingClientError: kfp is not installed.
    """
    require("kfp.pipeline_spec", package="kfp", extra="kfp")
    # Imported here: TensorFlow and TFX take half a minute, --help should not.
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
        # What Kubeflow Pipelines 2 reads. Vertex AI reads 2.0 too.
        use_pipeline_spec_2_1=True,
    )
    runner = tfx.orchestration.experimental.KubeflowV2DagRunner(config)
    job = runner.run(pipeline, write_out=False)
    disable_cache(job, EXPORTER_ID)
    return job


def disable_cache(job: dict[str, Any], node_id: str) -> None:
    """Makes a step run every time: no key of a cache there holds what is served.

    Args:
        job: A PipelineJob in its JSON form; changed in place.
        node_id: Of the step.
    """
    job["pipelineSpec"]["root"]["dag"]["tasks"][node_id]["cachingOptions"] = {}


def require(module: str, *, package: str, extra: str) -> None:
    """Raises an error with a remedy if a package is not installed.

    Args:
        module: One of the package's modules.
        package: Its name.
        extra: The extra of tfx-best-exporter that brings it.

    Raises:
        MissingClientError: It is not.
    """
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        # What is missing may be something that the package itself should have brought.
        if not error.name or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise MissingClientError(
            f"{package} must be installed (found none)."
            f" Run: pip install './tfx-best-exporter[{extra}]'"
        ) from error
