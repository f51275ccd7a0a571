"""A stub of the API server of Kubeflow Pipelines, which reads a run as strictly as the server does.

The rules are those of backend/src/apiserver of kubeflow/pipelines 2.17.0 (4a3592cb): the function
pipelineSpecStructToYamlString of server/api_util.go, and template/v2_template.go.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import json
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

EXPERIMENT = {"experiment_id": "7", "display_name": "Default"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class StartedRun:
    """A run that the server accepted."""

    body: Mapping[str, Any]
    pipeline: pipeline_spec_pb2.PipelineSpec
    platform: pipeline_spec_pb2.PlatformSpec

    @property
    def root(self) -> str:
        """Root of the run: the driver reads only this field (v2/driver/root_dag.go)."""
        return self.body["runtime_config"].get("pipeline_root", "")

    @property
    def parameters(self) -> Mapping[str, Any]:
        return self.body["runtime_config"]["parameters"]


def started(body: Mapping[str, Any]) -> StartedRun:
    """Returns the run of a request.

    Raises:
        ValueError: The server refuses the request.
    """
    documents = body["pipeline_spec"]
    if "pipeline_spec" not in documents:
        documents = {"pipeline_spec": documents}
    pipeline = json_format.ParseDict(documents["pipeline_spec"], pipeline_spec_pb2.PipelineSpec())
    if pipeline.schema_version != "2.1.0":
        raise ValueError(f"KFP only supports schema version 2.1.0 (got {pipeline.schema_version})")
    if not pipeline.pipeline_info.name or not pipeline.HasField("root"):
        raise ValueError("no pipeline spec is provided")
    if missing := set(pipeline.root.input_definitions.parameters) - set(
        body["runtime_config"]["parameters"]
    ):
        raise ValueError(f"parameters are required: {missing}")
    platform = json_format.ParseDict(
        documents.get("platform_spec", {}), pipeline_spec_pb2.PlatformSpec()
    )
    return StartedRun(body=body, pipeline=pipeline, platform=platform)


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers the requests of kfp's client."""

    runs: list[StartedRun]

    def _answer(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, reply = 200, {**EXPERIMENT, "experiments": [EXPERIMENT], "multi_user": False}
        if self.command == "POST" and self.path.endswith("/apis/v2beta1/runs"):
            try:
                self.runs.append(started(json.loads(content)))
                reply = {"run_id": "run-7"}
            except (ValueError, json_format.ParseError) as error:
                status, reply = 400, {"error": str(error)}
        answer = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = _answer  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """Logs nothing."""


@contextlib.contextmanager
def api_server() -> Iterator[tuple[str, list[StartedRun]]]:
    """Runs the server; yields its URL and the runs that it accepts."""
    runs: list[StartedRun] = []
    handler = type("Handler", (_Handler,), {"runs": runs})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", runs
        finally:
            server.shutdown()
            thread.join()
