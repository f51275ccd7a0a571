"""Compiles the penguin pipeline for Kubeflow Pipelines 2 and starts it there.

`python -m pipelines.kubeflow_pipeline compile --help` and `submit --help` list the arguments.
"""

import argparse
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from pipelines import command_line, compiled


def compile_pipeline(output: pathlib.Path, **arguments: Any) -> None:
    """Writes the compiled pipeline as YAML.

    Args:
        output: File to write.
        arguments: Other arguments of `compile` by name.

    Raises:
        pipelines.compiled.MissingClientError: kfp is not installed.
    """
    job = compiled.compile_job(arguments)
    # kfp depends on yaml.
    import yaml

    # A run uses this root unless it sets another one.
    spec = {**job["pipelineSpec"], "defaultPipelineRoot": arguments["pipeline_root"]}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(yaml.safe_dump(spec, sort_keys=True), encoding="utf-8")


def submit(
    pipeline: pathlib.Path,
    *,
    host: str,
    namespace: str | None = None,
    experiment: str | None = None,
    run_name: str | None = None,
    service_account: str | None = None,
) -> str:
    """Starts a compiled pipeline.

    Args:
        pipeline: File that `compile` wrote.
        host: URL of Kubeflow Pipelines.
        namespace: Namespace of the run, in a multi-user Kubeflow.
        experiment: Name of the experiment that the run belongs to.
        run_name: Name of the run.
        service_account: Kubernetes service account of the steps.

    Returns:
        The ID of the run.

    Raises:
        pipelines.compiled.MissingClientError: kfp is not installed.
    """
    compiled.require("kfp.client", package="kfp", extra="kfp")
    import kfp.client

    client = kfp.client.Client(host=host, namespace=namespace or "kubeflow")
    # The compiled pipeline sets for each step whether it may be cached.
    return client.create_run_from_pipeline_package(
        str(pipeline),
        arguments={},
        run_name=run_name,
        experiment_name=experiment,
        namespace=namespace,
        service_account=service_account,
    ).run_id


_PLATFORM = command_line.Platform(
    module="kubeflow_pipeline",
    title="Kubeflow Pipelines 2",
    format="YAML",
    output="penguin.yaml",
    compile_pipeline=compile_pipeline,
    submit=submit,
    submit_options={
        "--host": {"required": True, "help": "URL of Kubeflow Pipelines"},
        "--namespace": {"help": "namespace of the run, in a multi-user Kubeflow"},
        "--experiment": {"help": "name of the experiment that the run belongs to"},
        "--run-name": {"help": "name of the run"},
        "--service-account": {"help": "Kubernetes service account of the steps"},
    },
    run_noun="Run",
)


def create_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    return command_line.create_parser(_PLATFORM)


def main(argv: Sequence[str] | None = None) -> int:
    """Compiles the pipeline or starts it, and returns the exit code."""
    return command_line.main(_PLATFORM, argv)


if __name__ == "__main__":
    sys.exit(main())
