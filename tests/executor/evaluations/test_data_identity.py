import shutil
from pathlib import Path

import pytest

from tests.executor.plain import write_files
from tfx_best_exporter.executor.evaluations.data_identity import identity_of, named_identity_of

FILES = {
    "Split-eval/examples-00000-of-00002.gz": b"one",
    "Split-eval/examples-00001-of-00002.gz": b"two",
    "Split-train/examples-00000-of-00001.gz": b"train",
}


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    return write_files(tmp_path / "examples" / "1", FILES)


def identity(*paths: Path, splits: tuple[str, ...] = ("eval",)) -> str:
    return identity_of([str(path) for path in paths], splits)


def test_the_same_files_at_another_uri_are_the_same_data(examples: Path):
    other = examples.parent / "2"
    shutil.copytree(examples, other)
    assert identity(other) == identity(examples)
    assert identity(other).startswith("sha256:")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("Split-eval/examples-00001-of-00002.gz", b"owt"),
        ("Split-eval/examples-00001-of-00002.gz", b"two more"),
        ("Split-eval/examples-00002-of-00003.gz", b"three"),
    ],
    ids=["content", "size", "file"],
)
def test_other_files_are_other_data(examples: Path, name: str, content: bytes):
    before = identity(examples)
    write_files(examples, {name: content})
    assert identity(examples) != before


def test_other_splits_are_other_data(examples: Path):
    found = {
        identity(examples, splits=splits)
        for splits in (("eval",), ("train",), ("eval", "train"), ("train", "eval"))
    }
    assert len(found) == 3


def test_files_of_other_splits_do_not_matter(examples: Path):
    before = identity(examples)
    write_files(examples, {"Split-train/examples-00000-of-00001.gz": b"more"})
    assert identity(examples) == before


def test_the_order_of_artifacts_does_not_matter(examples: Path, tmp_path: Path):
    other = write_files(tmp_path / "other", {"Split-eval/examples.gz": b"other"})
    assert identity(examples, other) == identity(other, examples)
    assert identity(examples, other) != identity(examples)


def test_the_layout_of_old_releases_is_found(examples: Path, tmp_path: Path):
    old = tmp_path / "old"
    shutil.copytree(examples / "Split-eval", old / "eval")
    assert identity(old) == identity(examples)


@pytest.mark.parametrize("uri", ["unknown-scheme://examples/1", "/nowhere"])
def test_files_that_cannot_be_listed_are_identified_by_their_uri(uri: str):
    assert identity_of([uri], ["eval"]) == named_identity_of([uri], ["eval"])
    assert identity_of([uri], ["eval"]) != identity_of([uri], ["train"])
