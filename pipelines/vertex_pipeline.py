"""Compiles the penguin pipeline for Vertex AI and starts it there.

`python -m pipelines.vertex_pipeline compile --help` and `submit --help` list the arguments.
"""

import argparse
import json
import pathlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipelines import command_line, compiled


def compile_pipeline(output: pathlib.Path, **arguments: Any) -> None:
    """Writes the compiled pipeline as JSON.

    Args:
        output: File to write.
        arguments: Other arguments of `compile` by name.

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
    labels: Mapping[str, str] | Iterable[tuple[str, str]] = (),
) -> str:
    """Starts a compiled pipeline.

    Args:
        pipeline: File that `compile` wrote.
        project: Google Cloud project.
        location: Region, such as "europe-west4".
        service_account: Service account of the steps; None for the project's default.
        network: Full name of a peered VPC network.
        encryption_key: Name of a customer-managed key.
        labels: Labels of the job, as names and values.

    Returns:
        The resource name of the job.

    Raises:
        pipelines.compiled.MissingClientError: google-cloud-aiplatform is not installed.
    """
    compiled.require("google.cloud.aiplatform", package="google-cloud-aiplatform", extra="vertex")
    from google.cloud import aiplatform

    job = aiplatform.PipelineJob(
        display_name=json.loads(pipeline.read_text(encoding="utf-8"))["displayName"],
        template_path=str(pipeline),
        # None keeps the setting that the compiled pipeline has for each step.
        enable_caching=None,
        project=project,
        location=location,
        encryption_spec_key_name=encryption_key,
        labels=dict(labels),
    )
    job.submit(service_account=service_account, network=network)
    return job.resource_name


def _label(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not name or not separator:
        raise argparse.ArgumentTypeError(f"must be NAME=VALUE (got {text!r})")
    return name, value


_PLATFORM = command_line.Platform(
    module="vertex_pipeline",
    title="Vertex AI",
    format="JSON",
    output="penguin.json",
    compile_pipeline=compile_pipeline,
    submit=submit,
    submit_options={
        "--project": {"required": True, "help": "Google Cloud project"},
        "--location": {"required": True, "help": "region, such as europe-west4"},
        "--service-account": {"help": "service account of the steps (default: the project's)"},
        "--network": {"help": "full name of a peered VPC network"},
        "--encryption-key": {"help": "name of a customer-managed key"},
        "--label": {
            "type": _label,
            "action": "append",
            "dest": "labels",
            "default": [],
            "metavar": "NAME=VALUE",
            "help": "label of the job; repeat the option for more labels",
        },
    },
    run_noun="Job",
)


def create_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    return command_line.create_parser(_PLATFORM)


def main(argv: Sequence[str] | None = None) -> int:
    """Compiles the pipeline or starts it, and returns the exit code."""
    return command_line.main(_PLATFORM, argv)


if __name__ == "__main__":
    sys.exit(main())
