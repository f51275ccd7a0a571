"""Builds a container's command as Kubeflow Pipelines 2 and Vertex AI do.

A step's command comes from a compiled pipeline. An ExecutorInput replaces its placeholder. The
launcher of Kubeflow (backend/src/v2 of kubeflow/pipelines) names inputs by the ids of its metadata
store and does not name outputs. Vertex AI gives both resource names.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, Literal

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

Platform = Literal["kubeflow", "vertex"]

_RESOURCE = "projects/123/locations/europe-west4/metadataStores/default/artifacts"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Artifact:
    """An input of a step, with its custom properties. Numbers are floats, as in JSON."""

    uri: str
    properties: Mapping[str, float | str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """A step of a compiled pipeline, as three excerpts of the pipeline."""

    component: Mapping[str, Any]
    task: Mapping[str, Any]
    container: Mapping[str, Any]

    @classmethod
    def of(cls, job: Mapping[str, Any], node_id: str) -> Step:
        """Returns a step of a PipelineJob in its JSON form."""
        spec = job["pipelineSpec"]
        component = spec["components"][node_id]
        executor = spec["deploymentSpec"]["executors"][component["executorLabel"]]
        return cls(
            component=component,
            task=spec["root"]["dag"]["tasks"][node_id],
            container=executor["container"],
        )

    def executor_input(
        self,
        inputs: Mapping[str, Artifact],
        *,
        platform: Platform,
        outputs_uri: str,
        output_file: str,
        parameters: Mapping[str, str] | None = None,
    ) -> str:
        """Returns the ExecutorInput as JSON.

        Args:
            inputs: Artifacts that earlier steps wrote, by input.
            platform: Platform that writes the ExecutorInput.
            outputs_uri: Parent directory of the outputs.
            output_file: Path of the ExecutorOutput.
            parameters: Values of the pipeline's parameters.
        """
        definitions = self.component["inputDefinitions"]["artifacts"]
        assert inputs.keys() == definitions.keys()
        artifacts = {}
        for number, (name, artifact) in enumerate(inputs.items(), 17):
            is_vertex = platform == "vertex"
            artifacts[name] = {
                "name": f"{_RESOURCE}/{number}" if is_vertex else str(number),
                "uri": artifact.uri,
                "type": definitions[name]["artifactType"],
                "metadata": {
                    **artifact.properties,
                    **({} if is_vertex else {"display_name": name}),
                },
            }
        outputs = {}
        for number, (name, definition) in enumerate(
            self.component["outputDefinitions"]["artifacts"].items(), 91
        ):
            outputs[name] = {
                "uri": f"{outputs_uri}/{name}",
                "type": definition["artifactType"],
            }
            if platform == "vertex":
                outputs[name]["name"] = f"{_RESOURCE}/{number}"
        message = json_format.ParseDict(
            {
                "inputs": {
                    **self._parameters(parameters or {}),
                    "artifacts": {name: {"artifacts": [item]} for name, item in artifacts.items()},
                },
                "outputs": {
                    "artifacts": {name: {"artifacts": [item]} for name, item in outputs.items()},
                    "outputFile": output_file,
                },
            },
            pipeline_spec_pb2.ExecutorInput(),
        )
        return json_format.MessageToJson(message, indent=None)

    def command(self, executor_input: str) -> list[str]:
        """Returns the container's command line with its placeholders replaced."""
        words = [*self.container["command"], *self.container["args"]]
        assert words.count("{{$}}") == 1
        filled = [word.replace("{{$}}", executor_input) for word in words]
        assert not [word for word in filled if "{{$" in word]
        return filled

    def _parameters(self, values: Mapping[str, str]) -> dict[str, Any]:
        """Returns the step's parameters, in the field of the pipeline's schema version."""
        given = self.task["inputs"].get("parameters", {})
        if any("constantValue" in item.get("runtimeValue", {}) for item in given.values()):
            return {
                "parameters": {
                    name: item["runtimeValue"]["constantValue"] for name, item in given.items()
                }
            }
        return {
            "parameterValues": {
                name: (
                    item["runtimeValue"]["constant"]
                    if "runtimeValue" in item
                    else values[item["componentInputParameter"]]
                )
                for name, item in given.items()
            }
        }


def read_executor_output(text: str) -> dict[str, Any]:
    """Returns the only artifact of each output, as the platform reads it."""
    message = json_format.Parse(text, pipeline_spec_pb2.ExecutorOutput())
    outputs = json.loads(json_format.MessageToJson(message))["artifacts"]
    result = {}
    for name, value in outputs.items():
        (result[name],) = value["artifacts"]
    return result
