"""Compares the reader of TFRecord files with TensorFlow's."""

import os
import struct
from pathlib import Path

import pytest

from tfx_best_exporter.executor.evaluations.tfrecord import (
    TFRecordError,
    TruncatedRecordError,
    read_records,
)
from tfx_best_exporter.executor.storage.digest import masked_crc32c

RECORDS = [b"first", b"", b"the last one"]


def write(path: Path, *records: bytes) -> Path:
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return path


def read_as_tensorflow(path: Path) -> tuple[list[bytes], str]:
    """Returns the records that TensorFlow reads, and the end: "", "truncated" or "damaged"."""
    import tensorflow as tf

    records: list[bytes] = []
    try:
        dataset = tf.data.TFRecordDataset(str(path))
        records.extend(bytes(record) for record in dataset.as_numpy_iterator())
    except tf.errors.DataLossError as error:
        return records, "truncated" if "truncated" in str(error) else "damaged"
    return records, ""


def read(path: Path) -> tuple[list[bytes], str]:
    records: list[bytes] = []
    try:
        for record in read_records(path):
            records.append(record)
    except TruncatedRecordError:
        return records, "truncated"
    except TFRecordError:
        return records, "damaged"
    return records, ""


@pytest.mark.parametrize(
    "records",
    [
        pytest.param([], id="no record"),
        pytest.param([b""], id="an empty record"),
        pytest.param(RECORDS, id="several"),
        pytest.param([bytes(range(256)) * 4096, b"after it"], id="one larger than a buffer"),
    ],
)
def test_records_that_tensorflow_writes(tmp_path: Path, records: list[bytes]):
    path = write(tmp_path / "records", *records)
    assert read(path) == (records, "") == read_as_tensorflow(path)


def test_a_file_that_is_cut_anywhere(tmp_path: Path):
    whole = write(tmp_path / "whole", *RECORDS).read_bytes()
    path = tmp_path / "cut"
    ends = [sum(16 + len(record) for record in RECORDS[:count]) for count in range(4)]
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        records, problem = read(path)
        assert problem == ("" if size in ends else "truncated")
        # TensorFlow ignores an incomplete header at the end, although a record is missing.
        is_in_header = any(end < size < end + 12 for end in ends)
        assert read_as_tensorflow(path) == (records, "" if is_in_header else problem)


def test_a_file_in_which_any_byte_is_damaged(tmp_path: Path):
    whole = write(tmp_path / "whole", *RECORDS).read_bytes()
    path = tmp_path / "damaged"
    for position in range(len(whole)):
        content = bytearray(whole)
        content[position] ^= 0x10
        path.write_bytes(content)
        found = read(path)
        assert found == read_as_tensorflow(path)
        assert found[1] == "damaged"


def test_a_length_that_no_file_has(tmp_path: Path):
    """The length has a valid checksum, and no memory is reserved for it."""
    # The four bytes are the CRC-32C of the length 2**62, masked as TensorFlow's writer does.
    path = tmp_path / "records"
    path.write_bytes((2**62).to_bytes(8, "little") + bytes.fromhex("7f85f000") + b"data")
    assert read(path) == ([], "truncated")


@pytest.mark.parametrize(
    ("position", "part"),
    [pytest.param(0, "length", id="length"), pytest.param(13, "data", id="data")],
)
def test_an_error_says_where_and_what(tmp_path: Path, position: int, part: str):
    path = write(tmp_path / "records", b"whole", b"damaged")
    start = 8 + 4 + len(b"whole") + 4
    content = bytearray(path.read_bytes())
    content[start + position] ^= 1
    path.write_bytes(content)
    with pytest.raises(TFRecordError) as caught:
        list(read_records(path))
    assert str(caught.value) == (
        f"a damaged record at byte {start}: the checksum of its {part} does not match"
    )
    path.write_bytes(content[: start + 5])
    with pytest.raises(TruncatedRecordError) as caught:
        list(read_records(path))
    assert str(caught.value) == f"a truncated record at byte {start}"


def test_a_record_that_claims_too_much_memory(tmp_path: Path):
    path = write(tmp_path / "records", b"first")
    length = 1 << 40
    header = struct.pack("<Q", length)
    with path.open("r+b") as file:
        file.seek(0, os.SEEK_END)
        start = file.tell()
        file.write(header + struct.pack("<I", masked_crc32c(header)))
        # The rest of the file is a hole.
        file.truncate(start + length + 16)
    found = read_records(path)
    assert next(found) == b"first"
    with pytest.raises(TFRecordError) as caught:
        next(found)
    assert str(caught.value) == (
        f"a record of 1,099,511,627,776 bytes at byte {start}; at most 268,435,456 bytes are"
        " allowed"
    )
