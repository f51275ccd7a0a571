"""InputArtifact, and paths inside artifacts compared with TFX's own functions."""

import math
from typing import Any

import pytest
from ml_metadata.proto import metadata_store_pb2
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import path_utils

from tfx_best_exporter.executor import executor
from tfx_best_exporter.executor.arguments import artifacts
from tfx_best_exporter.executor.arguments.artifacts import InputArtifact

UNKNOWN = metadata_store_pb2.Artifact.UNKNOWN
PENDING = metadata_store_pb2.Artifact.PENDING
LIVE = metadata_store_pb2.Artifact.LIVE


@pytest.mark.parametrize(
    ("state", "version", "directory"),
    [
        pytest.param(UNKNOWN, None, "Format-Serving", id="in a container"),
        pytest.param(UNKNOWN, "0.20.0", "Format-Serving", id="in a container, old"),
        pytest.param(LIVE, None, "serving_model_dir", id="published without a version"),
        pytest.param(LIVE, "0.28.0", "serving_model_dir", id="old"),
        pytest.param(LIVE, "0.29.0.dev", "Format-Serving", id="first of the new"),
        pytest.param(LIVE, "0.29.0", "Format-Serving", id="the release after it"),
        pytest.param(PENDING, "1.21.0", "Format-Serving", id="now"),
        pytest.param(LIVE, "1.3.0", "Format-Serving", id="not by the order of letters"),
    ],
)
@pytest.mark.parametrize("uri", ["/models/7", "/models/7/", "gs://bucket/models/7"])
def test_the_directory_of_a_model(uri: str, state: Any, version: str | None, directory: str):
    model = standard_artifacts.Model()
    model.uri = uri
    model.mlmd_artifact.state = state
    if version is not None:
        model.set_string_custom_property("tfx_version", version)
    [value] = executor.values_of({"model": [model]})["model"]
    found = artifacts.serving_model_directory(value)
    assert found == f"{uri.rstrip('/')}/{directory}"
    assert found == path_utils.serving_model_dir(uri, path_utils.is_old_model_artifact(model))


@pytest.mark.parametrize("uri", ["/blessings/7", "/blessings/7/", "gs://bucket/7"])
def test_the_directory_of_a_stamped_model(uri: str):
    assert artifacts.stamped_model_directory(uri) == path_utils.stamped_model_path(uri)


def test_the_property_with_the_version_is_that_of_tfx():
    name = artifact_utils.ARTIFACT_TFX_VERSION_CUSTOM_PROPERTY_KEY
    assert name == artifacts.TFX_VERSION_PROPERTY


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, 1), (0, 0), (1.0, 1), ("1", 0), (True, 0), (None, 0), ([1], 0)],
    ids=repr,
)
def test_a_custom_property_as_an_integer(value: Any, expected: int):
    artifact = InputArtifact(uri="/a", custom_properties={"blessed": value})
    assert artifact.int_custom_property("blessed") == expected
    assert artifact.int_custom_property("other") == 0
    # TFX reads the same integer from its own artifact.
    theirs = standard_artifacts.ModelBlessing()
    if isinstance(value, bool):
        theirs.set_bool_custom_property("blessed", value)
    elif isinstance(value, int):
        theirs.set_int_custom_property("blessed", value)
    elif isinstance(value, str):
        theirs.set_string_custom_property("blessed", value)
    else:
        theirs.set_json_value_custom_property("blessed", value)
    assert theirs.mlmd_artifact is not None
    assert theirs.get_int_custom_property("blessed") == expected


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([7], 7),
        ([7.0], 7),
        ([0], 0),
        ([-3], -3),
        ([7, 9, 8], 9),
        ([], None),
        ([7, None], None),
        (["7"], None),
        ([True], None),
        ([7.5], None),
        ([math.nan], None),
        ([math.inf], None),
        ([2**63], None),
    ],
    ids=repr,
)
@pytest.mark.parametrize("kind", ["custom_properties", "properties"])
def test_the_span_of_examples(spans: list[Any], expected: int | None, kind: str):
    examples = [InputArtifact(uri="/a", **{kind: {"span": span}}) for span in spans]
    assert artifacts.span_of(examples) == expected


def test_the_custom_property_of_example_gen_counts():
    """ExampleGen's driver sets the custom property; the declared one stays unset, or is 0."""
    examples = InputArtifact(uri="/a", custom_properties={"span": 8}, properties={"span": 0})
    assert artifacts.span_of([examples]) == 8
    assert artifacts.span_of([InputArtifact(uri="/a")]) is None
