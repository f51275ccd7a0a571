"""Translates ExecutorInput and ExecutorOutput, the JSON of containers on Kubeflow and Vertex AI.

The rules are those of `kubeflow_v2_entrypoint_utils` of TFX, but the results are values: TFX's
artifact classes and ML Metadata's messages import TensorFlow. An artifact's channel determines its
type, so its schema is not read.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from google.protobuf import json_format

from tfx_best_exporter.executor import keys
from tfx_best_exporter.executor.arguments.artifacts import TFX_VERSION_PROPERTY, InputArtifact
from tfx_best_exporter.executor.evaluations import reevaluation
from tfx_best_exporter.executor.running import exec_properties as exec_properties_lib
from tfx_best_exporter.executor.running import step
from tfx_best_exporter.proto import kubeflow_pb2

# These properties are declared in tfx.types.standard_artifacts. Each has the converter of its JSON
# value. The artifact types of all other channels declare no property.
_DECLARED: Mapping[str, Mapping[str, Callable[[Any], Any]]] = {
    keys.EXAMPLES_KEY: {"span": int, "version": int, "split_names": str},
}
# TFX adds this prefix to a custom property with the name of a declared one
# (CUSTOM_PROPERTIES_PREFIX of tfx.types.artifact).
_CUSTOM_PREFIX = "custom:"
# The ExecutorInput of a step that takes the artifact is one word of a command line, with at most
# 131,071 bytes on Linux (MAX_ARG_STRLEN). The limit leaves room for five artifacts.
_MAX_METADATA_BYTES = 24_000
# Length of a property's name in ML Metadata on MySQL:
# https://github.com/google/ml-metadata/blob/master/ml_metadata/util/metadata_source_query_config.cc
_MAX_NAME_LENGTH = 255

_logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OutputArtifact:
    """An output artifact that the platform created.

    Attributes:
        name: Resource name in the platform's metadata store; empty without one.
        value: URI and current properties.
    """

    name: str
    value: InputArtifact


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ContainerTask:
    """Task of a container.

    Attributes:
        inputs: Input artifacts by channel.
        outputs: Output artifact of each channel.
        exec_properties: As TFX stores them.
        output_file: Path or URI of the ExecutorOutput.
        tfx_version: Version of TFX, which every output artifact carries.
    """

    inputs: Mapping[str, Sequence[InputArtifact]]
    outputs: Mapping[str, OutputArtifact]
    exec_properties: Mapping[str, Any]
    output_file: str
    tfx_version: str

    def step_inputs(self, beam_pipeline_args: Sequence[str]) -> step.StepInputs:
        """Returns the inputs of the step, without provenance: a container has no pipeline context.

        Args:
            beam_pipeline_args: Words of the command line that are not arguments of the entry
                point. TFX's compiler appends the pipeline's beam_pipeline_args there.

        Raises:
            See exec_properties.parsed.
        """
        return step.StepInputs(
            artifacts=self.inputs,
            exec_properties=exec_properties_lib.parsed(self.exec_properties),
            output_uris={channel: each.value.uri for channel, each in self.outputs.items()},
            beam=reevaluation.Beam(pipeline_args=tuple(beam_pipeline_args)),
        )


def read(invocation: str, inputs_spec: str | None = None) -> ContainerTask:
    """Returns the task in the arguments of an entry point.

    Args:
        invocation: An ExecutorInput as JSON. Unknown fields are ignored.
        inputs_spec: A ComponentInputsSpec as JSON, from a pipeline of schema 2.1; None for a
            pipeline of schema 2.0.

    Raises:
        google.protobuf.json_format.ParseError: An argument is not the JSON of its message.
        ValueError: An output has no artifact, or several.
    """
    message = json_format.Parse(
        invocation, kubeflow_pb2.ExecutorInput(), ignore_unknown_fields=True
    )
    spec = None
    if inputs_spec:
        spec = json_format.Parse(
            inputs_spec, kubeflow_pb2.ComponentInputsSpec(), ignore_unknown_fields=True
        )
    return ContainerTask(
        inputs={
            channel: tuple(_value_of(each, channel) for each in found.artifacts)
            for channel, found in message.inputs.artifacts.items()
        },
        outputs={
            channel: _output_of(found, channel)
            for channel, found in message.outputs.artifacts.items()
        },
        exec_properties=_exec_properties_of(message.inputs, spec),
        output_file=message.outputs.output_file,
        # An unknown version fails the step here, before anything is published.
        tfx_version=_tfx_version(),
    )


def _tfx_version() -> str:
    try:
        return importlib.metadata.version("tfx")
    except importlib.metadata.PackageNotFoundError:
        # A build of TFX under another name. The import takes seconds.
        from tfx import version

        return version.__version__


def executor_output(task: ContainerTask, outputs: step.StepOutputs) -> str:
    """Returns the ExecutorOutput of a task as JSON.

    Args:
        task: The task.
        outputs: Result of its step.
    """
    message = kubeflow_pb2.ExecutorOutput()
    for channel, artifact in task.outputs.items():
        added = {
            TFX_VERSION_PROPERTY: task.tfx_version,
            **artifact.value.custom_properties,
            **outputs.custom_properties.get(channel, {}),
        }
        message.artifacts[channel].artifacts.append(
            _runtime_artifact_of(artifact, added, _DECLARED.get(channel, {}))
        )
    return json_format.MessageToJson(message)


def _exec_properties_of(inputs: Any, spec: Any | None) -> dict[str, Any]:
    if spec is None:
        return {name: _plain(value) for name, value in inputs.parameters.items()}
    result = {}
    for name, value in inputs.parameter_values.items():
        result[name] = json_format.MessageToDict(value)
        # JSON numbers are floats, so the spec says which parameters are integers.
        kind = spec.parameters[name].parameter_type
        if kind == kubeflow_pb2.ParameterType.NUMBER_INTEGER:
            result[name] = int(result[name])
    return result


def _plain(value: kubeflow_pb2.Value) -> int | float | str:
    kind = value.WhichOneof("value")
    if kind is None:
        raise TypeError(
            "a parameter or property must have a value (got an empty Value). Compile the pipeline"
            " with KubeflowV2DagRunner."
        )
    return getattr(value, kind)


def _value_of(message: kubeflow_pb2.RuntimeArtifact, channel: str) -> InputArtifact:
    declared = _DECLARED.get(channel, {})
    properties: dict[str, Any] = {name: _plain(item) for name, item in message.properties.items()}
    custom = {name: _plain(item) for name, item in message.custom_properties.items()}
    for name, value in json_format.MessageToDict(message.metadata).items():
        if name in declared and _fits(value, declared[name]):
            properties[name] = declared[name](value)
            continue
        stripped = name.removeprefix(_CUSTOM_PREFIX)
        custom[stripped if stripped in declared else name] = value
    return InputArtifact(uri=message.uri, properties=properties, custom_properties=custom)


def _fits(value: Any, kind: Callable[[Any], Any]) -> bool:
    """Returns True if a JSON value, whose numbers are floats, has a declared property's type."""
    return isinstance(value, float if kind is int else str)


def _output_of(message: kubeflow_pb2.ArtifactList, channel: str) -> OutputArtifact:
    if len(message.artifacts) != 1:
        raise ValueError(
            f"{channel} must have one output artifact (got {len(message.artifacts)}). Compile the"
            " pipeline with KubeflowV2DagRunner."
        )
    [artifact] = message.artifacts
    return OutputArtifact(name=artifact.name, value=_value_of(artifact, channel))


def _runtime_artifact_of(
    artifact: OutputArtifact,
    custom: Mapping[str, Any],
    declared: Mapping[str, Callable[[Any], Any]],
) -> kubeflow_pb2.RuntimeArtifact:
    """Returns an output in the platform's format, with all properties as JSON."""
    result = kubeflow_pb2.RuntimeArtifact(uri=artifact.value.uri, name=artifact.name)
    for name, value in artifact.value.properties.items():
        result.metadata[name] = value
    prefixed = {
        f"{_CUSTOM_PREFIX}{name}" if name in declared else name: value
        for name, value in custom.items()
    }
    for name, value in _limited(prefixed).items():
        result.metadata[name] = value
    return result


def _limited(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the first properties of an artifact that platforms can store and pass on."""
    result = {}
    remaining_bytes = _MAX_METADATA_BYTES
    for name, value in metadata.items():
        # The bytes are those of `"name":value,` in the ExecutorInput of the next step.
        remaining_bytes -= len(json.dumps({name: value}).encode())
        if remaining_bytes < 0:
            break
        if len(name) <= _MAX_NAME_LENGTH:
            result[name] = value
    if len(result) < len(metadata):
        _logger.warning(
            "%d of %d custom properties are left out: platforms limit their size. All metrics are"
            " in decision.json.",
            len(metadata) - len(result),
            len(metadata),
        )
    return result
