import hashlib
from pathlib import Path

import pytest

from tests.executor.bucket import Bucket
from tests.executor.plain import FILES, files_of, write_files
from tfx_best_exporter.executor.exports import saved_model
from tfx_best_exporter.executor.exports.hashing import hashing
from tfx_best_exporter.executor.storage.location import Location


def test_files_with_a_local_path_are_hashed(tmp_path: Path):
    with hashing(files_of(write_files(tmp_path / "model"))) as hashes:
        assert hashes() == {
            name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()
        }


def test_files_in_a_store_are_left_out(tmp_path: Path):
    write_files(tmp_path / "model")
    bucket = Bucket(tmp_path)
    files = saved_model.files_of(Location(bucket, str(tmp_path / "model")))
    with hashing(files) as hashes:
        assert hashes() == dict.fromkeys(FILES, "")


def test_a_file_that_changed_has_no_hash(tmp_path: Path):
    files = files_of(write_files(tmp_path / "model"))
    (tmp_path / "model" / "saved_model.pb").write_bytes(b"other")
    with (
        hashing(files) as hashes,
        pytest.raises(ValueError, match=r"^cannot publish saved_model\.pb: .* were hashed, but "),
    ):
        hashes()


def test_an_error_ends_it(tmp_path: Path):
    with pytest.raises(KeyError), hashing(files_of(write_files(tmp_path / "model"))):
        raise KeyError
