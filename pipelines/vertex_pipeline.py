"""Compiles the penguin pipeline for Vertex AI, and starts it there.

`python -m pipelines.vertex_pipeline compile --help` and `submit --help` say how.
"""

import argparse
import json
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines import compiled


def compile_pipeline(output: pathlib.Path, **arguments: Any) -> None:
    """Writes the compiled pipeline as JSON.

    Args:
        output: The file.
        arguments: Those of the command line, by name.

    Raises:
        pipelines.compiled.MissingClientError: kfp is not installed.
    """
    job = compiled.compile_job(arguments)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(job, indent=2, sort_keys=True), encoding="utf-8")


def submit(
    pipeline: pathlib.Path,
    *,
    project: str,
    location: str,
    service_account: str | None = None,
    network: str | None = None,
    encryption_key: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> str:
    """Starts a compiled pipeline.

    Args:
        pipeline: The compiled pipeline.
        project: Google Cloud project.
        location: Region, such as "europe-west4".
        service_account: What the steps run as. None: the project's default one.
        network: Full name of a peered VPC network.
        encryption_key: Name of a customer-managed key.
        labels: Of the job.

    Returns:
        The job's resource name.

    Raises:
        pipelines.compiled.MissingClientError: google-cloud-aiplatform is not installed.
    """
    compiled.require("google.cloud.aiplatform", package="google-cloud-aiplatform", extra="vertex")
    from google.cloud import aiplatform

    job = aiplatform.PipelineJob(
        display_name=json.loads(pipeline.read_text(encoding="utf-8"))["displayName"],
        template_path=str(pipeline),
        # What may be cached, the pipeline says for each step.
        enable_caching=None,
        project=project,
        location=location,
        encryption_spec_key_name=encryption_key,
        labels=dict(labels or {}),
    )
    job.submit(service_account=service_account, network=network)
    return job.resource_name


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
            labels = dict(arguments.pop("label"))
            print(f"Job:  {submit(**arguments, labels=labels)}")
    except compiled.MissingClientError as error:
        parser.error(str(error))
    return 0


def _label(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not name or not separator:
        raise argparse.ArgumentTypeError(f"must be NAME=VALUE (got {text!r})")
    return name, value


def create_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.vertex_pipeline",
        description="The penguin pipeline on Vertex AI.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    compiled.add_compile_arguments(
        commands.add_parser("compile", help="write the pipeline as JSON"), "penguin.json"
    )
    submit_parser = commands.add_parser("submit", help="start a compiled pipeline")
    submit_parser.add_argument("pipeline", type=pathlib.Path, help="what compile has written")
    submit_parser.add_argument("--project", required=True, help="Google Cloud project")
    submit_parser.add_argument("--location", required=True, help="region, such as europe-west4")
    for flag, text in (
        ("--service-account", "what the steps run as (default: the project's own)"),
        ("--network", "full name of a peered VPC network"),
        ("--encryption-key", "name of a customer-managed key"),
    ):
        submit_parser.add_argument(flag, help=text)
    submit_parser.add_argument(
        "--label", type=_label, action="append", default=[], metavar="NAME=VALUE", help="of the job"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
