"""Reads the records of a TFRecord file without TensorFlow.

A record consists of its length (8 bytes), the checksum of these 8 bytes (4 bytes), the data, and
the checksum of the data (4 bytes), all little-endian. A checksum is a masked CRC-32C:
https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

from tfx_best_exporter.executor.storage.digest import masked_crc32c
from tfx_best_exporter.executor.storage.local_files import open_regular

# A record is in memory as a whole, and a file with holes can claim any size.
_MAX_RECORD_BYTES = 256 << 20

_HEADER = struct.Struct("<QI")
_LENGTH = struct.Struct("<Q")
_CHECKSUM = struct.Struct("<I")


class TFRecordError(ValueError):
    """A TFRecord file contains data that is not a record."""


class TruncatedRecordError(TFRecordError):
    """A TFRecord file ends in the middle of a record."""


def read_records(path: Path) -> Iterator[bytes]:
    """Yields the data of each record of a TFRecord file, in order.

    Args:
        path: An uncompressed file on this machine.

    Raises:
        TruncatedRecordError: The file ends in the middle of a record. All records before it have
            been yielded.
        TFRecordError: A checksum does not match, or a record is too large.
        NotAFileError: The path is a directory, a pipe or a device.
    """
    with open_regular(path) as file:
        # The length is compared with the file's size before memory is reserved for it.
        end = os.fstat(file.fileno()).st_size
        start = 0
        while header := file.read(_HEADER.size):
            if len(header) < _HEADER.size:
                raise _truncated(start)
            length, length_checksum = _HEADER.unpack(header)
            if masked_crc32c(header[: _LENGTH.size]) != length_checksum:
                raise _damaged(start, "length")
            if start + _HEADER.size + length + _CHECKSUM.size > end:
                raise _truncated(start)
            if length > _MAX_RECORD_BYTES:
                raise TFRecordError(
                    f"a record of {length:,} bytes at byte {start}; at most"
                    f" {_MAX_RECORD_BYTES:,} bytes are allowed"
                )
            data = file.read(length)
            checksum = file.read(_CHECKSUM.size)
            if len(checksum) < _CHECKSUM.size:
                # The file became shorter while it was read.
                raise _truncated(start)
            if masked_crc32c(data) != _CHECKSUM.unpack(checksum)[0]:
                raise _damaged(start, "data")
            yield data
            start += _HEADER.size + length + _CHECKSUM.size


def _truncated(start: int) -> TruncatedRecordError:
    return TruncatedRecordError(f"a truncated record at byte {start}")


def _damaged(start: int, part: str) -> TFRecordError:
    return TFRecordError(
        f"a damaged record at byte {start}: the checksum of its {part} does not match"
    )
