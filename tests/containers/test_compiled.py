"""Checks the content of the compiled pipelines, and that clients can read them."""

import contextlib
import http.server
import json
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tfx import types
from tfx import v1 as tfx
from tfx.orchestration import data_types
from tfx.orchestration.kubeflow.v2 import compiler_utils
from tfx.types import standard_artifacts

from pipelines import compiled, kubeflow_pipeline, local_pipeline, vertex_pipeline
from tests.containers.conftest import compile_pipeline
from tfx_best_exporter.component import BestExporter, ExportDecision

GOLDEN = Path(__file__).with_name("golden")
# This variable makes the test write the golden files.
UPDATE = "UPDATE_GOLDEN"

TASKS = ["BestExporter", "Evaluator", "ImportExampleGen", "Trainer"]


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Returns the compiled pipelines of the command line, by platform."""
    path = tmp_path_factory.mktemp("compiled")
    result = {"kubeflow": path / "penguin.yaml", "vertex": path / "new" / "penguin.json"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_NO_INDEX", "1")
        for platform, main in (
            ("kubeflow", kubeflow_pipeline.main),
            ("vertex", vertex_pipeline.main),
        ):
            arguments = {
                "--image": "registry/tfx-best-exporter:1",
                "--pipeline-root": str(path / "root"),
                "--base-directory": "gs://models/penguin",
                "--data-root": "gs://data/penguin",
                "--exports-to-keep": "2",
                "--epochs": "7",
                "--output": str(result[platform]),
            }
            words = [word for pair in arguments.items() for word in pair]
            assert main(["compile", *words]) == 0
    return result


def job_in(files: dict[str, Path], platform: str) -> dict[str, Any]:
    """Returns the PipelineJob in a compiled pipeline."""
    text = files[platform].read_text()
    return json.loads(text) if platform == "vertex" else {"pipelineSpec": yaml.safe_load(text)}


@pytest.fixture(params=["kubeflow", "vertex"])
def job(request: pytest.FixtureRequest, files: dict[str, Path]) -> dict[str, Any]:
    return job_in(files, request.param)


@pytest.mark.parametrize("platform", ["kubeflow", "vertex"])
def test_golden(files: dict[str, Path], platform: str):
    """To update the files, run `UPDATE_GOLDEN=1 make test PYTEST_ARGS="-k golden"`."""
    spec = job_in(files, platform)["pipelineSpec"]
    excerpt = {
        "component": spec["components"]["BestExporter"],
        "executor": spec["deploymentSpec"]["executors"]["BestExporter_executor"],
        "task": spec["root"]["dag"]["tasks"]["BestExporter"],
        "schemaVersion": spec["schemaVersion"],
    }
    path = GOLDEN / f"{platform}.json"
    if os.environ.get(UPDATE):
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(excerpt, indent=2, sort_keys=True) + "\n")
    assert excerpt == json.loads(path.read_text())


def test_every_step_but_the_exporter_and_the_example_gen_may_be_cached(job: dict[str, Any]):
    tasks = job["pipelineSpec"]["root"]["dag"]["tasks"]
    assert {name: task["cachingOptions"] for name, task in tasks.items()} == {
        **{name: {"enableCache": True} for name in TASKS},
        # Without its driver, the ExampleGen's cache key does not change with the files.
        "ImportExampleGen": {},
        "BestExporter": {},
    }


def test_no_step_is_one_that_kubeflow_pipelines_cannot_run(job: dict[str, Any]):
    executors = job["pipelineSpec"]["deploymentSpec"]["executors"]
    assert {name: [*executor] for name, executor in executors.items()} == {
        f"{name}_executor": ["container"] for name in TASKS
    }
    assert {executor["container"]["image"] for executor in executors.values()} == {
        "registry/tfx-best-exporter:1"
    }


def test_where_artifacts_and_parameters_go(files: dict[str, Path]):
    root = str(files["kubeflow"].parent / "root")
    assert job_in(files, "kubeflow")["pipelineSpec"]["defaultPipelineRoot"] == root
    job = job_in(files, "vertex")
    assert job["runtimeConfig"] == {"gcsOutputDirectory": root}
    assert job["displayName"] == "penguin"
    parameters = job["pipelineSpec"]["root"]["dag"]["tasks"]["Trainer"]["inputs"]["parameters"]
    assert json.loads(parameters["custom_config"]["runtimeValue"]["constant"])["epochs"] == 7
    module, _, wheel = parameters["module_path"]["runtimeValue"]["constant"].partition("@")
    assert module == "trainer_module"
    assert Path(wheel).parent == Path(root, "_wheels")
    assert Path(wheel).is_file()


def test_the_clients_read_them(files: dict[str, Path]):
    import kfp.components

    component = kfp.components.load_component_from_file(str(files["kubeflow"]))
    assert component.name == "penguin"


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers requests that start a run, and records them."""

    requests: list[tuple[str, Any]]

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        self.requests.append((f"{self.command} {self.path.partition('?')[0]}", body))
        is_run = self.path.endswith("/runs")
        name = "run_id" if is_run else "experiment_id"
        answer = {
            name: "7",
            "display_name": "penguin",
            "name": "projects/1/locations/europe-west4/pipelineJobs/penguin-7",
            "state": "PIPELINE_STATE_PENDING",
        }
        if "pipelineJobs" not in self.path:
            del answer["name"], answer["state"]
        else:
            answer = {key: answer[key] for key in ("name", "state")}
        content = json.dumps(answer).encode()
        # The client creates the bucket of a pipeline root. It would ask Google, and not this
        # server, whose bucket it is if it existed.
        is_bucket = self.command == "GET" and self.path.startswith("/storage/v1/b/elsewhere?")
        self.send_response(404 if is_bucket else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = _answer  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """Logs nothing."""


@contextlib.contextmanager
def server() -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """Runs a server that accepts runs; yields its URL and the requests."""
    requests: list[tuple[str, Any]] = []
    handler = type("Handler", (Answers,), {"requests": requests})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as result:
        thread = threading.Thread(target=result.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{result.server_port}", requests
        finally:
            result.shutdown()
            thread.join()


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_submit_to_kubeflow_pipelines(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
):
    monkeypatch.setenv("HOME", str(tmp_path))
    with server() as (url, requests):
        options = ["--run-name", "nightly", "--experiment", "penguins", "--service-account", "tfx"]
        assert (
            kubeflow_pipeline.main(["submit", str(files["kubeflow"]), "--host", url, *options]) == 0
        )
    assert capsys.readouterr().out.splitlines()[-1] == "Run:  7"
    posted = [body for request, body in requests if request.endswith("POST /apis/v2beta1/runs")]
    [run] = posted
    assert run["display_name"] == "nightly"
    assert run["service_account"] == "tfx"
    spec = run["pipeline_spec"]
    spec = spec.get("pipeline_spec", spec)
    tasks = spec["root"]["dag"]["tasks"]
    # The client must not change the caching options of the steps.
    assert tasks["BestExporter"]["cachingOptions"] == {}
    assert tasks["Trainer"]["cachingOptions"] == {"enableCache": True}


@pytest.mark.parametrize("root", [None, "gs://elsewhere/root"], ids=["compiled", "given"])
def test_submit_to_vertex_ai(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: Any, root: str | None
):
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import aiplatform

    with server() as (url, requests):
        # The client checks the bucket of the pipeline root.
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        aiplatform.init(api_endpoint=url, api_transport="rest", credentials=AnonymousCredentials())
        options = ["--project", "p", "--location", "europe-west4", "--label", "team=birds"]
        options += ["--pipeline-root", root] if root else []
        account = ["--service-account", "tfx@p"]
        assert vertex_pipeline.main(["submit", str(files["vertex"]), *options, *account]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        "Job:  projects/1/locations/europe-west4/pipelineJobs/penguin-7"
    )
    buckets = [request for request, _ in requests if request.startswith("POST /storage/v1/b")]
    assert buckets == (["POST /storage/v1/b"] if root else [])
    [(request, job)] = [each for each in requests if "pipelineJobs" in each[0]]
    assert request.endswith("/projects/p/locations/europe-west4/pipelineJobs")
    assert job["displayName"] == "penguin"
    assert job["serviceAccount"] == "tfx@p"
    compiled_root = str(files["kubeflow"].parent / "root")
    assert job["runtimeConfig"]["gcsOutputDirectory"] == (root or compiled_root)
    assert job["labels"]["team"] == "birds"
    tasks = job["pipelineSpec"]["root"]["dag"]["tasks"]
    assert not tasks["BestExporter"].get("cachingOptions")
    assert tasks["Trainer"]["cachingOptions"] == {"enableCache": True}


# The command line.


@pytest.mark.parametrize(
    ("main", "command", "flags"),
    [
        (local_pipeline.main, [], ["--workdir", "--exports-to-keep"]),
        *(
            (module.main, ["compile"], ["--image", "--pipeline-root", "--base-directory"])
            for module in (kubeflow_pipeline, vertex_pipeline)
        ),
        (kubeflow_pipeline.main, ["submit"], ["--host", "--experiment"]),
        (vertex_pipeline.main, ["submit"], ["--project", "--location", "--network"]),
    ],
    ids=["local", "kubeflow compile", "vertex compile", "kubeflow submit", "vertex submit"],
)
def test_help(main: Any, command: list[str], flags: list[str], capsys: Any):
    with pytest.raises(SystemExit) as caught:
        main([*command, "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert [flag for flag in flags if flag not in text] == []


@pytest.mark.parametrize(
    ("main", "missing", "arguments", "message"),
    [
        (
            vertex_pipeline.main,
            "google.cloud.aiplatform",
            ["--project", "p", "--location", "l"],
            (
                "google-cloud-aiplatform is not installed."
                " Run: pip install './tfx-best-exporter[vertex]'"
            ),
        ),
        (
            kubeflow_pipeline.main,
            "kfp",
            ["--host", "h"],
            "kfp is not installed. Run: pip install './tfx-best-exporter[kfp]'",
        ),
    ],
    ids=["vertex", "kubeflow"],
)
def test_without_a_client(
    monkeypatch: pytest.MonkeyPatch,
    main: Any,
    missing: str,
    arguments: list[str],
    message: str,
    capsys: Any,
):
    # Python raises ModuleNotFoundError for a module that is None in sys.modules.
    for name in (missing, *(name for name in sys.modules if name.startswith(f"{missing}."))):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SystemExit) as caught:
        main(["submit", "penguin", *arguments])
    assert caught.value.code == 2
    assert capsys.readouterr().err.endswith(f"error: {message}\n")


def test_a_label_without_a_value(capsys: Any):
    with pytest.raises(SystemExit):
        vertex_pipeline.main(["submit", "f", "--project=p", "--location=l", "--label", "team"])
    assert "must be NAME=VALUE (got 'team')" in capsys.readouterr().err


# Arguments that are known only when the pipeline runs.


def compile_with(tmp_path: Path, **arguments: Any) -> dict[str, Any]:
    importers = [
        tfx.dsl.Importer(source_uri="/", artifact_type=artifact_type).with_id(
            artifact_type.__name__
        )
        for artifact_type in (standard_artifacts.Model, standard_artifacts.ModelEvaluation)
    ]
    exporter = BestExporter(*(each.outputs["result"] for each in importers), **arguments)
    pipeline = tfx.dsl.Pipeline(
        pipeline_name="penguin", pipeline_root=str(tmp_path), components=[*importers, exporter]
    )
    return compile_pipeline(pipeline)["pipelineSpec"]


def test_a_runtime_parameter_becomes_one_of_the_pipeline(tmp_path: Path):
    parameter = data_types.RuntimeParameter(name="base-directory", ptype=str)
    spec = compile_with(tmp_path, push_destination=parameter)
    assert spec["root"]["inputDefinitions"] == {
        "parameters": {"base-directory": {"parameterType": "STRING"}}
    }
    inputs = spec["root"]["dag"]["tasks"]["BestExporter"]["inputs"]["parameters"]
    assert inputs["push_destination"] == {"componentInputParameter": "base-directory"}


@pytest.mark.parametrize("name", ["push_destination", "compare_policy"])
def test_a_placeholder_that_the_compiler_refuses(tmp_path: Path, name: str):
    late: Any = tfx.dsl.placeholders.execution_invocation().pipeline_run_id
    destination = {"filesystem": {"base_directory": "/serving"}}
    arguments: dict[str, Any] = {"push_destination": destination, name: late}
    with pytest.raises(ValueError, match=f"Invalid placeholder for exec prop {name}"):
        compile_with(tmp_path, **arguments)


def test_the_artifact_type_is_what_the_compiler_can_name():
    other = type("Other", (types.Artifact,), {"TYPE_NAME": "ExportDecision"})
    with pytest.raises(ValueError, match="Invalid custom artifact type name: ExportDecision"):
        compiler_utils.get_artifact_schema(other)
    assert "best_exporter.ExportDecision" in compiler_utils.get_artifact_schema(ExportDecision)


def test_the_cache_of_a_step_is_disabled_in_place():
    job = {"pipelineSpec": {"root": {"dag": {"tasks": {"a": {}, "b": {}}}}}}
    compiled.disable_cache(job, "a")
    assert job["pipelineSpec"]["root"]["dag"]["tasks"] == {"a": {"cachingOptions": {}}, "b": {}}
