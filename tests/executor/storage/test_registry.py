from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tfx_best_exporter.executor.storage import location_of, storage_of
from tfx_best_exporter.executor.storage.local import LocalStorage


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("/serving/model", "/serving/model"),
        ("/serving/model/", "/serving/model"),
        ("file:///serving/model/", "/serving/model"),
        ("FILE:///serving/model", "/serving/model"),
        ("/a b/c#d?e%20f", "/a b/c#d?e%20f"),
        ("file:///a%20b", "/a%20b"),
        ("/serving/../other", "/other"),
        ("a:b", os.path.abspath("a:b")),
        ("relative", os.path.abspath("relative")),
    ],
)
def test_a_path_is_local(uri: str, path: str) -> None:
    storage, actual = storage_of(uri)
    assert isinstance(storage, LocalStorage)
    assert actual == path
    assert storage_of(Path("/x"))[0] is storage


@pytest.mark.parametrize("scheme", ["gs", "s3"])
@pytest.mark.parametrize(
    ("rest", "path"),
    [("bucket", "bucket"), ("bucket/a/b/", "bucket/a/b"), ("bucket/a%20b#c?d", "bucket/a%20b#c?d")],
)
def test_a_scheme_has_its_store(scheme: str, rest: str, path: str) -> None:
    location = location_of(f"{scheme}://{rest}")
    assert location.path == path
    assert location.uri == f"{scheme}://{path}"
    assert location.storage is storage_of(f"{scheme.upper()}://other")[0]


@pytest.mark.usefixtures("folder_root")
def test_a_plugin_has_its_storage() -> None:
    location = location_of("folder://bucket/a")
    assert location.uri == "folder://bucket/a"
    assert location.storage is storage_of("folder://other")[0]
    # TensorFlow has this one of its own.
    assert location_of("ram://a").uri == "ram://a"


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        (
            "minio://bucket/model",
            (
                "URI must have the scheme of a storage (got 'minio://bucket/model'). Use a local"
                " path or one of file://, gs://, s3://, or register a plug-in for minio:// with"
                " TFX's filesystem registry."
            ),
        ),
        (
            "s3:///model",
            "URI must name a bucket (got 's3:///model'). Write it like s3://bucket/folder.",
        ),
        ("gs://", "URI must name a bucket (got 'gs://'). Write it like gs://bucket/folder."),
        (
            "file://host/model",
            (
                "URI must name a path of this machine (got 'file://host/model'). Write three"
                " slashes: file:///a/path."
            ),
        ),
        ("", "URI must not be empty (got ''). Name a folder."),
    ],
)
def test_a_uri_that_names_no_storage_is_an_error(uri: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as raised:
        storage_of(uri)
    assert str(raised.value) == message


def test_s3_without_boto3_says_what_to_install() -> None:
    program = """
import sys
sys.modules["boto3"] = None
from tfx_best_exporter.executor.storage import storage_of
storage_of("/a")
try:
    storage_of("s3://bucket/model")
except ModuleNotFoundError as error:
    print(error)
print(sorted({"tensorflow", "tfx", "google.cloud.storage"} & set(sys.modules)))
"""
    result = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert result.stdout == (
        "s3:// needs boto3 (got none installed, at s3://bucket/model)."
        " Run: pip install boto3.\n[]\n"
    )
