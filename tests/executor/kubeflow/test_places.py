"""Repairs ExecutorInputs of Kubeflow Pipelines, without TFX."""

import json
from pathlib import Path
from typing import Any

import pytest

from tfx_best_exporter.executor.kubeflow import places

MODEL = {"instanceSchema": "title: tfx.Model\ntype: object\n"}
EXAMPLES = {"instanceSchema": "title: tfx.Examples\ntype: object\n"}
SPEC = json.dumps(
    {"artifacts": {"model": {"artifactType": MODEL}, "examples": {"artifactType": EXAMPLES}}}
)
EMPTY = {"instanceSchema": ""}
BLESSING = {"instanceSchema": "title: tfx.ModelBlessing\ntype: object\n"}


def content_of(inputs: dict[str, Any] | None = None, outputs: dict[str, Any] | None = None) -> str:
    """Returns an ExecutorInput with one artifact in each channel."""
    sides: dict[str, Any] = {
        side: {"artifacts": {name: {"artifacts": [each]} for name, each in (given or {}).items()}}
        for side, given in (("inputs", inputs), ("outputs", outputs))
    }
    sides["outputs"]["outputFile"] = "/tmp/kfp_outputs/output_metadata.json"
    return json.dumps(sides)


def only(invocation: places.Invocation, side: str, channel: str) -> dict[str, Any]:
    [artifact] = invocation.content[side]["artifacts"][channel]["artifacts"]
    return artifact


@pytest.mark.parametrize(
    "given",
    [{"type": EMPTY}, {"type": {}}, {"type": {"schemaTitle": ""}}, {}],
    ids=["kubeflow", "empty", "empty title", "missing"],
)
def test_a_missing_type_is_filled_in(given: dict[str, Any]):
    found = places.read(content_of({"model": {"uri": "/m", **given}}), SPEC)
    assert only(found, "inputs", "model") == {"uri": "/m", "type": MODEL}
    assert json.loads(found.for_tfx()) == found.content


@pytest.mark.parametrize("kind", [EXAMPLES, {"schemaTitle": "tfx.Model", "schemaVersion": "1"}])
def test_a_type_is_kept(kind: dict[str, str]):
    found = places.read(content_of({"model": {"uri": "/m", "type": kind}}), SPEC)
    assert only(found, "inputs", "model")["type"] == kind


@pytest.mark.parametrize("spec", [None, "{}", SPEC])
def test_a_type_that_is_not_known(spec: str | None):
    found = places.read(content_of({"other": {"uri": "/m", "type": EMPTY}}), spec)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole text follows.
        found.for_tfx()
    assert str(caught.value) == (
        "other must have an artifact type (got none). Compile the pipeline with"
        " use_pipeline_spec_2_1=True, which passes the types on the command line."
    )


def test_all_artifacts_of_a_channel_are_repaired():
    content = json.dumps(
        {
            "inputs": {
                "artifacts": {
                    "model": {"artifacts": [{"uri": f"minio://b/{each}"} for each in "xy"]},
                    "examples": {"artifacts": []},
                    "nothing": {},
                }
            }
        }
    )
    found = json.loads(places.read(content, SPEC).for_tfx())["inputs"]["artifacts"]
    assert found["model"]["artifacts"] == [
        {"uri": "/minio/b/x", "type": MODEL},
        {"uri": "/minio/b/y", "type": MODEL},
    ]
    assert (found["examples"], found["nothing"]) == ({"artifacts": []}, {})


@pytest.mark.parametrize(
    ("kind", "is_kept"),
    [
        ({"schemaTitle": "system.Artifact"}, False),
        ({"schemaTitle": "system.Metrics"}, False),
        (BLESSING, True),
        ({"schemaTitle": "tfx.ModelBlessing"}, True),
        ({}, True),
    ],
)
def test_outputs_of_kubeflow_are_dropped(kind: dict[str, str], is_kept: bool):
    outputs = {"blessing": {"uri": "/b", "type": BLESSING}, "x": {"uri": "/x", "type": kind}}
    found = places.read(content_of(outputs=outputs), SPEC)
    assert found.output_uris() == {"blessing": "/b", **({"x": "/x"} if is_kept else {})}
    assert found.content["outputs"]["outputFile"] == found.output_file


@pytest.mark.parametrize(
    ("stored", "read"),
    [
        ({"list": [1, 2]}, [1, 2]),
        ({"struct": {"a": 1}}, {"a": 1}),
        ({"list": {"a": 1}}, {"list": {"a": 1}}),
        ({"struct": {}, "list": []}, {"struct": {}, "list": []}),
        ({"other": [1]}, {"other": [1]}),
        ("text", "text"),
        (3.0, 3.0),
    ],
)
@pytest.mark.parametrize("is_kubeflow", [True, False])
def test_values_are_unwrapped(stored: Any, read: Any, is_kubeflow: bool):
    artifact = {"uri": "/m", "metadata": {"x": stored}, "type": EMPTY if is_kubeflow else MODEL}
    found = places.read(content_of({"model": artifact}), SPEC)
    assert only(found, "inputs", "model")["metadata"] == {"x": read if is_kubeflow else stored}


def test_unknown_fields_are_kept():
    content = json.loads(content_of({"model": {"uri": "/m", "customPath": "/p"}}))
    content["inputs"]["parameterValues"] = {"as_text": 0.0, "minio": "minio://b/k"}
    content["outputs"]["parameters"] = {"x": {"outputFile": "/x"}}
    found = json.loads(places.read(json.dumps(content), SPEC).for_tfx())
    assert found["inputs"]["parameterValues"] == content["inputs"]["parameterValues"]
    assert found["outputs"]["parameters"] == content["outputs"]["parameters"]
    assert found["inputs"]["artifacts"]["model"]["artifacts"][0]["customPath"] == "/p"


# Folders.


@pytest.mark.parametrize(
    ("uri", "folder"),
    [
        ("minio://b/k", "minio/b/k"),
        ("minio://b/k/", "minio/b/k"),
        ("minio://b/a b/%20", "minio/b/a b/%20"),
        ("s3://b/k", "s3/b/k"),
        ("s3://other/k", None),
        ("gs://b/k", None),
        ("hdfs://b/k", None),
        ("/minio/b/k", None),
        ("minio/b", None),
        ("", None),
    ],
)
@pytest.mark.parametrize("side", ["inputs", "outputs"])
def test_folders(tmp_path: Path, uri: str, folder: str | None, side: str):
    (tmp_path / "s3" / "b").mkdir(parents=True)
    content = content_of(**{side: {"model": {"uri": uri, "type": MODEL}}})
    found = places.read(content, SPEC, root=str(tmp_path))
    expected = uri if folder is None else str(tmp_path / folder)
    assert json.loads(found.for_tfx())[side]["artifacts"]["model"]["artifacts"] == [
        {"uri": expected, "type": MODEL}
    ]
    # The URI stays what other containers know.
    assert only(found, side, "model")["uri"] == uri


def test_a_missing_uri_stays_missing():
    found = places.read(content_of(outputs={"x": {"type": MODEL}}), SPEC)
    assert (found.folders, found.output_uris()) == ({}, {})


def test_the_folders_of_a_cluster():
    found = places.read(content_of({"model": {"uri": "minio://mlpipeline/v2/m"}}), SPEC)
    assert found.folders == {"minio://mlpipeline/v2/m": "/minio/mlpipeline/v2/m"}


@pytest.mark.parametrize("has_file_system", [True, False])
def test_s3_with_a_plug_in(tmp_path: Path, has_file_system: bool):
    (tmp_path / "s3" / "b").mkdir(parents=True)
    asked: list[str] = []

    def answer(scheme: str) -> bool:
        asked.append(scheme)
        return has_file_system

    inputs = {"model": {"uri": "s3://b/m"}, "examples": {"uri": "s3://b/e"}, "x": {"uri": "gs://b"}}
    found = places.read(content_of(inputs), SPEC, has_file_system=answer, root=str(tmp_path))
    assert bool(found.folders) is not has_file_system
    assert asked == ["s3"]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ({"uri": "/minio/b/o"}, {"uri": "minio://b/o"}),
        ({"uri": "/minio/b/o/x"}, {"uri": "minio://b/o/x"}),
        ({"uri": "/minio/b/other"}, {"uri": "/minio/b/other"}),
        (
            {
                "uri": "/minio/b/o",
                "metadata": {
                    "current_model": "/minio/b/m",
                    "path": "/minio/b/m/Format-Serving",
                    "text": "see /minio/b/m",
                    "nothing": None,
                    "number": 1.5,
                },
            },
            {
                "uri": "minio://b/o",
                "metadata": {
                    "current_model": "minio://b/m",
                    "path": "minio://b/m/Format-Serving",
                    "text": "see /minio/b/m",
                    "number": 1.5,
                },
            },
        ),
    ],
)
def test_the_executor_output_has_uris(written: dict[str, Any], read: dict[str, Any]):
    content = content_of(
        {"model": {"uri": "minio://b/m"}}, {"blessing": {"uri": "minio://b/o", "type": BLESSING}}
    )
    text = json.dumps({"artifacts": {"blessing": {"artifacts": [written]}}, "parameterValues": {}})
    found = json.loads(places.read(content, SPEC).for_kubeflow(text))
    assert found == {"artifacts": {"blessing": {"artifacts": [read]}}, "parameterValues": {}}


# Beam.


@pytest.mark.parametrize(
    ("words", "is_local"),
    [
        ([], True),
        (["--direct_num_workers=1"], True),
        (["--runner=DataflowRunner"], False),
        (["--runner", "DataflowRunner", "--project=p"], False),
        (["--runner", "DirectRunner", "--project=p"], True),
        (["--runner=dataflow"], False),
        (["--runner=FlinkRunner", "--runner=DirectRunner"], True),
        (["--runner=DirectRunner", "--runner=FlinkRunner"], False),
        (["--runner"], False),
        (["--runner_extra=x"], True),
    ],
)
def test_the_runner(words: list[str], is_local: bool):
    assert places.has_local_runner(words) is is_local


@pytest.mark.parametrize(
    "runner",
    [
        "DirectRunner",
        "directrunner",
        "direct",
        "apache_beam.runners.direct.DirectRunner",
        "PrismRunner",
        "BundleBasedDirectRunner",
    ],
)
def test_a_local_runner_reads_the_folders(runner: str):
    found = places.read(content_of({"model": {"uri": "minio://b/m"}}), SPEC)
    found.check_runner([f"--runner={runner}"], lambda: pytest.fail("not needed"))


@pytest.mark.parametrize("runner", ["DataflowRunner", "SparkRunner", "portable", "x.FlinkRunner"])
def test_a_runner_on_other_machines_does_not(runner: str):
    found = places.read(content_of({"model": {"uri": "minio://b/m"}}), SPEC)
    found.check_runner([f"--runner={runner}"], lambda: False)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole text follows.
        found.check_runner([f"--runner={runner}"], lambda: True)
    assert str(caught.value) == (
        f"beam_pipeline_args must name a local runner (got --runner={runner}): minio://b/m is in a"
        " local folder of this step, which Beam's workers cannot read. Use DirectRunner, or a"
        " pipeline root on gs://."
    )


def test_any_runner_reads_other_uris():
    found = places.read(content_of({"model": {"uri": "gs://b/m"}}), SPEC)
    found.check_runner(["--runner=DataflowRunner"], lambda: True)


@pytest.mark.parametrize("text", ["{", "[]", "1", ""])
def test_what_is_no_json_object(text: str):
    with pytest.raises(ValueError, match=r"^json_serialized_invocation_args must be a JSON object"):
        places.read(text, None)
    if text:
        with pytest.raises(ValueError, match=r"^json_serialized_inputs_spec_args must be a JSON"):
            places.read("{}", text)
