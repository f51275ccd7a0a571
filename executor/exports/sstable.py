"""Reads LevelDB's sorted tables of keys and values, the format of TensorFlow's variables.index.

A table is a list of blocks and a footer of 48 bytes. The footer ends with a magic number and begins
with two handles: offset and size of the meta index, which TensorFlow leaves empty, and of the index
block. The index block's values are the handles of the data blocks. See
https://github.com/google/leveldb/blob/main/doc/table_format.md.

A table may be damaged, or made to do harm: the time and memory to read one stay proportional to its
size, because blocks may not overlap and keys may not grow without bound.
"""

from __future__ import annotations

from collections.abc import Iterator

import google_crc32c

_FOOTER_BYTES = 48
_MAGIC = bytes.fromhex("57fb808b247547db")
# One byte that names the compression, and the checksum of the block and that byte.
_TRAILER_BYTES = 5
_UNCOMPRESSED = 0
_MASK_DELTA = 0xA282EAD8
# A key repeats a part of the one before. Writers write every 16th key in full, so keys take at most
# 16 times the bytes that they are written in.
_MAX_GROWTH = 64


class TableError(ValueError):
    """A table is damaged."""


class CompressedError(TableError):
    """A block is compressed. TensorFlow reads such tables, but never writes them."""


def read(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields each key and value of a table, in order of the keys.

    Raises:
        CompressedError: A block is compressed.
        TableError: The table is damaged.
    """
    if len(table) < _FOOTER_BYTES or not table.endswith(_MAGIC):
        raise TableError("it does not end as a table does")
    footer = table[-_FOOTER_BYTES:]
    *_, offset, size = _varints(footer, 0, 4)[0]
    end = 0
    for _, handle in _entries(_block(table, offset, size)):
        offset, size = _varints(handle, 0, 2)[0]
        if offset < end:
            raise TableError(f"a block at {offset} overlaps another")
        yield from _entries(_block(table, offset, size))
        end = offset + size


def unmasked(checksum: int) -> int:
    """Returns the CRC-32C that a table stores in masked form.

    The mask keeps checksums apart from those of data that contain checksums.
    """
    rotated = (checksum - _MASK_DELTA) & 0xFFFFFFFF
    return (rotated << 15 | rotated >> 17) & 0xFFFFFFFF


def _block(table: bytes, offset: int, size: int) -> bytes:
    end = offset + size + 1
    trailer = table[end - 1 : end - 1 + _TRAILER_BYTES]
    if len(trailer) < _TRAILER_BYTES:
        raise TableError(f"a block at {offset} ends beyond the table")
    checksum = int.from_bytes(trailer[1:], "little")
    if google_crc32c.value(table[offset:end]) != unmasked(checksum):
        raise TableError(f"the block at {offset} does not have its checksum")
    if trailer[0] != _UNCOMPRESSED:
        raise CompressedError(f"the block at {offset} is compressed")
    return table[offset : end - 1]


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    # Offsets of the keys that are written in full, and their number, follow the entries.
    end = len(block) - 4 * (1 + int.from_bytes(block[-4:], "little"))
    if len(block) < 4 or end < 0:
        raise TableError("a block is shorter than it says")
    key, position, key_bytes = b"", 0, 0
    while position < end:
        (shared, unshared, size), position = _varints(block, position, 3)
        value_position = position + unshared
        next_position = value_position + size
        if shared > len(key) or next_position > end:
            raise TableError("a block has an entry that is longer than it")
        key = key[:shared] + block[position:value_position]
        key_bytes += len(key)
        if key_bytes > _MAX_GROWTH * len(block):
            raise TableError("a block has keys that are too long for it")
        yield key, block[value_position:next_position]
        position = next_position


def _varints(data: bytes, position: int, count: int) -> tuple[list[int], int]:
    """Returns some numbers of at most 64 bits, and the position behind them."""
    values = []
    for _ in range(count):
        value = shift = 0
        while True:
            if position >= len(data) or shift >= 64:
                raise TableError("a number is longer than it may be")
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        values.append(value)
    return values, position
