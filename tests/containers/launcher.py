"""Builds a container's command as the drivers and launchers of Kubeflow and Vertex AI do.

A step's command comes from a compiled pipeline. An ExecutorInput replaces its placeholder. The
facts about Kubeflow come from the source of kubeflow/pipelines. Each comment names the file below
backend/src/v2, the line, and the release. The releases are the commits c5658f09 (2.0.5), d07cf1c7
(2.5.0), 8fe8d7bd (2.15.0) and 4a3592cb (2.17.0). The facts about Vertex AI come from its
documentation and from TFX's entry point, because its source is not public.

Kubeflow has no local pipeline roots: `prepareOutputFolders` fails with them
(component/launcher_v2.go:1295-1298 of 2.17.0). In these tests, a local path stands for a storage
that the container itself can access.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

_RESOURCE = "projects/123/locations/europe-west4/metadataStores/default/artifacts"
# component/launcher_v2.go:526 of 2.17.0, and :375 of 2.0.5.
_OUTPUT_FILE = "/tmp/kfp_outputs/output_metadata.json"
_OUTPUT_FILE_NAME = "output_metadata.json"
LOGS = "executor-logs"
# driver/driver.go:761-767 of 2.17.0, driver/driver.go:2031-2037 of 2.5.0.
_LOGS_TYPE = {"schemaTitle": "system.Artifact"}
# objectstore/config.go:56 of 2.17.0 defines the fields, and metadata/client.go:1244 writes them as
# JSON text.
_SESSION_INFO = json.dumps(
    {"Provider": "minio", "Params": {"fromEnv": "false", "secretName": "mlpipeline-minio-artifact"}}
)
# component/launcher_v2.go:1239-1253 of 2.17.0, and :701-712 of 2.0.5 (`LocalPathForURI`).
_FOLDERS = {"gs://": "/gcs/", "minio://": "/minio/", "s3://": "/s3/"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Flavor:
    """Properties in which ExecutorInputs of platforms and releases differ.

    Attributes:
        name: Platform and first release.
        is_vertex: True for Vertex AI: inputs have types, and all artifacts have resource names.
        has_logs: True if each step has another output, for its log.
        has_session_info: True if inputs have the property `store_session_info`.
        has_output_names: True if outputs have names, which equal their channels.
        has_salt: True if the URIs of outputs contain a UUID.
        has_local_output_file: True if the ExecutorOutput lies in a local folder of the task.
    """

    name: str
    is_vertex: bool = False
    has_logs: bool = False
    has_session_info: bool = False
    has_output_names: bool = False
    has_salt: bool = True
    has_local_output_file: bool = False


# The output file is fixed (driver/driver.go:1059 of 2.0.5), outputs have no names (:1064-1068) and
# no UUID in their URIs (:1081-1085), and there is no log (:1061).
KUBEFLOW_2_0 = Flavor(name="kubeflow-2.0", has_salt=False)
# The log is driver/driver.go:2025-2038, the UUID is driver/driver.go:320 and 2046, the property is
# metadata/client.go:1047-1053, and the output file is still fixed (driver/driver.go:2020), all of
# 2.5.0.
KUBEFLOW_2_5 = Flavor(name="kubeflow-2.5", has_logs=True, has_session_info=True)
# Names of outputs are driver/driver.go:783 of 2.17.0 and :700 of 2.15.0, and the output file below
# the task's local folder is driver/driver.go:802-807 of 2.17.0 and :719-724 of 2.15.0.
KUBEFLOW_2_15 = Flavor(
    name="kubeflow-2.15",
    has_logs=True,
    has_session_info=True,
    has_output_names=True,
    has_local_output_file=True,
)
# https://cloud.google.com/vertex-ai/docs/pipelines/artifact-types; the path of the output file is
# in a comment of `_run_executor` of TFX's kubeflow_v2_run_executor.
VERTEX = Flavor(name="vertex", is_vertex=True)
FLAVORS = (KUBEFLOW_2_0, KUBEFLOW_2_5, KUBEFLOW_2_15, VERTEX)
NEWEST_KUBEFLOW = KUBEFLOW_2_15


@dataclasses.dataclass(frozen=True, kw_only=True)
class Artifact:
    """An input of a step.

    Attributes:
        uri: URI of the files.
        properties: Custom properties. Numbers are floats: metadata/converter.go:149-150 of 2.17.0
            stores each number as a double.
        name: ID in the metadata store; empty for a number of the launcher's choice.
    """

    uri: str
    properties: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    name: str = ""


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

    def outputs_uri(self, flavor: Flavor, run_uri: str, salt: str) -> str:
        """Returns the parent directory of the outputs.

        driver/driver.go:775 of 2.17.0 joins the run's root, the name of the task and the UUID.
        """
        name = self.task["taskInfo"]["name"]
        return f"{run_uri}/{name}/{salt}" if flavor.has_salt else f"{run_uri}/{name}"

    def executor_input(
        self,
        inputs: Mapping[str, Artifact],
        *,
        flavor: Flavor,
        outputs_uri: str,
        output_file: str = "",
        parameters: Mapping[str, str] | None = None,
    ) -> str:
        """Returns the ExecutorInput as JSON.

        Args:
            inputs: Artifacts that earlier steps wrote, by input.
            flavor: Platform that writes the ExecutorInput.
            outputs_uri: Parent directory of the outputs.
            output_file: Path of the ExecutorOutput; empty for the platform's own.
            parameters: Values of the pipeline's parameters.
        """
        definitions = self.component.get("inputDefinitions", {}).get("artifacts", {})
        assert inputs.keys() == definitions.keys()
        content = {
            "inputs": {
                **self._parameters(parameters or {}),
                "artifacts": {
                    name: {"artifacts": [_input(flavor, name, artifact, number, definitions[name])]}
                    for number, (name, artifact) in enumerate(inputs.items(), 17)
                },
            },
            "outputs": {
                "artifacts": {
                    name: {"artifacts": [each]}
                    for name, each in self._outputs(flavor, outputs_uri).items()
                },
                "outputFile": output_file or _output_file(flavor, outputs_uri),
            },
        }
        message = json_format.ParseDict(content, pipeline_spec_pb2.ExecutorInput())
        return json_format.MessageToJson(message, indent=None)

    def _outputs(self, flavor: Flavor, outputs_uri: str) -> dict[str, dict[str, Any]]:
        definitions = dict(self.component["outputDefinitions"]["artifacts"])
        if flavor.has_logs:
            definitions[LOGS] = {"artifactType": _LOGS_TYPE}
        outputs = {}
        for number, (name, definition) in enumerate(definitions.items(), 91):
            # Outputs have the declared type in all releases (driver/driver.go:787 of 2.17.0).
            outputs[name] = {"uri": f"{outputs_uri}/{name}", "type": definition["artifactType"]}
            if flavor.is_vertex:
                outputs[name]["name"] = f"{_RESOURCE}/{number}"
            elif flavor.has_output_names:
                outputs[name]["name"] = name
        if flavor.has_logs and flavor.has_output_names:
            # The launcher appends the number of the attempt (component/launcher_v2.go:538-555 of
            # 2.17.0) before it fills in the placeholder (:420).
            outputs[LOGS]["uri"] += "-0"
        return outputs

    def command(self, executor_input: str) -> list[str]:
        """Returns the container's command line with its placeholders replaced."""
        words = [*self.container["command"], *self.container["args"]]
        assert words.count("{{$}}") == 1
        # component/launcher_v2.go:1051-1074 of 2.17.0 (`compileCmdAndArgs`).
        filled = [word.replace("{{$}}", executor_input) for word in words]
        assert not [word for word in filled if "{{$" in word]
        return filled

    def _parameters(self, values: Mapping[str, str]) -> dict[str, Any]:
        """Returns the step's parameters, in the field of the pipeline's schema version."""
        given = self.task.get("inputs", {}).get("parameters", {})
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


def local_path(uri: str) -> str:
    """Returns the launcher's local folder of an artifact, or an empty text if it has none."""
    for scheme, folder in _FOLDERS.items():
        if uri.startswith(scheme):
            return folder + uri.removeprefix(scheme)
    return ""


def _input(
    flavor: Flavor, channel: str, artifact: Artifact, number: int, definition: Mapping[str, Any]
) -> dict[str, Any]:
    if flavor.is_vertex:
        return {
            "name": f"{_RESOURCE}/{number}",
            "uri": artifact.uri,
            "type": definition["artifactType"],
            "metadata": artifact.properties,
        }
    metadata = {
        **artifact.properties,
        # metadata/client.go:1234-1237 of 2.17.0, and :865-867 of 2.0.5.
        "display_name": channel,
    }
    if flavor.has_session_info:
        # metadata/client.go:1243-1249 of 2.17.0.
        metadata["store_session_info"] = _SESSION_INFO
    return {
        # metadata/converter.go:187 of 2.17.0: the ID in ML Metadata, as text.
        "name": artifact.name or str(number),
        "uri": artifact.uri,
        # metadata/client.go:1144 of 2.17.0 leaves the schema empty, and :256-258 writes it as the
        # type. driver/resolve.go:793 and :1015 use it for each input. In 2.0.5, these are
        # metadata/client.go:177-178 and driver/driver.go:1040.
        "type": {"instanceSchema": ""},
        "metadata": metadata,
    }


def _output_file(flavor: Flavor, outputs_uri: str) -> str:
    if flavor.is_vertex:
        return f"{outputs_uri}/executor_output.json"
    folder = local_path(outputs_uri)
    if flavor.has_local_output_file and folder:
        return f"{folder}/{_OUTPUT_FILE_NAME}"
    return _OUTPUT_FILE


def read_executor_output(text: str) -> dict[str, Any]:
    """Returns the only artifact of each output, as the platform reads it.

    component/launcher_v2.go:1232 of 2.17.0 refuses unknown fields, and metadata/converter.go:167
    refuses metadata without a value.
    """
    message = json_format.Parse(text, pipeline_spec_pb2.ExecutorOutput())
    outputs = json.loads(json_format.MessageToJson(message))["artifacts"]
    result = {}
    for name, value in outputs.items():
        (result[name],) = value["artifacts"]
        assert None not in result[name].get("metadata", {}).values()
    return result
