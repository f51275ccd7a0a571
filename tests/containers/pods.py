"""Runs the steps of a compiled pipeline as pods of Kubeflow Pipelines, without Kubernetes.

Only the launcher has the credentials of the object store. It copies input artifacts to local
folders before a step, and the outputs from there to the store afterwards. The folders belong to the
pod: each attempt starts with empty ones. The comments name files of kubeflow/pipelines 2.17.0
(4a3592cb) below backend/src/v2.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.containers import launcher
from tests.containers.launcher import LOGS, Artifact, Flavor, Step
from tests.containers.processes import Containers, Ended
from tests.servers import s3_server

_SCHEME = "minio://"
# Variables with which clients find credentials or servers.
_CREDENTIALS = ("AWS_", "GOOGLE_", "STORAGE_EMULATOR", "CLOUDSDK")
# A pod has no home directory.
_ENVIRONMENT = {"HOME": "/"}

RunCommand = Callable[[Sequence[str], Mapping[str, str]], Ended]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pod:
    """A pod that has ended.

    Attributes:
        executor_input: ExecutorInput of the step.
        ended: Result of its container.
        outputs: Output artifacts as the metadata store has them; empty if the container failed.
    """

    executor_input: str
    ended: Ended
    outputs: Mapping[str, Artifact]


class Cluster:
    """Runs steps with `minio://` as the pipeline root."""

    def __init__(self, client: Any, bucket: str, flavor: Flavor, run: RunCommand):
        """Makes a cluster.

        Args:
            client: boto3 client of the object store behind `minio://`.
            bucket: Bucket of the pipeline root, which is also the name of the local folder.
            flavor: Release of Kubeflow Pipelines.
            run: Runs a command with an environment.
        """
        self._client = client
        self._bucket = bucket
        self._flavor = flavor
        self._run = run
        self._ids = itertools.count(1)

    def run_step(
        self,
        step: Step,
        inputs: Mapping[str, Artifact],
        secrets: Mapping[str, str] | None = None,
    ) -> Pod:
        """Runs a step in a new pod.

        Args:
            step: The step.
            inputs: Artifacts that earlier steps wrote, by input.
            secrets: Environment variables of this pod from secrets.
        """
        return self.run(step, self.executor_input(step, inputs), secrets)

    def executor_input(self, step: Step, inputs: Mapping[str, Artifact]) -> str:
        """Returns the ExecutorInput of a step in a new run."""
        run_uri = f"{_SCHEME}{self._bucket}/v2/artifacts/penguin/{uuid.uuid4()}"
        outputs_uri = step.outputs_uri(self._flavor, run_uri, str(uuid.uuid4()))
        return step.executor_input(inputs, flavor=self._flavor, outputs_uri=outputs_uri)

    def run(self, step: Step, executor_input: str, secrets: Mapping[str, str] | None = None) -> Pod:
        """Runs a step in a new pod, on the ExecutorInput of an earlier attempt or a new one."""
        content = json.loads(executor_input)
        with folder(f"{_SCHEME}{self._bucket}"):
            self.download(content)
            ended = self._run(step.command(executor_input), {**_ENVIRONMENT, **(secrets or {})})
            outputs = self.upload(content) if ended.code == 0 else {}
        return Pod(executor_input=executor_input, ended=ended, outputs=outputs)

    def download(self, content: Mapping[str, Any]) -> None:
        """Prepares the pod: component/launcher_v2.go:927-997 and 1280-1310."""
        for each in content["inputs"].get("artifacts", {}).values():
            for artifact in each["artifacts"]:
                self._download(artifact["uri"])
        for each in content["outputs"]["artifacts"].values():
            for artifact in each["artifacts"]:
                path = launcher.local_path(artifact["uri"])
                os.makedirs(os.path.dirname(path), exist_ok=True)
        if LOGS in content["outputs"]["artifacts"]:
            # component/launcher_v2.go:646 creates the log before it starts the command.
            [logs] = content["outputs"]["artifacts"][LOGS]["artifacts"]
            Path(launcher.local_path(logs["uri"])).write_text("")

    def _download(self, uri: str) -> None:
        key = self._key(uri)
        path = Path(launcher.local_path(uri))
        # objectstore/object_store.go:176-205: no folder is made for an artifact without files.
        for name in self.keys(key):
            if name == key or name.startswith(f"{key}/"):
                file_path = path / os.path.relpath(name, key)
                file_path.parent.mkdir(parents=True, exist_ok=True)
                self._client.download_file(self._bucket, name, str(file_path))

    def upload(self, content: Mapping[str, Any]) -> dict[str, Artifact]:
        """Uploads the outputs and stores their metadata: component/launcher_v2.go:778-856."""
        written = _executor_output(Path(content["outputs"]["outputFile"]))
        outputs = {}
        for channel, each in content["outputs"]["artifacts"].items():
            [artifact] = each["artifacts"]
            uri, metadata = artifact["uri"], dict(artifact.get("metadata", {}))
            if channel != LOGS and channel in written:
                # component/launcher_v2.go:1188-1206: the ExecutorOutput wins.
                uri = written[channel].get("uri") or uri
                metadata |= written[channel].get("metadata", {})
            self._upload(Path(launcher.local_path(uri)), self._key(uri))
            outputs[channel] = Artifact(
                uri=uri,
                properties={name: _stored(value) for name, value in metadata.items()},
                name=str(next(self._ids)),
            )
        return outputs

    def _upload(self, path: Path, key: str) -> None:
        # objectstore/object_store.go:111-144. Missing outputs are allowed
        # (component/launcher_v2.go:825).
        if path.is_file():
            self._client.upload_file(str(path), self._bucket, key)
        for file_path in path.rglob("*"):
            # The launcher lists directories without following links, and opens all other entries.
            assert not file_path.is_symlink() or file_path.is_file()
            if file_path.is_file():
                name = file_path.relative_to(path).as_posix()
                self._client.upload_file(str(file_path), self._bucket, f"{key}/{name}")

    def put(self, path: Path, name: str) -> str:
        """Uploads a directory below the pipeline root, and returns its URI."""
        self._upload(path, name)
        return f"{_SCHEME}{self._bucket}/{name}"

    def keys(self, prefix: str) -> list[str]:
        """Returns the keys of the objects with a prefix."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=prefix
        )
        return [each["Key"] for page in pages for each in page.get("Contents", [])]

    def read(self, uri: str) -> bytes:
        """Returns the content of an object."""
        return self._client.get_object(Bucket=self._bucket, Key=self._key(uri))["Body"].read()

    def _key(self, uri: str) -> str:
        prefix = f"{_SCHEME}{self._bucket}/"
        assert uri.startswith(prefix), uri
        return uri.removeprefix(prefix)

    def run_pipeline(
        self, job: Mapping[str, Any], known: Mapping[str, Mapping[str, Artifact]] | None = None
    ) -> dict[str, Pod]:
        """Runs all steps of a compiled pipeline in order, and returns their pods.

        Args:
            job: PipelineJob in its JSON form.
            known: Outputs of steps that are not run, by step and channel.
        """
        tasks = job["pipelineSpec"]["root"]["dag"]["tasks"]
        outputs = dict(known or {})
        pods: dict[str, Pod] = {}
        while outputs.keys() < tasks.keys():
            name = next(
                name
                for name, task in tasks.items()
                if name not in outputs and {*task.get("dependentTasks", ())} <= outputs.keys()
            )
            inputs = {}
            for channel, source in tasks[name].get("inputs", {}).get("artifacts", {}).items():
                producer = source["taskOutputArtifact"]
                inputs[channel] = outputs[producer["producerTask"]][producer["outputArtifactKey"]]
            pods[name] = self.run_step(Step.of(job, name), inputs)
            assert pods[name].ended.code == 0, pods[name].ended.log
            outputs[name] = pods[name].outputs
        return pods


def _executor_output(path: Path) -> dict[str, Any]:
    # component/launcher_v2.go:1208-1237: the file may be missing.
    return launcher.read_executor_output(path.read_text()) if path.exists() else {}


def _stored(value: Any) -> Any:
    """Returns a property as the metadata store returns it: metadata/converter.go:138-221."""
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, list):
        return {"list": value}
    if isinstance(value, dict):
        return {"struct": value}
    assert isinstance(value, float | int | str)
    return value


@functools.cache
def has_folders() -> bool:
    """Returns True if this process can make the launcher's folders."""
    return os.access("/minio" if os.path.isdir("/minio") else "/", os.W_OK)


@contextlib.contextmanager
def cluster(bucket: str, flavor: Flavor, containers: Containers) -> Iterator[Cluster]:
    """Runs an S3 server behind `minio://`, and yields a cluster."""
    import boto3

    with s3_server(bucket) as url:
        client = boto3.client(
            "s3",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="key",
            aws_secret_access_key="secret",
        )
        try:
            # Otherwise a step that needs credentials could find them.
            run = functools.partial(containers.run, unset=_CREDENTIALS)
            yield Cluster(client, bucket, flavor, run)
        finally:
            client.close()


@contextlib.contextmanager
def folder(uri: str) -> Iterator[Path]:
    """Makes an empty folder for the URI of a bucket, as the emptyDirs of a new pod are.

    compiler/argocompiler/container.go:63 names the emptyDir that is mounted at /minio.
    """
    path = Path(launcher.local_path(uri))
    if not has_folders():
        pytest.fail(
            f"{path.parent} must be writable. Run the tests as root: sudo install -d -m 1777"
            f" {path.parent}"
        )
    shutil.rmtree(path, ignore_errors=True)
    # Another test may remove an empty parent at the same time.
    while not path.is_dir():
        path.mkdir(parents=True, exist_ok=True)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(OSError):
            path.parent.rmdir()
