"""Compiles the penguin pipeline for Kubeflow Pipelines 2, and starts it there.

`python -m pipelines.kubeflow_pipeline compile --help` and `submit --help` say how.
"""

import argparse
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from pipelines import compiled


def compile_pipeline(output: pathlib.Path, **arguments: Any) -> None:
    """Writes the compiled pipeline as YAML.

    Args:
        output: The file.
        arguments: Those of the command line, by name.

    Raises:
        pipelines.compiled.MissingClientError: kfp is not installed.
    """
    job = compiled.compile_job(arguments)
    # Comes with kfp.
    import yaml

    # A run uses this root unless it is given another one.
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
        pipeline: The compiled pipeline.
        host: URL of Kubeflow Pipelines.
        namespace: Where the run lives, in a Kubeflow of many users.
        experiment: Name of the experiment that the run belongs to.
        run_name: Name of the run.
        service_account: What the steps run as.

    Returns:
        The run's id.

    Raises:
        pipelines.compiled.MissingClientError: kfp is not installed.
    """
    compiled.require("kfp.client", package="kfp", extra="kfp")
    import kfp.client

    client = kfp.client.Client(host=host, namespace=namespace or "kubeflow")
    # What may be cached, the pipeline says for each step.
    return client.create_run_from_pipeline_package(
        str(pipeline),
        arguments={},
        run_name=run_name,
        experiment_name=experiment,
        namespace=namespace,
        service_account=service_account,
    ).run_id


def main(argv: Sequence[str] | None = None) -> int:
    """Compiles or starts the pipeline, as the command line says.

    Returns:
        The exit code: 2 if a package is missing.
    """
    parser = create_parser()
    arguments = vars(parser.parse_args(argv))
    command = arguments.pop("command")
    try:
        if command == "compile":
            compile_pipeline(**arguments)
            print(f"Compiled:  {arguments['output']}")
        else:
            print(f"Run:  {submit(**arguments)}")
    except compiled.MissingClientError as error:
        parser.error(str(error))
    return 0


def create_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.kubeflow_pipeline",
        description="The penguin pipeline on Kubeflow Pipelines 2.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    compiled.add_compile_arguments(
        commands.add_parser("compile", help="write the pipeline as YAML"), "penguin.yaml"
    )
    submit_parser = commands.add_parser("submit", help="start a compiled pipeline")
    submit_parser.add_argument("pipeline", type=pathlib.Path, help="what compile has written")
    submit_parser.add_argument("--host", required=True, help="URL of Kubeflow Pipelines")
    for flag, text in (
        ("--namespace", "where the run lives, in a Kubeflow of many users"),
        ("--experiment", "name of the experiment that the run belongs to"),
        ("--run-name", "name of the run"),
        ("--service-account", "what the steps run as"),
    ):
        submit_parser.add_argument(flag, help=text)
    return parser


if __name__ == "__main__":
    sys.exit(main())
