"""Compiles pipelines for Kubeflow Pipelines, and submits them to a stub of its API server."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from tfx import v1 as tfx
from tfx.orchestration import data_types
from tfx.types import standard_artifacts

from pipelines import command_line, compiled, kubeflow
from tests.pipelines.kubeflow_api import api_server
from tfx_best_exporter.component import BestExporter

MINIO_ROOT = "minio://mlpipeline/v2/artifacts"
ON_HDFS = {"filesystem": {"base_directory": "hdfs://serving/penguin"}}
ON_S3 = {"filesystem": {"base_directory": "s3://models/penguin"}}
SECRETS = (
    "--secret=store:id=AWS_ACCESS_KEY_ID",
    "--secret=store:key=AWS_SECRET_ACCESS_KEY",
    "--secret=other:ca.crt=AWS_CA",
)
SECRETS_AS_ENV = [
    {
        "secretName": "store",
        "keyToEnv": [
            {"secretKey": "id", "envVar": "AWS_ACCESS_KEY_ID"},
            {"secretKey": "key", "envVar": "AWS_SECRET_ACCESS_KEY"},
        ],
    },
    {"secretName": "other", "keyToEnv": [{"secretKey": "ca.crt", "envVar": "AWS_CA"}]},
]


def compile_words(path: Path, *more: str, root: str = MINIO_ROOT) -> list[str]:
    return [
        "--platform=kubeflow",
        "compile",
        "--image=registry/full:1",
        f"--pipeline-root={root}",
        "--base-directory=s3://models/penguin",
        "--data-root=gs://data/penguin",
        f"--output={path}",
        *more,
    ]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the penguin pipeline with a root on minio:// and a base directory on s3://."""
    result = tmp_path_factory.mktemp("kubeflow") / "penguin.yaml"
    words = compile_words(result, f"--run-fn={compiled.RUN_FN}", *SECRETS)
    assert command_line.main(words) == 0
    return result


@pytest.fixture(scope="module")
def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def tasks_in(spec: dict[str, Any]) -> dict[str, Any]:
    return spec["root"]["dag"]["tasks"]


def constants_of(spec: dict[str, Any], task: str) -> dict[str, Any]:
    """Returns the constant parameters of a task."""
    parameters = tasks_in(spec)[task]["inputs"]["parameters"]
    return {name: value["runtimeValue"]["constant"] for name, value in parameters.items()}


def test_root_and_base_directory_may_be_in_different_stores(documents: list[dict[str, Any]]):
    spec, _ = documents
    assert spec["defaultPipelineRoot"] == MINIO_ROOT
    destination = json.loads(constants_of(spec, "BestExporter")["push_destination"])
    assert destination == {"filesystem": {"base_directory": "s3://models/penguin"}}


def test_the_trainer_is_a_function_in_the_image(documents: list[dict[str, Any]]):
    spec, _ = documents
    constants = constants_of(spec, "Trainer")
    assert constants["run_fn"] == compiled.RUN_FN
    assert not {"module_file", "module_path"} & constants.keys()


def test_the_exporter_and_the_example_gen_are_not_cached(documents: list[dict[str, Any]]):
    tasks = tasks_in(documents[0])
    assert {name: task["cachingOptions"] for name, task in tasks.items()} == {
        "ImportExampleGen": {},
        "Trainer": {"enableCache": True},
        "Evaluator": {"enableCache": True},
        "BestExporter": {},
    }


def test_only_the_exporter_is_retried(documents: list[dict[str, Any]]):
    tasks = tasks_in(documents[0])
    assert {name: task["retryPolicy"] for name, task in tasks.items() if "retryPolicy" in task} == {
        "BestExporter": {
            "maxRetryCount": 2,
            "backoffDuration": "30s",
            "backoffFactor": 2.0,
            "backoffMaxDuration": "600s",
        }
    }


def test_secrets_are_in_the_second_document(documents: list[dict[str, Any]]):
    spec, platform = documents
    label = spec["components"]["BestExporter"]["executorLabel"]
    assert platform == {
        "platforms": {
            "kubernetes": {
                "deploymentSpec": {"executors": {label: {"secretAsEnv": SECRETS_AS_ENV}}}
            }
        }
    }


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("root", [None, "s3://elsewhere/root"], ids=["compiled", "given"])
def test_submit_sends_all_that_the_server_needs(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, root: str | None
):
    monkeypatch.setenv("HOME", str(tmp_path))
    options = [f"--pipeline-root={root}"] if root else []
    with api_server() as (url, runs):
        words = ["--platform=kubeflow", "submit", str(path), f"--host={url}", *options]
        assert command_line.main(words) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "Run:  run-7"
    [run] = runs
    assert run.root == (root or MINIO_ROOT)
    assert run.parameters == {}
    exporter = run.pipeline.root.dag.tasks["BestExporter"]
    assert exporter.retry_policy.max_retry_count == 2
    assert not exporter.caching_options.enable_cache
    platform = json_format.MessageToDict(run.platform)
    assert platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"] == {
        "BestExporter_executor": {"secretAsEnv": SECRETS_AS_ENV}
    }


def pipeline_with(
    tmp_path: Path,
    *,
    root: str | None = None,
    node_id: str = "BestExporter",
    deployers_of: Callable[[Any], list[Any]] = lambda _: [],
    **arguments: Any,
) -> Any:
    """Returns a pipeline of importers, a BestExporter and deployers."""
    importers = {
        key: tfx.dsl.Importer(source_uri="/", artifact_type=artifact_type).with_id(key)
        for key, artifact_type in {
            "model": standard_artifacts.Model,
            "evaluation": standard_artifacts.ModelEvaluation,
            "examples": standard_artifacts.Examples,
        }.items()
    }
    channels = {
        key: importers[key].outputs["result"]
        for key in ("model", "evaluation", *(["examples"] if arguments.pop("examples", 0) else []))
    }
    arguments.setdefault("push_destination", {"filesystem": {"base_directory": "/serving"}})
    exporter = BestExporter(**channels, **arguments).with_id(node_id)
    return tfx.dsl.Pipeline(
        pipeline_name="penguin",
        pipeline_root=root or str(tmp_path / "root"),
        components=[*importers.values(), exporter, *deployers_of(exporter)],
    )


def gated_deployers(exporter: Any) -> list[Any]:
    """Returns two deployers that run only if the candidate is the best."""
    model, blessing = exporter.inputs["model"], exporter.outputs["blessing"]
    by_input = tfx.extensions.google_cloud_ai_platform.Pusher(
        model=model,
        model_blessing=blessing,
        custom_config={tfx.extensions.google_cloud_ai_platform.ENABLE_VERTEX_KEY: True},
    )
    with tfx.dsl.Cond(blessing.future()[0].custom_property("blessed") == 1):
        by_condition = tfx.components.Pusher(
            model=model,
            push_destination=tfx.proto.PushDestination(
                filesystem=tfx.proto.PushDestination.Filesystem(base_directory="/copy")
            ),
        )
    return [by_input.with_id("by-input"), by_condition.with_id("by-condition")]


def test_deployers_are_gated_by_the_blessing(tmp_path: Path):
    pipeline = pipeline_with(tmp_path, deployers_of=gated_deployers)
    job = compiled.compile_pipeline(pipeline, image="i")
    tasks = tasks_in(job["pipelineSpec"])
    blessing = {
        "taskOutputArtifact": {"producerTask": "BestExporter", "outputArtifactKey": "blessing"}
    }
    assert tasks["by-input"]["inputs"]["artifacts"]["model_blessing"] == blessing
    inputs = tasks["by-condition"]["inputs"]["artifacts"]
    [channel] = [name for name, source in inputs.items() if source == blessing]
    assert tasks["by-condition"]["triggerPolicy"] == {
        "condition": f"(inputs.artifacts['{channel}'].artifacts[0].metadata['blessed'] == 1.0)"
    }


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Returns a function that compiles a pipeline whose base directory is a parameter."""

    def run() -> Path:
        parameter = data_types.RuntimeParameter(name="base-directory", ptype=str)
        pipeline = pipeline_with(tmp_path, push_destination=parameter)
        job = compiled.compile_pipeline(pipeline, image="i")
        result = tmp_path / "penguin.yaml"
        result.write_text(kubeflow.to_yaml(job["pipelineSpec"]))
        return result

    return run


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_submit_sends_parameters(
    write: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    with api_server() as (url, runs):
        kubeflow.submit(write(), host=url, parameters={"base-directory": "s3://models/penguin"})
    [run] = runs
    assert run.parameters == {"base-directory": "s3://models/penguin"}
    assert run.platform.platforms == {}


def test_a_parameter_that_the_pipeline_lacks(write: Callable[..., Path]):
    with pytest.raises(compiled.PipelineError) as caught:
        kubeflow.submit(write(), host="http://127.0.0.1:9", parameters={"base": "/serving"})
    assert str(caught.value) == (
        "--parameter must name a parameter of the pipeline (got 'base')."
        " The pipeline has: base-directory."
    )


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("STRING", "7", "7"),
        ("NUMBER_INTEGER", "7", 7),
        ("NUMBER_DOUBLE", "0.5", 0.5),
    ],
)
def test_the_type_of_a_parameter(kind: str, text: str, expected: Any):
    spec = {"root": {"inputDefinitions": {"parameters": {"p": {"parameterType": kind}}}}}
    values = compiled.parameter_values(spec, {"p": text})
    assert values == {"p": expected}
    assert type(values["p"]) is type(expected)


def test_a_parameter_of_another_type():
    spec = {
        "root": {"inputDefinitions": {"parameters": {"p": {"parameterType": "NUMBER_INTEGER"}}}}
    }
    with pytest.raises(compiled.PipelineError) as caught:
        compiled.parameter_values(spec, {"p": "many"})
    assert str(caught.value) == (
        "--parameter p must be a NUMBER_INTEGER (got 'many'). Pass a number."
    )


@pytest.mark.parametrize("has_examples", [False, True])
def test_an_exporter_without_examples_warns(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, has_examples: bool
):
    compiled.compile_pipeline(pipeline_with(tmp_path, examples=has_examples), image="i")
    found = [each.message for each in caplog.records if each.name == compiled.__name__]
    assert found == (
        []
        if has_examples
        else [
            (
                "BestExporter has no examples: a best without a record, such as one that Pusher"
                " pushed, has no known evaluation on this platform and is kept (on_unknown_best is"
                " KEEP). Pass examples=, so that BestExporter can evaluate it."
            )
        ]
    )


@pytest.mark.parametrize("node_id", ["BestExporter", "best-exporter", "7", "BestExporter-2"])
def test_ids_that_argo_accepts(tmp_path: Path, node_id: str):
    job = compiled.compile_pipeline(pipeline_with(tmp_path, node_id=node_id), image="i")
    assert node_id in kubeflow.to_yaml(job["pipelineSpec"])


@pytest.mark.parametrize(
    ("node_id", "remedy"),
    [
        ("best_exporter", "best-exporter"),
        ("BestExporter.penguin", "BestExporter-penguin"),
        ("-exporter", "exporter"),
    ],
)
def test_ids_that_argo_refuses(tmp_path: Path, node_id: str, remedy: str):
    job = compiled.compile_pipeline(pipeline_with(tmp_path, node_id=node_id), image="i")
    with pytest.raises(compiled.PipelineError) as caught:
        kubeflow.to_yaml(job["pipelineSpec"])
    assert str(caught.value) == (
        "the id of a component must have only letters, digits and '-', and begin with a letter or a"
        f" digit, on Kubeflow Pipelines (got {node_id!r}). Call .with_id({remedy!r})."
    )


@pytest.mark.parametrize("root", [MINIO_ROOT, "s3://artifacts/penguin", "hdfs://a/b"])
def test_a_module_file_and_a_root_that_tfx_cannot_write(tmp_path: Path, capsys: Any, root: str):
    output = tmp_path / "penguin.yaml"
    with pytest.raises(SystemExit) as caught:
        command_line.main(compile_words(output, root=root))
    assert caught.value.code == 2
    assert capsys.readouterr().err.endswith(
        "error: pipeline_root must be a directory that TFX can write if a component has a"
        " module_file, because TFX writes a wheel of it there"
        f" (got {root!r}, for Trainer). Put the code into the image, and pass its dotted name"
        " instead of the file. The penguin pipeline does so with --run-fn"
        " pipelines.penguin.trainer_module.run_fn.\n"
    )
    assert not output.exists()


@pytest.mark.parametrize(
    ("strategy", "keys"),
    [
        (tfx.dsl.experimental.LatestArtifactStrategy, ["model"]),
        (tfx.dsl.experimental.LatestBlessedModelStrategy, ["model", "model_blessing"]),
    ],
    ids=["latest", "latest blessed"],
)
def test_a_resolver_that_kubeflow_does_not_run(tmp_path: Path, strategy: Any, keys: Sequence[str]):
    types = {"model": standard_artifacts.Model, "model_blessing": standard_artifacts.ModelBlessing}
    channels: dict[str, Any] = {key: tfx.dsl.Channel(type=types[key]) for key in keys}
    resolver = tfx.dsl.Resolver(strategy_class=strategy, **channels).with_id("baseline")
    pipeline = pipeline_with(tmp_path, deployers_of=lambda _: [resolver])
    job = compiled.compile_pipeline(pipeline, image="i")
    with pytest.raises(compiled.PipelineError) as caught:
        kubeflow.to_yaml(job["pipelineSpec"])
    assert re.fullmatch(
        r"a pipeline must have no Resolver on Kubeflow Pipelines \(got 'baseline[-a-z]*'\)\. Leave"
        r" it out\. To compare the candidate and the best on the same examples, pass examples= to"
        r" BestExporter\.",
        str(caught.value),
    )


def write_module(tmp_path: Path) -> Path:
    result = tmp_path / "comparing.py"
    result.write_text("def compare_fn(best_eval_result, current_eval_result): return True\n")
    return result


def test_a_module_file_of_the_exporter_is_checked_too(tmp_path: Path):
    pipeline = pipeline_with(tmp_path, root=MINIO_ROOT, module_file=str(write_module(tmp_path)))
    with pytest.raises(compiled.PipelineError, match="for BestExporter"):
        compiled.compile_pipeline(pipeline, image="i")


@pytest.mark.parametrize(
    "text", ["store", "store:id", "store=ENV", "Store:id=ENV", "store:id=A-B", "store:id=7A"]
)
def test_a_secret_of_another_form(tmp_path: Path, capsys: Any, text: str):
    with pytest.raises(SystemExit):
        command_line.main(compile_words(tmp_path / "penguin.yaml", "--secret", text))
    assert f"must be NAME:KEY=ENV (got {text!r})" in capsys.readouterr().err


def images_in(job: dict[str, Any]) -> dict[str, str]:
    executors = job["pipelineSpec"]["deploymentSpec"]["executors"]
    return {
        name.removesuffix("_executor"): executor["container"]["image"]
        for name, executor in executors.items()
        if "container" in executor
    }


def test_the_light_image_is_that_of_the_exporter(tmp_path: Path):
    output = tmp_path / "penguin.yaml"
    words = compile_words(output, f"--run-fn={compiled.RUN_FN}", "--without-examples")
    assert command_line.main([*words, "--light-image=registry/light:1"]) == 0
    assert images_in({"pipelineSpec": yaml.safe_load(output.read_text())}) == {
        "BestExporter": "registry/light:1",
        "ImportExampleGen": "registry/full:1",
        "Trainer": "registry/full:1",
        "Evaluator": "registry/full:1",
    }


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"examples": True}, "examples"),
        ({"as_text": True}, "as_text"),
        ({"serving_signatures_fn": "team.models.signatures"}, "serving_signatures_fn"),
        ({"examples": True, "as_text": True}, "examples, as_text"),
    ],
    ids=["examples", "as_text", "serving_signatures_fn", "two"],
)
def test_a_step_that_the_light_image_cannot_run(
    tmp_path: Path, arguments: dict[str, Any], found: str
):
    with pytest.raises(compiled.PipelineError) as caught:
        compiled.compile_pipeline(
            pipeline_with(tmp_path, **arguments), image="i", light_image="light"
        )
    assert str(caught.value) == (
        "light_image must not be set for a step that loads TensorFlow (got BestExporter with"
        f" {found}). Use the full image for it, or leave out {found}."
    )


def test_a_module_file_that_the_light_image_cannot_run(tmp_path: Path):
    path = write_module(tmp_path)
    with pytest.raises(compiled.PipelineError, match=r"got BestExporter with module_file\)"):
        compiled.compile_pipeline(
            pipeline_with(tmp_path, module_file=str(path)), image="i", light_image="light"
        )


@pytest.mark.parametrize(
    ("arguments", "name", "uri"),
    [
        ({"push_destination": ON_HDFS}, "push_destination", "hdfs://serving/penguin"),
        ({"state_directory": "hdfs://state/penguin"}, "state_directory", "hdfs://state/penguin"),
        (
            {"assets_extra": {"labels.txt": "hdfs://d/l"}},
            "assets_extra['labels.txt']",
            "hdfs://d/l",
        ),
        ({"root": "hdfs://root/penguin"}, "pipeline_root", "hdfs://root/penguin"),
    ],
    ids=["base directory", "state directory", "file", "root"],
)
def test_a_storage_that_the_light_image_cannot_access(
    tmp_path: Path, arguments: dict[str, Any], name: str, uri: str
):
    pipeline = pipeline_with(tmp_path, **arguments)
    compiled.compile_pipeline(pipeline, image="i")
    with pytest.raises(compiled.PipelineError) as caught:
        compiled.compile_pipeline(pipeline, image="i", light_image="light")
    assert str(caught.value) == (
        "light_image must not be set for a step that accesses another storage than a local disk,"
        f" gs://, s3:// or minio:// (got BestExporter with {name} {uri!r}). Use the full image for"
        " it, or one of these storages."
    )


def test_storages_of_the_light_image(tmp_path: Path):
    """The value of a parameter is not known before the pipeline runs."""
    parameter = data_types.RuntimeParameter(name="base-directory", ptype=str)
    for root, destination, state in (
        (MINIO_ROOT, parameter, None),
        ("gs://root/penguin", ON_S3, "s3://state/penguin"),
        ("/root/penguin", {"filesystem": {"base_directory": "file:///serving"}}, None),
    ):
        pipeline = pipeline_with(
            tmp_path, root=root, push_destination=destination, state_directory=state
        )
        job = compiled.compile_pipeline(pipeline, image="i", light_image="light")
        assert images_in(job) == {"BestExporter": "light"}


def test_without_a_platform(capsys: Any):
    with pytest.raises(SystemExit) as caught:
        command_line.main(["compile"])
    assert caught.value.code == 2
    assert "the following arguments are required: --platform" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        (["--help"], ["--platform"]),
        (["--platform=vertex", "--help"], ["compile", "submit"]),
        (["--platform=kubeflow", "compile", "--help"], ["--secret", "--light-image", "--run-fn"]),
        (["--platform", "vertex", "submit", "--help"], ["--pipeline-root", "--parameter"]),
    ],
    ids=["no platform", "vertex", "kubeflow compile", "vertex submit"],
)
def test_help(words: list[str], flags: list[str], capsys: Any):
    with pytest.raises(SystemExit) as caught:
        command_line.main(words)
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert [flag for flag in flags if not re.search(rf"{flag}\b", text)] == []


def test_vertex_has_no_secrets(tmp_path: Path, capsys: Any):
    words = compile_words(tmp_path / "penguin.json", SECRETS[0])
    with pytest.raises(SystemExit):
        command_line.main(["--platform=vertex", *words[1:]])
    assert "unrecognized arguments: --secret" in capsys.readouterr().err
