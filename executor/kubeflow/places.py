"""Repairs what Kubeflow Pipelines passes to a container of TFX, for every component.

Kubeflow passes inputs without a type and an output for its log, which TFX cannot parse. It names
artifacts by URIs that TFX cannot access, and its launcher keeps the files in local folders of the
container. The results here are JSON, as TFX's entry point reads it. The file names in comments are
those of kubeflow/pipelines 2.17.0 (4a3592cb) below backend/src/v2.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
import json
import os
import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

# Folders of the launcher by scheme (`LocalPathForURI` of component/launcher_v2.go). TensorFlow
# itself accesses gs://, so /gcs is not used.
_FOLDERS = {"minio": "minio", "s3": "s3"}
_SCHEME_END = "://"
# Kubeflow's own artifact types have this prefix, and its compiler alone writes them as a title. The
# driver adds the output executor-logs with such a type (driver/driver.go:761).
_KUBEFLOW_TYPES = "system."
# The store of metadata wraps lists and objects (metadata/converter.go:153-166).
_WRAPPERS: Mapping[str, type] = {"list": list, "struct": dict}
# Beam's runners whose workers are processes of this machine, in lower case and without the suffix
# "runner": https://github.com/apache/beam/blob/master/sdks/python/apache_beam/runners/runner.py
_LOCAL_RUNNERS = {
    "bundlebaseddirect",
    "direct",
    "fnapi",
    "interactive",
    "prism",
    "switchingdirect",
}
_RUNNER_FLAG = "--runner"

Json = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """An ExecutorInput that TFX can parse.

    Attributes:
        content: The ExecutorInput in JSON form. Its URIs are those that Kubeflow passed.
        folders: Local folder of each artifact that TFX cannot access by its URI, by URI.
    """

    content: Json
    folders: Mapping[str, str]

    @property
    def output_file(self) -> str:
        """Path or URI of the ExecutorOutput."""
        return self.content["outputs"]["outputFile"]

    def output_uris(self) -> dict[str, str]:
        """Returns the URI of each output, by channel."""
        return {
            channel: artifact["uri"]
            for channel, artifact in _artifacts(self.content, "outputs")
            if artifact.get("uri")
        }

    def for_tfx(self) -> str:
        """Returns the ExecutorInput with local folders in place of URIs that TFX cannot access.

        Raises:
            ValueError: An input has no type.
        """
        content = copy.deepcopy(self.content)
        for channel, artifact in _artifacts(content, "inputs"):
            if not _has_type(artifact):
                raise ValueError(
                    f"{channel} must have an artifact type (got none). Compile the pipeline with"
                    " use_pipeline_spec_2_1=True, which passes the types on the command line."
                )
        for side in ("inputs", "outputs"):
            for _, artifact in _artifacts(content, side):
                uri = artifact.get("uri", "")
                artifact["uri"] = self.folders.get(uri.rstrip("/"), uri)
        return json.dumps(content)

    def for_kubeflow(self, executor_output: str) -> str:
        """Returns an ExecutorOutput with URIs in place of local folders, and no empty metadata.

        Evaluator copies the URIs of its inputs to the metadata of its outputs. Kubeflow fails on
        metadata without a value (metadata/converter.go:167).

        Args:
            executor_output: The ExecutorOutput that TFX wrote, as JSON.
        """
        content = json.loads(executor_output)
        for artifact_list in content.get("artifacts", {}).values():
            for artifact in artifact_list.get("artifacts", []):
                artifact["uri"] = self._uri(artifact.get("uri", ""))
                if "metadata" in artifact:
                    artifact["metadata"] = {
                        name: self._uri(value)
                        for name, value in artifact["metadata"].items()
                        if value is not None
                    }
        return json.dumps(content)

    def _uri(self, value: Any) -> Any:
        """Returns a value in which the path of a local folder at the beginning is a URI again."""
        if isinstance(value, str):
            for uri, folder in self.folders.items():
                if value == folder or value.startswith(f"{folder}/"):
                    return uri + value.removeprefix(folder)
        return value

    def check_runner(
        self, beam_pipeline_args: Sequence[str], uses_beam: Callable[[], bool]
    ) -> None:
        """Checks that Beam's workers can read the local folders.

        Args:
            beam_pipeline_args: Arguments of Beam.
            uses_beam: Returns True if the component runs Beam. TFX's compiler passes the arguments
                to all components. Called only if the answer matters.

        Raises:
            ValueError: There are local folders, and the workers run on other machines.
        """
        if self.folders and not has_local_runner(beam_pipeline_args) and uses_beam():
            uri = next(iter(self.folders))
            raise ValueError(
                "beam_pipeline_args must name a local runner (got"
                f" {_RUNNER_FLAG}={_runner_of(beam_pipeline_args)}): {uri}"
                " is in a local folder of this step, which Beam's workers cannot read. Use"
                " DirectRunner, or a pipeline root on gs://."
            )


def read(
    executor_input: str,
    inputs_spec: str | None,
    *,
    has_file_system: Callable[[str], bool] = lambda _: False,
    root: str = "/",
) -> Invocation:
    """Returns an ExecutorInput with types, and without outputs that no component of TFX declares.

    Artifacts on minio:// are in the launcher's folders, because TFX has no other access to them.
    Artifacts on s3:// are there if the launcher has made the folder of their bucket.

    Args:
        executor_input: The ExecutorInput, as JSON.
        inputs_spec: The component's ComponentInputsSpec, as JSON; None for a pipeline of schema
            2.0.
        has_file_system: Returns True if TensorFlow accesses a scheme itself. Called for s3:// only.
        root: Parent directory of the launcher's folders.

    Raises:
        ValueError: An argument is not a JSON object.
    """
    content = _object("json_serialized_invocation_args", executor_input)
    spec = _object("json_serialized_inputs_spec_args", inputs_spec) if inputs_spec else {}
    declared = spec.get("artifacts", {})
    for channel, artifact in _artifacts(content, "inputs"):
        if not _has_type(artifact):
            # The driver has lost the type (metadata/client.go:1144), but the compiler wrote it.
            artifact["type"] = declared.get(channel, {}).get("artifactType", {})
            _unwrap(artifact.get("metadata", {}))
    outputs = content.get("outputs", {}).get("artifacts", {})
    for channel, artifact in list(_artifacts(content, "outputs")):
        if artifact.get("type", {}).get("schemaTitle", "").startswith(_KUBEFLOW_TYPES):
            del outputs[channel]
    return Invocation(content=content, folders=_folders_of(content, has_file_system, root))


def has_local_runner(beam_pipeline_args: Sequence[str]) -> bool:
    """Returns True if Beam's workers are processes of this machine.

    Args:
        beam_pipeline_args: Arguments of Beam.
    """
    name = _runner_of(beam_pipeline_args).rpartition(".")[2].lower()
    # Beam accepts the names of its own runners without the suffix.
    return name.removesuffix("runner") in _LOCAL_RUNNERS


def _runner_of(beam_pipeline_args: Sequence[str]) -> str:
    runner = "DirectRunner"
    following_words = beam_pipeline_args[1:]
    for word, following in itertools.zip_longest(beam_pipeline_args, following_words, fillvalue=""):
        name, equals, value = word.partition("=")
        if name == _RUNNER_FLAG:
            runner = value if equals else following
    return runner


def _object(name: str, text: str) -> Json:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ValueError(
            f"{name} must be a JSON object (got {text[:80]!r}: {error}). Compile the pipeline with"
            " KubeflowV2DagRunner."
        ) from None
    if not isinstance(content, dict):
        raise ValueError(
            f"{name} must be a JSON object (got {text[:80]!r}). Compile the pipeline with"
            " KubeflowV2DagRunner."
        )
    return content


def _artifacts(content: Json, side: str) -> Iterator[tuple[str, Json]]:
    """Yields channel and artifact for all inputs or outputs."""
    for channel, artifact_list in content.get(side, {}).get("artifacts", {}).items():
        for artifact in artifact_list.get("artifacts", []):
            yield channel, artifact


def _has_type(artifact: Json) -> bool:
    return any(artifact.get("type", {}).get(name) for name in ("instanceSchema", "schemaTitle"))


def _unwrap(metadata: Json) -> None:
    for name, value in metadata.items():
        if isinstance(value, dict) and len(value) == 1:
            [(wrapper, content)] = value.items()
            if isinstance(content, _WRAPPERS.get(wrapper, ())):
                metadata[name] = content


def _folders_of(content: Json, has_file_system: Callable[[str], bool], root: str) -> dict[str, str]:
    result = {}
    schemes: dict[str, bool] = {}
    for side in ("inputs", "outputs"):
        for _, artifact in _artifacts(content, side):
            uri = artifact.get("uri", "")
            scheme, end, path = uri.partition(_SCHEME_END)
            if not end or scheme not in _FOLDERS:
                continue
            folder = posixpath.join(root, _FOLDERS[scheme])
            if scheme not in schemes:
                schemes[scheme] = scheme == "minio" or (
                    os.path.isdir(posixpath.join(folder, path.partition("/")[0]))
                    and not has_file_system(scheme)
                )
            if schemes[scheme]:
                result[uri.rstrip("/")] = posixpath.join(folder, path).rstrip("/")
    return result
