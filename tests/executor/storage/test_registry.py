from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.executor.storage.memory import MemoryStorage
from tfx_best_exporter.executor.storage import location_of, storage_of
from tfx_best_exporter.executor.storage.local import LocalStorage
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.registry import STORAGES, Registry, StorageRow


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
    # The scheme ram:// is TensorFlow's own.
    assert location_of("ram://a").uri == "ram://a"


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        (
            "minio://bucket/model",
            (
                "URI must have the scheme of a storage (got 'minio://bucket/model'). Use a local"
                " path or one of file://, gs://, s3://, or register a plug-in for minio:// in"
                " TFX's filesystem registry."
            ),
        ),
        (
            "s3:///model",
            "URI must name a bucket (got 's3:///model'). Use the form s3://bucket/folder.",
        ),
        ("gs://", "URI must name a bucket (got 'gs://'). Use the form gs://bucket/folder."),
        (
            "file://host/model",
            (
                "URI must name an absolute path on this machine (got 'file://host/model'). Use"
                " three slashes: file:///a/path."
            ),
        ),
        ("", "URI must not be empty (got ''). Use the path or URI of a directory."),
    ],
)
def test_a_uri_that_names_no_storage_is_an_error(uri: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as raised:
        storage_of(uri)
    assert str(raised.value) == message


@pytest.mark.parametrize("scheme", ["gs", "s3"])
@pytest.mark.parametrize("user", ["ID:sec/ret", "ID:secret", "secret"])
def test_credentials_in_a_uri_are_refused_and_not_shown(scheme: str, user: str) -> None:
    with pytest.raises(ValueError, match="must have no user") as raised:
        storage_of(f"{scheme}://{user}@bucket/model")
    assert str(raised.value) == (
        f"URI must have no user or password (got '{scheme}://***@bucket/model'). Use the form"
        f" {scheme}://bucket/folder, and set the credentials in the environment."
    )


MEMORY = StorageRow(name="tests.executor.storage.memory:MemoryStorage")


def test_another_storage_is_one_row() -> None:
    registry = Registry({**STORAGES, "memory": MEMORY})
    location = registry.location_of("memory://models/penguin/")
    assert isinstance(location.storage, MemoryStorage)
    assert location.uri == "memory://models/penguin"
    assert registry.storage_of("Memory://other")[0] is location.storage
    assert isinstance(registry.location_of("/serving").storage, LocalStorage)


def test_a_forked_process_makes_new_connections_and_keeps_the_disk() -> None:
    registry = Registry({**STORAGES, "memory": MEMORY})
    memory, disk = registry.storage_of("memory://models")[0], registry.storage_of("/serving")[0]
    registry.forget()
    assert registry.storage_of("memory://models")[0] is not memory
    assert registry.storage_of("/serving")[0] is disk


def test_a_forked_process_forgets_what_its_parent_has_made() -> None:
    program = """
import os
from tfx_best_exporter.executor.storage import storage_of
before = storage_of("gs://bucket")[0], storage_of("/serving")[0]
process_id = os.fork()
after = storage_of("gs://bucket")[0], storage_of("/serving")[0]
if process_id:
    os.waitpid(process_id, 0)
print([x is y for x, y in zip(before, after)])
"""
    result = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert result.stdout == "[False, True]\n[True, True]\n"


def test_a_package_that_is_not_installed_is_named() -> None:
    row = StorageRow(name="no_such.module:Class", package="no-such", modules=("no_such",))
    registry = Registry({"other": row})
    with pytest.raises(ModuleNotFoundError) as raised:
        registry.location_of("other://bucket/model")
    assert str(raised.value) == (
        "cannot access other://bucket/model: other:// needs the package no-such, which is not"
        " installed. Run: pip install no-such"
    )
    # A module that is missing for another reason keeps its own error.
    with pytest.raises(ModuleNotFoundError, match="No module named 'no_such'"):
        Registry({"other": StorageRow(name="no_such.module:Class")}).location_of("other://b")


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
        "cannot access s3://bucket/model: s3:// needs the package boto3, which is not installed."
        " Run: pip install boto3\n[]\n"
    )


def test_the_location_of_a_location_is_itself() -> None:
    location = Location(MemoryStorage(), "b/model")
    assert location_of(location) is location
