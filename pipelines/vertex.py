"""Writes a compiled pipeline for Vertex AI, and starts it there."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from pipelines import compiled
from pipelines.arguments import name_and_value

SUBMIT_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "--project": {"required": True, "help": "Google Cloud project"},
    "--location": {"required": True, "help": "region, such as europe-west4"},
    "--service-account": {"help": "service account of the steps (default: the project's)"},
    "--network": {"help": "full name of a peered VPC network"},
    "--encryption-key": {"help": "name of a customer-managed key"},
    "--label": {
        "type": name_and_value,
        "action": "append",
        "dest": "labels",
        "default": [],
        "metavar": "NAME=VALUE",
        "help": "label of the job; repeat the option for more labels",
    },
}


def compile_pipeline(output: pathlib.Path, **arguments: Any) -> None:
    """Writes the compiled pipeline as JSON.

    Args:
        output: File to write.
        arguments: Other arguments of `compile` by name.

    Raises:
        pipelines.compiled.PipelineError: The pipeline cannot be compiled.
    """
    job = compiled.compile_job(arguments)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(job, indent=2, sort_keys=True), encoding="utf-8")


def submit(
    pipeline: pathlib.Path,
    *,
    project: str,
    location: str,
    pipeline_root: str | None = None,
    parameters: Mapping[str, str] | None = None,
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
        pipeline_root: Directory of all artifacts; None for the one in the file.
        parameters: Values of the pipeline's parameters by name.
        service_account: Service account of the steps; None for the project's default.
        network: Full name of a peered VPC network.
        encryption_key: Name of a customer-managed key.
        labels: Labels of the job, as names and values.

    Returns:
        The resource name of the job.

    Raises:
        pipelines.compiled.PipelineError: google-cloud-aiplatform is not installed, or a parameter
            is wrong.
    """
    compiled.require("google.cloud.aiplatform", package="google-cloud-aiplatform", extra="vertex")
    from google.cloud import aiplatform

    content = json.loads(pipeline.read_text(encoding="utf-8"))
    job = aiplatform.PipelineJob(
        display_name=content["displayName"],
        template_path=str(pipeline),
        pipeline_root=pipeline_root or content["runtimeConfig"]["gcsOutputDirectory"],
        parameter_values=compiled.parameter_values(content["pipelineSpec"], parameters or {}),
        # None keeps the setting that the compiled pipeline has for each step.
        enable_caching=None,
        project=project,
        location=location,
        encryption_spec_key_name=encryption_key,
        labels=dict(labels),
    )
    job.submit(service_account=service_account, network=network)
    return job.resource_name
