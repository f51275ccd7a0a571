"""An entry point of containers that imports for BestExporter what BestExporter needs.

TFX's own entry point, `tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor`, imports
every component of TFX, and with them Apache Beam, TFMA and a client of Kubernetes. This one imports
TensorFlow and what of TFX knows artifacts. It takes the same arguments and writes the same output;
it hands every other component over to TFX's.

Example:
    KubeflowV2DagRunnerConfig(
        default_image=image,
        default_commands=["python", "-m", "tfx_best_exporter.executor.container"],
    )
"""

from __future__ import annotations

import argparse
import hashlib
import os
import runpy
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from absl import app, logging
from absl.flags import argparse_flags
from google.protobuf import json_format
from ml_metadata.proto import metadata_store_pb2

# kfp, where all of it is installed, takes this for a container, and leaves its client out.
os.environ.setdefault("_KFP_RUNTIME", "true")
try:
    from kfp.pipeline_spec import pipeline_spec_pb2
except ModuleNotFoundError as error:
    # kfp itself, which brings the same package, may lack something else.
    if (error.name or "").partition(".")[0] != "kfp":
        raise
    message = (
        f"kfp-pipeline-spec must be installed in the image (got {type(error).__name__}: {error})."
        " Run: pip install kfp-pipeline-spec."
    )
    if __name__ == "__main__":
        sys.exit(message)
    raise ModuleNotFoundError(message, name=error.name) from error

OUR_EXECUTOR = "tfx_best_exporter.executor.executor.Executor"
TFX_ENTRY_POINT = "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor"

# As tfx.types.artifact has them: what a JSON value that is no object is wrapped in, and what a
# custom property is called where the artifact type has a property of its name.
_SINGLE_VALUE = "__value__"
_CUSTOM_PREFIX = "custom:"


def run(arguments: argparse.Namespace, extra_flags: Sequence[str]) -> None:
    """Runs BestExporter's executor on an ExecutorInput, and writes the ExecutorOutput.

    Args:
        arguments: As parse_arguments returns them.
        extra_flags: The other words of the command line.

    Raises:
        See Executor.Do.
    """
    logging.set_verbosity(logging.INFO)
    # TensorFlow comes with the first of TFX's modules: who asks for --help does not wait for it.
    from tfx.dsl.components.base import base_executor
    from tfx.dsl.io import fileio

    from tfx_best_exporter.executor.executor import Executor

    executor_input = json_format.Parse(
        arguments.json_serialized_invocation_args,
        pipeline_spec_pb2.ExecutorInput(),
        ignore_unknown_fields=True,
    )
    inputs_spec = None
    if arguments.json_serialized_inputs_spec_args:
        inputs_spec = json_format.Parse(
            arguments.json_serialized_inputs_spec_args,
            pipeline_spec_pb2.ComponentInputsSpec(),
            ignore_unknown_fields=True,
        )
    names: dict[int, str] = {}
    inputs, outputs = (
        {
            key: [_artifact_of(each, names) for each in value.artifacts]
            for key, value in part.items()
        }
        for part in (executor_input.inputs.artifacts, executor_input.outputs.artifacts)
    )
    output_file = executor_input.outputs.output_file
    task_root = os.path.dirname(output_file)
    context = base_executor.BaseExecutor.Context(
        extra_flags=list(extra_flags),
        tmp_dir=os.path.join(task_root, ".temp"),
        unique_id=os.path.basename(task_root),
    )
    Executor(context).Do(inputs, outputs, _exec_properties_of(executor_input.inputs, inputs_spec))
    executor_output = pipeline_spec_pb2.ExecutorOutput()
    for key, [artifact] in outputs.items():
        executor_output.artifacts[key].artifacts.append(_runtime_artifact_of(artifact, names))
    fileio.makedirs(task_root)
    with fileio.open(output_file, "wb") as file:
        file.write(json_format.MessageToJson(executor_output))


def _exec_properties_of(inputs: Any, inputs_spec: Any | None) -> dict[str, Any]:
    """Returns the exec properties.

    Args:
        inputs: Of an ExecutorInput.
        inputs_spec: The ComponentInputsSpec, which a pipeline of schema 2.1 gives; None for 2.0.
    """
    if inputs_spec is None:
        return {
            name: getattr(value, value.WhichOneof("value"))
            for name, value in inputs.parameters.items()
        }
    result = {}
    for name, value in inputs.parameter_values.items():
        result[name] = json_format.MessageToDict(value)
        kind = inputs_spec.parameters[name].parameter_type
        # JSON has no integers of its own.
        if kind == pipeline_spec_pb2.ParameterType.NUMBER_INTEGER:
            result[name] = int(result[name])
    return result


def _artifact_of(message: Any, names: dict[int, str]) -> Any:
    """Returns the artifact that a RuntimeArtifact stands for.

    Args:
        message: The RuntimeArtifact.
        names: Is given its name by its id: a platform's ids are strings, those of TFX integers.
    """
    from tfx.orchestration.kubeflow.v2 import compiler_utils
    from tfx.utils import import_utils

    title = message.type.schema_title
    if not title:
        title = yaml.safe_load(message.type.instance_schema).get("title", "tfx.Artifact")
    path = compiler_utils.TITLE_TO_CLASS_PATH.get(title, title)
    artifact = import_utils.import_class_by_path(path)()
    stored = metadata_store_pb2.Artifact(uri=message.uri)
    if message.name:
        digest = hashlib.sha256(message.name.encode()).hexdigest()
        stored.id = int(digest, 16) % (1 << 63)
        names[stored.id] = message.name
    for values, properties in (
        (message.properties, stored.properties),
        (message.custom_properties, stored.custom_properties),
    ):
        for name, value in values.items():
            properties[name].CopyFrom(compiler_utils.get_mlmd_value(value))
    declared = artifact.artifact_type.properties
    for name, value in json_format.MessageToDict(message.metadata).items():
        if name in declared and _fits(value, declared[name]):
            _set(stored.properties[name], value, declared[name])
        else:
            custom_name = name.removeprefix(_CUSTOM_PREFIX)
            stored.custom_properties[
                custom_name if custom_name in declared else name
            ].struct_value.update(value if isinstance(value, dict) else {_SINGLE_VALUE: value})
    artifact.set_mlmd_artifact(stored)
    return artifact


def _fits(value: Any, property_type: int) -> bool:
    """Returns whether a value that was JSON, where numbers are floats, has a property's type."""
    kinds = {
        metadata_store_pb2.INT: float,
        metadata_store_pb2.DOUBLE: float,
        metadata_store_pb2.STRING: str,
    }
    return isinstance(value, kinds.get(property_type, ()))


def _set(stored: Any, value: Any, property_type: int) -> None:
    if property_type == metadata_store_pb2.INT:
        stored.int_value = int(value)
    elif property_type == metadata_store_pb2.DOUBLE:
        stored.double_value = value
    else:
        stored.string_value = value


def _runtime_artifact_of(artifact: Any, names: Mapping[int, str]) -> Any:
    """Returns an output as the platform reads it."""
    from tfx import version
    from tfx.types import artifact_utils

    version_key = artifact_utils.ARTIFACT_TFX_VERSION_CUSTOM_PROPERTY_KEY
    if not artifact.has_custom_property(version_key):
        artifact.set_string_custom_property(version_key, version.__version__)
    stored = artifact.mlmd_artifact
    result = pipeline_spec_pb2.RuntimeArtifact(uri=artifact.uri, name=names.get(stored.id, ""))
    for name, value in stored.properties.items():
        result.metadata[name] = _json_of(value)
    for name, value in stored.custom_properties.items():
        is_declared = name in artifact.artifact_type.properties
        result.metadata[f"{_CUSTOM_PREFIX}{name}" if is_declared else name] = _json_of(value)
    return result


def _json_of(value: Any) -> Any:
    """Returns a value of ML Metadata as JSON."""
    if value.HasField("struct_value"):
        content = json_format.MessageToDict(value.struct_value)
        return content.get(_SINGLE_VALUE, content)
    return getattr(value, value.WhichOneof("value"))


def parse_arguments(argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Returns the arguments that TFX's compiler writes, and the other words.

    Args:
        argv: The command line, the program included.
    """
    parser = argparse_flags.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--executor_class_path", required=True)
    parser.add_argument("--json_serialized_invocation_args", required=True)
    parser.add_argument("--json_serialized_inputs_spec_args")
    return parser.parse_known_args(argv[1:])


def main() -> None:
    """Runs the component that the command line names."""
    if parse_arguments(sys.argv)[0].executor_class_path == OUR_EXECUTOR:
        app.run(lambda parsed: run(*parsed), flags_parser=parse_arguments)
    else:
        runpy.run_module(TFX_ENTRY_POINT, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
