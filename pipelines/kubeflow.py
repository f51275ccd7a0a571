"""Writes a compiled pipeline for Kubeflow Pipelines 2, and starts it there.

The facts about Kubeflow Pipelines are from its code: versions 2.0.1 to 2.17.0.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pipelines import compiled

# Argo's rule for the names of tasks. Kubeflow Pipelines uses the id of a component as such a name
# without a change (backend/src/v2/compiler/argocompiler/dag.go).
_ARGO_NAME = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]*")
_SECRET = re.compile(
    r"(?P<name>[a-z0-9][-.a-z0-9]*):(?P<key>[-._a-zA-Z0-9]+)=(?P<variable>[A-Za-z_][A-Za-z0-9_]*)"
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SecretVariable:
    """An environment variable of BestExporter's step with a value from a Kubernetes secret.

    Attributes:
        name: Name of the secret, in the namespace of the run.
        key: Key in the secret.
        variable: Name of the environment variable.
    """

    name: str
    key: str
    variable: str

    @classmethod
    def parse(cls, text: str) -> SecretVariable:
        """Returns the value of NAME:KEY=ENV.

        Raises:
            argparse.ArgumentTypeError: The text has another form.
        """
        match = _SECRET.fullmatch(text)
        if match is None:
            raise argparse.ArgumentTypeError(f"must be NAME:KEY=ENV (got {text!r})")
        return cls(**match.groupdict())


COMPILE_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "--secret": {
        "type": SecretVariable.parse,
        "action": "append",
        "dest": "secrets",
        "default": [],
        "metavar": "NAME:KEY=ENV",
        "help": (
            "environment variable of BestExporter's step, from a key of a Kubernetes secret; for"
            " the credentials of a base directory on s3://; repeat the option for more variables"
        ),
    }
}
SUBMIT_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "--host": {"required": True, "help": "URL of Kubeflow Pipelines"},
    "--namespace": {"help": "namespace of the run, in a multi-user Kubeflow"},
    "--experiment": {"help": "name of the experiment that the run belongs to"},
    "--run-name": {"help": "name of the run"},
    "--service-account": {"help": "Kubernetes service account of the steps"},
}


def compile_pipeline(
    output: pathlib.Path, *, secrets: Sequence[SecretVariable] = (), **arguments: Any
) -> None:
    """Writes the compiled pipeline as YAML.

    Args:
        output: File to write.
        secrets: Environment variables of BestExporter's step.
        arguments: Other arguments of `compile` by name.

    Raises:
        pipelines.compiled.PipelineError: The pipeline cannot be compiled.
    """
    job = compiled.compile_job(arguments)
    spec = {**job["pipelineSpec"], "defaultPipelineRoot": arguments["pipeline_root"]}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(to_yaml(spec, {compiled.EXPORTER_ID: secrets}), encoding="utf-8")


def to_yaml(
    spec: Mapping[str, Any], secrets: Mapping[str, Iterable[SecretVariable]] | None = None
) -> str:
    """Returns a PipelineSpec, and a PlatformSpec if there are secrets, as YAML documents.

    Args:
        spec: PipelineSpec in JSON form.
        secrets: Environment variables from Kubernetes secrets, by component.

    Raises:
        pipelines.compiled.PipelineError: Argo does not accept the id of a component, or the
            pipeline has a resolver.
    """
    check_ids(spec)
    check_resolvers(spec)
    # kfp depends on yaml.
    import yaml

    executors = {
        spec["components"][component]["executorLabel"]: {"secretAsEnv": _secrets_as_env(variables)}
        for component, variables in (secrets or {}).items()
        if variables
    }
    documents: list[Mapping[str, Any]] = [spec]
    if executors:
        documents.append(
            {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}
        )
    return yaml.safe_dump_all(documents, sort_keys=True)


def check_ids(spec: Mapping[str, Any]) -> None:
    """Raises an error if Argo, which runs the pipeline, does not accept the id of a component.

    Args:
        spec: PipelineSpec in JSON form.

    Raises:
        pipelines.compiled.PipelineError: An id has another character than letters, digits and "-".
    """
    for name in _task_names(spec):
        if not _ARGO_NAME.fullmatch(name):
            remedy = re.sub(r"[^a-zA-Z0-9]+", "-", name).strip("-") or "component"
            raise compiled.PipelineError(
                "the id of a component must have only letters, digits and '-', and begin with a"
                f" letter or a digit, on Kubeflow Pipelines (got {name!r}). Call"
                f" .with_id({remedy!r})."
            )


def check_resolvers(spec: Mapping[str, Any]) -> None:
    """Raises an error if the pipeline has a resolver, which no release of Kubeflow Pipelines runs.

    The error of its API server names neither the resolver nor a remedy
    (backend/src/v2/compiler/visitor.go).

    Args:
        spec: PipelineSpec in JSON form.

    Raises:
        pipelines.compiled.PipelineError: The pipeline has a resolver.
    """
    executors = spec.get("deploymentSpec", {}).get("executors", {})
    for name, component in spec.get("components", {}).items():
        if "resolver" in executors.get(component.get("executorLabel"), {}):
            raise compiled.PipelineError(
                "a pipeline must have no Resolver on Kubeflow Pipelines (got"
                f" {name!r}). Leave it out. To compare the candidate and the best on the same"
                " examples, pass examples= to BestExporter."
            )


def _task_names(spec: Mapping[str, Any]) -> Iterator[str]:
    for component in (spec["root"], *spec.get("components", {}).values()):
        yield from component.get("dag", {}).get("tasks", {})


def _secrets_as_env(variables: Iterable[SecretVariable]) -> list[dict[str, Any]]:
    """Returns the messages SecretAsEnv of kubernetes_platform, one for each secret.

    Version 2.0 reads only `secretName`. All later versions read it too, although it is deprecated.
    """
    keys_by_name: dict[str, list[dict[str, str]]] = {}
    for each in variables:
        entry = {"secretKey": each.key, "envVar": each.variable}
        keys_by_name.setdefault(each.name, []).append(entry)
    return [{"secretName": name, "keyToEnv": entries} for name, entries in keys_by_name.items()]


def submit(
    pipeline: pathlib.Path,
    *,
    host: str,
    pipeline_root: str | None = None,
    parameters: Mapping[str, str] | None = None,
    namespace: str | None = None,
    experiment: str | None = None,
    run_name: str | None = None,
    service_account: str | None = None,
) -> str:
    """Starts a compiled pipeline.

    Args:
        pipeline: File that `compile` wrote.
        host: URL of Kubeflow Pipelines.
        pipeline_root: Directory of all artifacts; None for the one in the file.
        parameters: Values of the pipeline's parameters by name.
        namespace: Namespace of the run, in a multi-user Kubeflow.
        experiment: Name of the experiment that the run belongs to.
        run_name: Name of the run.
        service_account: Kubernetes service account of the steps.

    Returns:
        The ID of the run.

    Raises:
        pipelines.compiled.PipelineError: kfp is not installed, or a parameter is wrong.
    """
    compiled.require("kfp.client", package="kfp", extra="kfp")
    import kfp.client
    import yaml

    spec = next(iter(yaml.safe_load_all(pipeline.read_text(encoding="utf-8"))))
    values = compiled.parameter_values(spec, parameters or {})
    client = kfp.client.Client(host=host, namespace=namespace or "kubeflow")
    # The compiled pipeline sets for each step whether it may be cached.
    return client.create_run_from_pipeline_package(
        str(pipeline),
        arguments=values,
        # The backend reads the root from the run only, never from the pipeline
        # (backend/src/v2/driver/root_dag.go). Without it, artifacts go to another root.
        pipeline_root=pipeline_root or spec.get("defaultPipelineRoot"),
        run_name=run_name,
        experiment_name=experiment,
        namespace=namespace,
        service_account=service_account,
    ).run_id
