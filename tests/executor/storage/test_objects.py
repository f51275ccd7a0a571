"""Paths in an object store."""

import pytest

from tfx_best_exporter.executor.storage import objects
from tfx_best_exporter.executor.storage.protocol import Entry, Kind


@pytest.mark.parametrize(
    ("path", "bucket", "key"),
    [
        pytest.param("models/serving/7", "models", "serving/7", id="a directory"),
        pytest.param("models/", "models", "", id="a bucket"),
        pytest.param("models", "models", "", id="a bucket without a slash"),
    ],
)
def test_split(path: str, bucket: str, key: str):
    assert objects.split(path) == (bucket, key)


def test_a_path_has_a_bucket():
    with pytest.raises(ValueError, match="must be below a bucket"):
        objects.split("/serving/7")


@pytest.mark.parametrize("path", ["models", "models/", "/serving"])
def test_a_whole_bucket_is_no_object(path: str):
    with pytest.raises(ValueError, match="must be below a bucket") as caught:
        objects.split_object(path)

    assert repr(path) in str(caught.value)


def test_the_prefix_of_a_directory_ends_with_a_slash():
    assert objects.prefix_of("serving") == "serving/"
    assert objects.prefix_of("") == ""


def test_entries_of_a_directory():
    entries = objects.entries(
        "serving/",
        ["serving/", "serving/notes.txt", "serving/7"],
        ["serving/7/", "serving/12/"],
    )

    assert entries == [
        Entry(name="12", kind=Kind.DIRECTORY),
        Entry(name="7", kind=Kind.DIRECTORY),
        Entry(name="7", kind=Kind.FILE),
        Entry(name="notes.txt", kind=Kind.FILE),
    ]


def test_placeholders_of_folders_have_no_size():
    sizes = {"serving/7/": 0, "serving/7/saved_model.pb": 12, "serving/7/variables/": 0}

    assert objects.relative_sizes("serving/7/", sizes) == {"saved_model.pb": 12}
