"""Secrets are hidden, and everything else stays as it is."""

import traceback

import pytest

from tfx_best_exporter.executor.arguments.errors import FieldValueError
from tfx_best_exporter.executor.redaction import (
    redacted,
    redacted_message,
    shown,
    without_secrets,
)
from tfx_best_exporter.executor.storage.errors import bucket_missing
from tfx_best_exporter.executor.storage.local import LocalStorage
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import StorageError
from tfx_best_exporter.proto import best_exporter_pb2 as pb

SECRET = "s3cr/et+=="
URI = f"hdfs://me:{SECRET}@host/models?sig={SECRET}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("hdfs://me:pw@host/a", "hdfs://***@host/a", id="user and password"),
        pytest.param("x s3n://ID:a/b+c@bucket/a y", "x s3n://***@bucket/a y", id="a slash"),
        pytest.param("https://token@host/a", "https://***@host/a", id="a token"),
        pytest.param("HTTP://:pw@host:9000", "HTTP://***@host:9000", id="only a password"),
        pytest.param('"http://me:1234@host:1/a"', '"http://***@host:1/a"', id="digits"),
        pytest.param(
            "https://h/a?sv=1&sig=abc%3D&se=2#x&X-Amz-Signature=1f",
            "https://h/a?sv=1&sig=***&se=2#x&X-Amz-Signature=***",
            id="signatures",
        ),
        pytest.param(
            "/a?access_token=abc and b", "/a?access_token=*** and b", id="a token in a query"
        ),
    ],
)
def test_secrets_are_hidden(text: str, expected: str):
    assert redacted(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "/serving/model@2/7",
        "gs://bucket/a:b@c/7",
        "http://host:9000/v1@latest",
        "s3://bucket/model?versionId=7",
        "auc 0.9 = best; by=0.001",
        "abfss://container@account.dfs.core.windows.net/a",
    ],
)
def test_other_texts_stay_as_they_are(text: str):
    assert redacted(text) == text


def test_a_long_text_takes_little_time():
    text = "a" * 1_000_000 + "://" + "?key" * 250_000
    assert redacted(text) == text


def test_names_are_shown_in_one_line():
    assert shown("/serving/7\nERROR forged\x1b[0m") == "/serving/7\\nERROR forged\\x1b[0m"
    assert shown("/serving/mödel 7") == "/serving/mödel 7"


def test_a_location_in_a_message():
    location = Location(LocalStorage(), "/a\n?token=abc")
    assert str(location) == "/a\\n?token=***"
    assert location.uri == "/a\n?token=abc"


@pytest.mark.parametrize(
    "error",
    [
        StorageError(f"cannot read {URI}"),
        FieldValueError("base_directory", f"must be a path (got {URI!r})."),
        StorageError(bucket_missing("bucket", URI)),
    ],
    ids=["storage", "field", "text"],
)
def test_errors_hide_secrets(error: Exception):
    assert SECRET not in str(error)
    assert "host/models" in str(error)


def test_an_error_hides_the_secrets_of_the_errors_that_caused_it():
    def fail(text: str) -> None:
        try:
            raise LookupError(text, 3)
        except LookupError as error:
            raise RuntimeError(text) from error

    with pytest.raises(RuntimeError) as caught, without_secrets():
        fail(f"cannot open {URI}")
    shown_lines = "".join(traceback.format_exception(caught.value))
    assert "LookupError" in shown_lines
    assert shown_lines.count("cannot open hdfs://***@host/models?sig=***") == 2
    assert SECRET not in shown_lines


def test_a_message_without_secrets_is_the_same_one():
    decision = pb.ExportDecision(base_directory="gs://bucket/model", warnings=["why"])
    assert redacted_message(decision) is decision


def test_a_message_hides_the_secrets_in_all_of_its_texts():
    decision = pb.ExportDecision(
        base_directory=URI,
        candidate=pb.SourceModel(uri=URI),
        warnings=["why", URI],
        version=7,
        slices=[pb.SliceChange(slice=pb.Slice(features={"url": URI}), candidate=float("nan"))],
    )
    hidden = redacted_message(decision)
    assert SECRET.encode() not in hidden.SerializeToString()
    assert hidden.warnings == ["why", "hdfs://***@host/models?sig=***"]
    assert hidden.version == 7
    assert decision.base_directory == URI
